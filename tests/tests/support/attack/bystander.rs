//! The bystander: a program of the neighbour's user that tells what befell it.

use std::io::{BufRead as _, BufReader};
use std::net::UdpSocket;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// What our own datagram says.
const FENCE: &str = "fence";

pub(crate) struct Bystander {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// What it has, as it says itself.
    pub(crate) has: Value,
}

impl Bystander {
    /// Starts one, with its socket in a folder of its user.
    #[expect(clippy::disallowed_methods, reason = "a program beside the service")]
    pub(crate) fn start(program: &Path, user: u32, folder: &Path) -> Self {
        let mut command = Command::new(program);
        command.arg("bystander").arg(folder).uid(user).gid(user).current_dir("/").env_clear();
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the bystander starts");
        let input = child.stdin.take();
        let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        output.read_line(&mut line).expect("it says what it has");
        let has = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        Self { child, input, output, has }
    }

    /// What befell it since it was asked last: what comes after it are a signal and a datagram of ours. Of signals that
    /// wait, the one with the lower number is told first.
    pub(crate) fn befallen(&mut self) -> Vec<String> {
        let pid = i32::try_from(self.child.id()).expect("a process id fits");
        kill(Pid::from_raw(pid), Signal::SIGIO).expect("the bystander lives");
        let port = self.has["udp_port"].as_u64().and_then(|port| u16::try_from(port).ok()).expect("a port");
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.send_to(FENCE.as_bytes(), ("127.0.0.1", port)).expect("a datagram");
        let mut all = Vec::new();
        let mut fences = 0;
        while fences < 2 {
            let mut line = String::new();
            let read = self.output.read_line(&mut line).expect("the bystander speaks");
            assert!(read > 0, "the bystander was killed: {:?}", self.child.wait());
            match line.trim() {
                "SIGIO" | "udp fence" => fences += 1,
                what => all.push(what.to_owned()),
            }
        }
        all
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        // The end of its input lets it take its memory and its queue away.
        drop(self.input.take());
        let _ = self.child.wait();
    }
}
