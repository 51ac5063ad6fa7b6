//! The era of a server is found out once for each version of its type, and kept.

use std::time::Duration;

use roadstead_test_support::app::{App, programs};
use roadstead_test_support::wait_for;
use serde_json::{Value, json};

/// How long anything here may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

fn spec(title: &str) -> Value {
    json!({"name": "unsaid", "display_name": title, "program": programs().join("roadstead-echo"), "args": []})
}

/// A request of a modern client: its first makes the bridge find out whether the server speaks its revision.
async fn modern_request(app: &App, instance: &Value) -> Value {
    let text = |name: &str| instance[name].as_str().expect("a launch tells it").to_owned();
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    }}});
    let request = app
        .request("POST", &format!("/i/{}/mcp", text("id")))
        .bearer_auth(text("access_token"))
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/list")
        .json(&message);
    request.send().await.expect("the gateway answers").json().await.expect("JSON")
}

/// The era in which an instance was started, as its event tells.
async fn era_of(app: &App, instance: &Value) -> String {
    let id = instance["id"].as_str().expect("an id");
    let events = app.ask("GET", &format!("/instances/{id}/events"), None).await;
    let events = events.body["data"].as_array().expect("a list").clone();
    let started = events.iter().find(|event| event["event_type"] == "started").expect("it was started");
    started["data"]["era"].as_str().expect("a word").to_owned()
}

async fn type_of(app: &App) -> Value {
    let answer = app.ask("GET", "/types/unsaid", None).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

#[tokio::test]
async fn an_era_that_was_found_out_is_shown_and_used_until_the_type_changes() {
    let app = App::start().await;
    assert_eq!(app.ask("POST", "/types", Some(spec("Unsaid"))).await.status, 201);
    assert_eq!(type_of(&app).await.get("probed_era"), None);
    let first = app.launch(json!({"type": "unsaid"})).await;
    assert_eq!(era_of(&app, &first).await, "auto");

    let answer = modern_request(&app, &first).await;
    assert!(answer["result"]["tools"].is_array(), "{answer}");
    let found = wait_for("the era to be kept", PATIENCE, async || {
        let shown = type_of(&app).await;
        shown.get("probed_era").is_some().then_some(shown)
    })
    .await;
    assert_eq!(found["probed_era"], "dual", "{found}");
    assert_eq!((&found["era"], &found["version"]), (&json!("auto"), &json!(1)), "the author's word stands");
    assert!(found["probed_at"].is_string(), "{found}");

    let second = app.launch(json!({"type": "unsaid"})).await;
    assert_eq!(era_of(&app, &second).await, "dual");
    let answer = modern_request(&app, &second).await;
    assert!(answer["result"]["tools"].is_array(), "{answer}");

    let changed = app.ask("PUT", "/types/unsaid", Some(spec("Changed"))).await;
    assert_eq!((changed.status, changed.body.get("probed_era")), (200, None), "{changed:?}");
    let third = app.launch(json!({"type": "unsaid"})).await;
    assert_eq!(era_of(&app, &third).await, "auto", "a changed type may be another server");
    // An instance of the version before has nothing to say of this one.
    modern_request(&app, &first).await;
    assert_eq!(type_of(&app).await.get("probed_era"), None);
    app.interrupt().await;
}

#[tokio::test]
async fn a_row_names_the_process_that_serves_when_the_first_session_has_ended() {
    let app = App::start().await;
    app.define_echo("legacy-echo", &[]).await;
    let instance = app.launch(json!({"type": "legacy-echo"})).await;
    let text = |name: &str| instance[name].as_str().expect("a launch tells it").to_owned();
    let (id, url, token) = (text("id"), text("access_url"), text("access_token"));
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}});
    let open = async || {
        let answer = app.mcp(&url, &token, None, hello.clone()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.headers["mcp-session-id"].to_str().expect("a session").to_owned()
    };
    let (first, _second) = (open().await, open().await);
    let bye = app
        .request("DELETE", &format!("/i/{id}/mcp"))
        .bearer_auth(&token)
        .header("mcp-session-id", &first)
        .send()
        .await
        .expect("the gateway answers");
    assert!(bye.status().is_success(), "{bye:?}");
    let before = instance["process_id"].as_i64().expect("a process");
    let now = wait_for("the row to name the other process", PATIENCE, async || {
        let now = app.instance(&id).await["process_id"].as_i64().expect("a process");
        (now != before).then_some(now)
    })
    .await;
    assert!(roadstead_test_support::app::is_alive(i32::try_from(now).expect("a process id")));
    app.interrupt().await;
}
