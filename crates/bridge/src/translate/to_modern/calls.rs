//! Calls of a legacy client at a modern server.

use std::rc::Rc;

use bytes::Bytes;
use tokio::task::{AbortHandle, spawn_local};

use super::rounds::Round;
use super::{Object, Refusal, ToModern};
use crate::message::{Envelope, Id, Kind, compose};
use crate::server::{CallKind, Server, Token};
use crate::translate::json::{Writer, quoted};
use crate::translate::link::{self, NotSent, Outgoing};
use crate::translate::{codes, may_need_input};

/// A call that the client has not got an answer to.
pub(super) struct Work {
    pub(super) raw: Box<str>,
    pub(super) method: Box<str>,
    /// Kept for the retry, where the method may need one.
    params: Rc<Writer>,
    meta: Rc<Writer>,
    token: Option<Box<str>>,
    at: Option<At>,
    task: Option<AbortHandle>,
    pub(super) round: Option<Round>,
    pub(super) rounds: u32,
}

/// Where a call is at the moment.
struct At {
    server: Rc<Server>,
    number: i64,
    sent: bool,
}

impl Work {
    /// Nobody wants the answer any more.
    pub(super) fn give_up(self, reason: &str) {
        if let Some(task) = &self.task {
            task.abort();
        }
        if let Some(at) = &self.at {
            link::cancel(&at.server, at.number, at.sent, reason);
        }
    }
}

impl ToModern {
    pub(super) fn call(self: &Rc<Self>, method: &str, id: &Id, raw: &str, params: &Object<'_>) {
        let meta = Object::of(params.get("_meta"));
        let needs_input = may_need_input(method);
        let work = Work {
            raw: raw.into(),
            method: method.into(),
            // A server without tasks ignores that one was wanted (2025-11-25, Tasks, Capability Negotiation).
            params: Rc::new(params.kept(|name| {
                name != "_meta"
                    && !(needs_input && matches!(name, "task" | "inputResponses" | "requestState"))
            })),
            meta: Rc::new(
                meta.kept(|name| name != "progressToken" && !name.starts_with("io.modelcontextprotocol/")),
            ),
            token: meta.get("progressToken").map(|raw| raw.get().into()),
            at: None,
            task: None,
            round: None,
            rounds: 0,
        };
        self.works.borrow_mut().insert(id.clone(), work);
        self.send_call(id, None);
    }

    /// Sends a call, or sends it again with what the server wanted to know.
    pub(super) fn send_call(self: &Rc<Self>, id: &Id, round: Option<Round>) {
        let (translator, of) = (Rc::clone(self), id.clone());
        let task = spawn_local(async move {
            if let Err(refusal) = translator.try_call(&of, round).await
                && let Some(work) = translator.works.borrow_mut().remove(&of)
            {
                translator.refuse(&work.raw, &refusal);
            }
        });
        if let Some(work) = self.works.borrow_mut().get_mut(id) {
            work.task = Some(task.abort_handle());
        }
    }

    async fn try_call(self: &Rc<Self>, id: &Id, round: Option<Round>) -> Result<(), Refusal> {
        let inner = self.inner.upgrade().ok_or_else(|| Refusal::internal("the bridge is gone"))?;
        let server = inner.modern_server().await.map_err(Refusal::from)?;
        let client = self.client.borrow().clone();
        let client = client.ok_or_else(|| Refusal::internal("the session has not begun"))?;
        let number = server.fresh_id();
        let outgoing = {
            let mut works = self.works.borrow_mut();
            let Some(work) = works.get_mut(id) else { return Ok(()) };
            work.at = Some(At { server: Rc::clone(&server), number, sent: false });
            let mut meta = (*work.meta).clone();
            client.add_to(&mut meta, self.level.get());
            if work.token.is_some() {
                meta.raw("progressToken", &number.to_string());
            }
            let mut params = Writer::with_room(work.params.len() + meta.len() + 256);
            params.members_of(&work.params);
            if let Some(round) = &round {
                round.add_to(&mut params);
            }
            params.raw("_meta", &meta.object());
            Outgoing {
                number,
                raw: work.raw.clone(),
                kind: CallKind::Other,
                token: work.token.clone().map(Token::Renamed),
                logs: client.changes.logging && self.level.get().is_some(),
                line: format!(
                    r#"{{"jsonrpc":"2.0","id":{number},"method":{},"params":{}}}"#,
                    quoted(&work.method),
                    params.object()
                ),
                stream: &self.stream,
            }
        };
        outgoing.send(&server).await.map_err(|NotSent(why)| Refusal::internal(why))?;
        if let Some(at) = self.works.borrow_mut().get_mut(id).and_then(|work| work.at.as_mut()) {
            at.sent = true;
        }
        Ok(())
    }

    /// The server has answered a call; the line carries the client's id again.
    pub(super) fn answered(self: &Rc<Self>, line: Bytes, code: Option<i64>) {
        let Ok(text) = std::str::from_utf8(&line) else { return };
        let Ok(envelope) = Envelope::read(text) else { return };
        let Kind::Response { id } = envelope.kind() else { return };
        let Some(method) = self.works.borrow().get(&id).map(|work| work.method.clone()) else { return };
        if let Some(code) = code {
            self.works.borrow_mut().remove(&id);
            return self.pass_error(&line, text, &method, code);
        }
        let kind = envelope.result.and_then(|result| Object::read(result.get())?.text("resultType"));
        match kind.as_deref() {
            None | Some("complete") => {
                self.works.borrow_mut().remove(&id);
                self.outbox.say(line);
            }
            Some("input_required") if may_need_input(&method) => {
                let result = Object::of(envelope.result);
                self.begin_round(&id, &result);
            }
            Some(other) => {
                let why =
                    format!("the server gave a result of kind {other}, which this revision does not have");
                self.fail_call(&id, &Refusal::internal(why));
            }
        }
    }

    fn pass_error(&self, line: &Bytes, text: &str, method: &str, code: i64) {
        let message = Object::read(text).unwrap_or_default();
        let error = Object::of(message.get("error"));
        let missing = method == "resources/read" && Object::of(error.get("data")).has("uri");
        let translated = codes::to_legacy(code, missing);
        if translated == code {
            return self.outbox.say(line.clone());
        }
        let mut renamed = Writer::default();
        for (name, value) in error.members().filter(|(name, _)| *name != "code") {
            renamed.raw(name, value);
        }
        renamed.raw("code", &translated.to_string());
        let mut out = message.kept(|name| name != "error");
        out.raw("error", &renamed.object());
        self.outbox.say(out.object());
    }

    pub(super) fn fail_call(&self, id: &Id, refusal: &Refusal) {
        if let Some(work) = self.works.borrow_mut().remove(id) {
            self.refuse(&work.raw, refusal);
        }
    }

    /// The client does not want this any more (2025-11-25, Cancellation).
    pub(super) fn cancel(&self, id: &Id) {
        let Some(work) = self.works.borrow_mut().remove(id) else { return };
        self.take_back_questions(id);
        work.give_up("the client has cancelled it");
    }

    /// A request of ours to the client is no longer of interest.
    pub(super) fn take_back(&self, question: &str) {
        let line = compose::cancelled(question, "the call it was for is over");
        self.outbox.say(line.trim_ascii_end().to_vec());
    }
}
