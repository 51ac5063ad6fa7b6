//! GET: the stream a session listens on, and clients that come back to a stream they lost (2025-11-25, Transports: Listening
//! for Messages from the Server; Resumability and Redelivery).
//!
//! | `Last-Event-ID` | outcome |
//! |---|---|
//! | none, or nothing we ever wrote | the GET stream |
//! | an event of the GET stream | what came later on it, then the GET stream |
//! | an event of a POST's stream | what came later on it, then the rest while its calls run |
//! | the last event of a POST's stream | 204: there is nothing to come back for |
//! | an event of a POST's stream that is no longer kept | 400 `EVENTS_NOT_KEPT` |

use std::collections::VecDeque;
use std::rc::Rc;

use http::header::ACCEPT;
use http::{HeaderMap, StatusCode};

use super::accept::Accept;
use super::answer;
use super::body::Events;
use super::exchange::Exchange;
use super::{Answer, legacy, text};
use crate::bridge::Inner;
use crate::history::{EventId, Kept};
use crate::message::compose;
use crate::server::{Resumed, Server};
use crate::shared::Place;
use crate::stream::Stream;

const LAST_EVENT: &str = "last-event-id";

pub(crate) async fn get(inner: &Rc<Inner>, headers: &HeaderMap) -> Answer {
    if !Accept::read(headers.get_all(ACCEPT)).events {
        let message = "the client has to accept text/event-stream";
        return answer::refuse(StatusCode::NOT_ACCEPTABLE, None, compose::REFUSED, message);
    }
    let server = match legacy::session(inner, headers).await {
        Ok(server) => server,
        Err(refusal) => return *refusal,
    };
    let Some(place) = inner.shared.streams.take() else {
        return answer::streams_exhausted(None, inner.shared.config.max_streams);
    };
    inner.shared.touch();
    let Some(last) = text(headers, LAST_EVENT) else {
        return listen(inner, &server, VecDeque::new(), place);
    };
    match server.resume(last) {
        Resumed::Standalone(missed) => listen(inner, &server, missed, place),
        Resumed::OfCalls { events, running } => {
            let log = EventId::parse(last).map_or(0, |id| id.stream);
            let (stream, turn) = running.unwrap_or_else(|| (Stream::over(&inner.shared), 0));
            let deadline = server.next_deadline(&stream);
            let exchange = Exchange::of_calls(&inner.shared, &server, stream, deadline, place);
            answer::events(StatusCode::OK, Events::resumed(exchange.resumed(turn, log), events))
        }
        Resumed::Over => answer::empty(StatusCode::NO_CONTENT),
        Resumed::Unknown => {
            let message = "the events after this one are no longer kept";
            answer::refuse_without_id(
                StatusCode::BAD_REQUEST,
                compose::REFUSED,
                message,
                r#"{"code":"EVENTS_NOT_KEPT"}"#,
            )
        }
    }
}

fn listen(inner: &Rc<Inner>, server: &Rc<Server>, missed: VecDeque<Kept>, place: Place) -> Answer {
    let stream = Stream::lasting(&inner.shared);
    server.listen(&stream);
    let exchange = Exchange::of_listener(&inner.shared, server, stream, place);
    let events =
        if missed.is_empty() { Events::new(exchange, None) } else { Events::resumed(exchange, missed) };
    answer::events(StatusCode::OK, events)
}
