//! The seam to whoever makes processes.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

/// Fills a slice with unpredictable bytes.
pub type RandomBytes = Box<dyn FnMut(&mut [u8])>;

/// The answer of a launcher, some time later.
pub type Opening = Pin<Box<dyn Future<Output = Result<ServerPipes, LaunchFailure>>>>;

/// What a server process is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// One legacy session.
    LegacySession,
    /// All modern clients together.
    ModernShared,
}

/// Starts server processes. The future is run to its end even when the client that needed it has left; pipes nobody wants any
/// more are dropped, which ends their process.
pub trait ServerLauncher {
    /// Starts one more server process.
    fn open(&self, purpose: Purpose) -> Opening;

    /// How much time of a processor the server processes have used so far; none where nobody can tell. One that is silent and works
    /// is still starting.
    fn effort(&self) -> Option<Duration> {
        None
    }
}

/// Why there is no server process.
#[derive(Debug, thiserror::Error)]
#[error("could not open a server process: {message}")]
pub struct LaunchFailure {
    /// What a client may be told.
    pub message: String,
}

/// A running server process, as far as the bridge is concerned.
pub struct ServerPipes {
    /// Its standard input, without a buffer of our own.
    pub stdin: Pin<Box<dyn AsyncWrite>>,
    /// Its standard output.
    pub stdout: Pin<Box<dyn AsyncRead>>,
    /// Resolves with a description when the process has exited, such as `exit code 1`. A server's own children may hold its
    /// output open for ever, so the end of the output is not enough. May stay pending when nobody watches.
    pub exited: Pin<Box<dyn Future<Output = String>>>,
    /// Asks for the process to be stopped.
    pub ender: Ender,
}

impl fmt::Debug for ServerPipes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerPipes").finish_non_exhaustive()
    }
}

/// Why the bridge is done with a server process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// Its session was ended by the client.
    SessionDeleted,
    /// Its session was idle and a new one needed the room.
    SessionReclaimed,
    /// Its `initialize` failed, or the client left before it was answered.
    NotInitialized,
    /// It was opened to find out the era and does not speak the modern one.
    NotModern,
    /// It closed its output or exited.
    Exited,
    /// The bridge was closed.
    Closed,
    /// Nobody wanted it any more.
    Abandoned,
}

/// Runs the stop ladder of one server process, at the latest when dropped.
#[must_use = "the server process is stopped as soon as its ender is dropped"]
pub struct Ender(Option<Box<dyn FnOnce(EndReason)>>);

impl Ender {
    /// An ender that calls `stop` exactly once.
    pub fn new(stop: impl FnOnce(EndReason) + 'static) -> Self {
        Self(Some(Box::new(stop)))
    }

    /// Stops the process for this reason.
    pub fn end(mut self, reason: EndReason) {
        if let Some(stop) = self.0.take() {
            stop(reason);
        }
    }
}

impl Drop for Ender {
    fn drop(&mut self) {
        if let Some(stop) = self.0.take() {
            stop(EndReason::Abandoned);
        }
    }
}
