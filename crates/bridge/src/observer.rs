//! What the bridge noticed and nobody asked for.

use roadstead_model::ToolsDiffer;

use crate::config::Era;
use crate::launcher::{EndReason, Purpose};
use crate::usage::Fact;

/// Longest part of an unreadable line that is repeated in a note.
pub(crate) const EXCERPT: usize = 200;

/// Something worth a log line. `server` is the bridge's own number of a server process, 1 for the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// A line of the server's output is not a JSON-RPC message; it was skipped.
    NotAMessage {
        /// Which process.
        server: u64,
        /// Its first characters. May hold whatever the server printed, secrets too.
        excerpt: String,
    },
    /// A line of the server's output was longer than the limit; it was skipped.
    LineTooLong {
        /// Which process.
        server: u64,
        /// How long it was.
        bytes: u64,
    },
    /// A message of the server had nowhere to go or found its queue full.
    MessageDropped {
        /// Which process.
        server: u64,
        /// Its method, or `response`.
        method: String,
    },
    /// A call was not answered in time.
    CallTimedOut {
        /// Which process.
        server: u64,
    },
    /// A message could not be written because the server does not read its input.
    InputStalled {
        /// Which process.
        server: u64,
    },
    /// A server answered a call it was never given, or one it had answered before; the answer was dropped.
    StrayAnswer {
        /// Which process.
        server: u64,
    },
    /// A server answered `initialize` as no server of its era does; the answer was passed on.
    WrongEra {
        /// Which process.
        server: u64,
    },
    /// A client came back to a stream, but some of what it had missed was no longer kept.
    ReplayIncomplete {
        /// Which process.
        server: u64,
    },
    /// A session whose server process had ended goes on with a fresh one.
    SessionRevived {
        /// Which process.
        server: u64,
    },
    /// A server process joined.
    ServerOpened {
        /// Which process.
        server: u64,
        /// What for.
        purpose: Purpose,
    },
    /// A server process is gone for the bridge.
    ServerEnded {
        /// Which process.
        server: u64,
        /// Why.
        reason: EndReason,
        /// What is known about its exit.
        detail: String,
    },
    /// A client's call is over: told once for each that was let in, before its client can have read the answer.
    CallOver(Fact),
    /// Tools are others than the approved ones, and more of them than were told of before: all that are known to differ.
    ToolsDiffer(ToolsDiffer),
    /// The era question has been answered, or what was configured or remembered has proven wrong.
    EraFound {
        /// What the server speaks; never `Auto`.
        era: Era,
    },
}

/// Is told what happens. Called on the bridge's own thread, so it must not block.
pub trait Observer {
    /// Takes one note.
    fn note(&self, note: Note);
}

/// An observer that forgets everything.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Observer for Silent {
    fn note(&self, _note: Note) {}
}
