//! Exchanges with the bridge that note everything that comes.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use roadstead_bridge::{Bridge, Via};
use serde_json::{Value, json};
use tokio::task::{JoinHandle, spawn_local};

pub const MODERN: &str = "2026-07-28";

pub type Sent = Request<Full<Bytes>>;

/// What came of one exchange.
#[derive(Default)]
pub struct Seen {
    pub status: Cell<Option<StatusCode>>,
    pub session: RefCell<Option<String>>,
    pub messages: RefCell<Vec<Value>>,
    pub ended: Cell<bool>,
}

pub struct Watch {
    pub seen: Rc<Seen>,
    task: JoinHandle<()>,
}

impl Watch {
    pub fn start(bridge: &Bridge, request: Sent) -> Self {
        let seen = Rc::new(Seen::default());
        let task = spawn_local(follow(bridge.clone(), request, Rc::clone(&seen)));
        Self { seen, task }
    }

    /// Closes the connection.
    pub fn leave(&self) {
        self.task.abort();
    }
}

async fn follow(bridge: Bridge, request: Sent, seen: Rc<Seen>) {
    let response = bridge.handle(request, Via::Port).await;
    seen.status.set(Some(response.status()));
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    *seen.session.borrow_mut() = header("mcp-session-id");
    let events = header("content-type").as_deref() == Some("text/event-stream");
    let (mut body, mut text) = (response.into_body(), String::new());
    while let Some(frame) = body.frame().await {
        text.push_str(std::str::from_utf8(&frame.unwrap().into_data().unwrap()).unwrap());
        while events && let Some((event, rest)) = text.split_once("\n\n") {
            let data: String = event.lines().filter_map(|line| line.strip_prefix("data:")).collect();
            if !data.trim().is_empty() {
                seen.messages.borrow_mut().push(serde_json::from_str(&data).unwrap());
            }
            text = rest.to_owned();
        }
    }
    if !text.is_empty() {
        seen.messages.borrow_mut().push(serde_json::from_str(&text).unwrap());
    }
    seen.ended.set(true);
}

fn post(body: &Value, headers: &[(&'static str, &str)]) -> Sent {
    let mut request = Request::post("/mcp")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .body(Full::new(Bytes::from(body.to_string())))
        .unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    request
}

pub fn initialize() -> Sent {
    let params = json!({"protocolVersion": super::server::LEGACY, "capabilities": {}});
    post(&json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}), &[])
}

pub fn in_session(session: &str, body: &Value) -> Sent {
    post(body, &[("mcp-session-id", session)])
}

pub fn plain(method: &str, session: &str) -> Sent {
    Request::builder()
        .method(method)
        .uri("/mcp")
        .header("mcp-session-id", session)
        .header("accept", "text/event-stream")
        .body(Full::default())
        .unwrap()
}

/// A call, named by its number.
pub fn call(method: &str, id: &Value, number: u32, token: Option<&Value>, mut meta: Value) -> Value {
    if let Some(token) = token {
        meta["progressToken"] = token.clone();
    }
    let params = json!({"name": number.to_string(), "_meta": meta});
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

pub fn modern_meta(logs: bool) -> Value {
    let mut meta = json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    if logs {
        meta["io.modelcontextprotocol/logLevel"] = "debug".into();
    }
    meta
}

pub fn modern(body: &Value) -> Sent {
    let (method, name) = (body["method"].as_str().unwrap(), body["params"]["name"].as_str().unwrap());
    post(body, &[("mcp-protocol-version", MODERN), ("mcp-method", method), ("mcp-name", name)])
}
