//! Commands against a service that writes down what it is asked.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use clap::Parser;
use serde_json::{Value, json};

use super::*;
use crate::globals::{GlobalArgs, Surroundings};

const ONE: &str = "0199c0de-0000-7000-8000-000000000001";
const TWO: &str = "0199c0de-0000-7000-8000-000000000002";
const OLD: &str = "0198c0de-0000-7000-8000-000000000003";

#[derive(Debug, Parser)]
#[command(name = "roadstead")]
struct Program {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: ClientCommand,
}

type Asked = Arc<Mutex<Vec<(String, Value)>>>;

fn instance(id: &str, name: &str, status: &str) -> Value {
    json!({
        "id": id, "name": name, "status": status, "type": {"name": "echo"}, "config": {"a": 1},
        "access_url": format!("http://127.0.0.1:1/i/{id}/mcp"), "token_hint": "abcd",
        "created_at": "2026-01-01T00:00:00Z", "expires_at": "2026-01-01T01:00:00Z",
    })
}

fn rotation(is_finished: bool) -> Value {
    let finished_at = is_finished.then_some("2026-01-01T00:00:00Z");
    json!({"id": "r1", "to_key": "00000001", "total": 1, "done": 1, "failed": 0, "failures": [],
        "finished_at": finished_at})
}

/// Live instances come on two pages, so that whoever reads only the first does not find the second.
fn answer(method: &Method, path: &str, query: &str) -> (StatusCode, Value) {
    let page = |rows: &[Value], next: Option<&str>| json!({"data": rows, "next_cursor": next});
    let (one, two) = (instance(ONE, "work", "running"), instance(TWO, "play", "running"));
    let old = instance(OLD, "past", "expired");
    let body = match (method.as_str(), path) {
        ("GET", "/instances") if query.contains("status=pending") => page(&[], None),
        ("GET", "/instances") if query.contains("cursor=next") => page(&[two], None),
        ("GET", "/instances") if query.contains("status=running") => page(&[one], Some("next")),
        ("GET", "/instances") => page(&[one, two, old], None),
        ("GET", "/credentials") => json!({"data": [
            {"id": "c1", "name": "mine", "type": "github"}, {"id": "c2", "name": "mine", "type": "echo"},
        ]}),
        ("GET", "/api-keys") => json!({"data": [
            {"id": "k1", "name": "ci", "is_active": false}, {"id": "k2", "name": "ci", "is_active": true},
        ]}),
        ("GET", "/master-key") => json!({"keys": [
            {"id": "00000001", "state": "sealing", "values": 1, "instances": 0},
        ], "rotation": rotation(true)}),
        ("POST", "/master-key/rotations") => rotation(false),
        ("POST", "/instances") => instance(ONE, "work", "running"),
        ("POST", path) if path.contains(OLD) => {
            return (StatusCode::CONFLICT, json!({"error": {"code": "CONFLICT", "message": "it has ended"}}));
        }
        ("POST", path) if path.ends_with("/rotate-token") => json!({"id": ONE, "access_token": "rsi_canary"}),
        ("POST" | "PATCH", _) => one,
        ("GET", "/logs/search") => page(
            &[
                json!({"instance_id": ONE, "timestamp": "2026-01-01T00:00:00Z", "level": "info", "message": "said"}),
            ],
            None,
        ),
        ("PUT", _) => json!({"id": "c1", "name": "mine", "restarted": [ONE], "failed": []}),
        ("DELETE", _) => return (StatusCode::NO_CONTENT, Value::Null),
        _ => {
            return (
                StatusCode::NOT_FOUND,
                json!({"error": {"code": "NOT_FOUND", "message": "nothing there"}}),
            );
        }
    };
    (StatusCode::OK, body)
}

async fn handle(State(asked): State<Asked>, method: Method, uri: Uri, body: String) -> Response {
    let path = uri.path().strip_prefix("/api/v1").unwrap_or_default();
    let query = uri.query().unwrap_or_default();
    if method != Method::GET {
        let target = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        let body = serde_json::from_str(&body).unwrap_or_default();
        asked.lock().unwrap().push((format!("{method} {target}"), body));
    }
    if path.ends_with("/logs") && query.contains("follow=true") {
        let line = json!({"id": "1", "timestamp": "2026-01-01T00:00:00Z", "level": "info",
            "source": "process", "message": query});
        return format!(": alive\n\nevent: log\ndata: {line}\n\n").into_response();
    }
    match answer(&method, path, query) {
        (status, Value::Null) => status.into_response(),
        (status, body) => (status, Json(body)).into_response(),
    }
}

/// Runs one command line; how it ended, and what the service was asked to change.
async fn done(line: &str) -> (Exit, Vec<(String, Value)>) {
    let asked = Asked::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let service = Router::new().fallback(handle).with_state(Arc::clone(&asked));
    let program = Program::try_parse_from(line.split_whitespace()).unwrap();
    let around = Surroundings {
        default_profile: PathBuf::from("none"),
        api_key: Some("rs_canary".into()),
        token: None,
        homes: crate::client_config::place::Homes::default(),
        no_color: true,
        command: || clap::Command::new("roadstead"),
    };
    let globals = Globals::new(GlobalArgs { url: Some(url), ..program.global }, around);
    let exit = tokio::select! {
        _ = async { axum::serve(listener, service).await } => panic!("the service ended"),
        exit = run(program.command, &globals) => exit,
    };
    let asked = asked.lock().unwrap().clone();
    (exit, asked)
}

#[tokio::test]
async fn an_instance_is_found_on_every_page_and_among_those_that_ended() {
    for (named, id) in [("work", ONE), ("play", TWO), ("past", OLD), ("0198", OLD)] {
        let (_, asked) = done(&format!("roadstead extend {named} 5m --from-now")).await;
        assert_eq!(asked, [(format!("POST /instances/{id}/extend"), json!({"expires_in": "5m"}))], "{named}");
    }
    assert_eq!(done(&format!("roadstead show {TWO}")).await.0, Exit::NotFound);
    assert_eq!(done("roadstead show nothing").await.0, Exit::NotFound);
    assert_eq!(done("roadstead show 0199c0de").await.0, Exit::Usage);
}

#[tokio::test]
async fn a_launch_asks_for_what_was_typed() {
    let line = "roadstead launch echo --name w --credential mine --config a=2 --config b=x \
                --config-json {\"a\":1,\"c\":3} --expires-in 90m --keep --autostart --no-wait --json";
    let (exit, asked) = done(line).await;
    assert_eq!(exit, Exit::Ok);
    let body = json!({
        "type": "echo", "name": "w", "credential_id": "c2", "config": {"a": 2, "b": "x", "c": 3},
        "expires_in": "90m", "keep": true, "autostart": true, "wait": "none",
    });
    assert_eq!(asked, [("POST /instances".to_owned(), body)]);
}

#[tokio::test]
async fn starting_again_asks_for_what_was_typed() {
    for (line, path, body) in [
        ("restart work", format!("{ONE}/restart"), json!({"wait": "ready"})),
        ("restore play --no-wait", format!("{TWO}/restore"), json!({"wait": "none"})),
        ("renew work", format!("{ONE}/renew"), json!({"wait": "ready"})),
        ("renew work --expires-in 8h", format!("{ONE}/renew"), json!({"wait": "ready", "expires_in": "8h"})),
    ] {
        let (exit, asked) = done(&format!("roadstead {line}")).await;
        assert_eq!((exit, asked), (Exit::Ok, vec![(format!("POST /instances/{path}"), body)]), "{line}");
    }
    let (exit, asked) = done("roadstead restore past work").await;
    assert_eq!((exit, asked.len()), (Exit::Failed, 2), "one that fails does not keep the other");
}

#[tokio::test]
async fn one_of_several_that_fails_does_not_keep_the_others() {
    let (exit, asked) = done("roadstead stop past work").await;
    assert_eq!(exit, Exit::Failed);
    let paths: Vec<&str> = asked.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, [format!("POST /instances/{OLD}/stop"), format!("POST /instances/{ONE}/stop")]);
}

#[tokio::test]
async fn a_change_and_a_change_of_many_ask_for_what_was_typed() {
    let (exit, asked) = done("roadstead patch work --name play --config a=2 --if-version 3").await;
    let body = json!({"name": "play", "config": {"a": 2}});
    assert_eq!((exit, asked), (Exit::Ok, vec![(format!("PATCH /instances/{ONE}"), body)]));
    assert_eq!(done("roadstead patch work").await.0, Exit::Usage);
    let filter = json!({"type": "echo", "status": "expired,error"});
    let dry = json!({"action": "delete", "dry_run": true, "filter": filter});
    let (exit, asked) = done("roadstead bulk delete --type echo --status expired,error").await;
    assert_eq!((exit, asked), (Exit::Ok, vec![("POST /instances/bulk".to_owned(), dry)]));
    let wet = json!({"action": "stop", "dry_run": false, "ids": [ONE, TWO]});
    let (exit, asked) = done("roadstead bulk stop work play --yes").await;
    assert_eq!((exit, asked), (Exit::Ok, vec![("POST /instances/bulk".to_owned(), wet)]));
    for line in ["bulk stop", "bulk stop work --type echo"] {
        assert_eq!(done(&format!("roadstead {line}")).await.0, Exit::Usage, "{line}");
    }
}

#[tokio::test]
async fn lines_are_searched_and_their_link_is_asked_for() {
    assert_eq!(done("roadstead logs search said --since 1h -n 5").await, (Exit::Ok, vec![]));
    let (exit, asked) = done("roadstead logs export work --format csv --level warn --link").await;
    let body = json!({"format": "csv", "level": "warn"});
    assert_eq!((exit, asked), (Exit::Ok, vec![(format!("POST /instances/{ONE}/logs/export"), body)]));
    assert_eq!(done("roadstead ps --sort ends --named wo --expires-within 1h").await.0, Exit::Ok);
}

#[tokio::test]
async fn a_slip_in_one_name_deletes_nothing() {
    let (exit, asked) = done("roadstead delete --yes work wrk").await;
    assert_eq!((exit, asked.len()), (Exit::NotFound, 0));
    let (exit, asked) = done("roadstead delete --yes work play work").await;
    assert_eq!((exit, asked.len()), (Exit::Ok, 2));
}

#[tokio::test]
async fn a_revocation_means_the_key_that_opens_something_and_keeps_the_reason() {
    let (exit, asked) = done("roadstead keys revoke ci --yes --reason a&b").await;
    assert_eq!(exit, Exit::Ok);
    assert_eq!(asked[0].0, "DELETE /api-keys/k2?reason=a%26b");
    assert_eq!(done("roadstead credentials delete mine --yes").await.0, Exit::Usage);
}

#[tokio::test]
async fn a_rotation_is_followed_to_its_end_and_a_key_is_retired_by_its_id() {
    for line in ["master-key rotate", "master-key rotate --no-wait", "master-key rotate --json"] {
        let (exit, asked) = done(&format!("roadstead {line}")).await;
        assert_eq!((exit, asked), (Exit::Ok, vec![("POST /master-key/rotations".to_owned(), json!({}))]));
    }
    let (exit, asked) = done("roadstead master-key retire 0a1b2c3d --yes").await;
    assert_eq!((exit, asked[0].0.as_str()), (Exit::Ok, "DELETE /master-key/keys/0a1b2c3d"));
    assert_eq!(done("roadstead master-key retire 0a1b2c3d").await.0, Exit::Usage, "nobody to ask");
    assert_eq!(done("roadstead master-key").await, (Exit::Ok, vec![]));
}

#[tokio::test]
async fn credentials_are_changed_tried_out_and_deleted_as_was_typed() {
    for (line, request, body) in [
        (
            "credentials change c1 --rename work --never-expires",
            "PUT /credentials/c1",
            json!({"name": "work", "expires_at": null}),
        ),
        ("credentials change c1 --expires-in 90d", "PUT /credentials/c1", json!({"expires_in": "90d"})),
        ("credentials validate c2", "POST /credentials/c2/validate", json!({})),
        ("credentials delete c2 --force --yes", "DELETE /credentials/c2?force=true", Value::Null),
        ("revoke-token work", &format!("POST /instances/{ONE}/revoke-token"), json!({})),
    ] {
        let (exit, asked) = done(&format!("roadstead {line}")).await;
        assert_eq!((exit, asked), (Exit::Ok, vec![(request.to_owned(), body)]), "{line}");
    }
    let (exit, asked) = done("roadstead credentials change c1").await;
    assert_eq!((exit, asked.len()), (Exit::Usage, 0), "nothing was said to change");
    assert_eq!(done("roadstead credentials show c1 --json").await, (Exit::Ok, vec![]));
}

#[tokio::test]
async fn logs_are_followed_to_the_end_of_the_stream() {
    assert_eq!(done("roadstead logs work -f --level warn -n 5").await.0, Exit::Ok);
    assert_eq!(done("roadstead logs work -f --json").await.0, Exit::Ok);
}

#[tokio::test]
async fn reading_changes_nothing() {
    for line in ["roadstead ps", "roadstead ps --all --json", "roadstead keys", "roadstead credentials"] {
        assert_eq!(done(line).await, (Exit::Ok, vec![]), "{line}");
    }
    assert_eq!(done("roadstead tools work").await.0, Exit::Usage);
}

#[tokio::test]
async fn a_token_that_does_not_open_an_instance_is_a_matter_of_permission() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let refuse =
        || async { (StatusCode::UNAUTHORIZED, [("www-authenticate", "Bearer realm=\"roadstead\"")]) };
    let (service, token) = (Router::new().fallback(refuse), "rsi_canary".into());
    let greeted = tokio::select! {
        _ = async { axum::serve(listener, service).await } => panic!("the service ended"),
        greeted = crate::mcp::McpClient::connect(&url, &token) => greeted,
    };
    let Err(error) = greeted else { panic!("a wrong token was let in") };
    assert_eq!(error.exit(), Exit::Permission);
    assert!(!format!("{error:?}").contains("canary"));
}

#[tokio::test]
async fn a_client_gets_its_configuration_and_no_token_ends_for_a_file_that_takes_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mcp.json");
    let line = format!("roadstead client-config work --client cursor --write --file {}", path.display());
    assert_eq!(done(&format!("{line} --dry-run")).await, (Exit::Ok, Vec::new()));
    assert!(!path.exists());
    assert_eq!(done(&line).await, (Exit::Ok, Vec::new()));
    let open = std::fs::read_to_string(&path).unwrap();
    assert!(
        open.contains(&format!("/i/{ONE}/mcp")) && open.contains("${env:ROADSTEAD_TOKEN_WORK}"),
        "{open}"
    );
    let (exit, asked) = done(&format!("{line} --rotate-token")).await;
    assert_eq!((exit, asked.len()), (Exit::Ok, 1), "{asked:?}");
    assert!(std::fs::read_to_string(&path).unwrap().contains("Bearer rsi_canary"));
    std::fs::write(&path, "{ not JSON").unwrap();
    assert_eq!(done(&format!("{line} --rotate-token")).await, (Exit::Usage, Vec::new()));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "{ not JSON");
    let generic = done("roadstead client-config work --write").await;
    assert_eq!(generic, (Exit::Usage, Vec::new()), "nobody knows its file");
    assert_eq!(done("roadstead client-config work --client windsurf --write --project").await.0, Exit::Usage);
}
