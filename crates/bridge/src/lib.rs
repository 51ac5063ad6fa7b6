//! The MCP router of one instance: Streamable HTTP on one side, the standard streams of MCP servers on the other. Knows nothing
//! of processes, sockets, tokens, users or the clock of the machine.
//!
//! ```text
//!  client ── POST ──► handle ──► Exchange ◄── Stream ◄── Server (table of calls) ◄── lines ◄── stdout
//!                        └────────── body bytes, unchanged ──────────► Writer ──► stdin
//! ```
//!
//! * A **legacy** client (2025-11-25 and older) gets a session, and every session has a server process of its own, unless the
//!   type says that its server keeps no sessions apart ([`SessionMode::Shared`]).
//! * All **modern** clients (2026-07-28) share one server process; ids are rewritten so that they cannot meet.
//! * The two eras never meet on one process. A client of one era in front of a server of the other is served by a translator
//!   that looks like a server process of the client's era.
//!
//! Only the envelope of a message is read (method, id, a few members of `params`); everything else travels as the bytes it came in.
//!
//! # How to drive it
//! Everything here is single-threaded (`Rc`, no `Send`) and has to be used inside a [`tokio::task::LocalSet`] on a runtime with
//! time enabled: the bridge puts one reader, one writer and some rare timers per server process there with `spawn_local`.
//! Give the process that was started at launch to [`Bridge::adopt`], wait for [`Bridge::ready`], then give every request to
//! [`Bridge::handle`]. The token of the caller has to be checked before; origin, host, session and era are checked here.

mod bridge;
mod config;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod history;
mod http;
mod launcher;
mod lines;
mod message;
mod observer;
mod origin;
mod requests;
mod server;
mod shared;
mod shared_process;
mod stream;
mod tools;
mod translate;
mod usage;
mod version;
mod writer;

pub use bridge::{Bridge, Ready, ReadyFailure};
pub use config::{BridgeConfig, Era, SessionMode};
pub use http::{BridgeBody, Via};
pub use launcher::{
    EndReason, Ender, LaunchFailure, Opening, Purpose, RandomBytes, ServerLauncher, ServerPipes,
};
pub use observer::{Note, Observer, Silent};
pub use requests::Use;
pub use shared::Counters;
pub use usage::{CallOutcome, Called, Fact, Parent, Request};
