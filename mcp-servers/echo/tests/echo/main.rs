//! The server from outside: started as a host starts it, spoken to in raw JSON lines.

mod eras;
mod http;
mod manifest;
mod misbehaviour;
mod process;
mod protocol;
