//! A stream on which nothing happens, behind the listener and the gateway: no time limit of ours may end it.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use futures_util::stream;
use roadstead::listen::listen;
use roadstead_gateway::{Absence, Doorkeeper, Gateway, Routes, Verdict};
use roadstead_model::{InstanceId, Randomness, SystemClock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const INSTANCE: &str = "01980000-0000-7000-8000-000000000001";
const SILENCE: Duration = Duration::from_hours(1);

struct Nobody;

impl Doorkeeper for Nobody {
    fn judge<'a>(&'a self, _instance: InstanceId, _token: Option<&'a str>) -> Verdict<'a> {
        Box::pin(async { Absence::Refused })
    }
}

/// A shim whose stream says something after an hour, and then ends.
fn shim(tasks: &TaskTracker, socket: &std::path::Path) {
    let listener = UnixListener::bind(socket).unwrap();
    let app = axum::Router::new().fallback(async || {
        let late = stream::once(async {
            tokio::time::sleep(SILENCE).await;
            Ok::<_, Infallible>("data: {}\n\n")
        });
        ([("content-type", "text/event-stream")], Body::from_stream(late))
    });
    tasks.spawn(async move { axum::serve(listener, app).await });
}

#[tokio::test(start_paused = true)]
async fn an_hour_of_silence_ends_no_stream() {
    let (tasks, soft) = (TaskTracker::new(), CancellationToken::new());
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("h");
    shim(&tasks, &socket);
    let routes = Routes::default();
    let _lease = routes.open(INSTANCE.parse().unwrap(), socket);
    let randomness = Arc::new(Randomness::from_seed([1; 32]));
    let gateway = Gateway::new(routes, Arc::new(Nobody), Arc::new(SystemClock::new()), randomness);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tasks.spawn(listen(listener, gateway.router(), soft.clone(), CancellationToken::new()));

    let begun = Instant::now();
    let mut client = TcpStream::connect(address).await.unwrap();
    let head =
        format!("GET /i/{INSTANCE}/mcp HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    let mut said = Vec::new();
    while !said.ends_with(b"0\r\n\r\n") {
        assert_ne!(client.read_buf(&mut said).await.unwrap(), 0, "{}", String::from_utf8_lossy(&said));
    }
    assert!(begun.elapsed() >= SILENCE, "it came after {:?}", begun.elapsed());
    assert!(String::from_utf8_lossy(&said).contains("data: {}"));
    soft.cancel();
    serving.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_says_nothing_is_cut_off() {
    let (tasks, soft) = (TaskTracker::new(), CancellationToken::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tasks.spawn(listen(listener, axum::Router::new(), soft.clone(), CancellationToken::new()));
    for beginning in ["", "GET / HTTP/1.1\r\nHost: x\r\n"] {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(beginning.as_bytes()).await.unwrap();
        let begun = Instant::now();
        let mut said = Vec::new();
        client.read_to_end(&mut said).await.unwrap();
        assert!(begun.elapsed() <= Duration::from_mins(2), "{beginning:?}: {:?}", begun.elapsed());
    }
    soft.cancel();
}
