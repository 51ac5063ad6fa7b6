//! Every tool, once as it should be and several times as it should not.

use roadstead_server_stage::{Case, hold_all};
use serde_json::{Value, json};

use crate::figma;

type Says = Vec<(&'static str, Value)>;

fn reads(tool: &'static str, arguments: Value, asks: &'static str, says: Says, wrong: Value) -> Case {
    let wrong = Some(wrong).filter(|wrong| *wrong != Value::Null);
    Case { tool, arguments, asks, sends: Value::Null, says, wrong }
}

fn file(more: &Value) -> Value {
    let mut arguments = json!({ "file": "https://www.figma.com/design/KEY/Shop" });
    for (name, value) in more.as_object().into_iter().flatten() {
        arguments[name] = value.clone();
    }
    arguments
}

fn of_files() -> Vec<Case> {
    let bad_file = json!({ "file": "not a key" });
    vec![
        reads("get_me", json!({}), "GET /v1/me", vec![("/email", json!("ann@example.com"))], Value::Null),
        reads(
            "get_file",
            file(&json!({ "contains": "WELCOME" })),
            "GET /v1/files/KEY?depth=2",
            vec![("/name", json!("Shop")), ("/outline/0/id", json!("1:2")), ("/total", json!(1))],
            bad_file.clone(),
        ),
        reads(
            "get_nodes",
            file(&json!({ "nodes": ["1-1", "8:8"], "detail": "full" })),
            "GET /v1/files/KEY/nodes?ids=1:1,8:8",
            vec![
                ("/nodes/0/document/children/0/characters", json!("Welcome")),
                ("/nodes/0/document/fillGeometry", Value::Null),
                ("/missing", json!(["8:8"])),
                ("/cut_nodes", json!(0)),
            ],
            json!({ "file": "KEY", "nodes": ["one"] }),
        ),
        reads(
            "get_file_info",
            file(&Value::Null),
            "GET /v1/files/KEY/meta",
            vec![("/folder_name", json!("Web")), ("/editor_type", json!("figma"))],
            bad_file.clone(),
        ),
    ]
}

fn of_contents() -> Vec<Case> {
    let bad_file = json!({ "file": "not a key" });
    vec![
        reads(
            "render_images",
            file(&json!({ "nodes": ["1:1", "8:8"], "format": "svg", "svg_keep_text": true, "scale": 2.0 })),
            "GET /v1/images/KEY?ids=1:1,8:8&format=svg&scale=2&svg_outline_text=false",
            vec![("/images/0/url", json!("https://s3.example.com/card.png")), ("/failed", json!(["8:8"]))],
            json!({ "file": "KEY", "nodes": ["1:1"], "scale": 5.0 }),
        ),
        reads(
            "get_image_fills",
            file(&json!({ "limit": 1 })),
            "GET /v1/files/KEY/images",
            vec![("/items/0/image_ref", json!("abc")), ("/total", json!(2)), ("/next_cursor", json!("1"))],
            json!({ "file": "KEY", "cursor": "x" }),
        ),
        reads(
            "list_versions",
            file(&json!({ "limit": 1, "cursor": "88" })),
            "GET /v1/files/KEY/versions?page_size=1&before=88",
            vec![("/items/0/label", json!("Final")), ("/next_cursor", json!("77"))],
            json!({ "file": "KEY", "limit": 0 }),
        ),
        reads(
            "get_local_variables",
            file(&json!({ "collection": "colours", "contains": "BRA" })),
            "GET /v1/files/KEY/variables/local",
            vec![
                ("/variables/items/0/name", json!("brand")),
                ("/variables/items/0/values_by_mode/1:0/r", json!(1.0)),
                ("/variables/total", json!(1)),
                ("/collections/0/modes/1/name", json!("Dark")),
            ],
            json!({ "file": "KEY", "limit": 0 }),
        ),
        reads(
            "get_published_variables",
            file(&Value::Null),
            "GET /v1/files/KEY/variables/published",
            vec![("/variables/items/0/resolved_type", json!("COLOR")), ("/collections/0/id", json!("VC:1"))],
            bad_file,
        ),
        reads(
            "list_team_projects",
            json!({ "team": "https://www.figma.com/files/team/42/Team", "limit": 1 }),
            "GET /v1/teams/42/projects",
            vec![("/name", json!("Team")), ("/items/0/name", json!("Web")), ("/next_cursor", json!("1"))],
            json!({ "team": "my team" }),
        ),
        reads(
            "list_project_files",
            json!({ "project": "1", "branches": true }),
            "GET /v1/projects/1/files?branch_data=true",
            vec![
                ("/items/0/key", json!("KEY")),
                ("/items/0/branches/0/name", json!("Try")),
                ("/total", json!(1)),
            ],
            json!({ "project": "../1" }),
        ),
    ]
}

fn of_libraries() -> Vec<Case> {
    let mut cases = Vec::new();
    for (kind, of_file, of_team, one) in [
        ("components", "list_file_components", "list_team_components", "get_component"),
        ("component_sets", "list_file_component_sets", "list_team_component_sets", "get_component_set"),
        ("styles", "list_file_styles", "list_team_styles", "get_style"),
    ] {
        let (key, name, cursor) = match kind {
            "components" => ("c1", "Button", json!("5")),
            "component_sets" => ("c1", "Button", Value::Null),
            _ => ("s1", "Brand", json!("9")),
        };
        let line = |path: String| -> &'static str { Box::leak(format!("GET /v1/{path}").into_boxed_str()) };
        cases.push(reads(
            of_file,
            file(&Value::Null),
            line(format!("files/KEY/{kind}")),
            vec![("/items/0/name", json!(name)), ("/total", json!(1))],
            json!({ "file": "KEY", "limit": 501 }),
        ));
        cases.push(reads(
            of_team,
            json!({ "team": "42", "limit": 1, "cursor": "3" }),
            line(format!("teams/42/{kind}?page_size=1&after=3")),
            vec![("/items/0/key", json!(key)), ("/next_cursor", cursor)],
            json!({ "team": "42", "cursor": "x" }),
        ));
        cases.push(reads(
            one,
            json!({ "key": key }),
            line(format!("{kind}/{key}")),
            vec![("/name", json!(name)), ("/user/handle", json!("Ann"))],
            json!({ "key": "a/b" }),
        ));
    }
    cases
}

fn of_comments() -> Vec<Case> {
    let heart = file(&json!({ "comment": "c9", "emoji": ":heart:" }));
    let no_emoji = json!({ "file": "KEY", "comment": "c9", "emoji": "heart" });
    let writes = |case: Case, sends: Value| Case { sends, ..case };
    vec![
        reads(
            "list_comments",
            file(&json!({ "unresolved_only": true, "as_markdown": true })),
            "GET /v1/files/KEY/comments?as_md=true",
            vec![
                ("/total", json!(1)),
                ("/items/0/message", json!("Larger, please")),
                ("/items/0/parent_id", Value::Null),
                ("/items/0/client_meta/node_id", json!("1:2")),
            ],
            json!({ "file": "KEY", "limit": 0 }),
        ),
        writes(
            reads(
                "add_comment",
                file(&json!({ "message": "Larger", "node": "1-2", "at": { "x": 3.0, "y": 4.0 } })),
                "POST /v1/files/KEY/comments",
                vec![("/id", json!("c9")), ("/order_id", json!("1"))],
                json!({ "file": "KEY", "message": " " }),
            ),
            json!({ "message": "Larger", "client_meta": { "node_id": "1:2", "node_offset": { "x": 3.0, "y": 4.0 } } }),
        ),
        reads(
            "delete_comment",
            file(&json!({ "comment": "c9" })),
            "DELETE /v1/files/KEY/comments/c9",
            vec![("/done", json!("The comment c9 is deleted."))],
            json!({ "file": "KEY", "comment": ".." }),
        ),
        reads(
            "list_comment_reactions",
            file(&json!({ "comment": "c9", "cursor": "n1" })),
            "GET /v1/files/KEY/comments/c9/reactions?cursor=n1",
            vec![("/items/0/emoji", json!(":heart:")), ("/next_cursor", json!("n2"))],
            json!({ "file": "KEY", "comment": "a b" }),
        ),
        writes(
            reads(
                "add_comment_reaction",
                heart.clone(),
                "POST /v1/files/KEY/comments/c9/reactions",
                vec![],
                no_emoji.clone(),
            ),
            json!({ "emoji": ":heart:" }),
        ),
        reads(
            "delete_comment_reaction",
            heart,
            "DELETE /v1/files/KEY/comments/c9/reactions?emoji=:heart:",
            vec![],
            no_emoji,
        ),
    ]
}

fn of_dev_resources() -> Vec<Case> {
    let writes = |case: Case, sends: Value| Case { sends, ..case };
    let link = json!({ "file": "KEY", "node": "1:2", "name": "Code", "url": "https://example.com/code" });
    vec![
        reads(
            "list_dev_resources",
            file(&json!({ "nodes": ["1-2"] })),
            "GET /v1/files/KEY/dev_resources?node_ids=1:2",
            vec![("/items/0/url", json!("https://example.com/code"))],
            json!({ "file": "KEY", "nodes": ["a,b"] }),
        ),
        writes(
            reads(
                "create_dev_resources",
                json!({ "links": [link] }),
                "POST /v1/dev_resources",
                vec![("/links/0/id", json!("r1")), ("/errors/0/error", json!("Node not found"))],
                json!({ "links": [{ "file": "KEY", "node": "1:2", "name": "Code", "url": "javascript:alert(1)" }] }),
            ),
            json!({ "dev_resources": [
                { "file_key": "KEY", "node_id": "1:2", "name": "Code", "url": "https://example.com/code" },
            ] }),
        ),
        writes(
            reads(
                "update_dev_resources",
                json!({ "links": [{ "id": "r1", "name": "New" }] }),
                "PUT /v1/dev_resources",
                vec![("/links/0/id", json!("r1"))],
                json!({ "links": [{ "id": "r1" }] }),
            ),
            json!({ "dev_resources": [{ "id": "r1", "name": "New" }] }),
        ),
        reads(
            "delete_dev_resource",
            file(&json!({ "id": "r1" })),
            "DELETE /v1/files/KEY/dev_resources/r1",
            vec![("/done", json!("The dev resource r1 is deleted."))],
            json!({ "file": "KEY", "id": "" }),
        ),
    ]
}

#[tokio::test]
async fn every_tool_does_its_work_and_says_why_it_cannot() {
    let service = figma::service().await;
    let program = figma::program(&service, &[]).await;
    let cases = [of_files(), of_contents(), of_libraries(), of_comments(), of_dev_resources()].concat();
    hold_all(&program, &service, &cases).await;
    let said = program.end().await;
    assert!(said.contains("failed with 404") && !said.contains("canary"), "{said}");
}

#[tokio::test]
async fn a_server_that_only_reads_offers_nothing_else() {
    let service = figma::service().await;
    let program = figma::program(&service, &["--read-only"]).await;
    let tools = program.tools().await;
    assert_eq!(tools.len(), 23);
    for tool in tools {
        assert_eq!(tool.annotations.unwrap().read_only_hint, Some(true), "{}", tool.name);
    }
    let refused = program.try_call("add_comment", json!({ "file": "KEY", "message": "x" })).await;
    assert!(refused.is_err() && service.count() == 0);
    program.end().await;
}
