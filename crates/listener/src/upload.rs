//! Whether a request was read to its end. A connection on which an answer overtook its request cannot carry another one:
//! the rest of the upload would be read as the next request. The server closes it, and has to say so, or the client sends
//! its next request into a connection that is about to end.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use http_body::{Body, Frame, SizeHint};

/// The body of a request whose end is noted.
#[derive(Debug)]
pub struct Upload<B> {
    body: B,
    ended: Arc<AtomicBool>,
}

/// Tells whether an [`Upload`] was read to its end.
#[derive(Debug, Clone)]
pub struct UploadEnd(Arc<AtomicBool>);

impl UploadEnd {
    /// Nothing of the request is left to be read.
    pub fn is_reached(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl<B: Body> Upload<B> {
    /// The same body, and what tells of its end.
    pub fn new(body: B) -> (Self, UploadEnd) {
        let ended = Arc::new(AtomicBool::new(body.is_end_stream()));
        (Self { body, ended: Arc::clone(&ended) }, UploadEnd(ended))
    }
}

impl<B: Body + Unpin> Body for Upload<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        // Who knows the length stops at the last byte and does not ask for the end.
        if frame.is_none() || self.body.is_end_stream() {
            self.ended.store(true, Ordering::Release);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
