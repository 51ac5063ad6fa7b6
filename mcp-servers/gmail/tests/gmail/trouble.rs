//! A service that refuses, is slow, breaks off or is not there.

use std::time::Duration;

use roadstead_server_stage::{Answer, Program};
use serde_json::json;

use crate::gmail::{BOX, Google, error};

fn profile() -> String {
    format!("GET {BOX}/profile")
}

#[tokio::test]
async fn quotas_of_the_moment_are_waited_for() {
    let google = Google::start().await;
    let program = google.program(&[]).await;
    program.call("get_profile", json!({})).await.good();
    for (status, reason) in
        [(403, "rateLimitExceeded"), (403, "userRateLimitExceeded"), (429, "rateLimitExceeded")]
    {
        google.service.take_seen();
        google.service.next(&profile(), Answer::json(status, &error(status, reason, "Quota exceeded")));
        google.service.next(&profile(), Answer::json(status, &error(status, reason, "Quota exceeded")));
        program.call("get_profile", json!({})).await.good();
        assert_eq!(google.count(&profile()), 3, "{reason}");
    }
    let told = Answer::json(429, &error(429, "rateLimitExceeded", "Too many")).with("retry-after", "1800");
    google.service.next(&profile(), told);
    let outcome = program.call("get_profile", json!({})).await;
    assert_eq!((outcome.code(), &outcome.value["retry_after_s"]), ("rate_limited", &json!(1800)));
    program.end().await;
}

#[tokio::test]
async fn quotas_that_stay_are_told() {
    let google = Google::start().await;
    let program = google.program(&["--retries", "2"]).await;
    program.call("get_profile", json!({})).await.good();
    google.service.take_seen();
    for _ in 0..3 {
        let refused = error(403, "userRateLimitExceeded", "User-rate limit exceeded");
        google.service.next(&profile(), Answer::json(403, &refused));
    }
    let outcome = program.call("get_profile", json!({})).await;
    assert_eq!(outcome.code(), "rate_limited");
    assert_eq!(google.count(&profile()), 3);
    program.end().await;
}

#[tokio::test]
async fn refusals_are_told_with_what_to_do() {
    let google = Google::start().await;
    let program = google.program(&["--retries", "0"]).await;
    let scope = json!({ "error": { "code": 403, "message": "Request had insufficient authentication scopes.", "status": "PERMISSION_DENIED",
        "details": [{ "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT" }] } });
    for (status, body, code, hint) in [
        (403, scope, "forbidden", "gmail.modify"),
        (403, error(403, "insufficientPermissions", "Insufficient Permission"), "forbidden", "gmail.modify"),
        (403, error(403, "accessNotConfigured", "Not enabled"), "forbidden", "switched off"),
        (403, error(403, "domainPolicy", "Disabled"), "forbidden", "administrator"),
        (403, error(403, "dailyLimitExceeded", "Daily limit"), "rate_limited", "tomorrow"),
        (403, error(403, "forbidden", "No"), "forbidden", "No"),
        (400, error(400, "failedPrecondition", "Mail service not enabled"), "invalid_input", "not enabled"),
        (404, error(404, "notFound", "Gone"), "not_found", "Check the id"),
        (500, error(500, "backendError", "Backend Error"), "unavailable", "Backend Error"),
        (503, json!("down"), "unavailable", "503"),
    ] {
        google.service.next(&profile(), Answer::json(status, &body));
        let outcome = program.call("get_profile", json!({})).await;
        assert_eq!((outcome.code(), &outcome.value["status"]), (code, &json!(status)), "{body}");
        assert!(outcome.text.contains(hint), "{}", outcome.text);
    }
    program.end().await;
}

#[tokio::test]
async fn what_passes_is_tried_again_if_twice_is_once() {
    let google = Google::start().await;
    let program = google.program(&[]).await;
    program.call("get_profile", json!({})).await.good();
    let modify = format!("POST {BOX}/messages/m1/modify");
    let create = format!("POST {BOX}/labels");
    for trouble in [Answer::json(500, &json!({})), Answer::json(503, &json!({})), Answer::Cut] {
        google.service.take_seen();
        google.service.next(&profile(), trouble.clone());
        program.call("get_profile", json!({})).await.good();
        google.service.next(&modify, trouble.clone());
        program.call("modify_message_labels", json!({ "message_id": "m1", "add": ["STARRED"] })).await.good();
        google.service.next(&create, trouble.clone());
        let outcome = program.call("create_label", json!({ "name": "New" })).await;
        assert!(outcome.is_error);
        let seen = google.service.take_seen();
        let count = |line: &str| seen.iter().filter(|seen| seen.line() == line).count();
        assert_eq!((count(&profile()), count(&modify), count(&create)), (2, 2, 1), "{trouble:?}");
    }
    program.end().await;
}

#[tokio::test]
async fn a_service_that_never_answers_is_given_up() {
    let google = Google::start().await;
    let program = google.program(&["--timeout-s", "1", "--retries", "0"]).await;
    program.call("get_profile", json!({})).await.good();
    google.service.next(&profile(), Answer::Late(Duration::from_hours(1)));
    assert_eq!(program.call("get_profile", json!({})).await.code(), "timeout");
    google.service.next(&profile(), Answer::Whole(200, Vec::new(), "<html>".to_owned()));
    assert_eq!(program.call("get_profile", json!({})).await.code(), "unexpected_answer");
    program.end().await;
}

#[tokio::test]
async fn a_service_that_is_not_there_is_a_failure_of_the_network() {
    let gone = Google::start().await;
    let launch = gone.launch(&["--retries", "1"]);
    drop(gone);
    let program = Program::start(&launch).await;
    assert_eq!(program.call("get_profile", json!({})).await.code(), "network");
    assert!(!program.end().await.contains("canary"));
}
