//! Servers that end unasked, as their clients and the API see it; and instances that nobody uses.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use roadstead_test_support::app::{Answer, App, programs};
use roadstead_test_support::raw::{Events, Session, call, http_client, only_answer};
use roadstead_test_support::wait_for;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::instance::{Launched, PATIENCE, set_ports};

/// Defines a type of the echo server.
async fn define(app: &App, name: &str, args: &[&str], more: Value) {
    let mut spec = json!({
        "name": name, "display_name": name, "program": programs().join("roadstead-echo"), "args": args,
        "era": "legacy", "ready_timeout_s": 20,
    });
    for (key, value) in more.as_object().expect("an object") {
        spec[key] = value.clone();
    }
    let answer = app.ask("POST", "/types", Some(spec)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

fn kill_server(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("it runs");
}

fn url(app: &App, instance: &Launched) -> String {
    format!("{}/i/{}/mcp", app.url, instance.id)
}

/// Waits until so many restarts are among an instance's events; answers with the last of them.
async fn restarts(app: &App, id: &str, count: usize) -> Value {
    wait_for("the server to be started again", PATIENCE, async || {
        let answer = app.ask("GET", &format!("/instances/{id}/events?limit=100"), None).await;
        let events = answer.body["data"].as_array().expect("a list").clone();
        let mut found: Vec<Value> =
            events.into_iter().filter(|event| event["event_type"] == "restarted").collect();
        (found.len() == count).then(|| found.pop().expect("there is one"))
    })
    .await
}

/// A row with what its shim says; one that is slow to answer is left out of it.
async fn looked_at(app: &App, id: &str) -> Value {
    wait_for("the shim to be asked in time", PATIENCE, async || {
        let row = app.instance(id).await;
        (!row["alive"].is_null()).then_some(row)
    })
    .await
}

/// What the shim says of requests in flight.
async fn in_flight(app: &App, instance: &Launched, count: usize) {
    wait_for("the call to be in flight", PATIENCE, async || {
        let row = app.instance(&instance.id).await;
        (row["alive"]["requests_in_flight"] == count).then_some(())
    })
    .await;
}

/// One stateless request.
async fn modern(app: &App, instance: &Launched, method: &str) -> Answer {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    });
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": {"_meta": meta}});
    let request = app.request("POST", &format!("/i/{}/mcp", instance.id)).bearer_auth(&instance.token);
    let request = request
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", method);
    let response = request.json(&message).send().await.expect("the gateway answers");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, body: only_answer(response).await }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_of_a_lost_server_is_gone_and_a_new_one_works_on_the_same_url_and_token() {
    let app = App::start().await;
    set_ports(&app, 24_700, 24_709).await;
    define(&app, "mortal", &[], json!({})).await;
    let instance = Launched::new(&app, json!({"type": "mortal"})).await;
    assert!(instance.lives());
    let client = http_client(false);
    let session = Session::open(&client, &url(&app, &instance), &instance.token).await;

    let mut calls = JoinSet::new();
    let calling = session.clone();
    calls.spawn(async move { calling.call(&json!(7), "sleep", &json!({"ms": 30_000})).await });
    in_flight(&app, &instance, 1).await;
    kill_server(instance.server);
    let error = calls.join_next().await.expect("it was begun").expect("it is answered");
    let message = error["error"]["message"].as_str().expect("an error");
    assert!(message.contains("the server ended before it answered"), "{error}");
    let again = session.send(&call(&json!(8), "echo", &json!({"text": "there?"}), None)).await;
    assert_eq!(again.status(), 404, "its client has to begin anew");

    // Asked while the server is away: it waits. Before the end is known, it would get a server of its own.
    let logs = format!("/instances/{}/logs?limit=100", instance.id);
    wait_for("the end to be known", PATIENCE, async || {
        let logs = app.ask("GET", &logs, None).await.body.to_string();
        logs.contains("signal 9; it is started again in 1s").then_some(())
    })
    .await;
    let session = Session::open(&client, &url(&app, &instance), &instance.token).await;
    let answer = session.call(&json!(1), "echo", &json!({"text": "here"})).await;
    assert_eq!(answer["result"]["content"][0]["text"], "here", "{answer}");

    let event = restarts(&app, &instance.id, 1).await;
    assert_eq!((&event["data"]["attempt"], &event["data"]["server_end"]), (&json!(1), &json!("signal 9")));
    // The row names the process in a statement of its own.
    let row = wait_for("the row to name the new process", PATIENCE, async || {
        let row = app.instance(&instance.id).await;
        (row["process_id"] == event["data"]["process_id"]).then_some(row)
    })
    .await;
    assert_eq!(row["status"], "running");
    assert_ne!(row["process_id"], instance.server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_modern_client_goes_on() {
    let app = App::start().await;
    set_ports(&app, 24_710, 24_719).await;
    define(&app, "modern", &["--era", "modern"], json!({"era": "modern"})).await;
    let instance = Launched::new(&app, json!({"type": "modern"})).await;
    assert_eq!(modern(&app, &instance, "tools/list").await.status, 200);
    kill_server(instance.server);
    restarts(&app, &instance.id, 1).await;
    let answer = modern(&app, &instance, "tools/list").await;
    assert!(answer.status == 200 && answer.body["result"]["tools"].is_array(), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_loop_ends_as_an_error_that_shows_the_last_lines() {
    let app = App::start().await;
    set_ports(&app, 24_720, 24_729).await;
    // Ready at once and dead soon after: each restart succeeds, and the loop still ends.
    let args = ["--exit-after", "3s", "--exit-code", "4"];
    define(&app, "dying", &args, json!({"max_restarts": 2, "restart_window_s": 600})).await;
    let instance = Launched::new(&app, json!({"type": "dying"})).await;
    let row = app.wait_status(&instance.id, "error", PATIENCE).await;
    let message = row["error_message"].as_str().expect("it says why");
    let expected = "the server ended 3 times within 10m; its last end was exit status 4; its last lines:\n";
    assert!(message.starts_with(expected), "{message}");
    assert!(message.ends_with("echo: told to exit now with 4"), "{message}");
    instance.gone().await;
    assert_eq!(
        app.event_types(&instance.id).await,
        ["created", "started", "restarted", "restarted", "error"]
    );
    assert_eq!(instance.route(&app, &instance.token).await, (410, "INSTANCE_NOT_RUNNING".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_type_without_restarts_loses_its_instance_at_once() {
    let app = App::start().await;
    set_ports(&app, 24_730, 24_739).await;
    define(&app, "mortal", &[], json!({"restart": "never"})).await;
    let instance = Launched::new(&app, json!({"type": "mortal"})).await;
    assert!(instance.lives());
    kill_server(instance.server);
    let row = app.wait_status(&instance.id, "disconnected", PATIENCE).await;
    assert!(row["error_message"].as_str().is_some_and(|why| why.contains("signal 9")), "{row}");
    instance.gone().await;
    assert_eq!(app.event_types(&instance.id).await, ["created", "started", "disconnected"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_nobody_uses_ends_and_neither_streams_nor_pings_are_use() {
    let app = App::start().await;
    set_ports(&app, 24_740, 24_749).await;
    define(&app, "brief", &[], json!({"idle_limit_s": 60})).await;
    for (wrong, most) in [("61s", "1m"), ("0s", "1m")] {
        let body = json!({"type": "brief", "idle_limit": wrong});
        let answer = app.ask("POST", "/instances", Some(body)).await;
        assert_eq!(answer.status, 422, "{answer:?}");
        assert!(answer.body.to_string().contains(&format!("between 1s and {most}")), "{answer:?}");
    }
    let patient = Launched::new(&app, json!({"type": "brief"})).await;
    let idle = Launched::new(&app, json!({"type": "brief", "idle_limit": "12s"})).await;
    let busy = Launched::new(&app, json!({"type": "brief", "idle_limit": "12s"})).await;

    let client = http_client(false);
    let session = Session::open(&client, &url(&app, &idle), &idle.token).await;
    let mut stream: Events = session.listen().await;
    let used = Session::open(&client, &url(&app, &busy), &busy.token).await;
    let mut calls = JoinSet::new();
    calls.spawn(async move { used.call(&json!(7), "sleep", &json!({"ms": 30_000})).await });
    let row = wait_for("it to end while it is pinged", PATIENCE, async || {
        let ping = json!({"jsonrpc": "2.0", "id": 9, "method": "ping"});
        let _ = session.request("POST").json(&ping).send().await;
        let row = app.instance(&idle.id).await;
        (row["status"] == "expired").then_some(row)
    })
    .await;
    assert_eq!(row["error_message"], "idle for 12s", "{row}");
    assert_eq!(app.event_types(&idle.id).await, ["created", "started", "expired"]);
    while stream.next().await.is_ok_and(|event| event.is_some()) {}
    idle.gone().await;

    let row = looked_at(&app, &busy.id).await;
    let alive = &row["alive"];
    assert_eq!(
        (&row["status"], &alive["because"]),
        (&json!("running"), &json!("1 request in flight")),
        "{row}"
    );
    assert_eq!((&alive["idle_limit_ms"], &alive["idle_left_ms"]), (&json!(12000), &Value::Null), "{row}");
    calls.shutdown().await;
    let row = looked_at(&app, &patient.id).await;
    assert!(row["alive"]["because"].as_str().is_some_and(|why| why.contains("idle limit 1m")), "{row}");
}
