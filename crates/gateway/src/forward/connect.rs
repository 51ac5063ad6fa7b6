//! The way to a shim: the unix socket of the instance that a URI's host names.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use roadstead_model::InstanceId;
use tokio::net::UnixStream;

use crate::routes::Routes;

/// Dials the unix socket of the instance that a URI's host names.
#[derive(Clone)]
pub(crate) struct ShimConnector {
    pub(crate) routes: Routes,
}

/// A connection to a shim, as the client's pool wants it.
pub(crate) struct ShimStream(TokioIo<UnixStream>);

impl tower::Service<Uri> for ShimConnector {
    type Response = ShimStream;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<ShimStream, std::io::Error>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let instance = uri.host().and_then(|host| host.parse::<InstanceId>().ok());
        let route = instance.and_then(|instance| self.routes.find(instance));
        Box::pin(async move {
            let route = route.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotFound))?;
            UnixStream::connect(&route.socket).await.map(|stream| ShimStream(TokioIo::new(stream)))
        })
    }
}

impl Connection for ShimStream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl hyper::rt::Read for ShimStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(cx, buffer)
    }
}

impl hyper::rt::Write for ShimStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write_vectored(cx, slices)
    }
}
