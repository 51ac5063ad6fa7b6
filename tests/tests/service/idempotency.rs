//! Requests that are repeated, and callers that leave: one instance, one answer, and a row that tells the truth.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::RequestBuilder;
use roadstead_test_support::app::{Answer, App, programs};
use roadstead_test_support::poll::wait_for;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::apart;

/// How long anything here may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
/// Services share the ports of the machine: one of them runs at a time.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
/// How many ask at once.
const CROWD: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_and_body_give_the_same_answer_and_one_instance() {
    let _alone = ALONE.lock().await;
    let app = started().await;
    let body = json!({"type": "plain", "name": "once"});
    let first = sent(launch(&app, &app.key, "k1", &body)).await;
    assert_eq!(first.status, 201, "{first:?}");
    let again = sent(launch(&app, &app.key, "k1", &body)).await;
    assert_eq!((again.status, &again.body), (201, &first.body), "with the token, as the first time");
    assert_eq!(instances(&app).await.len(), 1);
    for other in [json!({"type": "plain", "name": "twice"}), json!({"type": "slow"})] {
        let answer = sent(launch(&app, &app.key, "k1", &other)).await;
        assert_eq!((answer.status, code(&answer)), (422, "IDEMPOTENCY_MISMATCH"), "{answer:?}");
    }
    assert_eq!(instances(&app).await.len(), 1);
    let other = sent(launch(&app, &app.key, "k2", &body)).await;
    assert_ne!(other.body["id"], first.body["id"], "another key is another request");
    let path = format!("/instances/{}", text(&first.body["id"]));
    assert_eq!(app.ask("DELETE", &path, None).await.status, 204);
    let late = sent(launch(&app, &app.key, "k1", &body)).await;
    assert_eq!(late.body, first.body, "what was answered stays answered");
    app.interrupt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_its_users_alone() {
    let _alone = ALONE.lock().await;
    let app = started().await;
    let other = second_user(&app).await;
    let body = json!({"type": "plain"});
    let mine = sent(launch(&app, &app.key, "shared", &body)).await;
    let theirs = sent(launch(&app, &other, "shared", &body)).await;
    assert_eq!((mine.status, theirs.status), (201, 201), "{theirs:?}");
    assert_ne!(mine.body["id"], theirs.body["id"]);
    assert_ne!(mine.body["access_token"], theirs.body["access_token"]);
    let different = sent(launch(&app, &other, "shared", &json!({"type": "slow"}))).await;
    assert_eq!(code(&different), "IDEMPOTENCY_MISMATCH", "theirs is bound to their own body");
    app.interrupt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_with_one_key_gets_one_instance() {
    let _alone = ALONE.lock().await;
    let app = started().await;
    let body = json!({"type": "plain"});
    let mut crowd = JoinSet::new();
    for _ in 0..CROWD {
        crowd.spawn(sent(launch(&app, &app.key, "crowd", &body)));
    }
    let mut answered = BTreeSet::new();
    while let Some(answer) = crowd.join_next().await {
        let answer = answer.expect("a request does not panic");
        if answer.status == 201 {
            answered.insert(answer.body.to_string());
        } else {
            assert_eq!((answer.status, code(&answer)), (409, "IDEMPOTENCY_IN_PROGRESS"), "{answer:?}");
            assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
        }
    }
    answered.insert(sent(launch(&app, &app.key, "crowd", &body)).await.body.to_string());
    assert_eq!(answered.len(), 1, "one answer for all");
    assert_eq!(instances(&app).await.len(), 1);
    app.interrupt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launch_whose_caller_hung_up_still_gets_ready_and_its_answer_is_kept() {
    let _alone = ALONE.lock().await;
    let app = started().await;
    let body = json!({"type": "slow"});
    let id = hangs_up(&app, "left", &body).await;
    let meanwhile = sent(launch(&app, &app.key, "left", &body)).await;
    assert!([409, 201].contains(&meanwhile.status), "{meanwhile:?}");
    let running = app.wait_status(&id, "running", PATIENCE).await;
    let answer = wait_for("the answer to be kept", PATIENCE, async || {
        let answer = sent(launch(&app, &app.key, "left", &body)).await;
        (answer.status != 409).then_some(answer)
    })
    .await;
    assert_eq!(
        (answer.status, &answer.body["id"]),
        (201, &running["id"]),
        "who comes back gets the instance"
    );
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let (url, token) = (text(&answer.body["access_url"]), text(&answer.body["access_token"]));
    assert_ne!(app.mcp(url, token, None, ping).await.status, 401, "and its token opens it");
    assert_eq!(instances(&app).await.len(), 1);
    app.interrupt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_launch_whose_caller_hung_up_ends_in_a_truthful_row() {
    let _alone = ALONE.lock().await;
    let app = started().await;
    let id = hangs_up(&app, "left", &json!({"type": "never"})).await;
    let row = app.wait_status(&id, "error", PATIENCE).await;
    assert!(row["error_message"].as_str().is_some_and(|why| !why.is_empty()), "{row}");
    assert_eq!((&row["process_id"], &row["assigned_port"]), (&Value::Null, &Value::Null), "{row}");
    let ports = app.ask("GET", "/ports", None).await;
    let leased =
        ports.body["data"].as_array().expect("a list").iter().filter(|port| port["state"] == "leased");
    assert_eq!(leased.count(), 0, "its port is given back");
    app.interrupt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_launch_is_not_remembered() {
    let _alone = ALONE.lock().await;
    let app = started().await;
    let body = json!({"type": "quitter"});
    let mut failed = BTreeSet::new();
    for _ in 0..2 {
        let answer = sent(launch(&app, &app.key, "again", &body)).await;
        assert_eq!((answer.status, code(&answer)), (502, "SERVER_FAILED_TO_START"), "{answer:?}");
        failed.insert(answer.body["error"]["details"][0]["message"].to_string());
    }
    assert_eq!(failed.len(), 2, "each was an attempt of its own");
    let refused = sent(launch(&app, &app.key, "again", &json!({"type": "nonesuch"}))).await;
    assert_eq!(code(&refused), "TYPE_NOT_FOUND", "the key is free for another body");
    let made = sent(launch(&app, &app.key, "again", &json!({"type": "plain"}))).await;
    assert_eq!(made.status, 201, "{made:?}");
    app.interrupt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launch_that_is_not_waited_for_is_written_at_once_and_repeated_as_it_was() {
    let _alone = ALONE.lock().await;
    let app = started().await;
    let body = json!({"type": "slow", "wait": "none"});
    let first = sent(launch(&app, &app.key, "none", &body)).await;
    assert_eq!((first.status, text(&first.body["status"])), (202, "pending"), "{first:?}");
    let id = text(&first.body["id"]);
    app.wait_status(id, "running", PATIENCE).await;
    let again = sent(launch(&app, &app.key, "none", &body)).await;
    assert_eq!((again.status, &again.body), (202, &first.body));
    app.interrupt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_creation_is_made_once_per_key() {
    let _alone = ALONE.lock().await;
    let app = started().await;
    for (path, body) in [
        ("/users", json!({"email": "c@example.com", "name": "C"})),
        ("/api-keys", json!({"name": "k", "scopes": ["instances:read"]})),
        ("/credentials", json!({"type": "plain", "name": "c", "values": {"token": "abc"}})),
        ("/types", json!({"name": "t", "display_name": "T", "program": "/bin/true"})),
    ] {
        // One key on all routes: each route has its own.
        let request =
            || app.request("POST", path).bearer_auth(&app.key).header("idempotency-key", "one").json(&body);
        let first = sent(request()).await;
        assert_eq!(first.status, 201, "{path}: {first:?}");
        let again = sent(request()).await;
        assert_eq!((again.status, &again.body), (201, &first.body), "{path}");
    }
    app.interrupt().await;
}

/// Launches and leaves as soon as the row exists; answers with the row's id.
async fn hangs_up(app: &App, key: &str, body: &Value) -> String {
    let request = launch(app, &app.key, key, body).send();
    let row = wait_for("the row of the launch", PATIENCE, async || instances(app).await.pop());
    // Whoever loses is dropped: the request's connection ends with it.
    tokio::select! {
        biased;
        answer = request => panic!("the launch was answered before its caller could leave: {answer:?}"),
        row = row => {
            assert_eq!(row["status"], "pending", "{row}");
            text(&row["id"]).to_owned()
        }
    }
}

async fn started() -> App {
    let app = apart::started().await;
    app.define_echo("plain", &[]).await;
    app.define_echo("quitter", &["--exit-at-start", "3"]).await;
    let never = json!({"name": "never", "display_name": "Never", "program": programs().join("roadstead-echo"),
        "args": ["--never-ready"], "era": "modern", "ready_timeout_s": 5});
    let slow = json!({"name": "slow", "display_name": "Slow", "program": "/usr/bin/perl",
        "args": ["-e", "select undef, undef, undef, 4; exec $ARGV[0]", programs().join("roadstead-echo")]});
    for spec in [never, slow] {
        let answer = app.ask("POST", "/types", Some(spec)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    app
}

async fn second_user(app: &App) -> String {
    let user = app.ask("POST", "/users", Some(json!({"email": "b@example.com", "name": "B"}))).await;
    let scopes = ["instances:launch", "instances:read"];
    let body = json!({"name": "b", "scopes": scopes, "user_id": user.body["id"]});
    text(&app.ask("POST", "/api-keys", Some(body)).await.body["key"]).to_owned()
}

async fn instances(app: &App) -> Vec<Value> {
    let answer = app.ask("GET", "/instances?limit=100", None).await;
    answer.body["data"].as_array().expect("a list").clone()
}

fn launch(app: &App, key: &str, idempotency_key: &str, body: &Value) -> RequestBuilder {
    app.request("POST", "/instances").bearer_auth(key).header("idempotency-key", idempotency_key).json(body)
}

async fn sent(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("the service answers");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.bytes().await.expect("a whole answer");
    Answer { status, headers, body: serde_json::from_slice(&body).unwrap_or(Value::Null) }
}

fn code(answer: &Answer) -> &str {
    answer.body["error"]["code"].as_str().unwrap_or_default()
}

#[track_caller]
fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}
