//! Lists, searches, exports, changes of one row and of many, through the API.

use std::time::Duration;

use roadstead_test_support::app::{Answer, App};
use roadstead_test_support::wait_for;
use serde_json::{Value, json};

use crate::support::range::set_ports;

/// How long anything that is under way may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);

async fn get(app: &App, path: &str) -> Value {
    let answer = app.ask("GET", path, None).await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}\n{}", app.log());
    answer.body
}

fn names(list: &Value) -> Vec<&str> {
    list["data"].as_array().expect("a list").iter().map(|row| row["name"].as_str().expect("a name")).collect()
}

fn code(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.body["error"]["code"].as_str().unwrap_or_default())
}

async fn echo(app: &App, name: &str) -> String {
    let launched = app.launch(json!({"type": "echo", "name": name, "expires_in": "1h"})).await;
    launched["id"].as_str().expect("an id").to_owned()
}

/// Another person, with a key of theirs.
async fn another(app: &App) -> String {
    let user = app.ask("POST", "/users", Some(json!({"email": "eve@example.org", "name": "Eve"}))).await;
    assert_eq!(user.status, 201, "{user:?}");
    let scopes = ["instances:read", "instances:write", "instances:launch", "usage:read"];
    let body = json!({"name": "eve", "user_id": user.body["id"], "scopes": scopes});
    let key = app.ask("POST", "/api-keys", Some(body)).await;
    assert_eq!(key.status, 201, "{key:?}");
    key.body["key"].as_str().expect("a key is shown once").to_owned()
}

/// A request with the admin's key and headers, and what its answer says.
async fn patch(app: &App, id: &str, version: Option<&str>, body: Value) -> Answer {
    let mut request = app.request("PATCH", &format!("/instances/{id}")).bearer_auth(&app.key).json(&body);
    if let Some(version) = version {
        request = request.header("if-match", version);
    }
    let response = request.send().await.expect("the service answers");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, body: response.json().await.unwrap_or_default() }
}

#[tokio::test]
async fn instances_are_filtered_sorted_and_paged_and_a_cursor_goes_on_with_its_own_list_alone() {
    let app = App::start().await;
    set_ports(&app, 22_800, 22_809).await;
    let first = echo(&app, "alpha").await;
    for name in ["beta", "gamma", "delta"] {
        echo(&app, name).await;
    }
    app.ask("POST", &format!("/instances/{first}/stop"), None).await;
    assert_eq!(names(&get(&app, "/instances").await), ["delta", "gamma", "beta", "alpha"]);
    assert_eq!(names(&get(&app, "/instances?status=stopped,error").await), ["alpha"]);
    assert_eq!(names(&get(&app, "/instances?name=ETA&sort=created_at").await), ["beta"]);
    assert_eq!(names(&get(&app, "/instances?sort=expires_at").await), ["alpha", "beta", "gamma", "delta"]);
    assert_eq!(names(&get(&app, "/instances?sort=-status&limit=1").await), ["alpha"]);
    assert_eq!(names(&get(&app, "/instances?created_since=2100-01-01T00:00:00Z").await), Vec::<&str>::new());

    let page = get(&app, "/instances?sort=created_at&limit=2").await;
    assert_eq!(names(&page), ["alpha", "beta"]);
    let cursor = page["next_cursor"].as_str().expect("there is more");
    app.ask("DELETE", &format!("/instances/{first}"), None).await;
    let rest = get(&app, &format!("/instances?sort=created_at&limit=9&cursor={cursor}")).await;
    assert_eq!((names(&rest), rest["next_cursor"].is_null()), (vec!["gamma", "delta"], true));
    for other in ["sort=-created_at", "sort=created_at&status=running", "sort=expires_at", ""] {
        let refused = app.ask("GET", &format!("/instances?{other}&cursor={cursor}"), None).await;
        assert_eq!(code(&refused), (422, "VALIDATION_FAILED"), "{other}: {refused:?}");
        assert!(refused.body.to_string().contains("another sort or other filters"), "{refused:?}");
    }
    app.define_echo("other", &[]).await;
    let types = get(&app, "/types?limit=1").await;
    let cursor = types["next_cursor"].as_str().expect("there are two");
    let more = get(&app, &format!("/types?limit=1&cursor={cursor}")).await;
    assert!(names(&types).last() < names(&more).first(), "{types} {more}");
    assert!(get(&app, "/credentials?limit=1").await["next_cursor"].is_null());
}

#[tokio::test]
async fn a_change_names_the_version_that_was_read_and_a_configuration_holds_from_the_next_start_on() {
    let app = App::start().await;
    set_ports(&app, 22_810, 22_812).await;
    let id = echo(&app, "before").await;
    let shown = app.ask("GET", &format!("/instances/{id}"), None).await;
    let version = shown.headers["etag"].to_str().expect("a tag").to_owned();
    let changed = patch(&app, &id, Some(&version), json!({"name": "after"})).await;
    assert_eq!((changed.status, &changed.body["name"]), (200, &json!("after")), "{changed:?}");
    assert_eq!(changed.body["restart_needed"], false);
    assert_ne!(changed.headers["etag"], version.as_str());
    let stale = patch(&app, &id, Some(&version), json!({"name": "too late"})).await;
    assert_eq!(code(&stale), (412, "STALE_VERSION"));
    let malformed = patch(&app, &id, Some("three"), json!({"name": "x"})).await;
    assert_eq!(code(&malformed), (400, "MALFORMED_REQUEST"));
    let nothing = patch(&app, &id, None, json!({})).await;
    assert_eq!(code(&nothing), (422, "VALIDATION_FAILED"));
    let missing = patch(&app, "0198c0de-0000-7000-8000-000000000000", None, json!({"name": "x"})).await;
    assert_eq!(code(&missing), (404, "NOT_FOUND"));
    let eve = another(&app).await;
    let theirs =
        app.ask_as(&eve, "PATCH", &format!("/instances/{id}"), Some(json!({"name": "mine now"}))).await;
    assert_eq!(code(&theirs), (404, "NOT_FOUND"));

    let launched = app.launch(json!({"type": "echo", "config": {"greeting": "hi"}})).await;
    let id = launched["id"].as_str().expect("an id");
    let wrong = patch(&app, id, None, json!({"config": {"greeting": 7}})).await;
    assert_eq!(code(&wrong), (422, "VALIDATION_FAILED"), "{wrong:?}");
    let changed = patch(&app, id, None, json!({"config": {"greeting": "good bye"}})).await;
    assert_eq!((changed.status, &changed.body["restart_needed"]), (200, &json!(true)), "{changed:?}");
    let again = app.ask("POST", &format!("/instances/{id}/restart"), None).await;
    assert_eq!((again.status, &again.body["config"]["greeting"]), (200, &json!("good bye")), "{again:?}");
}

#[tokio::test]
async fn many_end_at_once_after_a_dry_run_and_what_is_another_persons_is_not_there() {
    let app = App::start().await;
    set_ports(&app, 22_820, 22_829).await;
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(echo(&app, &format!("many-{number}")).await);
    }
    let kept = echo(&app, "kept").await;
    let filter = json!({"action": "stop", "filter": {"name": "many", "status": ["running"]}});
    let dry = app.ask("POST", "/instances/bulk", Some(filter.clone())).await;
    assert_eq!((dry.status, &dry.body["dry_run"]), (200, &json!(true)), "{dry:?}");
    let outcomes = |answer: &Answer| -> Vec<String> {
        let rows = answer.body["data"].as_array().expect("a list").clone();
        rows.iter().map(|row| row["outcome"].as_str().expect("a word").to_owned()).collect()
    };
    assert_eq!(outcomes(&dry), vec!["would"; 5]);
    assert_eq!(app.instance(&ids[0]).await["status"], "running");

    let eve = another(&app).await;
    let foreign = json!({"action": "delete", "ids": ids, "dry_run": false});
    let foreign = app.ask_as(&eve, "POST", "/instances/bulk", Some(foreign)).await;
    assert_eq!(outcomes(&foreign), vec!["missing"; 5]);

    let mut wet = filter;
    wet["dry_run"] = json!(false);
    let done = app.ask("POST", "/instances/bulk", Some(wet)).await;
    assert_eq!(outcomes(&done), vec!["done"; 5], "{done:?}");
    for id in &ids {
        assert_eq!(app.instance(id).await["status"], "stopped");
    }
    assert_eq!(app.instance(&kept).await["status"], "running");
    let again = json!({"action": "stop", "ids": [ids[0], kept], "dry_run": false});
    let again = app.ask("POST", "/instances/bulk", Some(again)).await;
    assert_eq!(outcomes(&again), ["refused", "done"], "{again:?}");
    let gone = json!({"action": "delete", "ids": ids, "dry_run": false});
    assert_eq!(outcomes(&app.ask("POST", "/instances/bulk", Some(gone)).await), vec!["done"; 5]);
    assert_eq!(names(&get(&app, "/instances").await), ["kept"]);
    for wrong in [
        json!({"action": "stop"}),
        json!({"action": "dance", "ids": [kept]}),
        json!({"action": "stop", "ids": []}),
    ] {
        let refused = app.ask("POST", "/instances/bulk", Some(wrong)).await;
        assert_eq!(code(&refused), (422, "VALIDATION_FAILED"));
    }
}

#[tokio::test]
async fn lines_are_searched_tailed_and_exported_by_a_link_that_ends() {
    let app = App::start().await;
    set_ports(&app, 22_830, 22_839).await;
    let id = echo(&app, "talker").await;
    // Whatever else is said, a restart leaves a line.
    assert_eq!(app.ask("POST", &format!("/instances/{id}/restart"), None).await.status, 200);
    let lines = wait_for("a line of the restart", PATIENCE, async || {
        let lines = get(&app, &format!("/instances/{id}/logs?order=asc&limit=100")).await;
        (!lines["data"].as_array()?.is_empty()).then_some(lines)
    })
    .await;
    let all = lines["data"].as_array().expect("a list");
    let last = all.last().expect("a line")["message"].as_str().expect("a text");
    let tail = get(&app, &format!("/instances/{id}/logs?tail=1")).await;
    assert_eq!((tail["data"].as_array().map(Vec::len), tail["next_cursor"].is_null()), (Some(1), true));

    let word: String = last.chars().filter(char::is_ascii_alphanumeric).take(4).collect();
    let found = get(&app, &format!("/logs/search?q={}", word.to_uppercase())).await;
    let found_any =
        found["data"].as_array().is_some_and(|rows| rows.iter().all(|row| row["instance_id"] == id.as_str()));
    assert!(found_any, "{found}");
    assert!(found["searched_to"].is_string() && found["next_cursor"].is_null(), "{found}");
    let eve = another(&app).await;
    let theirs = app.ask_as(&eve, "GET", "/logs/search", None).await;
    assert_eq!((theirs.status, &theirs.body["data"]), (200, &json!([])), "{theirs:?}");

    for (format, content) in [("json", "application/jsonl"), ("csv", "text/csv"), ("text", "text/plain")] {
        let body = json!({"format": format});
        let link = app.ask("POST", &format!("/instances/{id}/logs/export"), Some(body)).await;
        assert_eq!(link.status, 201, "{link:?}");
        let url = link.body["download_url"].as_str().expect("a link");
        let answer = reqwest::get(url).await.expect("it needs no key");
        assert_eq!(answer.status(), 200);
        assert!(answer.headers()["content-type"].to_str().expect("a type").starts_with(content));
        let text = answer.text().await.expect("it is whole");
        let first = all[0]["id"].as_str().expect("an id");
        assert!(
            text.lines().count() >= all.len() && (format == "text" || text.contains(first)),
            "{format}: {text}"
        );
        let token = url.rsplit('/').next().expect("its last part");
        assert!(!app.log().contains(token), "the link is in no log");
    }
    let refused =
        app.ask("POST", &format!("/instances/{id}/logs/export"), Some(json!({"format": "pdf"}))).await;
    assert_eq!(code(&refused), (422, "VALIDATION_FAILED"));
    let foreign = app
        .ask_as(&eve, "POST", &format!("/instances/{id}/logs/export"), Some(json!({"format": "csv"})))
        .await;
    assert_eq!(code(&foreign), (404, "NOT_FOUND"));

    app.ask("PUT", "/settings/exports.link_lifetime_s", Some(json!({"value": 1}))).await;
    let link = app.ask("POST", &format!("/instances/{id}/logs/export"), Some(json!({"format": "csv"}))).await;
    let url = link.body["download_url"].as_str().expect("a link").to_owned();
    wait_for("the link to end", PATIENCE, async || {
        let answer = reqwest::get(&url).await.ok()?;
        (answer.status() == 404).then_some(())
    })
    .await;
    let gone: Value = reqwest::get(&url).await.expect("an answer").json().await.expect("JSON");
    assert_eq!(gone["error"]["code"], "EXPORT_GONE");
    let usage =
        app.request("GET", "/usage/export?format=csv").bearer_auth(&app.key).send().await.expect("an answer");
    assert_eq!(usage.status(), 200);
    assert!(usage.text().await.expect("whole").starts_with("at,instance_id,type,"));
}

#[tokio::test]
async fn a_port_in_quarantine_is_leased_to_nobody_until_it_is_let_go() {
    let app = App::start().await;
    set_ports(&app, 22_840, 22_841).await;
    let quarantine = |port: u16| format!("/ports/{port}/quarantine");
    assert_eq!(app.ask("POST", &quarantine(22_840), Some(json!({"for": "10m"}))).await.status, 204);
    let ports = get(&app, "/ports").await;
    assert!(!ports["data"][0]["resting_until"].is_null(), "{ports}");
    let launched = app.launch(json!({"type": "echo"})).await;
    assert_eq!(launched["assigned_port"], 22_841);
    assert_eq!(
        code(&app.ask("POST", "/instances", Some(json!({"type": "echo"}))).await),
        (503, "PORTS_EXHAUSTED")
    );
    assert_eq!(code(&app.ask("POST", &quarantine(22_841), None).await), (409, "WRONG_STATUS"));
    assert_eq!(code(&app.ask("DELETE", &quarantine(22_841), None).await), (409, "WRONG_STATUS"));
    assert_eq!(code(&app.ask("POST", &quarantine(1_025), None).await), (404, "NOT_FOUND"));
    assert_eq!(code(&app.ask("POST", "/ports/none/quarantine", None).await), (404, "NOT_FOUND"));
    let long = app.ask("POST", &quarantine(22_840), Some(json!({"for": "31d"}))).await;
    assert_eq!(code(&long), (422, "VALIDATION_FAILED"));
    assert_eq!(app.ask("DELETE", &quarantine(22_840), None).await.status, 204);
    let ports = get(&app, "/ports").await;
    assert!(ports["data"][0]["resting_until"].is_null(), "{ports}");
    assert_eq!(app.launch(json!({"type": "echo"})).await["assigned_port"], 22_840);
    let eve = another(&app).await;
    assert_eq!(code(&app.ask_as(&eve, "POST", &quarantine(22_840), None).await), (403, "FORBIDDEN"));
}
