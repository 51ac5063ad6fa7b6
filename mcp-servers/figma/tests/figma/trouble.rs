//! A service that refuses, is slow, breaks off or is not there.

use std::time::Duration;

use roadstead_server_stage::{Answer, Program, Service};
use serde_json::json;

use crate::figma::{self, TOKEN};

#[tokio::test]
async fn refusals_are_told_with_what_to_do() {
    let service = figma::service().await;
    let program = figma::program(&service, &["--retries", "0"]).await;
    let low = ("x-figma-rate-limit-type", "low");
    for (status, body, header, code, hint) in [
        (403, json!({ "status": 403, "err": "Invalid token" }), None, "unauthorized", "must give a new one"),
        (403, json!({ "status": 403, "err": "Token expired" }), None, "unauthorized", "must give a new one"),
        (401, json!({ "err": "Unauthorized" }), None, "unauthorized", "must give a new one"),
        (
            403,
            json!({ "err": "Invalid scope(s): x. This endpoint requires the file_content:read scope" }),
            None,
            "forbidden",
            "lacks a scope",
        ),
        (403, json!({ "err": "Forbidden" }), None, "forbidden", "may not see this"),
        (400, json!({ "err": "Bad ids" }), None, "invalid_input", "Check the ids"),
        (404, json!({ "err": "Not found" }), None, "not_found", "Check the key"),
        (429, json!({ "err": "Rate limit exceeded" }), Some(low), "rate_limited", "seat"),
        (500, json!({ "message": "Internal" }), None, "unavailable", "Internal"),
        (503, json!({}), None, "unavailable", "503"),
    ] {
        let mut answer = Answer::json(status, &body);
        if let Some((name, value)) = header {
            answer = answer.with(name, value);
        }
        service.next("GET /v1/files/KEY", answer);
        let outcome = program.call("get_file", json!({ "file": "KEY" })).await;
        assert_eq!((outcome.code(), outcome.value["status"].as_u64()), (code, Some(status.into())), "{body}");
        assert!(outcome.text.contains(hint), "{}", outcome.text);
    }
    service.next("GET /v1/files/KEY/variables", Answer::json(403, &json!({ "err": "Limited by plan" })));
    let outcome = program.call("get_local_variables", json!({ "file": "KEY" })).await;
    assert!(outcome.text.contains("Enterprise"), "{}", outcome.text);
    program.end().await;
}

#[tokio::test]
async fn a_long_wait_is_told_instead_of_waited() {
    let service = figma::service().await;
    let program = figma::program(&service, &[]).await;
    service
        .next("GET /v1/me", Answer::json(429, &json!({ "err": "Rate limit" })).with("retry-after", "3600"));
    let outcome = program.call("get_me", json!({})).await;
    assert_eq!((outcome.code(), &outcome.value["retry_after_s"]), ("rate_limited", &json!(3600)));
    assert_eq!(service.count(), 1);
    service.next("GET /v1/me", Answer::json(429, &json!({ "err": "Rate limit" })).with("retry-after", "0"));
    program.call("get_me", json!({})).await.good();
    program.end().await;
}

#[tokio::test]
async fn what_passes_is_tried_again_if_twice_is_once() {
    let service = figma::service().await;
    let program = figma::program(&service, &[]).await;
    for trouble in [Answer::json(503, &json!({})), Answer::json(502, &json!({})), Answer::Cut] {
        service.next("GET /v1/me", trouble.clone());
        service.take_seen();
        program.call("get_me", json!({})).await.good();
        assert_eq!(service.count(), 2, "{trouble:?}");
        service.next("POST /v1/files/KEY/comments", trouble.clone());
        service.take_seen();
        let outcome = program.call("add_comment", json!({ "file": "KEY", "message": "once" })).await;
        assert!(["unavailable", "network"].contains(&outcome.code()), "{}", outcome.text);
        assert_eq!(service.count(), 1, "a comment was made twice");
    }
    service.next("POST /v1/files/KEY/comments", Answer::json(429, &json!({})));
    program.call("add_comment", json!({ "file": "KEY", "message": "refused, then made" })).await.good();
    program.end().await;
}

#[tokio::test]
async fn a_service_that_never_answers_is_given_up() {
    let service = figma::service().await;
    let program = figma::program(&service, &["--timeout-s", "1", "--retries", "0"]).await;
    service.next("GET /v1/me", Answer::Late(Duration::from_hours(1)));
    let outcome = program.call("get_me", json!({})).await;
    assert_eq!(outcome.code(), "timeout");
    program.end().await;
}

#[tokio::test]
async fn a_service_that_is_not_there_is_a_failure_of_the_network() {
    let gone = Service::start(|_| Answer::Cut).await.url("");
    let program = Program::start(&figma::launch(&gone, &["--retries", "1"])).await;
    let outcome = program.call("get_me", json!({})).await;
    assert_eq!(outcome.code(), "network");
    program.end().await;
}

#[tokio::test]
async fn what_figma_could_not_draw_is_a_failure() {
    let service = figma::service().await;
    let program = figma::program(&service, &[]).await;
    let refused = json!({ "err": format!("Render timeout for {TOKEN}"), "images": {} });
    service.next("GET /v1/images/KEY", Answer::json(200, &refused));
    let outcome = program.call("render_images", json!({ "file": "KEY", "nodes": ["1:1"] })).await;
    assert_eq!(outcome.code(), "refused");
    assert!(outcome.text.contains("Render timeout") && !outcome.all().contains("canary"), "{}", outcome.text);
    let outcome = program.call("get_local_variables", json!({ "file": "KEY", "collection": "Sizes" })).await;
    assert!(outcome.code() == "invalid_input" && outcome.text.contains("Colours"), "{}", outcome.text);
    let outcome = program
        .call("add_comment", json!({ "file": "KEY", "message": "x", "answer_to": "1", "node": "1:1" }))
        .await;
    assert_eq!(outcome.code(), "invalid_input");
    program.end().await;
}

#[tokio::test]
async fn the_token_shows_nowhere_even_if_figma_tells_it() {
    let service = figma::service().await;
    let program = figma::program(&service, &["--retries", "0"]).await;
    for status in [400, 401, 403, 404, 429, 500, 503] {
        let told = json!({ "status": status, "err": format!("the token {TOKEN} is bad") });
        service.next("GET /v1/me", Answer::json(status, &told));
        let outcome = program.call("get_me", json!({})).await;
        assert!(outcome.text.contains("the token ***"), "{}", outcome.text);
        assert!(!outcome.all().contains("canary"), "{}", outcome.all());
    }
    let said = program.end().await;
    assert!(!said.contains("canary"), "{said}");
}

#[tokio::test]
async fn an_answer_that_still_holds_is_not_sent_again() {
    let service = figma::service().await;
    let program = figma::program(&service, &[]).await;
    let me = json!({ "id": "11", "handle": "Ann" });
    service.next("GET /v1/me", Answer::json(200, &me).with("etag", "\"e1\""));
    service.next("GET /v1/me", Answer::Whole(304, Vec::new(), String::new()));
    for _ in 0..2 {
        assert_eq!(program.call("get_me", json!({})).await.good()["handle"], "Ann");
    }
    let seen = service.take_seen();
    assert_eq!(seen[1].headers.get("if-none-match").map(String::as_str), Some("\"e1\""));
    program.end().await;
}
