//! Event streams on their way out are ended between two events, so that their clients see an end in order and come back.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, header};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// What an event stream calls itself.
const EVENT_STREAM: &str = "text/event-stream";
/// Where a modern client repeats which method it calls, and the one method whose answer never ends by itself.
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const LISTEN: &[u8] = b"subscriptions/listen";

/// When event streams are told to end.
#[derive(Debug, Clone, Default)]
pub struct Endings {
    /// Those that never end by themselves: what clients listen on.
    pub listening: CancellationToken,
    /// The answers of calls.
    pub calls: CancellationToken,
}

impl Endings {
    /// Which of them holds for the answer of a request.
    pub(super) fn of(&self, method: &Method, headers: &HeaderMap) -> CancellationToken {
        let listens = headers.get(METHOD).is_some_and(|method| method.as_bytes() == LISTEN);
        if listens || method != Method::POST { self.listening.clone() } else { self.calls.clone() }
    }
}

/// The answer as it came; if it is an event stream, with an end.
pub(super) fn apply(ending: CancellationToken, response: Response<Incoming>) -> Response {
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if !kind.is_some_and(|kind| kind.starts_with(EVENT_STREAM)) {
        return response.map(Body::new);
    }
    response.map(|body| {
        Body::new(EndedStream {
            body,
            told: Box::pin(ending.cancelled_owned()),
            tail: *b"\n\n",
            is_over: false,
        })
    })
}

/// An event stream that ends after the event in which it is told to.
struct EndedStream<B> {
    body: B,
    told: Pin<Box<WaitForCancellationFutureOwned>>,
    /// The last two bytes.
    tail: [u8; 2],
    is_over: bool,
}

impl<B> EndedStream<B> {
    fn note(&mut self, data: &[u8]) {
        match *data {
            [] => {}
            [last] => self.tail = [self.tail[1], last],
            [.., before, last] => self.tail = [before, last],
        }
    }
}

impl<B: http_body::Body<Data = Bytes> + Unpin> http_body::Body for EndedStream<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        // What is there already is sent first.
        let next = Pin::new(&mut self.body).poll_frame(cx);
        match &next {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    self.note(data);
                }
            }
            // Asked again with every frame: an event whose end is still to come is waited for.
            Poll::Pending if self.tail == *b"\n\n" && self.told.as_mut().poll(cx).is_ready() => {
                self.is_over = true;
                return Poll::Ready(None);
            }
            Poll::Ready(_) | Poll::Pending => {}
        }
        next
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::{BodyExt as _, StreamBody};
    use tokio::sync::mpsc;

    use super::*;

    /// A stream whose chunks are sent by the test.
    fn stream(
        ending: &CancellationToken,
    ) -> (mpsc::UnboundedSender<&'static str>, impl http_body::Body<Data = Bytes, Error = Infallible> + Unpin)
    {
        let (sender, mut chunks) = mpsc::unbounded_channel::<&'static str>();
        let frames = futures_util::stream::poll_fn(move |cx| {
            chunks
                .poll_recv(cx)
                .map(|chunk| chunk.map(|chunk| Ok::<_, Infallible>(Frame::data(chunk.into()))))
        });
        let told = Box::pin(ending.clone().cancelled_owned());
        (sender, EndedStream { body: StreamBody::new(frames), told, tail: *b"\n\n", is_over: false })
    }

    #[tokio::test]
    async fn a_stream_ends_between_two_events() {
        let ending = CancellationToken::new();
        let (sender, body) = stream(&ending);
        sender.send("data: 1\n\nda").unwrap();
        let reading = body.collect();
        let telling = async {
            tokio::task::yield_now().await;
            ending.cancel();
            tokio::task::yield_now().await;
            sender.send("ta: 2\n").unwrap();
            tokio::task::yield_now().await;
            sender.send("\n").unwrap();
        };
        let (read, ()) = tokio::join!(reading, telling);
        assert_eq!(read.unwrap().to_bytes(), "data: 1\n\ndata: 2\n\n");
    }

    #[tokio::test]
    async fn a_silent_stream_ends_at_once() {
        let ending = CancellationToken::new();
        let (_sender, body) = stream(&ending);
        let (read, ()) = tokio::join!(body.collect(), async { ending.cancel() });
        assert!(read.unwrap().to_bytes().is_empty());
    }

    #[test]
    fn only_what_never_ends_by_itself_is_ended_early() {
        let endings = Endings::default();
        endings.listening.cancel();
        let listen = HeaderMap::from_iter([(METHOD, "subscriptions/listen".parse().unwrap())]);
        assert!(!endings.of(&Method::POST, &HeaderMap::new()).is_cancelled());
        assert!(endings.of(&Method::GET, &HeaderMap::new()).is_cancelled());
        assert!(endings.of(&Method::POST, &listen).is_cancelled());
    }
}
