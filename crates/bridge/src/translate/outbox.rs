//! The output of a translator: lines, read by the bridge like the output of a process.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::Notify;

/// Bytes up to which more is read from the other side.
const ROOM: usize = 1024 * 1024;

#[derive(Default)]
pub(super) struct Outbox {
    state: RefCell<State>,
    shrunk: Notify,
}

#[derive(Default)]
struct State {
    parts: VecDeque<Bytes>,
    bytes: usize,
    closed: bool,
    reader: Option<Waker>,
}

impl Outbox {
    /// Puts out one message.
    pub(super) fn say(&self, line: impl Into<Bytes>) {
        self.say_parts([line.into()]);
    }

    /// Puts out one message that consists of these parts.
    pub(super) fn say_parts(&self, parts: impl IntoIterator<Item = Bytes>) {
        let mut state = self.state.borrow_mut();
        if state.closed {
            return;
        }
        for part in parts.into_iter().chain([Bytes::from_static(b"\n")]) {
            state.bytes += part.len();
            state.parts.push_back(part);
        }
        state.wake();
    }

    /// Puts out the result of a request.
    pub(super) fn say_result(&self, id: &str, result: String) {
        let head = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"#);
        self.say_parts([head.into(), result.into(), Bytes::from_static(b"}")]);
    }

    /// Waits while too much has not been read yet.
    pub(super) async fn has_room(&self) {
        loop {
            let shrunk = self.shrunk.notified();
            {
                let state = self.state.borrow();
                if state.closed || state.bytes < ROOM {
                    return;
                }
            }
            shrunk.await;
        }
    }

    /// Says that there is no more.
    pub(super) fn close(&self) {
        let mut state = self.state.borrow_mut();
        state.closed = true;
        state.wake();
        drop(state);
        self.shrunk.notify_waiters();
    }
}

impl State {
    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

/// The reading end.
pub(super) struct Reader(pub(super) Rc<Outbox>);

impl AsyncRead for Reader {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.state.borrow_mut();
        let before = buf.remaining();
        while buf.remaining() > 0
            && let Some(part) = state.parts.front_mut()
        {
            let taken = part.len().min(buf.remaining());
            buf.put_slice(&part[..taken]);
            part.advance(taken);
            if part.is_empty() {
                state.parts.pop_front();
            }
        }
        let read = before - buf.remaining();
        if read == 0 && !state.closed {
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        state.bytes -= read;
        drop(state);
        self.0.shrunk.notify_waiters();
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn lines_come_out_in_order_and_room_comes_back() {
        let outbox = Rc::new(Outbox::default());
        outbox.say("one");
        outbox.say(vec![b'x'; ROOM]);
        let mut reader = Reader(Rc::clone(&outbox));
        let mut all = Vec::new();
        let read = async {
            let mut start = [0; 4];
            reader.read_exact(&mut start).await.unwrap();
            assert_eq!(&start, b"one\n");
            outbox.has_room().await;
            outbox.close();
        };
        let rest = async {
            let mut reader = Reader(Rc::clone(&outbox));
            tokio::task::yield_now().await;
            reader.read_to_end(&mut all).await.unwrap();
        };
        tokio::join!(read, rest);
        assert_eq!(all.len(), ROOM + 1);
    }
}
