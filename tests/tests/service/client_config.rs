//! What `roadstead client-config --write` leaves in a client's file is all that a client of others needs: the Inspector reads it,
//! and what Claude Desktop would run is run.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use roadstead_test_support::Subjects;
use roadstead_test_support::app::{App, programs};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

/// How long one program may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
/// What somebody else wrote into the file before.
const BEFORE: &str = "{\n  \"mcpServers\": {\n    \"other\": { \"command\": \"false\" }\n  }\n}\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_written_configuration_is_all_that_a_client_needs() {
    let subjects = Subjects::ready();
    let app = App::start().await;
    app.define_echo("plain", &[]).await;
    let instance = app.launch(json!({"type": "plain", "name": "work"})).await;
    let token = instance["access_token"].as_str().expect("a token");
    let folder = tempfile::tempdir().expect("a temporary folder");

    let desktop = folder.path().join("claude_desktop_config.json");
    std::fs::write(&desktop, BEFORE).expect("a file of one's own folder");
    write(&app, "claude-desktop", &desktop, token).await;
    let entry = entry(&desktop);
    assert_eq!(entry["command"], "npx");
    // As npx would, with the package that the tests have installed.
    let args = entry["args"].as_array().expect("arguments");
    assert_eq!((&args[0], &args[1]), (&json!("-y"), &json!("mcp-remote")));
    let mut command = vec![json!(subjects.node), json!(subjects.mcp_remote)];
    command.extend_from_slice(&args[2..]);
    assert!(!json!(command).to_string().contains(token), "every user of the machine can read arguments");
    let plan = json!({"command": command, "mode": "legacy",
        "env": {"AUTH_HEADER": entry["env"]["AUTH_HEADER"], "MCP_REMOTE_CONFIG_DIR": folder.path()},
        "call": {"name": "echo", "arguments": {"text": "ahoy"}}});
    let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("matrix/drivers/python_sdk.py");
    let said = run(&subjects.python, &[&text(&driver)], &plan.to_string()).await;
    assert_eq!(serde_json::from_str::<Value>(&said).expect("JSON")["call"], "ok", "{said}");

    let file = folder.path().join("mcp.json");
    write(&app, "claude-code", &file, token).await;
    let (script, file) = (text(&subjects.inspector), text(&file));
    let args = ["--cli", "--config", &file, "--server", "work", "--format", "json", "--method", "tools/list"];
    let said = run(&subjects.node, &[[script.as_str()].as_slice(), &args].concat(), "").await;
    let listed: Value = serde_json::from_str(&said).expect("JSON");
    let tools = listed["result"]["tools"].as_array().unwrap_or_else(|| panic!("{said}"));
    assert!(tools.iter().any(|tool| tool["name"] == "echo"), "{said}");
}

/// Writes with the program itself; nothing that it says holds the token.
async fn write(app: &App, client: &str, file: &Path, token: &str) {
    let profile = text(&app.data().join("profile.json"));
    let file = text(file);
    let args = ["--profile", &profile, "--json", "client-config", "work", "--client", client, "--write"];
    let args = [args.as_slice(), &["--file", &file, "--token-stdin"]].concat();
    let said = run(&programs().join("roadstead"), &args, token).await;
    assert!(!said.contains(token), "{said}");
    let said: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((&said["file"], &said["changed"]), (&json!(file), &json!(true)));
    if let Some(backup) = said["backup"].as_str() {
        assert_eq!(std::fs::read_to_string(backup).expect("the old file"), BEFORE);
    }
}

/// The entry, beside that of somebody else.
fn entry(file: &Path) -> Value {
    let text = std::fs::read_to_string(file).expect("the file");
    assert!(text.starts_with(BEFORE.trim_end_matches("\n  }\n}\n")), "{text}");
    let whole: Value = serde_json::from_str(&text).expect("strict JSON stays strict");
    whole["mcpServers"]["work"].clone()
}

/// Runs a program in a home of its own; answers with what it wrote.
#[expect(
    clippy::disallowed_methods,
    reason = "clients are no part of the product, and the program is what is tested"
)]
async fn run(program: &Path, arguments: &[&str], input: &str) -> String {
    let home = tempfile::tempdir().expect("a temporary folder");
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).env_clear().env("HOME", home.path()).env("PATH", "/usr/bin:/bin");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(input.as_bytes()).await.expect("it reads what to do");
    drop(stdin);
    let ended = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    let output = ended.expect("it ends in time").expect("its output");
    let (said, wrote) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}: {}\n{said}\n{wrote}", program.display(), output.status);
    wrote.into_owned()
}

fn text(path: &Path) -> String {
    PathBuf::from(path).into_os_string().into_string().expect("a readable path")
}
