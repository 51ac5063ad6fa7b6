//! The real program behind the library's client, over its standard streams.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use rmcp::model::{CallToolRequestParams, CallToolResult, JsonObject, ProgressNotificationParam, Tool};
use rmcp::service::{NotificationContext, RunningService, ServiceError};
use rmcp::transport::TokioChildProcess;
use rmcp::{ClientHandler, RoleClient, ServiceExt};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::task::JoinHandle;

/// How a program is started.
#[derive(Debug, Clone, Default)]
pub struct Launch {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its whole environment.
    pub environment: Vec<(String, String)>,
    /// Where it starts.
    pub folder: Option<PathBuf>,
}

/// A program that is spoken to. Dropping it ends it.
#[derive(Debug)]
pub struct Program {
    client: RunningService<RoleClient, Listener>,
    progress: Arc<Mutex<Vec<ProgressNotificationParam>>>,
    stderr: Stderr,
}

/// What a program said on stderr so far.
#[derive(Debug)]
pub struct Stderr {
    said: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

#[derive(Debug, Clone)]
struct Listener {
    progress: Arc<Mutex<Vec<ProgressNotificationParam>>>,
}

impl ClientHandler for Listener {
    async fn on_progress(
        &self,
        params: ProgressNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).push(params);
    }
}

/// How a call ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Whether the result says that it failed.
    pub is_error: bool,
    /// The result's structured content.
    pub value: Value,
    /// The result's text.
    pub text: String,
}

impl Program {
    /// Starts a program and begins a conversation.
    ///
    /// # Panics
    /// When it does not start.
    #[expect(clippy::disallowed_methods, reason = "the one place that starts the program under test")]
    pub async fn start(launch: &Launch) -> Self {
        let mut command = tokio::process::Command::new(&launch.program);
        command.args(&launch.arguments).env_clear().envs(launch.environment.iter().cloned());
        if let Some(folder) = &launch.folder {
            command.current_dir(folder);
        }
        command.kill_on_drop(true);
        let (transport, stderr) =
            TokioChildProcess::builder(command).stderr(Stdio::piped()).spawn().expect("the program starts");
        let mut stderr = stderr.expect("stderr is a pipe");
        let said = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&said);
        let reader = tokio::spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = stderr.read(&mut buffer).await {
                kept.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..read]);
            }
        });
        let progress = Arc::new(Mutex::new(Vec::new()));
        let listener = Listener { progress: Arc::clone(&progress) };
        let client = listener.serve(transport).await.expect("the conversation begins");
        Self { client, progress, stderr: Stderr { said, reader } }
    }

    /// The tools that it offers.
    pub async fn tools(&self) -> Vec<Tool> {
        self.client.list_all_tools().await.expect("the tools are listed")
    }

    /// Calls a tool.
    ///
    /// # Panics
    /// When the answer is a protocol error: a tool's failure is a result.
    pub async fn call(&self, tool: &str, arguments: Value) -> Outcome {
        let ended = self.try_call(tool, arguments).await;
        Outcome::of(ended.unwrap_or_else(|error| panic!("{tool} ended in a protocol error: {error}")))
    }

    /// Calls a tool, and tells how far it was on the way: the library always wants to know.
    pub async fn call_with_progress(
        &self,
        tool: &str,
        arguments: Value,
    ) -> (Outcome, Vec<ProgressNotificationParam>) {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let ended = self.try_call(tool, arguments).await.expect("a result");
        let told = self.progress.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (Outcome::of(ended), told)
    }

    /// Calls a tool that may not be there.
    pub async fn try_call(&self, tool: &str, arguments: Value) -> Result<CallToolResult, ServiceError> {
        let arguments: JsonObject = match arguments {
            Value::Object(arguments) => arguments,
            other => panic!("arguments must be an object: {other}"),
        };
        let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        self.client.call_tool(params).await
    }

    /// What it said on stderr so far.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr.said.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// Ends it, and tells all that it said on stderr.
    pub async fn end(self) -> String {
        self.client.cancel().await.expect("the program ends");
        self.stderr.reader.await.expect("stderr was read to its end");
        String::from_utf8_lossy(&self.stderr.said.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Outcome {
    fn of(result: CallToolResult) -> Self {
        let content = serde_json::to_value(&result.content).expect("content is JSON");
        Self {
            is_error: result.is_error == Some(true),
            value: result.structured_content.unwrap_or(Value::Null),
            text: content[0]["text"].as_str().unwrap_or_default().to_owned(),
        }
    }

    /// What a success says.
    #[track_caller]
    pub fn good(&self) -> &Value {
        assert!(!self.is_error, "it failed: {}", self.text);
        &self.value
    }

    /// The kind of failure, after it was looked at that it is one.
    #[track_caller]
    pub fn code(&self) -> &str {
        assert!(self.is_error, "it did not fail: {}", self.value);
        self.value["code"].as_str().unwrap_or_else(|| panic!("a failure without a code: {}", self.text))
    }

    /// Everything that it says, for looking for what it must not say.
    pub fn all(&self) -> String {
        format!("{}{}", self.value, self.text)
    }
}

impl Launch {
    /// Runs the program with no input until it ends: its exit code and stderr.
    ///
    /// # Panics
    /// When it does not start or end.
    #[expect(clippy::disallowed_methods, reason = "the program under test, as above")]
    pub async fn run(&self) -> (Option<i32>, String) {
        let mut command = tokio::process::Command::new(&self.program);
        command.args(&self.arguments).env_clear().envs(self.environment.iter().cloned());
        command.stdin(Stdio::null()).kill_on_drop(true);
        let ended = tokio::time::timeout(crate::PATIENCE, command.output()).await;
        let output = ended.expect("it ends").expect("it starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Speaks to the program in messages as they stand, one after the other, each after the answer to the one before,
    /// and gives the answers.
    ///
    /// # Panics
    /// When it does not answer.
    #[expect(clippy::disallowed_methods, reason = "the program under test, as above")]
    pub async fn answers(&self, messages: &[Value]) -> Vec<Value> {
        let mut command = tokio::process::Command::new(&self.program);
        command.args(&self.arguments).env_clear().envs(self.environment.iter().cloned());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().expect("the program starts");
        let mut input = child.stdin.take().expect("stdin is a pipe");
        let mut output = BufReader::new(child.stdout.take().expect("stdout is a pipe")).lines();
        let mut answers = Vec::new();
        for message in messages {
            input.write_all(format!("{message}\n").as_bytes()).await.expect("the program reads");
            let line = tokio::time::timeout(crate::PATIENCE, output.next_line()).await;
            let line = line.expect("it answers in time").expect("it can be read").expect("it answers");
            answers.push(serde_json::from_str(&line).expect("an answer in JSON"));
        }
        drop(input);
        let ended =
            tokio::time::timeout(crate::PATIENCE, child.wait()).await.expect("it ends with its input");
        assert!(ended.expect("it can be waited for").success());
        answers
    }
}
