//! Every change, and every refusal of one, is one entry of the audit log; no secret ever is; and the log can be taken away.

use std::time::Duration;

use roadstead_test_support::app::{Answer, App};
use roadstead_test_support::{Rows, wait_for};
use serde_json::{Value, json};

use crate::support::apart;

const PATIENCE: Duration = Duration::from_secs(30);

fn request_of(answer: &Answer) -> &str {
    answer.headers["x-request-id"].to_str().expect("a plain word")
}

async fn entries(app: &App, query: &str) -> Vec<Value> {
    let answer = app.ask("GET", &format!("/audit?limit=100&{query}"), None).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body["data"].as_array().expect("a list").clone()
}

/// Asks, and expects one entry of this action and outcome, and no other, of the request.
async fn asked(
    app: &App,
    (method, path): (&str, &str),
    body: Option<Value>,
    status: u16,
    said: (&str, &str),
) -> Value {
    let answer = app.ask(method, path, body).await;
    assert_eq!(answer.status, status, "{method} {path}: {answer:?}\n{}", app.log());
    let entries = entries(app, &format!("request={}", request_of(&answer))).await;
    assert_eq!(entries.len(), 1, "{method} {path}: {entries:?}");
    let entry = &entries[0];
    assert_eq!(
        (&entry["action"], &entry["outcome"]),
        (&json!(said.0), &json!(said.1)),
        "{method} {path}: {entry}"
    );
    assert_eq!(entry["actor_kind"], "key");
    assert!(!entry["actor_user_id"].is_null() && !entry["ip_address"].is_null(), "{entry}");
    if said.1 == "refused" {
        assert_eq!(entry["code"], answer.body["error"]["code"], "{entry}");
    }
    answer.body
}

#[tokio::test]
async fn each_change_of_an_instance_writes_exactly_one_entry() {
    let app = apart::started().await;
    let launch = json!({"type": "echo", "name": "work", "expires_in": "30m"});
    let instance = asked(&app, ("POST", "/instances"), Some(launch), 201, ("instance.launch", "done")).await;
    let id = instance["id"].as_str().expect("it has an id").to_owned();
    let path = |verb: &str| format!("/instances/{id}/{verb}");
    let done = async |verb: &str, body: Option<Value>, action: &str| {
        asked(&app, ("POST", &path(verb)), body, 200, (action, "done")).await
    };
    done("extend", Some(json!({"by": "5m"})), "instance.extend").await;
    done("rotate-token", None, "instance.rotate_token").await;
    done("revoke-token", None, "instance.revoke_token").await;
    done("restart", Some(json!({})), "instance.restart").await;
    done("stop", None, "instance.stop").await;
    done("restore", Some(json!({})), "instance.restore").await;
    done("expire", None, "instance.expire").await;
    done("renew", Some(json!({})), "instance.renew").await;
    asked(&app, ("DELETE", &format!("/instances/{id}")), None, 204, ("instance.delete", "done")).await;
    let about = entries(&app, &format!("resource=instance:{id}")).await;
    assert_eq!(about.len(), 10);
    let extended = about.iter().find(|entry| entry["action"] == "instance.extend").expect("it is there");
    assert!(extended["changes"]["expires_at"]["old"].is_number(), "{extended}");
    let rotated = about.iter().find(|entry| entry["action"] == "instance.rotate_token").expect("it is there");
    assert_eq!(rotated["changes"], json!({"access_token": {"changed": true}}));
    assert_eq!(rotated["sensitive"], true);
    let (status, _data) = app.interrupt().await;
    assert!(status.success());
}

#[tokio::test]
async fn each_change_of_credentials_and_of_the_master_key_writes_exactly_one_entry() {
    let app = apart::started().await;
    let new = json!({"type": "echo", "name": "mine", "values": {"token": "a-long-enough-value"}});
    let made = asked(&app, ("POST", "/credentials"), Some(new), 201, ("credential.create", "done")).await;
    let path = format!("/credentials/{}", made["id"].as_str().expect("an id"));
    asked(&app, ("PUT", &path), Some(json!({"name": "ours"})), 200, ("credential.replace", "done")).await;
    let values = json!({"values": {"token": "another-long-value"}});
    asked(&app, ("PUT", &path), Some(values), 200, ("credential.replace", "done")).await;
    let validate = format!("{path}/validate");
    asked(&app, ("POST", &validate), None, 422, ("credential.validate", "refused")).await;
    asked(&app, ("DELETE", &path), None, 204, ("credential.delete", "done")).await;
    asked(&app, ("DELETE", &path), None, 404, ("credential.delete", "refused")).await;

    let keys = app.ask("GET", "/master-key", None).await.body;
    let old = keys["keys"][0]["id"].as_str().expect("an id").to_owned();
    asked(&app, ("POST", "/master-key/rotations"), None, 202, ("master_key.rotate", "done")).await;
    wait_for("the rotation to end", PATIENCE, async || {
        let finished = &app.ask("GET", "/master-key", None).await.body["rotation"]["finished_at"];
        (!finished.is_null()).then_some(())
    })
    .await;
    let retire = format!("/master-key/keys/{old}");
    asked(&app, ("DELETE", &retire), None, 204, ("master_key.retire", "done")).await;
    let (status, _data) = app.interrupt().await;
    assert!(status.success());
}

#[tokio::test]
async fn a_refusal_is_one_entry_and_many_alike_are_counted() {
    let app = apart::started().await;
    let stop = "/instances/01890000-0000-7000-8000-000000000000/stop";
    asked(&app, ("POST", stop), None, 404, ("instance.stop", "refused")).await;
    let unknown = json!({"type": "nothing-of-the-kind"});
    asked(&app, ("POST", "/instances"), Some(unknown), 404, ("instance.launch", "refused")).await;
    asked(&app, ("POST", "/instances"), Some(json!({})), 422, ("instance.launch", "refused")).await;

    // Somebody who tries keys: one row, whatever they try.
    for number in 0..20 {
        let key = format!("rs_{number:040}");
        assert_eq!(app.ask_as(&key, "POST", stop, None).await.status, 401);
    }
    let unknown = entries(&app, "outcome=refused&action=instance.stop").await;
    let tried: Vec<_> = unknown.iter().filter(|entry| entry["code"] == "UNAUTHORIZED").collect();
    assert_eq!(tried.len(), 1, "{unknown:?}");
    assert_eq!((&tried[0]["actor_user_id"], &tried[0]["actor_kind"]), (&Value::Null, &json!("user")));
    assert!(!tried[0]["ip_address"].is_null());

    // Looking is told only where it is not permitted.
    assert_eq!(app.ask("GET", "/instances/01890000-0000-7000-8000-000000000000", None).await.status, 404);
    assert_eq!(entries(&app, "action=instance.get").await, Vec::<Value>::new());
    let key = json!({"name": "narrow", "scopes": ["instances:read"]});
    let key = app.ask("POST", "/api-keys", Some(key)).await;
    let narrow = key.body["key"].as_str().expect("a key").to_owned();
    assert_eq!(app.ask_as(&narrow, "GET", "/users", None).await.status, 403);
    let looked = entries(&app, "action=user.list").await;
    assert_eq!(looked.len(), 1);
    assert_eq!(looked[0]["code"], "FORBIDDEN");
    let (status, _data) = app.interrupt().await;
    assert!(status.success());
}

#[tokio::test]
async fn no_secret_is_ever_in_the_log_or_in_what_is_exported_of_it() {
    const CANARY: &str = "canary-of-the-audit-log-0042";
    let app = apart::started().await;
    let new = json!({"type": "echo", "name": "mine", "values": {"token": CANARY}});
    let made = app.ask("POST", "/credentials", Some(new)).await.body;
    let path = format!("/credentials/{}", made["id"].as_str().expect("an id"));
    assert_eq!(app.ask("PUT", &path, Some(json!({"values": {"token": CANARY}}))).await.status, 200);
    let launched =
        app.launch(json!({"type": "echo", "expires_in": "1h", "credentials": {"token": CANARY}})).await;
    let token = launched["access_token"].as_str().expect("a token").to_owned();
    let wrong = json!({"type": "echo", "credentials": {"no_such_slot": CANARY}});
    assert_eq!(app.ask("POST", "/instances", Some(wrong)).await.status, 422);
    for path in ["/audit?limit=100", "/audit/export", "/audit/export?format=csv"] {
        let text = app.request("GET", path).bearer_auth(&app.key).send().await.expect("an answer");
        assert_eq!(text.status(), 200);
        let text = text.text().await.expect("a text");
        assert!(text.contains("instance.launch") && text.contains("credential.create"), "{text}");
        for secret in [CANARY, token.as_str(), app.key.as_str()] {
            assert!(!text.contains(secret), "{path}");
        }
    }
    let (status, _data) = app.interrupt().await;
    assert!(status.success());
}

#[tokio::test]
async fn the_whole_log_is_exported_line_by_line_and_found_whole() {
    const MANY: i64 = 2_500;
    let app = apart::started().await;
    let mut rows = Rows::of(app.data()).await;
    let filled = format!(
        "insert into audit_logs (at, id, organization_id, actor_kind, action, resource_kind, outcome)
         select now(), gen_random_uuid(), '00000000-0000-0000-0000-000000000000', 'system', 'test.fill', 'test', 'done'
         from generate_series(1, {MANY})"
    );
    rows.execute(&filled).await;
    for (format, names) in [("json", 0), ("csv", 1)] {
        let path = format!("/audit/export?format={format}&action=test.fill");
        let text = app.request("GET", &path).bearer_auth(&app.key).send().await.expect("an answer");
        let text = text.text().await.expect("a text");
        assert_eq!(text.lines().count(), usize::try_from(MANY).expect("it fits") + names);
    }
    let verified = wait_for("everything to be linked", PATIENCE, async || {
        let answer = app.ask("GET", "/audit/verify", None).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        (answer.body["unsealed"] == 0).then_some(answer.body)
    })
    .await;
    assert_eq!((&verified["whole"], &verified["broken"]), (&json!(true), &json!(0)), "{verified}");
    assert!(verified["entries"].as_i64().expect("a number") >= MANY);
    for wrong in ["update audit_logs set action = 'x.y'", "delete from audit_links", "truncate audit_anchors"]
    {
        assert!(rows.refused(wrong).await.contains("permission denied"), "{wrong}");
    }
    rows.close().await;
    let (status, _data) = app.interrupt().await;
    assert!(status.success());
}
