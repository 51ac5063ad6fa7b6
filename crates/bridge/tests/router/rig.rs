//! A bridge with scripted servers behind it.
#![expect(clippy::unwrap_used, reason = "a helper that does not work has to end its test")]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use roadstead_bridge::{
    Bridge, BridgeBody, BridgeConfig, EndReason, Ender, Era, Fact, LaunchFailure, Note, Observer, Opening,
    Purpose, ServerLauncher, ServerPipes, Via,
};
use serde_json::Value;
use tokio::io::{
    AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, ReadHalf, SimplexStream, WriteHalf,
};
use tokio::sync::{Notify, oneshot};
use tokio::task::{JoinHandle, LocalSet, spawn_local};

/// Enough for every test that is not about full pipes.
const PIPE: usize = 256 * 1024;

pub const MODERN: &str = "2026-07-28";

/// Runs a test where the bridge can put its tasks.
pub async fn local<T>(test: impl Future<Output = T>) -> T {
    LocalSet::new().run_until(test).await
}

/// A server process as its own program sees it.
pub struct Peer {
    input: BufReader<ReadHalf<SimplexStream>>,
    output: Option<DuplexStream>,
    exit: Option<oneshot::Sender<String>>,
    pub purpose: Option<Purpose>,
    /// Whether the bridge's own questions for the tools are heard too; otherwise it is told that there are none.
    pub hears_all: bool,
    ended: Rc<Cell<Option<EndReason>>>,
    end: Rc<Notify>,
}

impl Peer {
    pub async fn hears_raw(&mut self) -> String {
        loop {
            let mut line = String::new();
            self.input.read_line(&mut line).await.unwrap();
            assert!(line.ends_with('\n'), "the input was closed after {line:?}");
            line.pop();
            let own = line.contains(r#""method":"tools/list""#) && line.contains(r#""name":"roadstead""#);
            if self.hears_all || !own {
                return line;
            }
            let id = serde_json::from_str::<Value>(&line).unwrap()["id"].clone();
            self.says(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"tools":[]}}}}"#)).await;
        }
    }

    pub async fn hears(&mut self) -> Value {
        serde_json::from_str(&self.hears_raw().await).unwrap()
    }

    /// The next message; nothing when the input was closed, or when none comes while nobody has anything to do.
    pub async fn hears_soon(&mut self) -> Option<Result<Value, ()>> {
        let mut line = String::new();
        let read = tokio::time::timeout(Duration::from_millis(20), self.input.read_line(&mut line));
        match read.await {
            Err(_) => Some(Err(())),
            Ok(Ok(1..)) => Some(Ok(serde_json::from_str(&line).unwrap())),
            Ok(_) => None,
        }
    }

    pub async fn says(&mut self, line: impl AsRef<[u8]>) {
        let output = self.output.as_mut().unwrap();
        output.write_all(line.as_ref()).await.unwrap();
        output.write_all(b"\n").await.unwrap();
    }

    /// Answers a request with an empty result that carries `name`.
    pub async fn answers(&mut self, request: &Value, name: &str) {
        let id = &request["id"];
        self.says(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"name":"{name}"}}}}"#)).await;
    }

    pub fn exits(&mut self, how: &str) {
        self.exit.take().unwrap().send(how.to_owned()).unwrap();
    }

    pub fn closes_output(&mut self) {
        self.output = None;
    }

    /// Waits until it was asked to stop.
    pub async fn is_ended(&self) -> EndReason {
        loop {
            let end = self.end.notified();
            if let Some(reason) = self.ended.get() {
                return reason;
            }
            end.await;
        }
    }

    pub fn end_reason(&self) -> Option<EndReason> {
        self.ended.get()
    }
}

/// A process that somebody else has started, and its pipes.
pub fn fresh() -> (ServerPipes, Peer) {
    pipes(PIPE)
}

fn pipes(input_room: usize) -> (ServerPipes, Peer) {
    let (input, stdin): (_, WriteHalf<SimplexStream>) = tokio::io::simplex(input_room);
    let (output, stdout) = tokio::io::duplex(PIPE);
    let (exit, exited) = oneshot::channel();
    let (ended, end) = (Rc::new(Cell::new(None)), Rc::new(Notify::new()));
    let (was_ended, tell) = (Rc::clone(&ended), Rc::clone(&end));
    let pipes = ServerPipes {
        stdin: Box::pin(stdin),
        stdout: Box::pin(stdout),
        exited: Box::pin(async move {
            match exited.await {
                Ok(how) => how,
                Err(_) => std::future::pending().await,
            }
        }),
        ender: Ender::new(move |reason| {
            assert!(was_ended.replace(Some(reason)).is_none(), "ended twice");
            tell.notify_waiters();
        }),
    };
    let peer = Peer {
        input: BufReader::new(input),
        output: Some(output),
        exit: Some(exit),
        purpose: None,
        hears_all: false,
        ended,
        end,
    };
    (pipes, peer)
}

#[derive(Default)]
pub struct Launcher {
    opened: RefCell<VecDeque<Peer>>,
    came: Notify,
    pub opens: Cell<usize>,
    pub fails: Cell<bool>,
    /// From when until when its processes work.
    pub works: Cell<Option<(tokio::time::Instant, Duration)>>,
}

impl ServerLauncher for Launcher {
    fn open(&self, purpose: Purpose) -> Opening {
        self.opens.set(self.opens.get() + 1);
        if self.fails.get() {
            return Box::pin(async { Err(LaunchFailure { message: "no such program".to_owned() }) });
        }
        let (pipes, mut peer) = pipes(PIPE);
        peer.purpose = Some(purpose);
        self.opened.borrow_mut().push_back(peer);
        self.came.notify_waiters();
        Box::pin(async { Ok(pipes) })
    }

    fn effort(&self) -> Option<Duration> {
        self.works.get().map(|(since, most)| since.elapsed().min(most))
    }
}

#[derive(Clone, Default)]
pub struct Notes(Rc<RefCell<Vec<Note>>>);

impl Observer for Notes {
    fn note(&self, note: Note) {
        self.0.borrow_mut().push(note);
    }
}

impl Notes {
    /// All but the facts.
    pub fn all(&self) -> Vec<Note> {
        let notes = self.0.borrow();
        notes.iter().filter(|note| !matches!(note, Note::CallOver(_))).cloned().collect()
    }

    /// What was told of calls that are over.
    pub fn facts(&self) -> Vec<Fact> {
        let of = |note: &Note| if let Note::CallOver(fact) = note { Some(fact.clone()) } else { None };
        self.0.borrow().iter().filter_map(of).collect()
    }
}

pub struct Rig {
    pub bridge: Bridge,
    pub launcher: Rc<Launcher>,
    pub notes: Notes,
}

impl Rig {
    /// A bridge for a server of this era, with its first process.
    pub fn new(era: Era) -> (Self, Peer) {
        Self::with(BridgeConfig::new(era), PIPE)
    }

    /// The same without translation between the eras.
    pub fn strict(era: Era) -> (Self, Peer) {
        let mut config = BridgeConfig::new(era);
        config.era_bridge = false;
        Self::with(config, PIPE)
    }

    pub fn with(config: BridgeConfig, input_room: usize) -> (Self, Peer) {
        let (launcher, notes) = (Rc::new(Launcher::default()), Notes::default());
        let mut seed = 0_u64;
        let random = Box::new(move |bytes: &mut [u8]| {
            for byte in bytes {
                // Long enough that names of sessions do not repeat.
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                *byte = seed.to_be_bytes()[0];
            }
        });
        let dynamic: Rc<dyn ServerLauncher> = Rc::<Launcher>::clone(&launcher);
        let bridge = Bridge::new(config, dynamic, random, Box::new(notes.clone()));
        let (pipes, peer) = pipes(input_room);
        bridge.adopt(pipes);
        (Self { bridge, launcher, notes }, peer)
    }

    /// The next process the launcher was asked for.
    pub async fn next_peer(&self) -> Peer {
        loop {
            let came = self.launcher.came.notified();
            if let Some(peer) = self.launcher.opened.borrow_mut().pop_front() {
                return peer;
            }
            came.await;
        }
    }

    /// Sends a request whose answer is awaited later.
    pub fn start(&self, request: Request<Full<Bytes>>) -> JoinHandle<Reply> {
        let bridge = self.bridge.clone();
        spawn_local(async move { Reply::of(bridge.handle(request, Via::Port).await) })
    }

    pub async fn send(&self, request: Request<Full<Bytes>>) -> Reply {
        Reply::of(self.bridge.handle(request, Via::Port).await)
    }

    /// Opens a session on this process; its id.
    pub async fn open_session(&self, peer: &mut Peer, version: &str) -> String {
        let mut reply = self.start(initialize(1));
        tokio::select! {
            reply = &mut reply => panic!("answered before the server did: {:?}", reply.unwrap().status()),
            () = async {
                let hello = peer.hears().await;
                assert_eq!(hello["method"], "initialize");
                let id = &hello["id"];
                peer.says(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"protocolVersion":"{version}"}}}}"#)).await;
            } => {}
        }
        let mut reply = reply.await.unwrap();
        assert_eq!(reply.status(), StatusCode::OK);
        assert_eq!(reply.json().await["result"]["protocolVersion"], version);
        reply.header("mcp-session-id").expect("a session id")
    }
}

/// A response, and what was read of its body but not asked for.
pub struct Reply(Response<BridgeBody>, String);

impl Reply {
    fn of(response: Response<BridgeBody>) -> Self {
        Self(response, String::new())
    }

    pub fn status(&self) -> StatusCode {
        self.0.status()
    }

    pub fn header(&self, name: &str) -> Option<String> {
        self.0.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
    }

    pub fn is_events(&self) -> bool {
        self.header("content-type").as_deref() == Some("text/event-stream")
    }

    /// All that is left of the body.
    pub async fn text(&mut self) -> String {
        let body = self.0.body_mut().collect().await.unwrap().to_bytes();
        std::mem::take(&mut self.1) + std::str::from_utf8(&body).unwrap()
    }

    pub async fn json(&mut self) -> Value {
        serde_json::from_str(&self.text().await).unwrap()
    }

    /// The next part of an event stream, or nothing at its end.
    pub async fn part(&mut self) -> Option<String> {
        if !self.1.is_empty() {
            return Some(std::mem::take(&mut self.1));
        }
        let frame = self.0.body_mut().frame().await?.unwrap();
        Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
    }

    /// The next event with data, and its id; nothing at the end. Comments and places to start from are passed over.
    pub async fn identified(&mut self) -> Option<(Option<String>, Value)> {
        loop {
            let Some(end) = self.1.find("\n\n") else {
                let rest = std::mem::take(&mut self.1);
                self.1 = rest + &self.part().await?;
                continue;
            };
            let event: String = self.1.drain(..end + 2).collect();
            let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
            let Some(data) = field("data: ").filter(|data| !data.is_empty()) else { continue };
            assert_eq!(field("event: "), Some("message"), "{event:?}");
            return Some((field("id: ").map(ToOwned::to_owned), serde_json::from_str(data).unwrap()));
        }
    }

    /// The message of the next event, or nothing at the end.
    pub async fn message(&mut self) -> Option<Value> {
        Some(self.identified().await?.1)
    }

    /// The message of the next event.
    pub async fn event(&mut self) -> Value {
        self.message().await.expect("an event")
    }
}

pub fn post(body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post("/mcp")
        .header("host", "127.0.0.1:3001")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .body(Full::new(body.into()))
        .unwrap()
}

pub fn with(mut request: Request<Full<Bytes>>, headers: &[(&'static str, &str)]) -> Request<Full<Bytes>> {
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    request
}

pub fn initialize(id: u64) -> Request<Full<Bytes>> {
    post(format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"initialize","params":{{"protocolVersion":"2025-11-25","capabilities":{{}}}}}}"#
    ))
}

pub fn in_session(session: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    with(post(body), &[("mcp-session-id", session)])
}

pub fn call(session: &str, id: &str) -> Request<Full<Bytes>> {
    in_session(
        session,
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"x"}}}}"#),
    )
}

pub fn plain(method: &str, session: &str) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri("/mcp")
        .header("mcp-session-id", session)
        .header("accept", "text/event-stream")
        .body(Full::default())
        .unwrap()
}

/// A stateless request; `meta` is added to the required members.
pub fn modern(id: &str, method: &str, name: Option<&str>, meta: &str) -> Request<Full<Bytes>> {
    let named = name.map(|name| format!(r#""name":"{name}","#)).unwrap_or_default();
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{named}"_meta":{{"io.modelcontextprotocol/protocolVersion":"{MODERN}","io.modelcontextprotocol/clientCapabilities":{{}}{meta}}}}}}}"#
    );
    let mut request = with(post(body), &[("mcp-protocol-version", MODERN), ("mcp-method", method)]);
    if let Some(name) = name {
        request = with(request, &[("mcp-name", name)]);
    }
    request
}

/// Lets everything that can run do so, without letting time pass.
pub async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// Lets time pass on the paused clock.
pub async fn pass(time: Duration) {
    tokio::time::advance(time).await;
    settle().await;
}
