//! The service is killed as soon as it has taken a step of a launch or of an end, each of them in turn: the next one tells the truth.

use std::time::Duration;

use roadstead_model::Step;
use roadstead_test_support::app::{App, AppOptions};
use roadstead_test_support::wait_for;
use serde_json::{Value, json};

use crate::support::kept::Kept;
use crate::support::left::{Left, life_is_whole};

/// Longer than two reconciles.
const PATIENCE: Duration = Duration::from_secs(100);

async fn rows(app: &App, statuses: &[&str]) -> Vec<Value> {
    let mut rows = Vec::new();
    for status in statuses {
        let answer = app.ask("GET", &format!("/instances?status={status}&limit=100"), None).await;
        rows.extend(answer.body["data"].as_array().expect("a list").iter().cloned());
    }
    rows
}

/// Rows, processes and folders tell the same, and every life is told whole.
async fn nothing_is_half_done(app: &App, step: &str) {
    let mut wrong = Vec::new();
    wait_for(&format!("rows and processes to tell the same after {step}"), PATIENCE, async || {
        let now = Left::look(app.data()).compared_with(&rows(app, &["pending", "running"]).await);
        if now != wrong {
            eprintln!("{step}: {now:?}");
        }
        wrong = now;
        wrong.is_empty().then_some(())
    })
    .await;
    for row in rows(app, &["running", "expired", "disconnected", "stopped", "error"]).await {
        let events = app.event_types(row["id"].as_str().expect("an id")).await;
        let status = row["status"].as_str().expect("a status");
        life_is_whole(&events, status).unwrap_or_else(|why| panic!("after {step}: {why}: {row}"));
    }
}

/// A request that may be cut off in the middle.
async fn try_ask(app: &App, method: &str, path: &str, body: Option<Value>) -> Option<Value> {
    let mut request = app.request(method, path).bearer_auth(&app.key);
    if let Some(body) = body {
        request = request.json(&body);
    }
    request.send().await.ok()?.json().await.ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_killed_at_any_step_is_followed_by_one_that_tells_the_truth() {
    let (kept, mut app) = Kept::start("serve", &[]).await;
    for (key, value) in [("port.range_end", 25_599), ("port.range_start", 25_500)] {
        let answer = app.ask("PUT", &format!("/settings/{key}"), Some(json!({ "value": value }))).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    for step in Step::ALL {
        let step = step.as_str();
        app.signal(nix::sys::signal::Signal::SIGTERM);
        let (_, data) = app.ended().await;
        let doomed = App::start_with(AppOptions {
            data: Some(data),
            program: "roadstead-ends-at",
            command: "serve",
            environment: vec![("ROADSTEAD_ENDS_AT".to_owned(), step.to_owned())],
            ..AppOptions::default()
        })
        .await;
        let launched =
            try_ask(&doomed, "POST", "/instances", Some(json!({"type": "echo", "expires_in": "1h"}))).await;
        if let Some(id) = launched.as_ref().and_then(|body| body["id"].as_str()) {
            // It outlived the launch: it is to end in the middle of an end.
            try_ask(&doomed, "POST", &format!("/instances/{id}/stop"), None).await;
        }
        let (status, data) = doomed.ended().await;
        assert!(!status.success(), "it was not killed at {step}");
        app = kept.start_again("serve", data).await;
        nothing_is_half_done(&app, step).await;
    }
    drop((app, kept));
}
