//! The server from outside: the real program behind the library's client, in front of a service that answers as
//! Google's documentation says.

mod cases;
mod files;
mod gmail;
mod login;
mod manifest;
mod reading;
mod sending;
mod trouble;
