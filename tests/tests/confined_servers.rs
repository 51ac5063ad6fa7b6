//! Servers written by others, unchanged, behind all walls: a handshake, their tools, and a call that does something.

#[path = "support/attack/machine.rs"]
mod machine;
#[path = "support/reached.rs"]
mod reached;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use nix::unistd::geteuid;
use roadstead_test_support::Subjects;
use roadstead_test_support::app::App;
use roadstead_test_support::raw::{Session, http_client, only_answer};
use roadstead_test_support::subjects::install::{Locks, installed};
use serde_json::{Value, json};

use machine::{MACHINES, Who, answered, owned_by};

/// A server with a large tree of packages below it.
const HEAVY: Locks = Locks {
    package: include_str!("../subjects/heavy/package.json"),
    package_lock: include_str!("../subjects/heavy/package-lock.json"),
    requirements: "",
};
/// What a file says that no server can know from elsewhere.
const TIDES: &str = "High water at Lisboa: 04:17";

#[tokio::test(flavor = "multi_thread")]
async fn servers_written_by_others_run_unchanged_behind_all_walls() {
    if !geteuid().is_root() {
        println!("skipped: only root can be root and another user");
        return;
    }
    if let Some(less) = reached::less_than_full() {
        println!("skipped: this machine lacks what the highest level needs: {less}");
        return;
    }
    let subjects = Subjects::ready();
    let heavy = installed(&HEAVY, Some(&subjects.node)).unwrap_or_else(|problem| panic!("{problem}"));
    for machine in MACHINES.iter().filter(|it| it.is_best() && it.who != Who::UserWithoutNamespaces) {
        let running = machine.start().await;
        let app = &running.app;
        println!("{:?}: {}", machine.who, machine.level);
        everything_adds(app, &subjects, machine.level).await;
        files_are_read_and_written(app, &subjects, machine.level, running.user).await;
        time_is_converted(app, &subjects, machine.level).await;
        a_large_tree_answers(app, &subjects, &heavy, machine.level).await;
    }
}

async fn everything_adds(app: &App, subjects: &Subjects, level: &str) {
    let spec = json!({"name": "everything", "display_name": "Everything", "program": subjects.node,
                      "args": [subjects.everything, "stdio"], "era": "legacy"});
    let client = Client::of(app, spec, json!({}), level).await;
    assert!(client.tools().await.len() >= 13);
    let sum = client.call("get-sum", json!({"a": 19, "b": 23})).await;
    assert_eq!(sum["content"][0]["text"], "The sum of 19 and 23 is 42.", "{sum}");
}

async fn files_are_read_and_written(app: &App, subjects: &Subjects, level: &str, user: u32) {
    let shared = tempfile::Builder::new().prefix("rs-shared-").tempdir_in("/var/tmp").expect("a folder");
    // As root an instance has a user of its own: what it may change is open to others as well.
    let mode = if user == 0 { 0o777 } else { 0o755 };
    std::fs::set_permissions(shared.path(), Permissions::from_mode(mode)).expect("its mode");
    owned_by(shared.path(), user);
    let table = shared.path().join("tides.txt");
    std::fs::write(&table, TIDES).expect("a file");
    std::fs::set_permissions(&table, Permissions::from_mode(0o644)).expect("its mode");
    let roots = json!({"value": [{"path": shared.path(), "access": "read-write"}]});
    answered(&app.ask("PUT", "/settings/confinement.allowed_roots", Some(roots)).await, 200);
    let folder = json!({"type": "string", "format": "path", "x-access": "read-write"});
    let spec = json!({"name": "files", "display_name": "Files", "program": subjects.node,
                      "args": [subjects.filesystem, "${config.folder}"], "era": "legacy",
                      "config_schema": {"type": "object", "required": ["folder"], "properties": {"folder": folder}}});
    let client = Client::of(app, spec, json!({"folder": shared.path()}), level).await;
    assert!(client.tools().await.iter().any(|tool| tool == "write_file"));
    let read = client.call("read_text_file", json!({"path": table})).await;
    assert_eq!(read["content"][0]["text"], TIDES, "{read}");
    let note = shared.path().join("note.txt");
    let written = client.call("write_file", json!({"path": note, "content": "moored"})).await;
    assert_ne!(written["isError"], true, "{written}");
    assert_eq!(std::fs::read_to_string(&note).expect("the server wrote it"), "moored");
}

async fn time_is_converted(app: &App, subjects: &Subjects, level: &str) {
    let spec = json!({"name": "time", "display_name": "Time", "program": subjects.python,
                      "args": ["-m", "mcp_server_time", "--local-timezone", "Europe/Lisbon"], "era": "legacy"});
    let client = Client::of(app, spec, json!({}), level).await;
    assert_eq!(client.tools().await.len(), 2);
    let asked = json!({"source_timezone": "Asia/Tokyo", "time": "16:30", "target_timezone": "Asia/Kolkata"});
    let converted = client.call("convert_time", asked).await;
    let text = converted["content"][0]["text"].as_str().unwrap_or_default();
    assert!(text.contains("13:00:00+05:30"), "{converted}");
}

async fn a_large_tree_answers(app: &App, subjects: &Subjects, heavy: &Path, level: &str) {
    let script = heavy.join("node_modules/mongodb-mcp-server/dist/index.js");
    let spec = json!({"name": "mongodb", "display_name": "MongoDB", "program": subjects.node, "args": [script],
                      "era": "legacy", "env": {"MDB_MCP_TELEMETRY": "disabled"}});
    let client = Client::of(app, spec, json!({}), level).await;
    let tools = client.tools().await;
    assert!(tools.iter().any(|tool| tool == "connect"), "{tools:?}");
    // There is no such database, and the server says so: it got as far as looking for one.
    let asked = json!({"connectionString": "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=500"});
    let said = client.call("connect", asked).await;
    assert!(said["content"][0]["text"].as_str().is_some_and(|text| text.len() > 20), "{said}");
}

/// A client of a fresh instance.
struct Client(Session);

impl Client {
    async fn of(app: &App, spec: Value, config: Value, level: &str) -> Self {
        let launch = json!({"type": spec["name"], "config": config});
        answered(&app.ask("POST", "/types", Some(spec)).await, 201);
        let row = app.launch(launch).await;
        assert_eq!(row["confinement"]["level"], level, "{row}");
        let text = |name: &str| row[name].as_str().expect("a text").to_owned();
        Self(Session::open(&http_client(false), &text("access_url"), &text("access_token")).await)
    }

    async fn tools(&self) -> Vec<String> {
        let message = json!({"jsonrpc": "2.0", "id": "tools", "method": "tools/list"});
        let answer = only_answer(self.0.send(&message).await).await;
        let tools = answer["result"]["tools"].as_array().unwrap_or_else(|| panic!("{answer}"));
        tools.iter().map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect()
    }

    async fn call(&self, tool: &str, arguments: Value) -> Value {
        let answer = self.0.call(&json!(tool), tool, &arguments).await;
        assert!(answer["result"].is_object(), "{answer}");
        answer["result"].clone()
    }
}
