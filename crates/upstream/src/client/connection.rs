//! One connection: hyper on top of whatever was dialled, closed as soon as it is dropped, and knowing when a request has left.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::AbortHandle;

use super::Gate;
use crate::dial::Io;

/// The gate of the request whose last byte is in the write buffer.
type Leaving = Rc<RefCell<Option<Rc<Gate>>>>;

pub(crate) struct Connection {
    sender: SendRequest<Body>,
    leaving: Leaving,
    task: AbortHandle,
}

/// A request that got no answer.
pub(crate) struct Failure {
    pub(crate) error: hyper::Error,
    /// Nothing of it was written, so it may be sent again.
    pub(crate) unsent: bool,
}

impl Connection {
    pub(crate) async fn open(io: Box<dyn Io>) -> Result<Self, hyper::Error> {
        let leaving = Leaving::default();
        let watched = Watched { io, leaving: Rc::clone(&leaving) };
        let (sender, connection) = http1::handshake(TokioIo::new(watched)).await?;
        let task = tokio::task::spawn_local(async move {
            // What breaks is told to the request that waits.
            let _ = connection.await;
        });
        Ok(Self { sender, leaving, task: task.abort_handle() })
    }

    /// Whether it takes one more request.
    pub(crate) async fn is_usable(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    pub(crate) async fn send(&mut self, request: Request<Body>) -> Result<Response<Incoming>, Failure> {
        let sent = self.sender.try_send_request(request).await;
        sent.map_err(|mut failure| {
            let unsent = failure.take_message().is_some();
            Failure { error: failure.into_error(), unsent }
        })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The body of a request.
pub(crate) struct Body {
    data: Option<Bytes>,
    leaving: Leaving,
    gate: Rc<Gate>,
}

impl Body {
    pub(crate) fn new(data: Bytes, connection: &Connection, gate: &Rc<Gate>) -> Self {
        let data = (!data.is_empty()).then_some(data);
        Self { data, leaving: Rc::clone(&connection.leaving), gate: Rc::clone(gate) }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = self.data.take();
        if data.is_some() {
            *self.leaving.borrow_mut() = Some(Rc::clone(&self.gate));
        }
        Poll::Ready(data.map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.data.as_ref().map_or(0, |data| data.len() as u64))
    }
}

/// Opens the gate of a request when all of it was given to the system: hyper flushes when its own buffer is empty.
struct Watched {
    io: Box<dyn Io>,
    leaving: Leaving,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        if matches!(flushed, Poll::Ready(Ok(())))
            && let Some(gate) = self.leaving.borrow_mut().take()
        {
            gate.leave();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
