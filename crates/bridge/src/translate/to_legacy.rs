//! Modern clients in front of a legacy server.
//!
//! ```text
//!  request ─► identity ─► backend (a legacy process, initialized once) ─► call ─► answer
//!                                                      │ asks for input      ▲
//!                                                      ▼                     │
//!                                     input_required + state ····► retry: the same call goes on
//! ```
//! Every request of a modern client says who it is and what it can do. A legacy server hears that once, so each combination has
//! a process of its own. A call that waits for input stays alive in the server under a state that nobody can guess.

mod asks;
mod backend;
mod listen;
mod logs;
mod parked;
mod replies;
mod request;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};

use tokio::task::{AbortHandle, spawn_local};

use super::link;
use super::outbox::Outbox;
use super::{json::Object, pipes};
use crate::bridge::{Attempt, Inner};
use crate::launcher::{EndReason, ServerPipes};
use crate::lines::{Line, Lines};
use crate::message::{Envelope, Id, Kind, compose};
use crate::server::Server;
use crate::shared::Shared;
use backend::{Backend, Failure, Opened};
use parked::Ticket;
use request::Request;

pub(crate) struct ToLegacy {
    inner: Weak<Inner>,
    /// Whether nobody needs it any more.
    ended: Cell<bool>,
    shared: Rc<Shared>,
    outbox: Rc<Outbox>,
    /// What clients see as their server.
    front: RefCell<Weak<Server>>,
    /// Requests of clients that are not answered.
    fronts: RefCell<HashMap<Id, Front>>,
    /// Server processes by who they were initialized for.
    places: RefCell<Vec<Place>>,
    /// Calls that wait for their client to come again, by the state it has to show.
    parked: RefCell<HashMap<Box<str>, Ticket>>,
}

/// A request that is not answered.
struct Front {
    /// What brings it to its server.
    task: Option<AbortHandle>,
    at: At,
}

/// How far a request has come.
enum At {
    /// Not at a server yet.
    Nowhere,
    /// A call of this number.
    Call(Rc<Backend>, i64),
    /// A subscription.
    Listen(Rc<Backend>),
}

struct Place {
    key: Rc<str>,
    attempt: Rc<Attempt<Opened>>,
}

impl ToLegacy {
    /// Pipes of a server that speaks the modern revision and is served by legacy processes.
    pub(crate) fn open(inner: &Rc<Inner>) -> (Rc<Self>, ServerPipes) {
        let outbox = Rc::new(Outbox::default());
        let (input, pipes) = pipes(&outbox);
        let translator = Rc::new(Self {
            inner: Rc::downgrade(inner),
            ended: Cell::new(false),
            shared: Rc::clone(&inner.shared),
            outbox,
            front: RefCell::default(),
            fronts: RefCell::default(),
            places: RefCell::default(),
            parked: RefCell::default(),
        });
        spawn_local(Rc::clone(&translator).run(input));
        (translator, pipes)
    }

    /// Says which server of the bridge it serves. A log message names no call, so it has to be given to the right one directly.
    pub(crate) fn serves(&self, server: &Rc<Server>) {
        *self.front.borrow_mut() = Rc::downgrade(server);
    }

    async fn run(self: Rc<Self>, mut input: Lines) {
        loop {
            match input.next().await {
                Ok(Line::Text(line)) => self.take(&line),
                Ok(Line::TooLong(_)) => {}
                Ok(Line::End) | Err(_) => break,
            }
        }
        self.end();
    }

    fn end(&self) {
        self.ended.set(true);
        for (_, front) in self.fronts.borrow_mut().drain() {
            front.abort();
        }
        for (_, ticket) in self.parked.borrow_mut().drain() {
            ticket.stop_timer();
        }
        for place in self.places.borrow_mut().drain(..) {
            if let Some(Ok(backend)) = place.attempt.outcome() {
                backend.link.end(EndReason::Closed, "its translator has ended");
            }
        }
        self.outbox.close();
    }

    fn take(self: &Rc<Self>, line: &[u8]) {
        let Ok(text) = std::str::from_utf8(line) else { return };
        let Ok(envelope) = Envelope::read(text) else { return };
        match envelope.kind() {
            Kind::Request { method, id, raw } => match Request::read(text, method, id.clone(), raw) {
                Ok(request) => self.begin(request),
                Err(failure) => self.fail_raw(raw, &failure),
            },
            Kind::Notification { method: "notifications/cancelled" } => {
                let id = envelope.params.as_ref().and_then(|params| Id::read(params.request_id?));
                if let Some(id) = id {
                    self.cancel(&id);
                }
            }
            // Modern clients have no other notification that a legacy server could make use of.
            _ => {}
        }
    }

    fn begin(self: &Rc<Self>, request: Request) {
        let id = request.id.clone();
        self.fronts.borrow_mut().insert(id.clone(), Front { task: None, at: At::Nowhere });
        let translator = Rc::clone(self);
        let task = spawn_local(async move { translator.serve(request).await });
        if let Some(front) = self.fronts.borrow_mut().get_mut(&id) {
            front.task = Some(task.abort_handle());
        }
    }

    async fn serve(self: Rc<Self>, request: Request) {
        if let Some(state) = &request.state {
            return self.resume(state, &request).await;
        }
        let backend = match self.backend(&request).await {
            Ok(backend) => backend,
            Err(failure) => return self.fail(&request.id, &failure),
        };
        backend.touch();
        match &*request.method {
            "server/discover" => {
                let result = replies::discovered(&backend.hello);
                self.succeed(&request.id, result);
            }
            "subscriptions/listen" => self.listen(&backend, &request).await,
            _ => self.forward(&backend, &request).await,
        }
    }

    /// The client does not want this any more.
    fn cancel(&self, id: &Id) {
        let Some(front) = self.fronts.borrow_mut().remove(id) else { return };
        front.abort();
        match front.at {
            At::Nowhere => {}
            At::Call(backend, number) => self.abandon(&backend, number, "the client has cancelled it"),
            At::Listen(backend) => self.unlisten(&backend, id),
        }
    }

    /// Notes where a request has got to; nothing when it was cancelled meanwhile.
    fn place(&self, id: &Id, at: At) -> Option<()> {
        self.fronts.borrow_mut().get_mut(id).map(|front| front.at = at)
    }

    fn succeed(&self, id: &Id, result: String) {
        if self.fronts.borrow_mut().remove(id).is_some() {
            self.outbox.say_result(&id.to_json(), result);
        }
    }

    fn fail(&self, id: &Id, failure: &Failure) {
        if self.fronts.borrow_mut().remove(id).is_some() {
            self.fail_raw(&id.to_json(), failure);
        }
    }

    fn fail_raw(&self, raw: &str, failure: &Failure) {
        self.outbox.say(compose::error(Some(raw), failure.code, &failure.message, failure.data.as_deref()));
    }
}

impl Front {
    fn abort(&self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Failure {
    fn internal(message: impl Into<String>) -> Self {
        Self { code: compose::INTERNAL, message: message.into(), data: None }
    }

    fn invalid(message: impl Into<String>) -> Self {
        Self { code: compose::INVALID_PARAMS, message: message.into(), data: None }
    }
}

impl From<link::NotSent> for Failure {
    fn from(link::NotSent(why): link::NotSent) -> Self {
        Self::internal(why)
    }
}

/// The result or the error of an answer.
enum Answer<'a> {
    Result(&'a str),
    Error { code: i64, error: Object<'a> },
}

impl<'a> Answer<'a> {
    fn read(text: &'a str, code: Option<i64>) -> Option<Self> {
        let message = Object::read(text)?;
        match code {
            None => Some(Self::Result(message.get("result")?.get())),
            Some(code) => Some(Self::Error { code, error: Object::of(message.get("error")) }),
        }
    }
}
