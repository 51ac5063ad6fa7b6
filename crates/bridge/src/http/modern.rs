//! Requests without sessions: every one says all that is needed, and all go to one shared server process under ids of ours.

use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, StatusCode};
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::accept::Accept;
use super::answer;
use super::exchange::Exchange;
use super::intake;
use super::legacy::refusal;
use super::{Answer, VERSION, draining, not_a_message, text};
use crate::bridge::{Inner, NoModern};
use crate::message::{Edit, Envelope, Id, Kind, compose, splice, string};
use crate::server::{Call, CallKind, Server, Token};
use crate::stream::Stream;
use crate::version;

const METHOD: &str = "mcp-method";
const NAME: &str = "mcp-name";

pub(crate) async fn post(
    inner: &Rc<Inner>,
    headers: &HeaderMap,
    accept: Accept,
    message: &str,
    envelope: &Envelope<'_>,
) -> Answer {
    match envelope.kind() {
        Kind::Request { method: "initialize", raw, .. } => {
            let message = "this revision has no initialize";
            answer::refuse(StatusCode::NOT_FOUND, Some(raw), compose::METHOD_NOT_FOUND, message)
        }
        Kind::Request { method, raw, .. } => {
            // Who only speaks legacy must say so at once and in no modern way, then a client of both eras goes on.
            if inner.is_legacy_only() {
                return legacy_only(raw);
            }
            if let Err(refusal) = check(headers, envelope, method, raw) {
                return *refusal;
            }
            if inner.is_draining() {
                return draining(raw);
            }
            call(inner, accept, message, envelope, method, raw).await
        }
        Kind::Notification { method } => notification(inner, headers, message, envelope, method).await,
        Kind::Response { .. } | Kind::Neither => not_a_message(None),
    }
}

fn legacy_only(raw: &str) -> Answer {
    let message = "this server speaks an older revision; start with initialize";
    answer::refuse(StatusCode::BAD_REQUEST, Some(raw), compose::REFUSED, message)
}

async fn call(
    inner: &Rc<Inner>,
    accept: Accept,
    message: &str,
    envelope: &Envelope<'_>,
    method: &str,
    raw: &str,
) -> Answer {
    let lasts = method == "subscriptions/listen";
    if lasts && !accept.events {
        let message = "the client has to accept text/event-stream";
        return answer::refuse(StatusCode::NOT_ACCEPTABLE, Some(raw), compose::REFUSED, message);
    }
    let server = match inner.modern_server().await {
        Ok(server) => server,
        Err(NoModern::LegacyOnly) => return legacy_only(raw),
        Err(NoModern::NoServer(why)) => {
            return answer::refuse(StatusCode::SERVICE_UNAVAILABLE, Some(raw), compose::INTERNAL, &why);
        }
    };
    let Some(place) = inner.shared.streams.take() else {
        return answer::streams_exhausted(Some(raw), inner.shared.config.max_streams);
    };
    let listen = if lasts { inner.shared.listens.take() } else { None };
    if lasts && listen.is_none() {
        return answer::listens_exhausted(Some(raw), inner.shared.config.max_listens);
    }
    let deadline = (!lasts).then(|| Instant::now() + inner.shared.config.call_timeout);
    let stream = if lasts {
        Stream::lasting(&inner.shared)
    } else {
        Stream::of_calls(&inner.shared, 1, accept.events)
    };
    let number = server.fresh_id();
    let meta = envelope.meta();
    let token = meta.and_then(|meta| meta.progress_token);
    let call = Call {
        stream: Rc::clone(&stream),
        raw: raw.into(),
        kind: if lasts { CallKind::Listen } else { CallKind::Other },
        token: token.map(|token| Token::Renamed(token.get().into())),
        logs: meta.is_some_and(|meta| meta.log_level.is_some()),
        deadline,
    };
    if let Err(refused) = server.register(Id::Number(number), call) {
        return refusal(inner, &refused, raw);
    }
    let exchange = Exchange::of_calls(&inner.shared, &server, stream, deadline, place).holding(listen);
    if let Err(why) = send(&server, number, message, raw, token).await {
        server.unregister(&Id::Number(number));
        return answer::refuse(StatusCode::SERVICE_UNAVAILABLE, Some(raw), compose::INTERNAL, why);
    }
    exchange.respond(accept, Some(inner.shared.config.head_hold)).await.0
}

async fn send(
    server: &Server,
    number: i64,
    message: &str,
    raw: &str,
    token: Option<&RawValue>,
) -> Result<(), &'static str> {
    let number = number.to_string();
    let mut edits: Vec<Edit<'_>> = vec![(raw, &number)];
    edits.extend(token.map(|token| (token.get(), number.as_str())));
    server.send(intake::line(splice(message, &mut edits, 1))).await
}

async fn notification(
    inner: &Rc<Inner>,
    headers: &HeaderMap,
    message: &str,
    envelope: &Envelope<'_>,
    method: &str,
) -> Answer {
    let version = envelope.meta().and_then(|meta| string(meta.protocol_version));
    let differs = match (text(headers, VERSION), version) {
        (None, _) => true,
        (Some(header), Some(version)) => header != version,
        (Some(_), None) => false,
    };
    if differs || text(headers, METHOD) != Some(method) {
        let message = "the headers and the body do not agree";
        return answer::refuse(StatusCode::BAD_REQUEST, None, compose::HEADER_MISMATCH, message);
    }
    // A stateless client cancels by closing its connection; an id in a message could be anybody's.
    if method != "notifications/cancelled"
        && let Some(server) = inner.running_modern_server()
        && let Err(why) = server.send(intake::line(message.as_bytes().to_vec())).await
    {
        return answer::refuse(StatusCode::SERVICE_UNAVAILABLE, None, compose::INTERNAL, why);
    }
    answer::empty(StatusCode::ACCEPTED)
}

/// The body must say what the revision demands, and the headers must say the same.
fn check(headers: &HeaderMap, envelope: &Envelope<'_>, method: &str, raw: &str) -> Result<(), Box<Answer>> {
    let meta = envelope.meta();
    let Some(version) = meta.and_then(|meta| string(meta.protocol_version)) else {
        return Err(
            bad(raw, compose::INVALID_PARAMS, "_meta lacks io.modelcontextprotocol/protocolVersion").into()
        );
    };
    let capable =
        meta.and_then(|meta| meta.client_capabilities).is_some_and(|value| value.get().starts_with('{'));
    if !capable {
        return Err(bad(
            raw,
            compose::INVALID_PARAMS,
            "_meta lacks io.modelcontextprotocol/clientCapabilities",
        )
        .into());
    }
    let mismatch = |message| Err(bad(raw, compose::HEADER_MISMATCH, message).into());
    if text(headers, VERSION) != Some(version.as_str()) {
        return mismatch("MCP-Protocol-Version does not agree with the body");
    }
    if version != version::MODERN {
        let data = format!("{{\"supported\":[\"{}\"],\"requested\":{}}}", version::MODERN, quoted(&version));
        let message = "the protocol version is not supported";
        return Err(answer::refuse_with(
            StatusCode::BAD_REQUEST,
            raw,
            compose::UNSUPPORTED_VERSION,
            message,
            &data,
        )
        .into());
    }
    if text(headers, METHOD) != Some(method) {
        return mismatch("Mcp-Method does not agree with the body");
    }
    let params = envelope.params.as_ref();
    let named = match method {
        "tools/call" | "prompts/get" => params.and_then(|params| params.name),
        "resources/read" => params.and_then(|params| params.uri),
        _ => return Ok(()),
    };
    match (string(named), text(headers, NAME).and_then(decoded)) {
        (Some(name), Some(header)) if name == header => Ok(()),
        _ => mismatch("Mcp-Name does not agree with the body"),
    }
}

/// A header value in clear, or what `=?base64?…?=` hides.
fn decoded(value: &str) -> Option<String> {
    match value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) {
        Some(hidden) => String::from_utf8(STANDARD.decode(hidden).ok()?).ok(),
        None => Some(value.to_owned()),
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("text is always JSON")
}

fn bad(raw: &str, code: i64, message: &str) -> Answer {
    answer::refuse(StatusCode::BAD_REQUEST, Some(raw), code, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hidden_header_value_is_read() {
        assert_eq!(decoded("=?base64?w6ljaG8=?=").as_deref(), Some("écho"));
        assert_eq!(decoded("echo").as_deref(), Some("echo"));
        assert_eq!(decoded("=?base64?*?="), None);
    }
}
