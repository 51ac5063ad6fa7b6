//! What every part of one bridge shares: settings, observer, counters.

use std::cell::Cell;
use std::rc::Rc;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::config::BridgeConfig;
use crate::gate::Gate;
use crate::observer::{Note, Observer};
use crate::requests::Requests;

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
    /// Answers of servers to calls they were never given, or had answered before.
    pub stray_answers: u64,
    /// Answers of servers that came after their call was cancelled or had run out of time, as the protocol expects.
    pub late_answers: u64,
    /// Answers to `initialize` that no server of this era gives.
    pub wrong_era_answers: u64,
    /// Messages that found no room in the input of a server that does not read.
    pub stalled_inputs: u64,
    /// Clients that came back to a stream.
    pub resumed_streams: u64,
    /// Clients that came back too late to get all they had missed.
    pub incomplete_replays: u64,
}

/// A limited number of places.
pub(crate) struct Places {
    taken: Rc<Cell<usize>>,
    max: usize,
}

/// One of them.
#[must_use = "the place is free again as soon as it is dropped"]
pub(crate) struct Place(Rc<Cell<usize>>);

impl Places {
    fn new(max: usize) -> Self {
        Self { taken: Rc::default(), max }
    }

    /// One more, when there is one.
    pub(crate) fn take(&self) -> Option<Place> {
        if self.taken.get() >= self.max {
            return None;
        }
        self.taken.set(self.taken.get() + 1);
        Some(Place(Rc::clone(&self.taken)))
    }

    pub(crate) fn taken(&self) -> usize {
        self.taken.get()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// A call that is counted as long as this lives.
pub(crate) struct Work(Rc<Shared>);

impl Drop for Work {
    fn drop(&mut self) {
        self.0.call_over();
    }
}

pub(crate) struct Shared {
    pub(crate) config: BridgeConfig,
    observer: Box<dyn Observer>,
    counters: Cell<Counters>,
    in_flight: Cell<usize>,
    idle: Notify,
    last_activity: Cell<Instant>,
    /// What clients ask.
    pub(crate) requests: Rc<Requests>,
    /// Exchanges that are open: waiting answers and event streams.
    pub(crate) streams: Places,
    /// Subscriptions of modern clients.
    pub(crate) listens: Places,
    /// What was decided of tools.
    pub(crate) gate: Gate,
}

impl Shared {
    pub(crate) fn new(config: BridgeConfig, observer: Box<dyn Observer>) -> Rc<Self> {
        Rc::new(Self {
            streams: Places::new(config.max_streams),
            listens: Places::new(config.max_listens),
            gate: Gate::new(config.tools.clone()),
            config,
            observer,
            counters: Cell::default(),
            in_flight: Cell::new(0),
            idle: Notify::new(),
            last_activity: Cell::new(Instant::now()),
            requests: Rc::default(),
        })
    }

    /// Tells the observer, and counts what has a counter.
    pub(crate) fn note(&self, note: Note) {
        self.count(|counters| match note {
            Note::NotAMessage { .. } => counters.skipped_lines += 1,
            Note::LineTooLong { .. } => counters.oversized_lines += 1,
            Note::MessageDropped { .. } => counters.dropped_messages += 1,
            Note::CallTimedOut { .. } => counters.timed_out_calls += 1,
            Note::StrayAnswer { .. } => counters.stray_answers += 1,
            Note::WrongEra { .. } => counters.wrong_era_answers += 1,
            Note::InputStalled { .. } => counters.stalled_inputs += 1,
            Note::ReplayIncomplete { .. } => counters.incomplete_replays += 1,
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

    /// Something a drain waits for, until it is dropped.
    pub(crate) fn work(self: &Rc<Self>) -> Work {
        self.call_began();
        Work(Rc::clone(self))
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
