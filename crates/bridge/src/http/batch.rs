//! Several messages in one body: allowed in one revision only, and always split, because servers do not understand them.

use std::rc::Rc;

use http::{HeaderMap, StatusCode};
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::accept::Accept;
use super::answer;
use super::body::Events;
use super::exchange::Exchange;
use super::intake;
use super::legacy::{self, Incoming};
use super::{Answer, draining};
use crate::bridge::Inner;
use crate::message::{Envelope, Id, compose};
use crate::server::{CallKind, Refused, Server};
use crate::stream::{Item, Stream};
use crate::version;

pub(crate) async fn post(inner: &Rc<Inner>, headers: &HeaderMap, accept: Accept, message: &str) -> Answer {
    let server = match legacy::session(inner, headers).await {
        Ok(server) => server,
        Err(refusal) => return *refusal,
    };
    if !server.version_is(version::BATCHING) {
        return refuse("this revision of the protocol knows no batches");
    }
    let parts = match read(message, inner.shared.config.max_batch, headers) {
        Ok(parts) => parts,
        Err(why) => return refuse(why),
    };
    let requests = parts.iter().filter(|(incoming, _)| matches!(incoming, Incoming::Request(_))).count();
    if requests > 0 && inner.is_draining() {
        return draining("null");
    }
    let deadline = Instant::now() + inner.shared.config.call_timeout;
    let Some(place) = inner.shared.streams.take() else {
        return answer::streams_exhausted(None, inner.shared.config.max_streams);
    };
    let stream = Stream::of_calls(&inner.shared, requests, accept.events);
    let exchange = Exchange::of_calls(&inner.shared, &server, Rc::clone(&stream), Some(deadline), place);
    for (incoming, text) in parts {
        let sent = match incoming {
            Incoming::Request(asking) => {
                let (id, raw) = (asking.id.clone(), asking.raw.clone());
                match asking.register(&server, &stream, deadline) {
                    Ok(()) => send_call(&server, &stream, &id, &raw, text).await,
                    Err(refused) => refuse_one(&stream, &refused, &raw),
                }
                Ok(())
            }
            other => legacy::pass_on(&server, &other, text.as_bytes().to_vec()).await,
        };
        if let Err(why) = sent {
            return answer::refuse(StatusCode::SERVICE_UNAVAILABLE, None, compose::INTERNAL, why);
        }
    }
    if requests == 0 {
        return answer::empty(StatusCode::ACCEPTED);
    }
    if accept.events {
        return answer::events(StatusCode::OK, Events::new(exchange, None));
    }
    list(&exchange).await
}

/// The messages, each with its own text.
fn read<'m>(
    message: &'m str,
    max: usize,
    headers: &HeaderMap,
) -> Result<Vec<(Incoming, &'m str)>, &'static str> {
    let items: Vec<&RawValue> = serde_json::from_str(message).map_err(|_| "the body is not JSON")?;
    if items.is_empty() || items.len() > max {
        return Err("a batch has to hold at least one message and not too many");
    }
    let mut parts = Vec::with_capacity(items.len());
    for item in items {
        let envelope = Envelope::read(item.get()).map_err(|_| "a part of the batch is no message")?;
        match Incoming::read(&envelope, item.get().len(), headers) {
            Some(Incoming::Request(asking)) if asking.kind == CallKind::Initialize => {
                return Err("initialize has to come alone");
            }
            Some(incoming) if envelope.says_version_2() => parts.push((incoming, item.get())),
            _ => return Err("a part of the batch is no message"),
        }
    }
    Ok(parts)
}

async fn send_call(server: &Server, stream: &Stream, id: &Id, raw: &str, text: &str) {
    if let Err(why) = server.send(intake::line(text.as_bytes().to_vec())).await {
        let line = compose::error(Some(raw), compose::INTERNAL, why, None);
        // The answer settles the call on the stream; the table only has to forget it.
        if server.forget_call(id) {
            stream.answer(line.into(), Some(compose::INTERNAL));
        }
    }
}

fn refuse_one(stream: &Stream, refused: &Refused, raw: &str) {
    let plain = |code, message: &str| (code, message.to_owned(), None);
    let (code, message, data) = match refused {
        Refused::IdInUse => plain(compose::INVALID_REQUEST, "a request with this id is not answered yet"),
        Refused::TooMany => plain(compose::REFUSED, "too many calls at one time"),
        Refused::Ended => plain(compose::INTERNAL, "the server has ended"),
        Refused::Tool(why) => {
            let (code, message, data) = why.said();
            (code, message, Some(data))
        }
    };
    stream.answer(compose::error(Some(raw), code, &message, data.as_deref()).into(), Some(code));
}

/// All answers as one list, for a client that takes no event streams.
async fn list(exchange: &Exchange) -> Answer {
    let mut body = Vec::from(b"[");
    while let Some(item) = exchange.next().await {
        if let Item::Response { line, .. } = item {
            if body.len() > 1 {
                body.push(b',');
            }
            body.extend_from_slice(&line);
        }
    }
    body.push(b']');
    answer::json(StatusCode::OK, body.into())
}

fn refuse(message: &str) -> Answer {
    answer::refuse(StatusCode::BAD_REQUEST, None, compose::INVALID_REQUEST, message)
}
