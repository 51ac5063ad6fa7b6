//! Instances that are started again: restored, renewed and restarted; and those that live on while they are used.

use std::collections::BTreeSet;

use roadstead_test_support::app::{Answer, App, is_alive, programs};
use roadstead_test_support::{Rows, wait_for};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::task::JoinSet;

use crate::support::instance::{Launched, PATIENCE, set_ports};
use crate::support::kept::Kept;

/// How many restore one instance at once.
const CROWD: usize = 50;

async fn verb(app: &App, id: &str, verb: &str, body: Value) -> Answer {
    app.ask("POST", &format!("/instances/{id}/{verb}"), Some(body)).await
}

/// Does a verb that must succeed.
async fn done(app: &App, id: &str, name: &str, body: Value) -> Value {
    let answer = verb(app, id, name, body).await;
    assert_eq!(answer.status, 200, "{name}: {answer:?}\n{}", app.log());
    answer.body
}

fn code(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.body["error"]["code"].as_str().unwrap_or_default())
}

fn moment(row: &Value, field: &str) -> OffsetDateTime {
    OffsetDateTime::parse(row[field].as_str().expect("a time"), &Rfc3339).expect("a time")
}

fn pid(row: &Value) -> i32 {
    row["process_id"].as_i64().and_then(|pid| i32::try_from(pid).ok()).expect("a process")
}

/// What a ping is answered through the access URL and through the port.
async fn pings(app: &App, instance: &Launched, row: &Value) -> (u16, u16) {
    let urls = ["access_url", "port_url"].map(|name| row[name].as_str().expect("a URL").to_owned());
    let mut statuses = Vec::new();
    for url in urls {
        let initialize = initialize();
        statuses.push(app.mcp(&url, &instance.token, None, initialize).await.status);
    }
    (statuses[0], statuses[1])
}

fn initialize() -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}})
}

/// A new legacy session.
async fn session(app: &App, instance: &Launched) -> String {
    let url = format!("{}/i/{}/mcp", app.url, instance.id);
    let answer = app.mcp(&url, &instance.token, None, initialize()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.headers["mcp-session-id"].to_str().expect("a word").to_owned()
}

#[tokio::test]
async fn a_stopped_instance_is_restored_with_its_url_token_deadline_and_port() {
    let app = App::start().await;
    set_ports(&app, 21_600, 21_609).await;
    let launched = Launched::new(&app, json!({"type": "echo", "expires_in": "1h"})).await;
    let before = app.instance(&launched.id).await;
    done(&app, &launched.id, "stop", json!({})).await;
    let row = done(&app, &launched.id, "restore", json!({})).await;
    assert_eq!(row["status"], "running", "{row}");
    for field in ["id", "access_url", "expires_at", "token_hint", "port_url"] {
        assert_eq!(row[field], before[field], "{field}");
    }
    assert!(row["ended_at"].is_null() && row["error_message"].is_null(), "{row}");
    assert!(row.get("access_token").is_none(), "a token is shown once");
    assert!(is_alive(pid(&row)) && pid(&row) != launched.server);
    assert_eq!(pings(&app, &launched, &row).await, (200, 200), "its token opens it");
    let events = app.event_types(&launched.id).await;
    assert_eq!(events, ["created", "started", "stopped", "restored", "started"]);
    let history = app.ask("GET", &format!("/instances/{}/events", launched.id), None).await;
    let restored = &history.body["data"][3];
    assert!(restored["user_id"].is_string() && restored["api_key_id"].is_string(), "{restored}");
    assert!(restored["ip_address"].is_string(), "{restored}");
}

#[tokio::test]
async fn folders_that_an_end_left_behind_are_in_nobodys_way() {
    let app = App::start().await;
    set_ports(&app, 21_590, 21_599).await;
    let launched = Launched::new(&app, json!({"type": "echo", "expires_in": "1h"})).await;
    done(&app, &launched.id, "expire", json!({})).await;
    let left = app.data().join("instances").join(&launched.id);
    std::fs::create_dir(&left).expect("it was removed");
    std::fs::write(left.join("of-the-life-before"), "").expect("a file");
    let row = done(&app, &launched.id, "renew", json!({"expires_in": "30m"})).await;
    assert_eq!(row["status"], "running", "{row}");
    assert!(!left.join("of-the-life-before").exists(), "a server's own folder begins empty");
}

#[tokio::test]
async fn an_expired_instance_is_renewed_on_another_port_when_its_own_is_taken() {
    let app = App::start().await;
    set_ports(&app, 21_610, 21_612).await;
    let launched = Launched::new(&app, json!({"type": "echo", "expires_in": "1h"})).await;
    done(&app, &launched.id, "expire", json!({})).await;
    let foreign = tokio::net::TcpListener::bind(("127.0.0.1", launched.port)).await.expect("it is free");
    let asked = moment(&app.instance(&launched.id).await, "ended_at");
    let row = done(&app, &launched.id, "renew", json!({"expires_in": "30m"})).await;
    drop(foreign);
    assert_eq!(row["status"], "running", "{row}");
    assert_ne!(row["assigned_port"], launched.port, "{row}");
    let left = moment(&row, "expires_at") - asked;
    assert!((29 * 60..=31 * 60).contains(&left.whole_seconds()), "{left}");
    assert_eq!(pings(&app, &launched, &row).await, (200, 200), "its token opens it");
    let events = app.event_types(&launched.id).await;
    assert_eq!(events, ["created", "started", "expired", "renewed", "started"]);
    let too_long = done(&app, &launched.id, "expire", json!({})).await;
    assert_eq!(too_long["status"], "expired");
    let refused = verb(&app, &launched.id, "renew", json!({"expires_in": "900d"})).await;
    assert_eq!(code(&refused), (422, "VALIDATION_FAILED"), "{refused:?}");
}

#[tokio::test]
async fn a_restarted_instance_keeps_its_port_and_token_and_forgets_its_sessions() {
    let app = App::start().await;
    set_ports(&app, 21_620, 21_629).await;
    let launched = Launched::new(&app, json!({"type": "echo", "expires_in": "1h"})).await;
    let before = app.instance(&launched.id).await;
    let old = session(&app, &launched).await;
    assert!(launched.lives());
    let row = done(&app, &launched.id, "restart", json!({})).await;
    for field in ["id", "status", "access_url", "expires_at", "token_hint", "port_url"] {
        assert_eq!(row[field], before[field], "{field}");
    }
    assert!(!is_alive(launched.server) && !is_alive(launched.shim), "the old processes are gone");
    assert_ne!(pid(&row), launched.server);
    let ping = json!({"jsonrpc": "2.0", "id": 2, "method": "ping"});
    let url = format!("{}/i/{}/mcp", app.url, launched.id);
    let gone = app.mcp(&url, &launched.token, Some(&old), ping.clone()).await;
    assert_eq!(gone.status, 404, "{gone:?}");
    let new = session(&app, &launched).await;
    assert_eq!(app.mcp(&url, &launched.token, Some(&new), ping).await.status, 200);
    assert_eq!(pings(&app, &launched, &row).await.1, 200, "and the port, too");
    assert_eq!(app.event_types(&launched.id).await, ["created", "started", "restarted"]);
    let stopped = done(&app, &launched.id, "stop", json!({})).await;
    assert_eq!(stopped["status"], "stopped", "its new owner obeys");
}

#[tokio::test]
async fn every_refusal_names_the_status_and_the_verb_that_helps() {
    let app = App::start().await;
    set_ports(&app, 21_630, 21_649).await;
    let running = Launched::new(&app, json!({"type": "echo"})).await.id;
    let stopped = Launched::new(&app, json!({"type": "echo"})).await.id;
    done(&app, &stopped, "stop", json!({})).await;
    let expired = Launched::new(&app, json!({"type": "echo"})).await.id;
    done(&app, &expired, "expire", json!({})).await;
    let lost = Launched::new(&app, json!({"type": "echo"})).await;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(lost.shim), nix::sys::signal::Signal::SIGKILL)
        .expect("it lives");
    app.wait_status(&lost.id, "disconnected", PATIENCE).await;
    let refusals = [
        (&running, "restore", "running", "use restart"),
        (&running, "renew", "running", "use extend"),
        (&stopped, "restart", "stopped", "use restore"),
        (&stopped, "renew", "stopped", "use restore"),
        (&lost.id, "restart", "disconnected", "use restore"),
        (&lost.id, "renew", "disconnected", "use restore"),
        (&expired, "restart", "expired", "use renew"),
        (&expired, "restore", "expired", "use renew"),
    ];
    for (id, name, status, hint) in refusals {
        let answer = verb(&app, id, name, json!({})).await;
        assert_eq!(code(&answer), (409, "WRONG_STATUS"), "{name} {status}: {answer:?}");
        let message = answer.body["error"]["message"].as_str().expect("a message");
        assert!(message.contains(status) && message.contains(hint), "{name} {status}: {message}");
    }
    let row = done(&app, &lost.id, "restore", json!({})).await;
    assert_eq!(row["status"], "running", "{row}");
    for name in ["restart", "restore", "renew"] {
        let nobody = verb(&app, "019a0000-0000-7000-8000-000000000000", name, json!({})).await;
        assert_eq!(code(&nobody), (404, "NOT_FOUND"), "{nobody:?}");
        let wrong = verb(&app, &stopped, name, json!({"wait": "perhaps", "more": 1})).await;
        assert_eq!(code(&wrong), (422, "VALIDATION_FAILED"), "{wrong:?}");
    }
    let bare = app.ask("POST", &format!("/instances/{stopped}/restore"), None).await;
    assert_eq!(bare.status, 200, "a body may be left out: {bare:?}");
}

#[tokio::test]
async fn what_has_ended_is_expired_from_its_deadline_on() {
    let app = App::start().await;
    set_ports(&app, 21_650, 21_659).await;
    let launched = Launched::new(&app, json!({"type": "echo", "expires_in": "12s"})).await;
    done(&app, &launched.id, "stop", json!({})).await;
    app.wait_status(&launched.id, "expired", PATIENCE).await;
    let listed = app.ask("GET", "/instances?status=expired", None).await;
    assert_eq!(listed.body["data"][0]["id"], launched.id, "{listed:?}");
    let answer = verb(&app, &launched.id, "restore", json!({})).await;
    assert_eq!(code(&answer), (409, "WRONG_STATUS"));
    wait_for("the event", PATIENCE, async || {
        (app.event_types(&launched.id).await == ["created", "started", "stopped", "expired"]).then_some(())
    })
    .await;
    let row = done(&app, &launched.id, "renew", json!({"expires_in": "1h"})).await;
    assert_eq!(row["status"], "running", "{row}");
}

#[tokio::test]
async fn without_its_credential_or_type_nothing_is_started_and_nothing_changed() {
    let app = App::start().await;
    set_ports(&app, 21_660, 21_679).await;
    app.define_echo("mine", &[]).await;
    let body = json!({"type": "mine", "name": "c", "values": {"token": "canary-token"}});
    let credential = app.ask("POST", "/credentials", Some(body)).await.body["id"].clone();
    let stored = Launched::new(&app, json!({"type": "mine", "credential_id": credential})).await;
    let given = Launched::new(&app, json!({"type": "mine", "credentials": {"token": "canary-given"}})).await;
    for one in [&stored, &given] {
        done(&app, &one.id, "stop", json!({})).await;
        done(&app, &one.id, "restore", json!({})).await;
    }
    let path = format!("/credentials/{}", credential.as_str().expect("an id"));
    assert_eq!(code(&app.ask("DELETE", &path, None).await), (409, "CREDENTIAL_IN_USE"));
    Rows::of_owner(app.data()).await.execute("update credentials set expires_at = now()").await;
    let answer = verb(&app, &stored.id, "restart", json!({})).await;
    assert_eq!(code(&answer), (409, "CREDENTIAL_GONE"), "{answer:?}");
    assert_eq!(app.instance(&stored.id).await["status"], "running", "it runs on");
    let before = done(&app, &stored.id, "stop", json!({})).await;
    assert_eq!(app.ask("DELETE", &path, None).await.status, 204);
    let answer = verb(&app, &stored.id, "restore", json!({})).await;
    assert_eq!(code(&answer), (409, "CREDENTIAL_GONE"), "{answer:?}");
    assert_eq!(app.instance(&stored.id).await, before, "as it was");
    assert_eq!(app.ask("POST", "/types/mine/disable", None).await.status, 200);
    done(&app, &given.id, "stop", json!({})).await;
    let answer = verb(&app, &given.id, "restore", json!({})).await;
    assert_eq!(code(&answer), (409, "TYPE_NOT_ACTIVE"), "{answer:?}");
}

#[tokio::test]
async fn a_restore_counts_against_the_quota_of_the_owner() {
    let app = App::start().await;
    set_ports(&app, 21_680, 21_689).await;
    let launched = Launched::new(&app, json!({"type": "echo"})).await;
    done(&app, &launched.id, "stop", json!({})).await;
    let _other = Launched::new(&app, json!({"type": "echo"})).await;
    let quota = json!({"value": 1});
    assert_eq!(app.ask("PUT", "/settings/mcp.max_instances_per_user", Some(quota)).await.status, 200);
    let answer = verb(&app, &launched.id, "restore", json!({})).await;
    assert_eq!(code(&answer), (429, "INSTANCE_QUOTA_REACHED"), "{answer:?}");
    assert_eq!(app.instance(&launched.id).await["status"], "stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_that_restore_one_instance_one_starts_it() {
    let app = App::start().await;
    set_ports(&app, 21_690, 21_699).await;
    let launched = Launched::new(&app, json!({"type": "echo", "expires_in": "1h"})).await;
    done(&app, &launched.id, "stop", json!({})).await;
    let mut crowd = JoinSet::new();
    for _ in 0..CROWD {
        let request = app.request("POST", &format!("/instances/{}/restore", launched.id));
        let request = request.bearer_auth(&app.key).json(&json!({}));
        crowd.spawn(async move { request.send().await.expect("an answer").status().as_u16() });
    }
    let statuses = crowd.join_all().await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 409].contains(status)), "{statuses:?}");
    let row = app.instance(&launched.id).await;
    assert!(row["status"] == "running" && is_alive(pid(&row)), "{row}");
    let events = app.event_types(&launched.id).await;
    assert_eq!(events, ["created", "started", "stopped", "restored", "started"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_in_flight_is_finished_before_the_restart() {
    let app = App::start().await;
    set_ports(&app, 21_700, 21_709).await;
    app.define_echo("plain", &[]).await;
    let launched = Launched::new(&app, json!({"type": "plain", "expires_in": "1h"})).await;
    let open = session(&app, &launched).await;
    let url = format!("{}/i/{}/mcp", app.url, launched.id);
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(app.mcp(&url, &launched.token, Some(&open), initialized).await.status, 202);
    let call = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call",
        "params": {"name": "sleep", "arguments": {"ms": 2000}, "_meta": {"progressToken": "p"}}});
    let request = app.request("POST", &format!("/i/{}/mcp", launched.id)).bearer_auth(&launched.token);
    let request = request.header("accept", "application/json, text/event-stream");
    let request = request.header("mcp-session-id", &open).header("mcp-protocol-version", "2025-06-18");
    let mut called = request.json(&call).send().await.expect("an answer");
    assert_eq!(called.status().as_u16(), 200);
    let mut said = called.chunk().await.expect("the first progress").expect("more than nothing").to_vec();
    let (restarted, ()) = tokio::join!(done(&app, &launched.id, "restart", json!({})), async {
        while let Some(chunk) = called.chunk().await.expect("the stream ends well") {
            said.extend_from_slice(&chunk);
        }
    });
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(said.contains("progress") && said.contains("slept 2000 ms"), "{said}");
    assert_eq!(restarted["status"], "running");
    assert_eq!(app.event_types(&launched.id).await, ["created", "started", "restarted"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_restarts_its_url_asks_for_patience_and_a_stop_is_the_end() {
    let app = App::start().await;
    set_ports(&app, 21_710, 21_719).await;
    app.define_echo("stubborn", &["--ignore-sigterm"]).await;
    let launched = Launched::new(&app, json!({"type": "stubborn", "expires_in": "1h"})).await;
    let answer = verb(&app, &launched.id, "restart", json!({"wait": "none"})).await;
    assert_eq!((answer.status, &answer.body["status"]), (202, &json!("running")), "{answer:?}");
    assert_eq!(launched.route(&app, &launched.token).await, (503, "INSTANCE_STARTING".to_owned()));
    let again = verb(&app, &launched.id, "restart", json!({})).await;
    assert_eq!(code(&again), (503, "INSTANCE_UNREACHABLE"), "one at a time: {again:?}");
    let stopped = done(&app, &launched.id, "stop", json!({})).await;
    assert_eq!(stopped["status"], "stopped", "{stopped}");
    assert!(!is_alive(launched.server));
    assert_eq!(app.event_types(&launched.id).await, ["created", "started", "stopped"]);
}

#[tokio::test]
async fn a_restart_that_fails_ends_in_a_row_that_says_why() {
    let app = App::start().await;
    set_ports(&app, 21_720, 21_729).await;
    app.define_echo("once", &[]).await;
    let launched = Launched::new(&app, json!({"type": "once", "expires_in": "1h"})).await;
    let broken = json!({"name": "once", "display_name": "once", "program": programs().join("roadstead-echo"),
        "args": ["--exit-at-start", "3"]});
    let change = app.ask("PUT", "/types/once", Some(broken)).await;
    assert_eq!(change.status, 200, "{change:?}");
    let answer = verb(&app, &launched.id, "restart", json!({})).await;
    assert_eq!(code(&answer), (502, "SERVER_FAILED_TO_START"), "{answer:?}");
    let row = app.wait_status(&launched.id, "error", PATIENCE).await;
    assert!(row["error_message"].as_str().is_some_and(|why| !why.is_empty()), "{row}");
    assert!(row["assigned_port"].is_null(), "{row}");
}

#[tokio::test]
async fn uses_move_the_deadline_of_an_instance_that_is_kept_and_of_no_other() {
    let app = App::start().await;
    set_ports(&app, 21_730, 21_739).await;
    let kept = Launched::new(&app, json!({"type": "echo", "expires_in": "12s", "keep": true})).await;
    let plain = Launched::new(&app, json!({"type": "echo", "expires_in": "12s"})).await;
    let first = app.instance(&kept.id).await;
    assert_eq!((&first["keep"], &app.instance(&plain.id).await["keep"]), (&json!(true), &json!(false)));
    wait_for("the other to expire", PATIENCE, async || {
        assert_eq!(kept.route(&app, &kept.token).await.0, 200, "it is used, and lives");
        let _ = plain.route(&app, &plain.token).await;
        (app.instance(&plain.id).await["status"] == "expired").then_some(())
    })
    .await;
    let row = app.instance(&kept.id).await;
    assert!(moment(&row, "expires_at") > moment(&first, "expires_at"), "{row}");
    assert_eq!(app.event_types(&kept.id).await, ["created", "started"], "a use is no event");
    app.wait_status(&kept.id, "expired", PATIENCE).await;
    kept.gone().await;
}

#[tokio::test]
async fn a_near_deadline_is_told_of_once_whatever_becomes_of_the_service() {
    let (kept, app) = Kept::start("up", &[]).await;
    set_ports(&app, 21_740, 21_749).await;
    let near = Launched::new(&app, json!({"type": "echo", "expires_in": "302s"})).await;
    let short = Launched::new(&app, json!({"type": "echo", "expires_in": "60s"})).await;
    let told = async |app: &App, id: &str| {
        app.event_types(id).await.iter().filter(|word| *word == "expiring").count()
    };
    wait_for("the warning", PATIENCE, async || (told(&app, &near.id).await == 1).then_some(())).await;
    app.signal(nix::sys::signal::Signal::SIGKILL);
    let (_, data) = app.ended().await;
    let app = kept.start_again("up", data).await;
    let later = Launched::new(&app, json!({"type": "echo", "expires_in": "302s"})).await;
    wait_for("a later warning", PATIENCE, async || (told(&app, &later.id).await == 1).then_some(())).await;
    assert_eq!(told(&app, &near.id).await, 1, "once");
    assert_eq!(told(&app, &short.id).await, 0, "whoever asks for a minute knows");
}

#[tokio::test]
async fn a_repeated_key_restores_once_and_is_bound_to_its_instance() {
    let app = App::start().await;
    set_ports(&app, 21_750, 21_759).await;
    let mut ids = BTreeSet::new();
    for _ in 0..2 {
        let id = Launched::new(&app, json!({"type": "echo"})).await.id;
        done(&app, &id, "stop", json!({})).await;
        ids.insert(id);
    }
    let ask = async |id: &str| {
        let request = app.request("POST", &format!("/instances/{id}/restore"));
        let response = request.bearer_auth(&app.key).header("idempotency-key", "again").send().await;
        let response = response.expect("an answer");
        (response.status().as_u16(), response.json::<Value>().await.expect("JSON"))
    };
    let (first, second) = (ids.pop_first().expect("one"), ids.pop_first().expect("another"));
    let answered = ask(&first).await;
    assert_eq!(answered.0, 200, "{answered:?}");
    assert_eq!(ask(&first).await, answered);
    assert_eq!(ask(&second).await.0, 422, "another instance is another request");
}
