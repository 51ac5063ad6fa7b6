//! Where a message of the server goes.
//!
//! | message | goes to |
//! |---|---|
//! | answer | the stream of its call |
//! | progress | the call that owns the token, else as what belongs to a task, else the GET stream |
//! | what belongs to a task | the call that waits for the task |
//! | what belongs to a subscription | the stream of that subscription |
//! | request | the oldest call whose client listens, else the GET stream, else it waits |
//! | log, end of an elicitation | the same, but before the GET stream the oldest call whose client may come back |
//! | anything else | the GET stream, else it waits |

use std::rc::Rc;

use bytes::Bytes;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::{Call, CallKind, Server, Token};
use crate::gate::Look;
use crate::message::{Edit, Envelope, Id, Kind, Params, ResultHead, compose, splice, string};
use crate::observer::{EXCERPT, Note};
use crate::stream::{Item, Stream};
use crate::usage::CallOutcome;
use crate::version;

impl Server {
    /// Takes one line of the server's output.
    pub(super) fn receive(&self, line: &Bytes) {
        if !self.is_alive() || line.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        let Ok(text) = std::str::from_utf8(line) else { return self.unreadable(line) };
        let Ok(envelope) = Envelope::read(text) else {
            return match serde_json::from_str::<Vec<&RawValue>>(text) {
                Ok(batch) => batch.iter().for_each(|item| self.receive_one_of_batch(line, item.get())),
                Err(_) => self.unreadable(line),
            };
        };
        self.route(line, text, &envelope);
    }

    fn receive_one_of_batch(&self, line: &Bytes, text: &str) {
        match Envelope::read(text) {
            Ok(envelope) => self.route(&line.slice_ref(text.as_bytes()), text, &envelope),
            Err(_) => self.unreadable(text.as_bytes()),
        }
    }

    fn route(&self, line: &Bytes, text: &str, envelope: &Envelope<'_>) {
        self.shared.touch();
        match envelope.kind() {
            Kind::Response { id } => self.answer(line, text, envelope, &id),
            Kind::Request { method, id, raw } => self.request(line, envelope, method, id, raw),
            Kind::Notification { method } => self.notification(line, text, envelope, method),
            Kind::Neither => self.unreadable(line),
        }
    }

    fn unreadable(&self, line: &[u8]) {
        let excerpt = String::from_utf8_lossy(&line[..line.len().min(EXCERPT)]).into_owned();
        self.shared.note(Note::NotAMessage { server: self.number, excerpt });
    }

    fn answer(&self, line: &Bytes, text: &str, envelope: &Envelope<'_>, id: &Id) {
        let removed = self.table.borrow_mut().remove(id);
        let Some(mut call) = removed else { return self.unwanted_answer(id) };
        let code = envelope.error_code();
        if call.kind == CallKind::Initialize {
            self.initialized(envelope, code);
        }
        let look = match (&call.kind, envelope.result, code) {
            (CallKind::ToolList { first }, Some(result), None) => self.tools_listed(result.get(), *first),
            _ => Look::AsItIs,
        };
        let (line, code) = self
            .as_its_client_knows_it(line, text, envelope, &call, &look)
            .map_or_else(|| (unreadable_list(&call.raw), Some(compose::INTERNAL)), |line| (line, code));
        let (line, code) = if call.stream.can_hold(line.len()) {
            (line, code)
        } else {
            // Its client is away; an error it can come back for is worth more than nothing.
            self.dropped("response");
            let message = "the answer was too large to be kept while its client was away";
            let data = r#"{"code":"ANSWER_NOT_KEPT"}"#;
            let error = compose::error(Some(&call.raw), compose::INTERNAL, message, Some(data));
            (error.into(), Some(compose::INTERNAL))
        };
        let outcome = match (code, &call.tally) {
            (None, Some(tally)) => tally.outcome_of(envelope.result),
            _ => CallOutcome::Error,
        };
        call.ended(outcome, line.len());
        if !call.stream.answer(line, code) {
            self.dropped("response");
        }
    }

    /// Learns from a page of the list of tools, and holds it against what was decided of them.
    fn tools_listed<'r>(&self, result: &'r str, first: bool) -> Look<'r> {
        if self.is_modern() {
            // One that cannot be read teaches nothing, and is the client's to judge.
            let _ = self.tools.learn(result, first);
        }
        let (look, differ) = self.shared.gate.look(result);
        if let Some(differ) = differ {
            self.shared.note(Note::ToolsDiffer(differ));
        }
        look
    }

    /// An answer under the id of its client, without the tools that it is not to see; none when nobody can tell which they are.
    fn as_its_client_knows_it(
        &self,
        line: &Bytes,
        text: &str,
        envelope: &Envelope<'_>,
        call: &Call,
        look: &Look<'_>,
    ) -> Option<Bytes> {
        let mut edits: Vec<Edit<'_>> = Vec::new();
        match look {
            Look::AsItIs => {}
            Look::Less(part, less) => edits.push((part, less)),
            Look::Unreadable => return None,
        }
        if let Some(theirs) = envelope.id.filter(|_| self.is_modern()) {
            let head = (call.kind == CallKind::Listen).then(|| envelope.result_head()).flatten();
            let subscription = head.as_ref().and_then(subscription_of);
            edits.push((theirs.get(), &call.raw));
            edits.extend(subscription.map(|subscription| (subscription.get(), &*call.raw)));
        }
        Some(if edits.is_empty() { line.clone() } else { splice(text, &mut edits, 0).into() })
    }

    /// An answer nobody waits for. After a cancellation that is how the protocol is meant to be (2025-11-25, Cancellation).
    fn unwanted_answer(&self, id: &Id) {
        if self.table.borrow_mut().was_given_up(id) {
            self.shared.count(|counters| counters.late_answers += 1);
        } else {
            self.shared.note(Note::StrayAnswer { server: self.number });
        }
    }

    fn initialized(&self, envelope: &Envelope<'_>, code: Option<i64>) {
        let version = envelope.result_head().and_then(|head| string(head.protocol_version));
        let wrong_era = match code {
            Some(code) => matches!(code, compose::UNSUPPORTED_VERSION | compose::METHOD_NOT_FOUND),
            None => version.as_deref().is_none_or(version::is_modern),
        };
        if wrong_era {
            self.shared.note(Note::WrongEra { server: self.number });
        }
        if code.is_none() {
            *self.version.borrow_mut() = version.map(Into::into);
        }
    }

    fn request(&self, line: &Bytes, envelope: &Envelope<'_>, method: &str, id: Id, raw: &str) {
        if self.is_modern() {
            let refusal = compose::error(
                Some(raw),
                compose::METHOD_NOT_FOUND,
                "a server may not ask its client in this revision",
                None,
            );
            return self.push_line(refusal);
        }
        if self.table.borrow().asked() >= self.shared.config.max_server_requests {
            return self.push_line(compose::error(
                Some(raw),
                compose::INTERNAL,
                "too many requests wait",
                None,
            ));
        }
        let target = self.target_of(envelope, Rides::Live);
        if target.is_none() && method == "ping" {
            return self.push(compose::empty_result(raw));
        }
        self.deliver(line.clone(), Some(id), target, method);
    }

    fn notification(&self, line: &Bytes, text: &str, envelope: &Envelope<'_>, method: &str) {
        let params = envelope.params.as_ref();
        if self.is_modern() {
            return self.modern_notification(text, params, method);
        }
        match method {
            "notifications/progress" => self.progress(line, envelope, method),
            "notifications/cancelled" => self.server_cancelled(line, params),
            "notifications/message" | "notifications/elicitation/complete" => {
                let target = self.target_of(envelope, Rides::AndWaits);
                self.deliver(line.clone(), None, target, method);
            }
            _ => {
                let target = self.target_of(envelope, Rides::Not);
                self.deliver(line.clone(), None, target, method);
            }
        }
    }

    /// Progress shows that a call goes on, so it also gives it more time (2025-11-25, Lifecycle: Timeouts).
    fn progress(&self, line: &Bytes, envelope: &Envelope<'_>, method: &str) {
        let token = envelope.params.as_ref().and_then(|params| Id::read(params.progress_token?));
        let owner = {
            let table = self.table.borrow();
            let task = || table.waits_for(&task_of(envelope)?).cloned();
            token.and_then(|token| table.owner_of(&token).cloned()).or_else(task)
        };
        let target = match &owner {
            Some(owner) => {
                self.extend(owner);
                self.table.borrow().call(owner).map(|call| Rc::clone(&call.stream))
            }
            // The token of a task outlives the call that started it, so progress without a call may still be wanted.
            None => self.table.borrow().listener.clone(),
        };
        match target {
            Some(stream) => self.offer_or_drop(&stream, line.clone(), method),
            None => self.dropped(method),
        }
    }

    fn extend(&self, call: &Id) {
        let config = &self.shared.config;
        let most = config.call_timeout_max.max(config.call_timeout);
        self.table.borrow_mut().extend(call, config.call_timeout, most);
    }

    /// The server takes back its own request: it goes the way the request went.
    fn server_cancelled(&self, line: &Bytes, params: Option<&Params<'_>>) {
        let Some(id) = params.and_then(|params| Id::read(params.request_id?)) else { return };
        let (stream, waited) = {
            let mut table = self.table.borrow_mut();
            (table.answered(&id), table.withdraw(&id))
        };
        self.chores.settle(&id);
        let Some(stream) = stream.and_then(|stream| stream.upgrade()) else { return };
        if waited || stream.withdraw(&id) {
            return;
        }
        let listener = || self.table.borrow().listener.clone();
        let reaches = |stream: &Rc<Stream>| stream.is_live() || stream.is_parked();
        if let Some(stream) = Some(stream).filter(reaches).or_else(listener) {
            self.offer_or_drop(&stream, line.clone(), "notifications/cancelled");
        }
    }

    fn modern_notification(&self, text: &str, params: Option<&Params<'_>>, method: &str) {
        if method == "notifications/tools/list_changed" {
            self.tools.forget();
        }
        let tag = params.and_then(|params| params.meta.as_ref()?.subscription_id);
        if let Some(tag) = tag {
            let found =
                self.with_call(tag, |call| (Rc::clone(&call.stream), renamed_one(text, tag, &call.raw)));
            return self.offer_found(found, method);
        }
        let token = params.and_then(|params| params.progress_token);
        match (method, token) {
            ("notifications/progress", Some(token)) => {
                if let Some(call) = Id::read(token) {
                    self.extend(&call);
                }
                let found = self
                    .with_call(token, |call| match &call.token {
                        Some(Token::Renamed(theirs)) => {
                            Some((Rc::clone(&call.stream), renamed_one(text, token, theirs)))
                        }
                        _ => None,
                    })
                    .flatten();
                self.offer_found(found, method);
            }
            ("notifications/cancelled", _) => {
                // The server gives up a subscription; over HTTP its stream just ends.
                let Some(id) = params.and_then(|params| Id::read(params.request_id?)) else { return };
                let call = self.table.borrow_mut().remove(&id);
                if let Some(call) = call {
                    call.stream.close();
                }
            }
            ("notifications/message", _) => {
                let stream = self.table.borrow().oldest_live(|call| call.logs);
                let line = Bytes::copy_from_slice(text.as_bytes());
                self.offer_found(stream.map(|stream| (stream, line)), method);
            }
            _ => self.dropped(method),
        }
    }

    fn with_call<T>(&self, id: &RawValue, then: impl FnOnce(&Call) -> T) -> Option<T> {
        let id = Id::read(id)?;
        self.table.borrow().call(&id).map(then)
    }

    fn offer_found(&self, found: Option<(Rc<Stream>, Bytes)>, method: &str) {
        match found {
            Some((stream, line)) => self.offer_or_drop(&stream, line, method),
            None => self.dropped(method),
        }
    }

    fn offer_or_drop(&self, stream: &Stream, line: Bytes, method: &str) {
        if stream.offer(Item::Message { line, asks: None }).is_err() {
            self.dropped(method);
        }
    }

    /// The stream for a message that names no call: the one of its task, that of a call if it may ride on one, the GET stream.
    fn target_of(&self, envelope: &Envelope<'_>, rides: Rides) -> Option<Rc<Stream>> {
        let table = self.table.borrow();
        let carries = |call: &Call| call.kind != CallKind::Initialize;
        task_of(envelope)
            .and_then(|task| table.oldest_live(|call| call.kind == CallKind::TaskResult(task.clone())))
            .or_else(|| if rides == Rides::Not { None } else { table.oldest_live(carries) })
            .or_else(|| {
                let waits = rides == Rides::AndWaits;
                if waits { table.oldest(|call| call.stream.is_parked() && carries(call)) } else { None }
            })
            .or_else(|| table.listener.clone().filter(|listener| listener.is_live()))
    }

    fn deliver(&self, line: Bytes, asks: Option<Id>, target: Option<Rc<Stream>>, method: &str) {
        if let Some(id) = &asks {
            self.table.borrow_mut().ask(id.clone(), target.as_ref());
        }
        let item = Item::Message { line, asks: asks.clone() };
        let left = match target {
            Some(stream) => stream.offer(item),
            None => Err(item),
        };
        let held = match left {
            Ok(()) => true,
            Err(item) => self.wait(item, method),
        };
        if let Some(id) = asks.filter(|_| held) {
            // It must not wait for ever: when no client has taken it by then, the server gets an error.
            let patience = self.shared.config.server_request_wait;
            self.chores.refuse(Instant::now() + patience, id);
        }
    }

    /// Another stream for what a client that left did not get.
    pub(super) fn redeliver(&self, line: Bytes, asks: Option<Id>) {
        let target = {
            let table = self.table.borrow();
            let call = if asks.is_some() {
                table.oldest_live(|call| call.kind != CallKind::Initialize)
            } else {
                None
            };
            call.or_else(|| table.listener.clone())
        };
        self.deliver(line, asks, target, "redelivered message");
    }

    /// Keeps a message until a stream opens; whether there was room.
    fn wait(&self, item: Item, method: &str) -> bool {
        let config = &self.shared.config;
        let left = self.table.borrow_mut().wait(item, config.max_queued_messages, config.max_queued_bytes);
        match left {
            Ok(()) => true,
            Err(Item::Message { asks: Some(id), .. }) => {
                self.refuse(&id, "nobody listens for requests of the server");
                false
            }
            Err(_) => {
                self.dropped(method);
                false
            }
        }
    }

    pub(super) fn refuse(&self, id: &Id, why: &str) {
        self.table.borrow_mut().answered(id);
        self.push_line(compose::error(Some(&id.to_json()), compose::INTERNAL, why, None));
    }

    fn push_line(&self, mut line: String) {
        line.push('\n');
        self.push(line.into_bytes());
    }
}

/// Whether a message that names no call may go where a call is answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rides {
    /// Only to the GET stream.
    Not,
    /// On a call whose client is there.
    Live,
    /// On a call even if its client has to come back for it.
    AndWaits,
}

/// The task a message belongs to (2025-11-25, Tasks). A change of its status names it as such.
fn task_of(envelope: &Envelope<'_>) -> Option<Id> {
    let related = envelope.meta().and_then(|meta| meta.related_task.as_ref()?.task_id);
    let status = || match envelope.kind() {
        Kind::Notification { method: "notifications/tasks/status" } => envelope.params.as_ref()?.task_id,
        _ => None,
    };
    Id::read(related.or_else(status)?)
}

fn subscription_of<'a>(head: &ResultHead<'a>) -> Option<&'a RawValue> {
    head.meta.as_ref()?.subscription_id
}

fn unreadable_list(raw: &str) -> Bytes {
    let message = "the server's list of tools cannot be read, and some of them must not be shown";
    compose::error(Some(raw), compose::INTERNAL, message, Some(r#"{"code":"TOOLS_UNREADABLE"}"#)).into()
}

fn renamed_one(text: &str, part: &RawValue, replacement: &str) -> Bytes {
    splice(text, &mut [(part.get(), replacement)], 0).into()
}
