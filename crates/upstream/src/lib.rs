//! An MCP server that speaks HTTP, shown as the line pipes of a process. Knows nothing of processes, names, TLS, tokens of
//! callers or what the messages mean.
//!
//! ```text
//!  bridge ── lines ──► Conversation ── POST, GET, DELETE ──► Client (connections) ── Dial ──► server
//!         ◄── lines ──              ◄── JSON or events ──
//! ```
//!
//! * One conversation is what one server process would be: a **legacy** session (2025-11-25 and older), or the stateless use of a
//!   **modern** server (2026-07-28). The purpose says which; while no session exists, a modern message is sent as one in any case.
//! * Only envelopes are read. A message leaves as the bytes it came in, on one line; line breaks between its parts become spaces.
//!   Two things are written anew: the id of an answer that does not carry the id of its request, and the id of a request that
//!   differs from another one in flight only by its quotation marks, because some servers cannot keep those two apart.
//! * No header of a caller can come here, because callers end at the pipes. What the server gets besides the protocol's own headers
//!   is [`Upstream::headers`].
//!
//! Everything is single-threaded and has to be used inside a [`tokio::task::LocalSet`] on a runtime with time enabled.

mod client;
mod conversation;
mod dial;
mod lines;
mod message;
mod params;
mod sse;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};
use roadstead_bridge::{Purpose, ServerPipes};

pub use dial::{Dial, Dialing, Io, LoopbackDial};

/// Which transport of MCP the server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// One endpoint for everything (2025-03-26 and newer).
    StreamableHttp,
    /// A stream of events and an endpoint that it names (2024-11-05).
    Sse,
}

/// One server that speaks HTTP.
#[derive(Clone)]
pub struct Upstream {
    /// How it is spoken to.
    pub transport: Transport,
    /// Its endpoint, whole: scheme, host and path. The host becomes the `Host` header; some servers insist on `localhost:PORT`.
    pub url: Uri,
    /// Headers of its own on every request, such as an access token; they should be marked sensitive. Headers of the protocol
    /// cannot be set here.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What it may cost.
    pub limits: UpstreamLimits,
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Upstream")
            .field("transport", &self.transport)
            .field("host", &self.url.host())
            .field("headers", &names)
            .finish_non_exhaustive()
    }
}

/// What a server may cost. `Default` gives the values named below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamLimits {
    /// Bytes of one message, either way (64 MiB, the largest body the bridge takes).
    pub max_message: usize,
    /// Requests without an answer at one time; each holds a connection (512). One more is answered with an error.
    pub max_open: usize,
    /// Bytes that wait in each of the two pipes (64 KiB).
    pub pipe: usize,
    /// How long a connection may take to open, encryption included (10 s).
    pub connect_timeout: Duration,
    /// How long a server that was never reached may refuse connections before that counts as an answer (2 min): one that was
    /// just started does not listen yet.
    pub start_patience: Duration,
    /// How long a notification may take to be accepted (10 s). Until then nothing newer is sent, which keeps the order.
    pub notification_timeout: Duration,
    /// How long a connection without a request is kept (3 s). Many servers close theirs after 5 s, and a request must not meet that.
    pub idle_connection: Duration,
    /// How long the farewell to a session may take (2 s).
    pub farewell: Duration,
}

impl Default for UpstreamLimits {
    fn default() -> Self {
        Self {
            max_message: 64 * 1024 * 1024,
            max_open: 512,
            pipe: 64 * 1024,
            connect_timeout: Duration::from_secs(10),
            start_patience: Duration::from_mins(2),
            notification_timeout: Duration::from_secs(10),
            idle_connection: Duration::from_secs(3),
            farewell: Duration::from_secs(2),
        }
    }
}

/// Pipes of one conversation with the server: a legacy session, or (`Purpose::ModernShared`) the stateless use of it. Nothing is
/// connected before the first line comes.
///
/// `exited` resolves when the process behind the server is gone, and may stay pending when there is none. The pipes end then, and
/// also when their input is closed, when the ender is used, when the server forgets the session, and when it refuses connections
/// after it was reached once: every open request is answered with an error, a session is deleted, and `ServerPipes::exited` says why.
///
/// Must be called inside a [`tokio::task::LocalSet`].
pub fn open(
    upstream: Rc<Upstream>,
    dial: Rc<dyn Dial>,
    purpose: Purpose,
    exited: Pin<Box<dyn Future<Output = String>>>,
) -> ServerPipes {
    conversation::open(upstream, dial, purpose, exited)
}

/// Waits until the server answers anything over HTTP, by a request that changes nothing. Never ends before that: whoever calls
/// bounds it.
pub async fn listening(upstream: &Upstream, dial: Rc<dyn Dial>) {
    client::Client::new(upstream, dial).until_listening().await;
}
