//! The program with its standard streams in the hands of a test.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(30);

pub struct Relay {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

#[expect(clippy::disallowed_methods, reason = "the program under test")]
fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_roadstead-relay"))
}

/// What the program says to one argument, and its exit code.
pub fn output(argument: &str) -> (Option<i32>, String) {
    let output = command().arg(argument).output().expect("the program runs");
    (output.status.code(), String::from_utf8(output.stdout).expect("text"))
}

/// What the program tells of the answer to a request; its exit code and what it said on standard error.
pub fn validate(user: Option<u32>, request: &str) -> (Option<i32>, Value, String) {
    let mut command = command();
    command.env_clear().arg("--validate").args(user.map(|user| user.to_string()));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut input = child.stdin.take().expect("piped");
    // One that refuses to begin reads nothing.
    let _ = input.write_all(request.as_bytes());
    drop(input);
    let output = child.wait_with_output().expect("it is ours");
    let told = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), told, String::from_utf8(output.stderr).expect("text"))
}

impl Relay {
    pub fn start(setting: Option<&str>) -> Self {
        let mut command = command();
        command.env_clear();
        if let Some(setting) = setting {
            command.env("ROADSTEAD_RELAY", setting);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, lines) = channel();
        // A thread, because a read cannot be given up.
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { input: child.stdin.take(), child, lines }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn send(&mut self, line: &str) {
        let input = self.input.as_mut().expect("the input is open");
        input.write_all(format!("{line}\n").as_bytes()).expect("the program reads");
    }

    pub fn next(&mut self) -> Value {
        let line = self.lines.recv_timeout(PATIENCE).expect("the program answers");
        serde_json::from_str(&line).expect("a line is JSON")
    }

    /// Closes its input and waits for its end.
    pub fn close(mut self) -> (Option<i32>, String) {
        self.input = None;
        self.wait()
    }

    pub fn terminate(self) -> (Option<i32>, String) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("ids fit"));
        kill(pid, Signal::SIGTERM).expect("it runs");
        self.wait()
    }

    /// Its exit code and what it said on standard error.
    pub fn wait(mut self) -> (Option<i32>, String) {
        // The output ends with the process, and reading it is bounded.
        while self.lines.recv_timeout(PATIENCE).is_ok() {}
        let mut said = String::new();
        let mut errors = self.child.stderr.take().expect("piped");
        errors.read_to_string(&mut said).expect("text");
        (self.child.wait().expect("it is ours").code(), said)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
