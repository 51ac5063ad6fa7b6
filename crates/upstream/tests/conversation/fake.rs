//! A server whose behaviour a test writes down, and the bridge's end of the pipes.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{Future, pending};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use roadstead_bridge::{EndReason, Ender, Purpose};
use roadstead_upstream::{LoopbackDial, Transport, Upstream, UpstreamLimits, open};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::task::{AbortHandle, JoinHandle, LocalSet};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

/// What the server got.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: Method,
    pub path: String,
    pub headers: HeaderMap,
    pub body: String,
}

impl Seen {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// The method of the message.
    pub fn rpc(&self) -> String {
        self.json()["method"].as_str().unwrap_or_default().to_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("a header is text"))
    }
}

/// A body that a test feeds. An error breaks the connection.
pub struct FedBody(mpsc::Receiver<io::Result<Bytes>>);

impl Body for FedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

/// The server's end of an event stream.
#[derive(Clone)]
pub struct Feed(mpsc::Sender<io::Result<Bytes>>);

impl Feed {
    pub async fn send(&self, text: &str) {
        self.0.send(Ok(Bytes::copy_from_slice(text.as_bytes()))).await.expect("the stream is open");
    }

    /// One message as an event.
    pub async fn event(&self, message: &str) {
        self.send(&format!("event: message\ndata: {message}\n\n")).await;
    }

    pub async fn break_off(self) {
        let _ = self.0.send(Err(io::Error::other("broken on purpose"))).await;
    }

    /// Waits until the client has left.
    pub async fn left(&self) {
        timeout(PATIENCE, self.0.closed()).await.expect("the client leaves");
    }
}

pub type Reply = Response<FedBody>;

pub fn reply(status: u16, kind: &str, body: &str) -> Reply {
    let (feed, pieces) = mpsc::channel(1);
    if !body.is_empty() {
        feed.try_send(Ok(Bytes::copy_from_slice(body.as_bytes()))).expect("there is room");
    }
    let reply = Response::builder().status(status);
    let reply = if kind.is_empty() { reply } else { reply.header("content-type", kind) };
    reply.body(FedBody(pieces)).expect("it is well formed")
}

pub fn json(body: &str) -> Reply {
    reply(200, "application/json; charset=utf-8", body)
}

pub fn status(status: u16) -> Reply {
    reply(status, "", "")
}

pub fn events() -> (Reply, Feed) {
    let (feed, pieces) = mpsc::channel(1);
    let reply = Response::builder().header("content-type", "text/event-stream; charset=utf-8");
    (reply.body(FedBody(pieces)).expect("it is well formed"), Feed(feed))
}

/// A result for the request that was seen.
pub fn result(seen: &Seen, result: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, seen.json()["id"])
}

/// The answers that every legacy server gives at the beginning; nothing for other messages.
pub fn beginning(seen: &Seen) -> Option<Reply> {
    match (seen.method.as_str(), seen.rpc().as_str()) {
        ("POST", "initialize") => {
            let mut reply = json(&result(seen, r#"{"protocolVersion":"2025-11-25","capabilities":{}}"#));
            reply.headers_mut().insert("mcp-session-id", HeaderValue::from_static("s-1"));
            Some(reply)
        }
        ("POST", "notifications/initialized") => Some(status(202)),
        ("GET", _) => Some(status(405)),
        ("DELETE", _) => Some(status(200)),
        _ => None,
    }
}

/// A server in this process.
pub struct Fake {
    pub address: SocketAddr,
    log: Rc<RefCell<Vec<Seen>>>,
    more: Rc<Notify>,
    accepting: AbortHandle,
    connections: Rc<RefCell<Vec<JoinHandle<()>>>>,
}

impl Fake {
    pub async fn start<F, R>(handler: F) -> Self
    where
        F: Fn(Seen) -> R + 'static,
        R: Future<Output = Reply> + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("the system allows it");
        Self::on(listener, handler)
    }

    pub fn on<F, R>(listener: TcpListener, handler: F) -> Self
    where
        F: Fn(Seen) -> R + 'static,
        R: Future<Output = Reply> + 'static,
    {
        let address = listener.local_addr().expect("it is bound");
        let (log, more) = (Rc::new(RefCell::new(Vec::new())), Rc::new(Notify::new()));
        let connections = Rc::new(RefCell::new(Vec::new()));
        let handler = Rc::new(handler);
        let (seen, told, open) = (Rc::clone(&log), Rc::clone(&more), Rc::clone(&connections));
        let accepting = tokio::task::spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("the system allows it");
                let (handler, log, more) = (Rc::clone(&handler), Rc::clone(&seen), Rc::clone(&told));
                let service = service_fn(move |request: Request<Incoming>| {
                    let (handler, log, more) = (Rc::clone(&handler), Rc::clone(&log), Rc::clone(&more));
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await.map(http_body_util::Collected::to_bytes);
                        let body =
                            String::from_utf8(body.unwrap_or_default().to_vec()).expect("it is well formed");
                        let path = head.uri.to_string();
                        let seen = Seen { method: head.method, path, headers: head.headers, body };
                        log.borrow_mut().push(seen.clone());
                        more.notify_waiters();
                        Ok::<_, Infallible>(handler(seen).await)
                    }
                });
                let serving = tokio::task::spawn_local(async move {
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
                open.borrow_mut().push(serving);
            }
        });
        Self { address, log, more, accepting: accepting.abort_handle(), connections }
    }

    /// Everything seen so far, as soon as it fits.
    pub async fn until(&self, fits: impl Fn(&[Seen]) -> bool) -> Vec<Seen> {
        let waiting = async {
            loop {
                let more = self.more.notified();
                if fits(&self.log.borrow()) {
                    return self.log.borrow().clone();
                }
                more.await;
            }
        };
        let Ok(seen) = timeout(PATIENCE, waiting).await else {
            panic!("only this was seen: {:#?}", self.log.borrow())
        };
        seen
    }

    /// The first message of this method, as soon as it came.
    pub async fn message(&self, method: &str) -> Seen {
        let seen = self.until(|seen| seen.iter().any(|seen| seen.rpc() == method)).await;
        seen.into_iter().find(|seen| seen.rpc() == method).expect("it is well formed")
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.log.borrow().clone()
    }

    /// Goes away with all connections.
    pub async fn stop(&self) {
        self.accepting.abort();
        self.close_connections().await;
    }

    /// How many connections came since they were closed.
    pub fn connections(&self) -> usize {
        self.connections.borrow().len()
    }

    pub async fn close_connections(&self) {
        for connection in self.connections.take() {
            connection.abort();
            let _ = connection.await;
        }
    }

    pub fn upstream(&self) -> Upstream {
        Upstream {
            transport: Transport::StreamableHttp,
            url: format!("http://localhost:{}/mcp", self.address.port()).parse().expect("it is well formed"),
            headers: vec![(HeaderName::from_static("x-key"), HeaderValue::from_static("k"))],
            limits: UpstreamLimits::default(),
        }
    }

    pub fn open(&self, purpose: Purpose) -> Pipes {
        Pipes::open(self.address, self.upstream(), purpose, Box::pin(pending()))
    }

    /// A session that is established.
    pub async fn session(&self) -> Pipes {
        let mut pipes = self.open(Purpose::LegacySession);
        pipes.begin().await;
        pipes
    }
}

/// The bridge's end.
pub struct Pipes {
    pub input: Option<Pin<Box<dyn AsyncWrite>>>,
    pub output: BufReader<Pin<Box<dyn AsyncRead>>>,
    exited: Pin<Box<dyn Future<Output = String>>>,
    ender: Option<Ender>,
}

impl Pipes {
    pub fn open(
        address: SocketAddr,
        upstream: Upstream,
        purpose: Purpose,
        exited: Pin<Box<dyn Future<Output = String>>>,
    ) -> Self {
        let pipes = open(Rc::new(upstream), Rc::new(LoopbackDial(address)), purpose, exited);
        Self {
            input: Some(pipes.stdin),
            output: BufReader::new(pipes.stdout),
            exited: pipes.exited,
            ender: Some(pipes.ender),
        }
    }

    pub async fn begin(&mut self) {
        self.send(
            r#"{"jsonrpc":"2.0","id":"i","method":"initialize","params":{"protocolVersion":"2025-11-25"}}"#,
        )
        .await;
        assert_eq!(self.next().await["id"], "i");
        self.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
    }

    pub async fn send(&mut self, line: &str) {
        let input = self.input.as_mut().expect("the input is open");
        let write = async {
            input.write_all(line.as_bytes()).await.expect("the system allows it");
            input.write_all(b"\n").await.expect("the system allows it");
        };
        timeout(PATIENCE, write).await.expect("lines are read");
    }

    /// The next line as it is; nothing at the end.
    pub async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = timeout(PATIENCE, self.output.read_line(&mut line)).await.expect("something comes");
        (read.expect("it is well formed") > 0).then(|| line.trim_end_matches('\n').to_owned())
    }

    pub async fn next(&mut self) -> Value {
        serde_json::from_str(&self.line().await.expect("the pipe is open")).expect("a line is JSON")
    }

    pub fn end(&mut self) {
        self.ender.take().expect("ended once").end(EndReason::Closed);
    }

    /// How it ended.
    pub async fn exited(&mut self) -> String {
        timeout(PATIENCE, self.exited.as_mut()).await.expect("it ends")
    }
}

/// Runs a test where everything of one thread can run.
pub fn run(test: impl Future<Output = ()>) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("the system allows it");
    runtime.block_on(LocalSet::new().run_until(test));
}

/// The error of an answer to this id.
#[track_caller]
pub fn error_of(answer: &Value, id: impl Into<Value>) -> (i64, String) {
    assert_eq!(answer["id"], id.into(), "{answer}");
    let error = &answer["error"];
    (error["code"].as_i64().unwrap_or_default(), error["message"].as_str().unwrap_or_default().to_owned())
}
