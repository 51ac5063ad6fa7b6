//! Requests without sessions: every one says all that is needed, and all go to one shared server process under ids of ours.

use std::rc::Rc;

use http::{HeaderMap, StatusCode};
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::accept::Accept;
use super::answer;
use super::exchange::Exchange;
use super::header::{Said, decoded, said, says};
use super::intake;
use super::legacy::refusal;
use super::params;
use super::{Answer, VERSION, draining, not_a_message};
use crate::bridge::{Inner, NoModern};
use crate::message::{Edit, Envelope, Id, Kind, compose, splice, string};
use crate::server::{Call, CallKind, Server, Token};
use crate::stream::Stream;
use crate::usage::{Fact, Tally};

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
            match check(inner, headers, envelope, method) {
                Ok(()) => {}
                Err(Refusal::Unsupported(version)) => return unsupported(inner, raw, &version).await,
                Err(Refusal::Bad(code, why)) => return bad(raw, code, why),
            }
            if inner.is_draining() {
                return draining(raw);
            }
            call(inner, headers, accept, message, envelope).await
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
    headers: &HeaderMap,
    accept: Accept,
    message: &str,
    envelope: &Envelope<'_>,
) -> Answer {
    let Kind::Request { method, raw, .. } = envelope.kind() else { return not_a_message(None) };
    let kind = kind_of(method, envelope);
    let lasts = kind == CallKind::Listen;
    if lasts && !accept.events {
        let message = "the client has to accept text/event-stream";
        return answer::refuse(StatusCode::NOT_ACCEPTABLE, Some(raw), compose::REFUSED, message);
    }
    let counted = (!lasts && method != "ping").then(|| inner.shared.requests.begin());
    let server = match inner.modern_server().await {
        Ok(server) => server,
        Err(NoModern::LegacyOnly) => return legacy_only(raw),
        Err(NoModern::NoServer(why)) => return answer::no_server(Some(raw), &why),
    };
    if method == "tools/call"
        && let Some(params) = &envelope.params
        && let Some(name) = string(params.name)
        && let Err(why) = params::check(&server, inner.is_natively_modern(), headers, &name, params).await
    {
        return bad(raw, compose::HEADER_MISMATCH, &why);
    }
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
        kind,
        token: token.map(|token| Token::Renamed(token.get().into())),
        logs: meta.is_some_and(|meta| meta.log_level.is_some()),
        deadline,
        counted,
        tally: Fact::of(method, envelope, message.len(), headers).map(Tally::new),
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

fn kind_of(method: &str, envelope: &Envelope<'_>) -> CallKind {
    match method {
        "subscriptions/listen" => CallKind::Listen,
        "tools/list" => {
            let cursor = envelope.params.as_ref().and_then(|params| params.cursor);
            CallKind::ToolList { first: cursor.is_none() }
        }
        _ => CallKind::Other,
    }
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

/// The revision defines no notification of clients and leaves its headers open: the one about the version has to be there, and
/// what is there must not contradict the body.
async fn notification(
    inner: &Rc<Inner>,
    headers: &HeaderMap,
    message: &str,
    envelope: &Envelope<'_>,
    method: &str,
) -> Answer {
    let version = match said(headers, VERSION) {
        Said::Once(version) => version,
        Said::Nothing | Said::Unclear => return mismatched("MCP-Protocol-Version has to be there once"),
    };
    let in_body = envelope.meta().and_then(|meta| meta.protocol_version);
    if in_body.is_some() && string(in_body).as_deref() != Some(version) {
        return mismatched("MCP-Protocol-Version does not agree with the body");
    }
    if !matches!(said(headers, METHOD), Said::Nothing) && !says(headers, METHOD, method) {
        return mismatched("Mcp-Method does not agree with the body");
    }
    if !inner.knows_version(version) {
        let message = "the protocol version is not supported";
        return answer::refuse(StatusCode::BAD_REQUEST, None, compose::UNSUPPORTED_VERSION, message);
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

fn mismatched(why: &str) -> Answer {
    answer::refuse(StatusCode::BAD_REQUEST, None, compose::HEADER_MISMATCH, why)
}

/// Why a request is not passed on.
enum Refusal {
    /// The server does not speak this version.
    Unsupported(String),
    Bad(i64, &'static str),
}

/// The body must say what the revision demands, and the headers must say the same ("Server Validation").
fn check(inner: &Inner, headers: &HeaderMap, envelope: &Envelope<'_>, method: &str) -> Result<(), Refusal> {
    let meta = envelope.meta();
    let invalid = |why| Err(Refusal::Bad(compose::INVALID_PARAMS, why));
    let mismatch = |why| Err(Refusal::Bad(compose::HEADER_MISMATCH, why));
    let Some(version) = meta.and_then(|meta| string(meta.protocol_version)) else {
        return invalid("_meta lacks io.modelcontextprotocol/protocolVersion");
    };
    let capable =
        meta.and_then(|meta| meta.client_capabilities).is_some_and(|value| value.get().starts_with('{'));
    if !capable {
        return invalid("_meta lacks io.modelcontextprotocol/clientCapabilities");
    }
    if !says(headers, VERSION, &version) {
        return mismatch("MCP-Protocol-Version does not agree with the body");
    }
    if !inner.knows_version(&version) {
        return Err(Refusal::Unsupported(version));
    }
    if !says(headers, METHOD, method) {
        return mismatch("Mcp-Method does not agree with the body");
    }
    let params = envelope.params.as_ref();
    let (named, required) = match method {
        "tools/call" | "prompts/get" => (params.and_then(|params| params.name), true),
        "resources/read" => (params.and_then(|params| params.uri), true),
        // The tasks extension asks its clients for the header; the revision itself does not know these methods.
        "tasks/get" | "tasks/update" | "tasks/cancel" => (params.and_then(|params| params.task_id), false),
        _ => return Ok(()),
    };
    match said(headers, NAME) {
        Said::Nothing if !required => Ok(()),
        Said::Once(header) if decoded(header).is_some_and(|header| string(named) == Some(header)) => Ok(()),
        _ => mismatch("Mcp-Name does not agree with the body"),
    }
}

/// Names the versions the server speaks; it is asked for them when it has not said so yet.
async fn unsupported(inner: &Rc<Inner>, raw: &str, version: &str) -> Answer {
    match inner.learn_versions().await {
        Ok(()) => {}
        Err(NoModern::LegacyOnly) => return legacy_only(raw),
        Err(NoModern::NoServer(why)) => return answer::no_server(Some(raw), &why),
    }
    let requested = serde_json::to_string(version).expect("text is always JSON");
    let data = format!("{{\"supported\":{},\"requested\":{requested}}}", inner.supported_versions());
    let message = "the protocol version is not supported";
    answer::refuse_with(StatusCode::BAD_REQUEST, raw, compose::UNSUPPORTED_VERSION, message, &data)
}

fn bad(raw: &str, code: i64, message: &str) -> Answer {
    answer::refuse(StatusCode::BAD_REQUEST, Some(raw), code, message)
}
