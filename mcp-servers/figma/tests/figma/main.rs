//! The server from outside: the real program behind the library's client, in front of a service that answers as
//! Figma's documentation says.

mod cases;
mod figma;
mod manifest;
mod start;
mod trees;
mod trouble;
