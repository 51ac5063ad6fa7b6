//! API keys: from where and how often they open anything, how one takes the place of another, and what they were used for.

use std::time::Duration;

use roadstead_test_support::app::{Answer, App};
use roadstead_test_support::poll::wait_for;
use roadstead_test_support::rows::Rows;
use serde_json::{Value, json};

/// How long anything here may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
/// Services share the ports of the machine: one of them runs at a time.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
/// Seconds of a day, and the one more that is waited.
const DAY: u64 = 86_401;

/// A key with some fields beside a name and scopes.
async fn made(app: &App, fields: Value) -> Value {
    let mut body = json!({"name": "test", "scopes": ["types:read", "instances:read", "api-keys:read"]});
    let more = fields.as_object().expect("fields").clone();
    body.as_object_mut().expect("an object").extend(more);
    let answer = app.ask("POST", "/api-keys", Some(body)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.body
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn path(key: &Value) -> String {
    format!("/api-keys/{}", text(&key["id"]))
}

#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.body["error"]["code"].as_str()), (status, Some(code)), "{answer:?}");
}

async fn use_it(app: &App, key: &Value) -> Answer {
    app.ask_as(text(&key["key"]), "GET", "/types", None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_opens_nothing_from_elsewhere_than_its_networks() {
    let _alone = ALONE.lock().await;
    let app = App::start().await;
    let networks = json!({"allowed_ips": ["192.0.2.0/24", "2001:db8::/32", "::1"]});
    let key = made(&app, networks).await;
    assert_eq!(key["allowed_ips"], json!(["192.0.2.0/24", "2001:db8::/32", "::1/128"]));
    refused(&use_it(&app, &key).await, 403, "ADDRESS_NOT_ALLOWED");
    let here = json!({"allowed_ips": ["127.0.0.0/8", "::1"]});
    let patched = app.ask("PATCH", &path(&key), Some(here)).await;
    assert_eq!((patched.status, patched.headers["etag"].to_str().unwrap()), (200, "\"2\""), "{patched:?}");
    assert_eq!(use_it(&app, &key).await.status, 200);
    let usage = wait_for("the refusal to be counted", PATIENCE, async || {
        let usage = app.ask("GET", &format!("{}/usage", path(&key)), None).await.body;
        (usage["days"][0]["refused"] == 1 && usage["days"][0]["requests"] == 1).then_some(usage)
    })
    .await;
    assert_eq!(usage["days"][0]["operations"], json!(["types_list"]));
    for wrong in ["10.0.0.1/8", "300.1.1.1", "2001:db8::/129", ""] {
        let body = json!({"allowed_ips": ["127.0.0.1", wrong]});
        let answer = app.ask("PATCH", &path(&key), Some(body)).await;
        refused(&answer, 422, "VALIDATION_FAILED");
        assert_eq!(answer.body["error"]["details"][0]["field"], "allowed_ips[1]", "{wrong}");
    }
    let stale = app.request("PATCH", &path(&key)).header("if-match", "\"1\"").bearer_auth(&app.key);
    let stale = stale.json(&json!({"name": "late"})).send().await.unwrap();
    assert_eq!(stale.status(), 412);
    app.interrupt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_let_in_exactly_as_often_as_its_day_permits() {
    let _alone = ALONE.lock().await;
    let app = App::start().await;
    let key = made(&app, json!({"daily_limit": 5, "monthly_limit": 1000})).await;
    for _ in 0..5 {
        assert_eq!(use_it(&app, &key).await.status, 200);
    }
    let late = use_it(&app, &key).await;
    refused(&late, 429, "KEY_LIMIT_REACHED");
    let wait: u64 = late.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=DAY).contains(&wait), "{wait}");
    // The count outlives the process: it is in the rows as soon as it is written down.
    let days = format!("{}/usage", path(&key));
    wait_for("the uses to be written down", PATIENCE, async || {
        let days = app.ask("GET", &days, None).await.body;
        (days["days"][0]["requests"] == 5 && days["days"][0]["refused"] == 1).then_some(())
    })
    .await;
    refused(&use_it(&app, &key).await, 429, "KEY_LIMIT_REACHED");
    assert_eq!(app.ask("PATCH", &path(&key), Some(json!({"daily_limit": null}))).await.status, 200);
    assert_eq!(use_it(&app, &key).await.status, 200);
    let wrong =
        app.ask("PATCH", &path(&key), Some(json!({"daily_limit": 0, "requests_per_minute": -1}))).await;
    refused(&wrong, 422, "VALIDATION_FAILED");
    app.interrupt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_has_everything_of_the_old_one_which_has_its_grace() {
    let _alone = ALONE.lock().await;
    let app = App::start().await;
    let settings = json!({"allowed_ips": ["127.0.0.0/8"], "requests_per_minute": 500, "daily_limit": 400,
        "monthly_limit": 4000, "expires_in": "30d"});
    let old = made(&app, settings).await;
    let rotate = format!("{}/rotate", path(&old));
    let wrong = app.ask("POST", &rotate, Some(json!({"grace": "8d"}))).await;
    refused(&wrong, 422, "VALIDATION_FAILED");
    let new = app.ask("POST", &rotate, Some(json!({"grace": "1h"}))).await;
    assert_eq!(new.status, 201, "{new:?}");
    let new = new.body;
    for field in [
        "name",
        "scopes",
        "allowed_ips",
        "requests_per_minute",
        "daily_limit",
        "monthly_limit",
        "expires_at",
        "user_id",
        "organization_id",
        "project_id",
    ] {
        assert_eq!(new[field], old[field], "{field}");
    }
    assert_eq!(new["rotated_from"], old["id"]);
    assert_ne!(new["key"], old["key"]);
    assert_eq!((use_it(&app, &old).await.status, use_it(&app, &new).await.status), (200, 200));
    refused(&app.ask("POST", &rotate, None).await, 404, "NOT_FOUND");
    let mut rows = Rows::of_owner(app.data()).await;
    let id = text(&old["id"]);
    let over = format!("update api_keys set grace_until = now() - interval '1 second' where id = '{id}'");
    assert_eq!(rows.execute(&over).await, 1);
    rows.close().await;
    app.look_again().await;
    refused(&use_it(&app, &old).await, 401, "API_KEY_NOT_ACTIVE");
    let again = app.ask("POST", &format!("{}/rotate", path(&new)), None).await;
    assert_eq!(again.status, 201, "{again:?}");
    refused(&use_it(&app, &new).await, 401, "API_KEY_NOT_ACTIVE");
    assert_eq!(use_it(&app, &again.body).await.status, 200);
    let shown = app.ask("GET", &path(&again.body), None).await.body;
    assert!(shown.get("key").is_none(), "it is shown once");
    app.interrupt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_revoked_a_key_and_why_is_kept_and_nobody_else_may() {
    let _alone = ALONE.lock().await;
    let app = App::start().await;
    let me = app.ask("GET", "/me", None).await.body["user"]["id"].clone();
    let user = json!({"email": "bob@example.org", "name": "Bob"});
    let bob = app.ask("POST", "/users", Some(user)).await.body["id"].clone();
    let scopes = json!(["api-keys:read", "api-keys:write"]);
    let theirs = made(&app, json!({"user_id": bob, "scopes": scopes})).await;
    let mine = made(&app, json!({})).await;
    let bobs = text(&theirs["key"]);
    for (method, tail, body) in [
        ("GET", "", None),
        ("GET", "/usage", None),
        ("DELETE", "", None),
        ("PATCH", "", Some(json!({"name": "x"}))),
    ] {
        let answer = app.ask_as(bobs, method, &format!("{}{tail}", path(&mine)), body).await;
        refused(&answer, 404, "NOT_FOUND");
    }
    let seen = app.ask_as(bobs, "GET", "/api-keys?active=true", None).await.body;
    assert_eq!(seen["data"].as_array().unwrap().len(), 1, "{seen}");
    let project = json!({"name": "x", "scopes": ["api-keys:read"], "project_id": mine["project_id"]});
    refused(&app.ask_as(bobs, "POST", "/api-keys", Some(project)).await, 404, "NOT_FOUND");
    let gone = app.ask("DELETE", &format!("{}?reason=left", path(&theirs)), None).await;
    assert_eq!(gone.status, 204, "{gone:?}");
    let row = app.ask("GET", &path(&theirs), None).await.body;
    assert_eq!(
        (&row["is_active"], &row["revoke_reason"], &row["revoked_by"]),
        (&json!(false), &json!("left"), &me)
    );
    refused(&app.ask_as(bobs, "GET", "/api-keys", None).await, 401, "API_KEY_NOT_ACTIVE");
    let mut rows = Rows::of(app.data()).await;
    let id = text(&theirs["id"]);
    let told = format!("select action from audit_logs where resource_id = '{id}' order by seq");
    assert_eq!(rows.texts(&told).await, ["api_key.create", "api_key.revoke"]);
    rows.close().await;
    app.interrupt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_use_is_counted_once_and_the_key_itself_is_told_nowhere() {
    let _alone = ALONE.lock().await;
    let app = App::start().await;
    let key = made(&app, json!({})).await;
    let secret = text(&key["key"]);
    for _ in 0..7 {
        assert_eq!(use_it(&app, &key).await.status, 200);
    }
    for _ in 0..2 {
        let missing = app.ask_as(secret, "GET", "/types/missing", None).await;
        assert_eq!(missing.status, 404);
    }
    let usage = format!("{}/usage", path(&key));
    let day = wait_for("the uses to be counted", PATIENCE, async || {
        let found = app.ask("GET", &usage, None).await.body;
        (found["days"][0]["requests"] == 9).then(|| found["days"][0].clone())
    })
    .await;
    assert_eq!((&day["errors"], &day["refused"]), (&json!(2), &json!(0)));
    assert_eq!(day["operations"], json!(["types_list", "types_get"]));
    let first = app.ask("GET", &format!("{usage}?detail=true&limit=5"), None).await.body;
    let next = text(&first["next_cursor"]);
    let second = app.ask("GET", &format!("{usage}?detail=true&limit=5&cursor={next}"), None).await.body;
    let count = |page: &Value| page["requests"].as_array().unwrap().len();
    assert_eq!((count(&first), count(&second), &second["next_cursor"]), (5, 4, &Value::Null));
    assert_eq!(
        (&first["requests"][0]["operation"], &first["requests"][0]["status"]),
        (&json!("types_get"), &json!(404))
    );
    assert_eq!(first["requests"][0]["ip_address"], "127.0.0.1");
    let listed = app.ask("GET", "/api-keys?totals=true", None).await.body;
    let row = listed["data"].as_array().unwrap().iter().find(|row| row["id"] == key["id"]).unwrap().clone();
    assert_eq!((&row["usage_count"], &row["totals"]["requests"]), (&json!(9), &json!(9)));
    let told = format!("{listed}{first}{second}{}", app.log());
    assert!(!told.contains(secret) && !told.contains(&app.key), "a key was told");
    let (_, data) = app.interrupt().await;
    let log = std::fs::read_to_string(data.path().join("test.log")).unwrap();
    assert!(!log.contains(secret));
}
