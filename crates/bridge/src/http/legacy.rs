//! Requests with sessions: one session, one server process.

use std::rc::Rc;

use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::time::Instant;

use super::accept::Accept;
use super::answer;
use super::exchange::{Exchange, Outcome};
use super::intake;
use super::{Answer, SESSION, VERSION, draining, text};
use crate::bridge::{Inner, NoRoom, Opened};
use crate::launcher::EndReason;
use crate::message::{Envelope, Id, Kind, compose};
use crate::server::{Call, CallKind, Refused, Server, Token};
use crate::stream::Stream;
use crate::usage::{Fact, Tally};
use crate::version;

/// A message of a client, with all that routing needs of it.
pub(crate) enum Incoming {
    Request(Asking),
    Notification { cancels: Option<Id>, is_cancel: bool, is_initialized: bool },
    Response { id: Id },
}

/// A request of a client.
#[derive(Clone)]
pub(crate) struct Asking {
    pub(crate) id: Id,
    pub(crate) raw: Box<str>,
    pub(crate) kind: CallKind,
    token: Option<Id>,
    /// A ping asks for nothing but an answer.
    is_ping: bool,
    /// What is known of it for the fact that will be told.
    fact: Option<Fact>,
}

impl Incoming {
    /// Reads a message of so many bytes.
    pub(crate) fn read(envelope: &Envelope<'_>, bytes: usize, headers: &HeaderMap) -> Option<Self> {
        let params = envelope.params.as_ref();
        Some(match envelope.kind() {
            Kind::Request { method, id, raw } => {
                let task = params.and_then(|params| Id::read(params.task_id?));
                let kind = match (method, task) {
                    ("initialize", _) => CallKind::Initialize,
                    ("tasks/result", Some(task)) => CallKind::TaskResult(task),
                    ("tools/list", _) => {
                        let first = params.is_none_or(|params| params.cursor.is_none());
                        CallKind::ToolList { first }
                    }
                    _ => CallKind::Other,
                };
                let token = envelope.meta().and_then(|meta| Id::read(meta.progress_token?));
                let fact = Fact::of(method, envelope, bytes, headers);
                Self::Request(Asking { id, raw: raw.into(), kind, token, is_ping: method == "ping", fact })
            }
            Kind::Notification { method } => Self::Notification {
                cancels: params.and_then(|params| Id::read(params.request_id?)),
                is_cancel: method == "notifications/cancelled",
                is_initialized: method == "notifications/initialized",
            },
            Kind::Response { id } => Self::Response { id },
            Kind::Neither => return None,
        })
    }
}

impl Asking {
    pub(crate) fn register(
        self,
        server: &Server,
        stream: &Rc<Stream>,
        deadline: Instant,
    ) -> Result<(), Refused> {
        let call = Call {
            stream: Rc::clone(stream),
            raw: self.raw,
            kind: self.kind,
            token: self.token.map(Token::Kept),
            logs: true,
            deadline: Some(deadline),
            counted: (!self.is_ping).then(|| stream.requests().begin()),
            tally: self.fact.map(Tally::new),
        };
        server.register(self.id, call)
    }
}

pub(crate) async fn post(
    inner: &Rc<Inner>,
    headers: &HeaderMap,
    accept: Accept,
    incoming: Incoming,
    body: Vec<u8>,
) -> Answer {
    let asking = match incoming {
        Incoming::Request(asking) if asking.kind == CallKind::Initialize => {
            return initialize(inner, accept, asking, body).await;
        }
        Incoming::Request(asking) => asking,
        Incoming::Notification { .. } | Incoming::Response { .. } => {
            return match session(inner, headers).await {
                Ok(server) => match pass_on(&server, &incoming, body).await {
                    Ok(()) => answer::empty(StatusCode::ACCEPTED),
                    Err(why) => answer::refuse(StatusCode::SERVICE_UNAVAILABLE, None, compose::INTERNAL, why),
                },
                Err(refusal) => *refusal,
            };
        }
    };
    if inner.is_draining() {
        return draining(&asking.raw);
    }
    // Until the call is in the server's table, where it counts by itself.
    let coming = (!asking.is_ping).then(|| inner.shared.requests.begin());
    let found = session(inner, headers).await;
    drop(coming);
    match found {
        Ok(server) => call(inner, &server, accept, asking, body).await.0,
        Err(refusal) => *refusal,
    }
}

/// Hands a notification or an answer to the server, unless it is about something the server has done with.
pub(crate) async fn pass_on(server: &Server, incoming: &Incoming, body: Vec<u8>) -> Result<(), &'static str> {
    let wanted = match incoming {
        Incoming::Notification { is_cancel: true, cancels, .. } => {
            cancels.as_ref().is_some_and(|id| server.cancel(id))
        }
        Incoming::Response { id } => server.take_answer(id),
        Incoming::Notification { .. } | Incoming::Request(_) => true,
    };
    if !wanted {
        return Ok(());
    }
    let line = intake::line(body);
    if matches!(incoming, Incoming::Notification { is_initialized: true, .. }) && server.may_need_hello() {
        server.remember_initialized(line.clone().into());
    }
    server.send(line).await
}

async fn call(
    inner: &Rc<Inner>,
    server: &Rc<Server>,
    accept: Accept,
    asking: Asking,
    body: Vec<u8>,
) -> (Answer, Outcome) {
    let Some(place) = inner.shared.streams.take() else {
        let full = answer::streams_exhausted(Some(&asking.raw), inner.shared.config.max_streams);
        return (full, Outcome::Error);
    };
    let starts = asking.kind == CallKind::Initialize;
    // Nothing may come before the answer to `initialize`, so its head can wait for it.
    let hold = (!starts).then_some(inner.shared.config.head_hold);
    let stream = Stream::of_calls(&inner.shared, 1, accept.events && !starts);
    let deadline = Instant::now() + inner.shared.config.call_timeout;
    let (id, raw) = (asking.id.clone(), asking.raw.clone());
    if let Err(refused) = asking.register(server, &stream, deadline) {
        return (refusal(inner, &refused, &raw), Outcome::Error);
    }
    let exchange = Exchange::of_calls(&inner.shared, server, stream, Some(deadline), place);
    let exchange = if starts { exchange.for_good() } else { exchange };
    let line = intake::line(body);
    if starts && server.may_need_hello() {
        server.remember_initialize(id.clone(), line.clone().into());
    }
    if let Err(why) = server.send(line).await {
        server.unregister(&id);
        let answer = answer::refuse(StatusCode::SERVICE_UNAVAILABLE, Some(&raw), compose::INTERNAL, why);
        return (answer, Outcome::Error);
    }
    exchange.respond(accept, hold).await
}

pub(crate) fn refusal(inner: &Inner, refused: &Refused, raw: &str) -> Answer {
    match refused {
        Refused::IdInUse => {
            let message = "a request with this id is not answered yet";
            answer::refuse(StatusCode::BAD_REQUEST, Some(raw), compose::INVALID_REQUEST, message)
        }
        Refused::TooMany => answer::calls_exhausted(raw, inner.shared.config.max_calls),
        Refused::Ended => {
            let message = "the server has ended";
            answer::refuse(StatusCode::OK, Some(raw), compose::INTERNAL, message)
        }
        // As a server itself would refuse it: a model is to read it, whatever its client makes of other statuses.
        Refused::Tool(why) => {
            let (code, message, data) = why.said();
            answer::refuse_with(StatusCode::OK, raw, code, &message, &data)
        }
    }
}

async fn initialize(inner: &Rc<Inner>, accept: Accept, asking: Asking, body: Vec<u8>) -> Answer {
    let raw = asking.raw.clone();
    let coming = inner.shared.requests.begin();
    let opened = open(inner, Some(&asking.raw)).await;
    drop(coming);
    let mut opened = match opened {
        Ok(opened) => opened,
        Err(refusal) => return *refusal,
    };
    let server = Rc::clone(opened.server());
    let again = (asking.clone(), body.clone());
    let (mut answer, mut outcome) = call(inner, &server, accept, asking, body).await;
    if matches!(outcome, Outcome::Error)
        && opened.is_native()
        && inner.is_modern_after_all(server.is_alive()).await
    {
        // The server only speaks the other era: the handshake is repeated with a translator.
        drop(opened);
        opened = match inner.open_translated_session() {
            Ok(opened) => opened,
            Err(_) => return answer::sessions_exhausted(Some(&raw), inner.shared.config.max_sessions),
        };
        let server = Rc::clone(opened.server());
        (answer, outcome) = call(inner, &server, accept, again.0, again.1).await;
    }
    if matches!(outcome, Outcome::Result) {
        let id = inner.keep_session(opened);
        let value = HeaderValue::from_str(&id).expect("session ids are visible ASCII");
        answer.headers_mut().insert(SESSION, value);
    }
    answer
}

/// A server process for a new session. `raw` is the id of the request that wants it, if it has one.
pub(crate) async fn open(inner: &Rc<Inner>, raw: Option<&str>) -> Result<Opened, Box<Answer>> {
    if inner.is_modern_only() {
        let supported = inner.supported_versions();
        let message = format!("this server does not know initialize; it speaks {supported}");
        let data = format!("{{\"supported\":{supported}}}");
        let error = compose::error(raw, compose::UNSUPPORTED_VERSION, &message, Some(&data));
        return Err(answer::json(StatusCode::BAD_REQUEST, error.into()).into());
    }
    if inner.is_draining() {
        return Err(draining(raw.unwrap_or("null")).into());
    }
    inner.open_session().await.map_err(|failure| {
        Box::new(match failure {
            NoRoom::Exhausted => answer::sessions_exhausted(raw, inner.shared.config.max_sessions),
            NoRoom::NoServer(why) => answer::no_server(raw, &why),
        })
    })
}

/// The server process of the session that the request names.
pub(crate) async fn session(inner: &Rc<Inner>, headers: &HeaderMap) -> Result<Rc<Server>, Box<Answer>> {
    let Some(id) = text(headers, SESSION) else {
        let message = "the session id is missing; start with initialize";
        return Err(answer::refuse(StatusCode::BAD_REQUEST, None, compose::REFUSED, message).into());
    };
    let server = match inner.session_or_revived(id).await {
        Ok(server) => server.filter(|server| !server.has_channel()),
        Err(why) => return Err(answer::no_server(None, &why).into()),
    };
    let Some(server) = server else { return Err(no_session().into()) };
    match text(headers, VERSION) {
        Some(version) if !version::is_known_legacy(version) && !server.version_is(version) => {
            let message = "the protocol version is not supported";
            Err(answer::refuse(StatusCode::BAD_REQUEST, None, compose::REFUSED, message).into())
        }
        _ => Ok(server),
    }
}

pub(crate) fn no_session() -> Answer {
    let message = "there is no such session; start with initialize";
    answer::refuse(StatusCode::NOT_FOUND, None, compose::SESSION_NOT_FOUND, message)
}

pub(crate) async fn delete(inner: &Rc<Inner>, headers: &HeaderMap) -> Answer {
    if text(headers, SESSION).is_some_and(|id| inner.forget_ended_session(id)) {
        return answer::empty(StatusCode::NO_CONTENT);
    }
    match session(inner, headers).await {
        Ok(server) => {
            inner.shared.touch();
            server.end(EndReason::SessionDeleted, "its client ended the session");
            inner.forget(&server);
            answer::empty(StatusCode::NO_CONTENT)
        }
        Err(refusal) => *refusal,
    }
}
