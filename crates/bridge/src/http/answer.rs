//! Responses that are not a server's.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};

use super::Answer;
use super::body::{BridgeBody, Events};
use crate::message::compose;

/// After this many seconds what was exhausted may have become free, and what was away come back.
const RETRY_SECONDS: &str = "5";

/// A JSON-RPC error; without an id when the request has none we know of.
pub(crate) fn refuse(status: StatusCode, id: Option<&str>, code: i64, message: &str) -> Answer {
    json(status, compose::error(id, code, message, None).into())
}

pub(crate) fn refuse_with(status: StatusCode, id: &str, code: i64, message: &str, data: &str) -> Answer {
    json(status, compose::error(Some(id), code, message, Some(data)).into())
}

pub(crate) fn refuse_without_id(status: StatusCode, code: i64, message: &str, data: &str) -> Answer {
    json(status, compose::error(None, code, message, Some(data)).into())
}

/// There is no server process now; the next try may find one.
pub(crate) fn no_server(id: Option<&str>, why: &str) -> Answer {
    let mut answer = refuse(StatusCode::SERVICE_UNAVAILABLE, id, compose::INTERNAL, why);
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(RETRY_SECONDS));
    answer
}

pub(crate) fn sessions_exhausted(id: Option<&str>, max: usize) -> Answer {
    let message = format!("all {max} sessions of this instance are in use; end one, or try again later");
    exhausted(id, &message, "SESSIONS_EXHAUSTED")
}

pub(crate) fn streams_exhausted(id: Option<&str>, max: usize) -> Answer {
    let message = format!("all {max} streams of this instance are in use; close one, or try again later");
    exhausted(id, &message, "STREAMS_EXHAUSTED")
}

pub(crate) fn listens_exhausted(id: Option<&str>, max: usize) -> Answer {
    let message =
        format!("all {max} subscriptions of this instance are in use; close one, or try again later");
    exhausted(id, &message, "LISTENS_EXHAUSTED")
}

pub(crate) fn calls_exhausted(id: &str, max: usize) -> Answer {
    let message = format!("the server has {max} calls at one time; wait for one to be answered");
    exhausted(Some(id), &message, "CALLS_EXHAUSTED")
}

pub(crate) fn stream_stalled(id: &str) -> Answer {
    let message = "the event stream of this session is not being read; read it before you ask for more";
    exhausted(Some(id), message, "STREAM_STALLED")
}

/// A limit was reached; `code` names it and stays the same for ever.
fn exhausted(id: Option<&str>, message: &str, code: &str) -> Answer {
    let data = format!("{{\"code\":\"{code}\"}}");
    let error = compose::error(id, compose::REFUSED, message, Some(&data));
    let mut answer = json(StatusCode::TOO_MANY_REQUESTS, error.into());
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(RETRY_SECONDS));
    answer
}

pub(crate) fn method_not_allowed(stateless: bool) -> Answer {
    let mut answer =
        refuse(StatusCode::METHOD_NOT_ALLOWED, None, compose::REFUSED, "this method is not served here");
    let allowed = if stateless { "POST" } else { "GET, POST, DELETE" };
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    answer
}

/// Another method than the one that is served here.
pub(crate) fn only(method: &'static str) -> Answer {
    let mut answer = method_not_allowed(true);
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(method));
    answer
}

pub(crate) fn json(status: StatusCode, body: Bytes) -> Answer {
    let mut answer = Response::new(BridgeBody::full(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

pub(crate) fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(BridgeBody::empty());
    *answer.status_mut() = status;
    answer
}

pub(crate) fn events(status: StatusCode, events: Events) -> Answer {
    let mut answer = Response::new(BridgeBody::events(events));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    answer
}
