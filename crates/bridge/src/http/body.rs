//! The body of a response: nothing, one message, or an event stream.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt::{self, Write};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::exchange::Exchange;
use crate::history::{EventId, Kept};
use crate::stream::Item;

/// Up to here messages that are ready together are copied into one frame; larger ones are passed on without copying.
const COPY_LIMIT: usize = 16 * 1024;
const BEFORE: &[u8] = b"event: message\ndata: ";
const ID_ROOM: usize = "id: 18446744073709551615-18446744073709551615\n".len();
const AFTER: &[u8] = b"\n\n";
const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";

/// The body of every response of the bridge.
pub struct BridgeBody(Inner);

enum Inner {
    Empty,
    Full(Option<Bytes>),
    Events(Pin<Box<Events>>),
}

impl BridgeBody {
    pub(crate) fn empty() -> Self {
        Self(Inner::Empty)
    }

    pub(crate) fn full(body: Bytes) -> Self {
        Self(Inner::Full(Some(body)))
    }

    pub(crate) fn events(events: Events) -> Self {
        Self(Inner::Events(Box::pin(events)))
    }
}

impl fmt::Debug for BridgeBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Inner::Empty => "BridgeBody(empty)",
            Inner::Full(_) => "BridgeBody(full)",
            Inner::Events(_) => "BridgeBody(events)",
        })
    }
}

impl Body for BridgeBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.0 {
            Inner::Empty => Poll::Ready(None),
            Inner::Full(body) => Poll::Ready(body.take().map(|body| Ok(Frame::data(body)))),
            Inner::Events(events) => events.poll_part(cx).map(|part| part.map(|part| Ok(Frame::data(part)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, Inner::Empty | Inner::Full(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Empty | Inner::Full(None) => SizeHint::with_exact(0),
            Inner::Full(Some(body)) => SizeHint::with_exact(body.len() as u64),
            Inner::Events(_) => SizeHint::default(),
        }
    }
}

/// An event stream: what its client missed, what its exchange brings, and comments when it brings nothing for long. An item gets
/// its id, and is kept for a client that comes back, where it becomes an event.
pub(crate) struct Events {
    exchange: Exchange,
    /// Written before anything else.
    opening: Option<String>,
    missed: VecDeque<Kept>,
    parts: VecDeque<Bytes>,
    keep_alive: Pin<Box<Sleep>>,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Events {
    /// The events of an exchange, the item that was taken out first again at its place.
    pub(crate) fn new(mut exchange: Exchange, first: Option<Item>) -> Self {
        if let Some(item) = first {
            exchange.put_back(item);
        }
        let opening = exchange
            .begin_events()
            .map(|(id, retry)| format!("id: {id}\nretry: {}\ndata: \n\n", retry.as_millis()));
        Self::with(exchange, opening, VecDeque::new())
    }

    /// The events of an exchange after those that its client missed.
    pub(crate) fn resumed(exchange: Exchange, missed: VecDeque<Kept>) -> Self {
        Self::with(exchange, None, missed)
    }

    /// The events of an exchange after a first one of our own.
    pub(crate) fn opened_with(exchange: Exchange, event: &str, data: &str) -> Self {
        Self::with(exchange, Some(format!("event: {event}\ndata: {data}\n\n")), VecDeque::new())
    }

    fn with(exchange: Exchange, opening: Option<String>, missed: VecDeque<Kept>) -> Self {
        let keep_alive = Box::pin(sleep(exchange.keep_alive()));
        let deadline = exchange.deadline().map(|deadline| Box::pin(sleep_until(deadline)));
        Self { exchange, opening, missed, parts: VecDeque::new(), keep_alive, deadline }
    }

    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(part) = self.parts.pop_front() {
            return Poll::Ready(Some(part));
        }
        let mut over = false;
        let mut gathered = BytesMut::new();
        if let Some(opening) = self.opening.take() {
            gathered.put_slice(opening.as_bytes());
        }
        while self.parts.is_empty() && gathered.len() < COPY_LIMIT {
            if let Some(kept) = self.missed.pop_front() {
                self.write(Some(kept.id), &kept.line, &mut gathered);
                continue;
            }
            match self.exchange.poll_next(cx) {
                Poll::Ready(Some(item)) => {
                    let id = self.exchange.record(&item);
                    self.write(id, item.line(), &mut gathered);
                }
                Poll::Ready(None) => {
                    over = true;
                    break;
                }
                Poll::Pending => break,
            }
        }
        if !gathered.is_empty() || !self.parts.is_empty() {
            if !gathered.is_empty() {
                self.parts.push_front(gathered.freeze());
            }
            self.keep_alive.as_mut().reset(Instant::now() + self.exchange.keep_alive());
            return Poll::Ready(self.parts.pop_front());
        }
        if over {
            return Poll::Ready(None);
        }
        self.poll_timers(cx)
    }

    fn write(&mut self, id: Option<EventId>, line: &Bytes, gathered: &mut BytesMut) {
        gathered.reserve(BEFORE.len() + ID_ROOM);
        if let Some(id) = id {
            writeln!(gathered, "id: {id}").expect("memory takes all that is written");
        }
        gathered.put_slice(BEFORE);
        if line.len() <= COPY_LIMIT {
            gathered.reserve(line.len() + AFTER.len());
            gathered.put_slice(line);
            gathered.put_slice(AFTER);
        } else {
            self.parts.extend([line.clone(), Bytes::from_static(AFTER)]);
        }
    }

    fn poll_timers(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            // The exchange now holds an error for every call that has run out of time; others were given more.
            self.deadline = self.exchange.expire().map(|next| Box::pin(sleep_until(next)));
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.keep_alive.as_mut().poll(cx).is_ready() {
            self.keep_alive.as_mut().reset(Instant::now() + self.exchange.keep_alive());
            // Polling once registers the timer anew; it cannot be due already.
            cx.waker().wake_by_ref();
            return Poll::Ready(Some(Bytes::from_static(KEEP_ALIVE)));
        }
        Poll::Pending
    }
}
