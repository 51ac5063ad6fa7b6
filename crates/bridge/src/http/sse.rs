//! Clients of the first revision: one event stream for everything that comes back, and a place to post to (2024-11-05,
//! Transports: HTTP with SSE). A session lasts as long as its stream, and has a server process of its own.
//!
//! ```text
//!  GET  /sse                        event: endpoint   data: messages?session_id=…
//!  POST /messages?session_id=…      202, and the answer is an event of the stream
//! ```
//! The place to post to is named relative to the stream, so both work behind any prefix.

use std::rc::Rc;

use http::header::ACCEPT;
use http::request::Parts;
use http::{Method, StatusCode};
use http_body::Body;
use tokio::time::Instant;

use super::accept::Accept;
use super::answer;
use super::body::Events;
use super::exchange::Exchange;
use super::intake;
use super::legacy::{self, Incoming};
use super::{Answer, draining, is_json, not_a_message};
use crate::bridge::Inner;
use crate::message::{Envelope, compose};
use crate::server::{CallKind, Server};
use crate::stream::Stream;

pub(super) const STREAM: &str = "/sse";
pub(super) const MESSAGES: &str = "/messages";

/// Origin and host have been looked at.
pub(super) async fn serve<B: Body>(inner: &Rc<Inner>, head: &Parts, body: B) -> Answer {
    let path = head.uri.path();
    let streams = path.trim_end_matches('/') == STREAM;
    match (&head.method, streams) {
        (&Method::GET, true) => open(inner, head).await,
        (&Method::POST, false) => {
            inner.shared.touch();
            post(inner, head, body).await
        }
        _ => answer::only(if streams { "GET" } else { "POST" }),
    }
}

async fn open(inner: &Rc<Inner>, head: &Parts) -> Answer {
    if !Accept::read(head.headers.get_all(ACCEPT)).events {
        let message = "the client has to accept text/event-stream";
        return answer::refuse(StatusCode::NOT_ACCEPTABLE, None, compose::REFUSED, message);
    }
    let Some(place) = inner.shared.streams.take() else {
        return answer::streams_exhausted(None, inner.shared.config.max_streams);
    };
    inner.shared.touch();
    let opened = match legacy::open(inner, None).await {
        Ok(opened) => opened,
        Err(refusal) => return *refusal,
    };
    let server = Rc::clone(opened.server());
    let stream = Stream::of_session(&inner.shared);
    server.open_channel(&stream);
    let id = inner.keep_session(opened);
    let exchange = Exchange::of_session(inner, &server, stream, place);
    // Relative to `/sse/` the neighbour is one step up.
    let up = if head.uri.path().ends_with('/') { "../" } else { "" };
    let endpoint = format!("{up}messages?session_id={id}");
    answer::events(StatusCode::OK, Events::opened_with(exchange, "endpoint", &endpoint))
}

async fn post<B: Body>(inner: &Rc<Inner>, head: &Parts, body: B) -> Answer {
    if !is_json(&head.headers) {
        let message = "the body has to be application/json";
        return answer::refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, None, compose::REFUSED, message);
    }
    let Some(id) = session_id(head) else {
        let message = "the session id is missing; open the event stream first";
        return answer::refuse(StatusCode::BAD_REQUEST, None, compose::REFUSED, message);
    };
    if find(inner, id).is_none() {
        return legacy::no_session();
    }
    let body = match intake::collect(&inner.shared.config, body).await {
        Ok(body) => body,
        Err(refusal) => return *refusal,
    };
    let Some((server, stream)) = find(inner, id) else { return legacy::no_session() };
    let Ok(message) = std::str::from_utf8(&body) else {
        return answer::refuse(StatusCode::BAD_REQUEST, None, compose::PARSE, "the body is not UTF-8");
    };
    let incoming = match Envelope::read(message) {
        Ok(envelope) if envelope.says_version_2() => Incoming::read(&envelope, message.len(), &head.headers),
        _ => None,
    };
    let Some(incoming) = incoming else { return not_a_message(None) };
    take(inner, &server, &stream, incoming, body).await
}

async fn take(
    inner: &Rc<Inner>,
    server: &Rc<Server>,
    stream: &Rc<Stream>,
    incoming: Incoming,
    body: Vec<u8>,
) -> Answer {
    let sent = match incoming {
        Incoming::Request(asking) => {
            if inner.is_draining() {
                return draining(&asking.raw);
            }
            if asking.kind == CallKind::Initialize && server.is_initialized() {
                let message = "this session has begun already";
                let code = compose::INVALID_REQUEST;
                return answer::refuse(StatusCode::BAD_REQUEST, Some(&asking.raw), code, message);
            }
            if stream.is_full() {
                // Answers always pass, so a client that does not read them may not ask for more.
                return answer::stream_stalled(&asking.raw);
            }
            let deadline = Instant::now() + inner.shared.config.call_timeout;
            let (id, raw) = (asking.id.clone(), asking.raw.clone());
            if let Err(refused) = asking.register(server, stream, deadline) {
                return legacy::refusal(inner, &refused, &raw);
            }
            server.watch(stream, deadline);
            let sent = server.send(intake::line(body)).await;
            if sent.is_err() {
                server.unregister(&id);
            }
            sent
        }
        other => legacy::pass_on(server, &other, body).await,
    };
    match sent {
        Ok(()) => answer::empty(StatusCode::ACCEPTED),
        Err(why) => answer::refuse(StatusCode::SERVICE_UNAVAILABLE, None, compose::INTERNAL, why),
    }
}

fn session_id(head: &Parts) -> Option<&str> {
    let pairs = head.uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    // The ids of ours need no percent encoding. Some clients insist on the other spelling of the name.
    pairs.filter(|(name, _)| matches!(*name, "session_id" | "sessionId")).map(|(_, id)| id).next()
}

/// The server process and the stream of a session that came this way.
fn find(inner: &Inner, id: &str) -> Option<(Rc<Server>, Rc<Stream>)> {
    let server = inner.session(id)?;
    let stream = server.channel()?;
    Some((server, stream))
}
