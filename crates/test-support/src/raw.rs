//! A client of MCP that sends and shows exactly what is on the wire.

use std::time::Duration;

use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

/// How long anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_mins(3);

/// One session of the legacy era.
#[derive(Debug, Clone)]
pub struct Session {
    /// What carries the requests.
    pub client: reqwest::Client,
    /// The endpoint.
    pub url: String,
    token: String,
    id: String,
}

/// What comes on an event stream.
#[derive(Debug, PartialEq)]
pub enum Event {
    /// A comment: the stream is alive.
    Comment,
    /// A message.
    Message(Value),
    /// An event without a message, such as the one that only carries an id.
    Empty,
}

/// An event stream as it comes.
#[derive(Debug)]
pub struct Events {
    response: Response,
    heard: Vec<u8>,
    /// No event ends before here.
    looked: usize,
}

/// A client that speaks HTTP/2 from the first byte, or HTTP/1.1.
pub fn http_client(two: bool) -> reqwest::Client {
    let builder = reqwest::Client::builder().no_proxy();
    let builder = if two { builder.http2_prior_knowledge() } else { builder };
    builder.build().expect("a client")
}

/// A call of a tool; with a progress token, the server says how far it is.
pub fn call(id: &Value, tool: &str, arguments: &Value, progress: Option<&str>) -> Value {
    let mut params = json!({ "name": tool, "arguments": arguments });
    if let Some(token) = progress {
        params["_meta"] = json!({ "progressToken": token });
    }
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params })
}

/// A request of the stateless revision, with all that it must say of itself; what `_meta` holds already stays.
pub fn stateless(client: &reqwest::Client, url: &str, token: &str, message: &Value) -> RequestBuilder {
    let mut message = message.clone();
    let meta = &mut message["params"]["_meta"];
    meta["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
    meta["io.modelcontextprotocol/clientCapabilities"] = json!({});
    meta["io.modelcontextprotocol/clientInfo"] = json!({"name": "raw", "version": "1"});
    let params = &message["params"];
    let name = params["name"].as_str().or(params["uri"].as_str()).map(str::to_owned);
    let request = client
        .post(url)
        .bearer_auth(token)
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", message["method"].as_str().expect("a method"))
        .json(&message);
    match name {
        Some(name) => request.header("mcp-name", name),
        None => request,
    }
}

impl Session {
    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Initializes a session.
    pub async fn open(client: &reqwest::Client, url: &str, token: &str) -> Self {
        let mut session =
            Self { client: client.clone(), url: url.to_owned(), token: token.to_owned(), id: String::new() };
        let params = json!({ "protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": { "name": "raw", "version": "1" } });
        let initialize = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params });
        let response = session.send(&initialize).await;
        assert_eq!(response.status(), 200, "{}", response.text().await.unwrap_or_default());
        let id = response.headers()["mcp-session-id"].to_str().expect("plain").to_owned();
        let answer = only_answer(response).await;
        assert!(answer["result"].is_object(), "{answer}");
        session.id = id;
        let response = session.notify("notifications/initialized", json!({})).await;
        assert_eq!(response, 202);
        session
    }

    /// A request with everything but its body.
    pub fn request(&self, method: &str) -> RequestBuilder {
        self.request_accepting(method, "application/json, text/event-stream")
    }

    /// The same, from a client that takes only some kinds of answers.
    pub fn request_accepting(&self, method: &str, accept: &str) -> RequestBuilder {
        let method = method.parse().expect("a method");
        let request =
            self.client.request(method, &self.url).bearer_auth(&self.token).header("accept", accept);
        if self.id.is_empty() {
            return request;
        }
        request.header("mcp-session-id", &self.id).header("mcp-protocol-version", "2025-06-18")
    }

    /// Posts a message.
    pub async fn send(&self, message: &Value) -> Response {
        self.request("POST").json(message).send().await.expect("an answer to a POST")
    }

    /// Posts a notification; answers with the status.
    pub async fn notify(&self, method: &str, params: Value) -> u16 {
        let message = json!({ "jsonrpc": "2.0", "method": method, "params": params });
        self.send(&message).await.status().as_u16()
    }

    /// Opens the stream of the session.
    pub async fn listen(&self) -> Events {
        let response = self.request("GET").send().await.expect("an answer to a GET");
        assert_eq!(response.status(), 200);
        Events::of(response)
    }

    /// Calls a tool and waits for its answer.
    pub async fn call(&self, id: &Value, tool: &str, arguments: &Value) -> Value {
        only_answer(self.send(&call(id, tool, arguments, None)).await).await
    }

    /// Ends the session.
    pub async fn end(&self) {
        let response = self.request("DELETE").send().await.expect("an answer to a DELETE");
        assert!(response.status().is_success(), "{}", response.status());
    }
}

impl Events {
    /// The events of an answer.
    pub fn of(response: Response) -> Self {
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, heard: Vec::new(), looked: 0 }
    }

    /// The next event; nothing at an end in order, an error when the stream is cut.
    pub async fn next(&mut self) -> reqwest::Result<Option<Event>> {
        loop {
            let from = self.looked;
            self.looked = self.heard.len().saturating_sub(1);
            if let Some(end) = self.heard[from..].windows(2).position(|pair| pair == b"\n\n") {
                self.looked = 0;
                let event = String::from_utf8(self.heard.drain(..from + end + 2).collect()).expect("UTF-8");
                let data: Vec<&str> = event.lines().filter_map(|line| line.strip_prefix("data:")).collect();
                let data = data.join("\n");
                return Ok(Some(match serde_json::from_str(data.trim()) {
                    Ok(message) => Event::Message(message),
                    Err(_) if data.is_empty() && event.starts_with(':') => Event::Comment,
                    Err(_) if data.trim().is_empty() => Event::Empty,
                    Err(error) => panic!("no message ({error}): {event:?}"),
                }));
            }
            let Some(chunk) = self.response.chunk().await? else {
                assert!(self.heard.is_empty(), "half an event: {:?}", self.heard);
                return Ok(None);
            };
            self.heard.extend_from_slice(&chunk);
        }
    }

    /// The next message, in time.
    pub async fn message(&mut self) -> Option<Value> {
        let message = async {
            loop {
                match self.next().await.expect("the stream is whole") {
                    Some(Event::Message(message)) => return Some(message),
                    Some(Event::Comment | Event::Empty) => {}
                    None => return None,
                }
            }
        };
        tokio::time::timeout(PATIENCE, message).await.expect("a message in time")
    }
}

/// All messages of an answer, whether it came as one JSON or as a stream.
pub async fn messages(response: Response) -> Vec<Value> {
    let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind == "text/event-stream" {
        let mut events = Events::of(response);
        let mut all = Vec::new();
        while let Some(message) = events.message().await {
            all.push(message);
        }
        return all;
    }
    let text = tokio::time::timeout(PATIENCE, response.bytes()).await.expect("in time").expect("whole");
    vec![serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{error}: {text:?}"))]
}

/// The answer, which comes last.
pub async fn only_answer(response: Response) -> Value {
    let mut all = messages(response).await;
    let answer = all.pop().expect("an answer");
    assert!(answer.get("id").is_some(), "{answer}");
    answer
}
