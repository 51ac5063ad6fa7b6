//! Servers written by others, launched through the REST API and driven by official clients: the Python SDK, and the
//! Inspector on its command line. Each is asked the same through the gateway and through its own port; one also by
//! an example client of the TypeScript SDK and through `mcp-remote`. `just compatibility` tries all with all.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use roadstead_test_support::app::{App, is_alive, processes_of};
use roadstead_test_support::{Subjects, wait_for};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

/// How long one run of a client may take on a busy machine.
const CLIENT_PATIENCE: Duration = Duration::from_mins(1);
/// How long what was ended may take to be gone.
const END_PATIENCE: Duration = Duration::from_secs(20);

/// What a file says that no server can know from elsewhere.
const TIDE_TABLE: &str = "High water at Lisboa: 04:17 — \u{1F30A}\n";

#[tokio::test(flavor = "multi_thread")]
async fn servers_written_by_others_answer_official_clients_through_gateway_and_port() {
    let subjects = Subjects::ready();
    let app = App::start().await;
    let data = app.data().to_owned();
    tokio::join!(
        everything_does_all_that_it_can(&app, &subjects),
        filesystem_reads_and_writes_where_it_may(&app, &subjects),
        time_is_converted_in_both_eras(&app, &subjects),
    );
    let (status, _folder) = app.interrupt().await;
    assert!(status.success(), "{status}");
    wait_for("every process of the service to be gone", END_PATIENCE, async || {
        processes_of(&data).is_empty().then_some(())
    })
    .await;
}

async fn everything_does_all_that_it_can(app: &App, subjects: &Subjects) {
    let spec = json!({"name": "everything", "display_name": "Everything", "program": subjects.node,
                      "args": [subjects.everything, "stdio"], "era": "legacy"});
    define(app, spec).await;
    let instance = Launched::new(app, subjects, json!({"type": "everything"})).await;
    let guide = "demo://resource/static/document/features.md";
    for url in instance.urls() {
        for mode in ["legacy", "auto"] {
            let steps = json!([
                {"do": "list_tools"},
                {"do": "call_tool", "name": "echo", "arguments": {"message": "ahoy ⚓"}},
                {"do": "call_tool", "name": "get-sum", "arguments": {"a": 19, "b": 23}},
                {"do": "call_tool", "name": "get-tiny-image"},
                {"do": "call_tool", "name": "trigger-long-running-operation",
                 "arguments": {"duration": 0.8, "steps": 4}},
                {"do": "list_resources"},
                {"do": "read_resource", "uri": guide},
                {"do": "get_prompt", "name": "args-prompt", "arguments": {"city": "Lisboa"}},
            ]);
            let session = instance.drive(url, mode, steps).await;
            assert_eq!(session["server"]["name"], "mcp-servers/everything", "{session}");
            let answers = session["answers"].as_array().expect("a list");
            let tools = names(&answers[0]["tools"]);
            assert!(tools.len() >= 13, "{tools:?}");
            assert!(tools.iter().any(|tool| tool == "trigger-long-running-operation"), "{tools:?}");
            assert_eq!(answers[1]["content"], json!([{"type": "text", "text": "Echo: ahoy ⚓"}]));
            assert_eq!(answers[2]["content"][0]["text"], "The sum of 19 and 23 is 42.");
            let image = &answers[3]["content"][1];
            assert_eq!(image["mimeType"], "image/png", "{image}");
            assert!(image["data"].as_str().expect("base64").starts_with("iVBORw0KGgo"), "a PNG: {image}");
            // Progress comes while the call is in flight, in order, each step once.
            assert_eq!(answers[4]["progress"], json!([[1.0, 4.0], [2.0, 4.0], [3.0, 4.0], [4.0, 4.0]]));
            let done = "Long running operation completed. Duration: 0.8 seconds, Steps: 4.";
            assert_eq!(answers[4]["content"][0]["text"], done);
            assert!(answers[5]["resources"].as_array().expect("a list").iter().any(|it| it["uri"] == guide));
            let read = answers[6]["contents"][0]["text"].as_str().expect("a text");
            assert!(read.starts_with("# Everything Server"), "{read}");
            let prompt = &answers[7]["messages"][0]["content"]["text"];
            assert_eq!(*prompt, "What's weather in Lisboa?");
        }
        let tools = instance.inspect(url, &["--method", "tools/list"]).await;
        assert!(names(&tools["tools"]).iter().any(|tool| tool == "get-tiny-image"), "{tools}");
        let echo = ["--method", "tools/call", "--tool-name", "echo", "--tool-arg", "message=ahoy"];
        assert_eq!(instance.inspect(url, &echo).await["content"][0]["text"], "Echo: ahoy");
        let read = instance.inspect(url, &["--method", "resources/read", "--uri", guide]).await;
        assert!(read["contents"][0]["text"].as_str().expect("a text").starts_with("# Everything Server"));
        let prompt =
            ["--method", "prompts/get", "--prompt-name", "args-prompt", "--prompt-args", "city=Lisboa"];
        let prompt = instance.inspect(url, &prompt).await;
        assert_eq!(prompt["messages"][0]["content"]["text"], "What's weather in Lisboa?");
    }
    // Each of the two ways by one of the two clients that take the same road underneath.
    let example = instance.example(&instance.access_url).await;
    assert_eq!(example["call"], "answered", "{example}");
    assert!(example["tools"].as_u64() >= Some(13) && example["prompts"].as_u64() >= Some(1), "{example}");
    let remote = instance.remote(&instance.port_url).await;
    assert_eq!(remote["call"], "ok", "{remote}");
    assert_eq!(remote["server"], "mcp-servers/everything 2.0.0", "{remote}");
    instance.delete().await;
}

async fn filesystem_reads_and_writes_where_it_may(app: &App, subjects: &Subjects) {
    let shared = tempfile::Builder::new().prefix("rs-shared-").tempdir().expect("a temporary folder");
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(shared.path(), open).expect("the mode of one's own folder");
    let table = shared.path().join("tides.txt");
    std::fs::write(&table, TIDE_TABLE).expect("a file of one's own folder");
    std::fs::set_permissions(&table, std::fs::Permissions::from_mode(0o644))
        .expect("the mode of one's own file");
    let spec = json!({"name": "filesystem", "display_name": "Files", "program": subjects.node,
                      "args": [subjects.filesystem, "${dir}", "${config.folder}"], "era": "legacy",
                      "config_schema": {"type": "object", "required": ["folder"], "additionalProperties": false,
                                        "properties": {"folder": {"type": "string", "format": "path"}}}});
    define(app, spec).await;
    let roots = json!({ "value": [{ "path": shared.path() }] });
    let answer = app.ask("PUT", "/settings/confinement.allowed_roots", Some(roots)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let body = json!({"type": "filesystem", "config": {"folder": shared.path()}});
    let instance = Launched::new(app, subjects, body).await;
    for (round, url) in instance.urls().into_iter().enumerate() {
        let steps = json!([
            {"do": "list_tools"},
            {"do": "call_tool", "name": "list_allowed_directories"},
            {"do": "call_tool", "name": "read_text_file", "arguments": {"path": table}},
            {"do": "call_tool", "name": "list_directory", "arguments": {"path": shared.path()}},
            {"do": "call_tool", "name": "read_text_file", "arguments": {"path": "/etc/passwd"}},
        ]);
        let session = instance.drive(url, "auto", steps).await;
        assert_eq!(session["server"]["name"], "secure-filesystem-server", "{session}");
        let answers = session["answers"].as_array().expect("a list");
        let tools = names(&answers[0]["tools"]);
        assert!(["read_text_file", "write_file"].iter().all(|it| tools.iter().any(|tool| tool == it)));
        let allowed = answers[1]["content"][0]["text"].as_str().expect("a text");
        assert!(allowed.lines().any(|line| Path::new(line) == shared.path()), "{allowed}");
        let own = allowed.lines().find(|line| line.starts_with('/') && Path::new(line) != shared.path());
        let own = Path::new(own.expect("the instance's own folder is allowed"));
        assert_eq!(answers[2]["content"][0]["text"], TIDE_TABLE);
        assert_eq!(answers[3]["content"][0]["text"], "[FILE] tides.txt");
        assert_eq!(answers[4]["isError"], true);
        assert!(answers[4]["content"][0]["text"].as_str().expect("a text").starts_with("Access denied"));

        // One client writes through one way what the other reads.
        let note = own.join(format!("note-{round}.txt"));
        let words = format!("moored at berth {round}");
        let write = json!([{"do": "call_tool", "name": "write_file",
                            "arguments": {"path": note, "content": words}}]);
        let written = instance.drive(url, "legacy", write).await;
        assert_ne!(written["answers"][0]["isError"], true, "{written}");
        assert_eq!(std::fs::read_to_string(&note).expect("the server wrote it"), words);
        let path = format!("path={}", note.display());
        let read = ["--method", "tools/call", "--tool-name", "read_text_file", "--tool-arg", &path];
        assert_eq!(instance.inspect(url, &read).await["content"][0]["text"], words);
        let tools = instance.inspect(url, &["--method", "tools/list"]).await;
        assert!(names(&tools["tools"]).iter().any(|tool| tool == "directory_tree"), "{tools}");
    }
    instance.delete().await;
}

async fn time_is_converted_in_both_eras(app: &App, subjects: &Subjects) {
    let spec = json!({"name": "time", "display_name": "Time", "program": subjects.python,
                      "args": ["-m", "mcp_server_time", "--local-timezone", "Europe/Lisbon"], "era": "dual"});
    define(app, spec).await;
    let instance = Launched::new(app, subjects, json!({"type": "time"})).await;
    let tokyo = json!({"source_timezone": "Asia/Tokyo", "time": "16:30", "target_timezone": "Asia/Kolkata"});
    for url in instance.urls() {
        for mode in ["legacy", "auto"] {
            let steps = json!([
                {"do": "list_tools"},
                {"do": "call_tool", "name": "convert_time", "arguments": tokyo},
                {"do": "call_tool", "name": "get_current_time", "arguments": {"timezone": "Not/Anywhere"}},
            ]);
            let session = instance.drive(url, mode, steps).await;
            assert_eq!(session["server"]["name"], "mcp-time", "{session}");
            let modern = session["protocol"].as_str().expect("a version") >= "2026";
            assert_eq!(
                modern,
                mode == "auto",
                "a server of both eras speaks the newer where asked: {session}"
            );
            let answers = session["answers"].as_array().expect("a list");
            assert_eq!(names(&answers[0]["tools"]), ["get_current_time", "convert_time"]);
            let converted = &answers[1]["structuredContent"];
            assert_eq!(converted["time_difference"], "-3.5h", "{session}");
            assert!(converted["target"]["datetime"].as_str().expect("a time").ends_with("T13:00:00+05:30"));
            assert_eq!(answers[2]["isError"], true, "{session}");
        }
        let mut convert = vec!["--method", "tools/call", "--tool-name", "convert_time", "--tool-args-json"];
        let arguments = tokyo.to_string();
        convert.push(&arguments);
        assert_eq!(instance.inspect(url, &convert).await["structuredContent"]["time_difference"], "-3.5h");
    }
    instance.delete().await;
}

/// A running instance and the clients that drive it.
struct Launched<'a> {
    app: &'a App,
    subjects: &'a Subjects,
    id: String,
    token: String,
    access_url: String,
    port_url: String,
    server: i32,
}

impl<'a> Launched<'a> {
    async fn new(app: &'a App, subjects: &'a Subjects, body: Value) -> Self {
        let instance = app.launch(body).await;
        let field =
            |name: &str| instance[name].as_str().unwrap_or_else(|| panic!("{name} of {instance}")).to_owned();
        let server = instance["process_id"].as_i64().and_then(|id| i32::try_from(id).ok());
        let server = server.expect("a running instance has a process");
        assert!(is_alive(server), "{instance}");
        Self {
            app,
            subjects,
            id: field("id"),
            token: field("access_token"),
            access_url: field("access_url"),
            port_url: field("port_url"),
            server,
        }
    }

    fn urls(&self) -> [&str; 2] {
        [&self.access_url, &self.port_url]
    }

    /// Takes steps with the Python SDK; answers with what the script wrote.
    async fn drive(&self, url: &str, mode: &str, steps: Value) -> Value {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("subjects/drive.py");
        let plan = json!({"url": url, "token": self.token, "mode": mode, "steps": steps});
        run(&self.subjects.python, &[&text(&script)], &plan.to_string()).await
    }

    /// Runs the Inspector; answers with the result of the one method that it calls.
    async fn inspect(&self, url: &str, arguments: &[&str]) -> Value {
        let (script, header) =
            (text(&self.subjects.inspector), format!("Authorization: Bearer {}", self.token));
        let mut all = vec![&*script, "--cli", url, "--transport", "http", "--header", &header];
        all.extend(["--format", "json"]);
        all.extend(arguments);
        let mut answer = run(&self.subjects.node, &all, "").await;
        answer["result"].take()
    }

    /// Drives the interactive example client of the TypeScript SDK; answers with what was read of its screen.
    async fn example(&self, url: &str) -> Value {
        let plan = json!({"url": url, "token": self.token, "mode": "interactive", "offers": {"prompts": true},
                          "examples": self.subjects.sdk_examples,
                          "call": {"name": "echo", "arguments": {"message": "ahoy"}}});
        run(&self.subjects.node, &[&driver("ts_examples.mjs")], &plan.to_string()).await
    }

    /// Connects the Python SDK to `mcp-remote`, which connects to the instance.
    async fn remote(&self, url: &str) -> Value {
        let home = tempfile::tempdir().expect("a temporary folder");
        // It fills the variable in itself: the token stands in no command line.
        let header = "Authorization:${SUBJECT_HEADER}";
        let command = json!([self.subjects.node, self.subjects.mcp_remote, url, "--header", header]);
        let plan = json!({"command": command, "mode": "legacy",
                          "env": {"MCP_REMOTE_CONFIG_DIR": home.path(),
                                  "SUBJECT_HEADER": format!("Bearer {}", self.token)},
                          "call": {"name": "echo", "arguments": {"message": "ahoy"}}});
        run(&self.subjects.python, &[&driver("python_sdk.py")], &plan.to_string()).await
    }

    /// Deletes the instance; its server has to go with it.
    async fn delete(self) {
        let answer = self.app.ask("DELETE", &format!("/instances/{}", self.id), None).await;
        assert_eq!(answer.status, 204, "{answer:?}");
        wait_for("the server of a deleted instance to end", END_PATIENCE, async || {
            (!is_alive(self.server)).then_some(())
        })
        .await;
    }
}

/// Defines a type whose server runs by an absolute path.
async fn define(app: &App, spec: Value) {
    let answer = app.ask("POST", "/types", Some(spec)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

/// Runs a client in a home of its own; answers with the JSON that it wrote.
#[expect(clippy::disallowed_methods, reason = "the clients are no part of the product")]
async fn run(program: &Path, arguments: &[&str], input: &str) -> Value {
    let home = tempfile::tempdir().expect("a temporary folder");
    let mut command = tokio::process::Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env("HOME", home.path())
        .env("PATH", "/usr/bin:/bin")
        .kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the client starts");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(input.as_bytes()).await.expect("the client reads what to do");
    drop(stdin);
    let output = tokio::time::timeout(CLIENT_PATIENCE, child.wait_with_output())
        .await
        .unwrap_or_else(|_| panic!("no answer of {} within {CLIENT_PATIENCE:?}", arguments[0]))
        .expect("the client's output");
    let (said, wrote) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    // Not what it was told: a token is in it.
    assert!(output.status.success(), "{}: {}\n{said}\n{wrote}", arguments[0], output.status);
    serde_json::from_str(&wrote).unwrap_or_else(|error| panic!("{error} in {wrote}"))
}

/// A driver of the compatibility table.
fn driver(name: &str) -> String {
    text(&Path::new(env!("CARGO_MANIFEST_DIR")).join("matrix/drivers").join(name))
}

/// The names of listed things.
fn names(list: &Value) -> Vec<String> {
    let list = list.as_array().unwrap_or_else(|| panic!("a list: {list}"));
    list.iter().map(|one| one["name"].as_str().expect("everything listed has a name").to_owned()).collect()
}

fn text(path: &Path) -> String {
    PathBuf::from(path).into_os_string().into_string().expect("a build lies under a readable path")
}
