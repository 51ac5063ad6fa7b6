//! What access URLs say to whoever may not use them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::stage::{NOBODY, Stage};

/// A wrong token and an unknown instance are one answer.
pub(crate) async fn tell_nothing(stage: &Stage, mine: &Value) {
    let app = &stage.app;
    let id = mine["id"].as_str().expect("an id");
    let theirs = app.launch(json!({"type": "plain"})).await;
    let other = theirs["access_token"].as_str().expect("a token");
    let mut bodies = BTreeSet::new();
    for id in [id, NOBODY, "x", "%00", "%ff", "' or 1=1 --"] {
        for token in ["rsi_wrong", other, &app.key, "", "' or 1=1 --"] {
            for method in ["POST", "GET", "DELETE"] {
                let request = app.request(method, &format!("/i/{id}/mcp")).bearer_auth(token).body("{}");
                let response = request.send().await.expect("an answer");
                assert_eq!(response.status(), 401, "{method} {id} {token}");
                assert!(response.headers().contains_key("www-authenticate"));
                let mut body: Value = response.json().await.expect("a body");
                // Every request has these of its own.
                for own in ["request_id", "timestamp"] {
                    assert!(body["error"][own].take().is_string(), "{own}: {body}");
                }
                bodies.insert(body.to_string());
            }
        }
    }
    assert_eq!(bodies.len(), 1, "they can be told apart: {bodies:?}");
    let url = mine["access_url"].as_str().expect("a URL");
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let token = mine["access_token"].as_str().expect("a token");
    assert_ne!(app.mcp(url, token, None, ping).await.status, 401, "the right token opens it");
}
