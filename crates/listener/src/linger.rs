//! Closing late. A socket that is closed while bytes of its client wait unread resets the connection, and the reset may
//! overtake the answer: whoever was refused in the middle of an upload would see a broken connection instead of the refusal.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::timeout;

/// A client that sends nothing for this long after our end has read what it wants to read.
const SILENCE: Duration = Duration::from_secs(2);
/// No upload is thrown away for longer than this.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes thrown away at one time.
const ROOM: usize = 16 * 1024;

/// A connection that is handed back when its server has said its last word but the client has not.
#[derive(Debug)]
pub struct Lingering<S> {
    stream: Option<S>,
    /// Our side has ended in order.
    said_all: bool,
    /// The client has ended, or the connection broke.
    heard_all: bool,
    back: Arc<Mutex<Option<S>>>,
}

/// Runs `converse` on the connection; afterwards reads, and throws away, what the client still sends, for a while.
pub async fn serve<S, F>(stream: S, converse: impl FnOnce(Lingering<S>) -> F)
where
    S: AsyncRead + Unpin,
    F: Future<Output = ()>,
{
    let back = Arc::new(Mutex::new(None));
    let lingering =
        Lingering { stream: Some(stream), said_all: false, heard_all: false, back: Arc::clone(&back) };
    converse(lingering).await;
    let rest = back.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(mut stream) = rest {
        let _ = timeout(PATIENCE, throw_away(&mut stream)).await;
    }
}

async fn throw_away(stream: &mut (impl AsyncRead + Unpin)) {
    let mut rest = vec![0; ROOM];
    while let Ok(Ok(read)) = timeout(SILENCE, stream.read(&mut rest)).await {
        if read == 0 {
            return;
        }
    }
}

impl<S> Lingering<S> {
    fn stream(&mut self) -> &mut S {
        self.stream.as_mut().expect("it is given back only when dropped")
    }

    fn noted<T>(&mut self, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.heard_all |= matches!(outcome, Poll::Ready(Err(_)));
        outcome
    }
}

impl<S> Drop for Lingering<S> {
    fn drop(&mut self) {
        if self.said_all && !self.heard_all {
            *self.back.lock().unwrap_or_else(PoisonError::into_inner) = self.stream.take();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lingering<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = room.filled().len();
        let wanted = room.remaining() > 0;
        let read = Pin::new(self.stream()).poll_read(cx, room);
        self.heard_all |= wanted && read.is_ready() && room.filled().len() == before;
        self.noted(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Lingering<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(self.stream()).poll_write(cx, bytes);
        self.noted(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(self.stream()).poll_write_vectored(cx, slices);
        self.noted(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(self.stream()).poll_flush(cx);
        self.noted(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(self.stream()).poll_shutdown(cx);
        self.said_all |= matches!(shut, Poll::Ready(Ok(())));
        self.noted(shut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    /// Says one thing and leaves, whatever the client is still sending.
    async fn refuse(mut stream: Lingering<TcpStream>) {
        stream.write_all(b"no").await.unwrap();
        stream.shutdown().await.unwrap();
    }

    #[tokio::test]
    async fn a_client_refused_in_the_middle_of_its_upload_reads_why() {
        let (mut client, server) = pair().await;
        let upload = async {
            // More than both kernels' buffers hold.
            let sent = client.write_all(&vec![b'x'; 32 * 1024 * 1024]).await;
            sent.expect("the refusal does not break the upload");
            client.shutdown().await.unwrap();
            let mut said = String::new();
            client.read_to_string(&mut said).await.expect("the refusal arrives");
            said
        };
        let ((), said) = tokio::join!(serve(server, refuse), upload);
        assert_eq!(said, "no");
    }

    #[tokio::test]
    async fn a_conversation_that_broke_is_over_at_once() {
        let (client, server) = pair().await;
        serve(server, async |stream| drop(stream)).await;
        drop(client);
    }
}
