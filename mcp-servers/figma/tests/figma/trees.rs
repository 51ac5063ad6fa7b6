//! Trees in parts, and trees that are too large.

use roadstead_server_stage::Answer;
use serde_json::{Value, json};

use crate::figma;

fn frames(count: usize) -> Value {
    let frame = |number: usize| {
        json!({ "id": format!("2:{number}"), "name": format!("Frame {number}"), "type": "FRAME", "fills": "x".repeat(200),
                "children": [{ "id": format!("3:{number}"), "name": "Text", "type": "TEXT", "characters": "x".repeat(100) }] })
    };
    let frames: Vec<Value> = (0..count).map(frame).collect();
    json!({ "name": "Large", "version": "5", "role": "viewer", "document": { "id": "0:0", "name": "D", "type": "DOCUMENT", "children": frames } })
}

#[tokio::test]
async fn an_outline_is_read_part_by_part_of_one_version() {
    let service = figma::service().await;
    let program = figma::program(&service, &[]).await;
    let mut arguments = json!({ "file": "KEY", "depth": 0, "limit": 100 });
    let mut ids = Vec::new();
    let mut parts = 0;
    loop {
        service.next("GET /v1/files/KEY", Answer::json(200, &frames(120)));
        let outcome = program.call("get_file", arguments.clone()).await;
        let told = outcome.good();
        assert_eq!(told["total"], 241);
        ids.extend(told["outline"].as_array().unwrap().iter().map(|node| node["id"].to_string()));
        parts += 1;
        let Some(cursor) = told["next_cursor"].as_str() else { break };
        arguments["cursor"] = cursor.into();
    }
    assert_eq!((parts, ids.len()), (3, 241));
    let seen = service.take_seen();
    assert_eq!(seen[0].parameter("version"), None);
    assert_eq!(seen[1].parameter("version"), Some("5"), "the later parts are of the first one's version");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 241, "nothing twice");
    program.end().await;
}

#[tokio::test]
async fn a_whole_tree_is_cut_to_its_size_and_says_where() {
    let service = figma::service().await;
    let program = figma::program(&service, &[]).await;
    service.next("GET /v1/files/KEY", Answer::json(200, &frames(100)));
    let arguments = json!({ "file": "KEY", "depth": 0, "detail": "full", "max_bytes": 30_000 });
    let outcome = program.call("get_file", arguments).await;
    let told = outcome.good();
    assert_eq!(told["cut_nodes"], 100);
    assert_eq!(told["nodes"][0]["document"]["children"][7]["childrenLeftOut"], 1);
    assert!(told.to_string().len() < 36_000);
    service.next("GET /v1/files/KEY", Answer::json(200, &frames(100)));
    let outcome = program
        .call("get_file", json!({ "file": "KEY", "depth": 0, "detail": "full", "max_bytes": 1000 }))
        .await;
    assert_eq!(outcome.good()["nodes"][0]["document"]["childrenLeftOut"], 100);
    let wide = json!({ "version": "5", "name": "W", "document": { "id": "0:0", "name": "x".repeat(2000) } });
    service.next("GET /v1/files/KEY", Answer::json(200, &wide));
    let outcome =
        program.call("get_file", json!({ "file": "KEY", "detail": "full", "max_bytes": 1000 })).await;
    assert_eq!(outcome.code(), "too_large");
    assert!(outcome.text.contains("max_bytes"), "{}", outcome.text);
    program.end().await;
}

#[tokio::test]
async fn a_tree_that_is_too_deep_or_too_large_to_read_says_what_to_ask_instead() {
    let service = figma::service().await;
    let program = figma::program(&service, &[]).await;
    let deep = format!("{{\"document\":{}{}}}", "{\"children\":[".repeat(200), "]}".repeat(200));
    service.next("GET /v1/files/KEY", Answer::Whole(200, Vec::new(), deep));
    let outcome = program.call("get_file", json!({ "file": "KEY" })).await;
    assert_eq!(outcome.code(), "unexpected_answer");
    assert!(outcome.text.contains("`depth`"), "{}", outcome.text);
    let huge = format!("{{\"name\":\"{}\"}}", "x".repeat(12 * 1024 * 1024 + 10));
    service.next("GET /v1/files/KEY", Answer::Whole(200, Vec::new(), huge));
    let outcome = program.call("get_file", json!({ "file": "KEY", "detail": "full" })).await;
    assert_eq!(outcome.code(), "too_large");
    assert!(outcome.text.contains("`depth`"), "{}", outcome.text);
    program.end().await;
}

#[tokio::test]
async fn arguments_of_one_kind_of_answer_do_not_go_with_the_other() {
    let service = figma::service().await;
    let program = figma::program(&service, &[]).await;
    for arguments in [
        json!({ "file": "KEY", "detail": "full", "types": ["TEXT"] }),
        json!({ "file": "KEY", "detail": "full", "cursor": "1.2" }),
        json!({ "file": "KEY", "max_bytes": 5000 }),
        json!({ "file": "KEY", "detail": "full", "max_bytes": 5 }),
        json!({ "file": "KEY", "limit": 1001 }),
        json!({ "file": "KEY", "cursor": "nonsense" }),
        json!({ "file": "KEY", "version": "a/b" }),
    ] {
        let outcome = program.call("get_file", arguments.clone()).await;
        assert_eq!(outcome.code(), "invalid_input", "{arguments}");
    }
    assert_eq!(service.count(), 0);
    program.end().await;
}
