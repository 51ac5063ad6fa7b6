//! What keeps one from taking what is everybody's: rates, turns, memory and quotas.

use std::time::Duration;

use reqwest::header::HeaderMap;
use roadstead_test_support::app::{Answer, App};
use roadstead_test_support::poll::wait_for;
use serde_json::{Value, json};

use crate::support::apart;
use crate::support::left::Left;

/// How long anything here may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
/// Services share the ports of the machine: one of them runs at a time.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

struct Stage {
    app: App,
    /// Keys of two users who are nothing special.
    eve: String,
    bob: String,
    eves_id: String,
}

impl Stage {
    async fn set() -> Self {
        let app = apart::started().await;
        app.define_echo("plain", &[]).await;
        app.define_echo("silent", &["--never-ready"]).await;
        let eves_id = user(&app, "eve").await;
        let eve = key_of(&app, &eves_id).await;
        let bob = key_of(&app, &user(&app, "bob").await).await;
        Self { app, eve, bob, eves_id }
    }

    async fn limit(&self, setting: &str, value: impl Into<Value>) {
        assert_eq!(self.app.set(setting, value.into()).await, 200, "{setting}");
    }

    /// Launches without waiting for the server.
    async fn begin(&self, key: &str, type_name: &str) -> Answer {
        self.app.ask_as(key, "POST", "/instances", Some(json!({"type": type_name, "wait": "none"}))).await
    }

    async fn begun(&self, key: &str, type_name: &str) -> Value {
        let answer = self.begin(key, type_name).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.body
    }

    async fn launched(&self, key: &str) -> Answer {
        self.app.ask_as(key, "POST", "/instances", Some(json!({"type": "plain"}))).await
    }

    async fn running(&self, id: &str) -> Value {
        self.app.wait_status(id, "running", PATIENCE).await
    }

    async fn end(&self, id: &str) {
        assert_eq!(self.app.ask("DELETE", &format!("/instances/{id}"), None).await.status, 204);
    }

    /// Asks until it is refused, and answers with the refusal and how many were let through.
    async fn until_refused(&self, keys: &[&str]) -> (Answer, usize) {
        for count in 0..10_000 {
            let answer = self.app.ask_as(keys[count % keys.len()], "GET", "/me", None).await;
            if answer.status == 429 {
                return (answer, count);
            }
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        panic!("nobody is ever refused");
    }
}

async fn user(app: &App, name: &str) -> String {
    let body = json!({"email": format!("{name}@example.org"), "name": name});
    let answer = app.ask("POST", "/users", Some(body)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    text(&answer.body["id"])
}

async fn key_of(app: &App, user: &str) -> String {
    let answer = new_key(app, user).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    text(&answer.body["key"])
}

async fn new_key(app: &App, user: &str) -> Answer {
    let scopes = ["instances:read", "instances:write", "instances:launch", "users:read", "credentials:write"];
    app.ask("POST", "/api-keys", Some(json!({"name": "test", "user_id": user, "scopes": scopes}))).await
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is a text")).to_owned()
}

fn code(answer: &Answer) -> &str {
    answer.body["error"]["code"].as_str().unwrap_or_default()
}

/// The names of an error's details.
fn fields(answer: &Answer) -> Vec<String> {
    let details = answer.body["error"]["details"].as_array().cloned().unwrap_or_default();
    details.iter().map(|detail| text(&detail["field"])).collect()
}

fn number(headers: &HeaderMap, name: &str) -> u64 {
    let value = headers.get(name).unwrap_or_else(|| panic!("{name} in {headers:?}"));
    value.to_str().expect("plain").parse().expect("a number")
}

#[track_caller]
fn refused(answer: &Answer, status: u16, expected: &str) {
    assert_eq!((answer.status, code(answer)), (status, expected), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_is_kept_and_who_waits_as_told_is_let_through() {
    let _alone = ALONE.lock().await;
    let stage = Stage::set().await;
    stage.limit("limits.per_key_per_minute", 30).await;
    let first = stage.app.ask_as(&stage.eve, "GET", "/me", None).await;
    assert_eq!(number(&first.headers, "x-ratelimit-limit"), 30);
    assert!(number(&first.headers, "x-ratelimit-remaining") <= 29);
    let (refusal, let_through) = stage.until_refused(&[&stage.eve]).await;
    refused(&refusal, 429, "RATE_LIMITED");
    assert_eq!(refusal.body["error"]["details"][0]["message"], "key", "{refusal:?}");
    assert!((29..40).contains(&let_through), "{let_through}");
    assert_eq!(number(&refusal.headers, "x-ratelimit-remaining"), 0);
    assert!(number(&refusal.headers, "x-ratelimit-reset") >= 50);
    let wait = number(&refusal.headers, "retry-after");
    assert!((1..=3).contains(&wait), "one each two seconds, and a little more: {wait}");
    let other = stage.app.ask_as(&stage.bob, "GET", "/me", None).await;
    assert_eq!(other.status, 200, "what one does takes nothing from another");
    // One request is let through within the time that the answer told.
    wait_for("the rate to let her through again", Duration::from_secs(wait + 5), async || {
        (stage.app.ask_as(&stage.eve, "GET", "/me", None).await.status == 200).then_some(())
    })
    .await;

    stage.limit("limits.per_key_per_minute", 1_000_000).await;
    stage.limit("limits.per_user_per_minute", 20).await;
    let second = key_of(&stage.app, &stage.eves_id).await;
    let (refusal, _) = stage.until_refused(&[&stage.eve, &second]).await;
    assert_eq!(refusal.body["error"]["details"][0]["message"], "user", "{refusal:?}");
    assert_eq!(stage.app.ask_as(&stage.bob, "GET", "/me", None).await.status, 200);
    stage.app.interrupt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_without_a_key_count_for_their_address_and_take_nothing_from_those_with_one() {
    let _alone = ALONE.lock().await;
    let stage = Stage::set().await;
    let ask = async |authorization: Option<&str>, forwarded: Option<&str>, path: &str| {
        let mut request = stage.app.request("GET", path);
        if let Some(key) = authorization {
            request = request.bearer_auth(key);
        }
        if let Some(address) = forwarded {
            request = request.header("x-forwarded-for", address);
        }
        let response = request.send().await.expect("an answer");
        (response.status().as_u16(), response.headers().contains_key("x-ratelimit-limit"))
    };
    stage.limit("limits.per_address_per_minute", 5).await;
    for _ in 0..5 {
        assert_eq!(ask(None, None, "/me").await, (401, true));
    }
    assert_eq!(ask(None, None, "/me").await, (429, true));
    assert_eq!(ask(Some("rs_no_such_key"), None, "/me").await, (429, true), "a wrong key is none");
    assert_eq!(ask(None, Some("203.0.113.9"), "/me").await, (429, true), "anybody could write that");
    assert_eq!(ask(Some(&stage.eve), None, "/me").await, (200, true), "from the same address");
    for path in ["/healthz", "/readyz"] {
        assert_eq!(ask(None, None, path).await, (200, false), "whoever watches hears that it lives");
    }
    let access = "/i/01980000-0000-7000-8000-000000000000/mcp";
    assert_eq!(ask(None, None, access).await, (401, false), "access URLs are not counted");
    stage.limit("api.trusted_proxies", json!(["127.0.0.0/8"])).await;
    assert_eq!(ask(None, Some("203.0.113.9"), "/me").await, (401, true), "the proxy is believed");

    stage.limit("launches.per_minute_per_user", 2).await;
    for _ in 0..2 {
        refused(&stage.begin(&stage.eve, "nothing").await, 404, "TYPE_NOT_FOUND");
    }
    let refusal = stage.begin(&stage.eve, "nothing").await;
    refused(&refusal, 429, "RATE_LIMITED");
    assert_eq!(refusal.body["error"]["details"][0]["message"], "launches");
    assert_eq!(number(&refusal.headers, "x-ratelimit-limit"), 2);
    refused(&stage.begin(&stage.bob, "nothing").await, 404, "TYPE_NOT_FOUND");
    stage.app.interrupt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_take_turns_and_their_launches_tell_where_they_stand() {
    let _alone = ALONE.lock().await;
    let stage = Stage::set().await;
    stage.limit("mcp.max_instances_per_user", 30).await;
    stage.limit("launches.at_once", 1).await;
    let blocking = stage.begun(&stage.eve, "silent").await;
    let mut eves = Vec::new();
    for place in 1..=19 {
        let instance = stage.begun(&stage.eve, "plain").await;
        assert_eq!(instance["queue"], json!({"position": place, "waits_for": "turn"}), "{instance}");
        eves.push(text(&instance["id"]));
    }
    let bobs = stage.begun(&stage.bob, "plain").await;
    assert_eq!(bobs["queue"]["position"], 2, "after one of hers, not after nineteen");
    let bobs = text(&bobs["id"]);
    let shown = stage.app.instance(&bobs).await;
    assert_eq!((&shown["status"], &shown["queue"]["position"]), (&json!("pending"), &json!(2)));

    stage.limit("launches.max_waiting", 20).await;
    let full = stage.begin(&stage.bob, "plain").await;
    refused(&full, 429, "LAUNCH_QUEUE_FULL");
    assert_eq!(full.body["error"]["details"], json!([{"field": "position", "message": "21"}]));
    assert!(number(&full.headers, "retry-after") >= 1);

    // One that waits is stopped at once.
    let last = eves.pop().expect("there are nineteen");
    let stopped = stage.app.ask_as(&stage.eve, "POST", &format!("/instances/{last}/stop"), None).await;
    assert_eq!((stopped.status, &stopped.body["status"]), (200, &json!("stopped")), "{stopped:?}");

    stage.end(&text(&blocking["id"])).await;
    let bobs = stage.running(&bobs).await;
    assert!(bobs["queue"].is_null(), "{bobs}");
    let mut since = Vec::new();
    for id in &eves {
        since.push(text(&stage.running(id).await["started_at"]));
    }
    let bobs = text(&bobs["started_at"]);
    assert!(since[0] <= bobs && since[1..].iter().all(|hers| *hers >= bobs), "{bobs} in {since:?}");
    assert!(since.is_sorted(), "{since:?}");
    stage.app.interrupt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launch_waits_for_memory_and_not_for_ever() {
    let _alone = ALONE.lock().await;
    let stage = Stage::set().await;
    stage.limit("launches.min_free_memory_mb", 1_048_576).await;
    let id = text(&stage.begun(&stage.eve, "plain").await["id"]);
    wait_for("the launch to wait for memory", PATIENCE, async || {
        let instance = stage.app.instance(&id).await;
        (instance["queue"] == json!({"position": 1, "waits_for": "memory"})).then_some(())
    })
    .await;
    stage.limit("launches.min_free_memory_mb", 0).await;
    stage.running(&id).await;

    stage.limit("launches.min_free_memory_mb", 1_048_576).await;
    stage.limit("launches.max_wait_s", 1).await;
    let answer = stage.launched(&stage.eve).await;
    refused(&answer, 503, "MACHINE_EXHAUSTED");
    assert!(number(&answer.headers, "retry-after") >= 1);
    assert_eq!(fields(&answer), ["instance_id"]);
    let id = text(&answer.body["error"]["details"][0]["message"]);
    let instance = stage.app.instance(&id).await;
    assert_eq!(instance["status"], "error");
    assert!(text(&instance["error_message"]).contains("free memory"), "{instance}");
    assert_eq!(stage.app.event_types(&id).await.last().map(String::as_str), Some("error"));
    stage.app.interrupt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn quotas_hold_in_sum_and_launches_can_be_switched_off() {
    let _alone = ALONE.lock().await;
    let stage = Stage::set().await;
    let first = stage.launched(&stage.eve).await;
    assert_eq!(first.status, 201, "{first:?}");
    let quotas = [
        ("quotas.memory_mb_per_user", 1500, "user.memory_mb"),
        ("quotas.cpu_percent_per_user", 60, "user.cpu_percent"),
        ("quotas.instances_per_organization", 1, "organization.instances"),
        ("quotas.memory_mb_per_organization", 1500, "organization.memory_mb"),
        ("quotas.cpu_percent_per_organization", 60, "organization.cpu_percent"),
    ];
    for (setting, limit, field) in quotas {
        stage.limit(setting, limit).await;
        let answer = stage.launched(&stage.eve).await;
        refused(&answer, 429, "QUOTA_REACHED");
        assert_eq!(fields(&answer), [field], "{answer:?}");
        stage.limit(setting, 1_000_000).await;
    }
    stage.limit("mcp.max_instances_per_user", 1).await;
    refused(&stage.launched(&stage.eve).await, 429, "INSTANCE_QUOTA_REACHED");
    // What was made ready for launches that were refused is gone with the answer.
    let left = Left::look(stage.app.data()).compared_with(std::slice::from_ref(&first.body));
    assert_eq!(left, Vec::<String>::new());
    let bobs = stage.launched(&stage.bob).await;
    assert_eq!(bobs.status, 201, "what one has takes nothing from another: {bobs:?}");
    stage.limit("mcp.max_instances_per_user", 10).await;

    stage.limit("quotas.api_keys_per_user", 1).await;
    let key = new_key(&stage.app, &stage.eves_id).await;
    refused(&key, 429, "QUOTA_REACHED");
    assert_eq!(fields(&key), ["user.api_keys"]);
    stage.limit("quotas.credentials_per_user", 0).await;
    let body = json!({"type": "plain", "name": "one", "values": {"token": "secret"}});
    let credential = stage.app.ask_as(&stage.eve, "POST", "/credentials", Some(body)).await;
    refused(&credential, 429, "QUOTA_REACHED");
    assert_eq!(fields(&credential), ["user.credentials"]);

    let id = text(&first.body["id"]);
    stage.limit("launches.enabled", false).await;
    refused(&stage.launched(&stage.eve).await, 503, "LAUNCHES_DISABLED");
    assert_eq!(stage.app.instance(&id).await["status"], "running", "what runs goes on");
    assert_eq!(
        stage.app.ask_as(&stage.eve, "POST", &format!("/instances/{id}/stop"), None).await.status,
        200
    );
    let restore = format!("/instances/{id}/restore");
    refused(&stage.app.ask_as(&stage.eve, "POST", &restore, None).await, 503, "LAUNCHES_DISABLED");
    stage.limit("launches.enabled", true).await;
    let restored = stage.app.ask_as(&stage.eve, "POST", &restore, None).await;
    assert_eq!(restored.status, 200, "{restored:?}");
    stage.app.interrupt().await;
}
