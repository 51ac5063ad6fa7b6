//! Servers that speak HTTP themselves, started here or reached by their address: launched through the REST API and
//! driven by an official client, as any other.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use roadstead_test_support::app::{Answer, App, command_line, is_alive, processes_of, programs};
use roadstead_test_support::{Subjects, wait_for};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::drive::drive;

/// How long anything here may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
/// A secret that sings wherever it is seen.
const CANARY: &str = "canary-7f3a91c2e5d84b60";

/// The folder that holds the Python server, where the instances' users may read it.
struct Script(tempfile::TempDir);

impl Script {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("rs-http-").tempdir().expect("a temporary folder");
        let mode = |bits| std::fs::Permissions::from_mode(bits);
        std::fs::set_permissions(folder.path(), mode(0o755)).expect("the mode of one's own folder");
        let script = folder.path().join("http_server.py");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("subjects/http_server.py");
        std::fs::copy(source, &script).expect("the script is there");
        std::fs::set_permissions(&script, mode(0o644)).expect("the mode of one's own file");
        Self(folder)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("http_server.py")
    }

    /// A type that runs it on the loopback address, with a credential in a header.
    fn spec(&self, subjects: &Subjects, name: &str, transport: &str, path: &str) -> Value {
        let word = if transport == "sse" { "sse" } else { "streamable-http" };
        json!({
            "name": name, "display_name": name, "program": subjects.python,
            "args": [self.path(), word, "127.0.0.1", "${port}"],
            "transport": transport, "url": format!("http://127.0.0.1:${{port}}{path}"),
            "headers": {"X-Api-Key": "Key ${credential.token}"},
            "credential_slots": [{"name": "token", "label": "Token"}],
            "resource_limits": {"processes": 128}, "era": "legacy",
        })
    }
}

async fn define(app: &App, spec: Value) {
    let answer = app.ask("POST", "/types", Some(spec)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} of {value}"))
}

fn process(instance: &Value) -> i32 {
    instance["process_id"].as_i64().and_then(|pid| i32::try_from(pid).ok()).expect("a process")
}

fn reason(answer: &Answer) -> &str {
    let details = answer.body["error"]["details"].as_array().expect("an error has details");
    let found = details.iter().find(|detail| detail["field"] == "reason").expect("a reason");
    found["message"].as_str().expect("a word")
}

fn hash_of(value: &str) -> String {
    hex::encode(Sha256::digest(value))
}

async fn end(app: App) {
    let data = app.data().to_owned();
    let (status, _folder) = app.interrupt().await;
    assert!(status.success(), "{status}");
    wait_for("every process of the service to be gone", PATIENCE, async || {
        processes_of(&data).is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_speaks_http_serves_sessions_from_one_process_through_gateway_and_port() {
    let subjects = Subjects::ready();
    let app = App::start().await;
    for (name, word, transport, path) in
        [("streamable", "streamableHttp", "streamable_http", "/mcp"), ("events", "sse", "sse", "/sse")]
    {
        let spec = json!({
            "name": name, "display_name": name, "program": subjects.node, "args": [subjects.everything, word],
            "env": {"PORT": "${port}"}, "transport": transport,
            "url": format!("http://localhost:${{port}}{path}"),
            "allow_any_interface": true, "era": "legacy",
        });
        define(&app, spec).await;
        let instance = app.launch(json!({ "type": name })).await;
        let token = text(&instance, "access_token");
        let steps = json!([
            {"do": "list_tools"},
            {"do": "call_tool", "name": "echo", "arguments": {"message": "ahoy ⚓"}},
            {"do": "call_tool", "name": "trigger-long-running-operation", "arguments": {"duration": 0.8, "steps": 4}},
            {"do": "read_resource", "uri": "demo://resource/static/document/features.md"},
        ]);
        let (through_gateway, through_port) = tokio::join!(
            drive(&subjects, text(&instance, "access_url"), token, "legacy", steps.clone()),
            drive(&subjects, text(&instance, "port_url"), token, "legacy", steps.clone()),
        );
        for session in [through_gateway, through_port] {
            assert_eq!(session["server"]["name"], "mcp-servers/everything", "{session}");
            let answers = session["answers"].as_array().expect("a list");
            assert!(answers[0]["tools"].as_array().expect("a list").len() >= 13, "{session}");
            assert_eq!(answers[1]["content"], json!([{"type": "text", "text": "Echo: ahoy ⚓"}]));
            assert_eq!(answers[2]["progress"], json!([[1.0, 4.0], [2.0, 4.0], [3.0, 4.0], [4.0, 4.0]]));
            let read = answers[3]["contents"][0]["text"].as_str().expect("a text");
            assert!(read.starts_with("# Everything Server"), "{read}");
        }
        let id = text(&instance, "id");
        let after = app.instance(id).await;
        assert_eq!(after["status"], "running", "{after}");
        assert_eq!(after["process_id"], instance["process_id"], "one process for all sessions");
        let logs = app.ask("GET", &format!("/instances/{id}/logs?limit=100"), None).await;
        assert!(
            logs.body.to_string().contains("server"),
            "what it writes on its outputs is its log: {logs:?}"
        );
        assert_eq!(app.ask("DELETE", &format!("/instances/{id}"), None).await.status, 204);
        wait_for("the server to be gone", PATIENCE, async || (!is_alive(process(&instance))).then_some(()))
            .await;
    }
    end(app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_reaches_the_server_in_a_header_and_is_seen_nowhere_else() {
    let subjects = Subjects::ready();
    let script = Script::new();
    let app = App::start().await;
    for (name, transport, path) in [("streamable", "streamable_http", "/mcp"), ("events", "sse", "/sse")] {
        define(&app, script.spec(&subjects, name, transport, path)).await;
        let body = json!({"type": name, "credentials": {"token": CANARY}});
        let instance = app.launch(body).await;
        let steps = json!([
            {"do": "call_tool", "name": "header", "arguments": {"name": "x-api-key"}},
            {"do": "call_tool", "name": "header", "arguments": {"name": "authorization"}},
            {"do": "call_tool", "name": "process"},
        ]);
        let (url, token) = (text(&instance, "access_url"), text(&instance, "access_token"));
        let session = drive(&subjects, url, token, "legacy", steps).await;
        let said = |index: usize| session["answers"][index]["content"][0]["text"].as_str().expect("a text");
        assert_eq!(said(0), hash_of(&format!("Key {CANARY}")), "{session}");
        assert_eq!(said(1), hash_of(""), "the caller's own token stays with us");

        let logs = wait_for("the server's careless words to be stored", PATIENCE, async || {
            let path = format!("/instances/{}/logs?limit=100", text(&instance, "id"));
            let logs = app.ask("GET", &path, None).await.body.to_string();
            (logs.matches("x-api-key is Key [masked]").count() >= 2).then_some(logs)
        })
        .await;
        let events = app.ask("GET", &format!("/instances/{}/events", text(&instance, "id")), None).await;
        let shown = app.instance(text(&instance, "id")).await;
        let types = app.ask("GET", &format!("/types/{name}"), None).await;
        for place in [logs, events.body.to_string(), shown.to_string(), types.body.to_string(), app.log()] {
            assert!(!place.contains(CANARY), "the canary sings");
        }
        nobody_names_it();
    }
    end(app).await;
}

/// No process has the canary in its arguments.
#[track_caller]
fn nobody_names_it() {
    for entry in std::fs::read_dir("/proc").expect("/proc can be read").flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let named = pid.is_some_and(|pid| command_line(pid).contains(CANARY));
        assert!(!named, "the canary sings in the arguments of {pid:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_listens_to_the_network_is_refused_unless_an_admin_allows_it() {
    let subjects = Subjects::ready();
    let app = App::start().await;
    let spec = json!({
        "name": "open", "display_name": "Open", "program": subjects.node,
        "args": [subjects.everything, "streamableHttp"], "env": {"PORT": "${port}"},
        "transport": "streamable_http", "url": "http://localhost:${port}/mcp",
    });
    define(&app, spec).await;
    let answer = app.ask("POST", "/instances", Some(json!({"type": "open"}))).await;
    assert_eq!((answer.status, reason(&answer)), (502, "LISTENS_PUBLICLY"), "{answer:?}");
    let message = answer.body["error"]["message"].as_str().expect("a text");
    assert!(message.contains("allow_any_interface"), "it says what to do: {message}");
    end(app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_or_never_listens_ends_its_instance_with_the_cause() {
    let subjects = Subjects::ready();
    let script = Script::new();
    let app = App::start().await;
    let mut mortal = script.spec(&subjects, "mortal", "streamable_http", "/mcp");
    mortal["restart"] = json!("never");
    define(&app, mortal).await;
    let instance = app.launch(json!({"type": "mortal", "credentials": {"token": CANARY}})).await;
    kill(Pid::from_raw(process(&instance)), Signal::SIGKILL).expect("it runs");
    app.wait_status(text(&instance, "id"), "disconnected", PATIENCE).await;

    let mut quits = script.spec(&subjects, "quits", "streamable_http", "/mcp");
    quits["args"] = json!(["-c", "import sys; sys.stderr.write('no harbour\\n'); sys.exit(3)", "${port}"]);
    define(&app, quits).await;
    let body = json!({"type": "quits", "credentials": {"token": CANARY}});
    let answer = app.ask("POST", "/instances", Some(body)).await;
    assert_eq!((answer.status, reason(&answer)), (502, "SERVER_EXITED"), "{answer:?}");
    assert!(answer.body.to_string().contains("no harbour"), "{answer:?}");

    let mut deaf = script.spec(&subjects, "deaf", "streamable_http", "/mcp");
    deaf["args"] = json!(["-c", "import time; time.sleep(60)", "${port}"]);
    deaf["ready_timeout_s"] = json!(2);
    define(&app, deaf).await;
    let body = json!({"type": "deaf", "credentials": {"token": CANARY}});
    let answer = app.ask("POST", "/instances", Some(body)).await;
    assert_eq!((answer.status, reason(&answer)), (504, "READY_TIMEOUT"), "{answer:?}");
    end(app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remote_server_is_reached_by_its_address_with_the_credential_as_header() {
    assert!(programs().join("roadstead-relay").is_file(), "build the programs first: cargo build --release");
    let subjects = Subjects::ready();
    let script = Script::new();
    let app = App::start().await;
    for (transport, word, path) in [("streamable_http", "streamable-http", "/mcp"), ("sse", "sse", "/sse")] {
        let server = Elsewhere::start(&subjects, &script, word);
        let name = transport.replace('_', "-");
        let mut spec = json!({
            "name": name, "display_name": name, "transport": transport,
            "url": format!("http://127.0.0.1:{}{path}", server.port),
            "headers": {"X-Api-Key": "Key ${credential.token}"},
            "credential_slots": [{"name": "token", "label": "Token"}], "era": "legacy",
        });
        let refused = app.ask("POST", "/types", Some(spec.clone())).await;
        assert_eq!(refused.status, 422, "not without TLS unless it is allowed: {refused:?}");
        spec["allow_private"] = json!(true);
        define(&app, spec).await;
        server.listens().await;
        let instance = app.launch(json!({"type": name, "credentials": {"token": CANARY}})).await;
        let steps = json!([
            {"do": "call_tool", "name": "header", "arguments": {"name": "x-api-key"}},
            {"do": "call_tool", "name": "process"},
        ]);
        for url in ["access_url", "port_url"] {
            let token = text(&instance, "access_token");
            let session = drive(&subjects, text(&instance, url), token, "legacy", steps.clone()).await;
            let said =
                |index: usize| session["answers"][index]["content"][0]["text"].as_str().expect("a text");
            assert_eq!(said(0), hash_of(&format!("Key {CANARY}")), "{session}");
            assert_eq!(said(1), server.child.id().to_string(), "{session}");
        }
        let path = format!("/instances/{}/logs?limit=100", text(&instance, "id"));
        let logs = app.ask("GET", &path, None).await.body.to_string();
        let shown = app.instance(text(&instance, "id")).await.to_string();
        assert!(!logs.contains(CANARY) && !shown.contains(CANARY) && !app.log().contains(CANARY));
        nobody_names_it();
    }
    end(app).await;
}

/// A server that somebody else runs.
struct Elsewhere {
    child: std::process::Child,
    port: u16,
}

impl Elsewhere {
    #[expect(clippy::disallowed_methods, reason = "somebody else's server is no part of the product")]
    fn start(subjects: &Subjects, script: &Script, transport: &str) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a free port");
        let mut command = std::process::Command::new(&subjects.python);
        command.arg(script.path()).args([transport, "127.0.0.1", &free.port().to_string()]).env_clear();
        command.stdin(std::process::Stdio::null());
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        Self { child: command.spawn().expect("the server starts"), port: free.port() }
    }

    async fn listens(&self) {
        wait_for("somebody else's server to listen", PATIENCE, async || {
            tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.ok()
        })
        .await;
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
