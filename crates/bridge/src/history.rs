//! What a session has sent as events, kept for clients that lose their connection (2025-11-25, Transports: Resumability and
//! Redelivery). Bounded three ways: events per stream, bytes per session, age. Pure: no waiting, no writing.
//!
//! ```text
//!  id = stream - number      stream 0: the GET stream of the session      1, 2, …: one stream per POST
//! ```
//! Numbers count through the whole session, so an id is unique in it, and a number tells how far the reader of one stream came.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::rc::{Rc, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::config::BridgeConfig;
use crate::message::Id;
use crate::stream::Stream;

/// The GET stream of a session, whichever connection carries it.
pub(crate) const STANDALONE: u64 = 0;
/// Messages up to here are copied: kept as they are, they would hold on to the buffer of many messages they were read into.
const COPIED: usize = 2 * 1024;
/// What keeping an event costs besides its bytes.
const OVERHEAD: usize = 128;

/// Where a reader of a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventId {
    pub(crate) stream: u64,
    pub(crate) number: u64,
}

impl EventId {
    /// Nothing when we never wrote such an id.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (stream, number) = text.split_once('-')?;
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        (digits(stream) && digits(number))
            .then(|| Some(Self { stream: stream.parse().ok()?, number: number.parse().ok()? }))?
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.stream, self.number)
    }
}

/// An event that is sent again.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) id: EventId,
    pub(crate) line: Bytes,
    /// The request of the server that it is.
    pub(crate) asks: Option<Id>,
}

/// What there is for a client that comes back.
pub(crate) struct Missed {
    pub(crate) events: VecDeque<Kept>,
    /// The stream of its calls, while that exists.
    pub(crate) stream: Option<Rc<Stream>>,
    /// Whether some events are no longer kept.
    pub(crate) incomplete: bool,
}

pub(crate) struct History {
    max_events: usize,
    max_bytes: usize,
    max_age: Duration,
    state: RefCell<State>,
    /// Whether somebody will call [`History::sweep`].
    swept: Cell<bool>,
}

#[derive(Default)]
struct State {
    events: BTreeMap<u64, Event>,
    logs: HashMap<u64, Log>,
    bytes: usize,
    last_number: u64,
    last_stream: u64,
}

struct Event {
    stream: u64,
    at: Instant,
    /// Empty for a place to start from that was no message.
    line: Bytes,
    asks: Option<Id>,
}

#[derive(Default)]
struct Log {
    numbers: VecDeque<u64>,
    stream: Weak<Stream>,
    /// The last message of it that is no longer kept.
    lost: u64,
}

impl History {
    pub(crate) fn new(config: &BridgeConfig) -> Rc<Self> {
        Rc::new(Self {
            max_events: config.event_store_events,
            max_bytes: config.event_store_bytes,
            max_age: config.event_store_age,
            state: RefCell::default(),
            swept: Cell::new(false),
        })
    }

    /// Bytes that are kept.
    pub(crate) fn bytes(&self) -> usize {
        self.state.borrow().bytes
    }

    /// Whether a message of this length can be kept at all.
    pub(crate) fn fits(&self, length: usize) -> bool {
        length.saturating_add(OVERHEAD) <= self.max_bytes && self.max_events > 0
    }

    /// A number for the stream of a POST.
    pub(crate) fn begin(&self, stream: &Rc<Stream>) -> u64 {
        let mut state = self.state.borrow_mut();
        state.last_stream += 1;
        let number = state.last_stream;
        state.logs.insert(number, Log { stream: Rc::downgrade(stream), ..Log::default() });
        number
    }

    /// The stream is gone; what it sent stays for its time.
    pub(crate) fn end(&self, stream: u64) {
        let mut state = self.state.borrow_mut();
        if state.logs.get(&stream).is_some_and(|log| log.numbers.is_empty()) {
            state.logs.remove(&stream);
        }
    }

    /// A place in a stream to start from.
    pub(crate) fn mark(&self, stream: u64) -> EventId {
        self.store(stream, &Bytes::new(), None)
    }

    /// Keeps what is or would have been sent, and gives it its id. What cannot be kept gets an id too.
    pub(crate) fn store(&self, stream: u64, line: &Bytes, asks: Option<&Id>) -> EventId {
        let now = Instant::now();
        let mut state = self.state.borrow_mut();
        state.last_number += 1;
        let number = state.last_number;
        let log = state.logs.entry(stream).or_default();
        if !self.fits(line.len()) {
            log.lost = number;
            return EventId { stream, number };
        }
        log.numbers.push_back(number);
        let crowded = log.numbers.len() > self.max_events;
        let line = if line.len() <= COPIED { Bytes::copy_from_slice(line) } else { line.clone() };
        state.bytes += line.len() + OVERHEAD;
        state.events.insert(number, Event { stream, at: now, line, asks: asks.cloned() });
        if crowded {
            state.forget_first_of(stream);
        }
        state.forget_while(|state, _| state.bytes > self.max_bytes);
        state.forget_while(|_, event| now.duration_since(event.at) >= self.max_age);
        EventId { stream, number }
    }

    /// What a stream sent after this, or would have sent; nothing when the stream is not known (any more).
    pub(crate) fn after(&self, id: EventId) -> Option<Missed> {
        let now = Instant::now();
        let mut state = self.state.borrow_mut();
        state.forget_while(|_, event| now.duration_since(event.at) >= self.max_age);
        if id.number > state.last_number {
            return None;
        }
        let log = state.logs.get(&id.stream)?;
        let later = log.numbers.iter().filter(|number| **number > id.number);
        let events = later.filter_map(|number| {
            let event = state.events.get(number).filter(|event| !event.line.is_empty())?;
            let id = EventId { stream: id.stream, number: *number };
            Some(Kept { id, line: event.line.clone(), asks: event.asks.clone() })
        });
        Some(Missed {
            events: events.collect(),
            stream: log.stream.upgrade(),
            incomplete: log.lost > id.number,
        })
    }

    /// When [`History::sweep`] has to be called, unless somebody was told already.
    pub(crate) fn wants_sweep(&self) -> Option<Instant> {
        if self.swept.get() {
            return None;
        }
        let at = self.state.borrow().events.values().next()?.at + self.max_age;
        self.swept.set(true);
        Some(at)
    }

    /// Forgets what is too old.
    pub(crate) fn sweep(&self) {
        self.swept.set(false);
        let now = Instant::now();
        self.state.borrow_mut().forget_while(|_, event| now.duration_since(event.at) >= self.max_age);
    }
}

impl State {
    fn forget_while(&mut self, too_much: impl Fn(&Self, &Event) -> bool) {
        while let Some((_, event)) = self.events.first_key_value()
            && too_much(self, event)
        {
            let stream = event.stream;
            self.forget_first_of(stream);
        }
    }

    fn forget_first_of(&mut self, stream: u64) {
        let Some(log) = self.logs.get_mut(&stream) else { return };
        let Some(number) = log.numbers.pop_front() else { return };
        let over = log.numbers.is_empty() && stream != STANDALONE && log.stream.strong_count() == 0;
        if let Some(event) = self.events.remove(&number) {
            self.bytes -= event.line.len() + OVERHEAD;
            if !event.line.is_empty() {
                log.lost = number;
            }
        }
        if over {
            self.logs.remove(&stream);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Era;
    use crate::observer::Silent;
    use crate::shared::Shared;

    fn history(events: usize, bytes: usize) -> (Rc<History>, Rc<Shared>) {
        let mut config = BridgeConfig::new(Era::Legacy);
        config.event_store_events = events;
        config.event_store_bytes = bytes;
        (History::new(&config), Shared::new(config, Box::new(Silent)))
    }

    fn lines(history: &History, id: EventId) -> Vec<String> {
        let missed = history.after(id).unwrap();
        missed.events.iter().map(|kept| String::from_utf8(kept.line.to_vec()).unwrap()).collect()
    }

    fn store(history: &History, stream: u64, text: &'static str) -> EventId {
        history.store(stream, &Bytes::from_static(text.as_bytes()), None)
    }

    #[test]
    fn ids_come_back_as_they_were_written_and_nothing_else_is_one() {
        let id = EventId { stream: 3, number: 17 };
        assert_eq!(EventId::parse(&id.to_string()), Some(id));
        for text in ["", "3", "-", "3-", "-3", "3-x", "+3-1", "3-1-1", "99999999999999999999-1"] {
            assert_eq!(EventId::parse(text), None, "{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_gets_the_later_events_of_its_own_stream_only() {
        let (history, shared) = history(10, 10_000);
        let stream = Stream::of_calls(&shared, 1, true);
        let one = history.begin(&stream);
        let start = history.mark(one);
        store(&history, STANDALONE, "other");
        let first = store(&history, one, "a");
        store(&history, one, "b");
        assert_eq!(
            (lines(&history, start), lines(&history, first)),
            (vec!["a".into(), "b".into()], vec!["b".into()])
        );
        assert!(history.after(EventId { stream: 9, number: 1 }).is_none());
        assert!(
            history.after(EventId { stream: one, number: 99 }).is_none(),
            "a number that was never given"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_give_way_by_number_and_by_bytes_and_the_reader_can_be_told() {
        let (few, _shared) = history(2, 10_000);
        let first = store(&few, STANDALONE, "a");
        for text in ["b", "c", "d"] {
            store(&few, STANDALONE, text);
        }
        assert_eq!(lines(&few, first), ["c", "d"]);
        assert!(few.after(first).unwrap().incomplete);
        let (small, _shared) = history(10, 2 * (OVERHEAD + 1));
        let last = ["a", "b", "c"].map(|text| store(&small, STANDALONE, text))[1];
        assert_eq!((small.bytes(), lines(&small, last)), (2 * (OVERHEAD + 1), vec!["c".into()]));
        assert!(!small.after(last).unwrap().incomplete);
        small.store(STANDALONE, &Bytes::from(vec![b'x'; 1000]), None);
        assert_eq!(lines(&small, last), ["c"], "too large to be kept, and nothing had to give way");
        assert!(small.after(last).unwrap().incomplete);
    }

    #[tokio::test(start_paused = true)]
    async fn old_events_go_and_leave_nothing() {
        let (history, shared) = history(10, 10_000);
        let stream = Stream::of_calls(&shared, 1, true);
        let one = history.begin(&stream);
        let id = store(&history, one, "a");
        let at = history.wants_sweep().unwrap();
        assert_eq!(history.wants_sweep(), None, "one sweep is enough");
        tokio::time::advance(at - Instant::now()).await;
        history.sweep();
        assert_eq!(history.bytes(), 0);
        assert!(history.after(id).is_some(), "its stream still exists");
        drop(stream);
        history.end(one);
        assert!(history.after(id).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_message_is_kept_without_a_copy() {
        let (history, _shared) = history(10, 100_000);
        let line = Bytes::from(vec![b'x'; 50_000]);
        let start = history.mark(STANDALONE);
        history.store(STANDALONE, &line, None);
        assert_eq!(history.after(start).unwrap().events[0].line.as_ptr(), line.as_ptr());
    }
}
