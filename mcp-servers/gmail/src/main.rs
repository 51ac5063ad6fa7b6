//! `roadstead-gmail`: an MCP server for one Gmail account on stdin and stdout, over Gmail's REST API. It keeps no
//! mail: what it shows is what Gmail says, and a file is kept only when it is told to save one.

mod auth;
mod compose;
mod decode;
mod flags;
mod mailbox;
mod refusal;
mod save;
mod server;
mod shown;
mod source;
mod tools;
mod wire;

use std::process::ExitCode;

use clap::Parser;

use crate::flags::Flags;

fn main() -> ExitCode {
    roadstead_server_kit::run("gmail", server::start(&Flags::parse()))
}
