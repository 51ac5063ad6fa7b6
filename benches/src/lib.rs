//! The smallest MCP server that can be called: one function from a message to its answer. It knows nothing of what
//! carries them.

use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    method: Option<&'a str>,
    #[serde(borrow)]
    params: Option<Params<'a>>,
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow)]
    arguments: Option<Arguments<'a>>,
}

#[derive(Deserialize)]
struct Arguments<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
}

const INITIALIZED: &str = r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"bench","version":"1"}}"#;
const DISCOVERED: &str = r#"{"resultType":"complete","supportedVersions":["2025-11-25","2026-07-28"],"capabilities":{"tools":{}},"ttlMs":0,"cacheScope":"private"}"#;
const TOOLS: &str =
    r#"{"tools":[{"name":"echo","inputSchema":{"type":"object","properties":{"text":{"type":"string"}}}}]}"#;

/// Appends the answer to one message, without a newline; nothing if it wants none.
pub fn answer(message: &[u8], out: &mut Vec<u8>) {
    let Ok(message) = serde_json::from_slice::<Message<'_>>(message) else { return };
    let (Some(id), Some(method)) = (message.id, message.method) else { return };
    out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    out.extend_from_slice(id.get().as_bytes());
    let result = match method {
        "tools/call" => {
            let text =
                message.params.and_then(|params| params.arguments).and_then(|arguments| arguments.text);
            out.extend_from_slice(br#","result":{"content":[{"type":"text","text":"#);
            out.extend_from_slice(text.map_or("\"\"", RawValue::get).as_bytes());
            out.extend_from_slice(b"}]}}");
            return;
        }
        "initialize" => INITIALIZED,
        "server/discover" => DISCOVERED,
        "tools/list" => TOOLS,
        "ping" => "{}",
        _ => {
            out.extend_from_slice(br#","error":{"code":-32601,"message":"no such method"}}"#);
            return;
        }
    };
    out.extend_from_slice(br#","result":"#);
    out.extend_from_slice(result.as_bytes());
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn answered(message: &Value) -> Option<Value> {
        let mut out = Vec::new();
        answer(message.to_string().as_bytes(), &mut out);
        (!out.is_empty()).then(|| serde_json::from_slice(&out).expect("JSON"))
    }

    #[test]
    fn a_call_is_answered_with_its_own_text() {
        let call = json!({ "jsonrpc": "2.0", "id": "a", "method": "tools/call",
            "params": { "name": "echo", "arguments": { "text": "x\"\ny" }, "_meta": { "progressToken": 1 } } });
        let answer = answered(&call).expect("an answer");
        assert_eq!((&answer["id"], &answer["result"]["content"][0]["text"]), (&json!("a"), &json!("x\"\ny")));
    }

    #[test]
    fn every_other_request_is_answered_and_no_notification_is() {
        for method in ["initialize", "server/discover", "tools/list", "ping"] {
            let answer =
                answered(&json!({ "jsonrpc": "2.0", "id": 1, "method": method })).expect("an answer");
            assert!(answer["result"].is_object(), "{answer}");
        }
        let unknown = answered(&json!({ "jsonrpc": "2.0", "id": 1, "method": "x" })).expect("an answer");
        assert_eq!(unknown["error"]["code"], -32601);
        assert_eq!(answered(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })), None);
        assert_eq!(answered(&json!({ "jsonrpc": "2.0", "id": 1, "result": {} })), None);
    }
}
