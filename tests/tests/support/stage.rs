//! The stage of the bad-input tests: two users, types of each kind, and what must stay as it was.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::RequestBuilder;
use roadstead_test_support::app::{Answer, App, processes_of};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How long anything here may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_mins(1);
/// Services share the ports of the machine: one of them runs at a time.
pub static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
/// An id of the right form that nothing has.
pub const NOBODY: &str = "019a0000-0000-7000-8000-000000000000";
/// Names that would be statements if they were pasted into one.
pub const INJECTIONS: [&str; 5] = [
    "x' or '1'='1",
    "'; drop table instances; --",
    "\"; delete from users; --",
    "$1) union select hash from api_keys --",
    "\\'; select pg_sleep(10); --",
];

/// Everything that a refused request must leave as it was.
#[derive(Debug, PartialEq, Eq)]
pub struct World {
    instances: usize,
    leased: Vec<Value>,
    servers: Vec<String>,
    types: usize,
    credentials: usize,
    keys: usize,
    users: usize,
    settings: Value,
}

/// Two users with their keys, and one type of each kind.
pub struct Stage {
    pub app: App,
    /// The key of a second user, who is no admin.
    pub other: String,
}

impl Stage {
    pub async fn set() -> Self {
        let app = App::start().await;
        app.define_echo("plain", &[]).await;
        app.define_echo("retired", &[]).await;
        assert_eq!(app.ask("POST", "/types/retired/disable", None).await.status, 200);
        let echo = roadstead_test_support::app::programs().join("roadstead-echo");
        let strict = json!({"name": "strict", "display_name": "Strict", "program": echo, "env": {"TOKEN": "${credential.token}"},
            "credential_slots": [{"name": "token", "label": "Token", "pattern": "tok_[a-z0-9]{8}"}]});
        let schema = json!({"name": "schema", "display_name": "Schema", "program": echo, "max_duration_minutes": 60, "config_schema": {
            "type": "object", "additionalProperties": false,
            "properties": {"region": {"enum": ["eu", "us"]}, "size": {"type": "integer", "minimum": 1}}}});
        for spec in [strict, schema] {
            let answer = app.ask("POST", "/types", Some(spec)).await;
            assert_eq!(answer.status, 201, "{answer:?}");
        }
        let user = app.ask("POST", "/users", Some(json!({"email": "b@example.com", "name": "B"}))).await;
        assert_eq!(user.status, 201, "{user:?}");
        let scopes = app.ask("GET", "/me", None).await.body["key"]["scopes"].clone();
        let key = json!({"name": "b", "scopes": scopes, "user_id": user.body["id"]});
        let key = app.ask("POST", "/api-keys", Some(key)).await;
        assert_eq!(key.status, 201, "{key:?}");
        Self { other: key.body["key"].as_str().expect("a key").to_owned(), app }
    }

    pub async fn world(&self) -> World {
        let rows = async |path: &str| {
            let answer = self.app.ask("GET", path, None).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            answer.body["data"].as_array().expect("a list").clone()
        };
        let live_keys = rows("/api-keys")
            .await
            .iter()
            .filter(|key| key["is_active"] == true && key["expires_at"].is_null())
            .count();
        let mut servers = processes_of(self.app.data());
        servers.retain(|each| each.contains("roadstead-shim") || each.contains("roadstead-echo"));
        servers.sort();
        World {
            instances: rows("/instances?limit=100").await.len(),
            leased: rows("/ports")
                .await
                .into_iter()
                .filter(|port| port["state"] != "free")
                .map(|port| port["port"].clone())
                .collect(),
            servers,
            types: rows("/types?all=true").await.len(),
            credentials: rows("/credentials").await.len(),
            keys: live_keys,
            users: rows("/users?limit=100").await.len(),
            settings: self.app.ask("GET", "/settings", None).await.body,
        }
    }
}

/// An error of the one shape, with this status and code.
#[track_caller]
pub fn refused(answer: &Answer, status: u16, code: &str) {
    let error = &answer.body["error"];
    assert_eq!((answer.status, error["code"].as_str()), (status, Some(code)), "{answer:?}");
    let keys = |value: &Value| value.as_object().map(|object| object.keys().cloned().collect::<Vec<_>>());
    assert_eq!(keys(&answer.body).expect("an object"), ["error"]);
    let named: BTreeSet<String> = keys(error).expect("an object").into_iter().collect();
    assert_eq!(named, ["code", "message", "details", "request_id", "timestamp"].map(str::to_owned).into());
    assert!(error["message"].as_str().is_some_and(|message| message.len() > 10), "{answer:?}");
    for detail in error["details"].as_array().expect("a list") {
        assert!(detail["field"].is_string() && detail["message"].is_string(), "{answer:?}");
    }
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.headers["x-request-id"], error["request_id"].as_str().expect("an id"));
    assert!(!answer.headers.contains_key("x-roadstead-error"), "an inner header got out");
    let time = error["timestamp"].as_str().expect("a time");
    assert!(time.len() >= 20 && time.ends_with('Z'), "{time}");
    assert_eq!(answer.headers.contains_key("www-authenticate"), status == 401, "{answer:?}");
}

/// The fields that an error names.
pub fn fields(answer: &Answer) -> Vec<&str> {
    let details = answer.body["error"]["details"].as_array().expect("a list");
    details.iter().map(|detail| detail["field"].as_str().expect("a field")).collect()
}

pub fn keyed(app: &App, method: &str, path: &str) -> RequestBuilder {
    app.request(method, path).bearer_auth(&app.key)
}

pub async fn sent(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("the service answers");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.bytes().await.expect("a whole answer");
    Answer { status, headers, body: serde_json::from_slice(&body).unwrap_or(Value::Null) }
}

/// Bytes that no HTTP client would send, and what is said to them until the connection ends.
pub async fn raw(app: &App, bytes: &[u8]) -> String {
    let address = app.url.strip_prefix("http://").expect("a plain URL");
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("a connection");
    stream.write_all(bytes).await.expect("sent");
    let mut said = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut said)).await;
    read.expect("the connection ends in time").expect("the answer arrives");
    String::from_utf8_lossy(&said).into_owned()
}
