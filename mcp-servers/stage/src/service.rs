//! The service: it writes down what it is asked, and answers from its routes, or what a test has put before them.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;
use tokio::task::JoinHandle;

/// The largest request that is read.
const LARGEST_BODY: usize = 64 * 1024 * 1024;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    /// `GET`, …
    pub method: String,
    /// The path as it was sent, still escaped.
    pub path: String,
    /// The query's parameters in order.
    pub query: Vec<(String, String)>,
    /// The headers, names in small letters.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Bytes,
}

impl Seen {
    /// The method and the path: what routes look at.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// A parameter of the query.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// All values of a parameter of the query.
    pub fn parameters(&self, name: &str) -> Vec<&str> {
        self.query.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The body as JSON; null, if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The body's fields, if it is a form.
    pub fn form(&self) -> BTreeMap<String, String> {
        url::form_urlencoded::parse(&self.body).into_owned().collect()
    }
}

/// What the service answers.
#[derive(Debug, Clone)]
pub enum Answer {
    /// A status, headers, and a body.
    Whole(u16, Vec<(&'static str, String)>, String),
    /// Nothing, for so long; then the routes' answer.
    Late(Duration),
    /// The beginning of an answer, then the connection breaks off.
    Cut,
}

impl Answer {
    /// JSON with a status.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::Whole(status, vec![("content-type", "application/json".to_owned())], body.to_string())
    }

    /// With one more header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        if let Self::Whole(_, headers, _) = &mut self {
            headers.push((name, value.to_owned()));
        }
        self
    }
}

/// What the service answers when nothing else was said.
pub type Routes = Arc<dyn Fn(&Seen) -> Answer + Send + Sync>;

/// The service. Dropping it ends it.
pub struct Service {
    address: SocketAddr,
    stage: Arc<Stage>,
    task: JoinHandle<()>,
}

struct Stage {
    routes: Routes,
    seen: Mutex<Vec<Seen>>,
    /// What is answered next to requests whose method and path begin so.
    next: Mutex<VecDeque<(String, Answer)>>,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("address", &self.address).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Service {
    /// A service on a free port of the loopback address.
    #[expect(clippy::disallowed_methods, reason = "the service lives as long as its test and ends with it")]
    pub async fn start(routes: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let stage =
            Arc::new(Stage { routes: Arc::new(routes), seen: Mutex::default(), next: Mutex::default() });
        let app = axum::Router::new().fallback(answer).with_state(Arc::clone(&stage));
        let task = tokio::spawn(async move {
            // It ends when its test does.
            let _ = axum::serve(listener, app).await;
        });
        Self { address, stage, task }
    }

    /// An address below the service's own.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Answers this to the next request whose method and path begin so, before anything that was put later.
    pub fn next(&self, line: &str, answer: Answer) {
        lock(&self.stage.next).push_back((line.to_owned(), answer));
    }

    /// Forgets what was put before the routes and not asked for; how many there were.
    pub fn forget_next(&self) -> usize {
        let mut next = lock(&self.stage.next);
        let count = next.len();
        next.clear();
        count
    }

    /// What it was asked since the last time, oldest first.
    pub fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut lock(&self.stage.seen))
    }

    /// How often it was asked since then.
    pub fn count(&self) -> usize {
        lock(&self.stage.seen).len()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(State(stage): State<Arc<Stage>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, LARGEST_BODY).await.unwrap_or_default();
    let query = parts.uri.query().unwrap_or_default();
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let seen = Seen {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        headers: parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body,
    };
    lock(&stage.seen).push(seen.clone());
    let line = seen.line();
    let scripted = {
        let mut next = lock(&stage.next);
        let place = next.iter().position(|(start, _)| line.starts_with(start));
        place.and_then(|place| next.remove(place)).map(|(_, answer)| answer)
    };
    let told = match scripted {
        Some(Answer::Late(wait)) => {
            tokio::time::sleep(wait).await;
            (stage.routes)(&seen)
        }
        Some(answer) => answer,
        None => (stage.routes)(&seen),
    };
    response(told)
}

fn response(answer: Answer) -> Response {
    match answer {
        Answer::Whole(status, headers, body) => {
            let mut builder = Response::builder().status(status);
            for (name, value) in headers {
                builder = builder.header(name, value);
            }
            builder.body(Body::from(body)).expect("an answer that can be sent")
        }
        Answer::Cut | Answer::Late(_) => {
            let start = Ok::<_, std::io::Error>(Bytes::from_static(b"{\"cut\":"));
            let end = Err(std::io::Error::other("cut off"));
            let body = Body::from_stream(futures_util::stream::iter([start, end]));
            Response::builder().status(StatusCode::OK).body(body).expect("an answer that can be sent")
        }
    }
}
