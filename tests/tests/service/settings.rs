//! Settings: what each may be, who changed it and why, and those whose values nobody sees.

use roadstead_test_support::app::{Answer, App};
use roadstead_test_support::rows::Rows;
use serde_json::{Value, json};

/// Services share the ports of the machine: one of them runs at a time.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
/// Nobody may ever see it.
const CANARY: &str = "canary-of-a-sensitive-setting";
/// Settings that a later version may have: one that is sensitive, one that holds after the next start.
const LATER: &str = "with noted as (
    insert into audit_logs (at, id, organization_id, actor_kind, action, resource_kind, outcome)
    values (now(), uuid_v7(now()), '00000000-0000-0000-0000-000000000000', 'system', 'setting.set', 'setting', 'done')
    returning 1)
  insert into system_settings (key, value, kind, sensitive, needs_restart, rules, description)
  select t.* from noted, (values
    ('test.secret', 'null'::jsonb, 'string', true, false, '{\"longest\": 40}'::jsonb, 'A secret.'),
    ('test.pause', '\"15m\"'::jsonb, 'duration', false, true, '{\"least\": 60, \"most\": 3600}'::jsonb, 'A pause.')) t";

async fn set(app: &App, key: &str, body: Value) -> Answer {
    app.ask("PUT", &format!("/settings/{key}"), Some(body)).await
}

async fn all(app: &App) -> Vec<Value> {
    let answer = app.ask("GET", "/settings", None).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body["settings"].as_array().expect("a list").clone()
}

fn line(setting: &Value) -> String {
    let word = |field: &str| setting[field].as_str().unwrap_or("cannot be changed").replace('|', "\\|");
    format!(
        "| `{}` | {} | `{}` | {} | {} |",
        word("key"),
        word("kind"),
        setting["default_value"],
        word("rule"),
        word("description")
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_product_the_rows_and_the_documentation_agree_on_every_setting() {
    let _alone = ALONE.lock().await;
    let app = App::start().await;
    let settings = all(&app).await;
    let mut rows = Rows::of(app.data()).await;
    let kinds = rows.texts("select key || ' ' || kind from system_settings order by key").await;
    rows.close().await;
    let told: Vec<String> = settings
        .iter()
        .map(|one| format!("{} {}", one["key"].as_str().unwrap(), one["kind"].as_str().unwrap()))
        .collect();
    assert_eq!(told, kinds);
    for setting in &settings {
        let key = setting["key"].as_str().unwrap();
        let answer = set(&app, key, json!({"value": setting["default_value"]})).await;
        let expected = if setting["rule"].is_null() { 404 } else { 200 };
        assert_eq!(answer.status, expected, "{key}: {answer:?}");
    }
    let page = include_str!("../../../docs/settings.md");
    let lines: Vec<String> = settings.iter().map(line).collect();
    let lines = lines.join("\n");
    assert!(page.contains(&lines), "docs/settings.md should hold:\n{lines}");
    app.interrupt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_value_is_named_with_what_would_be_right_and_a_change_is_remembered() {
    let _alone = ALONE.lock().await;
    let app = App::start().await;
    for (key, wrong) in [
        ("launches.enabled", json!("yes")),
        ("mcp.max_instances_per_user", json!(-1)),
        ("mcp.max_instances_per_user", json!("10")),
        ("limits.per_key_per_minute", json!(0)),
        ("confinement.min", json!("most")),
        ("api.trusted_proxies", json!(["everybody"])),
    ] {
        let answer = set(&app, key, json!({"value": wrong})).await;
        assert_eq!(
            (answer.status, &answer.body["error"]["details"][0]["field"]),
            (422, &json!("value")),
            "{key}"
        );
        let message = answer.body["error"]["details"][0]["message"].as_str().unwrap();
        assert!(message.starts_with("must be "), "{message}");
    }
    let key = "mcp.max_instances_per_user";
    let changed = set(&app, key, json!({"value": 7, "reason": "fewer machines"})).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    let body = &changed.body;
    assert_eq!((&body["setting"]["value"], &body["needs_restart"]), (&json!(7), &json!(false)));
    let etag = changed.headers["etag"].to_str().unwrap().to_owned();
    let with = |etag: &str, value: u32| {
        let request = app.request("PUT", &format!("/settings/{key}")).bearer_auth(&app.key);
        request.header("if-match", etag.to_owned()).json(&json!({"value": value})).send()
    };
    assert_eq!(with(&etag, 8).await.unwrap().status(), 200);
    assert_eq!(with(&etag, 9).await.unwrap().status(), 412, "somebody was faster");
    let me = app.ask("GET", "/me", None).await.body;
    let history = app.ask("GET", &format!("/settings/{key}/history"), None).await.body;
    let [second, first] = history["data"].as_array().unwrap().as_slice() else { panic!("{history}") };
    assert_eq!((&second["old_value"], &second["new_value"]), (&json!(7), &json!(8)));
    assert_eq!((&first["old_value"], &first["new_value"]), (&json!(10), &json!(7)));
    assert_eq!((&first["reason"], &second["reason"]), (&json!("fewer machines"), &Value::Null));
    assert_eq!((&first["user_id"], &first["api_key_id"]), (&me["user"]["id"], &me["key"]["id"]));
    let page = app.ask("GET", &format!("/settings/{key}/history?limit=1"), None).await.body;
    let next = page["next_cursor"].as_str().unwrap();
    let rest = app.ask("GET", &format!("/settings/{key}/history?limit=1&cursor={next}"), None).await.body;
    assert_eq!((&rest["data"][0], &rest["next_cursor"]), (first, &Value::Null));
    assert_eq!(app.ask("GET", "/settings/no.such/history", None).await.status, 404);
    app.interrupt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sensitive_value_is_never_shown_or_logged_and_a_restart_is_said() {
    let _alone = ALONE.lock().await;
    let app = App::start().await;
    let mut rows = Rows::of(app.data()).await;
    assert_eq!(rows.execute(LATER).await, 2);
    let secret = set(&app, "test.secret", json!({"value": CANARY, "reason": "new"})).await;
    assert_eq!(secret.status, 200, "{secret:?}");
    let setting = &secret.body["setting"];
    assert_eq!(
        (&setting["value"], &setting["is_set"], &setting["sensitive"]),
        (&Value::Null, &json!(true), &json!(true))
    );
    let long = format!("{CANARY}{CANARY}");
    let refused = set(&app, "test.secret", json!({"value": long})).await;
    assert_eq!(refused.status, 422, "{refused:?}");
    let pause = set(&app, "test.pause", json!({"value": "30m"})).await;
    assert_eq!((pause.status, &pause.body["needs_restart"]), (200, &json!(true)), "{pause:?}");
    assert_eq!(set(&app, "test.pause", json!({"value": "2h"})).await.status, 422);
    let history = app.ask("GET", "/settings/test.secret/history", None).await.body;
    assert_eq!(
        (&history["data"][0]["new_value"], &history["data"][0]["reason"]),
        (&Value::Null, &json!("new"))
    );
    let listed = app.ask("GET", "/settings", None).await.body;
    let kept = rows
        .texts("select coalesce(convert_from(sealed, 'SQL_ASCII'), '') || value::text from system_settings where not sensitive")
        .await;
    let audit = rows.texts("select changes::text from audit_logs").await;
    let clear = rows
        .number(
            "select count(*) from system_settings where position('canary' in encode(sealed, 'escape')) > 0",
        )
        .await;
    assert_eq!(clear, 0, "it is sealed");
    // Another master key seals it anew.
    let rotation = app.ask("POST", "/master-key/rotations", Some(json!({}))).await;
    assert!(rotation.status < 300, "{rotation:?}");
    roadstead_test_support::poll::wait_for("the rotation", std::time::Duration::from_mins(1), async || {
        let found = app.ask("GET", "/master-key", None).await.body;
        found["rotation"]["finished_at"].is_string().then_some(())
    })
    .await;
    let newest = "select count(*) from system_settings s join key_rotations r on true
                  where s.key = 'test.secret' and substring(s.sealed from 2 for 4) = substring(int8send(r.to_key) from 5)";
    assert_eq!(rows.number(newest).await, 1);
    let gone = set(&app, "test.secret", json!({"value": null})).await;
    assert_eq!((gone.status, &gone.body["setting"]["is_set"]), (200, &json!(false)), "{gone:?}");
    rows.close().await;
    let told = format!("{}{}{history}{listed}{kept:?}{audit:?}{}", secret.body, refused.body, app.log());
    assert!(!told.contains(CANARY), "a sensitive value was told");
    let (_, data) = app.interrupt().await;
    let written = std::fs::read_to_string(data.path().join("test.log")).unwrap();
    assert!(!written.contains(CANARY));
}
