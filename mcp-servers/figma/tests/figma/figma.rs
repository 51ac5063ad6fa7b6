//! Figma as its documentation describes it, with one file in it.

use roadstead_server_stage::{Answer, Launch, Program, Seen, Service};
use serde_json::{Value, json};

/// The token of the tests: nobody may ever read it.
pub const TOKEN: &str = "figd_canary-0123456789abcdef";

pub async fn service() -> Service {
    Service::start(routes).await
}

/// A program with the token, in front of a service.
pub async fn program(service: &Service, arguments: &[&str]) -> Program {
    Program::start(&launch(&service.url(""), arguments)).await
}

pub fn launch(url: &str, arguments: &[&str]) -> Launch {
    let mut all = vec!["--api-url".to_owned(), url.to_owned(), "--retry-wait-ms".to_owned(), "1".to_owned()];
    all.extend(arguments.iter().map(|&argument| argument.to_owned()));
    Launch {
        program: env!("CARGO_BIN_EXE_roadstead-figma").into(),
        arguments: all,
        environment: vec![("FIGMA_TOKEN".to_owned(), TOKEN.to_owned())],
        folder: None,
    }
}

fn user() -> Value {
    json!({ "id": "11", "handle": "Ann", "img_url": "https://s3.example.com/ann" })
}

/// What Figma answers. Whoever comes without the token is sent away.
#[expect(clippy::too_many_lines, reason = "one line or two for each address of the API")]
fn routes(seen: &Seen) -> Answer {
    if seen.headers.get("x-figma-token").map(String::as_str) != Some(TOKEN) {
        return Answer::json(403, &json!({ "status": 403, "err": "Invalid token" }));
    }
    let component = json!({
        "key": "c1", "file_key": "KEY", "node_id": "1:3", "thumbnail_url": "https://s3.example.com/t", "name": "Button",
        "description": "Click me", "created_at": "2025-01-01T00:00:00Z", "updated_at": "2025-02-01T00:00:00Z", "user": user(),
        "containing_frame": { "nodeId": "1:1", "name": "Card", "pageId": "0:1", "pageName": "Page", "backgroundColor": "#fff" },
    });
    let style = json!({
        "key": "s1", "file_key": "KEY", "node_id": "5:5", "style_type": "FILL", "thumbnail_url": "https://s3.example.com/t",
        "name": "Brand", "description": "", "updated_at": "2025-02-01T00:00:00Z", "created_at": "2025-02-01T00:00:00Z",
        "sort_position": "1", "user": user(),
    });
    let comment = json!({
        "id": "c9", "uuid": "", "file_key": "KEY", "parent_id": "", "user": user(), "created_at": "2025-02-01T00:00:00Z",
        "resolved_at": null, "message": "Larger, please", "client_meta": { "node_id": "1:2", "node_offset": { "x": 1, "y": 2 } },
        "order_id": "1", "reactions": [],
    });
    let resolved = json!({ "id": "c8", "parent_id": "", "resolved_at": "2025-02-02T00:00:00Z", "message": "Done", "order_id": 2 });
    let answer = json!({ "id": "c7", "parent_id": "c8", "resolved_at": null, "message": "Thanks" });
    let resource = json!({ "id": "r1", "name": "Code", "url": "https://example.com/code", "file_key": "KEY", "node_id": "1:2" });
    let body = match seen.line().as_str() {
        "GET /v1/me" => {
            json!({ "id": "11", "handle": "Ann", "img_url": "https://s3.example.com/ann", "email": "ann@example.com" })
        }
        "GET /v1/files/KEY" => json!({
            "name": "Shop", "role": "owner", "lastModified": "2025-02-01T00:00:00Z", "editorType": "figma",
            "thumbnailUrl": "https://s3.example.com/t", "version": "77", "schemaVersion": 0, "document": document(),
            "components": { "9:9": { "key": "c1", "name": "Button", "description": "" } }, "componentSets": {}, "styles": {},
        }),
        "GET /v1/files/KEY/nodes" => json!({
            "name": "Shop", "lastModified": "2025-02-01T00:00:00Z", "version": "77", "role": "owner", "editorType": "figma",
            "nodes": { "1:1": { "document": card(), "components": {}, "styles": {} }, "8:8": null },
        }),
        "GET /v1/files/KEY/meta" => json!({ "file": {
            "name": "Shop", "folder_name": "Web", "last_touched_at": "2025-02-01T00:00:00Z", "creator": user(),
            "last_touched_by": user(), "thumbnail_url": "https://s3.example.com/t", "editorType": "figma", "role": "owner",
            "link_access": "view", "url": "https://www.figma.com/design/KEY/Shop", "version": "77",
        } }),
        "GET /v1/images/KEY" => {
            json!({ "err": null, "images": { "1:1": "https://s3.example.com/card.png", "8:8": null } })
        }
        "GET /v1/files/KEY/images" => json!({ "error": false, "status": 200, "meta": { "images": {
            "abc": "https://s3.example.com/abc", "def": "https://s3.example.com/def",
        } } }),
        "GET /v1/files/KEY/components" | "GET /v1/teams/42/components" => {
            meta(&json!({ "components": [component], "cursor": { "after": 5, "before": 1 } }))
        }
        "GET /v1/files/KEY/component_sets" | "GET /v1/teams/42/component_sets" => {
            meta(&json!({ "component_sets": [component] }))
        }
        "GET /v1/components/c1" | "GET /v1/component_sets/c1" => meta(&component),
        "GET /v1/files/KEY/styles" | "GET /v1/teams/42/styles" => {
            meta(&json!({ "styles": [style], "cursor": { "after": 9 } }))
        }
        "GET /v1/styles/s1" => meta(&style),
        "GET /v1/files/KEY/comments" => json!({ "comments": [comment, resolved, answer] }),
        "POST /v1/files/KEY/comments" => comment,
        "DELETE /v1/files/KEY/comments/c9" | "DELETE /v1/files/KEY/comments/c9/reactions" => {
            json!({ "status": 200, "error": false, "i18n": null })
        }
        "DELETE /v1/files/KEY/dev_resources/r1" | "POST /v1/files/KEY/comments/c9/reactions" => {
            json!({ "status": 200, "error": false })
        }
        "GET /v1/files/KEY/comments/c9/reactions" => json!({
            "reactions": [{ "user": user(), "emoji": ":heart:", "created_at": "2025-02-01T00:00:00Z" }],
            "pagination": { "prev_page": null, "next_page": "https://api.figma.com/v1/files/KEY/comments/c9/reactions?cursor=n2" },
        }),
        "GET /v1/files/KEY/versions" => json!({
            "versions": [{ "id": "77", "created_at": "2025-02-01T00:00:00Z", "label": "Final", "description": "", "user": user(), "thumbnail_url": "https://s3.example.com/t" }],
            "pagination": { "prev_page": "https://api.figma.com/v1/files/KEY/versions?after=77", "next_page": "https://api.figma.com/v1/files/KEY/versions?page_size=1&before=77" },
        }),
        "GET /v1/files/KEY/variables/local" => meta(&variables()),
        "GET /v1/files/KEY/variables/published" => meta(&json!({
            "variables": { "V:1": { "id": "V:1", "subscribed_id": "VariableID:x", "name": "brand", "key": "k1", "variableCollectionId": "VC:1", "resolvedDataType": "COLOR", "updatedAt": "2025-02-01T00:00:00Z" } },
            "variableCollections": { "VC:1": { "id": "VC:1", "subscribed_id": "y", "name": "Colours", "key": "kc", "updatedAt": "2025-02-01T00:00:00Z" } },
        })),
        "GET /v1/teams/42/projects" => {
            json!({ "name": "Team", "projects": [{ "id": "1", "name": "Web" }, { "id": "2", "name": "App" }] })
        }
        "GET /v1/projects/1/files" => json!({ "name": "Web", "files": [{
            "key": "KEY", "name": "Shop", "thumbnail_url": "https://s3.example.com/t", "last_modified": "2025-02-01T00:00:00Z",
            "branches": [{ "key": "BR", "name": "Try", "thumbnail_url": "", "last_modified": "2025-02-01T00:00:00Z", "link_access": "view" }],
        }] }),
        "GET /v1/files/KEY/dev_resources" => json!({ "dev_resources": [resource] }),
        "POST /v1/dev_resources" => {
            json!({ "links_created": [resource], "errors": [{ "file_key": "KEY", "node_id": "9:9", "error": "Node not found" }] })
        }
        "PUT /v1/dev_resources" => json!({ "links_updated": [resource], "errors": [] }),
        _ => return Answer::json(404, &json!({ "status": 404, "err": "Not found" })),
    };
    Answer::json(200, &body)
}

fn meta(meta: &Value) -> Value {
    json!({ "status": 200, "error": false, "meta": meta })
}

fn card() -> Value {
    json!({
        "id": "1:1", "name": "Card", "type": "FRAME", "fills": [{ "type": "SOLID" }], "fillGeometry": [{ "path": "M0 0" }],
        "absoluteBoundingBox": { "x": 0.0, "y": 0.0, "width": 320.0, "height": 200.0 },
        "children": [
            { "id": "1:2", "name": "Title", "type": "TEXT", "characters": "Welcome", "style": { "fontSize": 12.0 } },
            { "id": "1:3", "name": "Buy", "type": "INSTANCE", "componentId": "9:9", "visible": false },
        ],
    })
}

fn document() -> Value {
    json!({ "id": "0:0", "name": "Document", "type": "DOCUMENT", "children": [
        { "id": "0:1", "name": "Page", "type": "CANVAS", "backgroundColor": { "r": 1.0 }, "children": [card()] },
    ] })
}

fn variables() -> Value {
    let variable = |id: &str, name: &str| {
        json!({
            "id": id, "name": name, "key": "k1", "variableCollectionId": "VC:1", "resolvedType": "COLOR",
            "valuesByMode": { "1:0": { "r": 1.0, "g": 0.0, "b": 0.0, "a": 1.0 }, "1:1": { "type": "VARIABLE_ALIAS", "id": "V:2" } },
            "remote": false, "description": "", "hiddenFromPublishing": false, "scopes": ["ALL_SCOPES"], "codeSyntax": { "WEB": "--brand" },
        })
    };
    json!({
        "variables": { "V:1": variable("V:1", "brand"), "V:2": variable("V:2", "accent") },
        "variableCollections": { "VC:1": {
            "id": "VC:1", "name": "Colours", "key": "kc", "modes": [{ "modeId": "1:0", "name": "Light" }, { "modeId": "1:1", "name": "Dark" }],
            "defaultModeId": "1:0", "remote": false, "hiddenFromPublishing": false, "variableIds": ["V:1", "V:2"],
        } },
    })
}
