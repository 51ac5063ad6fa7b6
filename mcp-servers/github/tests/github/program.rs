//! One server process, spoken to with the library's client.

use std::borrow::Cow;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rmcp::model::{CallToolRequestParams, CallToolResult, ProgressNotificationParam, Tool};
use rmcp::service::{NotificationContext, RunningService};
use rmcp::{ClientHandler, RoleClient, ServiceExt};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::fake::{Fake, TOKEN};

/// The longest that anything may take; nothing that goes well comes near it.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// Remembers what it was told of progress.
#[derive(Clone, Default)]
pub struct Listener {
    pub told: Arc<Mutex<Vec<ProgressNotificationParam>>>,
    pub came: Arc<Notify>,
}

impl ClientHandler for Listener {
    async fn on_progress(
        &self,
        progress: ProgressNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        self.told.lock().expect("no holder panics").push(progress);
        self.came.notify_one();
    }
}

pub struct Program {
    pub client: RunningService<RoleClient, Listener>,
    pub listener: Listener,
    pub process: Process,
}

/// The process itself: dropping it ends it.
pub struct Process {
    child: Child,
    errors: JoinSet<String>,
}

/// Starts the program; what it says on stderr is collected.
#[expect(clippy::disallowed_methods, reason = "the one place that starts the server under test")]
pub fn spawn(arguments: &[&str], environment: &[(&str, &str)]) -> (Process, ChildStdin, ChildStdout) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_roadstead-github"))
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the server starts");
    let input = child.stdin.take().expect("stdin is a pipe");
    let output = child.stdout.take().expect("stdout is a pipe");
    let mut stderr = child.stderr.take().expect("stderr is a pipe");
    let mut errors = JoinSet::new();
    errors.spawn(async move {
        let mut said = String::new();
        stderr.read_to_string(&mut said).await.expect("stderr is text");
        said
    });
    (Process { child, errors }, input, output)
}

impl Process {
    pub fn pid(&self) -> nix::unistd::Pid {
        let id = self.child.id().expect("it runs");
        nix::unistd::Pid::from_raw(i32::try_from(id).expect("a process id"))
    }

    /// Waits for the end; answers with what was said on stderr, which never holds the token.
    pub async fn end(mut self) -> (ExitStatus, String) {
        let status =
            tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("it ends").expect("a status");
        let said = self.errors.join_next().await.expect("a reader").expect("stderr is read");
        assert!(!said.contains("canary"), "the token is on stderr");
        (status, said)
    }
}

impl Program {
    pub async fn start(fake: &Fake) -> Self {
        Self::start_with(fake, &[]).await
    }

    pub async fn start_with(fake: &Fake, arguments: &[&str]) -> Self {
        let url = fake.url();
        let environment = [("GITHUB_TOKEN", TOKEN), ("GITHUB_API_URL", &url)];
        let (process, input, output) = spawn(arguments, &environment);
        let listener = Listener::default();
        let client = listener.clone().serve((output, input)).await.expect("a conversation begins");
        Self { client, listener, process }
    }

    pub async fn tools(&self) -> Vec<Tool> {
        self.client.list_all_tools().await.expect("the tools are listed")
    }

    pub async fn call(&self, tool: &str, arguments: &Value) -> CallToolResult {
        let called = tokio::time::timeout(PATIENCE, self.client.call_tool(params(tool, arguments))).await;
        let result = called.expect("the call ends").expect("a result, not an error of the protocol");
        let all = serde_json::to_string(&result).expect("JSON");
        assert!(!all.contains("canary"), "the token is in a result of {tool}");
        result
    }

    /// A call that succeeds.
    pub async fn succeeds(&self, tool: &str, arguments: &Value) -> Value {
        let result = self.call(tool, arguments).await;
        assert_ne!(result.is_error, Some(true), "{tool}: {result:?}");
        result.structured_content.expect("structured content")
    }

    /// A call that fails.
    pub async fn fails(&self, tool: &str, arguments: &Value) -> Value {
        let result = self.call(tool, arguments).await;
        assert_eq!(result.is_error, Some(true), "{tool}: {result:?}");
        let text = result.content[0].as_text().expect("a text").text.clone();
        let failure = result.structured_content.expect("structured content");
        assert_eq!(failure["message"], text, "both say the same");
        failure
    }

    /// Closes the input, and waits for a clean end.
    pub async fn finish(self) -> String {
        self.client.cancel().await.expect("the conversation ends");
        let (status, said) = self.process.end().await;
        assert!(status.success(), "{status}: {said}");
        said
    }
}

pub fn params(tool: &str, arguments: &Value) -> CallToolRequestParams {
    let arguments = arguments.as_object().expect("arguments").clone();
    CallToolRequestParams::new(Cow::Owned(tool.to_owned())).with_arguments(arguments)
}

/// Says lines, and hears the answer to each that has an id.
pub async fn say(input: &mut ChildStdin, message: &Value) {
    input.write_all(format!("{message}\n").as_bytes()).await.expect("the server reads");
}
