//! The way to a session: lines that wait until its reader takes them, which is at once.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, ReadBuf};

#[derive(Default)]
pub(super) struct Outlet(RefCell<State>);

#[derive(Default)]
struct State {
    parts: VecDeque<Bytes>,
    closed: bool,
    waker: Option<Waker>,
}

impl Outlet {
    /// Puts in a line without its end.
    pub(super) fn push(&self, line: Bytes) {
        let mut state = self.0.borrow_mut();
        state.parts.extend([line, Bytes::from_static(b"\n")]);
        state.wake();
    }

    /// Nothing more comes.
    pub(super) fn close(&self) {
        let mut state = self.0.borrow_mut();
        state.closed = true;
        state.wake();
    }
}

impl State {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// The end the session reads from.
pub(super) struct OutletReader(pub(super) Rc<Outlet>);

impl AsyncRead for OutletReader {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.0.0.borrow_mut();
        let before = buffer.filled().len();
        while buffer.remaining() > 0
            && let Some(part) = state.parts.front_mut()
        {
            let taken = part.len().min(buffer.remaining());
            buffer.put_slice(&part[..taken]);
            part.advance(taken);
            if part.is_empty() {
                state.parts.pop_front();
            }
        }
        if buffer.filled().len() > before || state.closed {
            return Poll::Ready(Ok(()));
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn lines_come_whole_and_in_order_through_a_small_buffer() {
        let outlet = Rc::new(Outlet::default());
        let mut reader = OutletReader(Rc::clone(&outlet));
        outlet.push(Bytes::from_static(b"one"));
        let mut some = [0; 2];
        assert_eq!((reader.read(&mut some).await.unwrap(), &some), (2, b"on"));
        outlet.push(Bytes::from_static(b""));
        outlet.close();
        let mut rest = String::new();
        reader.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "e\n\n");
    }
}
