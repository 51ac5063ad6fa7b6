//! The messages between supervisor and shim, versioned. Knows nothing of either end's insides.
//!
//! ```text
//! supervisor                                                     shim
//!   Specification, Secrets ──(two frames on its stdin)──────────►
//!   ◄───────────(lines on its stdout)── Hello, Bound, Ready | Failed
//!   handshake ◄──(socket `c` in its run folder)──► handshake
//!   Request{id, command} ──────────────────────────────────────►
//!   ◄──── Answer{id, …}, Logs, Usage, EraFound, ServerChanged, Lifecycle, Exited
//! ```
//! `state.json` and `exit.json` in the run folder are the same words at rest: what a shim is, and how it ended.

pub mod confinement;
pub mod frame;
pub mod handshake;
pub mod lifecycle;
pub mod message;
pub mod record;
pub mod secret;
pub mod specification;
pub mod usage;

pub use confinement::{Grant, Policy};
pub use frame::{Decoder, FrameError};
pub use lifecycle::{LifecycleEntry, LifecycleStep};
pub use message::{
    Alive, Answer, Command, FailureCode, LogEntry, Ready, Report, Request, Status, StopReason,
};
pub use record::{ExitRecord, Failure, LaunchNote, Outcome, ProcessId, ServerEnd, ShimState};
pub use secret::{ControlSecret, Secret, TokenHash};
pub use specification::{
    BridgeSettings, HttpServer, HttpTransport, Isolation, IsolationLevel, Limits, Secrets, Specification,
    UserIds,
};
pub use usage::UsageFact;

/// The version of these messages. A shim answers with its own in `Hello`.
pub const PROTOCOL_VERSION: u32 = 1;

/// The control socket's name in a run folder: one letter, because a socket's path ends at 107 bytes.
pub const CONTROL_SOCKET: &str = "c";
/// The name of the socket through which the gateway speaks HTTP.
pub const HTTP_SOCKET: &str = "h";
/// What a shim is, without secrets.
pub const STATE_FILE: &str = "state.json";
/// Which process a launch started; written before that process is told anything.
pub const LAUNCH_FILE: &str = "launch.json";
/// How an instance ended, or is about to.
pub const EXIT_FILE: &str = "exit.json";
/// Log lines that nobody had stored when the shim ended, one JSON document a line.
pub const SPOOL_FILE: &str = "spool.jsonl";
/// Steps that the shim took by itself and that nobody has stored, one JSON document a line.
pub const EVENTS_FILE: &str = "events.jsonl";
/// Usage facts that nobody has confirmed, one JSON document a line; written as they are made.
pub const USAGE_FILE: &str = "usage.jsonl";
/// Where a shim's own standard error goes: panics, and nothing else.
pub const SHIM_LOG_FILE: &str = "shim.log";
/// The folder of secrets that a server reads from files, in its run folder.
pub const SECRETS_FOLDER: &str = "s";
/// The descriptor from which a server reads the first secret that it is handed that way.
pub const FIRST_SECRET_DESCRIPTOR: i32 = 100;
/// The mark in every server's environment by which a stray is found.
pub const INSTANCE_MARK: &str = "ROADSTEAD_INSTANCE";
