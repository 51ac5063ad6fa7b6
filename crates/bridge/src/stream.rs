//! One way out to a client: the messages of one POST, or of the GET stream of a session, until the HTTP side takes them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::message::Id;
use crate::shared::Shared;

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
    /// Whether the client takes anything but answers.
    messages: bool,
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
            messages,
        };
        Rc::new(Self { state: RefCell::new(state), shared: Rc::clone(shared), counted })
    }

    /// Whether a message put in now would reach somebody.
    pub(crate) fn is_live(&self) -> bool {
        let state = self.state.borrow();
        state.open && state.attached && state.messages
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state.borrow().open
    }

    /// Puts in a message; gives it back when nobody would get it or the queue is full.
    pub(crate) fn offer(&self, item: Item) -> Result<(), Item> {
        let mut state = self.state.borrow_mut();
        let config = &self.shared.config;
        let full = state.queue.len() >= config.max_queued_messages
            || (!state.queue.is_empty() && state.bytes + item.line().len() > config.max_queued_bytes);
        if full || !(state.open && state.attached && state.messages) {
            return Err(item);
        }
        state.push(item);
        Ok(())
    }

    /// Puts in an answer; the last one ends the stream. Whether a client is there for it.
    pub(crate) fn answer(&self, line: Bytes, code: Option<i64>) -> bool {
        let mut state = self.state.borrow_mut();
        if state.attached {
            state.push(Item::Response { line, code });
        }
        state.settle_one();
        state.attached
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

    /// The client has left; gives back what it did not get.
    pub(crate) fn detach(&self) -> VecDeque<Item> {
        let mut state = self.state.borrow_mut();
        state.attached = false;
        state.bytes = 0;
        std::mem::take(&mut state.queue)
    }

    /// Takes back an undelivered request of the server.
    pub(crate) fn withdraw(&self, request: &Id) -> bool {
        let mut state = self.state.borrow_mut();
        let before = state.queue.len();
        state.queue.retain(|item| !matches!(item, Item::Message { asks: Some(id), .. } if id == request));
        state.queue.len() < before
    }

    /// The next item, or nothing when the stream is over.
    pub(crate) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        let mut state = self.state.borrow_mut();
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

    pub(crate) async fn next(&self) -> Option<Item> {
        poll_fn(|cx| self.poll_next(cx)).await
    }
}

impl State {
    fn push(&mut self, item: Item) {
        self.bytes += item.line().len();
        self.queue.push_back(item);
        self.wake();
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
        if self.counted {
            self.shared.call_over();
        }
    }
}
