//! A GitHub of our own, on a free port of this machine: it answers what it was told to, and remembers what it was asked.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// The token that must show nowhere.
pub const TOKEN: &str = "ghp_canary0123456789abcdefghijklmnopqrst";

/// More than any request of a test.
const MAX_BODY: usize = 16 * 1024 * 1024;

/// What is answered once; the last answer to a request is repeated.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
    way: Way,
}

#[derive(Clone, Debug)]
enum Way {
    Whole,
    /// The connection breaks in the middle of the body.
    Cut,
    /// Nothing is ever answered.
    Never,
    /// Nothing is answered before somebody says so.
    Held(Arc<Notify>),
}

impl Answer {
    pub fn json(status: u16, body: &Value) -> Self {
        let headers = vec![("content-type", "application/json; charset=utf-8".to_owned())];
        Self { status, headers, body: body.to_string().into(), way: Way::Whole }
    }

    pub fn ok(body: &Value) -> Self {
        Self::json(200, body)
    }

    pub fn empty(status: u16) -> Self {
        Self { status, headers: vec![], body: Bytes::new(), way: Way::Whole }
    }

    pub fn text(status: u16, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            headers: vec![("content-type", "text/plain".to_owned())],
            body: body.into(),
            way: Way::Whole,
        }
    }

    pub fn message(status: u16, message: &str) -> Self {
        let url = "https://docs.github.com/rest";
        Self::json(
            status,
            &json!({ "message": message, "documentation_url": url, "status": status.to_string() }),
        )
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn cut(mut self) -> Self {
        self.way = Way::Cut;
        self
    }

    pub fn never() -> Self {
        Self { way: Way::Never, ..Self::empty(200) }
    }

    pub fn held(mut self, until: &Arc<Notify>) -> Self {
        self.way = Way::Held(Arc::clone(until));
        self
    }
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: http::HeaderMap,
    pub body: Value,
}

#[derive(Default)]
struct Script {
    rules: Vec<(String, VecDeque<Answer>, bool)>,
    seen: Vec<Seen>,
}

pub struct Fake {
    pub address: SocketAddr,
    script: Arc<Mutex<Script>>,
    arrived: Arc<Notify>,
    _serving: JoinSet<()>,
}

impl Fake {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let script = Arc::new(Mutex::new(Script::default()));
        let arrived = Arc::new(Notify::new());
        let router = Router::new().fallback(answer).with_state((Arc::clone(&script), Arc::clone(&arrived)));
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            axum::serve(listener, router).await.expect("the fake serves");
        });
        Self { address, script, arrived, _serving: serving }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on, answers of this kind to `GET /path`. `{elsewhere}` in a header is this place under another name.
    pub fn on(&self, request: &str, answers: impl IntoIterator<Item = Answer>) {
        let elsewhere = format!("http://localhost:{}", self.address.port());
        let answers = answers.into_iter().map(|mut answer| {
            for (_, value) in &mut answer.headers {
                *value = value.replace("{elsewhere}", &elsewhere);
            }
            answer
        });
        let mut script = self.script.lock().expect("no holder panics");
        script.rules.retain(|(known, ..)| known != request);
        script.rules.push((request.to_owned(), answers.collect(), false));
    }

    /// Forgets what it was told and asked.
    pub fn reset(&self) {
        *self.script.lock().expect("no holder panics") = Script::default();
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.script.lock().expect("no holder panics").seen.clone()
    }

    /// The rules that nobody asked for.
    pub fn unused(&self) -> Vec<String> {
        let script = self.script.lock().expect("no holder panics");
        script.rules.iter().filter(|(.., used)| !used).map(|(request, ..)| request.clone()).collect()
    }

    /// Waits until a number of requests has come.
    pub async fn has_seen(&self, count: usize) {
        let patience = Duration::from_mins(1);
        let waiting = async {
            while self.seen().len() < count {
                self.arrived.notified().await;
            }
        };
        tokio::time::timeout(patience, waiting).await.expect("the requests come");
    }
}

type Shared = (Arc<Mutex<Script>>, Arc<Notify>);

async fn answer(State((script, arrived)): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, MAX_BODY).await.expect("a body");
    let seen = Seen {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    };
    let refusal = refused(&seen);
    let key = format!("{} {}", seen.method, seen.path);
    let (answer, known) = {
        let mut script = script.lock().expect("no holder panics");
        let etag = seen.headers.get("if-none-match").and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        script.seen.push(seen);
        (next(&mut script, &key), etag)
    };
    arrived.notify_waiters();
    arrived.notify_one();
    let answer = refusal.unwrap_or(answer);
    let has = |name, value: &str| answer.headers.iter().any(|(known, text)| *known == name && text == value);
    if known.is_some_and(|etag| has("etag", &etag)) {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    send(answer).await
}

/// What every request to GitHub needs; what is stored elsewhere (`/signed/`) must not be given the token.
fn refused(seen: &Seen) -> Option<Answer> {
    let header = |name| seen.headers.get(name).and_then(|value| value.to_str().ok());
    if seen.path.starts_with("/signed/") {
        return header("authorization").map(|_| Answer::message(400, "a token came along"));
    }
    if header("authorization") != Some(&format!("Bearer {TOKEN}")) {
        return Some(Answer::message(401, "Bad credentials"));
    }
    let is_complete = header("x-github-api-version") == Some("2022-11-28")
        && header("user-agent").is_some_and(|agent| agent.starts_with("roadstead-github/"))
        && header("accept").is_some_and(|accept| accept.starts_with("application/vnd.github"));
    (!is_complete).then(|| Answer::message(400, "a header is missing"))
}

fn next(script: &mut Script, key: &str) -> Answer {
    let Some((_, answers, used)) = script.rules.iter_mut().find(|(request, ..)| request == key) else {
        return Answer::message(404, "Not Found");
    };
    *used = true;
    let answer = answers.pop_front().expect("an answer");
    if answers.is_empty() {
        answers.push_back(answer.clone());
    }
    answer
}

async fn send(answer: Answer) -> Response {
    match answer.way {
        Way::Never => std::future::pending::<Infallible>().await.into_response(),
        Way::Held(ref until) => {
            until.notified().await;
            whole(&answer, Body::from(answer.body.clone()))
        }
        Way::Whole => whole(&answer, Body::from(answer.body.clone())),
        Way::Cut => {
            whole(&answer, Body::new(Breaking { first: Some(answer.body.slice(..answer.body.len() / 2)) }))
        }
    }
}

fn whole(answer: &Answer, body: Body) -> Response {
    let mut response = Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        response = response.header(*name, value);
    }
    response.body(body).expect("an answer")
}

/// A body that ends in the middle.
struct Breaking {
    first: Option<Bytes>,
}

impl http_body::Body for Breaking {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, std::io::Error>>> {
        std::task::Poll::Ready(Some(match self.first.take() {
            Some(first) => Ok(http_body::Frame::data(first)),
            None => Err(std::io::ErrorKind::ConnectionReset.into()),
        }))
    }
}
