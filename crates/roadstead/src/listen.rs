//! The service's listener: HTTP/1.1 and, for clients that know beforehand, HTTP/2 without TLS.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::ConnectInfo;
use hyper::Version;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use roadstead_listener::{CLIENT_SILENCE, Lingering, Tidy, Upload};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// A caller that has not sent the head of a request by then is cut off; so is an idle HTTP/1.1 connection. It does not count
/// while an answer is under way, however long that stays silent.
const HEAD_TIMEOUT: Duration = Duration::from_mins(1);
/// How long to wait when no connection can be taken, for want of descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(100);
/// For how long an HTTP/1.1 connection on which nothing is under way outlives the word to stop. A request that is on its way at
/// that moment is served, and its answer says that it is the last one; closed at once, the connection would break under it.
pub(crate) const IDLE_GRACE: Duration = Duration::from_millis(150);
/// What an HTTP/1.1 connection may buffer, heads included: an idle one keeps its buffer.
const CONNECTION_BUFFER_BYTES: usize = 16 * 1024;
/// Exchanges at one time on one HTTP/2 connection: a client of many sessions has a stream open for each.
const MAX_EXCHANGES: u32 = 1024;
/// Bytes of a request's body that may be under way on an HTTP/2 connection, for one exchange and for all.
const EXCHANGE_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * EXCHANGE_WINDOW;

/// Serves callers until `soft` is cancelled; then lets them finish until `cut` is.
pub async fn listen(
    listener: TcpListener,
    app: axum::Router,
    soft: CancellationToken,
    cut: CancellationToken,
) {
    let connections = TaskTracker::new();
    let tidy = Tidy::default();
    let mut tidying = std::pin::pin!(tidy.run(roadstead_sandbox::memory::give_back_now));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = soft.cancelled() => break,
            never = &mut tidying => match never {},
        };
        let Ok((stream, peer)) = accepted else {
            tokio::time::sleep(ACCEPT_REST).await;
            continue;
        };
        roadstead_listener::watch(&stream);
        let conversation = converse(stream, peer, app.clone(), soft.clone(), tidy.clone());
        let cut = cut.clone();
        connections.spawn(async move {
            tokio::select! {
                () = conversation => {}
                () = cut.cancelled() => {}
            }
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// Resolves when it is time to close connections on which nothing is under way.
async fn closing(soft: CancellationToken) {
    soft.cancelled().await;
    tokio::time::sleep(IDLE_GRACE).await;
}

async fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    app: axum::Router,
    soft: CancellationToken,
    tidy: Tidy,
) {
    // Which protocol it is shows in the first bytes. Peeking waits for one; readiness alone may be announced without any.
    let mut first = [0];
    let spoke = tokio::select! {
        biased;
        peeked = timeout(HEAD_TIMEOUT, stream.peek(&mut first)) => matches!(peeked, Ok(Ok(1))),
        () = closing(soft.clone()) => false,
    };
    if !spoke {
        return;
    }
    let _served = tidy.served();
    roadstead_listener::serve(stream, |stream| exchange(stream, peer, app, soft, tidy)).await;
}

async fn exchange(
    stream: Lingering<TcpStream>,
    peer: SocketAddr,
    app: axum::Router,
    soft: CancellationToken,
    tidy: Tidy,
) {
    let service = hyper::service::service_fn(|mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let keeps_alive = request.version() < Version::HTTP_2;
        let (head, body) = request.into_parts();
        let (body, uploaded) = Upload::new(body);
        let request = hyper::Request::from_parts(head, body);
        let (answer, tidy, soft) = (app.clone().oneshot(request), tidy.clone(), soft.clone());
        async move {
            let mut answer = answer.await?.map(|body| tidy.body(body));
            if keeps_alive && (soft.is_cancelled() || !uploaded.is_reached()) {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let builder = builder();
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    // What breaks a connection is the caller's affair: there is nobody else to tell.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = closing(soft.clone()) => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(CONNECTION_BUFFER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(CLIENT_SILENCE / 2)
        .keep_alive_timeout(CLIENT_SILENCE / 2)
        .max_concurrent_streams(MAX_EXCHANGES)
        .initial_stream_window_size(EXCHANGE_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    builder
}
