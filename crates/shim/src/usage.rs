//! What calls cost: numbered, on disk before the answer goes out, kept until roadstead has stored it.
//!
//! ```text
//!            on disk, in memory                    handed over            forgotten
//!  call over ──────────────────► fresh ── ~1 s ──► sent, as it is ──────► confirmed
//!                                  │
//!                                  └─ nobody takes them: sums by tool, outcome and minute, then by outcome and day
//! ```
//! A fact that was handed over may be stored already, so it never becomes part of a sum: nothing is counted twice.

mod fold;
mod spool;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use roadstead_bridge::{CallOutcome, Called, Fact, Parent, Request};
use roadstead_control::UsageFact;
use roadstead_model::{Clock, SessionEra, UsageMethod, UsageStatus};
use tokio::sync::Notify;
use tokio::time::Instant;

use spool::Spool;

/// Bytes of facts that wait for roadstead and were never handed over; beyond, they are folded into sums.
const MAX_FRESH_BYTES: usize = 2 * 1024 * 1024;
/// Bytes of facts in one message; one fact may exceed it alone.
const MAX_BATCH_BYTES: usize = 64 * 1024;
/// How long a fact waits for others, so that calls one by one are not messages one by one.
const LINGER: Duration = Duration::from_secs(1);
/// What each fact costs besides its texts.
const FACT_BYTES: usize = size_of::<UsageFact>();

pub(crate) struct Usage {
    clock: Rc<dyn Clock>,
    inner: RefCell<Inner>,
    more: Notify,
}

struct Inner {
    last_seq: u64,
    /// Up to this number, facts have been handed over at least once.
    sent: u64,
    /// In the order of their numbers.
    waiting: VecDeque<UsageFact>,
    /// Bytes of those that were never handed over.
    fresh_bytes: usize,
    /// When the oldest of those is to be handed over.
    due: Option<Instant>,
    limit: usize,
    spool: Spool,
}

/// When facts are to be handed over.
enum When {
    Now,
    At(Instant),
    Never,
}

impl Usage {
    /// Facts lie in the file `spool` until they are confirmed.
    pub(crate) fn new(clock: Rc<dyn Clock>, spool: PathBuf) -> Rc<Self> {
        Self::with_limit(clock, spool, MAX_FRESH_BYTES)
    }

    fn with_limit(clock: Rc<dyn Clock>, spool: PathBuf, limit: usize) -> Rc<Self> {
        let inner = Inner {
            last_seq: 0,
            sent: 0,
            waiting: VecDeque::new(),
            fresh_bytes: 0,
            due: None,
            limit,
            spool: Spool::new(spool),
        };
        Rc::new(Self { clock, inner: RefCell::new(inner), more: Notify::new() })
    }

    /// A call is over. What is known of it is in the hands of the kernel when this returns.
    pub(crate) fn record(&self, fact: Fact) {
        let at = self.clock.now();
        let mut inner = self.inner.borrow_mut();
        inner.last_seq += 1;
        let fact = numbered(fact, inner.last_seq, at);
        let was_full = inner.fresh_bytes >= MAX_BATCH_BYTES;
        inner.add(fact);
        let first = inner.due.is_none();
        if first {
            inner.due = Some(Instant::now() + LINGER);
        }
        let full = !was_full && inner.fresh_bytes >= MAX_BATCH_BYTES;
        drop(inner);
        // Whoever lingers needs no word for each fact.
        if first || full {
            self.more.notify_waiters();
        }
    }

    /// Resolves when facts after `seq` are to be handed over.
    pub(crate) async fn due_after(&self, seq: u64) {
        loop {
            let more = self.more.notified();
            let when = self.inner.borrow().when(seq);
            match when {
                When::Now => return,
                When::Never => more.await,
                When::At(at) => tokio::select! {
                    () = tokio::time::sleep_until(at) => return,
                    () = more => {}
                },
            }
        }
    }

    /// The waiting facts after `seq`, as many as one message takes. From now on they stay as they are.
    pub(crate) fn batch_after(&self, seq: u64) -> Vec<UsageFact> {
        let mut inner = self.inner.borrow_mut();
        let mut bytes = 0;
        let fits = |fact: &&UsageFact| {
            let first = bytes == 0;
            bytes += size_of_fact(fact);
            first || bytes <= MAX_BATCH_BYTES
        };
        let batch: Vec<UsageFact> =
            inner.waiting.iter().skip_while(|fact| fact.seq <= seq).take_while(fits).cloned().collect();
        inner.hand_over(&batch);
        batch
    }

    /// Facts up to `seq` are stored elsewhere.
    pub(crate) fn confirmed(&self, seq: u64) {
        self.inner.borrow_mut().confirmed(seq);
    }

    /// The first fact that is not stored elsewhere, if there is one.
    pub(crate) fn first_waiting(&self) -> Option<u64> {
        self.inner.borrow().waiting.front().map(|fact| fact.seq)
    }

    pub(crate) fn last_waiting(&self) -> Option<u64> {
        self.inner.borrow().waiting.back().map(|fact| fact.seq)
    }

    /// Makes sure that what nobody confirmed is on disk, and that nothing else is.
    pub(crate) fn close(&self) -> std::io::Result<()> {
        let inner = &mut *self.inner.borrow_mut();
        inner.spool.replace(&inner.waiting)
    }
}

impl Inner {
    fn add(&mut self, fact: UsageFact) {
        // What a full disk did not take is written with the next file, at the end if not before.
        let _ = self.spool.append(&fact);
        self.fresh_bytes += size_of_fact(&fact);
        self.waiting.push_back(fact);
        if self.fresh_bytes > self.limit {
            self.fold();
        } else if self.spool.is_long() {
            let _ = self.spool.replace(&self.waiting);
        }
    }

    /// Makes sums of what was never handed over, so that at least half of the room is free again.
    fn fold(&mut self) {
        let kept = self.waiting.partition_point(|fact| fact.seq <= self.sent);
        let fresh = self.waiting.split_off(kept);
        let mut sums = fold::by_minute(fresh);
        if bytes_of(&sums) > self.limit / 2 {
            sums = fold::by_day(sums);
        }
        self.fresh_bytes = bytes_of(&sums);
        self.waiting.extend(sums);
        let _ = self.spool.replace(&self.waiting);
    }

    fn when(&self, seq: u64) -> When {
        match self.waiting.back() {
            Some(last) if last.seq > seq => {}
            _ => return When::Never,
        }
        let next = self.waiting.partition_point(|fact| fact.seq <= seq);
        let again = self.waiting.get(next).is_some_and(|fact| fact.seq <= self.sent);
        match self.due {
            Some(at) if !again && self.fresh_bytes < MAX_BATCH_BYTES => When::At(at),
            _ => When::Now,
        }
    }

    fn hand_over(&mut self, batch: &[UsageFact]) {
        let fresh = batch.iter().filter(|fact| fact.seq > self.sent);
        self.fresh_bytes -= fresh.map(size_of_fact).sum::<usize>();
        if let Some(last) = batch.last() {
            self.sent = self.sent.max(last.seq);
        }
        if self.fresh_bytes == 0 {
            self.due = None;
        }
    }

    fn confirmed(&mut self, seq: u64) {
        // Nobody can have stored what nobody was given.
        let seq = seq.min(self.sent);
        let gone = self.waiting.partition_point(|fact| fact.seq <= seq);
        self.waiting.drain(..gone);
        if self.waiting.is_empty() {
            // An idle shim keeps no room for what it once had to keep.
            self.waiting = VecDeque::new();
            self.spool.clear();
        }
    }
}

fn numbered(fact: Fact, seq: u64, at: time::OffsetDateTime) -> UsageFact {
    UsageFact {
        seq,
        at,
        method: match fact.method {
            Called::Tool => UsageMethod::CallTool,
            Called::Resource => UsageMethod::ReadResource,
            Called::Prompt => UsageMethod::GetPrompt,
        },
        name: Some(fact.name.into()),
        request_id: fact.request.map(|request| match request {
            Request::Number(number) => number.to_string(),
            Request::Other(text) => text.into(),
        }),
        parent_request_id: fact.parent.map(|Parent { trace, span }| format!("{trace:032x}-{span:016x}")),
        era: if fact.modern { SessionEra::Modern } else { SessionEra::Legacy },
        status: match fact.outcome {
            CallOutcome::Success => UsageStatus::Success,
            CallOutcome::Error => UsageStatus::Error,
            CallOutcome::Timeout => UsageStatus::Timeout,
            CallOutcome::Cancelled => UsageStatus::Cancelled,
        },
        calls: 1,
        latency_us: u64::try_from(fact.latency.as_micros()).unwrap_or(u64::MAX),
        request_bytes: fact.request_bytes as u64,
        answer_bytes: fact.answer_bytes as u64,
    }
}

fn size_of_fact(fact: &UsageFact) -> usize {
    let texts = [&fact.name, &fact.request_id, &fact.parent_request_id];
    FACT_BYTES + texts.into_iter().flatten().map(String::len).sum::<usize>()
}

fn bytes_of(facts: &[UsageFact]) -> usize {
    facts.iter().map(size_of_fact).sum()
}

#[cfg(test)]
mod tests;
