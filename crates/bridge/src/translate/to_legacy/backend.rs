//! The legacy server processes behind modern clients: opened and initialized once for each client identity.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use tokio::sync::oneshot;
use tokio::task::spawn_local;
use tokio::time::{Instant, timeout};

use super::asks::Ask;
use super::listen::Listen;
use super::request::{Identity, Request, line};
use super::{Answer, Place, ToLegacy};
use crate::bridge::Attempt;
use crate::launcher::EndReason;
use crate::message::{Envelope, Id, Kind, compose};
use crate::server::CallKind;
use crate::stream::Item;
use crate::translate::capabilities::{Can, Changes};
use crate::translate::json::{Object, Writer};
use crate::translate::level::Level;
use crate::translate::link::{self, Link};
use crate::translate::{HANDSHAKE, NEWEST_LEGACY, NOBODY, OWN_REQUEST};

/// Why a request of a client failed.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) code: i64,
    pub(super) message: String,
    /// As JSON.
    pub(super) data: Option<Box<str>>,
}

pub(super) type Opened = Result<Rc<Backend>, Failure>;

/// What a legacy server said of itself, as JSON.
pub(super) struct Hello {
    pub(super) capabilities: Box<str>,
    pub(super) server_info: Box<str>,
    pub(super) instructions: Option<Box<str>>,
    pub(super) changes: Changes,
}

pub(super) struct Backend {
    pub(super) key: Rc<str>,
    pub(super) can: Can,
    pub(super) hello: Hello,
    pub(super) link: Link,
    /// Calls of clients, the oldest first.
    pub(super) works: RefCell<BTreeMap<i64, Work>>,
    /// Requests of ours.
    own: RefCell<HashMap<i64, oneshot::Sender<Result<(), Failure>>>>,
    /// Requests of the server that came while no call could carry them.
    pub(super) orphans: RefCell<Vec<Ask>>,
    pub(super) listens: RefCell<Vec<Listen>>,
    /// How many subscriptions want to hear of a resource.
    pub(super) topics: RefCell<HashMap<String, usize>>,
    pub(super) level: Cell<Option<Level>>,
    numbers: Cell<i64>,
    used: Cell<Instant>,
}

/// A call of a client at the server.
pub(super) struct Work {
    /// Nobody while the call is parked.
    pub(super) front: Option<Waiting>,
    pub(super) method: Rc<str>,
    pub(super) subject: Option<Box<str>>,
    /// What the server wants to know before it can go on.
    pub(super) asks: Vec<Ask>,
    /// How many it has asked for so far.
    pub(super) asked: u64,
    /// Whether the server has been sent the call.
    pub(super) sent: bool,
    /// The answer that came while nobody waited for it.
    pub(super) answer: Option<(bytes::Bytes, Option<i64>)>,
}

/// Who waits for a call.
pub(super) struct Waiting {
    pub(super) id: Id,
    pub(super) token: Option<Box<str>>,
    pub(super) level: Option<Level>,
}

impl Waiting {
    pub(super) fn of(request: &Request) -> Self {
        Self { id: request.id.clone(), token: request.token.clone(), level: request.level }
    }
}

impl Backend {
    pub(super) fn number(&self) -> i64 {
        self.numbers.set(self.numbers.get() + 1);
        self.numbers.get()
    }

    pub(super) fn touch(&self) {
        self.used.set(Instant::now());
    }

    /// Whether nobody would miss it.
    fn is_quiet(&self) -> bool {
        self.works.borrow().is_empty() && self.own.borrow().is_empty() && self.listens.borrow().is_empty()
    }

    /// A small request of ours; whether the server agreed.
    pub(super) async fn request(&self, method: &str, params: &str) -> Result<(), Failure> {
        let number = self.number();
        let (done, answer) = oneshot::channel();
        self.own.borrow_mut().insert(number, done);
        let asked = timeout(OWN_REQUEST, async {
            self.link.call(number, CallKind::Other, line(number, method, params)).await?;
            answer.await.unwrap_or_else(|_| Err(Failure::internal("the server has ended")))
        });
        let agreed = asked.await.unwrap_or_else(|_| Err(Failure::internal("the server did not answer")));
        if self.own.borrow_mut().remove(&number).is_some() {
            link::cancel(&self.link.server, number, true, "it took too long");
        }
        agreed
    }
}

impl ToLegacy {
    /// The server process for whoever makes this request.
    pub(super) async fn backend(self: &Rc<Self>, request: &Request) -> Opened {
        let identity = &request.identity;
        let known = {
            let mut places = self.places.borrow_mut();
            places.retain(|place| match place.attempt.outcome() {
                Some(Ok(backend)) => backend.link.server.is_alive(),
                Some(Err(_)) => false,
                None => true,
            });
            let mut same = places.iter().filter(|place| place.key == identity.key);
            same.next().map(|place| Rc::clone(&place.attempt))
        };
        let attempt = match known {
            Some(attempt) => attempt,
            None => self.begin_backend(identity)?,
        };
        attempt.wait().await
    }

    fn begin_backend(self: &Rc<Self>, identity: &Identity) -> Result<Rc<Attempt<Opened>>, Failure> {
        let limit = self.shared.config.max_bridged_servers;
        if self.places.borrow().len() >= limit && !self.reclaim() {
            return Err(Failure::internal(format!(
                "{limit} different clients use this server already, and none of them is quiet"
            )));
        }
        let attempt = Rc::new(Attempt::default());
        let place = Place { key: Rc::clone(&identity.key), attempt: Rc::clone(&attempt) };
        self.places.borrow_mut().push(place);
        let (translator, identity, running) = (Rc::clone(self), identity.clone(), Rc::clone(&attempt));
        // A task of its own, because others may wait for it when the client that began it has left.
        spawn_local(async move {
            let opened = translator.open_backend(&identity).await;
            if let Ok(backend) = &opened {
                if translator.ended.get() {
                    backend.link.end(EndReason::Abandoned, "nobody waits for it any more");
                }
                spawn_local(Rc::clone(&translator).attend(Rc::clone(backend)));
            }
            running.settle(opened);
        });
        Ok(attempt)
    }

    /// Ends the process that has been quiet for the longest time; whether there was one.
    fn reclaim(&self) -> bool {
        let mut places = self.places.borrow_mut();
        let quiet = places.iter().enumerate().filter_map(|(at, place)| match place.attempt.outcome() {
            Some(Ok(backend)) if backend.is_quiet() => Some((backend.used.get(), at)),
            _ => None,
        });
        let Some((_, at)) = quiet.min() else { return false };
        let place = places.remove(at);
        drop(places);
        if let Some(Ok(backend)) = place.attempt.outcome() {
            backend.link.end(EndReason::SessionReclaimed, "it was quiet and another client needed the room");
        }
        true
    }

    async fn open_backend(&self, identity: &Identity) -> Opened {
        let Some(inner) = self.inner.upgrade() else {
            return Err(Failure::internal("the bridge is gone"));
        };
        let server = inner.legacy_process().await.map_err(Failure::internal)?;
        let link = Link::new(&self.shared, server);
        let hello = timeout(HANDSHAKE, greet(&link, identity));
        let hello =
            hello.await.unwrap_or_else(|_| Err(Failure::internal("the server did not answer initialize")));
        let hello = match hello {
            Ok(hello) => hello,
            Err(failure) => {
                link.end(EndReason::NotInitialized, "its handshake failed");
                inner.forget(&link.server);
                inner.doubt_legacy();
                return Err(failure);
            }
        };
        link::say(&link.server, r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_owned())
            .await?;
        Ok(Rc::new(Backend {
            key: Rc::clone(&identity.key),
            can: identity.can,
            hello,
            link,
            works: RefCell::default(),
            own: RefCell::default(),
            orphans: RefCell::default(),
            listens: RefCell::default(),
            topics: RefCell::default(),
            level: Cell::new(None),
            numbers: Cell::new(0),
            used: Cell::new(Instant::now()),
        }))
    }

    /// Takes what the server says until it ends.
    async fn attend(self: Rc<Self>, backend: Rc<Backend>) {
        while let Some(item) = backend.link.stream.next().await {
            self.outbox.has_room().await;
            self.hear(&backend, &item);
        }
        // Its calls have been answered by then; whoever asked something of ours learns it from the closed channel.
        backend.own.borrow_mut().clear();
        self.end_listens(&backend);
        self.places.borrow_mut().retain(|place| match place.attempt.outcome() {
            Some(Ok(other)) => !Rc::ptr_eq(&other, &backend),
            _ => true,
        });
    }

    fn hear(self: &Rc<Self>, backend: &Rc<Backend>, item: &Item) {
        let Ok(text) = std::str::from_utf8(item.line()) else { return };
        let Ok(envelope) = Envelope::read(text) else { return };
        match envelope.kind() {
            Kind::Response { id: Id::Number(number) } => {
                let code = envelope.error_code();
                let own = backend.own.borrow_mut().remove(&number);
                match own {
                    Some(done) => {
                        let answer = Answer::read(text, code);
                        let agreed = match answer {
                            Some(Answer::Error { code, error }) => Err(super::replies::failed(code, &error)),
                            _ => Ok(()),
                        };
                        // Nobody waits for an unsubscription.
                        let _ = done.send(agreed);
                    }
                    None => self.answered(backend, number, item.line(), code),
                }
            }
            Kind::Request { method, id, .. } => self.asked(backend, method, id, text),
            Kind::Notification { method } => self.noticed(backend, method, text),
            Kind::Response { .. } | Kind::Neither => {}
        }
    }
}

/// The handshake (2025-11-25, Lifecycle, Initialization).
async fn greet(link: &Link, identity: &Identity) -> Result<Hello, Failure> {
    let mut params = Writer::default();
    params
        .text("protocolVersion", NEWEST_LEGACY)
        .raw("capabilities", &identity.capabilities)
        .raw("clientInfo", &identity.info);
    link.call(0, CallKind::Initialize, line(0, "initialize", &params.object())).await?;
    loop {
        let Some(item) = link.stream.next().await else {
            return Err(Failure::internal("the server ended during its handshake"));
        };
        let (answer, code) = match item {
            Item::Response { line, code } => (line, code),
            Item::Message { line: question, asks: Some(id) } => {
                answer_early(link, &question, &id);
                continue;
            }
            Item::Message { .. } => continue,
        };
        let text = std::str::from_utf8(&answer).unwrap_or_default();
        return match Answer::read(text, code) {
            Some(Answer::Result(result)) => Hello::read(result),
            Some(Answer::Error { code, error }) => {
                let failure = super::replies::failed(code, &error);
                Err(Failure::internal(format!("the server refused its handshake: {}", failure.message)))
            }
            None => Err(Failure::internal("the server's handshake cannot be read")),
        };
    }
}

/// Before the handshake is over a server may only ask whether we are there.
fn answer_early(link: &Link, question: &[u8], id: &Id) {
    let message = std::str::from_utf8(question).ok().and_then(Object::read);
    if message.and_then(|message| message.text("method")).as_deref() != Some("ping") {
        link::refuse(&link.server, id, compose::INVALID_REQUEST, "the handshake is not over");
    } else if link.server.take_answer(id) {
        link.server.push(compose::empty_result(&id.to_json()));
    }
}

impl Hello {
    fn read(result: &str) -> Result<Self, Failure> {
        let result = Object::read(result)
            .ok_or_else(|| Failure::internal("the server's handshake is not an object"))?;
        let capabilities = result.get("capabilities").map_or("{}", |raw| raw.get());
        Ok(Self {
            capabilities: capabilities.into(),
            server_info: result.get("serverInfo").map_or(NOBODY, |raw| raw.get()).into(),
            instructions: result.get("instructions").map(|raw| raw.get().into()),
            changes: Changes::read(capabilities),
        })
    }
}
