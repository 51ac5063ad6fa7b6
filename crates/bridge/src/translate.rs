//! The era bridge: a client of one protocol era in front of a server of the other.
//!
//! ```text
//!  modern clients ─► Server ─► ToLegacy ─► Server ─► a legacy process for each client identity
//!  legacy session ─► Server ─► ToModern ─────┬─► Server ─► the one modern process
//!  legacy session ─► Server ─► ToModern ─────┘
//! ```
//! A translator looks like a server process to the rest of the bridge: lines in, lines out. What it needs from the other era it
//! gets as an ordinary client of a [`Server`](crate::server::Server), so a process never meets both eras.
//!
//! Parameters, results and the members of errors travel as the text they came in; only the members that differ between the eras
//! are added, replaced or left out.

mod capabilities;
mod codes;
mod json;
mod level;
mod link;
mod outbox;
mod to_legacy;
mod to_modern;

use std::rc::Rc;
use std::time::Duration;

use crate::launcher::{Ender, ServerPipes};
use crate::lines::Lines;
use outbox::{Outbox, Reader};
pub(crate) use to_legacy::ToLegacy;
pub(crate) use to_modern::ToModern;

/// Room in the pipe that leads into a translator.
const PIPE: usize = 64 * 1024;
/// How long a fresh server may take to answer the translator's handshake.
const HANDSHAKE: Duration = Duration::from_mins(2);
/// How long a server may take for a small request of the translator itself, such as a subscription.
const OWN_REQUEST: Duration = Duration::from_secs(30);

const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";
/// Who a client or server is that does not say.
const NOBODY: &str = r#"{"name":"unknown","version":"0"}"#;

/// The revision that translators speak with legacy servers, and offer to legacy clients that ask for one we do not know.
const NEWEST_LEGACY: &str = "2025-11-25";

/// Requests that may be answered with a demand for input (2026-07-28, Multi Round-Trip Requests, Supported Requests).
fn may_need_input(method: &str) -> bool {
    matches!(method, "tools/call" | "prompts/get" | "resources/read")
}

/// Pipes to a translator: what it reads, and what the bridge gets. The end of the bridge's side ends the translator.
fn pipes(outbox: &Rc<Outbox>) -> (Lines, ServerPipes) {
    let (bridge, translator) = tokio::io::duplex(PIPE);
    let pipes = ServerPipes {
        stdin: Box::pin(bridge),
        stdout: Box::pin(Reader(Rc::clone(outbox))),
        exited: Box::pin(std::future::pending()),
        ender: Ender::new(|_| {}),
    };
    // The bridge has limited the length of a message before.
    (Lines::new(Box::pin(translator), usize::MAX), pipes)
}
