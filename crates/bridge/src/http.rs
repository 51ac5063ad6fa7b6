//! The MCP endpoint: which request is let in, and whose it is.

mod accept;
mod answer;
mod batch;
mod body;
mod exchange;
mod get;
pub(crate) mod header;
mod intake;
mod legacy;
mod modern;
pub(crate) mod params;
mod sse;

use std::rc::Rc;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body;

use crate::bridge::Inner;
use crate::config::Era;
use crate::message::{Envelope, Unreadable, compose};
use crate::origin;
use crate::version;
use accept::Accept;
pub use body::BridgeBody;

/// The one path that answers.
const PATH: &str = "/mcp";
const VERSION: &str = "mcp-protocol-version";
const SESSION: &str = "mcp-session-id";

type Answer = Response<BridgeBody>;

/// How a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// On the instance's own port, where a browser may have been led by a name that points to a loopback address.
    Port,
    /// Through the gateway, which has looked at the host name it is known by.
    Gateway,
}

pub(crate) async fn serve<B>(inner: &Rc<Inner>, request: Request<B>, via: Via) -> Answer
where
    B: Body,
{
    let (head, body) = request.into_parts();
    let path = head.uri.path().trim_end_matches('/');
    let old = [sse::STREAM, sse::MESSAGES].contains(&path);
    if path != PATH && !old {
        return answer::refuse(
            StatusCode::NOT_FOUND,
            None,
            compose::REFUSED,
            "there is nothing here; use /mcp",
        );
    }
    let config = &inner.shared.config;
    if !origin::origin_allowed(config, &head.headers) {
        return answer::refuse(StatusCode::FORBIDDEN, None, compose::REFUSED, "this origin may not call");
    }
    if via == Via::Port && !origin::host_allowed(config, &head.headers) {
        return answer::refuse(StatusCode::FORBIDDEN, None, compose::REFUSED, "this host name is not served");
    }
    if old {
        return sse::serve(inner, &head, body).await;
    }
    if head.method == Method::POST {
        inner.shared.touch();
        return post(inner, &head.headers, body).await;
    }
    // In front of a modern server only a translated session has a use for these methods.
    let stateless = inner.is_modern_only()
        || (config.era == Era::Modern && !head.headers.contains_key(SESSION))
        || text(&head.headers, VERSION).is_some_and(version::is_modern);
    match head.method {
        Method::GET if !stateless => get::get(inner, &head.headers).await,
        Method::DELETE if !stateless => legacy::delete(inner, &head.headers).await,
        _ => answer::method_not_allowed(stateless),
    }
}

async fn post<B: Body>(inner: &Rc<Inner>, headers: &HeaderMap, body: B) -> Answer {
    if !is_json(headers) {
        let message = "the body has to be application/json";
        return answer::refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, None, compose::REFUSED, message);
    }
    let accept = Accept::read(headers.get_all(ACCEPT));
    if !accept.json && !accept.events {
        let message = "the client has to accept application/json or text/event-stream";
        return answer::refuse(StatusCode::NOT_ACCEPTABLE, None, compose::REFUSED, message);
    }
    let body = match intake::collect(&inner.shared.config, body).await {
        Ok(body) => body,
        Err(refusal) => return *refusal,
    };
    let Ok(message) = std::str::from_utf8(&body) else {
        return answer::refuse(StatusCode::BAD_REQUEST, None, compose::PARSE, "the body is not UTF-8");
    };
    let modern_header = text(headers, VERSION).is_some_and(version::is_modern);
    let envelope = match Envelope::read(message) {
        Ok(envelope) => envelope,
        Err(Unreadable::NotAMessage) if message.trim_ascii_start().starts_with('[') && !modern_header => {
            return batch::post(inner, headers, accept, message).await;
        }
        Err(Unreadable::NotAMessage) => return not_a_message(None),
        Err(Unreadable::NotJson) => {
            return answer::refuse(StatusCode::BAD_REQUEST, None, compose::PARSE, "the body is not JSON");
        }
    };
    if !envelope.says_version_2() {
        return not_a_message(envelope.id.map(serde_json::value::RawValue::get));
    }
    if modern_header || envelope.meta().is_some_and(|meta| meta.protocol_version.is_some()) {
        return modern::post(inner, headers, accept, message, &envelope).await;
    }
    match legacy::Incoming::read(&envelope, message.len(), headers) {
        Some(incoming) => legacy::post(inner, headers, accept, incoming, body).await,
        None => not_a_message(None),
    }
}

fn not_a_message(id: Option<&str>) -> Answer {
    let message = "the body is not one JSON-RPC 2.0 message";
    answer::refuse(StatusCode::BAD_REQUEST, id, compose::INVALID_REQUEST, message)
}

fn draining(id: &str) -> Answer {
    let message = "the instance is shutting down";
    answer::refuse(StatusCode::SERVICE_UNAVAILABLE, Some(id), compose::INTERNAL, message)
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).map(|value| value.to_str().unwrap_or_default().trim_ascii())
}

fn is_json(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| {
        let kind = value.split(';').next().unwrap_or_default().trim_ascii();
        kind.eq_ignore_ascii_case("application/json")
    })
}
