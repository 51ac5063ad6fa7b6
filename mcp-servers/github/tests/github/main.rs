//! The server from outside.

mod manifest;
