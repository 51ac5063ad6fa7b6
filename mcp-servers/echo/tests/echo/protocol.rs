//! What it says when it behaves, in both eras.

use serde_json::{Value, json};

use crate::process::Server;

const TOKEN: &str = "canary-0123456789-wxyz";

fn text(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"].as_str().expect("a text")
}

fn call(tool: &str, arguments: &Value) -> Value {
    json!({ "name": tool, "arguments": arguments })
}

/// The parameters of a stateless request: what the client is goes with each one.
fn modern(mut params: Value) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
    });
    params
}

#[test]
fn ping_is_answered_before_and_after_initialize() {
    let mut server = Server::start(&[]);
    server.answers_ping();
    server.answers_ping();
    assert_eq!(server.initialize()["result"]["protocolVersion"], "2025-11-25");
    server.answers_ping();
}

#[test]
fn a_discovered_server_answers_ping_and_may_still_be_initialized() {
    let mut server = Server::start(&[]);
    let found = server.ask(1, "server/discover", &modern(json!({})));
    let versions = found["result"]["supportedVersions"].as_array().expect("versions");
    assert!(versions.contains(&json!("2026-07-28")) && versions.contains(&json!("2025-11-25")));
    server.answers_ping();
    assert_eq!(server.initialize()["result"]["serverInfo"]["name"], "roadstead-echo");
}

#[test]
fn a_legacy_client_lists_and_calls_the_tools() {
    let mut server = Server::start(&[]);
    server.initialize();
    let tools = server.ask(1, "tools/list", &json!({}));
    let mut names: Vec<&str> = tools["result"]["tools"]
        .as_array()
        .expect("tools")
        .iter()
        .map(|tool| tool["name"].as_str().expect("a name"))
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["add", "echo", "env_names", "sleep", "whoami"]);
    assert_eq!(
        text(&server.ask(2, "tools/call", &call("echo", &json!({ "text": "söme\nlines" })))),
        "söme\nlines"
    );
    let sum = server.ask(3, "tools/call", &call("add", &json!({ "a": 2, "b": 0.5 })));
    assert_eq!(sum["result"]["structuredContent"], json!({ "sum": 2.5 }));
    let wrong = server.ask(4, "tools/call", &call("add", &json!({ "a": "two" })));
    assert!(wrong["error"]["code"] == -32602 || wrong["result"]["isError"] == true, "{wrong}");
    assert!(sum["result"].get("resultType").is_none(), "a legacy client was given a result type");
}

#[test]
fn a_modern_client_is_served_without_initialize() {
    let mut server = Server::start(&[]);
    let answer = server.ask(1, "tools/call", &modern(call("echo", &json!({ "text": "hi" }))));
    assert_eq!((text(&answer), &answer["result"]["resultType"]), ("hi", &json!("complete")));
    let refused = server.ask(2, "tools/list", &json!({}));
    assert_eq!(refused["error"]["code"], -32602, "a request without its metadata was served");
}

#[test]
fn resources_and_prompts_are_there() {
    let mut server = Server::start_with(&[], &[("ECHO_GREETING", "ahoy")]);
    server.initialize();
    let listed = server.ask(1, "resources/list", &json!({}));
    assert_eq!(listed["result"]["resources"][0]["uri"], "echo://readme");
    let templates = server.ask(2, "resources/templates/list", &json!({}));
    assert_eq!(templates["result"]["resourceTemplates"][0]["uriTemplate"], "echo://text/{text}");
    let readme = server.ask(3, "resources/read", &json!({ "uri": "echo://readme" }));
    assert!(readme["result"]["contents"][0]["text"].as_str().expect("a text").contains("env_names"));
    let read = server.ask(4, "resources/read", &json!({ "uri": "echo://text/some" }));
    assert_eq!(read["result"]["contents"][0]["text"], "some");
    let missing = server.ask(5, "resources/read", &json!({ "uri": "echo://nothing" }));
    assert_eq!(missing["error"]["code"], -32002);
    let greeted = server.ask(6, "prompts/get", &json!({ "name": "greet", "arguments": { "name": "Ann" } }));
    assert_eq!(greeted["result"]["messages"][0]["content"]["text"], "ahoy, Ann");
}

#[test]
fn sleep_tells_how_far_it_is() {
    let mut server = Server::start(&[]);
    server.initialize();
    let mut params = call("sleep", &json!({ "ms": 100 }));
    params["_meta"] = json!({ "progressToken": 7 });
    server.send(&json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }));
    let mut told = Vec::new();
    let answer = loop {
        let message = server.message();
        if message["method"] != "notifications/progress" {
            break message;
        }
        assert_eq!(message["params"]["progressToken"], 7);
        told.push(message["params"]["progress"].as_f64().expect("a number"));
    };
    assert_eq!(text(&answer), "slept 100 ms");
    assert!(told.is_sorted_by(|before, after| before < after), "{told:?}");
    assert_eq!((told.len(), told.last()), (10, Some(&100.0)));
}

#[test]
fn a_cancelled_sleep_ends_without_an_answer() {
    let mut server = Server::start(&[]);
    server.initialize();
    let params = call("sleep", &json!({ "ms": 3_000_000 }));
    server.send(&json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }));
    server.send(&json!({
        "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 },
    }));
    server.answers_ping();
    server.close_input();
    assert_eq!(server.line(), None, "a cancelled call was answered");
    assert!(server.end().success());
}

#[test]
fn the_environment_is_named_and_never_told() {
    let mut server = Server::start_with(&[], &[("ECHO_TOKEN", TOKEN), ("OTHER", "canary-other")]);
    server.initialize();
    let names = server.ask(1, "tools/call", &call("env_names", &json!({})));
    assert_eq!(names["result"]["structuredContent"], json!({ "names": ["ECHO_TOKEN", "OTHER"] }));
    let who = server.ask(2, "tools/call", &call("whoami", &json!({})));
    let told = &who["result"]["structuredContent"];
    assert_eq!(told["pid"], server.pid().as_raw());
    assert_eq!(told["uid"], nix::unistd::getuid().as_raw());
    assert_eq!(told["credential"], "…wxyz");
    assert!(!names.to_string().contains("canary") && !who.to_string().contains("canary"));
}

#[test]
fn what_comes_too_early_does_no_harm() {
    let mut server = Server::start(&[]);
    server.send(
        &json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 } }),
    );
    server.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
    server.send_line("this is no JSON");
    server.answers_ping();
    server.initialize();
}

#[test]
fn the_end_of_input_ends_it_whenever_it_comes() {
    let mut silent = Server::start(&[]);
    silent.close_input();
    assert!(silent.end().success());
    let mut spoken = Server::start(&[]);
    spoken.initialize();
    spoken.close_input();
    assert_eq!(spoken.line(), None);
    assert!(spoken.end().success());
    assert_eq!(spoken.error_line(), None, "it complained");
}
