//! What one server process is busy with. Pure: no waiting, no writing.

use std::collections::{HashMap, VecDeque};
use std::rc::{Rc, Weak};

use tokio::time::Instant;

use crate::message::Id;
use crate::stream::{Item, Stream};

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
}

/// What makes some calls different.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CallKind {
    /// Fixes the revision of the session and must not be cancelled.
    Initialize,
    /// Lasts, and its messages are known by the id of the subscription.
    Listen,
    /// Waits for this task, and carries what belongs to it.
    TaskResult(Id),
    /// Asks for the tools of a modern server, from the first one on or from a later page; the answer is read in passing.
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

#[derive(Default)]
pub(crate) struct Table {
    calls: HashMap<Id, (u64, Call)>,
    tokens: HashMap<Id, Id>,
    /// Requests of the server that its client has not answered, with the stream they went to.
    asked: HashMap<Id, Weak<Stream>>,
    /// Messages for which no stream is open.
    waiting: VecDeque<Item>,
    waiting_bytes: usize,
    /// The GET stream of the session.
    pub(crate) listener: Option<Rc<Stream>>,
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
        self.calls.get(id).map(|(_, call)| call)
    }

    pub(crate) fn insert(&mut self, id: Id, call: Call) {
        if let Some(Token::Kept(token)) = &call.token {
            self.tokens.insert(token.clone(), id.clone());
        }
        self.order += 1;
        self.calls.insert(id, (self.order, call));
    }

    pub(crate) fn remove(&mut self, id: &Id) -> Option<Call> {
        let (_, call) = self.calls.remove(id)?;
        if let Some(Token::Kept(token)) = &call.token
            && self.tokens.get(token) == Some(id)
        {
            self.tokens.remove(token);
        }
        Some(call)
    }

    pub(crate) fn drain(&mut self) -> Vec<Call> {
        self.tokens.clear();
        let mut calls: Vec<_> = self.calls.drain().map(|(_, call)| call).collect();
        calls.sort_unstable_by_key(|(order, _)| *order);
        calls.into_iter().map(|(_, call)| call).collect()
    }

    /// The ids of the calls that end in this stream.
    pub(crate) fn calls_of(&self, stream: &Rc<Stream>) -> Vec<Id> {
        let of_it = self.calls.iter().filter(|(_, (_, call))| Rc::ptr_eq(&call.stream, stream));
        of_it.map(|(id, _)| id.clone()).collect()
    }

    pub(crate) fn listens(&self) -> Vec<Id> {
        let of_it = self.calls.iter().filter(|(_, (_, call))| call.kind == CallKind::Listen);
        of_it.map(|(id, _)| id.clone()).collect()
    }

    /// The call this progress token belongs to.
    pub(crate) fn by_token(&self, token: &Id) -> Option<&Call> {
        self.call(self.tokens.get(token)?)
    }

    /// The oldest call that fits and whose client still listens.
    pub(crate) fn oldest_live(&self, fits: impl Fn(&Call) -> bool) -> Option<Rc<Stream>> {
        let live = self.calls.values().filter(|(_, call)| call.stream.is_live() && fits(call));
        live.min_by_key(|(order, _)| *order).map(|(_, call)| Rc::clone(&call.stream))
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
