//! One HTTP exchange and the stream behind it. Dropping it is how we learn that a client has left.
//!
//! | role | its client may come back | when it is dropped |
//! |---|---|---|
//! | calls of a POST | with sessions, once it was told an event id | modern: the calls are cancelled; else they go on |
//! | GET stream | yes | messages wait for the next one |
//! | the one stream of a session (HTTP with SSE) | no | the session ends |

use std::rc::{Rc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use http::StatusCode;
use tokio::time::{Instant, timeout, timeout_at};

use super::Answer;
use super::accept::Accept;
use super::answer;
use super::body::Events;
use crate::bridge::Inner;
use crate::history::{EventId, STANDALONE};
use crate::launcher::EndReason;
use crate::message::compose;
use crate::server::Server;
use crate::shared::{Place, Shared};
use crate::stream::{Item, Stream, Turn};

pub(crate) struct Exchange {
    shared: Rc<Shared>,
    server: Rc<Server>,
    stream: Rc<Stream>,
    role: Role,
    turn: Turn,
    /// The number under which its events are kept.
    log: Option<u64>,
    deadline: Option<Instant>,
    #[expect(dead_code, reason = "held until the exchange is over")]
    place: Place,
    listen: Option<Place>,
}

enum Role {
    /// The calls of a POST, and whether their client may come back.
    Calls { resumable: bool },
    /// The GET stream of a session.
    Listener,
    /// The only stream of a session.
    Session(Weak<Inner>),
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
        place: Place,
    ) -> Self {
        let role = Role::Calls { resumable: !server.is_modern() };
        Self::new(shared, server, stream, role, deadline, place)
    }

    pub(crate) fn of_listener(
        shared: &Rc<Shared>,
        server: &Rc<Server>,
        stream: Rc<Stream>,
        place: Place,
    ) -> Self {
        let mut exchange = Self::new(shared, server, stream, Role::Listener, None, place);
        exchange.log = Some(STANDALONE);
        exchange
    }

    pub(crate) fn of_session(
        inner: &Rc<Inner>,
        server: &Rc<Server>,
        stream: Rc<Stream>,
        place: Place,
    ) -> Self {
        Self::new(&inner.shared, server, stream, Role::Session(Rc::downgrade(inner)), None, place)
    }

    fn new(
        shared: &Rc<Shared>,
        server: &Rc<Server>,
        stream: Rc<Stream>,
        role: Role,
        deadline: Option<Instant>,
        place: Place,
    ) -> Self {
        let (shared, server) = (Rc::clone(shared), Rc::clone(server));
        Self { shared, server, stream, role, turn: 0, log: None, deadline, place, listen: None }
    }

    /// A later connection of a stream, and the number under which its events are kept.
    pub(crate) fn resumed(mut self, turn: Turn, log: u64) -> Self {
        self.turn = turn;
        self.log = Some(log);
        self
    }

    /// Gives back this place too when it is over.
    pub(crate) fn holding(mut self, listen: Option<Place>) -> Self {
        self.listen = listen;
        self
    }

    /// Whose client has no session yet that it could come back to.
    pub(crate) fn for_good(mut self) -> Self {
        self.role = Role::Calls { resumable: false };
        self
    }

    pub(crate) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        self.stream.poll_next(cx, self.turn)
    }

    pub(crate) fn put_back(&self, item: Item) {
        self.stream.put_back(item);
    }

    /// The body becomes an event stream: from here on its client may come back. A place to start from and the time to wait,
    /// for clients that understand it (2025-11-25, Transports: Sending Messages to the Server).
    pub(crate) fn begin_events(&mut self) -> Option<(EventId, Duration)> {
        if !self.stream.is_open() && self.stream.is_empty() {
            // A cancelled call: there will never be anything to come back for.
            return None;
        }
        if self.log.is_none() && matches!(self.role, Role::Calls { resumable: true }) {
            self.log = Some(self.server.keep(&self.stream));
        }
        let log = self.log?;
        self.server.primes().then(|| (self.server.mark(log), self.shared.config.retry))
    }

    /// Keeps what is being sent, and gives it its id.
    pub(crate) fn record(&self, item: &Item) -> Option<EventId> {
        self.log.map(|log| self.server.record(log, item))
    }

    pub(crate) fn keep_alive(&self) -> Duration {
        self.shared.config.keep_alive
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Gives up the calls whose time is over; when to look again.
    pub(crate) fn expire(&self) -> Option<Instant> {
        self.server.expire(&self.stream)
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
        let mut deadline = self.deadline;
        while let Some(at) = deadline {
            if let Ok(item) = timeout_at(at, self.stream.next()).await {
                return item;
            }
            deadline = self.expire();
        }
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
        match &self.role {
            Role::Calls { .. } => self.server.hang_up(&self.stream, self.turn),
            Role::Listener => self.server.leave(&self.stream),
            Role::Session(inner) => {
                self.server.end(EndReason::SessionDeleted, "its client closed the event stream");
                if let Some(inner) = inner.upgrade() {
                    inner.forget(&self.server);
                }
            }
        }
    }
}

fn outcome_of(code: Option<i64>) -> Outcome {
    if code.is_some() { Outcome::Error } else { Outcome::Result }
}
