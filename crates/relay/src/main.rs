//! `roadstead-relay`: one per conversation with a remote MCP server.

use std::process::ExitCode;

fn main() -> ExitCode {
    roadstead_relay::run(std::env::args().skip(1))
}
