//! The shim's program: one instance's port, token, server processes, deadline and log. Knows no users, no
//! rows and no REST API.
//!
//! ```text
//! roadstead ──(specification)──► shim ──► init ──► server, server, …
//!                                 │ TCP port, socket `h` ──► token ──► bridge ──► a server's pipes
//!                                 │ socket `c`           ──► commands; log lines and the end go out
//!                                 └ state.json, exit.json, spool.jsonl, usage.jsonl in the run folder
//! ```
//! One thread: the parent-death signal belongs to a thread, and a shim that has only one cannot lose it.

mod control;
mod deadline;
mod events;
mod folder;
mod http;
mod http_server;
mod idle;
mod init;
mod instance;
mod launcher;
mod life;
mod logs;
pub mod mask;
mod mcp;
mod memory_kills;
mod probe;
mod spawner;
mod spool;
mod start;
mod usage;
mod walls;
mod watched;

/// Tries what an instance needs of the machine, and prints what came of it as JSON.
pub fn probe() -> std::process::ExitCode {
    probe::probe()
}

/// Runs a shim from its specification on standard input to its end.
pub fn run() -> std::process::ExitCode {
    start::run()
}
