//! Servers that speak HTTP: what makes their types sound, one rule at a time.

use roadstead_model::{Era, SessionMode, Transport};
use serde_json::{Value, json};

use crate::problem::Problem;
use crate::spec::{Author, Kind, TypeSpec};

fn parsed(value: &Value) -> TypeSpec {
    serde_json::from_value(value.clone()).unwrap()
}

fn local() -> TypeSpec {
    parsed(&json!({
        "name": "local", "display_name": "Local", "program": "/usr/bin/node",
        "args": ["/opt/x.js", "--port", "${port}"],
        "transport": "streamable_http", "url": "http://localhost:${port}/mcp",
        "headers": {"Authorization": "Bearer ${credential.token}", "X-Region": "${config.region}"},
        "credential_slots": [{"name": "token", "label": "Token"}],
        "config_template": {"region": "eu"},
        "call_timeout_s": 60, "call_timeout_max_s": 600, "session_mode": "shared",
        "era_bridge": "off", "replay_initialize": true
    }))
}

fn remote() -> TypeSpec {
    parsed(&json!({
        "name": "remote", "display_name": "Remote", "transport": "sse", "url": "https://mcp.example.com/sse",
        "headers": {"Authorization": "Bearer ${credential.token}"},
        "credential_slots": [{"name": "token", "label": "Token"}]
    }))
}

#[track_caller]
fn problems(mut spec: TypeSpec, author: Author, change: impl FnOnce(&mut TypeSpec)) -> Vec<Problem> {
    change(&mut spec);
    spec.validate(author).err().unwrap_or_default()
}

/// The change makes exactly one problem, in this field.
#[track_caller]
fn breaks(spec: TypeSpec, field: &str, change: impl FnOnce(&mut TypeSpec)) {
    let found = problems(spec, Author::Admin, change);
    assert_eq!(found.iter().map(|problem| problem.field.as_str()).collect::<Vec<_>>(), [field], "{found:?}");
}

#[test]
fn all_three_kinds_are_sound_and_survive_being_written_and_read() {
    for (spec, kind) in [(local(), Kind::LocalHttp), (remote(), Kind::Remote)] {
        assert_eq!(spec.validate(Author::User), Ok(()));
        assert_eq!(spec.kind(), kind);
        assert_eq!(parsed(&serde_json::to_value(&spec).unwrap()), spec);
    }
    let spec = local();
    assert!(!spec.era_bridge && spec.replay_initialize);
    assert_eq!((spec.session_mode, spec.call_timeout_s), (SessionMode::Shared, Some(60)));
    let plain = parsed(&json!({"name": "a", "display_name": "A", "program": "/bin/a"}));
    assert_eq!(plain.validate(Author::User), Ok(()));
    assert_eq!((plain.kind(), plain.transport, plain.era_bridge), (Kind::Stdio, Transport::Stdio, true));
}

#[test]
fn the_era_bridge_is_switched_in_the_words_that_people_use() {
    for (word, expected) in
        [(json!("on"), true), (json!("off"), false), (json!(true), true), (json!(false), false)]
    {
        let spec =
            parsed(&json!({"name": "a", "display_name": "A", "program": "/bin/a", "era_bridge": word}));
        assert_eq!(spec.era_bridge, expected, "{word}");
    }
    let wrong = json!({"name": "a", "display_name": "A", "program": "/bin/a", "era_bridge": "maybe"});
    assert!(serde_json::from_value::<TypeSpec>(wrong).unwrap_err().to_string().contains("maybe"));
}

#[test]
fn a_server_on_its_standard_streams_has_a_program_and_neither_address_nor_headers() {
    let stdio = || parsed(&json!({"name": "a", "display_name": "A", "program": "/bin/a"}));
    breaks(stdio(), "program", |spec| spec.program = None);
    breaks(stdio(), "url", |spec| spec.url = Some("https://example.com/mcp".to_owned()));
    breaks(stdio(), "headers", |spec| drop(spec.headers.insert("X-A".to_owned(), "b".to_owned())));
}

#[test]
fn a_server_that_speaks_http_has_an_address() {
    breaks(local(), "url", |spec| spec.url = None);
    breaks(remote(), "url", |spec| spec.url = None);
}

#[test]
fn the_address_of_a_server_that_is_started_here_is_on_this_machine_with_the_chosen_port() {
    for good in
        ["http://127.0.0.1:${port}/mcp", "http://[::1]:${port}", "http://localhost:${port}/${config.region}"]
    {
        assert_eq!(problems(local(), Author::User, |spec| spec.url = Some(good.to_owned())), [], "{good}");
    }
    for bad in [
        "http://localhost:8080/mcp",
        "https://localhost:${port}/mcp",
        "http://example.com:${port}/mcp",
        "http://localhost:${port}1/mcp",
        "http://localhost:${port}@example.com/mcp",
        "http://user@localhost:${port}/mcp",
        "http://0.0.0.0:${port}/mcp",
        "http://localhost:${port}/a b",
        "http://localhost:${port}/a#b",
        "http://localhost:${port}/${credential.token}",
        "/mcp",
        "",
    ] {
        breaks(local(), "url", |spec| spec.url = Some(bad.to_owned()));
    }
}

#[test]
fn a_server_that_is_never_told_its_port_is_refused() {
    breaks(local(), "url", |spec| spec.args.truncate(1));
    let told = |spec: &mut TypeSpec| {
        spec.args.truncate(1);
        spec.env.insert("PORT".to_owned(), "${port}".to_owned());
    };
    assert_eq!(problems(local(), Author::User, told), []);
}

#[test]
fn a_remote_address_is_secure_and_names_its_host_without_a_user() {
    for good in ["https://mcp.example.com", "https://mcp.example.com:8443/a?b=c", "https://[2001:db8::1]/mcp"]
    {
        assert_eq!(problems(remote(), Author::User, |spec| spec.url = Some(good.to_owned())), [], "{good}");
    }
    for bad in [
        "http://mcp.example.com/mcp",
        "https://user:pass@mcp.example.com/mcp",
        "https:///mcp",
        "https://mcp.example.com/mcp#part",
        "https://mcp.example.com:${port}/mcp",
        "https://mcp.example.com/${port}",
        "https://${instance.id}.example.com/mcp",
        "https://mcp.example.com${instance.id}",
        "https://mcp.example.com/?key=${credential.token}",
        "ftp://mcp.example.com/",
        "mcp.example.com",
    ] {
        breaks(remote(), "url", |spec| spec.url = Some(bad.to_owned()));
    }
    let plain = |spec: &mut TypeSpec| {
        spec.allow_private = true;
        spec.url = Some("http://10.0.0.1:8000/mcp".to_owned());
    };
    assert_eq!(problems(remote(), Author::Admin, plain), []);
}

#[test]
fn a_remote_server_has_nothing_of_a_program() {
    breaks(remote(), "args", |spec| spec.args.push("x".to_owned()));
    breaks(remote(), "env", |spec| drop(spec.env.insert("X".to_owned(), "y".to_owned())));
    breaks(remote(), "working_dir", |spec| spec.working_dir = Some("${dir}".to_owned()));
}

#[test]
fn headers_have_good_names_that_are_not_the_bridges_own() {
    for name in [
        "Host",
        "content-length",
        "Connection",
        "Mcp-Session-Id",
        "MCP-Protocol-Version",
        "Transfer-Encoding",
        "Accept",
        "Last-Event-ID",
        "Proxy-Authorization",
        "",
        "A B",
        "A:B",
        "A\nB",
        "É",
    ] {
        let found = problems(remote(), Author::Admin, |spec| {
            spec.headers.insert(name.to_owned(), "x".to_owned());
        });
        assert_eq!(found.len(), 1, "{name:?}: {found:?}");
        assert!(found[0].field.starts_with("headers."), "{found:?}");
    }
    breaks(remote(), "headers.authorization", |spec| {
        spec.headers.insert("authorization".to_owned(), "x".to_owned());
    });
    breaks(remote(), "headers.X-A", |spec| drop(spec.headers.insert("X-A".to_owned(), "a\nb".to_owned())));
    breaks(remote(), "headers.X-A", |spec| {
        spec.headers.insert("X-A".to_owned(), "${credential.other}".to_owned());
    });
}

#[test]
fn what_opens_a_door_is_an_administrators_and_only_where_it_means_something() {
    for (spec, field) in [(remote(), "allow_private"), (local(), "allow_any_interface")] {
        let on = |spec: &mut TypeSpec| {
            spec.allow_private = field == "allow_private";
            spec.allow_any_interface = field == "allow_any_interface";
        };
        let found = problems(spec.clone(), Author::User, on);
        assert_eq!(found.iter().map(|problem| problem.field.as_str()).collect::<Vec<_>>(), [field]);
        assert_eq!(problems(spec, Author::Admin, on), []);
    }
    breaks(local(), "allow_private", |spec| spec.allow_private = true);
    breaks(remote(), "allow_any_interface", |spec| spec.allow_any_interface = true);
}

#[test]
fn only_a_server_with_sessions_can_share_one() {
    for era in [Era::Auto, Era::Legacy, Era::Dual] {
        assert_eq!(problems(local(), Author::User, |spec| spec.era = era), []);
    }
    breaks(local(), "session_mode", |spec| spec.era = Era::Modern);
}

#[test]
fn times_of_calls_have_bounds_and_an_order() {
    breaks(local(), "call_timeout_s", |spec| spec.call_timeout_s = Some(0));
    breaks(local(), "call_timeout_max_s", |spec| spec.call_timeout_max_s = Some(59));
    breaks(local(), "call_timeout_max_s", |spec| spec.call_timeout_max_s = Some(u32::MAX));
}

#[test]
fn everything_wrong_is_reported_at_once() {
    let found = problems(remote(), Author::User, |spec| {
        spec.url = Some("http://a@b/".to_owned());
        spec.headers.insert("Host".to_owned(), "x".to_owned());
        spec.allow_any_interface = true;
        spec.session_mode = SessionMode::Shared;
        spec.era = Era::Modern;
        spec.args.push("x".to_owned());
        spec.call_timeout_s = Some(0);
    });
    assert_eq!(found.len(), 7, "{found:?}");
}
