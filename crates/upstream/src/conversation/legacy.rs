//! Streamable HTTP with sessions (2025-03-26 to 2025-11-25, Transports).

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tokio::time::{Instant, sleep, timeout};

use super::Conversation;
use super::answer::Ending;
use super::post::{Failure, SESSION_GONE};
use super::table::Request;
use crate::Transport;
use crate::client::{Answer, Outgoing, Trouble};
use crate::sse::{Parser, Position};

pub(super) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
pub(super) const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");

/// How long the stream of a cancelled request may still bring something. Many servers leave it open for ever.
const AFTER_CANCEL: Duration = Duration::from_secs(2);
/// Failed tries after which a broken stream is given up.
const MAX_TRIES: u32 = 5;
/// The pause before a stream is asked for again when the server names none, and what it grows to.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The longest pause that a server may ask for.
const LONGEST_RETRY: Duration = Duration::from_mins(5);

impl Conversation {
    pub(super) fn legacy_headers(&self, starts: bool) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if !starts {
            let session = self.session.borrow();
            headers.extend(session.id.clone().map(|id| (SESSION, id)));
            headers.extend(session.version.clone().map(|version| (VERSION, version)));
        }
        headers
    }

    pub(super) fn has_session(&self) -> bool {
        self.session.borrow().id.is_some()
    }

    pub(super) async fn legacy_request(
        self: &Rc<Self>,
        request: &Request,
        headers: HeaderMap,
        line: Bytes,
    ) -> Result<(), Failure> {
        let in_session = headers.contains_key(SESSION);
        let mut outgoing = self.outgoing(headers, line);
        outgoing.gate = Rc::clone(&request.gate);
        let answer = self.post(&outgoing).await?;
        if in_session && answer.status == StatusCode::NOT_FOUND {
            self.end(SESSION_GONE);
            return Err(Failure::Ours(SESSION_GONE.to_owned()));
        }
        if !answer.status.is_success() {
            return Err(self.refusal(request, answer).await);
        }
        if &*request.method == "initialize" {
            self.session.borrow_mut().id = answer.headers.get(SESSION).cloned();
        }
        match self.take_answer(request, answer).await? {
            None => Ok(()),
            Some(position) => self.resume(request, position).await,
        }
    }

    /// Goes on with the stream of a request that ended before the answer (2025-11-25, Resumability and Redelivery).
    async fn resume(self: &Rc<Self>, request: &Request, mut position: Position) -> Result<(), Failure> {
        let mut failed = 0;
        loop {
            let Some(last) = position.last_id.as_deref() else {
                return Err(Failure::Ours("the event stream ended before the answer".to_owned()));
            };
            let pause = FIRST_PAUSE * 2_u32.saturating_pow(failed);
            sleep(position.retry.map_or(pause, |retry| retry.min(LONGEST_RETRY))).await;
            let mut answer = match self.get(Some(last)).await {
                Ok(answer) if answer.status.is_success() && answer.is_events() => answer,
                Ok(answer) => {
                    let status = answer.status;
                    let why =
                        format!("the event stream broke and could not be resumed: HTTP status {status}");
                    return Err(Failure::Ours(why));
                }
                Err(trouble) if failed + 1 >= MAX_TRIES => return Err(trouble.into()),
                Err(_) => {
                    failed += 1;
                    continue;
                }
            };
            failed = 0;
            let mut parser = Parser::new(self.upstream.limits.max_message, position);
            match self.read_events(&mut answer, &mut parser, Some(request)).await {
                Ending::Answered => return Ok(()),
                Ending::TooLong => return Err(self.too_long()),
                Ending::Over => position = parser.position().clone(),
            }
        }
    }

    /// Asks for an event stream; with the id of an event, for what came after it.
    async fn get(&self, last: Option<&str>) -> Result<Answer, Trouble> {
        let mut outgoing = Outgoing::new(Method::GET);
        outgoing.headers = self.legacy_headers(false);
        outgoing.headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        if let Some(last) = last.and_then(|last| HeaderValue::from_str(last).ok()) {
            outgoing.headers.insert(LAST_EVENT, last);
        }
        let answer = self.post(&outgoing).await?;
        if answer.status == StatusCode::NOT_FOUND && self.has_session() {
            self.end(SESSION_GONE);
        }
        Ok(answer)
    }

    /// Opens the stream for what belongs to no request, once.
    pub(super) fn listen_once(self: &Rc<Self>) {
        {
            let mut session = self.session.borrow_mut();
            if self.upstream.transport == Transport::Sse || !session.established || session.listening {
                return;
            }
            session.listening = true;
        }
        let this = Rc::clone(self);
        tokio::task::spawn_local(async move {
            this.closing.run_until_cancelled(this.listen()).await;
        });
    }

    /// Keeps that stream open as long as the server offers one (2025-11-25, Listening for Messages from the Server).
    async fn listen(self: &Rc<Self>) {
        let mut position = Position::default();
        let mut pause = FIRST_PAUSE;
        loop {
            let begun = Instant::now();
            match self.get(position.last_id.as_deref()).await {
                Ok(mut answer) if answer.status.is_success() && answer.is_events() => {
                    let mut parser = Parser::new(self.upstream.limits.max_message, position);
                    self.read_events(&mut answer, &mut parser, None).await;
                    position = parser.position().clone();
                }
                Ok(answer) if !may_change(answer.status) => return,
                Ok(_) | Err(_) => {}
            }
            if begun.elapsed() > LONGEST_PAUSE {
                pause = FIRST_PAUSE;
            }
            sleep(position.retry.map_or(pause, |retry| retry.min(LONGEST_RETRY))).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The client has cancelled: late answers are not wanted, and the connection is closed after a while.
    pub(super) fn give_up_later(&self, request: &Request) {
        self.table.borrow_mut().remove(request);
        let cancel = request.cancel.clone();
        tokio::task::spawn_local(async move {
            // Ends by itself when the conversation ends.
            if timeout(AFTER_CANCEL, cancel.cancelled()).await.is_err() {
                cancel.cancel();
            }
        });
    }

    /// Tells the server that the session is not needed any more (2025-11-25, Session Management).
    pub(super) async fn delete_session(&self) {
        if !self.has_session() {
            return;
        }
        let mut outgoing = Outgoing::new(Method::DELETE);
        outgoing.headers = self.legacy_headers(false);
        // Whatever it answers, there is nothing left to do.
        let _ = timeout(self.upstream.limits.farewell, self.client.send(&outgoing)).await;
    }
}

/// Whether a server that answers a GET like this may answer otherwise later.
fn may_change(status: StatusCode) -> bool {
    let again = [
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::CONFLICT,
        StatusCode::TOO_EARLY,
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::INTERNAL_SERVER_ERROR,
        StatusCode::BAD_GATEWAY,
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::GATEWAY_TIMEOUT,
    ];
    again.contains(&status)
}
