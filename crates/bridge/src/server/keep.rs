//! What is remembered of a session beyond its calls: events for clients that come back, the way its client began, requests of
//! the server whose stream broke.

use std::collections::VecDeque;
use std::rc::Rc;

use bytes::Bytes;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::Server;
use super::chores::Chore;
use crate::history::{EventId, History, Kept, Missed, STANDALONE};
use crate::launcher::EndReason;
use crate::message::Id;
use crate::observer::Note;
use crate::stream::{Item, Stream, Turn};

/// The messages a client began with, as lines for a server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hello {
    /// Its id and the `initialize` itself.
    pub(crate) initialize: Option<(Id, Bytes)>,
    /// Its `notifications/initialized`.
    pub(crate) initialized: Option<Bytes>,
}

/// What a client that names an event gets.
pub(crate) enum Resumed {
    /// The GET stream of the session, with what it missed there.
    Standalone(VecDeque<Kept>),
    /// The rest of the stream of a POST, and its connection when calls still run.
    OfCalls { events: VecDeque<Kept>, running: Option<(Rc<Stream>, Turn)> },
    /// The stream of a POST that has nothing more to say.
    Over,
    /// The stream of a POST of which nothing is kept.
    Unknown,
}

impl Server {
    pub(crate) fn history(&self) -> Rc<History> {
        Rc::clone(&self.history.borrow())
    }

    /// Makes the client of this POST able to come back; the number of its stream.
    pub(crate) fn keep(&self, stream: &Rc<Stream>) -> u64 {
        let history = self.history();
        let number = history.begin(stream);
        stream.keep_in(&history, number);
        number
    }

    /// Keeps what is being sent.
    pub(crate) fn record(&self, stream: u64, item: &Item) -> EventId {
        let asks = match item {
            Item::Message { asks, .. } => asks.as_ref(),
            Item::Response { .. } => None,
        };
        let id = self.history.borrow().store(stream, item.line(), asks);
        self.sweep_later();
        id
    }

    /// A place to come back to before anything was sent.
    pub(crate) fn mark(&self, stream: u64) -> EventId {
        let id = self.history.borrow().mark(stream);
        self.sweep_later();
        id
    }

    pub(super) fn sweep_later(&self) {
        if let Some(at) = self.history.borrow().wants_sweep() {
            self.chores.add(at, Chore::Sweep);
        }
    }

    /// What a client gets that has seen this event. An id we never wrote, or one of the GET stream, means the GET stream.
    pub(crate) fn resume(self: &Rc<Self>, last: &str) -> Resumed {
        self.touch();
        let Some(id) = EventId::parse(last) else { return Resumed::Standalone(VecDeque::new()) };
        let found = self.history().after(id);
        if id.stream == STANDALONE {
            return Resumed::Standalone(found.map_or_else(VecDeque::new, |missed| self.still_wanted(missed)));
        }
        let Some(missed) = found else { return Resumed::Unknown };
        let stream = missed.stream.clone().filter(|stream| stream.is_open() || !stream.is_empty());
        let events = self.still_wanted(missed);
        let Some(stream) = stream else {
            return if events.is_empty() {
                Resumed::Over
            } else {
                Resumed::OfCalls { events, running: None }
            };
        };
        let turn = stream.attach();
        // Requests of the server that found nobody can be asked again now.
        let waiting = self.table.borrow_mut().take_waiting_requests();
        self.reroute(waiting);
        Resumed::OfCalls { events, running: Some((stream, turn)) }
    }

    /// Without the requests of the server that have been answered or taken back.
    fn still_wanted(&self, missed: Missed) -> VecDeque<Kept> {
        self.shared.count(|counters| counters.resumed_streams += 1);
        if missed.incomplete {
            self.shared.note(Note::ReplayIncomplete { server: self.number });
        }
        let table = self.table.borrow();
        let mut events = missed.events;
        events.retain(|kept| kept.asks.as_ref().is_none_or(|id| table.is_asked(id)));
        events
    }

    /// A stream broke off that had taken requests of the server. The client may have read them and be busy with the answer, so they
    /// are not asked again elsewhere; but if nobody is there for long, the server is told.
    pub(super) fn forsake_later(&self, stream: &Rc<Stream>) {
        let asked = self.table.borrow().asked_on(stream);
        for id in asked {
            self.chores.forsake(Instant::now() + self.shared.config.event_store_age, id);
        }
    }

    pub(super) fn forsake(&self, id: Id) {
        let (asked, attended) = {
            let table = self.table.borrow();
            (table.is_asked(&id), table.is_attended())
        };
        match (asked, attended) {
            (false, _) => {}
            (true, true) => self.chores.forsake(Instant::now() + self.shared.config.event_store_age, id),
            (true, false) => self.refuse(&id, "the client that took this request did not come back"),
        }
    }

    /// Makes this the one stream of the session, for answers and everything else.
    pub(crate) fn open_channel(&self, stream: &Rc<Stream>) {
        *self.channel.borrow_mut() = Some(Rc::downgrade(stream));
        self.listen(stream);
    }

    /// Whether its session came as HTTP with SSE.
    pub(crate) fn has_channel(&self) -> bool {
        self.channel.borrow().is_some()
    }

    /// The one stream of such a session, while it is open.
    pub(crate) fn channel(&self) -> Option<Rc<Stream>> {
        self.channel.borrow().as_ref()?.upgrade()
    }

    /// Looks after the time of calls that have no exchange of their own.
    pub(crate) fn watch(&self, stream: &Rc<Stream>, deadline: Instant) {
        self.chores.expire(deadline, stream);
    }

    /// Whether what its client begins with has to be remembered.
    pub(crate) fn may_need_hello(&self) -> bool {
        self.shared.config.replay_initialize && !self.is_modern()
    }

    pub(crate) fn remember_initialize(&self, id: Id, line: Bytes) {
        self.hello.borrow_mut().initialize = Some((id, line));
    }

    pub(crate) fn remember_initialized(&self, line: Bytes) {
        self.hello.borrow_mut().initialized = Some(line);
    }

    /// Whether its session can go on with another process.
    pub(crate) fn may_be_replaced(&self) -> bool {
        self.shared.config.replay_initialize
            && self.ended_as.get() == Some(EndReason::Exited)
            && self.version.borrow().is_some()
            && !self.has_channel()
            && self.hello.borrow().initialize.is_some()
    }

    /// The right to put another process in its place, one at a time.
    pub(crate) fn successor(&self) -> Rc<Mutex<()>> {
        Rc::clone(&self.successor)
    }

    /// Goes on with the session of a process that has ended; how its client began.
    pub(crate) fn inherit(&self, old: &Self) -> Hello {
        *self.history.borrow_mut() = old.history();
        self.hello.borrow_mut().clone_from(&old.hello.borrow());
        self.hello.borrow().clone()
    }
}
