//! Bad input, as a caller sends it: each gets a clear error of the one shape, and nothing is half done.

use crate::support::access_urls;
use std::collections::BTreeSet;

use roadstead_test_support::poll::wait_for;
use serde_json::{Value, json};

use crate::support::stage::{ALONE, INJECTIONS, NOBODY, PATIENCE, Stage, fields, keyed, raw, refused, sent};

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_is_refused_clearly_and_leaves_nothing_half_done() {
    let _alone = ALONE.lock().await;
    let stage = Stage::set().await;
    let before = stage.world().await;
    let groups: [(&str, Group); 11] = [
        ("launches", |stage| Box::pin(launches_that_cannot_be_made(stage))),
        ("durations", |stage| Box::pin(durations_out_of_bounds(stage))),
        ("bodies", |stage| Box::pin(bodies_that_cannot_be_read(stage))),
        ("mistakes", |stage| Box::pin(several_mistakes_in_one_answer(stage))),
        ("keys", |stage| Box::pin(keys_that_open_nothing(stage))),
        ("admin", |stage| Box::pin(routes_for_admins(stage))),
        ("paths", |stage| Box::pin(paths_methods_and_ids(stage))),
        ("queries", |stage| Box::pin(queries_out_of_bounds(stage))),
        ("types", |stage| Box::pin(types_that_are_not_sound(stage))),
        ("headers", |stage| Box::pin(headers_that_smuggle(stage))),
        ("scopes", |stage| Box::pin(scopes_that_are_not_had(stage))),
    ];
    for (name, group) in groups {
        group(&stage).await;
        assert_eq!(stage.world().await, before, "{name} left something");
    }
    assert!(!stage.app.log().contains("panicked"), "{}", stage.app.log());
    stage.app.interrupt().await;
}

type Group = for<'a> fn(&'a Stage) -> std::pin::Pin<Box<dyn Future<Output = ()> + 'a>>;

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_somebody_else_is_not_there() {
    let _alone = ALONE.lock().await;
    let stage = Stage::set().await;
    let app = &stage.app;
    let mine = app.launch(json!({"type": "plain"})).await;
    let id = mine["id"].as_str().expect("an id");
    let values = json!({"type": "strict", "name": "mine", "values": {"token": "tok_12345678"}});
    let credential = app.ask("POST", "/credentials", Some(values)).await.body["id"].clone();
    let key = app.ask("GET", "/me", None).await.body["key"]["id"].clone();
    let (credential, key) = (credential.as_str().expect("an id"), key.as_str().expect("an id"));
    let before = stage.world().await;
    let verbs = [
        ("GET", "", None),
        ("DELETE", "", None),
        ("POST", "/stop", None),
        ("POST", "/expire", None),
        ("POST", "/extend", Some(json!({"expires_in": "5m"}))),
        ("POST", "/rotate-token", None),
        ("POST", "/revoke-token", None),
        ("GET", "/logs", None),
        ("GET", "/logs?follow=true", None),
        ("GET", "/events", None),
    ];
    for (method, rest, body) in verbs {
        let path = format!("/instances/{id}{rest}");
        let theirs = app.ask_as(&stage.other, method, &path, body.clone()).await;
        refused(&theirs, 404, "NOT_FOUND");
        let nobodys = format!("/instances/{NOBODY}{rest}");
        let nobodys = app.ask_as(&stage.other, method, &nobodys, body).await;
        assert_eq!(
            theirs.body["error"]["message"], nobodys.body["error"]["message"],
            "{path} tells them apart"
        );
    }
    let launch = json!({"type": "strict", "credential_id": credential});
    refused(&app.ask_as(&stage.other, "POST", "/instances", Some(launch)).await, 404, "CREDENTIAL_NOT_FOUND");
    for path in [format!("/credentials/{credential}"), format!("/api-keys/{key}")] {
        refused(&app.ask_as(&stage.other, "DELETE", &path, None).await, 404, "NOT_FOUND");
    }
    for (method, rest, body) in [
        ("GET", "", None),
        ("PUT", "", Some(json!({"name": "theirs"}))),
        ("DELETE", "?force=true", None),
        ("GET", "/usage", None),
        ("POST", "/validate", None),
    ] {
        let path = format!("/credentials/{credential}{rest}");
        refused(&app.ask_as(&stage.other, method, &path, body).await, 404, "NOT_FOUND");
    }
    let theirs = app.ask_as(&stage.other, "GET", "/instances", None).await;
    assert_eq!(theirs.body["data"], json!([]), "another's list is empty");
    assert_eq!(stage.world().await, before);
    assert_eq!(app.instance(id).await["status"], "running");
    access_urls::tell_nothing(&stage, &mine).await;
    stage.app.interrupt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_looks_like_a_statement_is_only_a_name() {
    let _alone = ALONE.lock().await;
    let stage = Stage::set().await;
    let app = &stage.app;
    let mut kept = BTreeSet::new();
    for name in INJECTIONS {
        let launched = app.launch(json!({"type": "plain", "name": name, "expires_in": "5m"})).await;
        assert_eq!(launched["name"], name);
        kept.insert(launched["id"].as_str().expect("an id").to_owned());
        let values = json!({"type": "strict", "name": name, "values": {"token": "tok_12345678"}});
        assert_eq!(app.ask("POST", "/credentials", Some(values)).await.body["name"], name);
    }
    let listed = app.ask("GET", "/instances?limit=100", None).await;
    let ids = listed.body["data"].as_array().expect("a list").iter();
    assert_eq!(ids.map(|row| row["id"].as_str().expect("an id").to_owned()).collect::<BTreeSet<_>>(), kept);
    stage.app.interrupt().await;
}

async fn launches_that_cannot_be_made(stage: &Stage) {
    let cases = [
        (json!({"type": "nonesuch"}), 404, "TYPE_NOT_FOUND", ""),
        (json!({"type": "retired"}), 404, "TYPE_NOT_FOUND", ""),
        (json!({"type": "strict"}), 422, "CREDENTIAL_MISSING", "credentials.token"),
        (json!({"type": "strict", "credentials": {}}), 422, "CREDENTIAL_MISSING", "credentials.token"),
        (
            json!({"type": "strict", "credentials": {"token": "tok_!"}}),
            422,
            "CREDENTIAL_MISSING",
            "credentials.token",
        ),
        (
            json!({"type": "strict", "credentials": {"token": ""}}),
            422,
            "VALIDATION_FAILED",
            "credentials.token",
        ),
        (
            json!({"type": "plain", "credentials": {"tokn": "x"}}),
            422,
            "CREDENTIAL_MISSING",
            "credentials.tokn",
        ),
        (
            json!({"type": "plain", "credentials": {"token": "a\r\nb"}}),
            422,
            "CREDENTIAL_MISSING",
            "credentials.token",
        ),
        (json!({"type": "plain", "credentials": "x"}), 422, "VALIDATION_FAILED", "credentials"),
        (json!({"type": "strict", "credential_id": NOBODY}), 404, "CREDENTIAL_NOT_FOUND", ""),
        (json!({"type": "strict", "credential_id": "7"}), 422, "VALIDATION_FAILED", "credential_id"),
        (
            json!({"type": "plain", "credential_id": NOBODY, "credentials": {}}),
            422,
            "VALIDATION_FAILED",
            "credentials",
        ),
        (json!({"type": "schema", "config": {"region": "mars"}}), 422, "VALIDATION_FAILED", "config.region"),
        (json!({"type": "schema", "config": {"size": 0}}), 422, "VALIDATION_FAILED", "config.size"),
        (json!({"type": "schema", "config": {"colour": 1}}), 422, "VALIDATION_FAILED", "config"),
        (json!({"type": "schema", "config": []}), 422, "VALIDATION_FAILED", "config"),
        (json!({"type": "plain", "config": {"a": "\u{0}"}}), 422, "VALIDATION_FAILED", "config"),
        (json!({"type": "plain", "config": {"a": "x".repeat(70_000)}}), 422, "VALIDATION_FAILED", "config"),
        (json!({"type": "plain", "name": "x".repeat(101)}), 422, "VALIDATION_FAILED", "name"),
        (json!({"type": "plain", "name": "a\r\nSet-Cookie: b"}), 422, "VALIDATION_FAILED", "name"),
        (json!({"type": "plain", "name": "\u{0}"}), 422, "VALIDATION_FAILED", "name"),
        (json!({"type": "plain", "name": ["a"]}), 422, "VALIDATION_FAILED", "name"),
        (json!({"type": "plain\r\nX: y"}), 422, "VALIDATION_FAILED", "type"),
        (json!({"type": 7}), 422, "VALIDATION_FAILED", "type"),
        (json!({"type": "plain", "wait": "forever"}), 422, "VALIDATION_FAILED", "wait"),
    ];
    for (body, status, code, field) in cases {
        let answer = stage.app.ask("POST", "/instances", Some(body.clone())).await;
        refused(&answer, status, code);
        let named = fields(&answer);
        let expected: &[&str] = if field.is_empty() { &[] } else { &[field] };
        assert_eq!(named, expected, "{body}");
    }
    for name in INJECTIONS {
        let answer = stage.app.ask("POST", "/instances", Some(json!({"type": name}))).await;
        refused(&answer, 404, "TYPE_NOT_FOUND");
    }
}

async fn durations_out_of_bounds(stage: &Stage) {
    let wrong = [
        json!("-5m"),
        json!("-1"),
        json!(""),
        json!(" "),
        json!("1.5h"),
        json!("5 m"),
        json!("1w"),
        json!("m"),
        json!("NaN"),
        json!("1e3"),
        json!("٣s"),
        json!("0s"),
        json!("31d"),
        json!("9223372036854775807s"),
        json!("18446744073709551615d"),
        json!("99999999999999999999s"),
        json!("1h\r\nX: y"),
        json!("5m; drop table users"),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(1e300),
        json!(i64::MAX),
        json!(true),
        json!([]),
        json!({}),
    ];
    for duration in &wrong {
        let body = json!({"type": "plain", "expires_in": duration});
        let answer = stage.app.ask("POST", "/instances", Some(body)).await;
        refused(&answer, 422, "VALIDATION_FAILED");
        assert_eq!(fields(&answer), ["expires_in"], "{duration}");
    }
    // A key may outlive any instance, but not the calendar.
    for duration in wrong.iter().filter(|each| **each != json!("31d")) {
        let body = json!({"name": "k", "scopes": ["instances:read"], "expires_in": duration});
        let answer = stage.app.ask("POST", "/api-keys", Some(body)).await;
        refused(&answer, 422, "VALIDATION_FAILED");
        assert_eq!(fields(&answer), ["expires_in"], "{duration}");
    }
}

async fn bodies_that_cannot_be_read(stage: &Stage) {
    let app = &stage.app;
    for (text, place) in [
        ("{\"type\": \"plain\",\n  oops}", Some("line 2, column 3")),
        ("", Some("line 1, column 0")),
        ("{\"type\": \"plain\"", Some("line 1, column 16")),
        ("[1, 2]", None),
        ("\"plain\"", None),
        ("null", None),
        ("{\"type\": \"\u{fffd}\"} trailing", Some("line 1, column")),
    ] {
        let answer =
            sent(keyed(app, "POST", "/instances").header("content-type", "application/json").body(text))
                .await;
        refused(&answer, 400, "MALFORMED_REQUEST");
        let message = answer.body["error"]["message"].as_str().expect("a message");
        assert!(place.is_none_or(|place| message.contains(place)), "{text}: {message}");
    }
    let deep = "[".repeat(100_000);
    let bytes = [b"{\"type\": \"".as_slice(), &[0xff, 0xfe], b"\"}"].concat();
    for body in [deep.into_bytes(), bytes] {
        let answer =
            sent(keyed(app, "POST", "/instances").header("content-type", "application/json").body(body))
                .await;
        refused(&answer, 400, "MALFORMED_REQUEST");
    }
    for kind in
        ["text/plain", "application/x-www-form-urlencoded", "application/xml", "application/jsonp", ""]
    {
        let request =
            keyed(app, "POST", "/instances").header("content-type", kind).body("{\"type\": \"plain\"}");
        refused(&sent(request).await, 415, "UNSUPPORTED_MEDIA_TYPE");
    }
    refused(
        &sent(keyed(app, "POST", "/instances").body("{\"type\": \"plain\"}")).await,
        415,
        "UNSUPPORTED_MEDIA_TYPE",
    );
    let large = json!({"type": "plain", "name": "x".repeat(5 * 1024 * 1024)});
    for path in ["/instances", "/types", "/credentials", "/users", "/api-keys"] {
        let answer = app.ask("POST", path, Some(large.clone())).await;
        refused(&answer, 413, "BODY_TOO_LARGE");
        // The rest of the upload is not read: a client that kept the connection would find it closed.
        assert_eq!(answer.headers["connection"], "close", "{path}");
    }
    refused(&app.ask("PUT", "/settings/port.range_end", Some(large)).await, 413, "BODY_TOO_LARGE");
    let read = app.ask("POST", "/instances", Some(json!({"type": "nonesuch"}))).await;
    assert!(
        !read.headers.contains_key("connection"),
        "a request that was read leaves the connection: {read:?}"
    );
}

async fn several_mistakes_in_one_answer(stage: &Stage) {
    let ask = async |path: &str, body: Value, expected: &[&str]| {
        let answer = stage.app.ask("POST", path, Some(body)).await;
        refused(&answer, 422, "VALIDATION_FAILED");
        let expected: BTreeSet<&str> = expected.iter().copied().collect();
        assert_eq!(fields(&answer).into_iter().collect::<BTreeSet<_>>(), expected, "{path}");
    };
    let body = json!({"name": 7, "expires_in": "-5m", "wait": "later", "colour": "red", "flavour": null});
    ask("/instances", body, &["type", "name", "expires_in", "wait", "colour", "flavour"]).await;
    let body = json!({"type": "schema", "config": {"region": "mars", "size": "big"}, "expires_in": "9d"});
    ask("/instances", body, &["config.region", "config.size", "expires_in"]).await;
    let body = json!({"name": "", "values": {"token": 7, "key": ""}, "more": 1});
    ask("/credentials", body, &["type", "name", "values.token", "values.key", "more"]).await;
    let body = json!({"type": "strict", "name": "n", "values": {"tokn": "x"}});
    ask("/credentials", body, &["values.token", "values.tokn"]).await;
    let body = json!({"email": "nobody", "is_admin": "yes", "role": "king"});
    ask("/users", body, &["email", "name", "is_admin", "role"]).await;
    let body = json!({"scopes": ["instances:read", "everything", 7], "user_id": "me", "x": 1});
    ask("/api-keys", body, &["name", "scopes[1]", "scopes[2]", "user_id", "x"]).await;
    let body = json!({"type": "plain", "access_token": "rsi_x", "status": "running", "user_id": NOBODY});
    ask("/instances", body, &["access_token", "status", "user_id"]).await;
}

async fn keys_that_open_nothing(stage: &Stage) {
    let app = &stage.app;
    let mut flipped = app.key.clone();
    let last = flipped.pop().expect("a key has characters");
    flipped.push(if last == 'a' { 'b' } else { 'a' });
    let mut changed = app.key.clone();
    changed.replace_range(10..11, if &changed[10..11] == "a" { "b" } else { "a" });
    let long = format!("rs_{}", "a".repeat(8_000));
    let garbage = ["rs_", "x", "rsi_abc", "' or 1=1 --", "null", &flipped, &changed, &long, &app.key[3..]];
    for key in garbage {
        let answer = app.ask_as(key, "GET", "/me", None).await;
        refused(&answer, 401, "UNAUTHORIZED");
        assert!(!answer.body.to_string().contains(key) || key.len() < 5, "the key is repeated");
    }
    for (name, value) in [
        ("x-api-key", app.key.clone()),
        ("authorization", format!("Basic {}", app.key)),
        ("authorization", app.key.clone()),
    ] {
        refused(&sent(app.request("GET", "/me").header(name, value)).await, 401, "UNAUTHORIZED");
    }
    refused(&sent(app.request("GET", &format!("/me?api_key={}", app.key))).await, 401, "UNAUTHORIZED");
    // Who has no key learns nothing else, not even that the body is wrong.
    for (method, path) in [
        ("GET", "/instances"),
        ("POST", "/instances"),
        ("GET", "/types"),
        ("GET", "/credentials"),
        ("GET", "/users"),
        ("GET", "/me"),
        ("GET", "/api-keys"),
        ("GET", "/settings"),
        ("GET", "/ports"),
    ] {
        refused(&sent(app.request(method, path)).await, 401, "UNAUTHORIZED");
    }
    let made = app
        .ask(
            "POST",
            "/api-keys",
            Some(json!({"name": "brief", "scopes": ["instances:read"], "expires_in": "1s"})),
        )
        .await;
    assert_eq!(made.status, 201, "{made:?}");
    let brief = made.body["key"].as_str().expect("a key");
    let expired = wait_for("the key to expire", PATIENCE, async || {
        let answer = app.ask_as(brief, "GET", "/me", None).await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    refused(&expired, 401, "API_KEY_NOT_ACTIVE");
    let made =
        app.ask("POST", "/api-keys", Some(json!({"name": "revoked", "scopes": ["instances:read"]}))).await;
    let revoked = made.body["key"].as_str().expect("a key");
    assert_eq!(app.ask_as(revoked, "GET", "/instances", None).await.status, 200);
    let path = format!("/api-keys/{}", made.body["id"].as_str().expect("an id"));
    assert_eq!(app.ask("DELETE", &path, None).await.status, 204);
    refused(&app.ask_as(revoked, "GET", "/instances", None).await, 401, "API_KEY_NOT_ACTIVE");
}

async fn routes_for_admins(stage: &Stage) {
    let echo = json!({"name": "theirs", "display_name": "Theirs", "program": "/bin/true"});
    for (method, path, body) in [
        ("GET", "/users", None),
        ("POST", "/users", Some(json!({"email": "c@example.com", "name": "C", "is_admin": true}))),
        ("POST", "/types", Some(echo.clone())),
        ("PUT", "/types/plain", Some(echo)),
        ("POST", "/types/plain/disable", None),
        ("GET", "/settings", None),
        ("PUT", "/settings/port.range_end", Some(json!({"value": 3200}))),
        ("GET", "/ports", None),
        ("GET", "/master-key", None),
        ("POST", "/master-key/rotations", None),
        ("DELETE", "/master-key/keys/00000000", None),
    ] {
        refused(&stage.app.ask_as(&stage.other, method, path, body).await, 403, "FORBIDDEN");
    }
    let admin = stage.app.ask("GET", "/me", None).await.body["user"]["id"].clone();
    let body = json!({"name": "k", "scopes": ["instances:read"], "user_id": admin});
    refused(&stage.app.ask_as(&stage.other, "POST", "/api-keys", Some(body)).await, 404, "NOT_FOUND");
}

async fn scopes_that_are_not_had(stage: &Stage) {
    let body = json!({"name": "narrow", "scopes": ["instances:read", "api-keys:write"]});
    let made = stage.app.ask("POST", "/api-keys", Some(body)).await;
    let narrow = made.body["key"].as_str().expect("a key");
    for (method, path, body) in [
        ("POST", "/instances", Some(json!({"type": "plain"}))),
        ("GET", "/credentials", None),
        ("GET", "/types", None),
        ("GET", "/users", None),
        ("POST", "/types/plain/disable", None),
        ("GET", "/api-keys", None),
        ("POST", "/api-keys", Some(json!({"name": "wide", "scopes": ["instances:launch"]}))),
    ] {
        refused(&stage.app.ask_as(narrow, method, path, body).await, 403, "FORBIDDEN");
    }
    let path = format!("/api-keys/{}", made.body["id"].as_str().expect("an id"));
    assert_eq!(stage.app.ask_as(narrow, "DELETE", &path, None).await.status, 204);
}

async fn paths_methods_and_ids(stage: &Stage) {
    let app = &stage.app;
    for path in ["/nope", "/instances/x/y/z", "/", "/../../etc/passwd", "/api/v1/instances"] {
        refused(&app.ask("GET", path, None).await, 404, "NOT_FOUND");
    }
    for (method, path) in [("PATCH", "/instances"), ("PUT", "/me"), ("DELETE", "/types"), ("POST", "/ports")]
    {
        let answer = app.ask(method, path, None).await;
        refused(&answer, 405, "METHOD_NOT_ALLOWED");
        assert!(answer.headers.contains_key("allow"), "{answer:?}");
    }
    let odd =
        ["x", "1", "..%2f..", "%00", "%ff%fe", "a%0d%0aX-Evil:%201", "%27%20or%201=1--", &"9".repeat(4_000)];
    for id in odd {
        refused(&app.ask("GET", &format!("/instances/{id}"), None).await, 404, "NOT_FOUND");
        refused(&app.ask("DELETE", &format!("/credentials/{id}"), None).await, 404, "NOT_FOUND");
        refused(&app.ask("DELETE", &format!("/api-keys/{id}"), None).await, 404, "NOT_FOUND");
        refused(&app.ask("GET", &format!("/types/{id}"), None).await, 404, "TYPE_NOT_FOUND");
        refused(&app.ask("POST", &format!("/types/{id}/disable"), None).await, 404, "TYPE_NOT_FOUND");
        refused(
            &app.ask("PUT", &format!("/settings/{id}"), Some(json!({"value": 1}))).await,
            404,
            "NOT_FOUND",
        );
    }
    for body in [
        json!({"value": -1}),
        json!({"value": "x"}),
        json!({"value": 70_000}),
        json!({}),
        json!({"value": 3100, "x": 1}),
    ] {
        refused(&app.ask("PUT", "/settings/port.range_end", Some(body)).await, 422, "VALIDATION_FAILED");
    }
}

async fn queries_out_of_bounds(stage: &Stage) {
    let app = &stage.app;
    // The third is a cursor of the right form, from a time that no database has.
    let cursors = [
        "garbage",
        "bnVsbA",
        "eyJhdCI6LTM3NzcwNTExNjgwMDAwMDAwMCwiaWQiOiIwMTlhMDAwMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDAifQ",
        "%00",
        "' or 1=1",
    ];
    for path in ["/instances", "/users"] {
        for query in ["limit=0", "limit=101", "limit=-1", "limit=ten", "limit=", "limit=1&colour=red"] {
            refused(&app.ask("GET", &format!("{path}?{query}"), None).await, 422, "VALIDATION_FAILED");
        }
        for cursor in cursors {
            let answer = app.ask("GET", &format!("{path}?cursor={cursor}"), None).await;
            refused(&answer, 422, "VALIDATION_FAILED");
            assert_eq!(fields(&answer), ["cursor"]);
        }
    }
    for query in [
        "status=asleep",
        "sort=name",
        "sort=created_at;drop%20table%20users",
        "status=running'--",
        "type=%00",
    ] {
        refused(&app.ask("GET", &format!("/instances?{query}"), None).await, 422, "VALIDATION_FAILED");
    }
    for name in ["x'%20or%20'1'='1", "%25", "_____", "%22;--"] {
        let answer = app.ask("GET", &format!("/instances?type={name}"), None).await;
        assert_eq!((answer.status, &answer.body["data"]), (200, &json!([])), "{name}");
    }
    let answer = app.ask("GET", "/instances?limit=%ff", None).await;
    assert!([400, 422].contains(&answer.status), "{answer:?}");
    refused(
        &answer,
        answer.status,
        if answer.status == 400 { "MALFORMED_REQUEST" } else { "VALIDATION_FAILED" },
    );
}

async fn types_that_are_not_sound(stage: &Stage) {
    let app = &stage.app;
    let sound = json!({"name": "t", "display_name": "T", "program": "/bin/true"});
    for (field, value) in [
        ("program", json!("../bin/true")),
        ("program", json!("/bin/true\u{0}")),
        ("name", json!("T'; --")),
        ("name", json!("")),
        ("display_name", json!("a\r\nb")),
        ("description", json!("a\u{0}b")),
        ("args", json!(["${credential.token}"])),
        ("args", json!(["a\u{0}"])),
        ("env", json!({"LD_PRELOAD": "${config.x}"})),
        ("env", json!({"A=B": "x"})),
        ("config_schema", json!({"type": "nonsense"})),
        ("ready_timeout_s", json!(0)),
        ("ready_timeout_s", json!(-1)),
        ("max_duration_minutes", json!(4_294_967_295_u32)),
        ("era", json!("stone")),
        ("owner", json!("me")),
        ("resource_limits", json!({"memory_mb": 0})),
    ] {
        let mut body = sound.clone();
        body[field] = value.clone();
        let answer = app.ask("POST", "/types", Some(body)).await;
        assert_eq!(answer.status, 422, "{field} {value}: {answer:?}");
        refused(&answer, 422, "VALIDATION_FAILED");
    }
    let read = app.ask("GET", "/types/plain", None).await;
    let mut spec = sound;
    spec["name"] = json!("plain");
    for (version, status, code) in [
        ("\"99\"", 412, "STALE_VERSION"),
        ("\"-1\"", 400, "MALFORMED_REQUEST"),
        ("abc", 400, "MALFORMED_REQUEST"),
        ("", 400, "MALFORMED_REQUEST"),
    ] {
        let request = keyed(app, "PUT", "/types/plain").header("if-match", version).json(&spec);
        refused(&sent(request).await, status, code);
    }
    spec["name"] = json!("renamed");
    let etag = read.headers["etag"].clone();
    refused(
        &sent(keyed(app, "PUT", "/types/plain").header("if-match", etag).json(&spec)).await,
        422,
        "VALIDATION_FAILED",
    );
    assert_eq!(app.ask("GET", "/types/plain", None).await.body, read.body, "the type is as it was");
    spec["name"] = json!("plain");
    refused(&app.ask("POST", "/types", Some(spec)).await, 409, "ALREADY_EXISTS");
}

async fn headers_that_smuggle(stage: &Stage) {
    let app = &stage.app;
    let chosen = sent(app.request("GET", "/me").header("x-request-id", "mine-1.2:3")).await;
    assert_eq!(chosen.body["error"]["request_id"], "mine-1.2:3", "a decent id is kept");
    let long = "a".repeat(129);
    for id in ["a b", "a%0d%0aSet-Cookie: x=1", "<script>", "\"quoted\"", "a\tb", &long] {
        let answer = sent(app.request("GET", "/me").header("x-request-id", id)).await;
        refused(&answer, 401, "UNAUTHORIZED");
        assert_ne!(answer.headers["x-request-id"], id, "an odd id is replaced");
        assert!(!answer.headers.contains_key("set-cookie"));
    }
    let bearer = format!("Authorization: Bearer {}", app.key);
    let host = app.url.strip_prefix("http://").expect("an address");
    for smuggled in [
        "X-Request-ID: a\rSet-Cookie: evil=1",
        "X-Request-ID: a\0b",
        "X-Request-ID: a\n Set-Cookie: evil=1",
        "X-Request-ID: a\r\n Set-Cookie: evil=1",
        "Idempotency-Key: a\rb",
        "Content-Length: 3\r\nContent-Length: 30",
        "Content-Length: -1",
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
    ] {
        let head = format!(
            "POST /api/v1/instances HTTP/1.1\r\nHost: {host}\r\n{bearer}\r\n{smuggled}\r\nConnection: close\r\n\r\n"
        );
        let said = raw(app, head.as_bytes()).await;
        let (status, rest) = said.split_once("\r\n").expect("a status line");
        let status: u16 = status.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status");
        assert!((400..500).contains(&status), "{smuggled:?}: {said}");
        assert!(!rest.to_lowercase().contains("\nset-cookie"), "{smuggled:?}: {said}");
    }
    let long = "k".repeat(201);
    for key in ["", &long, "caf\u{e9}"] {
        let value = reqwest::header::HeaderValue::from_bytes(key.as_bytes()).expect("a header's value");
        let request =
            keyed(app, "POST", "/instances").header("idempotency-key", value).json(&json!({"type": "plain"}));
        refused(&sent(request).await, 400, "MALFORMED_REQUEST");
    }
}
