//! What every part of one bridge shares: settings, observer, counters.

use std::cell::Cell;
use std::rc::Rc;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::config::BridgeConfig;
use crate::observer::{Note, Observer};

/// Numbers since the bridge was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests of clients that reached a server.
    pub calls: u64,
    /// Lines that were no message.
    pub skipped_lines: u64,
    /// Lines over the length limit.
    pub oversized_lines: u64,
    /// Messages of servers that reached nobody.
    pub dropped_messages: u64,
    /// Calls that ran out of time.
    pub timed_out_calls: u64,
}

pub(crate) struct Shared {
    pub(crate) config: BridgeConfig,
    observer: Box<dyn Observer>,
    counters: Cell<Counters>,
    in_flight: Cell<usize>,
    idle: Notify,
    last_activity: Cell<Instant>,
}

impl Shared {
    pub(crate) fn new(config: BridgeConfig, observer: Box<dyn Observer>) -> Rc<Self> {
        Rc::new(Self {
            config,
            observer,
            counters: Cell::default(),
            in_flight: Cell::new(0),
            idle: Notify::new(),
            last_activity: Cell::new(Instant::now()),
        })
    }

    /// Tells the observer, and counts what has a counter.
    pub(crate) fn note(&self, note: Note) {
        self.count(|counters| match note {
            Note::NotAMessage { .. } => counters.skipped_lines += 1,
            Note::LineTooLong { .. } => counters.oversized_lines += 1,
            Note::MessageDropped { .. } => counters.dropped_messages += 1,
            Note::CallTimedOut { .. } => counters.timed_out_calls += 1,
            _ => {}
        });
        self.observer.note(note);
    }

    pub(crate) fn count(&self, change: impl FnOnce(&mut Counters)) {
        let mut counters = self.counters.get();
        change(&mut counters);
        self.counters.set(counters);
    }

    pub(crate) fn counters(&self) -> Counters {
        self.counters.get()
    }

    pub(crate) fn touch(&self) {
        self.last_activity.set(Instant::now());
    }

    pub(crate) fn last_activity(&self) -> Instant {
        self.last_activity.get()
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.get()
    }

    pub(crate) fn call_began(&self) {
        self.in_flight.set(self.in_flight.get() + 1);
    }

    pub(crate) fn call_over(&self) {
        self.in_flight.set(self.in_flight.get() - 1);
        if self.in_flight.get() == 0 {
            self.idle.notify_waiters();
        }
    }

    /// Resolves when nothing is in flight.
    pub(crate) async fn until_idle(&self) {
        loop {
            let idle = self.idle.notified();
            if self.in_flight.get() == 0 {
                return;
            }
            idle.await;
        }
    }
}
