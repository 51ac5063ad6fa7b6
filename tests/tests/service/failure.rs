//! What goes wrong with servers, shims, ports and quotas, and what the API says of it.

use std::net::TcpListener;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use roadstead_test_support::app::{Answer, App, is_alive, programs};
use roadstead_test_support::wait_for;
use serde_json::{Value, json};

use crate::support::instance::{Launched, PATIENCE, set_ports};

/// What an error says of a field.
fn detail<'a>(answer: &'a Answer, field: &str) -> &'a str {
    let details = answer.body["error"]["details"].as_array().expect("an error has details");
    let found = details.iter().find(|each| each["field"] == field);
    found.and_then(|each| each["message"].as_str()).unwrap_or_default()
}

fn code(answer: &Answer) -> &str {
    answer.body["error"]["code"].as_str().unwrap_or_default()
}

/// A port as the pool's map shows it.
async fn port_entry(app: &App, port: u16) -> Value {
    let answer = app.ask("GET", "/ports", None).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let ports = answer.body["data"].as_array().expect("a list");
    ports.iter().find(|entry| entry["port"] == port).expect("the port is in the pool").clone()
}

/// No port of the pool is held by an instance.
async fn no_port_is_leased(app: &App) {
    let answer = app.ask("GET", "/ports", None).await;
    for entry in answer.body["data"].as_array().expect("a list") {
        assert!(entry["state"] != "leased" && entry["instance_id"].is_null(), "{entry}");
    }
}

/// No shim of the service is left: they are its own children.
async fn no_shim_is_left(app: &App) {
    let children = format!("/proc/{pid}/task/{pid}/children", pid = app.pid());
    wait_for("shims to be gone", PATIENCE, async || {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", app.pid())).expect("it runs");
        let mut all = std::fs::read_to_string(&children).unwrap_or_default();
        for task in tasks.flatten() {
            all.push(' ');
            all += &std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        }
        let shims = all.split_whitespace().filter_map(|pid| pid.parse().ok());
        let left = shims.filter(|pid| {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            is_alive(*pid) && name.starts_with("roadstead-shim")
        });
        (left.count() == 0).then_some(())
    })
    .await;
}

async fn define(app: &App, name: &str, program: &str, more: Value) {
    let mut spec = json!({ "name": name, "display_name": name, "program": program });
    for (key, value) in more.as_object().expect("an object") {
        spec[key] = value.clone();
    }
    let answer = app.ask("POST", "/types", Some(spec)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

async fn try_launch(app: &App, type_name: &str) -> Answer {
    app.ask("POST", "/instances", Some(json!({ "type": type_name }))).await
}

#[tokio::test]
async fn a_server_or_shim_killed_from_outside_leaves_a_disconnected_instance_and_a_resting_port() {
    let app = App::start().await;
    set_ports(&app, 21_100, 21_119).await;
    let kill_it = |pid: i32| kill(Pid::from_raw(pid), Signal::SIGKILL).expect("it runs");

    let echo = programs().join("roadstead-echo");
    let echo = echo.to_str().expect("a path of ours");
    define(&app, "mortal", echo, json!({"era": "dual", "restart": "never"})).await;
    let by_server = Launched::new(&app, json!({"type": "mortal"})).await;
    assert!(by_server.lives());
    kill_it(by_server.server);
    let row = app.wait_status(&by_server.id, "disconnected", PATIENCE).await;
    let why = row["error_message"].as_str().expect("it says why");
    assert!(why.contains("signal 9"), "{why}");

    let by_shim = Launched::new(&app, json!({"type": "echo"})).await;
    kill_it(by_shim.shim);
    let row = app.wait_status(&by_shim.id, "disconnected", PATIENCE).await;
    let why = row["error_message"].as_str().expect("it says why");
    assert!(why.contains("shim"), "{why}");

    for instance in [&by_server, &by_shim] {
        instance.gone().await;
        assert_eq!(app.event_types(&instance.id).await, ["created", "started", "disconnected"]);
        assert_eq!(instance.route(&app, &instance.token).await, (410, "INSTANCE_NOT_RUNNING".to_owned()));
        let entry = port_entry(&app, instance.port).await;
        assert_eq!((&entry["state"], &entry["instance_id"]), (&json!("resting"), &Value::Null), "{entry}");
    }
    no_shim_is_left(&app).await;
}

#[tokio::test]
async fn a_launch_that_fails_says_why_and_leaves_nothing() {
    let app = App::start().await;
    set_ports(&app, 21_120, 21_139).await;
    let echo = programs().join("roadstead-echo");
    let echo = echo.to_str().expect("a path of ours");
    let plain = app.data().join("plain.txt");
    std::fs::write(&plain, "no program").expect("a file of ours");
    let plain = plain.to_str().expect("a path of ours");
    define(&app, "dies", echo, json!({"args": ["--exit-at-start", "3"]})).await;
    define(&app, "mute", echo, json!({"args": ["--never-ready"], "era": "modern", "ready_timeout_s": 2}))
        .await;
    define(&app, "missing", "/nowhere/server", json!({})).await;
    define(&app, "plain", plain, json!({})).await;

    let expected = [
        ("dies", 502, "SERVER_FAILED_TO_START", "told to exit at once with 3"),
        ("mute", 504, "SERVER_NOT_READY", "2000 ms"),
        ("missing", 502, "SERVER_FAILED_TO_START", "/nowhere/server"),
        ("plain", 502, "SERVER_FAILED_TO_START", plain),
    ];
    for (name, status, word, why) in expected {
        let answer = try_launch(&app, name).await;
        assert_eq!((answer.status, code(&answer)), (status, word), "{answer:?}");
        let told = format!("{} {}", answer.body["error"]["message"], detail(&answer, "stderr"));
        assert!(told.contains(why), "{name}: {told}");
        let id = detail(&answer, "instance_id");
        let row = app.instance(id).await;
        assert_eq!(row["status"], "error", "{row}");
        assert!(row["error_message"].as_str().is_some_and(|text| text.contains(why)), "{row}");
        assert!(row["assigned_port"].is_null() && row["process_id"].is_null(), "{row}");
        assert_eq!(app.event_types(id).await, ["created", "error"]);
    }
    no_port_is_leased(&app).await;
    no_shim_is_left(&app).await;
    let folders =
        std::fs::read_dir(app.data().join("instances")).expect("the folder of the servers' folders");
    assert_eq!(folders.count(), 0, "their folders are gone as well");
    app.launch(json!({"type": "echo"})).await;
}

#[tokio::test]
async fn a_launch_that_nobody_waits_for_fails_in_its_row() {
    let app = App::start().await;
    set_ports(&app, 21_140, 21_159).await;
    app.define_echo("dies", &["--exit-at-start", "3"]).await;
    let answer = app.ask("POST", "/instances", Some(json!({"type": "dies", "wait": "none"}))).await;
    assert_eq!((answer.status, &answer.body["status"]), (202, &json!("pending")), "{answer:?}");
    let id = answer.body["id"].as_str().expect("an id");
    let row = app.wait_status(id, "error", PATIENCE).await;
    assert!(row["error_message"].as_str().is_some_and(|text| text.contains("exit at once with 3")), "{row}");
    no_port_is_leased(&app).await;
}

#[tokio::test]
async fn a_port_that_something_else_holds_is_skipped_and_a_full_pool_says_when_to_come_back() {
    let app = App::start().await;
    set_ports(&app, 21_160, 21_162).await;
    let held = TcpListener::bind(("127.0.0.1", 21_160)).expect("nobody else has it");
    let first = Launched::new(&app, json!({"type": "echo"})).await;
    assert_eq!(first.port, 21_161, "the lowest that is free");
    let entry = port_entry(&app, 21_160).await;
    assert_eq!(entry["state"], "resting", "{entry}");
    let second = Launched::new(&app, json!({"type": "echo"})).await;
    assert_eq!(second.port, 21_162);

    let full = try_launch(&app, "echo").await;
    assert_eq!((full.status, code(&full)), (503, "PORTS_EXHAUSTED"), "{full:?}");
    let wait: u64 = full.headers["retry-after"].to_str().expect("text").parse().expect("seconds");
    assert!((1..=60).contains(&wait), "{wait}");
    drop(held);
    let rows = app.ask("GET", "/instances", None).await;
    assert_eq!(rows.body["data"].as_array().map(Vec::len), Some(2), "what found no port left no row");

    set_ports(&app, 21_160, 21_163).await;
    let third = Launched::new(&app, json!({"type": "echo"})).await;
    assert_eq!(third.port, 21_163, "a larger pool is in force at once");
    set_ports(&app, 21_160, 21_161).await;
    assert_eq!(third.route(&app, &third.token).await.0, 200, "a smaller one ends nobody");
    assert_eq!(code(&try_launch(&app, "echo").await), "PORTS_EXHAUSTED");
}

#[tokio::test]
async fn a_port_is_found_behind_any_number_that_something_else_holds() {
    let app = App::start().await;
    set_ports(&app, 21_500, 21_540).await;
    let held: Vec<_> =
        (21_500..21_540).map(|port| TcpListener::bind(("127.0.0.1", port)).expect("nobody has it")).collect();
    let launched = Launched::new(&app, json!({"type": "echo"})).await;
    assert_eq!(launched.port, 21_540, "the last of the pool");
    drop(held);
}

#[tokio::test]
async fn nobody_has_more_instances_than_the_quota_even_when_they_ask_at_once() {
    let app = App::start().await;
    set_ports(&app, 21_180, 21_199).await;
    let set = app.ask("PUT", "/settings/mcp.max_instances_per_user", Some(json!({"value": 2}))).await;
    assert_eq!(set.status, 200, "{set:?}");
    let launches = (0..6).map(|_| try_launch(&app, "echo"));
    let answers = futures_util::future::join_all(launches).await;
    let (made, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
    assert_eq!(made.len(), 2);
    for answer in refused {
        assert_eq!((answer.status, code(&answer)), (429, "INSTANCE_QUOTA_REACHED"), "{answer:?}");
    }
    let id = made[0].body["id"].as_str().expect("an id");
    assert_eq!(app.ask("DELETE", &format!("/instances/{id}"), None).await.status, 204);
    app.launch(json!({"type": "echo"})).await;
}

#[tokio::test]
async fn stop_delete_and_a_new_token_take_effect_with_their_answer() {
    let app = App::start().await;
    set_ports(&app, 21_200, 21_219).await;
    let instance = Launched::new(&app, json!({"type": "echo"})).await;
    let other = Launched::new(&app, json!({"type": "echo"})).await;
    let path = format!("/instances/{}", instance.id);
    let port_status = async |token: &str| {
        let url = format!("http://127.0.0.1:{}/mcp", instance.port);
        app.mcp(&url, token, None, json!({"jsonrpc": "2.0", "id": 1, "method": "ping"})).await.status
    };

    let rotated = app.ask("POST", &format!("{path}/rotate-token"), None).await;
    assert_eq!(rotated.status, 200, "{rotated:?}");
    let new = rotated.body["access_token"].as_str().expect("a token");
    assert_ne!(new, instance.token);
    for wrong in [instance.token.as_str(), other.token.as_str(), "", "rsi_x"] {
        assert_eq!(instance.route(&app, wrong).await.0, 401, "through the gateway");
        assert_eq!(port_status(wrong).await, 401, "through the port");
    }
    assert_eq!(instance.route(&app, new).await.0, 200);
    assert_ne!(port_status(new).await, 401);

    let stopped = app.ask("POST", &format!("{path}/stop"), None).await;
    assert_eq!((stopped.status, &stopped.body["status"]), (200, &json!("stopped")), "{stopped:?}");
    assert!(!is_alive(instance.server), "the answer comes when it is gone");
    instance.gone().await;
    assert_eq!(instance.route(&app, new).await.0, 410);
    assert_eq!(instance.route(&app, &instance.token).await.0, 401, "the old token learns nothing");
    for verb in ["stop", "rotate-token"] {
        let again = app.ask("POST", &format!("{path}/{verb}"), None).await;
        assert_eq!((again.status, code(&again)), (409, "WRONG_STATUS"), "{again:?}");
    }
    let events = app.event_types(&instance.id).await;
    assert_eq!(events, ["created", "started", "token_rotated", "stopped"]);

    for id in [&instance.id, &other.id] {
        assert_eq!(app.ask("DELETE", &format!("/instances/{id}"), None).await.status, 204);
        assert_eq!(app.ask("GET", &format!("/instances/{id}"), None).await.status, 404);
    }
    other.gone().await;
    assert_eq!(other.route(&app, &other.token).await.0, 401, "a deleted instance is as one that never was");
}

#[tokio::test]
async fn a_list_comes_in_pages_that_miss_nothing_and_repeat_nothing() {
    let app = App::start().await;
    set_ports(&app, 21_220, 21_239).await;
    let mut launched = Vec::new();
    for _ in 0..5 {
        launched.push(Launched::new(&app, json!({"type": "echo"})).await.id);
    }
    for (sort, expected) in [
        ("created_at", launched.clone()),
        ("-created_at", launched.iter().rev().cloned().collect::<Vec<_>>()),
    ] {
        let mut seen = Vec::new();
        let mut cursor = String::new();
        for size in [2, 2, 1] {
            let answer = app.ask("GET", &format!("/instances?limit=2&sort={sort}{cursor}"), None).await;
            let page = answer.body["data"].as_array().expect("a list");
            assert_eq!(page.len(), size, "{answer:?}");
            seen.extend(page.iter().map(|row| row["id"].as_str().expect("an id").to_owned()));
            let next = answer.body["next_cursor"].as_str();
            cursor = next.map(|next| format!("&cursor={next}")).unwrap_or_default();
        }
        assert_eq!((seen, cursor.as_str()), (expected, ""));
    }
    let none = app.ask("GET", "/instances?status=stopped", None).await;
    assert_eq!(none.body, json!({"data": [], "next_cursor": null}));
}
