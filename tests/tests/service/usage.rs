//! What calls cost: one fact for each call, whoever is killed in between, and nothing of what was said.

use std::collections::{BTreeMap, HashSet};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::Client;
use roadstead_test_support::app::{App, is_alive};
use roadstead_test_support::raw::{Session, call, http_client, only_answer, stateless};
use roadstead_test_support::wait_for;
use serde_json::{Value, json};

use crate::support::instance::{Launched, PATIENCE, set_ports};
use crate::support::kept::{Kept, run};

/// What a caller says that nobody may find anywhere afterwards.
const SAID: &str = "canary-of-an-argument";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";

/// Everything that was called, by method, name, era and status.
#[derive(Default)]
struct Made {
    next: u64,
    kinds: BTreeMap<[String; 4], u64>,
}

impl Made {
    fn number(&mut self, method: &str, name: &str, era: &str, status: &str) -> Value {
        self.next += 1;
        *self.kinds.entry([method, name, era, status].map(ToOwned::to_owned)).or_default() += 1;
        json!(self.next)
    }
}

/// One of the calls that are made in turn: method, what it names, the rest of `params`, its name in the fact, its outcome.
fn turn(which: usize) -> (&'static str, Value, &'static str, &'static str) {
    match which % 6 {
        0 => ("tools/call", json!({"name": "echo", "arguments": {"text": SAID}}), "echo", "success"),
        1 => ("tools/call", json!({"name": "add", "arguments": {"a": 1, "b": 2}}), "add", "success"),
        2 => (
            "tools/call",
            json!({"name": "sleep", "arguments": {"ms": 10_000_000_000_u64}}),
            "sleep",
            "error",
        ),
        3 => ("resources/read", json!({"uri": format!("echo://text/{SAID}")}), "echo://text", "success"),
        4 => ("prompts/get", json!({"name": "greet", "arguments": {"name": SAID}}), "greet", "success"),
        _ => ("tools/call", json!({"name": "no_such_tool", "arguments": {}}), "no_such_tool", "error"),
    }
}

async fn legacy_calls(session: &Session, count: usize, made: &mut Made) {
    for which in 0..count {
        let (method, params, name, status) = turn(which);
        let id = made.number(method, name, "legacy", status);
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let answer = only_answer(session.send(&message).await).await;
        assert_eq!(answer["id"], id, "{answer}");
    }
}

/// A request without a session, of a caller who traces.
fn traced(client: &Client, url: &str, token: &str, message: &Value) -> reqwest::RequestBuilder {
    let mut message = message.clone();
    message["params"]["_meta"]["traceparent"] = json!(format!("00-{TRACE}-01"));
    stateless(client, url, token, &message)
}

async fn modern_calls(client: &Client, url: &str, token: &str, count: usize, made: &mut Made) {
    for which in 0..count {
        let (method, params, name, status) = turn(which);
        let id = made.number(method, name, "modern", status);
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let response = traced(client, url, token, &message).send().await.expect("an answer");
        let answer = only_answer(response).await;
        assert_eq!(answer["id"], id, "{answer}");
    }
}

/// One call that its session takes back, and one whose stateless client hangs up.
async fn cancelled_calls(session: &Session, token: &str, made: &mut Made) {
    let long = json!({"ms": 600_000});
    let id = made.number("tools/call", "sleep", "legacy", "cancelled");
    let sleeping = session.request("POST").json(&call(&id, "sleep", &long, Some("p"))).send();
    let response = sleeping.await.expect("a head, with the first progress");
    assert_eq!(session.notify("notifications/cancelled", json!({"requestId": id})).await, 202);
    drop(response);
    let id = made.number("tools/call", "sleep", "modern", "cancelled");
    let message = call(&id, "sleep", &long, None);
    let response = traced(&session.client, &session.url, token, &message).send().await.expect("a head");
    drop(response);
}

/// Both ways to an instance.
fn ways(app: &App, instance: &Launched) -> [String; 2] {
    [format!("{}/i/{}/mcp", app.url, instance.id), format!("http://127.0.0.1:{}/mcp", instance.port)]
}

/// Every fact that the service tells, page by page.
async fn facts(app: &App, filter: &str) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let answer = app.ask("GET", &format!("/usage?limit=33{filter}{cursor}"), None).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        all.extend(answer.body["data"].as_array().expect("a list").iter().cloned());
        match answer.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

/// Waits until there are as many facts as calls, and looks that they are the right ones and no others.
async fn every_call_is_told_once(app: &App, made: &Made) -> Vec<Value> {
    wait_for("a fact for every call", PATIENCE, async || {
        (facts(app, "").await.len() as u64 >= made.next).then_some(())
    })
    .await;
    let told = facts(app, "").await;
    let ids: HashSet<&str> = told.iter().filter_map(|fact| fact["request_id"].as_str()).collect();
    assert_eq!((told.len() as u64, ids.len() as u64), (made.next, made.next), "one fact for each call");
    let mut kinds: BTreeMap<[String; 4], u64> = BTreeMap::new();
    for fact in &told {
        let kind = ["method", "name", "era", "status"]
            .map(|field| fact[field].as_str().unwrap_or_default().to_owned());
        *kinds.entry(kind).or_default() += 1;
        assert_eq!(fact["calls"], 1, "{fact}");
        let trace = if fact["era"] == "modern" { json!(TRACE) } else { Value::Null };
        assert_eq!(fact["parent_request_id"], trace, "{fact}");
        assert!(fact["request_bytes"].as_u64() > Some(40) && fact["type"] == "echo", "{fact}");
    }
    assert_eq!(kinds, made.kinds);
    assert!(!serde_json::to_string(&told).expect("JSON").contains(SAID), "nothing of what was said");
    told
}

/// Several sessions and stateless callers, on both ways.
async fn both_eras(app: &App, instance: &Launched, count: usize, made: &mut Made) {
    for url in ways(app, instance) {
        let client = http_client(false);
        let sessions = [
            Session::open(&client, &url, &instance.token).await,
            Session::open(&client, &url, &instance.token).await,
        ];
        for session in &sessions {
            legacy_calls(session, count / 8, made).await;
        }
        modern_calls(&client, &url, &instance.token, count / 4, made).await;
        for session in sessions {
            session.end().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_calls_are_two_hundred_facts_although_the_service_is_killed() {
    let (kept, app) = Kept::start("up", &[]).await;
    set_ports(&app, 23_700, 23_719).await;
    let mut made = Made::default();
    let first = Launched::new(&app, json!({"type": "echo"})).await;
    both_eras(&app, &first, 80, &mut made).await;
    every_call_is_told_once(&app, &made).await;

    // Some of these are on their way when the service is killed, some are made while there is none.
    let [_, port] = ways(&app, &first);
    let session = Session::open(&http_client(false), &port, &first.token).await;
    legacy_calls(&session, 12, &mut made).await;
    app.signal(Signal::SIGKILL);
    let (_, data) = app.ended().await;
    assert!(is_alive(first.shim), "its calls go on without the service");
    legacy_calls(&session, 12, &mut made).await;
    modern_calls(&http_client(false), &port, &first.token, 14, &mut made).await;
    cancelled_calls(&session, &first.token, &mut made).await;

    let app = kept.start_again("up", data).await;
    every_call_is_told_once(&app, &made).await;

    let second = Launched::new(&app, json!({"type": "echo"})).await;
    assert!(second.lives());
    both_eras(&app, &second, 80, &mut made).await;
    assert_eq!(made.next, 200);
    // At once, while the last of them still linger.
    let answer = app.ask("POST", &format!("/instances/{}/stop", second.id), None).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    second.gone().await;
    assert_eq!(second.route(&app, &second.token).await.0, 410);
    let told = every_call_is_told_once(&app, &made).await;
    sums_say_the_same(&app, &told, &second).await;
    only_those_who_may_see_them_do(&app).await;
    the_command_line_shows_them(&app, &second);
    app.interrupt().await;
}

async fn sums_say_the_same(app: &App, told: &[Value], second: &Launched) {
    let total = |rows: &[Value], field: &str| rows.iter().filter_map(|row| row[field].as_u64()).sum::<u64>();
    for summary in ["tool", "day", "instance"] {
        let answer = app.ask("GET", &format!("/usage?summary={summary}"), None).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let sums = answer.body["data"].as_array().expect("a list");
        for field in ["calls", "latency_us", "request_bytes", "answer_bytes"] {
            assert_eq!(total(sums, field), total(told, field), "{summary} {field}");
        }
        let by_status = ["success", "error", "timeout", "cancelled", "blocked"];
        assert_eq!(by_status.map(|status| total(sums, status)).iter().sum::<u64>(), 200);
    }
    let by_tool = app.ask("GET", "/usage?summary=tool&tool=echo", None).await;
    assert_eq!(by_tool.body["data"].as_array().map(Vec::len), Some(1), "{by_tool:?}");
    let of = |filter: String| async move { facts(app, &filter).await.len() };
    assert_eq!(of(format!("&instance={}", second.id)).await, 80);
    assert_eq!(of(format!("&instance={}&status=cancelled", second.id)).await, 0);
    assert_eq!(of("&status=cancelled&type=echo".to_owned()).await, 2);
    assert_eq!(of("&type=github".to_owned()).await, 0);
    assert_eq!(of("&since=2100-01-01T00:00:00Z".to_owned()).await, 0);
    assert_eq!(of("&until=2100-01-01T00:00:00Z&sort=at".to_owned()).await, 200);
    for wrong in ["summary=week", "status=fine", "instance=x", "summary=day&limit=5", "color=red"] {
        let answer = app.ask("GET", &format!("/usage?{wrong}"), None).await;
        assert_eq!(answer.status, 422, "{wrong}: {answer:?}");
    }
}

async fn only_those_who_may_see_them_do(app: &App) {
    let user = app.ask("POST", "/users", Some(json!({"email": "eve@example.org", "name": "Eve"}))).await;
    assert_eq!(user.status, 201, "{user:?}");
    let key = async |scope: &str| {
        let body = json!({"name": scope, "scopes": [scope], "user_id": user.body["id"]});
        let key = app.ask("POST", "/api-keys", Some(body)).await;
        assert_eq!(key.status, 201, "{key:?}");
        key.body["key"].as_str().expect("a key").to_owned()
    };
    let reader = key("usage:read").await;
    for path in ["/usage", "/usage?summary=tool"] {
        let hers = app.ask_as(&reader, "GET", path, None).await;
        assert_eq!((hers.status, hers.body["data"].as_array().map(Vec::len)), (200, Some(0)), "{hers:?}");
    }
    let other = key("credentials:read").await;
    assert_eq!(app.ask_as(&other, "GET", "/usage", None).await.status, 403);
}

fn the_command_line_shows_them(app: &App, second: &Launched) {
    let usage = |args: &[&str]| {
        let output = run(app.data(), &[&["usage"], args].concat(), &[]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    let table = usage(&[]);
    assert!(table.starts_with("CALLED") && table.contains("resource echo://text"), "{table}");
    assert!(usage(&["--by", "day"]).contains("200"), "one day, or two at midnight");
    let id = &second.id;
    let calls: Value =
        serde_json::from_str(&usage(&["--instance", id, "--by", "call", "--tail", "5", "--json"]))
            .expect("JSON");
    assert_eq!(calls.as_array().map(Vec::len), Some(5));
    assert_eq!(usage(&["--by", "call", "--tail", "3"]).lines().count(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shim_that_is_killed_loses_no_fact() {
    let app = App::start().await;
    set_ports(&app, 23_720, 23_739).await;
    let mut made = Made::default();
    let instance = Launched::new(&app, json!({"type": "echo"})).await;
    let [gateway, _] = ways(&app, &instance);
    modern_calls(&http_client(false), &gateway, &instance.token, 30, &mut made).await;
    kill(Pid::from_raw(instance.shim), Signal::SIGKILL).expect("the shim runs");
    app.wait_status(&instance.id, "disconnected", PATIENCE).await;
    every_call_is_told_once(&app, &made).await;
}
