//! One way out to a client: the messages of one POST, or of the GET stream of a session, until the HTTP side takes them.
//!
//! A client may lose its connection and come back. The stream of a POST that has told its client an event id is then **parked**:
//! what belongs to its calls goes into the history, until a new connection takes the stream over. What nobody can come back for
//! is given back instead, so that it can go elsewhere.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::history::History;
use crate::message::Id;
use crate::requests::Requests;
use crate::shared::Shared;

/// Which connection of a stream, counted from 0; an older one has no say any more.
pub(crate) type Turn = u64;

/// Something for the client.
#[derive(Debug)]
pub(crate) enum Item {
    /// A notification, or a request of the server with this id.
    Message { line: Bytes, asks: Option<Id> },
    /// The answer to a call, with its error code when it is one.
    Response { line: Bytes, code: Option<i64> },
}

impl Item {
    pub(crate) fn line(&self) -> &Bytes {
        match self {
            Self::Message { line, .. } | Self::Response { line, .. } => line,
        }
    }
}

pub(crate) struct Stream {
    state: RefCell<State>,
    shared: Rc<Shared>,
    /// Whether this is work that a drain waits for.
    counted: bool,
}

struct State {
    queue: VecDeque<Item>,
    bytes: usize,
    waker: Option<Waker>,
    /// Answers still to come; meaningless for a stream that only listens.
    outstanding: usize,
    /// Whether anything may still be put in.
    open: bool,
    /// Whether a client is at the other end.
    attached: bool,
    /// Counts connections.
    turn: Turn,
    /// Whether the client takes anything but answers.
    messages: bool,
    /// Where its messages are kept while nobody is there, and under which number.
    kept_in: Option<(Rc<History>, u64)>,
}

impl Stream {
    /// The stream of `outstanding` calls. `messages` says whether the client can take more than the answers.
    pub(crate) fn of_calls(shared: &Rc<Shared>, outstanding: usize, messages: bool) -> Rc<Self> {
        shared.call_began();
        Self::new(shared, outstanding, messages, true)
    }

    /// A stream that lasts until somebody ends it, and that nobody waits for.
    pub(crate) fn lasting(shared: &Rc<Shared>) -> Rc<Self> {
        Self::new(shared, 1, true, false)
    }

    /// The one stream of a session that has no other: all answers, however many.
    pub(crate) fn of_session(shared: &Rc<Shared>) -> Rc<Self> {
        Self::new(shared, usize::MAX, true, false)
    }

    /// The stream of a request of the bridge itself: only the answer, and no work of a client.
    pub(crate) fn for_ourselves(shared: &Rc<Shared>) -> Rc<Self> {
        Self::new(shared, 1, false, false)
    }

    fn new(shared: &Rc<Shared>, outstanding: usize, messages: bool, counted: bool) -> Rc<Self> {
        let state = State {
            queue: VecDeque::new(),
            bytes: 0,
            waker: None,
            outstanding,
            open: true,
            attached: true,
            turn: 0,
            messages,
            kept_in: None,
        };
        Rc::new(Self { state: RefCell::new(state), shared: Rc::clone(shared), counted })
    }

    /// A stream on which nothing more comes.
    pub(crate) fn over(shared: &Rc<Shared>) -> Rc<Self> {
        let stream = Self::new(shared, 0, true, false);
        stream.close();
        stream
    }

    /// Where the requests of clients are counted.
    pub(crate) fn requests(&self) -> &Rc<Requests> {
        &self.shared.requests
    }

    /// Whether a message put in now would reach somebody.
    pub(crate) fn is_live(&self) -> bool {
        let state = self.state.borrow();
        state.open && state.attached && state.messages
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state.borrow().open
    }

    /// Whether as much waits in it as may.
    pub(crate) fn is_full(&self) -> bool {
        let state = self.state.borrow();
        let config = &self.shared.config;
        state.queue.len() >= config.max_queued_messages || state.bytes >= config.max_queued_bytes
    }

    /// Whether nothing waits in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.state.borrow().queue.is_empty()
    }

    /// Whether the client is away and may come back for what is put in now.
    pub(crate) fn is_parked(&self) -> bool {
        let state = self.state.borrow();
        state.open && !state.attached && state.messages && state.kept_in.is_some()
    }

    /// Whether many calls share this stream, so that it does not count as work by itself.
    pub(crate) fn is_of_session(&self) -> bool {
        !self.counted && self.state.borrow().outstanding > usize::MAX / 2
    }

    /// From now on the client can come back.
    pub(crate) fn keep_in(&self, history: &Rc<History>, number: u64) {
        self.state.borrow_mut().kept_in = Some((Rc::clone(history), number));
    }

    /// Whether an answer of this length would reach the client, now or later.
    pub(crate) fn can_hold(&self, length: usize) -> bool {
        let state = self.state.borrow();
        state.attached || state.kept_in.as_ref().is_none_or(|(history, _)| history.fits(length))
    }

    /// A new connection takes over; an older one that we still believe in ends.
    pub(crate) fn attach(&self) -> Turn {
        let mut state = self.state.borrow_mut();
        state.attached = true;
        state.turn += 1;
        state.wake();
        state.turn
    }

    /// Puts in a message; gives it back when nobody would get it or the queue is full. A request of the server is not put aside
    /// for a client that is away: it needs an answer in time, so it is for whoever is there.
    pub(crate) fn offer(&self, item: Item) -> Result<(), Item> {
        let mut state = self.state.borrow_mut();
        if state.open && !state.attached && state.messages {
            return state.put_aside(item);
        }
        let config = &self.shared.config;
        let full = state.queue.len() >= config.max_queued_messages
            || (!state.queue.is_empty() && state.bytes + item.line().len() > config.max_queued_bytes);
        if full || !(state.open && state.attached && state.messages) {
            return Err(item);
        }
        state.push(item);
        Ok(())
    }

    /// Puts in an answer; the last one ends the stream. Whether a client is there for it, or may come back for it.
    pub(crate) fn answer(&self, line: Bytes, code: Option<i64>) -> bool {
        let mut state = self.state.borrow_mut();
        let item = Item::Response { line, code };
        let taken = if state.attached {
            state.push(item);
            true
        } else {
            state.put_aside(item).is_ok()
        };
        state.settle_one();
        taken
    }

    /// One of the calls will not be answered.
    pub(crate) fn forgo(&self) {
        self.state.borrow_mut().settle_one();
    }

    /// Nothing more comes.
    pub(crate) fn close(&self) {
        let mut state = self.state.borrow_mut();
        state.open = false;
        state.wake();
    }

    /// The client of this connection has left; gives back what it did not get and cannot come back for. Nothing when another
    /// connection has taken over.
    pub(crate) fn detach(&self, turn: Turn) -> Option<VecDeque<Item>> {
        let mut state = self.state.borrow_mut();
        if state.turn != turn {
            return None;
        }
        state.attached = false;
        state.bytes = 0;
        let queue = std::mem::take(&mut state.queue);
        Some(queue.into_iter().filter_map(|item| state.put_aside(item).err()).collect())
    }

    /// Puts an item back that was taken but not sent.
    pub(crate) fn put_back(&self, item: Item) {
        let mut state = self.state.borrow_mut();
        state.bytes += item.line().len();
        state.queue.push_front(item);
    }

    /// Takes back an undelivered request of the server.
    pub(crate) fn withdraw(&self, request: &Id) -> bool {
        let mut state = self.state.borrow_mut();
        let is_it = |item: &Item| matches!(item, Item::Message { asks: Some(id), .. } if id == request);
        let Some(at) = state.queue.iter().position(is_it) else { return false };
        if let Some(item) = state.queue.remove(at) {
            state.bytes = state.bytes.saturating_sub(item.line().len());
        }
        true
    }

    /// The next item for this connection, or nothing when the stream is over or somebody else's.
    pub(crate) fn poll_next(&self, cx: &mut Context<'_>, turn: Turn) -> Poll<Option<Item>> {
        let mut state = self.state.borrow_mut();
        if state.turn != turn {
            return Poll::Ready(None);
        }
        if let Some(item) = state.queue.pop_front() {
            state.bytes = state.bytes.saturating_sub(item.line().len());
            return Poll::Ready(Some(item));
        }
        if !state.open {
            return Poll::Ready(None);
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The next item for the first connection.
    pub(crate) async fn next(&self) -> Option<Item> {
        poll_fn(|cx| self.poll_next(cx, 0)).await
    }
}

impl State {
    fn push(&mut self, item: Item) {
        self.bytes += item.line().len();
        self.queue.push_back(item);
        self.wake();
    }

    /// Keeps an item for a client that is away, if it can come back.
    fn put_aside(&mut self, item: Item) -> Result<(), Item> {
        let asks = matches!(item, Item::Message { asks: Some(_), .. });
        match &self.kept_in {
            Some((history, number)) if !asks && history.fits(item.line().len()) => {
                history.store(*number, item.line(), None);
                Ok(())
            }
            _ => Err(item),
        }
    }

    fn settle_one(&mut self) {
        self.outstanding = self.outstanding.saturating_sub(1);
        if self.outstanding == 0 {
            self.open = false;
        }
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some((history, number)) = self.state.get_mut().kept_in.take() {
            history.end(number);
        }
        if self.counted {
            self.shared.call_over();
        }
    }
}
