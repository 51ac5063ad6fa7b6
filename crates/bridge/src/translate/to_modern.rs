//! One legacy session in front of a modern server.
//!
//! ```text
//!  initialize ─► server/discover ─► capabilities in legacy words
//!  request ─► with who the client is ─► the shared process ─► result
//!                   ▲                        │ input_required
//!                   └── retry ◄── answers ◄── requests to the client
//! ```
//! The session lives here alone: a modern server remembers nothing, so the session outlives the process.

mod calls;
mod hello;
mod listen;
mod rounds;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};

use tokio::task::spawn_local;

use super::json::Object;
use super::level::Level;
use super::outbox::Outbox;
use super::pipes;
use crate::bridge::Inner;
use crate::launcher::ServerPipes;
use crate::lines::{Line, Lines};
use crate::message::{Envelope, Id, Kind, compose};
use crate::observer::Note;
use crate::shared::Shared;
use crate::stream::{Item, Stream};
use calls::Work;
use hello::Client;
use listen::Listening;
use rounds::Asked;

/// Requests that a modern server does not know, or that are about tasks, which are another thing there.
const UNKNOWN: [&str; 6] =
    ["server/discover", "subscriptions/listen", "tasks/get", "tasks/result", "tasks/list", "tasks/cancel"];

pub(crate) struct ToModern {
    inner: Weak<Inner>,
    shared: Rc<Shared>,
    outbox: Rc<Outbox>,
    /// Where the server's answers to this session come together.
    stream: Rc<Stream>,
    client: RefCell<Option<Rc<Client>>>,
    level: Cell<Option<Level>>,
    works: RefCell<HashMap<Id, Work>>,
    /// What the client has been asked and not answered.
    asked: RefCell<HashMap<u64, Asked>>,
    questions: Cell<u64>,
    listening: Listening,
}

/// A refusal of ours.
struct Refusal {
    code: i64,
    message: String,
}

impl Refusal {
    fn internal(message: impl Into<String>) -> Self {
        Self { code: compose::INTERNAL, message: message.into() }
    }

    fn invalid(message: impl Into<String>) -> Self {
        Self { code: compose::INVALID_PARAMS, message: message.into() }
    }
}

impl ToModern {
    /// Pipes of a server that speaks older revisions and is served by the modern process.
    pub(crate) fn open(inner: &Rc<Inner>) -> ServerPipes {
        let outbox = Rc::new(Outbox::default());
        let (input, pipes) = pipes(&outbox);
        let translator = Rc::new(Self {
            inner: Rc::downgrade(inner),
            shared: Rc::clone(&inner.shared),
            outbox,
            stream: Stream::of_session(&inner.shared),
            client: RefCell::default(),
            level: Cell::new(None),
            works: RefCell::default(),
            asked: RefCell::default(),
            questions: Cell::new(0),
            listening: Listening::default(),
        });
        spawn_local(translator.run(input));
        pipes
    }

    async fn run(self: Rc<Self>, mut input: Lines) {
        let hearing = spawn_local(Rc::clone(&self).attend());
        let listening = spawn_local(Rc::clone(&self).keep_listening());
        loop {
            match input.next().await {
                Ok(Line::Text(line)) => self.take(&line),
                Ok(Line::TooLong(_)) => {}
                Ok(Line::End) | Err(_) => break,
            }
        }
        hearing.abort();
        listening.abort();
        self.stop_listening();
        let works = std::mem::take(&mut *self.works.borrow_mut());
        for work in works.into_values() {
            work.give_up("the session has ended");
        }
        self.stream.close();
        self.outbox.close();
    }

    async fn attend(self: Rc<Self>) {
        while let Some(item) = self.stream.next().await {
            self.outbox.has_room().await;
            match item {
                Item::Response { line, code } => self.answered(line, code),
                // Progress and logs of calls; they carry the client's own token already.
                Item::Message { line, .. } => self.outbox.say(line),
            }
        }
    }

    fn take(self: &Rc<Self>, line: &[u8]) {
        let Ok(text) = std::str::from_utf8(line) else { return };
        let Ok(envelope) = Envelope::read(text) else { return };
        match envelope.kind() {
            Kind::Request { method, id, raw } => self.request(text, method, &id, raw),
            Kind::Notification { method } => {
                let id = envelope.params.as_ref().and_then(|params| Id::read(params.request_id?));
                self.notification(method, id);
            }
            Kind::Response { id } => self.client_answered(&id, text),
            Kind::Neither => {}
        }
    }

    fn request(self: &Rc<Self>, text: &str, method: &str, id: &Id, raw: &str) {
        let message = Object::read(text).unwrap_or_default();
        let params = Object::of(message.get("params"));
        match method {
            "initialize" => self.initialize(&params, raw),
            "ping" => self.succeed(raw, "{}".to_owned()),
            _ if UNKNOWN.contains(&method) => {
                let message = format!("{method} is not known here");
                self.refuse(raw, &Refusal { code: compose::METHOD_NOT_FOUND, message });
            }
            _ if self.client.borrow().is_none() => {
                let message = "start with initialize".to_owned();
                self.refuse(raw, &Refusal { code: compose::INVALID_REQUEST, message });
            }
            "logging/setLevel" => match params.text("level").and_then(|name| Level::read(&name)) {
                Some(level) => {
                    self.level.set(Some(level));
                    self.succeed(raw, "{}".to_owned());
                }
                None => self.refuse(raw, &Refusal::invalid("there is no such log level")),
            },
            "resources/subscribe" => self.subscribe(&params, raw),
            "resources/unsubscribe" => self.unsubscribe(&params, raw),
            _ => self.call(method, id, raw, &params),
        }
    }

    fn notification(self: &Rc<Self>, method: &str, about: Option<Id>) {
        match method {
            "notifications/initialized" => self.start_listening(),
            "notifications/cancelled" => {
                if let Some(id) = about {
                    self.cancel(&id);
                }
            }
            // A modern server asks for the roots whenever it wants to know them, and hears no progress of its requests.
            "notifications/roots/list_changed" | "notifications/progress" => {}
            _ => self.shared.note(Note::MessageDropped { server: 0, method: method.to_owned() }),
        }
    }

    fn succeed(&self, raw: &str, result: String) {
        self.outbox.say_result(raw, result);
    }

    fn refuse(&self, raw: &str, refusal: &Refusal) {
        self.outbox.say(compose::error(Some(raw), refusal.code, &refusal.message, None));
    }
}
