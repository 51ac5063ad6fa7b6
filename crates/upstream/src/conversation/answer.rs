//! Receiving: what the server says becomes lines, and answers find their requests.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use serde_json::value::RawValue;
use tokio::time::timeout;

use super::Conversation;
use super::post::Failure;
use super::table::Request;
use crate::client::Answer;
use crate::message::{self, Envelope, Kind};
use crate::sse::{Data, Parser, Position};

/// How long the stream of a request is read after its answer; it should end there.
const AFTER_ANSWER: Duration = Duration::from_secs(2);

/// How the reading of an event stream came to its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The request of the stream was answered.
    Answered,
    /// An event was over the limit; it may have been the answer.
    TooLong,
    /// The server closed the stream, or the connection broke.
    Over,
}

impl Conversation {
    /// Hands the messages of a body or an event to the bridge. `of` is the request whose answer it may be.
    pub(super) async fn deliver(&self, text: Bytes, of: Option<&Request>) {
        let line = message::on_one_line(&text);
        if !line.starts_with(b"[") {
            return self.deliver_one(line, of).await;
        }
        let batch = std::str::from_utf8(&line)
            .ok()
            .and_then(|text| serde_json::from_str::<Vec<&RawValue>>(text).ok());
        match batch {
            Some(batch) => {
                for one in batch {
                    self.deliver_one(line.slice_ref(one.get().as_bytes()), of).await;
                }
            }
            None => self.skip(),
        }
    }

    async fn deliver_one(&self, line: Bytes, of: Option<&Request>) {
        let Ok(text) = std::str::from_utf8(&line) else { return self.skip() };
        let Some(envelope) = Envelope::read(text) else { return self.skip() };
        let id = match envelope.kind() {
            Kind::Response { id } => id,
            Kind::Neither => return self.skip(),
            Kind::Request { .. } | Kind::Notification { .. } => return self.say(line).await,
        };
        let named = id.as_ref().and_then(|id| self.table.borrow().by_wire(id));
        // Some servers change the type of an id, and give errors an id of their own.
        let meant = of.filter(|request| {
            envelope.error_code().is_some() || id.as_ref().is_some_and(|id| id.looks_like(request.wire()))
        });
        // Nobody waits for an answer after a cancellation.
        let Some(request) = named.or_else(|| meant.cloned()) else { return };
        if self.table.borrow_mut().remove(&request).is_none() {
            return;
        }
        self.notice(&request, &envelope);
        let same = envelope.id.is_some_and(|raw| raw.get() == &*request.raw);
        let renamed = if same { None } else { message::with_id(text, &envelope, &request.raw) };
        self.say(renamed.unwrap_or(line)).await;
    }

    /// Remembers what later requests need of an answer.
    fn notice(&self, request: &Request, envelope: &Envelope<'_>) {
        match (&*request.method, envelope.result) {
            ("initialize", Some(_)) if !request.modern => {
                let mut session = self.session.borrow_mut();
                session.version =
                    envelope.negotiated().and_then(|version| HeaderValue::from_str(&version).ok());
                session.established = true;
            }
            ("tools/list", Some(result)) if request.modern => self.tools.borrow_mut().learn(result),
            _ => {}
        }
    }

    /// Reads the event stream that answers a request. The position is where it broke off before the answer.
    pub(super) async fn take_events(
        self: &Rc<Self>,
        request: &Request,
        mut answer: Answer,
    ) -> Result<Option<Position>, Failure> {
        let mut parser = Parser::new(self.upstream.limits.max_message, Position::default());
        match self.read_events(&mut answer, &mut parser, Some(request)).await {
            Ending::Over => return Ok(Some(parser.position().clone())),
            Ending::TooLong => return Err(self.too_long()),
            Ending::Answered => {}
        }
        let rest = self.read_events(&mut answer, &mut parser, None);
        let _ = timeout(AFTER_ANSWER, rest).await;
        Ok(None)
    }

    pub(super) fn too_long(&self) -> Failure {
        Failure::Ours(format!(
            "a message of the server is longer than {} bytes",
            self.upstream.limits.max_message
        ))
    }

    /// Reads events until the request `of` is answered, or, without one, until the stream ends.
    pub(super) async fn read_events(
        &self,
        answer: &mut Answer,
        parser: &mut Parser,
        of: Option<&Request>,
    ) -> Ending {
        loop {
            while let Some(event) = parser.next() {
                if !event.name.is_empty() && event.name != "message" {
                    continue;
                }
                match event.data {
                    Data::Text(data) if data.trim_ascii().is_empty() => {}
                    Data::Text(data) => self.deliver(data, of).await,
                    Data::TooLong => {
                        self.skip();
                        if of.is_some_and(|request| !request.lasts) {
                            return Ending::TooLong;
                        }
                    }
                }
            }
            if of.is_some_and(|request| !self.table.borrow().has(request)) {
                return Ending::Answered;
            }
            match answer.piece().await {
                Ok(Some(piece)) => parser.feed(&piece),
                Ok(None) | Err(_) => return Ending::Over,
            }
        }
    }
}
