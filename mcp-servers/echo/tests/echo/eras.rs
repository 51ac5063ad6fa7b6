//! Servers of one era, and what the suite's tools ask of a client of either.

use serde_json::{Value, json};

use crate::process::Server;

fn call(tool: &str) -> Value {
    json!({ "name": tool, "arguments": { "prompt": "Say something", "message": "Say something" } })
}

/// The parameters of a request that stands for itself, from a client that can do everything.
fn modern(mut params: Value) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": { "sampling": {}, "elicitation": {}, "roots": {} },
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
    });
    params
}

fn initialize(server: &mut Server) -> Value {
    let params = json!({
        "protocolVersion": "2025-11-25",
        "capabilities": { "sampling": {}, "elicitation": {}, "roots": {} },
        "clientInfo": { "name": "test", "version": "1" },
    });
    let answer = server.ask("init", "initialize", &params);
    server.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
    answer
}

#[test]
fn a_legacy_server_refuses_modern_requests_and_serves_a_session() {
    let mut server = Server::start(&["--era", "legacy"]);
    assert_eq!(server.ask(1, "server/discover", &modern(json!({})))["error"]["code"], -32601);
    assert_eq!(server.ask(2, "tools/list", &modern(json!({})))["error"]["code"], -32600);
    assert_eq!(initialize(&mut server)["result"]["protocolVersion"], "2025-11-25");
    assert_eq!(server.ask(3, "tools/list", &modern(json!({})))["error"]["code"], -32600);
    assert!(server.ask(4, "tools/list", &json!({}))["result"]["tools"].is_array());
}

#[test]
fn a_modern_server_refuses_a_session_and_serves_requests() {
    let mut server = Server::start(&["--era", "modern"]);
    let refused = initialize(&mut server);
    assert_eq!(refused["error"]["code"], -32022);
    assert_eq!(refused["error"]["data"]["supported"], json!(["2026-07-28"]));
    let found = server.ask(1, "server/discover", &modern(json!({})));
    assert_eq!(found["result"]["supportedVersions"], json!(["2026-07-28"]));
    assert_eq!(server.ask(2, "tools/list", &modern(json!({})))["result"]["resultType"], "complete");
    assert_eq!(initialize(&mut server)["error"]["code"], -32022);
}

#[test]
fn a_legacy_client_is_asked_while_its_call_is_in_flight() {
    let mut server = Server::start(&["--conformance"]);
    initialize(&mut server);
    let tool = call("test_input_required_result_multiple_inputs");
    server.send(&json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": tool }));
    let asked: Vec<Value> = (0..3).map(|_| server.message()).collect();
    let mut methods: Vec<&str> = asked.iter().filter_map(|message| message["method"].as_str()).collect();
    methods.sort_unstable();
    assert_eq!(methods, ["elicitation/create", "roots/list", "sampling/createMessage"], "all at once");
    for message in asked {
        let result = match message["method"].as_str() {
            Some("elicitation/create") => json!({ "action": "accept", "content": { "name": "Ann" } }),
            Some("roots/list") => json!({ "roots": [] }),
            _ => json!({ "role": "assistant", "model": "m", "content": { "type": "text", "text": "hi" } }),
        };
        server.send(&json!({ "jsonrpc": "2.0", "id": message["id"], "result": result }));
    }
    let answer = server.message();
    assert_eq!(answer["result"]["content"][0]["text"], "All inputs received", "{answer}");
}

#[test]
fn a_modern_client_is_asked_in_a_result_and_comes_back() {
    let mut server = Server::start(&["--conformance"]);
    let required = server.ask(1, "tools/call", &modern(call("test_sampling")));
    assert_eq!(required["result"]["resultType"], "input_required", "{required}");
    assert_eq!(required["result"]["inputRequests"]["prompt"]["method"], "sampling/createMessage");
    let mut retry = modern(call("test_sampling"));
    retry["inputResponses"] = json!({ "prompt": {
        "role": "assistant", "model": "m", "content": { "type": "text", "text": "ahoy" },
    }});
    let answer = server.ask(2, "tools/call", &retry);
    assert_eq!(answer["result"]["content"][0]["text"], "LLM response: ahoy");
}

#[test]
fn nobody_is_asked_for_what_he_has_not_declared() {
    let mut server = Server::start(&["--conformance"]);
    server.initialize();
    let answer = server.ask(1, "tools/call", &call("test_sampling"));
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    let mut server = Server::start(&["--conformance"]);
    let mut params = modern(call("test_sampling"));
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
    let answer = server.ask(1, "tools/call", &params);
    assert_eq!(answer["error"]["code"], -32021);
    assert_eq!(answer["error"]["data"]["requiredCapabilities"], json!({ "sampling": {} }));
}

#[test]
fn changes_are_told_to_sessions_and_to_listens() {
    let mut server = Server::start(&["--conformance"]);
    initialize(&mut server);
    server.ask(1, "resources/subscribe", &json!({ "uri": "test://watched-resource" }));
    let tool = call("test_trigger_resource_change");
    server.send(&json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": tool }));
    let told = server.message();
    assert_eq!(told["method"], "notifications/resources/updated");
    assert_eq!(told["params"]["uri"], "test://watched-resource");
    assert_eq!(server.message()["id"], 2);

    let mut server = Server::start(&["--conformance"]);
    let listen = modern(json!({ "notifications": { "toolsListChanged": true } }));
    server.send(&json!({ "jsonrpc": "2.0", "id": "l", "method": "subscriptions/listen", "params": listen }));
    assert_eq!(server.message()["method"], "notifications/subscriptions/acknowledged");
    // The other list has changed too, and was not asked for.
    for (id, tool) in [(1, "test_trigger_prompt_change"), (2, "test_trigger_tool_change")] {
        server.send(
            &json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": modern(call(tool)) }),
        );
    }
    let mut heard: Vec<Value> = (0..3).map(|_| server.message()).collect();
    heard.retain(|message| message.get("id").is_none());
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert_eq!(heard[0]["method"], "notifications/tools/list_changed");
    assert_eq!(heard[0]["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], "l");
}
