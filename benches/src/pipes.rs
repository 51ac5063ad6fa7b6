//! A server over its own pipes, the way a client without any bridge runs it.

use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe::{Receiver, Sender};

use crate::figures::Load;
use crate::mcp;

const READ_BYTES: usize = 64 * 1024;
/// How long somebody else's server may take for its first answers, or a runner for finding it.
const ANSWER_PATIENCE: Duration = Duration::from_mins(2);

/// A program that we start.
#[expect(clippy::disallowed_methods, reason = "the one place that starts a process")]
pub fn program(path: &Path) -> Command {
    Command::new(path)
}

/// What somebody types to start a server.
#[derive(Debug, Clone)]
pub struct Typed {
    pub program: PathBuf,
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
    /// Whether it has our own environment as well.
    pub inherits: bool,
}

/// A running server; dropping it ends it, and what it has started.
#[derive(Debug)]
pub struct PipeServer {
    child: Child,
    input: Sender,
    output: Receiver,
    heard: Vec<u8>,
    next_id: u64,
}

impl PipeServer {
    pub fn spawn(path: &Path) -> anyhow::Result<Self> {
        Self::started(&mut program(path))
    }

    /// Starts what somebody else wrote, and shows nothing of what it says beside its answers.
    pub fn typed(typed: &Typed) -> anyhow::Result<Self> {
        let mut command = program(&typed.program);
        if !typed.inherits {
            command.env_clear();
        }
        command.args(&typed.args).envs(typed.env.iter().map(|(name, value)| (name, value)));
        Self::started(command.stderr(Stdio::null()))
    }

    fn started(command: &mut Command) -> anyhow::Result<Self> {
        let mut child = command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("could not start {}", command.get_program().display()))?;
        let input = child.stdin.take().context("its input is no pipe")?;
        let output = child.stdout.take().context("its output is no pipe")?;
        let input = Sender::from_owned_fd(OwnedFd::from(input))?;
        let output = Receiver::from_owned_fd(OwnedFd::from(output))?;
        Ok(Self { child, input, output, heard: Vec::with_capacity(READ_BYTES), next_id: mcp::FIRST_ID })
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process id fits")
    }

    /// From nothing to the first answer of a tool: what a client of its own does.
    pub async fn begin(&mut self) -> anyhow::Result<()> {
        self.input.write_all(format!("{}\n", mcp::INITIALIZE).as_bytes()).await?;
        let line = self.line().await?;
        ensure!(memchr::memmem::find(&line, b"serverInfo").is_some(), "initialize was refused");
        let mut said = format!("{}\n", mcp::INITIALIZED).into_bytes();
        let id = self.take_id();
        mcp::write_call(id, &mut said);
        said.push(b'\n');
        self.input.write_all(&said).await?;
        let line = self.line().await?;
        ensure!(mcp::is_answer(&line, id), "the first call was refused: {}", String::from_utf8_lossy(&line));
        Ok(())
    }

    /// The first thing that a client says.
    pub async fn initialize(&mut self) -> anyhow::Result<()> {
        let result = self.asked(mcp::INITIALIZE, &json!(1)).await?;
        ensure!(result["serverInfo"].is_object(), "initialize was refused: {result}");
        self.input.write_all(format!("{}\n", mcp::INITIALIZED).as_bytes()).await?;
        Ok(())
    }

    /// How many tools it lists.
    pub async fn tools(&mut self) -> anyhow::Result<usize> {
        let result = self.asked(mcp::LIST, &json!(mcp::LIST_ID)).await?;
        result["tools"].as_array().map(Vec::len).with_context(|| format!("no list of tools: {result}"))
    }

    /// Says one message and waits for the answer of this id, whatever else the server says meanwhile.
    async fn asked(&mut self, message: &str, id: &Value) -> anyhow::Result<Value> {
        self.input.write_all(format!("{message}\n").as_bytes()).await.context("the server does not read")?;
        let answered = async {
            loop {
                let mut said: Value = serde_json::from_slice(&self.line().await?).unwrap_or_default();
                if said["id"] == *id && said.get("method").is_none() {
                    return anyhow::Ok(said["result"].take());
                }
            }
        };
        tokio::time::timeout(ANSWER_PATIENCE, answered).await.context("the server does not answer")?
    }

    /// Keeps so many calls in flight for a while: each answer is followed by the next call.
    pub async fn load(&mut self, in_flight: usize, lasting: Duration) -> anyhow::Result<Load> {
        let mut sent_at = vec![Instant::now(); in_flight];
        let mut said = Vec::new();
        let first = self.next_id;
        let began = Instant::now();
        for sent in &mut sent_at {
            *sent = Instant::now();
            mcp::write_call(self.take_id(), &mut said);
            said.push(b'\n');
        }
        let mut latencies = Vec::new();
        let mut open = in_flight;
        while open > 0 {
            self.input.write_all(&said).await.context("the server does not read")?;
            said.clear();
            self.hear().await?;
            let now = Instant::now();
            let mut done = 0;
            for end in memchr::memchr_iter(b'\n', &self.heard) {
                // Answers come in the order of the calls: the server does one after the other.
                let id = first + latencies.len() as u64;
                ensure!(mcp::is_answer(&self.heard[done..end], id), "a call was not answered in turn");
                let slot = &mut sent_at[usize::try_from(id - first)? % in_flight];
                latencies.push(now - *slot);
                done = end + 1;
                if now - began < lasting {
                    *slot = now;
                    mcp::write_call(self.next_id, &mut said);
                    said.push(b'\n');
                    self.next_id += 1;
                } else {
                    open -= 1;
                }
            }
            self.heard.drain(..done);
        }
        Ok(Load::new(latencies, began.elapsed()))
    }

    /// Says one message and hears its answer, however long both are.
    pub async fn once(&mut self, message: &[u8]) -> anyhow::Result<Vec<u8>> {
        self.input.write_all(message).await?;
        self.input.write_all(b"\n").await.context("the server does not read")?;
        let mut looked = 0;
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.heard[looked..]) {
                let rest = self.heard.split_off(looked + end + 1);
                let mut line = std::mem::replace(&mut self.heard, rest);
                line.pop();
                return Ok(line);
            }
            looked = self.heard.len();
            self.hear().await?;
        }
    }

    fn take_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id - 1
    }

    async fn line(&mut self) -> anyhow::Result<Vec<u8>> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.heard) {
                return Ok(self.heard.drain(..=end).collect());
            }
            self.hear().await?;
        }
    }

    async fn hear(&mut self) -> anyhow::Result<()> {
        self.heard.reserve(READ_BYTES);
        if self.output.read_buf(&mut self.heard).await.context("could not hear the server")? == 0 {
            bail!("the server left");
        }
        Ok(())
    }
}

impl Drop for PipeServer {
    fn drop(&mut self) {
        // Gone already: what we wanted. It was not waited for yet, so the group is still its own.
        let _ = killpg(Pid::from_raw(self.pid()), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_server_says_beside_its_answers_is_passed_over() {
        let script = r#"
            read line; echo starting; echo '{"method":"notifications/message","params":{}}'
            echo '{"id":1,"method":"roots/list"}'; echo "{\"id\":1,\"result\":{\"serverInfo\":{\"name\":\"$NAME\"}}}"
            read line; read line; echo '{"id":"list","result":{"tools":[{},{}]}}'; read line"#;
        let typed = Typed {
            program: "/bin/sh".into(),
            args: vec!["-c".to_owned(), script.to_owned()],
            env: vec![("NAME".to_owned(), "x".to_owned())],
            inherits: false,
        };
        let mut server = PipeServer::typed(&typed).unwrap();
        server.initialize().await.unwrap();
        assert_eq!(server.tools().await.unwrap(), 2);
        let pid = server.pid();
        let seen = crate::processes::started_with(pid).unwrap();
        assert!(
            seen.line[0].ends_with("sh") && seen.env.contains(&("NAME".to_owned(), "x".to_owned())),
            "{seen:?}"
        );
        drop(server);
        assert!(crate::processes::name_of(pid).is_none(), "it is gone");
    }
}
