//! The server from outside: the real program over stdio, against a GitHub of our own that answers what the documentation
//! shows.

mod cases;
mod conversation;
mod fake;
mod fixtures;
mod manifest;
mod pages;
mod program;
mod schemas;
mod table;
mod troubles;
