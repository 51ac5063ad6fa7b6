//! Sending: one POST per message.

use std::rc::Rc;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tokio::time::timeout;

use super::Conversation;
use super::table::Request;
use crate::Transport;
use crate::client::{Answer, Outgoing, Trouble};
use crate::message::{self, Envelope};
use crate::sse::Position;

/// Longest error body that is looked at for a JSON-RPC error.
const MAX_ERROR_BODY: usize = 1024 * 1024;

/// Why a request has no answer of the server's.
pub(super) enum Failure {
    /// An error of the server's under its own terms; a whole message.
    Theirs(Bytes),
    /// What we have to say.
    Ours(String),
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        Self::Ours(trouble.to_string())
    }
}

impl Conversation {
    /// Sends a request, and brings back whatever belongs to it until it is answered.
    pub(super) async fn carry_out(self: &Rc<Self>, request: &Request, headers: HeaderMap, line: Bytes) {
        let done = match self.upstream.transport {
            Transport::Sse => self.post_aside(request, headers, line).await,
            Transport::StreamableHttp if request.modern => self.modern_request(request, headers, line).await,
            Transport::StreamableHttp => self.legacy_request(request, headers, line).await,
        };
        match done {
            Ok(()) => {}
            Err(Failure::Theirs(line)) => {
                if self.table.borrow_mut().remove(request).is_some() {
                    self.say(line).await;
                }
            }
            Err(Failure::Ours(why)) if request.lasts => {
                if self.table.borrow_mut().remove(request).is_some() {
                    self.say(message::cancelled(&request.raw, &why)).await;
                }
            }
            Err(Failure::Ours(why)) => self.fail(request, message::INTERNAL, &why).await,
        }
    }

    /// Posts a message; a server that is gone ends the conversation.
    pub(super) async fn post(&self, outgoing: &Outgoing) -> Result<Answer, Trouble> {
        let reached = self.client.was_reached();
        let sent = self.client.send(outgoing).await;
        if reached && matches!(sent, Err(Trouble::Refused)) {
            self.end("the server does not listen any more");
        }
        sent
    }

    /// A POST of this message with the headers that every one has.
    pub(super) fn outgoing(&self, headers: HeaderMap, line: Bytes) -> Outgoing {
        let mut outgoing = Outgoing::new(Method::POST);
        outgoing.headers = headers;
        outgoing.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        outgoing.headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        outgoing.body = line;
        outgoing.path.clone_from(&self.session.borrow().endpoint);
        outgoing
    }

    /// Sends a notification or an answer after all requests before it, and waits until it is accepted. Whether it was.
    pub(super) async fn send_in_order(self: &Rc<Self>, line: Bytes, headers: Option<HeaderMap>) -> bool {
        if self.upstream.transport == Transport::Sse && self.session.borrow().endpoint.is_none() {
            self.skip();
            return false;
        }
        let mut before = self.leaving.take();
        before.retain(|gate| !gate.is_settled());
        let mut outgoing = self.outgoing(headers.unwrap_or_else(|| self.legacy_headers(false)), line);
        let in_order = async {
            for gate in &before {
                gate.left().await;
            }
            outgoing.alone = before.iter().any(|gate| !gate.is_settled());
            let answer = self.post(&outgoing).await?;
            let status = answer.status;
            // The connection is only used again when nothing is left on it. An event stream may stay open: let it go.
            if !answer.is_events() {
                answer.whole(MAX_ERROR_BODY).await?;
            }
            Ok::<_, Trouble>(status)
        };
        match timeout(self.upstream.limits.notification_timeout, in_order).await {
            Ok(Ok(StatusCode::NOT_FOUND)) if self.has_session() => {
                self.end(SESSION_GONE);
                false
            }
            Ok(Ok(status)) => status.is_success(),
            _ => false,
        }
    }

    /// The answer to a request that the server refused by a status.
    pub(super) async fn refusal(&self, request: &Request, answer: Answer) -> Failure {
        let status = answer.status;
        let body = answer.whole(MAX_ERROR_BODY).await.unwrap_or_default();
        if let Ok(text) = std::str::from_utf8(&body)
            && let Some(envelope) = Envelope::read(text)
            && envelope.error_code().is_some()
            && let Some(line) = message::with_id(text, &envelope, &request.raw)
        {
            return Failure::Theirs(message::on_one_line(&line));
        }
        Failure::Ours(format!("the server answered with HTTP status {status}"))
    }

    /// Brings an answer of any kind to the bridge. The position is where an event stream broke off before the answer.
    pub(super) async fn take_answer(
        self: &Rc<Self>,
        request: &Request,
        answer: Answer,
    ) -> Result<Option<Position>, Failure> {
        if answer.is_events() {
            return self.take_events(request, answer).await;
        }
        let status = answer.status;
        let body = answer.whole(self.upstream.limits.max_message).await?;
        if body.trim_ascii().is_empty() {
            return Err(Failure::Ours(format!("the server gave no answer, only HTTP status {status}")));
        }
        self.deliver(body, Some(request)).await;
        if self.table.borrow().has(request) {
            return Err(Failure::Ours("what the server answered is no answer to the request".to_owned()));
        }
        Ok(None)
    }
}

/// Said when a session that we named is not known.
pub(super) const SESSION_GONE: &str = "the server has ended the session";
