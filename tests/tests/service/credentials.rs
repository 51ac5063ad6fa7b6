//! The life of credentials: they expire and say so ahead, are replaced and reach whoever holds them, are deleted only when nobody
//! does, and are tried out with their own service.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use roadstead_test_support::app::{Answer, App, is_alive, programs};
use roadstead_test_support::raw::{call, http_client, only_answer, stateless};
use roadstead_test_support::{Rows, wait_for};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::support::instance::{Launched, PATIENCE, set_ports};

/// Values that sing wherever they are seen; their last four characters tell them apart.
const OLD: &str = "canary-credential-0000old0";
const NEW: &str = "canary-credential-0000new1";

fn code(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.body["error"]["code"].as_str().unwrap_or_default())
}

/// The reaper's chores are done every half minute.
const CHORES_PATIENCE: Duration = Duration::from_secs(90);

async fn store(app: &App, name: &str, extra: Value) -> Value {
    let mut body = json!({"type": "echo", "name": name, "values": {"token": OLD}});
    for (key, value) in extra.as_object().expect("an object") {
        body[key] = value.clone();
    }
    let answer = app.ask("POST", "/credentials", Some(body)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.body
}

fn id(row: &Value) -> &str {
    row["id"].as_str().expect("it has an id")
}

async fn put(app: &App, credential: &str, body: Value) -> Answer {
    app.ask("PUT", &format!("/credentials/{credential}"), Some(body)).await
}

async fn launch(app: &App, credential: &str) -> Launched {
    Launched::new(app, json!({"type": "echo", "expires_in": "1h", "credential_id": credential})).await
}

/// The end of the token that an instance's server was given.
async fn held(app: &App, instance: &str, token: &str) -> String {
    let url = format!("{}/i/{instance}/mcp", app.url);
    let message = call(&json!(1), "whoami", &json!({}), None);
    let response = stateless(&http_client(false), &url, token, &message).send().await.expect("an answer");
    let answer = only_answer(response).await;
    answer["result"]["structuredContent"]["credential"].as_str().unwrap_or_default().to_owned()
}

fn ids(list: &Value) -> Vec<String> {
    let list = list.as_array().expect("a list");
    list.iter().map(|one| one.as_str().or(one["id"].as_str()).expect("an id").to_owned()).collect()
}

async fn usage(app: &App, credential: &str) -> Value {
    let answer = app.ask("GET", &format!("/credentials/{credential}/usage"), None).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

#[tokio::test]
async fn an_end_is_kept_shown_and_refuses_launches_once_it_has_passed() {
    let app = App::start().await;
    set_ports(&app, 24_000, 24_009).await;
    let far = store(&app, "far", json!({"expires_at": "2099-01-01T00:00:00Z"})).await;
    assert_eq!((far["status"].as_str(), far["version"].as_i64()), (Some("active"), Some(1)), "{far}");
    assert_eq!(far["expires_at"], "2099-01-01T00:00:00Z");
    let near = store(&app, "near", json!({"expires_in": "2d"})).await;
    assert_eq!(near["status"], "expiring", "{near}");
    for (body, field) in [
        (json!({"expires_at": "2001-01-01T00:00:00Z"}), "expires_at"),
        (json!({"expires_at": "tomorrow"}), "expires_at"),
        (json!({"expires_at": "2099-01-01T00:00:00Z", "expires_in": "1d"}), "expires_in"),
    ] {
        let mut body = body;
        (body["type"], body["name"], body["values"]) = (json!("echo"), json!("bad"), json!({"token": OLD}));
        let refused = app.ask("POST", "/credentials", Some(body)).await;
        assert_eq!(code(&refused), (422, "VALIDATION_FAILED"), "{refused:?}");
        assert_eq!(refused.body["error"]["details"][0]["field"], field, "{refused:?}");
    }
    let mut rows = Rows::of_owner(app.data()).await;
    rows.execute("update credentials set expires_at = now() - interval '1 second' where name = 'near'").await;
    let body = json!({"type": "echo", "credential_id": id(&near)});
    let refused = app.ask("POST", "/instances", Some(body.clone())).await;
    assert_eq!(code(&refused), (409, "CREDENTIAL_EXPIRED"), "{refused:?}");
    let shown = app.ask("GET", &format!("/credentials/{}", id(&near)), None).await;
    assert_eq!(shown.body["status"], "expired", "{shown:?}");
    // Moving its end is enough, and no replacement of its values.
    let moved = put(&app, id(&near), json!({"expires_at": null})).await;
    assert_eq!(
        (moved.status, &moved.body["version"], &moved.body["expires_at"]),
        (200, &json!(1), &Value::Null)
    );
    assert_eq!(app.ask("POST", "/instances", Some(body)).await.status, 201);
}

#[tokio::test]
async fn replaced_values_reach_those_who_hold_them_and_nobody_else() {
    let app = App::start().await;
    set_ports(&app, 24_010, 24_019).await;
    let (mine, other) = (store(&app, "mine", json!({})).await, store(&app, "other", json!({})).await);
    let holders = [launch(&app, id(&mine)).await, launch(&app, id(&mine)).await];
    let stranger = launch(&app, id(&other)).await;
    let stopped = launch(&app, id(&mine)).await;
    app.ask("POST", &format!("/instances/{}/stop", stopped.id), Some(json!({}))).await;
    assert_eq!(held(&app, &holders[0].id, &holders[0].token).await, "…old0");

    let replaced = put(&app, id(&mine), json!({"values": {"token": NEW}})).await;
    assert_eq!(replaced.status, 200, "{replaced:?}\n{}", app.log());
    assert_eq!(replaced.body["version"], 2);
    assert_eq!(replaced.body["slots"][0]["hint"], "…new1");
    let mut restarted = ids(&replaced.body["restarted"]);
    restarted.sort();
    let mut wanted: Vec<String> = holders.iter().map(|one| one.id.clone()).collect();
    wanted.sort();
    assert_eq!((restarted, &replaced.body["failed"]), (wanted, &json!([])), "{replaced:?}");
    for holder in &holders {
        assert!(!is_alive(holder.server), "the server with the old value is gone");
        assert_eq!(held(&app, &holder.id, &holder.token).await, "…new1");
        let events = app.event_types(&holder.id).await;
        assert_eq!(events, ["created", "started", "credential_replaced", "restarted"]);
    }
    assert!(stranger.lives(), "who holds another credential is left alone");
    assert_eq!(held(&app, &stranger.id, &stranger.token).await, "…old0");
    let restored = app.ask("POST", &format!("/instances/{}/restore", stopped.id), Some(json!({}))).await;
    assert_eq!(restored.status, 200, "{restored:?}");
    assert_eq!(held(&app, &stopped.id, &stopped.token).await, "…new1", "it takes the new value at its start");

    let seen = usage(&app, id(&mine)).await;
    let versions: Vec<_> =
        seen["instances"].as_array().expect("a list").iter().map(|one| &one["version"]).collect();
    assert_eq!(versions, [2, 2, 2], "{seen}");
    let told: Vec<_> =
        seen["events"].as_array().expect("a list").iter().map(|event| event["event_type"].as_str()).collect();
    assert_eq!(told, [Some("replaced"), Some("created")]);
    assert!(seen["last_used_at"].is_string() && !seen.to_string().contains("canary"), "{seen}");
    let renamed = put(&app, id(&mine), json!({"name": "renamed"})).await;
    assert_eq!(
        (&renamed.body["version"], &renamed.body["restarted"]),
        (&json!(2), &json!([])),
        "{renamed:?}"
    );
    let taken = put(&app, id(&mine), json!({"name": "other"})).await;
    assert_eq!(code(&taken), (409, "ALREADY_EXISTS"), "{taken:?}");
    for wrong in [json!({}), json!({"values": {"toke": NEW}}), json!({"values": {"token": ""}})] {
        let refused = put(&app, id(&mine), wrong).await;
        assert_eq!(code(&refused), (422, "VALIDATION_FAILED"), "{refused:?}");
        assert!(!refused.body.to_string().contains("canary"), "{refused:?}");
    }
    assert!(!app.log().contains("canary"), "no value is in the log");
}

#[tokio::test]
async fn a_holder_that_cannot_be_restarted_is_named() {
    let app = App::start().await;
    set_ports(&app, 24_020, 24_024).await;
    // Runs with the value that it was made for, and ends at its start with any other.
    let script = "case \"$TOKEN\" in *old0) exec \"$0\";; *) echo refused >&2; exit 7;; esac";
    let spec = json!({
        "name": "picky", "display_name": "Picky", "program": "/bin/sh",
        "args": ["-c", script, programs().join("roadstead-echo")], "env": {"TOKEN": "${credential.token}"},
        "credential_slots": [{"name": "token", "label": "Token"}], "era": "dual",
    });
    assert_eq!(app.ask("POST", "/types", Some(spec)).await.status, 201);
    let body = json!({"type": "picky", "name": "p", "values": {"token": OLD}});
    let credential = app.ask("POST", "/credentials", Some(body)).await.body;
    let body = json!({"type": "picky", "expires_in": "1h", "credential_id": id(&credential)});
    let holder = Launched::new(&app, body).await;
    let replaced = put(&app, id(&credential), json!({"values": {"token": NEW}})).await;
    assert_eq!(replaced.status, 200, "{replaced:?}");
    assert_eq!(replaced.body["restarted"], json!([]));
    assert_eq!(replaced.body["failed"][0]["instance_id"], holder.id, "{replaced:?}");
    assert_eq!(replaced.body["failed"][0]["code"], "SERVER_FAILED_TO_START", "{replaced:?}");
    app.wait_status(&holder.id, "error", PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn launches_and_restarts_beside_replacements_end_with_the_last_value() {
    let app = App::start().await;
    set_ports(&app, 24_030, 24_059).await;
    let credential = store(&app, "busy", json!({})).await;
    let settled = launch(&app, id(&credential)).await;
    let launches = join_all((0..4).map(|_| async {
        let body = json!({"type": "echo", "expires_in": "1h", "credential_id": id(&credential)});
        app.ask("POST", "/instances", Some(body)).await
    }));
    let restarts = async {
        for _ in 0..3 {
            app.ask("POST", &format!("/instances/{}/restart", settled.id), Some(json!({}))).await;
        }
    };
    let replacements = async {
        let mut answers = Vec::new();
        for round in 1..=3 {
            let value = format!("canary-credential-000rnd{round}");
            answers.push(put(&app, id(&credential), json!({"values": {"token": value}})).await);
        }
        answers
    };
    let (begun, (), replacing) = tokio::join!(launches, restarts, replacements);
    for answer in &replacing {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let last = replacing.last().expect("three");
    assert_eq!((&last.body["version"], &last.body["failed"]), (&json!(4), &json!([])), "{last:?}");
    let mut tokens = vec![(settled.id.clone(), settled.token.clone())];
    for answer in begun {
        assert_eq!(answer.status, 201, "{answer:?}");
        tokens.push((
            id(&answer.body).to_owned(),
            answer.body["access_token"].as_str().expect("shown once").to_owned(),
        ));
    }
    for (instance, token) in tokens {
        app.wait_status(&instance, "running", PATIENCE).await;
        assert_eq!(held(&app, &instance, &token).await, "…rnd3", "{}", app.log());
    }
    let mut rows = Rows::of(app.data()).await;
    let stale = "select count(*) from mcp_instances where status = 'running' and credential_version <> 4";
    assert_eq!(rows.number(stale).await, 0);
}

#[tokio::test]
async fn a_credential_that_is_held_is_deleted_by_force_alone() {
    let app = App::start().await;
    set_ports(&app, 24_060, 24_069).await;
    let credential = store(&app, "held", json!({})).await;
    let path = format!("/credentials/{}", id(&credential));
    let (running, lost) = (launch(&app, id(&credential)).await, launch(&app, id(&credential)).await);
    let mut rows = Rows::of(app.data()).await;
    app.ask("POST", &format!("/instances/{}/stop", lost.id), Some(json!({}))).await;
    rows.execute(&format!("update mcp_instances set status = 'disconnected' where id = '{}'", lost.id)).await;
    let refused = app.ask("DELETE", &path, None).await;
    assert_eq!(code(&refused), (409, "CREDENTIAL_IN_USE"), "{refused:?}");
    let named: Vec<_> = refused.body["error"]["details"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|detail| (detail["field"].as_str(), detail["message"].as_str()))
        .collect();
    assert_eq!(
        named,
        [(Some("instance_id"), Some(&*running.id)), (Some("instance_id"), Some(&*lost.id))],
        "{refused:?}"
    );
    assert!(running.lives());
    let gone = app.ask("DELETE", &format!("{path}?force=true"), None).await;
    assert_eq!(gone.status, 204, "{gone:?}");
    assert_eq!(app.instance(&running.id).await["status"], "stopped");
    running.gone().await;
    assert_eq!(code(&app.ask("GET", &path, None).await), (404, "NOT_FOUND"));
    let sealed =
        format!("select count(*) from credential_secrets where credential_id = '{}'", id(&credential));
    assert_eq!(rows.number(&sealed).await, 0, "its values are destroyed");
    let told = format!(
        "select action from audit_logs where resource_id = '{}' and outcome = 'done' order by seq",
        id(&credential)
    );
    let expected = ["credential.create", "credential.switch_off", "credential.delete"];
    assert_eq!(rows.texts(&told).await, expected);
    let restored = app.ask("POST", &format!("/instances/{}/restore", lost.id), Some(json!({}))).await;
    assert_eq!(code(&restored), (409, "CREDENTIAL_GONE"), "{restored:?}");
    let free = store(&app, "held", json!({})).await;
    assert_eq!(app.ask("DELETE", &format!("/credentials/{}", id(&free)), None).await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_launch_slips_past_a_deletion() {
    let app = Arc::new(App::start().await);
    set_ports(&app, 24_070, 24_099).await;
    for round in 0..4 {
        let credential = store(&app, &format!("race-{round}"), json!({})).await;
        let mut launches = JoinSet::new();
        for _ in 0..3 {
            let (app, credential) = (Arc::clone(&app), id(&credential).to_owned());
            launches.spawn(async move {
                let body = json!({"type": "echo", "expires_in": "1h", "credential_id": credential});
                app.ask("POST", "/instances", Some(body)).await
            });
        }
        let force = if round % 2 == 0 { "?force=true" } else { "" };
        let deleted = app.ask("DELETE", &format!("/credentials/{}{force}", id(&credential)), None).await;
        let begun = launches.join_all().await;
        let alive = usage_of(&app, id(&credential)).await;
        match deleted.status {
            204 => assert_eq!(alive, 0, "{begun:?}"),
            409 => assert!(force.is_empty() && alive > 0, "{deleted:?} {begun:?}"),
            _ => panic!("{deleted:?}"),
        }
        let forced = app.ask("DELETE", &format!("/credentials/{}?force=true", id(&credential)), None).await;
        assert!([204, 404].contains(&forced.status), "{forced:?}");
        assert_eq!(usage_of(&app, id(&credential)).await, 0);
    }
}

/// How many instances live with a credential, deleted or not.
async fn usage_of(app: &App, credential: &str) -> i64 {
    let mut rows = Rows::of(app.data()).await;
    let live = "status in ('pending', 'running')";
    rows.number(&format!(
        "select count(*) from mcp_instances where credential_id = '{credential}' and {live}"
    ))
    .await
}

#[tokio::test]
async fn an_end_that_is_near_is_told_once_to_those_who_hold_it() {
    let app = App::start().await;
    set_ports(&app, 24_100, 24_104).await;
    let credential = store(&app, "ending", json!({})).await;
    let holder = launch(&app, id(&credential)).await;
    // Only now: a reminder before the launch would have been told to nobody, and is not told again.
    assert_eq!(put(&app, id(&credential), json!({"expires_in": "3d"})).await.status, 200);
    let told = || async {
        let events = app.event_types(&holder.id).await;
        events.iter().filter(|event| *event == "credential_expiring").count()
    };
    wait_for("the reminder", CHORES_PATIENCE, async || (told().await == 1).then_some(())).await;
    let reminded = |seen: &Value| {
        let events = seen["events"].as_array().expect("a list").clone();
        events.iter().filter(|event| event["event_type"] == "expiring").count()
    };
    assert_eq!(reminded(&usage(&app, id(&credential)).await), 1);
    // Another end is told of anew; by then the first would have been told twice.
    assert_eq!(put(&app, id(&credential), json!({"expires_in": "2d"})).await.status, 200);
    wait_for("the second reminder", CHORES_PATIENCE, async || (told().await >= 2).then_some(())).await;
    assert_eq!((told().await, reminded(&usage(&app, id(&credential)).await)), (2, 2));
    let set = app.ask("PUT", "/settings/credentials.remind_before_days", Some(json!({"value": 1}))).await;
    assert_eq!(set.status, 200, "{set:?}");
    let shown = app.ask("GET", &format!("/credentials/{}", id(&credential)), None).await;
    assert_eq!(shown.body["status"], "active", "two days are not near any more: {shown:?}");
}

/// A service that takes one key: the statuses that it answers, and what it was asked.
struct Service {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    _serving: JoinSet<()>,
}

impl Service {
    async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("it is bound").port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut serving = JoinSet::new();
        let seen = Arc::clone(&asked);
        serving.spawn(async move {
            loop {
                let Ok((mut stream, _)) = listener.accept().await else { return };
                let Some(request) = read(&mut stream).await else { continue };
                let (status, body) = match request.split(' ').nth(1) {
                    Some("/busy") => ("503 Busy", String::new()),
                    Some("/elsewhere") => ("302 Found\r\nLocation: http://127.0.0.1:1/", String::new()),
                    Some("/token") if request.ends_with(NEW) => {
                        ("200 OK", json!({"access_token": "canary-fetched", "scope": "read"}).to_string())
                    }
                    Some("/token") => ("400 Bad Request", json!({"error": "invalid_grant"}).to_string()),
                    _ if request.contains("Bearer canary-fetched") => (
                        "200 OK\r\nX-Left: 41",
                        json!({"login": "ada", "echo": format!("<{NEW}>")}).to_string(),
                    ),
                    _ if request.contains(&format!("Bearer {NEW}")) => ("200 OK", String::new()),
                    _ => ("401 Unauthorized", String::new()),
                };
                seen.lock().expect("nobody panicked").push(request);
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { port, asked, _serving: serving }
    }

    async fn define(&self, app: &App, name: &str, path: &str, allow_private: bool) {
        let scheme = if allow_private { "http" } else { "https" };
        let spec = json!({
            "name": name, "display_name": name, "program": programs().join("roadstead-echo"),
            "env": {"ECHO_TOKEN": "${credential.token}"}, "era": "dual",
            "credential_slots": [{"name": "token", "label": "Token"}],
            "validation": {
                "url": format!("{scheme}://127.0.0.1:{}{path}", self.port), "allow_private": allow_private,
                "headers": {"Authorization": "Bearer ${credential.token}"}, "expect_status": [200],
            },
        });
        let answer = app.ask("POST", "/types", Some(spec)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }
}

/// A request with its body; none where the connection ends before.
async fn read(stream: &mut tokio::net::TcpStream) -> Option<String> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8_lossy(&request).to_lowercase();
    let length = head.split_once("content-length: ").map_or("0", |(_, rest)| rest);
    let length = length.lines().next().and_then(|digits| digits.parse().ok()).unwrap_or_default();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(String::from_utf8_lossy(&[request, body].concat()).into_owned())
}

async fn validated(app: &App, type_name: &str) -> (Value, String) {
    let body = json!({"type": type_name, "name": "tried", "values": {"token": OLD}});
    let stored = app.ask("POST", "/credentials", Some(body)).await;
    assert_eq!(stored.status, 201, "{stored:?}");
    assert_eq!(stored.body["validation"], Value::Null);
    let path = format!("/credentials/{}/validate", id(&stored.body));
    let answer = app.ask("POST", &path, None).await;
    assert_eq!(answer.status, 200, "{answer:?}\n{}", app.log());
    (answer.body, path)
}

#[tokio::test]
async fn a_credential_is_tried_out_with_its_own_service() {
    let app = App::start().await;
    let service = Service::start().await;
    service.define(&app, "tried", "/me", true).await;
    let (refused, path) = validated(&app, "tried").await;
    assert_eq!(
        (&refused["validation"], &refused["answer_status"]),
        (&json!("invalid"), &json!(401)),
        "{refused}"
    );
    let replaced = put(&app, id(&refused), json!({"values": {"token": NEW}})).await;
    assert_eq!(replaced.body["validation"], Value::Null, "of other values nothing is known: {replaced:?}");
    let taken = app.ask("POST", &path, None).await;
    assert_eq!(taken.body["validation"], "valid", "{taken:?}");
    let listed = app.ask("GET", "/credentials", None).await;
    assert_eq!(listed.body["data"][0]["validation"], "valid", "{listed:?}");
    assert!(listed.body["data"][0]["validated_at"].is_string());
    let asked = service.asked.lock().expect("nobody panicked").clone();
    assert!(asked.iter().all(|request| request.starts_with("GET /me HTTP/1.1\r\n")), "{asked:?}");
    assert!(!app.log().contains("canary"), "no value is in the log");
}

#[tokio::test]
async fn what_says_neither_yes_nor_no_leaves_it_unknown() {
    let app = App::start().await;
    let service = Service::start().await;
    for (name, path, status) in [("busy", "/busy", json!(503)), ("moved", "/elsewhere", json!(302))] {
        service.define(&app, name, path, true).await;
        let (answer, _) = validated(&app, name).await;
        assert_eq!(
            (&answer["validation"], &answer["answer_status"]),
            (&json!("unknown"), &status),
            "{answer}"
        );
    }
    let before = service.asked.lock().expect("nobody panicked").len();
    service.define(&app, "private", "/me", false).await;
    let (answer, _) = validated(&app, "private").await;
    assert_eq!(
        (&answer["validation"], &answer["answer_status"]),
        (&json!("unknown"), &Value::Null),
        "{answer}"
    );
    assert!(answer["problem"].as_str().is_some_and(|why| why.contains("loopback")), "{answer}");
    assert_eq!(service.asked.lock().expect("nobody panicked").len(), before, "nothing was sent there");
    let plain = store(&app, "plain", json!({})).await;
    let unsupported = app.ask("POST", &format!("/credentials/{}/validate", id(&plain)), None).await;
    assert_eq!(code(&unsupported), (422, "VALIDATION_UNSUPPORTED"), "{unsupported:?}");
}

/// A type whose token is fetched with a form first.
fn exchanged(port: u16, name: &str) -> Value {
    let url = format!("http://127.0.0.1:{port}");
    json!({
        "name": name, "display_name": name, "program": programs().join("roadstead-echo"),
        "env": {"ECHO_TOKEN": "${credential.token}"}, "era": "dual",
        "credential_slots": [{"name": "token", "label": "Token"}],
        "validation": {
            "url": format!("{url}/me"), "allow_private": true, "headers": {"Authorization": "Bearer ${token}"},
            "token": {"url": format!("{url}/token"), "form": {"grant_type": "refresh_token", "refresh_token": "${credential.token}"}},
            "show": {"account": {"body": "/login"}, "granted": {"token": "/scope"}, "left": {"header": "x-left"},
                     "echoed": {"body": "/echo"}},
        },
    })
}

#[tokio::test]
async fn a_token_is_fetched_first_and_what_the_type_wants_shown_is_shown() {
    let app = App::start().await;
    let service = Service::start().await;
    let defined = app.ask("POST", "/types", Some(exchanged(service.port, "exchanged"))).await;
    assert_eq!(defined.status, 201, "{defined:?}");
    let (refused, path) = validated(&app, "exchanged").await;
    assert_eq!((&refused["validation"], &refused["answer_status"]), (&json!("invalid"), &json!(400)));
    assert_eq!(refused["problem"], "the token endpoint gave no token (invalid_grant)");
    put(&app, id(&refused), json!({"values": {"token": NEW}})).await;
    let taken = app.ask("POST", &path, None).await;
    assert_eq!((&taken.body["validation"], &taken.body["answer_status"]), (&json!("valid"), &json!(200)));
    let shown = json!({"account": "ada", "granted": "read", "left": "41"});
    assert_eq!(taken.body["shown"], shown, "and nothing in which the secret stands");
    let asked = service.asked.lock().expect("nobody panicked").clone();
    let lines: Vec<&str> = asked.iter().filter_map(|request| request.lines().next()).collect();
    assert_eq!(lines, ["POST /token HTTP/1.1", "POST /token HTTP/1.1", "GET /me HTTP/1.1"]);
    assert!(asked[1].ends_with(&format!("grant_type=refresh_token&refresh_token={NEW}")), "{}", asked[1]);
    let said = format!("{refused}{}{}", taken.body, app.log());
    assert!(!said.contains("canary"), "no value is told or logged");
}

#[tokio::test]
async fn a_revoked_token_opens_nothing_until_another_is_made() {
    let app = App::start().await;
    set_ports(&app, 24_110, 24_114).await;
    let launched = Launched::new(&app, json!({"type": "echo", "expires_in": "1h"})).await;
    assert_eq!(launched.route(&app, &launched.token).await.0, 200);
    let path = format!("/instances/{}/revoke-token", launched.id);
    let revoked = app.ask("POST", &path, None).await;
    assert_eq!((revoked.status, &revoked.body["token_hint"]), (200, &json!("")), "{revoked:?}");
    assert!(revoked.body.get("access_token").is_none());
    assert_eq!(launched.route(&app, &launched.token).await.0, 401);
    let port_url = revoked.body["port_url"].as_str().expect("it runs").to_owned();
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    assert_eq!(
        app.mcp(&port_url, &launched.token, None, ping).await.status,
        401,
        "its own port refuses it, too"
    );
    // A restart does not bring it back.
    let restarted = app.ask("POST", &format!("/instances/{}/restart", launched.id), Some(json!({}))).await;
    assert_eq!(restarted.status, 200, "{restarted:?}");
    assert_eq!(launched.route(&app, &launched.token).await.0, 401);
    let rotated = app.ask("POST", &format!("/instances/{}/rotate-token", launched.id), None).await;
    let token = rotated.body["access_token"].as_str().expect("shown once");
    assert_eq!(launched.route(&app, token).await.0, 200);
    let events = app.event_types(&launched.id).await;
    assert_eq!(events, ["created", "started", "token_revoked", "restarted", "token_rotated"]);
    app.ask("POST", &format!("/instances/{}/stop", launched.id), Some(json!({}))).await;
    assert_eq!(code(&app.ask("POST", &path, None).await), (409, "WRONG_STATUS"));
}
