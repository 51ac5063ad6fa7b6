//! Calls that wait for their client to come again (2026-07-28, Multi Round-Trip Requests).
//!
//! The state a client has to show is random and means something to this bridge alone, for one use, for a limited time, for the
//! same client identity and for the same method on the same thing.

use std::rc::Rc;

use serde_json::value::RawValue;
use tokio::task::{AbortHandle, spawn_local};
use tokio::time::sleep;

use super::asks::{Ask, missing};
use super::backend::{Backend, Failure, Waiting, Work};
use super::replies::input_required;
use super::request::Request;
use super::{At, Object, ToLegacy};
use crate::translate::json::Writer;
use crate::translate::link;

/// What a state stands for.
pub(super) struct Ticket {
    backend: Rc<Backend>,
    method: Rc<str>,
    subject: Option<Box<str>>,
    waits: Waits,
    timer: AbortHandle,
}

enum Waits {
    /// A call that the server has not finished.
    Call(i64),
    /// Requests of the server that came before the call, which the server has not seen yet.
    Before(Vec<Ask>),
    /// A call that the server has refused until the user has visited a page. It wants to be called again.
    Page,
}

impl Ticket {
    fn fits(&self, request: &Request) -> bool {
        self.backend.key == request.identity.key
            && self.method == request.method
            && self.subject == request.subject
    }

    pub(super) fn stop_timer(&self) {
        self.timer.abort();
    }
}

impl ToLegacy {
    /// Lets the client of a call know what the server wants of it.
    pub(super) fn park(self: &Rc<Self>, backend: &Rc<Backend>, number: i64) {
        let (waiting, requests, method, subject) = {
            let mut works = backend.works.borrow_mut();
            let Some(work) = works.get_mut(&number) else { return };
            if work.asks.is_empty() || work.answer.is_some() {
                return;
            }
            let Some(waiting) = work.front.take() else { return };
            (waiting, requests_of(&work.asks), Rc::clone(&work.method), work.subject.clone())
        };
        if let Some(state) = self.keep(backend, method, subject, Waits::Call(number)) {
            self.succeed(&waiting.id, input_required(&requests, &state, &backend.hello));
        } else {
            self.abandon(backend, number, "too many calls wait for their clients");
            self.fail(&waiting.id, &full());
        }
    }

    /// A call comes while the server waits for something that no call could carry: the client is asked first.
    pub(super) fn park_before(self: &Rc<Self>, backend: &Rc<Backend>, request: &Request) {
        let asks = std::mem::take(&mut *backend.orphans.borrow_mut());
        let requests = requests_of(&asks);
        let (method, subject) = (Rc::clone(&request.method), request.subject.clone());
        match self.keep(backend, method, subject, Waits::Before(asks)) {
            Some(state) => self.succeed(&request.id, input_required(&requests, &state, &backend.hello)),
            None => self.fail(&request.id, &full()),
        }
    }

    /// The server wants the user to visit pages and to be called again (2025-11-25, Elicitation, URL Mode).
    pub(super) fn park_for_page(self: &Rc<Self>, backend: &Rc<Backend>, work: &Work, error: &Object<'_>) {
        let Some(waiting) = &work.front else { return };
        let pages = pages_of(error);
        let lacking = pages.iter().find_map(|page| {
            let page = Object::read(page.get()).unwrap_or_default();
            backend.can.takes("elicitation/create", &page).err()
        });
        if pages.is_empty() || lacking.is_some() {
            return self.fail(&waiting.id, &missing(r#"{"elicitation":{"url":{}}}"#));
        }
        let mut requests = Writer::default();
        for (at, page) in pages.iter().enumerate() {
            let params = Object::read(page.get()).unwrap_or_default().kept(|name| name != "elicitationId");
            let mut request = Writer::default();
            request.text("method", "elicitation/create").raw("params", &params.object());
            requests.raw(&format!("page-{}", at + 1), &request.object());
        }
        let kept = self.keep(backend, Rc::clone(&work.method), work.subject.clone(), Waits::Page);
        match kept {
            Some(state) => {
                let result = input_required(&requests.object(), &state, &backend.hello);
                self.succeed(&waiting.id, result);
            }
            None => self.fail(&waiting.id, &full()),
        }
    }

    /// A state for something that waits; nothing when too much waits already.
    fn keep(
        self: &Rc<Self>,
        backend: &Rc<Backend>,
        method: Rc<str>,
        subject: Option<Box<str>>,
        waits: Waits,
    ) -> Option<Box<str>> {
        let inner = self.inner.upgrade()?;
        if self.parked.borrow().len() >= self.shared.config.max_parked_calls {
            if let Waits::Before(asks) = waits {
                self.drop_asks(backend, asks, "too many calls wait for their clients");
            }
            return None;
        }
        let state: Box<str> = inner.unguessable();
        let (translator, age) = (Rc::downgrade(self), self.shared.config.parked_call_age);
        let expiring = state.clone();
        let timer = spawn_local(async move {
            sleep(age).await;
            if let Some(translator) = translator.upgrade() {
                translator.expire(&expiring);
            }
        });
        let ticket =
            Ticket { backend: Rc::clone(backend), method, subject, waits, timer: timer.abort_handle() };
        self.parked.borrow_mut().insert(state.clone(), ticket);
        Some(state)
    }

    fn expire(&self, state: &str) {
        let Some(ticket) = self.parked.borrow_mut().remove(state) else { return };
        let why = "the client did not come again in time";
        match ticket.waits {
            Waits::Call(number) => self.abandon(&ticket.backend, number, why),
            Waits::Before(asks) => self.drop_asks(&ticket.backend, asks, why),
            Waits::Page => {}
        }
    }

    /// A client comes again with what was wanted of it.
    pub(super) async fn resume(self: &Rc<Self>, state: &str, request: &Request) {
        let answers = request.responses.as_deref().unwrap_or("{}");
        let answers =
            Object::read(answers).filter(|all| all.members().all(|(_, value)| value.starts_with('{')));
        let Some(answers) = answers else {
            let why = "inputResponses has to be an object of objects";
            return self.fail(&request.id, &Failure::invalid(why));
        };
        let ticket = {
            let mut parked = self.parked.borrow_mut();
            let fits = parked.get(state).is_some_and(|ticket| ticket.fits(request));
            if fits { parked.remove(state) } else { None }
        };
        let Some(ticket) = ticket else {
            let why =
                "this requestState is unknown, has expired, was used before or belongs to another request";
            return self.fail(&request.id, &Failure::invalid(why));
        };
        ticket.stop_timer();
        let backend = ticket.backend;
        backend.touch();
        match ticket.waits {
            Waits::Call(number) => self.go_on(&backend, number, &answers, request).await,
            Waits::Before(asks) => {
                let missing = answer_asks(&backend, asks, &answers).await;
                backend.orphans.borrow_mut().extend(missing);
                self.forward(&backend, request).await;
            }
            Waits::Page if answers.members().any(|(_, answer)| !is_accepted(answer)) => {
                let why = "the user did not agree to visit the page that the server asked for";
                self.fail(&request.id, &Failure::internal(why));
            }
            Waits::Page if backend.link.server.is_alive() => self.forward(&backend, request).await,
            Waits::Page => {
                self.fail(&request.id, &Failure::internal("the server ended while the call waited"));
            }
        }
    }

    async fn go_on(
        self: &Rc<Self>,
        backend: &Rc<Backend>,
        number: i64,
        answers: &Object<'_>,
        request: &Request,
    ) {
        let asks = {
            let mut works = backend.works.borrow_mut();
            let Some(work) = works.get_mut(&number) else {
                drop(works);
                return self.fail(&request.id, &Failure::internal("the call that waited is gone"));
            };
            // From here on a client that leaves cancels the call.
            work.front = Some(Waiting::of(request));
            std::mem::take(&mut work.asks)
        };
        if self.place(&request.id, At::Call(Rc::clone(backend), number)).is_none() {
            return;
        }
        if let Some(level) = request.level {
            self.set_level(backend, level).await;
        }
        let missing = answer_asks(backend, asks, answers).await;
        let done = {
            let mut works = backend.works.borrow_mut();
            match works.get_mut(&number) {
                Some(Work { answer: Some(_), .. }) => works.remove(&number),
                Some(work) => {
                    work.asks.extend(missing);
                    if !work.asks.is_empty() {
                        self.park_rest(backend, number);
                    }
                    None
                }
                None => None,
            }
        };
        if let Some(mut work) = done
            && let Some((line, code)) = work.answer.take()
        {
            self.deliver(backend, &work, &line, code);
        }
    }
}

/// Hands answers to the server; what was not answered comes back. The answers go out even when the client leaves meanwhile,
/// because the server waits for them.
async fn answer_asks(backend: &Rc<Backend>, asks: Vec<Ask>, answers: &Object<'_>) -> Vec<Ask> {
    let mut missing = Vec::new();
    let mut lines = Vec::new();
    for ask in asks {
        match answers.get(&ask.key) {
            Some(answer) if backend.link.server.take_answer(&ask.id) => {
                lines.push(format!(
                    r#"{{"jsonrpc":"2.0","id":{},"result":{}}}"#,
                    ask.id.to_json(),
                    answer.get()
                ));
            }
            // The server has taken it back.
            Some(_) => {}
            None => missing.push(ask),
        }
    }
    let server = Rc::clone(&backend.link.server);
    let sending = spawn_local(async move {
        for line in lines {
            if link::say(&server, line).await.is_err() {
                // Its calls are answered with the reason by whoever notices that the server is gone or stuck.
                break;
            }
        }
    });
    let _ = sending.await;
    missing
}

fn requests_of(asks: &[Ask]) -> String {
    let mut requests = Writer::default();
    for ask in asks {
        requests.raw(&ask.key, &ask.request);
    }
    requests.object()
}

fn pages_of<'a>(error: &Object<'a>) -> Vec<&'a RawValue> {
    let data = Object::of(error.get("data"));
    data.get("elicitations").and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

fn is_accepted(answer: &str) -> bool {
    Object::read(answer).and_then(|answer| answer.text("action")).as_deref() == Some("accept")
}

fn full() -> Failure {
    Failure::internal("too many calls wait for their clients")
}
