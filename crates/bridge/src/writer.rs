//! The way into a server: messages in order, as much backlog as the limit allows, and no waiting when the pipe has room.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;
use tokio::sync::Notify;

/// The bridge's own small messages may exceed the backlog this many times before they are refused: they undo things, so they
/// are worth more than new work, but a server that never reads must not grow us without end.
const OWN_MESSAGES_FACTOR: usize = 2;

/// Why a message was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotWritten {
    /// The server's input is closed.
    Closed,
    /// The server does not read.
    Full,
}

pub(crate) struct Writer {
    state: RefCell<State>,
    room: Notify,
    limit: usize,
}

struct State {
    pipe: Option<Pin<Box<dyn AsyncWrite>>>,
    queue: VecDeque<Bytes>,
    backlog: usize,
    /// Bytes that the server has taken so far.
    written: u64,
    pump: Option<Waker>,
}

impl Writer {
    pub(crate) fn new(pipe: Pin<Box<dyn AsyncWrite>>, limit: usize) -> Self {
        let state = State { pipe: Some(pipe), queue: VecDeque::new(), backlog: 0, written: 0, pump: None };
        Self { state: RefCell::new(state), room: Notify::new(), limit }
    }

    /// Hands over a message that ends with a newline; waits while the backlog is over its limit.
    pub(crate) async fn send(&self, message: Bytes) -> Result<(), NotWritten> {
        loop {
            let room = self.room.notified();
            {
                let mut state = self.state.borrow_mut();
                if state.pipe.is_none() {
                    return Err(NotWritten::Closed);
                }
                // One message larger than the limit still has to pass when nothing else waits.
                if state.backlog == 0 || state.backlog + message.len() <= self.limit {
                    state.push(message);
                    return Ok(());
                }
            }
            room.await;
        }
    }

    /// Bytes that the server has taken so far.
    pub(crate) fn written(&self) -> u64 {
        self.state.borrow().written
    }

    /// Hands over a small message of our own without waiting.
    pub(crate) fn push(&self, message: Vec<u8>) -> Result<(), NotWritten> {
        let mut state = self.state.borrow_mut();
        if state.pipe.is_none() {
            return Err(NotWritten::Closed);
        }
        if state.backlog > self.limit.saturating_mul(OWN_MESSAGES_FACTOR) {
            return Err(NotWritten::Full);
        }
        state.push(message.into());
        Ok(())
    }

    /// Closes the server's input, the first step of asking it to leave.
    pub(crate) fn close(&self) {
        let mut state = self.state.borrow_mut();
        state.pipe = None;
        state.queue.clear();
        state.backlog = 0;
        if let Some(pump) = state.pump.take() {
            pump.wake();
        }
        drop(state);
        self.room.notify_waiters();
    }

    /// Writes what waits, until the input is closed or broken.
    pub(crate) async fn pump(&self) {
        poll_fn(|cx| self.poll_pump(cx)).await;
    }

    fn poll_pump(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.borrow_mut();
        let before = state.backlog;
        let open = state.write(cx);
        state.pump = Some(cx.waker().clone());
        let shrunk = state.backlog < before;
        drop(state);
        if shrunk || !open {
            self.room.notify_waiters();
        }
        if open { Poll::Pending } else { Poll::Ready(()) }
    }
}

impl State {
    fn push(&mut self, message: Bytes) {
        self.backlog += message.len();
        self.queue.push_back(message);
        if self.queue.len() == 1 {
            // Nothing was waiting, so the pipe probably has room: writing here saves a turn through the scheduler. A pipe that
            // is not ready is left to the pump, which registers its own interest when it runs.
            self.write(&mut Context::from_waker(Waker::noop()));
        }
        if (!self.queue.is_empty() || self.pipe.is_none())
            && let Some(pump) = self.pump.take()
        {
            pump.wake();
        }
    }

    /// Writes until there is nothing left or the pipe is full; whether the pipe is still open.
    fn write(&mut self, cx: &mut Context<'_>) -> bool {
        while let Some(message) = self.queue.front_mut() {
            let Some(pipe) = &mut self.pipe else { return false };
            match pipe.as_mut().poll_write(cx, message) {
                Poll::Ready(Ok(written)) if written > 0 => {
                    message.advance(written);
                    self.backlog -= written;
                    self.written += written as u64;
                    if message.is_empty() {
                        self.queue.pop_front();
                    }
                }
                Poll::Ready(_) => {
                    self.pipe = None;
                    self.queue.clear();
                    self.backlog = 0;
                    return false;
                }
                Poll::Pending => return true,
            }
        }
        self.pipe.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn a_server_that_does_not_read_holds_back_its_callers_and_loses_nothing() {
        let (ours, mut theirs) = tokio::io::duplex(4);
        let writer = Writer::new(Box::pin(ours), 8);
        writer.send(Bytes::from_static(b"1234567\n")).await.unwrap();
        let mut second = Box::pin(writer.send(Bytes::from_static(b"abcdef\n")));
        assert!(futures_poll(second.as_mut()).is_pending(), "the backlog is full");
        let read = async {
            let mut out = [0; 15];
            theirs.read_exact(&mut out).await.unwrap();
            assert_eq!(&out, b"1234567\nabcdef\n");
            writer.close();
        };
        let (sent, (), ()) = tokio::join!(second, writer.pump(), read);
        assert_eq!(sent, Ok(()));
    }

    #[tokio::test]
    async fn a_closed_input_is_said() {
        let (ours, theirs) = tokio::io::duplex(4);
        let writer = Writer::new(Box::pin(ours), 8);
        drop(theirs);
        writer.send(Bytes::from_static(b"x\n")).await.unwrap();
        writer.pump().await;
        assert_eq!(writer.send(Bytes::from_static(b"y\n")).await, Err(NotWritten::Closed));
        assert_eq!(writer.push(b"z\n".to_vec()), Err(NotWritten::Closed));
    }

    fn futures_poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }
}
