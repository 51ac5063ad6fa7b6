//! Calls at a legacy server, and what the server asks its client while they run.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::spawn_local;
use tokio::time::sleep;

use super::backend::{Backend, Failure, Waiting, Work};
use super::request::Request;
use super::{Answer, At, ToLegacy};
use crate::message::{Id, compose};
use crate::server::CallKind;
use crate::translate::capabilities::Lacking;
use crate::translate::json::{Object, Writer};
use crate::translate::{codes, link, may_need_input};

/// A server often asks several things at once; those that come within this time go to the client together.
const GATHER: Duration = Duration::from_millis(10);

/// A request of the server that its client has not answered.
pub(super) struct Ask {
    /// The server's id.
    pub(super) id: Id,
    /// What the client knows it by.
    pub(super) key: Box<str>,
    /// As a member of `inputRequests`.
    pub(super) request: Box<str>,
}

impl ToLegacy {
    pub(super) async fn forward(self: &Rc<Self>, backend: &Rc<Backend>, request: &Request) {
        if may_need_input(&request.method) && !backend.orphans.borrow().is_empty() {
            return self.park_before(backend, request);
        }
        if let Some(level) = request.level {
            self.set_level(backend, level).await;
        }
        let number = backend.number();
        let work = Work {
            front: Some(Waiting::of(request)),
            method: Rc::clone(&request.method),
            subject: request.subject.clone(),
            asks: Vec::new(),
            asked: 0,
            sent: false,
            answer: None,
        };
        backend.works.borrow_mut().insert(number, work);
        if self.place(&request.id, At::Call(Rc::clone(backend), number)).is_none() {
            backend.works.borrow_mut().remove(&number);
            return;
        }
        match backend.link.call(number, CallKind::Other, request.line(number)).await {
            Ok(()) => {
                if let Some(work) = backend.works.borrow_mut().get_mut(&number) {
                    work.sent = true;
                }
            }
            Err(why) => {
                backend.works.borrow_mut().remove(&number);
                self.fail(&request.id, &why.into());
            }
        }
    }

    /// Gives a call up; nobody gets its answer.
    pub(super) fn abandon(&self, backend: &Backend, number: i64, reason: &str) {
        let Some(work) = backend.works.borrow_mut().remove(&number) else { return };
        self.drop_asks(backend, work.asks, reason);
        if work.answer.is_none() {
            link::cancel(&backend.link.server, number, work.sent, reason);
        }
        backend.touch();
    }

    #[expect(clippy::unused_self, reason = "a step of the translator like the others")]
    pub(super) fn drop_asks(&self, backend: &Backend, asks: Vec<Ask>, reason: &str) {
        for ask in asks {
            link::refuse(&backend.link.server, &ask.id, compose::INTERNAL, reason);
        }
    }

    /// The server has answered a call.
    pub(super) fn answered(
        self: &Rc<Self>,
        backend: &Rc<Backend>,
        number: i64,
        line: &Bytes,
        code: Option<i64>,
    ) {
        let done = {
            let mut works = backend.works.borrow_mut();
            match works.get_mut(&number) {
                Some(Work { front: None, answer, .. }) => {
                    *answer = Some((line.clone(), code));
                    None
                }
                Some(_) => works.remove(&number),
                None => None,
            }
        };
        let Some(mut work) = done else { return };
        backend.touch();
        let asks = std::mem::take(&mut work.asks);
        self.drop_asks(backend, asks, "the call is over");
        self.deliver(backend, &work, line, code);
    }

    /// Gives the answer of a call to whoever waits for it.
    pub(super) fn deliver(
        self: &Rc<Self>,
        backend: &Rc<Backend>,
        work: &Work,
        line: &Bytes,
        code: Option<i64>,
    ) {
        let Some(waiting) = &work.front else { return };
        let text = std::str::from_utf8(line).unwrap_or_default();
        let Some(answer) = Answer::read(text, code) else {
            return self.fail(&waiting.id, &Failure::internal("the server's answer cannot be read"));
        };
        if let Answer::Error { code: codes::URL_ELICITATION_REQUIRED, error } = &answer
            && may_need_input(&work.method)
        {
            return self.park_for_page(backend, work, error);
        }
        match answer.translated(&work.method, &backend.hello) {
            Ok(result) => self.succeed(&waiting.id, result),
            Err(failure) => self.fail(&waiting.id, &failure),
        }
    }

    /// The server asks its client for something.
    pub(super) fn asked(self: &Rc<Self>, backend: &Rc<Backend>, method: &str, id: Id, text: &str) {
        let server = &backend.link.server;
        if method == "ping" {
            if server.take_answer(&id) {
                server.push(compose::empty_result(&id.to_json()));
            }
            return;
        }
        let message = Object::read(text).unwrap_or_default();
        let params = Object::of(message.get("params"));
        match backend.can.takes(method, &params) {
            Ok(()) => {}
            Err(Lacking::NoSuchRequest) => {
                let why = "the client's revision has no such request";
                return link::refuse(server, &id, compose::METHOD_NOT_FOUND, why);
            }
            Err(Lacking::Capability(capability)) => {
                link::refuse(server, &id, compose::METHOD_NOT_FOUND, "the client did not say that it can");
                return self.lacks(backend, capability);
            }
        }
        let request = input_request(method, &params, message.has("params"));
        let mut works = backend.works.borrow_mut();
        let open = |work: &Work| may_need_input(&work.method) && work.answer.is_none();
        let owner = works
            .iter()
            .find(|(_, work)| open(work) && work.front.is_some())
            .or_else(|| works.iter().find(|(_, work)| open(work)))
            .map(|(number, _)| *number);
        if let Some(number) = owner
            && let Some(work) = works.get_mut(&number)
        {
            work.asked += 1;
            work.asks.push(Ask { id, key: format!("input-{}", work.asked).into(), request });
            drop(works);
            return self.park_soon(backend, number);
        }
        drop(works);
        self.keep_orphan(backend, id, request);
    }

    /// A server asks for what its client never offered. When it can only be about one call, that is how the call ends
    /// (2026-07-28, Base Protocol, Error Codes).
    fn lacks(&self, backend: &Backend, capability: &str) {
        let only = {
            let works = backend.works.borrow();
            let mut waiting =
                works.iter().filter_map(|(number, work)| Some((*number, work.front.as_ref()?.id.clone())));
            waiting.next().filter(|_| waiting.next().is_none())
        };
        if let Some((number, id)) = only {
            self.fail(&id, &missing(capability));
            self.abandon(backend, number, "the client cannot do what it needs");
        }
    }

    /// Keeps a request that no call can carry until one comes, but not for ever.
    fn keep_orphan(self: &Rc<Self>, backend: &Rc<Backend>, id: Id, request: Box<str>) {
        let key = format!("server-{}", backend.number()).into();
        backend.orphans.borrow_mut().push(Ask { id: id.clone(), key, request });
        let (translator, backend) = (Rc::downgrade(self), Rc::downgrade(backend));
        let patience = self.shared.config.server_request_wait;
        spawn_local(async move {
            sleep(patience).await;
            let (Some(translator), Some(backend)) = (translator.upgrade(), backend.upgrade()) else { return };
            let late: Vec<_> = backend.orphans.borrow_mut().extract_if(.., |ask| ask.id == id).collect();
            translator.drop_asks(&backend, late, "no call came that could carry this request");
        });
    }

    fn park_soon(self: &Rc<Self>, backend: &Rc<Backend>, number: i64) {
        let (translator, backend) = (Rc::clone(self), Rc::clone(backend));
        spawn_local(async move {
            sleep(GATHER).await;
            translator.park(&backend, number);
        });
    }

    /// The server takes a request back.
    pub(super) fn withdrawn(backend: &Backend, id: &Id) {
        backend.orphans.borrow_mut().retain(|ask| ask.id != *id);
        for work in backend.works.borrow_mut().values_mut() {
            work.asks.retain(|ask| ask.id != *id);
        }
    }

    /// A call of which not all was answered asks again for the rest.
    pub(super) fn park_rest(self: &Rc<Self>, backend: &Rc<Backend>, number: i64) {
        self.park_soon(backend, number);
    }
}

/// A request of a legacy server as a modern input request. Left out is what only makes sense in the older revision: its tasks,
/// and the id by which the server would tell that a visit to a page is over.
fn input_request(method: &str, params: &Object<'_>, has_params: bool) -> Box<str> {
    let mut request = Writer::default();
    request.text("method", method);
    if has_params {
        let mut kept = params.kept(|name| !matches!(name, "_meta" | "task" | "elicitationId"));
        // Nobody could report progress of it.
        let meta = Object::of(params.get("_meta")).kept(|name| name != "progressToken");
        if !meta.is_empty() {
            kept.raw("_meta", &meta.object());
        }
        request.raw("params", &kept.object());
    }
    request.object().into()
}

pub(super) fn missing(capability: &str) -> Failure {
    Failure {
        code: compose::MISSING_CAPABILITY,
        message: "the client lacks a capability that this call needs".to_owned(),
        data: Some(format!("{{\"requiredCapabilities\":{capability}}}").into()),
    }
}
