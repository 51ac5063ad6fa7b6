//! Types made of packages of public registries and of what others wrote about servers: installed once, confined, launched
//! without a package manager, moved to another version and back under a running instance.

use crate::support::ways;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use roadstead_test_support::app::{Answer, App, AppOptions};
use roadstead_test_support::raw::{Session, http_client, only_answer};
use roadstead_test_support::{Subjects, wait_for};
use serde_json::{Value, json};

/// A value that is in a client's configuration and must be nowhere else.
const CANARY: &str = "ghp_canary0000000000000000000000000000";

async fn service() -> App {
    App::start_with(AppOptions { environment: ways::of_this_machine(), ..AppOptions::default() }).await
}

fn has(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.body["error"]["code"].as_str()), (status, Some(code)), "{answer:?}");
}

async fn imported(app: &App, body: Value) -> Value {
    let answer = app.ask("POST", "/types/import", Some(body)).await;
    assert_eq!(answer.status, 201, "{answer:?}\n{}", app.log());
    answer.body
}

struct Client(Session, Value);

impl Client {
    async fn of(app: &App, launch: Value) -> Self {
        let row = app.launch(launch).await;
        let text = |name: &str| row[name].as_str().expect("a text").to_owned();
        Self(
            Session::open(&http_client(false), &text("access_url"), &text("access_token")).await,
            row.clone(),
        )
    }

    async fn tools(&self) -> usize {
        let message = json!({"jsonrpc": "2.0", "id": "tools", "method": "tools/list"});
        let answer = only_answer(self.0.send(&message).await).await;
        answer["result"]["tools"].as_array().unwrap_or_else(|| panic!("{answer}")).len()
    }

    async fn text(&self, tool: &str, arguments: Value) -> String {
        let answer = self.0.call(&json!(tool), tool, &arguments).await;
        answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn packages_become_types_that_launch_without_a_package_manager() {
    let app = service().await;
    let source = "npm:@modelcontextprotocol/server-everything@2026.8.31";
    let looked = app.ask("POST", "/types/import", Some(json!({"source": source, "dry_run": true}))).await;
    assert_eq!((looked.status, &looked.body["type"]), (200, &Value::Null), "{looked:?}");
    assert!(!app.data().join("packages/npm").exists(), "a dry run installs nothing");

    let body = json!({"source": source, "name": "everything", "args": ["stdio"]});
    let made = imported(&app, body.clone()).await;
    let package = &made["type"]["package"];
    assert_eq!(package["version"], "2026.8.31", "{made}");
    assert!(package["integrity"].as_str().is_some_and(|hash| hash.starts_with("sha512-")), "{made}");
    let tree = Path::new(package["tree"].as_str().expect("a path"));
    assert!(tree.join("package-lock.json").is_file());
    assert_eq!(made["type"]["args"][0], "--preserve-symlinks", "no module of it is a link: {made}");
    has(&app.ask("POST", "/types/import", Some(body)).await, 422, "VALIDATION_FAILED");

    let client = Client::of(&app, json!({"type": "everything"})).await;
    assert!(client.tools().await >= 13);
    let sum = client.text("get-sum", json!({"a": 19, "b": 23})).await;
    assert_eq!(sum, "The sum of 19 and 23 is 42.");

    let time = imported(
        &app,
        json!({"source": "pypi:mcp-server-time", "name": "time", "args": ["--local-timezone", "Europe/Lisbon"]}),
    )
    .await;
    assert_eq!(time["type"]["package"]["manager"], "pypi", "{time}");
    let client = Client::of(&app, json!({"type": "time"})).await;
    let asked = json!({"source_timezone": "Asia/Tokyo", "time": "16:30", "target_timezone": "Asia/Kolkata"});
    assert!(client.text("convert_time", asked).await.contains("13:00:00+05:30"));
    let (status, _) = app.interrupt().await;
    assert!(status.success(), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_starts_with_what_node_compiled_when_its_type_was_looked_at() {
    let node = Subjects::ready().node;
    let folder = node.parent().and_then(Path::to_str).expect("a path");
    let mut environment = ways::of_this_machine();
    environment.push(("PATH".to_owned(), format!("{folder}:/usr/bin:/bin")));
    let app = App::start_with(AppOptions { environment, ..AppOptions::default() }).await;
    let made = imported(
        &app,
        json!({"source": "npm:@modelcontextprotocol/server-everything@2026.8.31", "name": "everything",
            "args": ["stdio"], "env": {"NODE_DEBUG_NATIVE": "COMPILE_CACHE"}}),
    )
    .await;
    let looked = app.ask("POST", "/types/everything/inspect", Some(json!({}))).await;
    assert_eq!(looked.status, 200, "{looked:?}");
    let tree = Path::new(made["type"]["package"]["tree"].as_str().expect("a path")).to_owned();
    let package = tree.parent().expect("the package's folder").to_owned();
    let entries =
        |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|it| it.path());
    let versions: Vec<_> = entries(&package.join("compiled")).collect();
    let [version] = &versions[..] else { panic!("one version of Node compiled it: {versions:?}") };
    assert!(entries(version).count() > 100, "{}", app.log());
    let sealed = std::fs::metadata(version).expect("a folder").permissions();
    assert_eq!(sealed.mode() & 0o222, 0, "nobody's to change");

    let client = Client::of(&app, json!({"type": "everything"})).await;
    assert!(client.tools().await >= 13);
    let id = client.1["id"].as_str().expect("a text");
    let path = format!("/instances/{id}/logs?limit=100&order=asc");
    wait_for("Node to say that it took what was compiled", Duration::from_secs(20), async || {
        let logs = app.ask("GET", &path, None).await.body.to_string();
        assert!(!logs.contains("was rejected"), "{logs}");
        logs.contains("was accepted").then_some(())
    })
    .await;

    let deleted = app.ask("DELETE", &format!("/instances/{id}"), None).await;
    assert_eq!(deleted.status, 204, "{deleted:?}");
    assert!(entries(version).count() > 100, "an instance that ends takes nothing along");
    assert_eq!(entries(&app.data().join("packages/.staging")).count(), 0);
    let moved = app.ask("POST", "/types/everything/upgrade", Some(json!({"version": "2026.7.4"}))).await;
    assert_eq!(moved.status, 200, "{moved:?}");
    let clean = json!({"dry_run": false, "all_unused": true});
    let cleaned = app.ask("POST", "/packages/clean", Some(clean)).await;
    assert_eq!(cleaned.status, 200, "{cleaned:?}");
    assert!(!package.exists(), "it goes with the package: {cleaned:?}");
    let (status, _) = app.interrupt().await;
    assert!(status.success(), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_moves_to_another_version_and_back_while_an_instance_runs() {
    let app = service().await;
    let first = imported(
        &app,
        json!({"source": "npm:@modelcontextprotocol/server-filesystem@2026.7.4", "name": "files", "args": ["/tmp"]}),
    )
    .await;
    let before = Client::of(&app, json!({"type": "files"})).await;
    assert!(before.tools().await > 5);
    let body = json!({"version": "2026.8.31"});
    let upgraded = app.ask("POST", "/types/files/upgrade", Some(body)).await;
    assert_eq!(
        (upgraded.status, upgraded.body["manifest"]["version"].as_str()),
        (200, Some("2026.8.31")),
        "{upgraded:?}"
    );
    let after = Client::of(&app, json!({"type": "files"})).await;
    assert!(after.tools().await > 5);
    // What ran goes on with what it was launched with.
    assert!(before.tools().await > 5);
    let command = |row: &Value| {
        let pid = i32::try_from(row["process_id"].as_i64().expect("a number")).expect("it fits");
        roadstead_test_support::app::command_line(pid)
    };
    let [old, new] = [&before, &after].map(|client| command(&client.1));
    assert!(old.contains("/2026.7.4-") && new.contains("/2026.8.31-"), "{old}\n{new}");
    let back = app.ask("POST", "/types/files/upgrade", Some(json!({"version": "2026.7.4"}))).await;
    assert_eq!(back.body["package"], first["type"]["package"], "{back:?}");
    assert_eq!(back.body["args"], first["type"]["args"], "{back:?}");
    has(
        &app.ask("POST", "/types/files/upgrade", Some(json!({"version": "99.0.0"}))).await,
        422,
        "PACKAGE_NOT_FOUND",
    );
    has(&app.ask("POST", "/types/echo/upgrade", Some(json!({}))).await, 422, "VALIDATION_FAILED");
    let (status, _) = app.interrupt().await;
    assert!(status.success(), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_wrote_is_taken_without_its_secrets_or_refused() {
    let app = service().await;
    let remote = json!({"mcpServers": {"forge": {
        "url": "https://mcp.example.com/mcp", "headers": {"Authorization": format!("Bearer {CANARY}")}}}});
    let made = imported(&app, json!({"document": remote, "name": "forge"})).await;
    assert!(made["type"]["credential_slots"].as_array().is_some_and(|slots| slots.len() == 1), "{made}");
    assert!(!made.to_string().contains(CANARY), "{made}");
    assert!(!app.log().contains(CANARY));

    let two = json!({"mcpServers": {"a": {"url": "https://a.example.com/mcp"}, "b": {"url": "https://b.example.com/mcp"}}});
    has(&app.ask("POST", "/types/import", Some(json!({"document": two}))).await, 422, "VALIDATION_FAILED");
    imported(&app, json!({"document": two, "server": "b"})).await;

    for source in [
        "npm:../../etc",
        "npm:a;reboot",
        "npm:-g",
        "pypi:a --index-url=https://evil.example",
        "npm:git+https://evil.example/a",
        "cargo:a@>=1",
        "gem:a",
        "",
    ] {
        let answer = app.ask("POST", "/types/import", Some(json!({"source": source}))).await;
        has(&answer, 422, "VALIDATION_FAILED");
    }
    // What an administrator adds is looked at before anything is fetched.
    for added in [
        json!({"transport": "smoke"}),
        json!({"env": {"HOME": "/root"}}),
        json!({"env": {"PORT": 3000}}),
        json!({"secrets": ["not a name"]}),
        json!({"url": "http://localhost:${port}/mcp"}),
        json!({"url": "http://example.com/mcp", "args": ["${port}"]}),
    ] {
        let mut body =
            json!({"source": "npm:@modelcontextprotocol/server-everything@2026.8.31", "name": "added"});
        body.as_object_mut().expect("an object").extend(added.as_object().expect("an object").clone());
        has(&app.ask("POST", "/types/import", Some(body)).await, 422, "VALIDATION_FAILED");
        assert!(!app.data().join("packages/npm").exists(), "nothing is installed for {added}");
    }
    // A crate is built here, and so runs what it says: that needs an administrator's word.
    let answer = app.ask("POST", "/types/import", Some(json!({"source": "cargo:hexyl"}))).await;
    assert!(answer.status == 422 || answer.status == 502, "{answer:?}");
    has(
        &app.ask("POST", "/types/import", Some(json!({"source": "npm:left-pad@1.3.0"}))).await,
        422,
        "PACKAGE_REFUSED",
    );
    let left: Vec<_> =
        std::fs::read_dir(app.data().join("packages/.staging")).expect("a folder").flatten().collect();
    assert!(left.is_empty(), "{left:?}");
    let (status, _) = app.interrupt().await;
    assert!(status.success(), "{status}");
}
