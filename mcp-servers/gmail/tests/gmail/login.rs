//! Access tokens: fetched when they are needed, renewed in time, and what happens when Google gives none.

use std::sync::atomic::Ordering;
use std::time::Duration;

use roadstead_server_stage::{Answer, Launch};
use serde_json::json;

use crate::gmail::{ACCESS, BOX, CLIENT_SECRET, Google, REFRESH_TOKEN};

fn granted(number: u64, life_s: u64) -> Answer {
    Answer::json(
        200,
        &json!({ "access_token": format!("{ACCESS}{number}"), "expires_in": life_s, "token_type": "Bearer" }),
    )
}

#[tokio::test]
async fn one_token_serves_many_calls() {
    let google = Google::start().await;
    let program = google.program(&[]).await;
    assert_eq!(google.service.count(), 0, "nothing is asked before it has to be");
    for _ in 0..3 {
        program.call("get_profile", json!({})).await.good();
    }
    let seen = google.service.take_seen();
    let lines: Vec<String> = seen.iter().map(roadstead_server_stage::Seen::line).collect();
    let profile = format!("GET {BOX}/profile");
    assert_eq!(lines, ["POST /token", &profile, &profile, &profile]);
    assert!(!seen[0].headers.contains_key("authorization"));
    assert_eq!(seen[0].headers["content-type"], "application/x-www-form-urlencoded");
    assert!(seen.iter().all(|seen| seen.query.is_empty()), "no secret in an address");
    program.end().await;
}

#[tokio::test]
async fn calls_at_the_same_time_share_one_token() {
    let google = Google::start().await;
    let program = google.program(&[]).await;
    google.service.next("POST /token", Answer::Late(Duration::from_millis(100)));
    let call = || program.call("get_profile", json!({}));
    let ended = tokio::join!(call(), call(), call(), call());
    for outcome in [ended.0, ended.1, ended.2, ended.3] {
        outcome.good();
    }
    assert_eq!(google.count("POST /token"), 1);
    program.end().await;
}

#[tokio::test]
async fn a_token_is_renewed_before_its_end() {
    let google = Google::start().await;
    let program = google.program(&[]).await;
    google.service.next("POST /token", granted(1, 60));
    program.call("get_profile", json!({})).await.good();
    program.call("get_profile", json!({})).await.good();
    assert_eq!(google.count("POST /token"), 2, "a minute before the end is late enough");
    program.call("get_profile", json!({})).await.good();
    assert_eq!(google.count("POST /token"), 0);
    program.end().await;
}

#[tokio::test]
async fn a_token_that_is_refused_is_renewed_once() {
    let google = Google::start().await;
    let program = google.program(&[]).await;
    program.call("get_profile", json!({})).await.good();
    google.revoked.store(1, Ordering::SeqCst);
    google.service.take_seen();
    program.call("get_profile", json!({})).await.good();
    assert_eq!(google.count("POST /token"), 1);
    google.revoked.store(1000, Ordering::SeqCst);
    let outcome = program.call("send_message", json!({ "to": ["a@example.org"], "text": "x" })).await;
    assert_eq!(outcome.code(), "unauthorized");
    assert!(outcome.text.contains("log in again"), "{}", outcome.text);
    let seen = google.service.take_seen();
    let sends = seen.iter().filter(|seen| seen.line().ends_with("/messages/send")).count();
    assert_eq!((sends, seen.len()), (2, 3), "twice with a token each, and no more");
    program.end().await;
}

#[tokio::test]
async fn a_login_that_has_ended_is_told_with_what_to_do() {
    let google = Google::start().await;
    let mut launch = google.launch(&[]);
    launch.environment[2].1 = "1//canary-other-refresh-token".to_owned();
    let program = roadstead_server_stage::Program::start(&launch).await;
    let outcome = program.call("search_messages", json!({})).await;
    assert_eq!((outcome.code(), &outcome.value["status"]), ("unauthorized", &json!(400)));
    assert!(
        outcome.text.contains("expired or revoked") && outcome.text.contains("log in again"),
        "{}",
        outcome.text
    );
    let said = outcome.all() + &program.end().await;
    assert!(!said.contains("canary"), "{said}");
}

#[tokio::test]
async fn other_refusals_of_a_login_are_told_apart() {
    let google = Google::start().await;
    let program = google.program(&["--retries", "1"]).await;
    for (status, error, code, hint) in [
        (401, "invalid_client", "unauthorized", "client secret is wrong"),
        (401, "unauthorized_client", "unauthorized", "of another client"),
        (401, "deleted_client", "unauthorized", "was deleted"),
        (400, "invalid_scope", "forbidden", "scopes"),
        (400, "invalid_request", "invalid_input", "invalid_request"),
    ] {
        google.service.next("POST /token", Answer::json(status, &json!({ "error": error })));
        let outcome = program.call("get_profile", json!({})).await;
        assert_eq!(outcome.code(), code, "{error}: {}", outcome.text);
        assert!(outcome.text.contains(hint), "{}", outcome.text);
    }
    for passing in [Answer::json(503, &json!({})), Answer::Cut, Answer::json(429, &json!({}))] {
        google.service.next("POST /token", passing);
        google.service.next("POST /token", granted(1, 1));
        program.call("get_profile", json!({})).await.good();
    }
    google.service.next("POST /token", Answer::json(200, &json!({ "token": format!("{ACCESS}77") })));
    let outcome = program.call("get_profile", json!({})).await;
    assert_eq!(outcome.code(), "unexpected_answer");
    google.service.next("POST /token", Answer::json(200, &json!({ "access_token": "canary\nline" })));
    let outcome = program.call("get_profile", json!({})).await;
    assert!(outcome.code() == "unexpected_answer" && !outcome.all().contains("canary"), "{}", outcome.text);
    assert!(!program.end().await.contains("canary"));
}

#[tokio::test]
async fn secrets_show_nowhere_even_if_google_tells_them() {
    let google = Google::start().await;
    let program = google.program(&["--retries", "0"]).await;
    let told = format!("{REFRESH_TOKEN} {CLIENT_SECRET}");
    let body = json!({ "error": "invalid_grant", "error_description": told });
    google.service.next("POST /token", Answer::json(400, &body));
    let outcome = program.call("get_profile", json!({})).await;
    assert!(outcome.text.contains("*** ***") && !outcome.all().contains("canary"), "{}", outcome.text);
    for status in [400, 401, 403, 404, 429, 500, 503] {
        let body = crate::gmail::error(status, "x", &format!("{told} {ACCESS}1"));
        google.service.next(&format!("GET {BOX}"), Answer::json(status, &body));
        google.service.next(&format!("GET {BOX}"), Answer::json(status, &body));
        let outcome = program.call("get_profile", json!({})).await;
        google.service.forget_next();
        assert!(outcome.is_error && outcome.text.contains("***"), "{}", outcome.text);
        assert!(!outcome.all().contains("canary"), "{}", outcome.all());
    }
    let said = program.end().await;
    assert!(!said.is_empty() && !said.contains("canary"), "{said}");
}

#[tokio::test]
async fn what_is_wrong_with_its_configuration_is_said_at_once() {
    let google = Google::start().await;
    let without = |name: &str| {
        let mut launch = google.launch(&[]);
        launch.environment.retain(|(known, _)| known != name);
        launch
    };
    let plain = |argument: &str| {
        let launch = google.launch(&[]);
        Launch { arguments: vec![argument.to_owned()], ..launch }
    };
    for (launch, expected) in [
        (without("GMAIL_CLIENT_ID"), "GMAIL_CLIENT_ID is not set"),
        (without("GMAIL_CLIENT_SECRET"), "GMAIL_CLIENT_SECRET is not set"),
        (without("GMAIL_REFRESH_TOKEN"), "GMAIL_REFRESH_TOKEN is not set"),
        (plain("--token-url=http://example.com/token"), "https://"),
        (plain("--api-url=http://example.com"), "https://"),
    ] {
        let (code, said) = launch.run().await;
        assert_eq!(code, Some(78), "{said}");
        assert!(said.contains(expected) && !said.contains("canary"), "{said}");
    }
}

#[tokio::test]
async fn clients_of_both_eras_are_served() {
    let google = Google::start().await;
    let launch = google.launch(&[]);
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
    });
    let call = json!({ "name": "get_profile", "arguments": {}, "_meta": meta });
    let modern = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call });
    let answers = launch.answers(&[modern]).await;
    assert_eq!(answers[0]["result"]["resultType"], "complete", "{answers:?}");
    assert_eq!(answers[0]["result"]["structuredContent"]["email_address"], "me@example.org");
    let hello = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "test", "version": "1" } });
    let legacy = [
        json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }),
        json!({ "jsonrpc": "2.0", "id": 2, "method": "initialize", "params": hello }),
        json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": { "name": "get_profile", "arguments": {} } }),
    ];
    let answers = launch.answers(&legacy).await;
    assert_eq!(answers[1]["result"]["protocolVersion"], "2025-11-25");
    assert_eq!(answers[2]["result"]["structuredContent"]["email_address"], "me@example.org");
}
