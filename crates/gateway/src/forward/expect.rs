//! `Expect: 100-continue`: whoever asks before it sends a large body is answered by the shim, and not by us in its stead.
//! Without this, a caller with a wrong token would upload everything before it was refused.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use http::{StatusCode, header};
use http_body::{Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::timeout;

/// A shim that says nothing for so long gets the body unasked, as RFC 9110, section 10.1.1, wants it of a client.
const PATIENCE: Duration = Duration::from_secs(1);

/// Holds the body of a request that expects `100 Continue` until the shim has said it.
pub(super) fn hold(mut request: Request) -> Request {
    let expects = request.headers().get(header::EXPECT).is_some_and(|value| {
        value.to_str().is_ok_and(|value| value.trim().eq_ignore_ascii_case("100-continue"))
    });
    if !expects {
        return request;
    }
    let wanted = Arc::new(Notify::new());
    let says = Arc::clone(&wanted);
    hyper::ext::on_informational(&mut request, move |response| {
        if response.status() == StatusCode::CONTINUE {
            says.notify_one();
        }
    });
    let go = Box::pin(async move {
        let _ = timeout(PATIENCE, wanted.notified()).await;
    });
    request.map(|body| Body::new(Held { body, go: Some(go) }))
}

struct Held {
    body: Body,
    go: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Some(go) = &mut self.go {
            std::task::ready!(go.as_mut().poll(cx));
            self.go = None;
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
