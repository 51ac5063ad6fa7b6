//! Responses that are not a server's.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};

use super::Answer;
use super::body::{BridgeBody, Events};
use crate::message::compose;

/// After this many seconds a session may have become free.
const RETRY_SECONDS: &str = "30";

/// A JSON-RPC error; without an id when the request has none we know of.
pub(crate) fn refuse(status: StatusCode, id: Option<&str>, code: i64, message: &str) -> Answer {
    json(status, compose::error(id, code, message, None).into())
}

pub(crate) fn refuse_with(status: StatusCode, id: &str, code: i64, message: &str, data: &str) -> Answer {
    json(status, compose::error(Some(id), code, message, Some(data)).into())
}

pub(crate) fn sessions_exhausted(id: &str, max: usize) -> Answer {
    let message = format!("all {max} sessions of this instance are in use; end one, or try again later");
    let data = r#"{"code":"SESSIONS_EXHAUSTED"}"#;
    let mut answer = refuse_with(StatusCode::TOO_MANY_REQUESTS, id, compose::REFUSED, &message, data);
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
