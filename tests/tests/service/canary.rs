//! Canaries: secret values that sing wherever they are seen. They may be in the server's own environment, and
//! nowhere else: not in a file, a log line, an argument, an address or an answer.

use std::collections::BTreeSet;
use std::time::Duration;

use roadstead_test_support::app::{Answer, App, is_alive};
use roadstead_test_support::poll::wait_for;
use serde_json::{Value, json};

use crate::support::canary::{BLABBER, Secret, assert_files_are_silent, canary, define, holds, marker, text};

/// How long anything here may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_nowhere_but_in_its_servers_own_environment() {
    let app = App::start().await;
    let secrets = ["stored", "inline", "failed", "refused"].map(|called| Secret { called, value: canary() });
    let [stored, inline, failed, refused] = &secrets;
    define(&app, "blabber", &format!("{BLABBER} exec $ARGV[0];")).await;
    define(&app, "quitter", &format!("{BLABBER} exit 3;")).await;

    let values = json!({"type": "blabber", "name": "kept", "values": {"token": stored.value}});
    let kept = app.ask("POST", "/credentials", Some(values)).await;
    assert_eq!(kept.status, 201, "{kept:?}");
    let first = app.launch(json!({"type": "blabber", "credential_id": kept.body["id"]})).await;
    let launch = json!({"type": "blabber", "credentials": {"token": inline.value}, "name": marker()});
    let again = app.request("POST", "/instances").bearer_auth(&app.key).header("idempotency-key", "twice");
    let second = answer(again.json(&launch)).await;
    assert_eq!(second.status, 201, "{:?}", second.body["error"]["code"]);
    let mut answers = vec![kept.body.to_string(), first.to_string(), second.body.to_string()];
    answers.push(failed_launch(&app, failed).await);
    answers.extend(refused_requests(&app, refused).await);

    let instances = [&first, &second.body];
    let mut all: Vec<Secret> = secrets.into();
    for (called, instance) in [("the first token", &first), ("the second token", &second.body)] {
        all.push(Secret { called, value: text(&instance["access_token"]).to_owned() });
    }
    all.push(Secret { called: "the API key", value: app.key.clone() });
    for instance in instances {
        answers.extend(what_the_api_tells(&app, text(&instance["id"])).await);
        mcp_answers(&app, instance).await;
    }
    // Tokens are shown where they are made; canaries never.
    for (answer, secret) in answers.iter().flat_map(|answer| all[..4].iter().map(move |each| (answer, each)))
    {
        assert!(!holds(answer.as_bytes(), secret), "an answer holds {}", secret.called);
    }
    let servers: Vec<i32> = instances.iter().map(|each| process(each)).collect();
    assert_processes_are_silent(&all, &servers);
    let spot = text(&launch["name"]).to_owned();
    assert_files_are_silent(app.data(), &all, Some(&spot));

    for instance in instances {
        let path = format!("/instances/{}/stop", text(&instance["id"]));
        assert_eq!(app.ask("POST", &path, None).await.status, 200);
    }
    for instance in instances {
        for told in what_the_api_tells(&app, text(&instance["id"])).await {
            assert!(
                all.iter().all(|each| !holds(told.as_bytes(), each)),
                "an answer after the end holds a secret"
            );
        }
    }
    assert!(servers.iter().all(|server| !is_alive(*server)), "a server has outlived its stop");
    assert_processes_are_silent(&all, &[]);
    assert_files_are_silent(app.data(), &all, Some(&spot));
    let path = format!("/credentials/{}", text(&kept.body["id"]));
    assert_eq!(app.ask("DELETE", &path, None).await.status, 204);
    // The end writes everything out that was only in memory.
    let (_, data) = app.interrupt().await;
    assert_files_are_silent(data.path(), &all, Some(&spot));
}

/// A launch whose server tells its secret and leaves: its last lines are in the answer, without it.
async fn failed_launch(app: &App, secret: &Secret) -> String {
    let body = json!({"type": "quitter", "credentials": {"token": secret.value}});
    let answer = app.ask("POST", "/instances", Some(body)).await;
    assert_eq!(answer.status, 502, "{:?}", answer.body["error"]["code"]);
    let details = answer.body["error"]["details"].as_array().expect("a list");
    let tail = details.iter().find(|detail| detail["field"] == "stderr").expect("the last lines");
    assert!(text(&tail["message"]).contains("plain "), "the last lines are told");
    let id = details.iter().find(|detail| detail["field"] == "instance_id").expect("the row");
    let told = what_the_api_tells(app, text(&id["message"])).await;
    assert!(
        told.iter().all(|told| !holds(told.as_bytes(), secret)),
        "a failed instance's rows hold the secret"
    );
    answer.body.to_string()
}

/// Requests that are refused with a secret in them, right or wrong in its place.
async fn refused_requests(app: &App, secret: &Secret) -> Vec<String> {
    let value = &secret.value;
    let bodies = [
        ("/instances", json!({"type": "blabber", "credentials": value})),
        ("/instances", json!({"type": "blabber", "credentials": {"token": [value]}})),
        ("/instances", json!({"type": "blabber", "credentials": {"token": format!("{value}\n")}})),
        ("/instances", json!({"type": "blabber", "credentials": {"other": value}})),
        ("/instances", json!({"type": "blabber", "credentials": {value: "x"}})),
        ("/instances", json!({"type": "blabber", "credentials": {value: 7}})),
        ("/instances", json!({"type": "blabber", "credential_id": value})),
        ("/instances", json!({"type": "blabber", "expires_in": value})),
        ("/instances", json!({"type": "nonesuch", "credentials": {"token": value}})),
        (
            "/credentials",
            json!({"type": "blabber", "name": "n", "values": {"token": format!("{value}\u{7}")}}),
        ),
        ("/credentials", json!({"type": "blabber", "name": "n", "values": value})),
        ("/credentials", json!({"type": "nonesuch", "name": "n", "values": {"token": value}})),
    ];
    let mut told = Vec::new();
    for (path, body) in bodies {
        let answer = app.ask("POST", path, Some(body)).await;
        assert!((400..500).contains(&answer.status), "{path}: {}", answer.status);
        told.push(answer.body.to_string());
    }
    let broken = format!("{{\"type\": \"blabber\", \"credentials\": {{\"token\": \"{value}\" oops");
    let request =
        app.request("POST", "/instances").bearer_auth(&app.key).header("content-type", "application/json");
    let answer = answer(request.body(broken)).await;
    assert_eq!(answer.status, 400);
    told.push(answer.body.to_string());
    told
}

/// Everything that the API says of an instance, once all that its server said has arrived.
async fn what_the_api_tells(app: &App, id: &str) -> Vec<String> {
    let path = format!("/instances/{id}/logs?limit=100&order=asc");
    let logs = wait_for("what the server said", PATIENCE, async || {
        let answer = app.ask("GET", &path, None).await;
        let lines = answer.body["data"].as_array()?.clone();
        let all = ["plain ", "halves ", "Authorization: ", "forms ", "wrapped", "said"];
        all.iter()
            .all(|said| {
                lines.iter().any(|line| line["message"].as_str().is_some_and(|line| line.starts_with(said)))
            })
            .then(|| answer.body.to_string())
    })
    .await;
    let mut told = vec![logs];
    for path in [
        format!("/instances/{id}"),
        format!("/instances/{id}/events"),
        "/instances".to_owned(),
        "/credentials".to_owned(),
        "/api-keys".to_owned(),
        "/types".to_owned(),
        "/ports".to_owned(),
    ] {
        let answer = app.ask("GET", &path, None).await;
        assert_eq!(answer.status, 200, "{path}");
        told.push(answer.body.to_string());
    }
    told
}

/// A call through the access URL, so that whatever is written down of calls is written.
async fn mcp_answers(app: &App, instance: &Value) {
    let (url, token) = (text(&instance["access_url"]), text(&instance["access_token"]));
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}});
    let answer = app.mcp(url, token, None, hello).await;
    assert_eq!(answer.status, 200, "the server answers");
    assert!(!url.contains(token));
    assert_eq!(app.mcp(url, "rsi_wrong", None, json!({})).await.status, 401);
}

/// No process has a secret in its arguments; only servers have one in their environment.
fn assert_processes_are_silent(secrets: &[Secret], servers: &[i32]) {
    let mut singing = BTreeSet::new();
    for entry in std::fs::read_dir("/proc").expect("/proc can be read").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let read = |part: &str| std::fs::read(format!("/proc/{pid}/{part}")).unwrap_or_default();
        let (arguments, environment) = (read("cmdline"), read("environ"));
        for secret in secrets {
            assert!(!holds(&arguments, secret), "process {pid} has {} in its arguments", secret.called);
            if holds(&environment, secret) {
                assert!(servers.contains(&pid), "process {pid} has {} in its environment", secret.called);
                singing.insert(pid);
            }
        }
    }
    assert_eq!(singing, servers.iter().copied().collect(), "the look itself finds what there is");
}

async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.expect("the service answers");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.bytes().await.expect("a whole answer");
    Answer { status, headers, body: serde_json::from_slice(&body).unwrap_or(Value::Null) }
}

fn process(instance: &Value) -> i32 {
    instance["process_id"].as_i64().and_then(|pid| i32::try_from(pid).ok()).expect("a process id")
}
