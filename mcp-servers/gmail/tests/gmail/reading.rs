//! Searching and reading, beyond what every tool does.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use roadstead_server_stage::Answer;
use serde_json::{Value, json};

use crate::gmail::{BOX, Google, error, full};

#[tokio::test]
async fn a_search_tells_how_far_it_is_and_its_ids_cost_one_request() {
    let google = Google::start().await;
    let program = google.program(&[]).await;
    let (outcome, told) = program.call_with_progress("search_messages", json!({})).await;
    assert_eq!(outcome.good()["messages"].as_array().unwrap().len(), 2, "what is gone is left out");
    let steps: Vec<f64> = told.iter().map(|progress| progress.progress).collect();
    assert_eq!(steps, [1.0, 2.0, 3.0]);
    assert_eq!(told[0].total, Some(3.0));
    google.service.take_seen();
    let outcome = program.call("search_messages", json!({ "ids_only": true })).await;
    assert_eq!(outcome.good()["messages"][1], json!({ "id": "gone", "thread_id": "t9" }));
    assert_eq!(google.service.count(), 1);
    program.end().await;
}

#[tokio::test]
async fn a_search_without_a_hit_is_empty() {
    let google = Google::start().await;
    let program = google.program(&[]).await;
    google
        .service
        .next(&format!("GET {BOX}/messages"), Answer::json(200, &json!({ "resultSizeEstimate": 0 })));
    let outcome = program.call("search_messages", json!({ "query": "nothing" })).await;
    assert_eq!(*outcome.good(), json!({ "messages": [], "estimated_total": 0 }));
    let refused = error(400, "invalidArgument", "Invalid pageToken");
    google.service.next(&format!("GET {BOX}/messages"), Answer::json(400, &refused));
    let outcome = program.call("search_messages", json!({ "page_token": "old" })).await;
    assert!(outcome.code() == "invalid_input" && outcome.text.contains("pageToken"), "{}", outcome.text);
    program.end().await;
}

#[tokio::test]
async fn a_failure_half_way_through_a_search_is_a_failure() {
    let google = Google::start().await;
    let program = google.program(&["--retries", "0"]).await;
    program.call("get_profile", json!({})).await.good();
    google.service.next(&format!("GET {BOX}/messages/m2"), Answer::json(503, &json!({})));
    let outcome = program.call("search_messages", json!({})).await;
    assert_eq!(outcome.code(), "unavailable");
    let outcome = program.call("search_messages", json!({ "labels": ["Holidays"] })).await;
    assert!(outcome.code() == "not_found" && outcome.text.contains("list_labels"), "{}", outcome.text);
    program.end().await;
}

#[tokio::test]
async fn a_message_of_html_alone_becomes_text() {
    let google = Google::start().await;
    let program = google.program(&[]).await;
    let page = "<html><body><h1>Sale</h1><p>Buy <a href=\"https://example.org/x\">now</a></p></body></html>";
    let message = json!({ "id": "m5", "threadId": "t5", "payload": {
        "mimeType": "text/html", "headers": [{ "name": "Subject", "value": "Sale" }],
        "body": { "size": page.len(), "data": URL_SAFE.encode(page) },
    } });
    for (body, is_html, from_html) in [("text", false, true), ("html", true, false)] {
        google.service.next(&format!("GET {BOX}/messages/m5"), Answer::json(200, &message));
        let outcome = program.call("get_message", json!({ "message_id": "m5", "body": body })).await;
        let told = &outcome.good()["body"];
        assert_eq!(told["is_html"], is_html);
        assert_eq!(told["from_html"].as_bool().unwrap_or(false), from_html);
        let text = told["text"].as_str().unwrap();
        assert!(text.contains("https://example.org/x") && text.contains("<h1>") == is_html, "{text}");
    }
    google.service.next(&format!("GET {BOX}/messages/m5"), Answer::json(200, &message));
    let outcome = program.call("get_message", json!({ "message_id": "m5", "body": "none" })).await;
    assert_eq!(outcome.good()["body"], Value::Null);
    program.end().await;
}

#[tokio::test]
async fn a_text_that_is_its_own_request_is_fetched() {
    let google = Google::start().await;
    let program = google.program(&[]).await;
    let mut message = full("m2");
    message["payload"]["parts"][0]["parts"][0]["body"] = json!({ "size": 6, "attachmentId": "A-txt" });
    google.service.next(&format!("GET {BOX}/messages/m2"), Answer::json(200, &message));
    let outcome = program.call("get_message", json!({ "message_id": "m2" })).await;
    assert_eq!(outcome.good()["body"]["text"], "Grüße!");
    message["payload"]["parts"][0]["parts"][0]["body"] = json!({ "size": 6, "data": "no base64!" });
    google.service.next(&format!("GET {BOX}/messages/m2"), Answer::json(200, &message));
    let outcome = program.call("get_message", json!({ "message_id": "m2" })).await;
    assert_eq!(outcome.code(), "unexpected_answer");
    program.end().await;
}

#[tokio::test]
async fn a_message_is_read_from_its_source() {
    let google = Google::start().await;
    let program = google.program(&[]).await;
    let outcome = program.call("get_message", json!({ "message_id": "m1", "from_source": true })).await;
    let told = outcome.good();
    assert_eq!((&told["subject"], &told["body"]["text"]), (&json!("Grüße"), &json!("schön")));
    assert_eq!((&told["from"], &told["id"]), (&json!("Ann <ann@example.org>"), &json!("m1")));
    assert_eq!(told["attachments"][0]["name"], "a.pdf");
    assert_eq!(told["attachments"][0]["size"], 3);
    google
        .service
        .next(&format!("GET {BOX}/messages/m1"), Answer::json(200, &json!({ "id": "m1", "raw": "!" })));
    let outcome = program.call("get_message", json!({ "message_id": "m1", "from_source": true })).await;
    assert_eq!(outcome.code(), "unexpected_answer");
    program.end().await;
}

#[tokio::test]
async fn a_thread_is_read_from_its_end_in_parts() {
    let google = Google::start().await;
    let program = google.program(&[]).await;
    let messages: Vec<Value> = (0..5).map(|number| full(&format!("m{number}"))).collect();
    let thread = json!({ "id": "t1", "messages": messages });
    let mut ids = Vec::new();
    let mut arguments = json!({ "thread_id": "t1", "limit": 2, "max_chars": 3 });
    loop {
        google.service.next(&format!("GET {BOX}/threads/t1"), Answer::json(200, &thread));
        let outcome = program.call("get_thread", arguments.clone()).await;
        let told = outcome.good();
        assert_eq!(told["messages"][0]["body"]["text"], "Grü");
        let page = told["messages"].as_array().unwrap().iter().rev().map(|message| message["id"].to_string());
        ids.extend(page);
        let Some(skip) = told["next_skip"].as_u64() else { break };
        arguments["skip"] = skip.into();
    }
    assert_eq!(ids, ["\"m4\"", "\"m3\"", "\"m2\"", "\"m1\"", "\"m0\""]);
    google.service.next(&format!("GET {BOX}/threads/t1"), Answer::json(200, &thread));
    let outcome = program.call("get_thread", json!({ "thread_id": "t1", "skip": 99 })).await;
    assert_eq!(outcome.good()["messages"], json!([]));
    program.end().await;
}

#[tokio::test]
async fn changes_that_are_too_old_are_told_with_what_to_do() {
    let google = Google::start().await;
    let program = google.program(&[]).await;
    let refused = error(404, "notFound", "Requested entity was not found.");
    google.service.next(&format!("GET {BOX}/history"), Answer::json(404, &refused));
    let outcome = program.call("list_history", json!({ "since_history_id": "1" })).await;
    assert!(outcome.code() == "not_found" && outcome.text.contains("get_profile"), "{}", outcome.text);
    program.end().await;
}
