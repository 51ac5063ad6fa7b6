//! A server over its own pipes, the way a client without any bridge runs it.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe::{Receiver, Sender};

use crate::figures::Load;
use crate::mcp;

const READ_BYTES: usize = 64 * 1024;

/// A program that we start.
#[expect(clippy::disallowed_methods, reason = "the one place that starts a process")]
pub fn program(path: &Path) -> Command {
    Command::new(path)
}

/// A running server; dropping it ends it.
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
        let mut child = program(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("could not start {}", path.display()))?;
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
        // Gone already: what we wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
