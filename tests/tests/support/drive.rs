//! Drives an MCP server with the official Python SDK, by the script `subjects/drive.py`.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use roadstead_test_support::Subjects;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

/// How long one run may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// Takes steps in one session; answers with what the script wrote. `mode` is `legacy`, `auto` or a version.
#[expect(clippy::disallowed_methods, reason = "the client is no part of the product")]
pub(crate) async fn drive(subjects: &Subjects, url: &str, token: &str, mode: &str, steps: Value) -> Value {
    let home = tempfile::tempdir().expect("a temporary folder");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("subjects/drive.py");
    let mut command = tokio::process::Command::new(&subjects.python);
    command.arg(script).env_clear().env("HOME", home.path()).env("PATH", "/usr/bin:/bin").kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the client starts");
    let plan = json!({"url": url, "token": token, "mode": mode, "steps": steps});
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(plan.to_string().as_bytes()).await.expect("the client reads what to do");
    drop(stdin);
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output())
        .await
        .unwrap_or_else(|_| panic!("no answer within {PATIENCE:?} of {steps}"))
        .expect("the client's output");
    let (said, wrote) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{steps}: {}\n{said}\n{wrote}", output.status);
    serde_json::from_str(&wrote).unwrap_or_else(|error| panic!("{error} in {wrote}"))
}
