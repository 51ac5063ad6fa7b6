//! Modern clients, and the legacy server they do not know to be one.

use serde_json::Value;
use tokio::task::JoinHandle;

use crate::rig::{MODERN, Peer, Reply, Rig, post, with};

/// What a client may say of itself besides the revision.
pub const ALL: &str = r#"{"sampling":{},"elicitation":{"form":{},"url":{}},"roots":{}}"#;
pub const SERVER: &str = r#"{"logging":{},"completions":{},"tools":{"listChanged":true},"resources":{"subscribe":true,"listChanged":true},"tasks":{"list":{}}}"#;

/// A stateless request of the client `who`.
pub fn request(
    id: &str,
    method: &str,
    capabilities: &str,
    who: &str,
    params: &str,
    meta: &str,
) -> http::Request<http_body_util::Full<bytes::Bytes>> {
    let comma = if params.is_empty() { "" } else { "," };
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{params}{comma}"_meta":{{"io.modelcontextprotocol/protocolVersion":"{MODERN}","io.modelcontextprotocol/clientInfo":{{"name":"{who}","version":"1"}},"io.modelcontextprotocol/clientCapabilities":{capabilities}{meta}}}}}}}"#
    );
    let name = serde_json::from_str::<Value>(&body).expect("a body of our own")["params"].clone();
    let name = name["name"].as_str().or(name["uri"].as_str()).map(ToOwned::to_owned);
    let mut request = with(post(body), &[("mcp-protocol-version", MODERN), ("mcp-method", method)]);
    if let Some(name) = name {
        request = with(request, &[("mcp-name", &name)]);
    }
    request
}

pub fn tool(id: &str, more: &str) -> http::Request<http_body_util::Full<bytes::Bytes>> {
    request(id, "tools/call", ALL, "a", &format!(r#""name":"x","arguments":{{"n":1.0e5}}{more}"#), "")
}

/// Takes the handshake of a translator; what it said.
pub async fn greet(peer: &mut Peer) -> Value {
    let hello = peer.hears().await;
    assert_eq!(hello["method"], "initialize");
    let id = &hello["id"];
    peer.says(format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{"protocolVersion":"2025-11-25","capabilities":{SERVER},"serverInfo":{{"name":"old","version":"3"}},"instructions":"be kind"}}}}"#
    ))
    .await;
    assert_eq!(peer.hears().await["method"], "notifications/initialized");
    hello
}

/// A bridge in front of a legacy server that has taken the handshake for a call, and the call at the server.
pub async fn called(rig: &Rig, peer: &mut Peer) -> (JoinHandle<Reply>, Value) {
    let reply = rig.start(tool("1", ""));
    greet(peer).await;
    let heard = peer.hears().await;
    (reply, heard)
}

pub fn retry(id: &str, state: &Value, responses: &str) -> http::Request<http_body_util::Full<bytes::Bytes>> {
    tool(id, &format!(r#","inputResponses":{responses},"requestState":{state}"#))
}

pub fn listen(id: &str, filter: &str) -> http::Request<http_body_util::Full<bytes::Bytes>> {
    request(id, "subscriptions/listen", "{}", "a", &format!(r#""notifications":{filter}"#), "")
}

pub async fn agrees(peer: &mut Peer, method: &str) -> Value {
    let asked = peer.hears().await;
    assert_eq!(asked["method"], method);
    peer.says(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#, asked["id"])).await;
    asked["params"]["uri"].clone()
}
