//! One server process: what it says is collected by two readers, and dropping it ends it.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

/// The longest that anything may take; nothing that goes well comes near it.
pub const PATIENCE: Duration = Duration::from_mins(1);

pub struct Server {
    child: Child,
    input: Option<ChildStdin>,
    output: Receiver<String>,
    errors: Receiver<String>,
}

impl Server {
    pub fn start(flags: &[&str]) -> Self {
        Self::start_with(flags, &[])
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that starts the server under test")]
    pub fn start_with(flags: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_roadstead-echo"))
            .args(flags)
            .env_clear()
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let input = child.stdin.take();
        let output = lines_of(child.stdout.take().expect("stdout is a pipe"));
        let errors = lines_of(child.stderr.take().expect("stderr is a pipe"));
        Self { child, input, output, errors }
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"))
    }

    #[track_caller]
    pub fn send(&mut self, message: &Value) {
        let input = self.input.as_mut().expect("the input is open");
        writeln!(input, "{message}").expect("the server reads");
    }

    #[track_caller]
    pub fn send_line(&mut self, line: &str) {
        let input = self.input.as_mut().expect("the input is open");
        writeln!(input, "{line}").expect("the server reads");
    }

    /// The next line of stdout, or `None` when there will be none.
    #[track_caller]
    pub fn line(&self) -> Option<String> {
        next(&self.output)
    }

    /// The next line of stderr, or `None` when there will be none.
    #[track_caller]
    pub fn error_line(&self) -> Option<String> {
        next(&self.errors)
    }

    /// The next message.
    #[track_caller]
    pub fn message(&self) -> Value {
        let line = self.line().expect("the server says something");
        serde_json::from_str(&line).expect("the server says JSON")
    }

    /// Sends a request and takes the next message as its answer.
    #[track_caller]
    pub fn ask(&mut self, id: impl Into<Value>, method: &str, params: &Value) -> Value {
        let id = id.into();
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        let answer = self.message();
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    #[track_caller]
    pub fn initialize(&mut self) -> Value {
        let params = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": { "name": "test", "version": "1" },
        });
        let answer = self.ask("init", "initialize", &params);
        self.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        answer
    }

    #[track_caller]
    pub fn answers_ping(&mut self) {
        assert_eq!(self.ask("ping", "ping", &json!({}))["result"], json!({}));
    }

    pub fn close_input(&mut self) {
        self.input = None;
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("the server can be signalled");
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("the server can be waited for").is_some()
    }

    #[track_caller]
    pub fn end(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the server ends", || {
            status = self.child.try_wait().expect("the server can be waited for");
            status.is_some()
        });
        status.expect("it has ended")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Ended already, or ends now: what we wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A grandchild that a server left; dropping it ends it.
pub struct Stray(pub Pid);

impl Stray {
    #[track_caller]
    pub fn end(&self) {
        kill(self.0, Signal::SIGKILL).expect("the grandchild can be ended");
        wait_until("the grandchild is gone", || stat(self.0).is_none());
    }
}

impl Drop for Stray {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGKILL);
    }
}

/// The fields of a process's line in `/proc` after its name: state, parent, group, session, …; `None` when it is
/// gone.
pub fn stat(pid: Pid) -> Option<Vec<String>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields = stat.rsplit_once(')').expect("a name in parentheses").1;
    let fields: Vec<String> = fields.split_whitespace().map(str::to_owned).collect();
    (fields[0] != "Z" && fields[0] != "X").then_some(fields)
}

#[track_caller]
pub fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let began = Instant::now();
    while !happened() {
        assert!(began.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn lines_of(from: impl Read + Send + 'static) -> Receiver<String> {
    let (said, heard) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines() {
            if line.map(|line| said.send(line)).is_err() {
                return;
            }
        }
    });
    heard
}

#[track_caller]
fn next(lines: &Receiver<String>) -> Option<String> {
    match lines.recv_timeout(PATIENCE) {
        Ok(line) => Some(line),
        Err(RecvTimeoutError::Disconnected) => None,
        Err(RecvTimeoutError::Timeout) => panic!("waited in vain for a line"),
    }
}
