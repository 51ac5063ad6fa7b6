//! One HTTP exchange and the stream behind it. Dropping it is how we learn that a client has left.

use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::StatusCode;
use tokio::time::{Instant, timeout, timeout_at};

use super::Answer;
use super::accept::Accept;
use super::answer;
use super::body::Events;
use crate::message::compose;
use crate::server::Server;
use crate::shared::Shared;
use crate::stream::{Item, Stream};

pub(crate) struct Exchange {
    shared: Rc<Shared>,
    server: Rc<Server>,
    stream: Rc<Stream>,
    /// Whether this is the GET stream of a session.
    listens: bool,
    deadline: Option<Instant>,
}

/// How an answer came out, for those who have to act on it.
pub(crate) enum Outcome {
    /// The server's result.
    Result,
    /// An error, the server's or ours.
    Error,
    /// Not known when the head was sent.
    Open,
}

impl Exchange {
    pub(crate) fn of_calls(
        shared: &Rc<Shared>,
        server: &Rc<Server>,
        stream: Rc<Stream>,
        deadline: Option<Instant>,
    ) -> Self {
        Self { shared: Rc::clone(shared), server: Rc::clone(server), stream, listens: false, deadline }
    }

    pub(crate) fn of_listener(shared: &Rc<Shared>, server: Rc<Server>, stream: Rc<Stream>) -> Self {
        Self { shared: Rc::clone(shared), server, stream, listens: true, deadline: None }
    }

    pub(crate) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        self.stream.poll_next(cx)
    }

    pub(crate) fn keep_alive(&self) -> Duration {
        self.shared.config.keep_alive
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub(crate) fn expire(&self) {
        self.server.expire(&self.stream);
    }

    /// The response. Its head is held back until the first message, so that a plain answer can be plain JSON with the right
    /// status, but no longer than `hold`; nothing as `hold` waits as long as the call may take.
    pub(crate) async fn respond(self, accept: Accept, hold: Option<Duration>) -> (Answer, Outcome) {
        let first = match hold {
            Some(hold) if accept.events => match timeout(hold, self.stream.next()).await {
                Ok(first) => first,
                Err(_) => return (answer::events(StatusCode::OK, Events::new(self, None)), Outcome::Open),
            },
            _ => self.next().await,
        };
        match first {
            Some(Item::Response { line, code }) if accept.json => {
                (answer::json(self.status_of(code), line), outcome_of(code))
            }
            Some(Item::Response { line, code }) => {
                let (status, outcome) = (self.status_of(code), outcome_of(code));
                (answer::events(status, Events::new(self, Some(Item::Response { line, code }))), outcome)
            }
            None if !accept.events => {
                let message = "the call was cancelled";
                (answer::refuse(StatusCode::OK, None, compose::INTERNAL, message), Outcome::Error)
            }
            first => (answer::events(StatusCode::OK, Events::new(self, first)), Outcome::Open),
        }
    }

    /// The next item; when the time of the calls is over, the errors that say so.
    pub(crate) async fn next(&self) -> Option<Item> {
        let Some(deadline) = self.deadline else { return self.stream.next().await };
        if let Ok(item) = timeout_at(deadline, self.stream.next()).await {
            return item;
        }
        self.expire();
        self.stream.next().await
    }

    /// The modern revision gives some errors a status of their own.
    fn status_of(&self, code: Option<i64>) -> StatusCode {
        match code {
            Some(compose::METHOD_NOT_FOUND) if self.server.is_modern() => StatusCode::NOT_FOUND,
            Some(compose::HEADER_MISMATCH | compose::MISSING_CAPABILITY | compose::UNSUPPORTED_VERSION)
                if self.server.is_modern() =>
            {
                StatusCode::BAD_REQUEST
            }
            _ => StatusCode::OK,
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if self.listens {
            self.server.leave(&self.stream);
        } else {
            self.server.hang_up(&self.stream);
        }
    }
}

fn outcome_of(code: Option<i64>) -> Outcome {
    if code.is_some() { Outcome::Error } else { Outcome::Result }
}
