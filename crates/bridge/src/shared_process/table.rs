//! Who waits for what on the shared process. Pure: no waiting, no writing.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::outlet::Outlet;
use crate::message::Id;

/// A session.
pub(super) struct Seat {
    outlet: Rc<Outlet>,
    exit: oneshot::Sender<String>,
    /// Whether its `initialize` has been answered; before that it is told nothing it did not ask for.
    pub(super) greeted: bool,
}

impl Seat {
    pub(super) fn new(outlet: Rc<Outlet>, exit: oneshot::Sender<String>) -> Self {
        Self { outlet, exit, greeted: false }
    }

    pub(super) fn tell(&self, line: Bytes) {
        self.outlet.push(line);
    }

    pub(super) fn exits(self, detail: &str) {
        // Fails when its reader is gone too, which then needs no reason.
        let _ = self.exit.send(detail.to_owned());
    }
}

/// A request of a session, known to the process by a number of ours.
pub(super) struct Pending {
    pub(super) session: u64,
    pub(super) id: Id,
    /// Its id as the session wrote it.
    pub(super) raw: Box<str>,
    /// Its progress token as the session wrote it.
    pub(super) token: Option<Box<str>>,
    pub(super) is_hello: bool,
}

/// How far the one `initialize` has come.
#[derive(Default)]
pub(super) enum Hello {
    #[default]
    Unasked,
    /// These sessions wait for it too, each with its own message.
    Asked(Vec<(u64, Box<str>)>),
    /// Its result, as JSON.
    Known(Box<str>),
}

#[derive(Default)]
pub(super) struct Table {
    seats: BTreeMap<u64, Seat>,
    /// In the order in which they came.
    calls: BTreeMap<i64, Pending>,
    /// Requests of the server that a session has not answered.
    asked: HashMap<Id, u64>,
    pub(super) hello: Hello,
    /// Whether the server knows that it is initialized.
    pub(super) initialized: bool,
    sessions: u64,
    numbers: i64,
}

impl Table {
    pub(super) fn tracked(&self) -> usize {
        let waiting = if let Hello::Asked(waiting) = &self.hello { waiting.len() } else { 0 };
        self.calls.len() + self.asked.len() + waiting
    }

    pub(super) fn sit(&mut self, seat: Seat) -> u64 {
        self.sessions += 1;
        self.seats.insert(self.sessions, seat);
        self.sessions
    }

    /// Forgets a session; its calls to cancel and the requests of the server it will not answer. Its `initialize` goes on,
    /// because it is everybody's.
    pub(super) fn leave(&mut self, session: u64) -> (Vec<i64>, Vec<Id>) {
        self.seats.remove(&session);
        if let Hello::Asked(waiting) = &mut self.hello {
            waiting.retain(|(who, _)| *who != session);
        }
        let calls = self.calls.extract_if(.., |_, call| call.session == session && !call.is_hello);
        let calls = calls.map(|(number, _)| number).collect();
        let asked = self.asked.extract_if(|_, who| *who == session).map(|(id, _)| id).collect();
        (calls, asked)
    }

    /// Forgets everything; the sessions there were.
    pub(super) fn clear(&mut self) -> Vec<Seat> {
        self.calls.clear();
        self.asked.clear();
        self.hello = Hello::Unasked;
        std::mem::take(&mut self.seats).into_values().collect()
    }

    pub(super) fn seat(&mut self, session: u64) -> Option<&mut Seat> {
        self.seats.get_mut(&session)
    }

    /// Every session that has been greeted.
    pub(super) fn seats(&self) -> impl Iterator<Item = &Seat> {
        self.seats.values().filter(|seat| seat.greeted)
    }

    /// Takes in a request; the number the process knows it by.
    pub(super) fn add(&mut self, call: Pending) -> i64 {
        self.numbers += 1;
        self.calls.insert(self.numbers, call);
        self.numbers
    }

    pub(super) fn call(&self, id: &Id) -> Option<&Pending> {
        let Id::Number(number) = id else { return None };
        self.calls.get(number)
    }

    pub(super) fn remove(&mut self, id: &Id) -> Option<Pending> {
        let Id::Number(number) = id else { return None };
        self.calls.remove(number)
    }

    /// Forgets a call by the id its session gave it; its number. An `initialize` cannot be cancelled.
    pub(super) fn cancel(&mut self, session: u64, id: &Id) -> Option<i64> {
        let is_it = |call: &Pending| call.session == session && !call.is_hello && call.id == *id;
        let number = self.calls.iter().find(|(_, call)| is_it(call)).map(|(number, _)| *number)?;
        self.calls.remove(&number);
        Some(number)
    }

    /// The session of the oldest call.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.calls.values().find(|call| !call.is_hello).map(|call| call.session)
    }

    /// The session of the only call.
    pub(super) fn only(&self) -> Option<u64> {
        let mut calls = self.calls.values().filter(|call| !call.is_hello);
        let first = calls.next()?;
        calls.next().is_none().then_some(first.session)
    }

    pub(super) fn asked(&self) -> usize {
        self.asked.len()
    }

    pub(super) fn ask(&mut self, id: Id, session: u64) {
        self.asked.insert(id, session);
    }

    /// Whose answer the server waits for.
    pub(super) fn asked_of(&self, id: &Id) -> Option<u64> {
        self.asked.get(id).copied()
    }

    pub(super) fn answered(&mut self, id: &Id) -> Option<u64> {
        self.asked.remove(id)
    }
}
