//! What one server process is busy with. Pure: no waiting, no writing.

use std::collections::{HashMap, VecDeque};
use std::rc::{Rc, Weak};

use std::time::Duration;

use tokio::time::Instant;

use crate::message::Id;
use crate::requests::Counted;
use crate::shared::Work;
use crate::stream::{Item, Stream};
use crate::usage::{CallOutcome, Tally};

/// Calls that were given up and that are still remembered, so that their late answers are told from stray ones.
const GIVEN_UP: usize = 256;
/// Ids longer than this are not remembered then.
const LONGEST_REMEMBERED: usize = 256;

/// A request of a client that the server has not answered.
pub(crate) struct Call {
    pub(crate) stream: Rc<Stream>,
    /// The id as the client wrote it.
    pub(crate) raw: Box<str>,
    pub(crate) kind: CallKind,
    pub(crate) token: Option<Token>,
    /// Whether the client wants log messages with this call.
    pub(crate) logs: bool,
    /// When it is given up; never for what is meant to last.
    pub(crate) deadline: Option<Instant>,
    /// That a client uses the server, where the request means that.
    #[expect(dead_code, reason = "held until the call is over")]
    pub(crate) counted: Option<Counted>,
    /// What will be told of it; nothing of a call that no client made.
    pub(crate) tally: Option<Tally>,
}

impl Call {
    /// It ended like this, with an answer of this length.
    pub(crate) fn ended(&mut self, outcome: CallOutcome, answer_bytes: usize) {
        if let Some(tally) = &mut self.tally {
            tally.ended(outcome, answer_bytes);
        }
    }
}

/// What makes some calls different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CallKind {
    /// Fixes the revision of the session and must not be cancelled.
    Initialize,
    /// Lasts, and its messages are known by the id of the subscription.
    Listen,
    /// Waits for this task, and carries what belongs to it.
    TaskResult(Id),
    /// Asks for the tools, from the first one on or from a later page; the answer is read in passing.
    ToolList {
        first: bool,
    },
    Other,
}

/// Where progress of a call is known by.
#[derive(Debug)]
pub(crate) enum Token {
    /// The client's own token, passed on.
    Kept(Id),
    /// The client's own token as it wrote it; the server was given the id of the call instead.
    Renamed(Box<str>),
}

/// A call in the table.
struct Entry {
    order: u64,
    began: Instant,
    call: Call,
    /// What a drain waits for when the stream does not say it.
    _work: Option<Work>,
}

/// A call that ran out of time.
pub(crate) struct Overdue {
    pub(crate) id: Id,
    pub(crate) call: Call,
    pub(crate) after: Duration,
}

#[derive(Default)]
pub(crate) struct Table {
    calls: HashMap<Id, Entry>,
    tokens: HashMap<Id, Id>,
    /// Requests of the server that its client has not answered, with the stream they went to.
    asked: HashMap<Id, Weak<Stream>>,
    /// Messages for which no stream is open.
    waiting: VecDeque<Item>,
    waiting_bytes: usize,
    /// The GET stream of the session.
    pub(crate) listener: Option<Rc<Stream>>,
    given_up: VecDeque<Id>,
    order: u64,
}

impl Table {
    pub(crate) fn len(&self) -> usize {
        self.calls.len()
    }

    pub(crate) fn tracked(&self) -> usize {
        self.calls.len() + self.tokens.len() + self.asked.len() + self.waiting.len()
    }

    pub(crate) fn has(&self, id: &Id) -> bool {
        self.calls.contains_key(id)
    }

    pub(crate) fn call(&self, id: &Id) -> Option<&Call> {
        self.calls.get(id).map(|entry| &entry.call)
    }

    pub(crate) fn insert(&mut self, id: Id, call: Call, work: Option<Work>) {
        if let Some(Token::Kept(token)) = &call.token {
            self.tokens.insert(token.clone(), id.clone());
        }
        self.order += 1;
        self.calls.insert(id, Entry { order: self.order, began: Instant::now(), call, _work: work });
    }

    pub(crate) fn remove(&mut self, id: &Id) -> Option<Call> {
        Some(self.take(id)?.call)
    }

    fn take(&mut self, id: &Id) -> Option<Entry> {
        let entry = self.calls.remove(id)?;
        if let Some(Token::Kept(token)) = &entry.call.token
            && self.tokens.get(token) == Some(id)
        {
            self.tokens.remove(token);
        }
        Some(entry)
    }

    /// Removes a call whose answer may still come.
    pub(crate) fn give_up(&mut self, id: &Id) -> Option<Call> {
        let call = self.remove(id)?;
        if id.length() <= LONGEST_REMEMBERED {
            if self.given_up.len() == GIVEN_UP {
                self.given_up.pop_front();
            }
            self.given_up.push_back(id.clone());
        }
        Some(call)
    }

    /// Whether this is the late answer of a call that was given up; known once.
    pub(crate) fn was_given_up(&mut self, id: &Id) -> bool {
        let at = self.given_up.iter().position(|given_up| given_up == id);
        at.and_then(|at| self.given_up.remove(at)).is_some()
    }

    /// Gives a call that goes on more time, but not more than `most` in all.
    pub(crate) fn extend(&mut self, id: &Id, time: Duration, most: Duration) {
        let Some(entry) = self.calls.get_mut(id) else { return };
        if let Some(deadline) = &mut entry.call.deadline {
            *deadline = (*deadline).max((Instant::now() + time).min(entry.began + most));
        }
    }

    /// The call that owns this progress token.
    pub(crate) fn owner_of(&self, token: &Id) -> Option<&Id> {
        self.tokens.get(token)
    }

    /// The oldest call that waits for this task.
    pub(crate) fn waits_for(&self, task: &Id) -> Option<&Id> {
        let waiting = self
            .calls
            .iter()
            .filter(|(_, entry)| matches!(&entry.call.kind, CallKind::TaskResult(of) if of == task));
        waiting.min_by_key(|(_, entry)| entry.order).map(|(id, _)| id)
    }

    /// Removes the calls of this stream whose time is over.
    pub(crate) fn take_overdue(&mut self, stream: &Rc<Stream>) -> Vec<Overdue> {
        let now = Instant::now();
        let mut ids = self.calls_of(stream);
        ids.retain(|id| self.call(id).and_then(|call| call.deadline).is_some_and(|deadline| deadline <= now));
        let taken = ids.into_iter().filter_map(|id| {
            let began = self.calls.get(&id)?.began;
            let call = self.give_up(&id)?;
            Some(Overdue { id, call, after: now.duration_since(began) })
        });
        taken.collect()
    }

    /// When the time of the next call of this stream is over.
    pub(crate) fn next_deadline(&self, stream: &Rc<Stream>) -> Option<Instant> {
        let of_it = self.calls.values().filter(|entry| Rc::ptr_eq(&entry.call.stream, stream));
        of_it.filter_map(|entry| entry.call.deadline).min()
    }

    pub(crate) fn drain(&mut self) -> Vec<Call> {
        self.tokens.clear();
        let mut entries: Vec<_> = self.calls.drain().map(|(_, entry)| entry).collect();
        entries.sort_unstable_by_key(|entry| entry.order);
        entries.into_iter().map(|entry| entry.call).collect()
    }

    /// The ids of the calls that end in this stream, oldest first.
    pub(crate) fn calls_of(&self, stream: &Rc<Stream>) -> Vec<Id> {
        let of_it = self.calls.iter().filter(|(_, entry)| Rc::ptr_eq(&entry.call.stream, stream));
        let mut ids: Vec<_> = of_it.map(|(id, entry)| (entry.order, id.clone())).collect();
        ids.sort_unstable_by_key(|(order, _)| *order);
        ids.into_iter().map(|(_, id)| id).collect()
    }

    pub(crate) fn listens(&self) -> Vec<Id> {
        let of_it = self.calls.iter().filter(|(_, entry)| entry.call.kind == CallKind::Listen);
        of_it.map(|(id, _)| id.clone()).collect()
    }

    /// The oldest call that fits and whose client still listens.
    pub(crate) fn oldest_live(&self, fits: impl Fn(&Call) -> bool) -> Option<Rc<Stream>> {
        self.oldest(|call| call.stream.is_live() && fits(call))
    }

    /// The oldest call that fits.
    pub(crate) fn oldest(&self, fits: impl Fn(&Call) -> bool) -> Option<Rc<Stream>> {
        let fitting = self.calls.values().filter(|entry| fits(&entry.call));
        fitting.min_by_key(|entry| entry.order).map(|entry| Rc::clone(&entry.call.stream))
    }

    /// Whether any stream of the session has a client.
    pub(crate) fn is_attended(&self) -> bool {
        self.listener.as_ref().is_some_and(|listener| listener.is_live())
            || self.calls.values().any(|entry| entry.call.stream.is_live())
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.len()
    }

    /// Remembers a request of the server and where it went, which is nowhere yet while it waits.
    pub(crate) fn ask(&mut self, id: Id, stream: Option<&Rc<Stream>>) {
        self.asked.insert(id, stream.map_or_else(Weak::new, Rc::downgrade));
    }

    /// Forgets a request of the server; where it went, when it was known at all.
    pub(crate) fn answered(&mut self, id: &Id) -> Option<Weak<Stream>> {
        self.asked.remove(id)
    }

    /// Whether the server still waits for an answer to this.
    pub(crate) fn is_asked(&self, id: &Id) -> bool {
        self.asked.contains_key(id)
    }

    /// The requests of the server that this stream took.
    pub(crate) fn asked_on(&self, stream: &Rc<Stream>) -> Vec<Id> {
        let stream = Rc::downgrade(stream);
        self.asked.iter().filter(|(_, on)| on.ptr_eq(&stream)).map(|(id, _)| id.clone()).collect()
    }

    pub(crate) fn forget_asked(&mut self) {
        self.asked.clear();
    }

    pub(crate) fn wait(&mut self, item: Item, max_messages: usize, max_bytes: usize) -> Result<(), Item> {
        if self.waiting.len() >= max_messages || self.waiting_bytes + item.line().len() > max_bytes {
            return Err(item);
        }
        self.waiting_bytes += item.line().len();
        self.waiting.push_back(item);
        Ok(())
    }

    pub(crate) fn take_waiting(&mut self) -> VecDeque<Item> {
        self.waiting_bytes = 0;
        std::mem::take(&mut self.waiting)
    }

    /// Takes the requests of the server out of what waits.
    pub(crate) fn take_waiting_requests(&mut self) -> VecDeque<Item> {
        let is_request = |item: &Item| matches!(item, Item::Message { asks: Some(_), .. });
        let (requests, rest) = self.take_waiting().into_iter().partition(is_request);
        self.waiting = rest;
        self.waiting_bytes = self.waiting.iter().map(|item| item.line().len()).sum();
        requests
    }

    /// Takes back a request of the server that no client has taken; whether it was still there.
    pub(crate) fn withdraw_everywhere(&mut self, request: &Id) -> bool {
        let on = self.asked.get(request).and_then(Weak::upgrade);
        on.is_some_and(|stream| stream.withdraw(request)) || self.withdraw(request)
    }

    /// Takes back a waiting request of the server; whether it was still there.
    pub(crate) fn withdraw(&mut self, request: &Id) -> bool {
        let is_it = |item: &Item| matches!(item, Item::Message { asks: Some(id), .. } if id == request);
        let Some(at) = self.waiting.iter().position(is_it) else { return false };
        if let Some(item) = self.waiting.remove(at) {
            self.waiting_bytes -= item.line().len();
        }
        true
    }
}
