//! The start, the end and the eras of a conversation, in raw lines; and which tools are offered.

use std::collections::BTreeSet;

use nix::sys::signal::{Signal, kill};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout};

use crate::fake::{Answer, Fake, TOKEN};
use crate::fixtures::whole_user;
use crate::program::{PATIENCE, Program, say, spawn};

type Heard = Lines<BufReader<ChildStdout>>;

async fn ask(input: &mut ChildStdin, heard: &mut Heard, message: Value) -> Value {
    say(input, &message).await;
    let line = tokio::time::timeout(PATIENCE, heard.next_line()).await.expect("it answers");
    let answer: Value = serde_json::from_str(&line.expect("a line").expect("an answer")).expect("JSON");
    assert_eq!(answer["id"], message["id"], "{answer}");
    answer
}

fn request(id: u64, method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

#[tokio::test]
async fn both_eras_are_served() {
    let fake = Fake::start().await;
    fake.on("GET /users/octocat", [Answer::ok(&whole_user("octocat"))]);
    let call = json!({ "name": "get_user", "arguments": { "login": "octocat" } });
    let url = fake.url();
    let environment = [("GITHUB_TOKEN", TOKEN), ("GITHUB_API_URL", url.as_str())];

    let (process, mut input, output) = spawn(&[], &environment);
    let mut heard = BufReader::new(output).lines();
    // What comes too early does no harm.
    say(
        &mut input,
        &json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 9 } }),
    )
    .await;
    let client = json!({ "name": "test", "version": "1" });
    let params = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client });
    let answer = ask(&mut input, &mut heard, request(1, "initialize", &params)).await;
    assert_eq!(answer["result"]["protocolVersion"], "2025-06-18");
    assert_eq!(answer["result"]["serverInfo"]["name"], "roadstead-github");
    assert!(answer["result"]["instructions"].as_str().expect("words").contains("next_page"));
    say(&mut input, &json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
    let answer = ask(&mut input, &mut heard, request(2, "tools/call", &call)).await;
    assert_eq!(answer["result"]["structuredContent"]["login"], "octocat", "{answer}");
    drop(input);
    let (status, said) = process.end().await;
    assert!(status.success() && said.is_empty(), "{status}: {said}");

    let (process, mut input, output) = spawn(&[], &environment);
    let mut heard = BufReader::new(output).lines();
    let mut params = call;
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": client,
    });
    let answer = ask(&mut input, &mut heard, request(1, "tools/call", &params)).await;
    assert_eq!(answer["result"]["structuredContent"]["login"], "octocat", "{answer}");
    assert_eq!(answer["result"]["resultType"], "complete");
    kill(process.pid(), Signal::SIGTERM).expect("it can be signalled");
    let (status, said) = process.end().await;
    assert!(status.success() && said.is_empty(), "{status}: {said}");
}

#[tokio::test]
async fn what_is_configured_wrongly_is_said_and_no_secret_with_it() {
    let wrong = "canary with spaces";
    let cases: [(&[(&str, &str)], &str); 6] = [
        (&[], "GITHUB_TOKEN is not set"),
        (&[("GITHUB_TOKEN", "  ")], "GITHUB_TOKEN is not set"),
        (&[("GITHUB_TOKEN", wrong)], "no token has"),
        (
            &[("GITHUB_TOKEN", TOKEN), ("GITHUB_API_URL", "http://github.example.com")],
            "must begin with https://",
        ),
        (
            &[("GITHUB_TOKEN", TOKEN), ("GITHUB_API_URL", "https://u:canary@github.com")],
            "user name or a password",
        ),
        (&[("GITHUB_TOKEN_FILE", "/nowhere/at/all")], "could not read the file that GITHUB_TOKEN_FILE names"),
    ];
    for (environment, words) in cases {
        let (process, input, _output) = spawn(&[], environment);
        let (status, said) = process.end().await;
        assert_eq!(status.code(), Some(78), "{said}");
        assert!(said.contains(words), "{said}");
        drop(input);
    }
}

#[tokio::test]
async fn the_token_may_come_in_a_file() {
    let fake = Fake::start().await;
    fake.on("GET /users/octocat", [Answer::ok(&whole_user("octocat"))]);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    std::fs::write(&file, format!("{TOKEN}\n")).expect("a file");
    let url = fake.url();
    let path = file.to_str().expect("a plain path");
    let environment = [("GITHUB_TOKEN_FILE", path), ("GITHUB_API_URL", url.as_str())];
    let (process, input, output) = spawn(&[], &environment);
    let listener = crate::program::Listener::default();
    let client =
        rmcp::ServiceExt::serve(listener.clone(), (output, input)).await.expect("a conversation begins");
    let program = Program { client, listener, process };
    program.succeeds("get_user", &json!({ "login": "octocat" })).await;
    program.finish().await;
}

async fn offered(fake: &Fake, arguments: &[&str]) -> BTreeSet<String> {
    let program = Program::start_with(fake, arguments).await;
    let names = program.tools().await.iter().map(|tool| tool.name.to_string()).collect();
    program.finish().await;
    names
}

#[tokio::test]
async fn groups_are_chosen_and_what_changes_something_is_left_out() {
    let fake = Fake::start().await;
    let program = Program::start(&fake).await;
    let all = program.tools().await;
    let reading: BTreeSet<String> = all
        .iter()
        .filter(|tool| tool.annotations.as_ref().and_then(|hints| hints.read_only_hint) == Some(true))
        .map(|tool| tool.name.to_string())
        .collect();
    program.finish().await;
    assert!(
        reading.contains("get_file")
            && !reading.contains("write_file")
            && !reading.contains("merge_pull_request")
    );
    assert_eq!(offered(&fake, &["--read-only"]).await, reading);

    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(
        offered(&fake, &["--toolsets", "users,releases", "--read-only=true"]).await,
        names(&["get_me", "get_user", "get_release", "list_releases"])
    );
    assert_eq!(
        offered(&fake, &["--toolsets", "files", "--read-only=false"]).await,
        names(&["get_file", "list_directory", "write_file", "delete_file", "push_files"])
    );
    let program = Program::start_with(&fake, &["--read-only"]).await;
    let arguments = json!({ "owner": "octocat", "repo": "Hello-World", "title": "t" });
    let called = program.client.call_tool(crate::program::params("create_issue", &arguments)).await;
    assert!(called.is_err(), "a tool that is not offered was called");
    assert!(fake.seen().is_empty());
    program.finish().await;
}
