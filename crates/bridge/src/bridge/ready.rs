//! Whether a fresh server process is ready: it answers a message that changes nothing.
//!
//! Never `initialize`: a handshake of ours would fix the client's capabilities before there is a client.

use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use super::modern::Modern;
use super::{Bridge, Inner};
use crate::config::Era;
use crate::launcher::{EndReason, Purpose};
use crate::message::{Id, ResultHead, compose};
use crate::server::{CallKind, Server};
use crate::version;

/// No client would choose this.
const PING_ID: &str = "\"roadstead/ready\"";
/// A server that uses less than this part of a processor, one in so many, does nothing.
const IDLE_SHARE: u32 = 20;
/// A server that is asked nothing is looked at so often in the time that a silent one gets.
const QUIET_LOOKS: u32 = 10;

/// How we know that a server is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// It answered `ping`.
    AnsweredPing,
    /// It did not answer `ping`, but is still alive.
    SilentButAlive,
    /// It answered `server/discover`.
    AnsweredDiscover,
}

/// Why a server is not ready.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadyFailure {
    /// It is gone.
    #[error("the server ended before it was ready")]
    Ended,
    /// It said nothing.
    #[error("the server did not answer server/discover within {} s", .0.as_secs())]
    Silent(Duration),
    /// It is of the other era.
    #[error("the server does not speak the modern revision it is configured for")]
    NotModern,
    /// There was nothing to wait for.
    #[error("no server process was adopted")]
    NothingAdopted,
}

impl Bridge {
    /// Waits until the adopted process is ready, at most for `patience`.
    pub async fn ready(&self, patience: Duration) -> Result<Ready, ReadyFailure> {
        let inner = &self.inner;
        let server = match &*inner.modern.borrow() {
            Modern::Up(server) => Some(Rc::clone(server)),
            _ => inner.first.borrow().clone(),
        };
        inner.made_ready(&server.ok_or(ReadyFailure::NothingAdopted)?, patience).await
    }

    /// From now on a fresh process hears nothing before its first client, and is ready when it lives and does nothing: there are
    /// servers that end at a ping before the handshake, although it is allowed.
    pub fn ask_nothing(&self) {
        self.inner.asks_nothing.set(true);
    }
}

impl Inner {
    /// Waits until a fresh process that was adopted is ready.
    pub(super) async fn made_ready(
        self: &Rc<Self>,
        server: &Rc<Server>,
        patience: Duration,
    ) -> Result<Ready, ReadyFailure> {
        if self.shared.config.era != Era::Modern {
            let began = Instant::now();
            let ready = self.greeted(server, patience).await;
            if ready == Ok(Ready::AnsweredPing) {
                self.startup.set(Some(began.elapsed()));
            }
            return ready;
        }
        let may_be_wrong = self.eras.is_unproven();
        // Half of the time is for finding out that what was remembered is wrong.
        let first = if may_be_wrong { patience / 2 } else { patience };
        match discover(server, first).await {
            Discovery::Modern(supported) => {
                self.found_modern(supported);
                Ok(Ready::AnsweredDiscover)
            }
            Discovery::NotModern | Discovery::Silent if may_be_wrong => {
                self.not_modern_any_more(server, patience.saturating_sub(first)).await
            }
            Discovery::NotModern => Err(ReadyFailure::NotModern),
            Discovery::Silent => Err(ReadyFailure::Silent(patience)),
            Discovery::Ended => Err(ReadyFailure::Ended),
        }
    }

    /// The server was remembered as modern and is not: a fresh process is made ready in the other way, because this one has heard
    /// a modern request.
    async fn not_modern_any_more(
        self: &Rc<Self>,
        server: &Rc<Server>,
        patience: Duration,
    ) -> Result<Ready, ReadyFailure> {
        self.eras.learn_modern(false);
        self.tell_era();
        server.end(EndReason::NotModern, "it does not speak the modern revision any more");
        self.forget(server);
        let opened = self.launcher.open(Purpose::LegacySession).await;
        let pipes = opened.map_err(|_| ReadyFailure::Ended)?;
        let fresh = self.take_in(pipes, Purpose::LegacySession);
        *self.first.borrow_mut() = Some(Rc::clone(&fresh));
        self.greeted(&fresh, patience).await
    }

    async fn greeted(&self, server: &Rc<Server>, patience: Duration) -> Result<Ready, ReadyFailure> {
        if self.asks_nothing.get() {
            self.quiet(server, patience).await
        } else {
            self.ping(server, patience).await
        }
    }

    /// Waits until a server that is asked nothing has ended, or does nothing any more.
    async fn quiet(&self, server: &Rc<Server>, patience: Duration) -> Result<Ready, ReadyFailure> {
        let pause = self.shared.config.silent_ready / QUIET_LOOKS;
        let settled = async {
            let mut looked = None;
            while server.is_alive() {
                sleep(pause).await;
                let now = Effort(self.launcher.effort());
                if does_nothing(looked.replace(now), now, pause) {
                    return;
                }
            }
        };
        // One that works until its time is over may answer all the same.
        let _ = timeout(patience, settled).await;
        ready_by(server, false)
    }

    /// Waits for the answer to a ping, but not for one that never comes: a server that is silent and does nothing does not answer
    /// pings before its handshake, and is ready. One that is silent and works is loading what it needs.
    async fn ping(&self, server: &Rc<Server>, patience: Duration) -> Result<Ready, ReadyFailure> {
        let line = format!("{{\"jsonrpc\":\"2.0\",\"id\":{PING_ID},\"method\":\"ping\"}}\n");
        let id = Id::Other(PING_ID.into());
        let mut answer = pin!(server.ask_line(id, CallKind::Other, line.into_bytes(), patience));
        // Looked at from the middle of the pause on: most servers have answered by then, and a look takes longer than a ping.
        let half = self.shared.config.silent_ready / 2;
        let mut looked = None;
        let answer = loop {
            if let Ok(answer) = timeout(half, answer.as_mut()).await {
                break answer;
            }
            let now = Effort(self.launcher.effort());
            if does_nothing(looked.replace(now), now, half) {
                break None;
            }
        };
        ready_by(server, answer.is_some())
    }
}

/// What a look at a server's effort told; nothing where nobody can look.
#[derive(Clone, Copy)]
struct Effort(Option<Duration>);

/// Whether a server used less than its share between two looks, as far as anybody can look; one look alone tells nothing.
fn does_nothing(before: Option<Effort>, now: Effort, pause: Duration) -> bool {
    before.is_some_and(|before| {
        let worked = now.0.zip(before.0).map(|(now, before)| now.saturating_sub(before));
        worked.is_none_or(|worked| worked < pause / IDLE_SHARE)
    })
}

fn ready_by(server: &Server, answered: bool) -> Result<Ready, ReadyFailure> {
    match (server.is_alive(), answered) {
        (false, _) => Err(ReadyFailure::Ended),
        (true, true) => Ok(Ready::AnsweredPing),
        (true, false) => Ok(Ready::SilentButAlive),
    }
}

/// What a server makes of `server/discover`.
pub(super) enum Discovery {
    /// It speaks the modern revision, and named its versions.
    Modern(Option<Box<str>>),
    /// It answered in a way no modern server does.
    NotModern,
    /// It did not answer.
    Silent,
    /// It ended.
    Ended,
}

pub(super) async fn discover(server: &Rc<Server>, patience: Duration) -> Discovery {
    let params = serde_json::json!({"_meta": {
        "io.modelcontextprotocol/protocolVersion": version::MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "roadstead", "version": env!("CARGO_PKG_VERSION")},
    }});
    let answer = server.ask("server/discover", &params.to_string(), patience).await;
    if !server.is_alive() {
        return Discovery::Ended;
    }
    match answer {
        Some((line, None)) => {
            let head = std::str::from_utf8(&line).ok().and_then(ResultHead::read);
            let supported = head.and_then(|head| head.supported_versions);
            let versions: Option<Vec<String>> =
                supported.and_then(|versions| serde_json::from_str(versions.get()).ok());
            // One that can tell of itself in the newer way need not serve it.
            if versions.is_some_and(|versions| !versions.iter().any(|each| version::is_modern(each))) {
                return Discovery::NotModern;
            }
            Discovery::Modern(supported.map(|versions| versions.get().into()))
        }
        Some((line, Some(compose::UNSUPPORTED_VERSION))) if speaks_older_only(&line) => Discovery::NotModern,
        Some((
            _,
            Some(compose::HEADER_MISMATCH | compose::MISSING_CAPABILITY | compose::UNSUPPORTED_VERSION),
        )) => Discovery::Modern(None),
        Some(_) => Discovery::NotModern,
        None => Discovery::Silent,
    }
}

/// Whether a refusal of our version lists others, none of which is stateless: the code alone does not tell, because a server may
/// know of the newer revision and yet not serve it.
fn speaks_older_only(refusal: &[u8]) -> bool {
    let refusal: Option<Value> = serde_json::from_slice(refusal).ok();
    let supported = refusal.as_ref().and_then(|refusal| refusal["error"]["data"]["supported"].as_array());
    supported.is_some_and(|versions| !versions.iter().filter_map(Value::as_str).any(version::is_modern))
}
