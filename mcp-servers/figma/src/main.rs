//! `roadstead-figma`: an MCP server for Figma on stdin and stdout, over Figma's REST API. It keeps nothing: what it
//! shows is what Figma says.

mod flags;
mod list;
mod outline;
mod prune;
mod refusal;
mod server;
mod tools;
mod which;

use std::process::ExitCode;

use clap::Parser;

use crate::flags::Flags;

fn main() -> ExitCode {
    roadstead_server_kit::run("figma", server::start(&Flags::parse()))
}
