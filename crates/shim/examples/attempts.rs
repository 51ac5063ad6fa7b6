//! A server for the tests that tries to get out, writes down what came of it, and then answers `ping`.
//!
//! `attempts FACTS [VERB TARGET]...`: the facts are one JSON object from `VERB TARGET` to what the kernel said, or `ok` and what
//! was got.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{BufRead as _, Error, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::FromRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

fn main() {
    let mut args = std::env::args().skip(1);
    let path = args.next().expect("a path for the facts");
    let mut facts = serde_json::Map::new();
    while let Some(verb) = args.next() {
        let target = args.next().expect("a target");
        let said = match attempt(&verb, &target) {
            Ok(got) => format!("ok {got}"),
            Err(error) => error
                .raw_os_error()
                .map_or_else(|| error.to_string(), |number| format!("{:?}", Errno::from_raw(number))),
        };
        facts.insert(format!("{verb} {target}"), said.into());
    }
    fs::write(path, serde_json::Value::from(facts).to_string()).expect("the path is writable");
    let mut output = std::io::stdout();
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let message: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        if !message["id"].is_null() {
            let answer = serde_json::json!({"jsonrpc": "2.0", "id": message["id"], "result": {}});
            writeln!(output, "{answer}").expect("stdout is open");
        }
    }
}

fn attempt(verb: &str, target: &str) -> Result<String, Error> {
    let port = || target.parse::<u16>().expect("a port");
    let number = || target.parse::<i32>().expect("a number");
    match verb {
        "read" => fs::read_to_string(target),
        "list" => Ok(fs::read_dir(target)?.count().to_string()),
        "write" => done(fs::write(target, "written")),
        "append" => done(OpenOptions::new().append(true).open(target).map(drop)),
        "mode" => done(fs::set_permissions(target, Permissions::from_mode(0o700))),
        "stat" => done(fs::metadata(target).map(drop)),
        "remove" => done(fs::remove_file(target)),
        "link" => link(target),
        "run" => run(target),
        "connect" => done(TcpStream::connect(("127.0.0.1", port())).map(drop)),
        "bind" => done(TcpListener::bind(("127.0.0.1", port())).map(drop)),
        "connect-path" => done(UnixStream::connect(target).map(drop)),
        "bind-path" => done(UnixListener::bind(target).map(drop)),
        "signal" => done(kill(Pid::from_raw(number()), None).map_err(Error::from)),
        "limit" => limit(number()),
        "processes" => Ok(processes().to_string()),
        "descriptor" => descriptor(number()),
        other => panic!("unknown verb {other}"),
    }
}

fn done(result: Result<(), Error>) -> Result<String, Error> {
    result.map(|()| String::new())
}

/// A link in our own folder, and what it leads to.
fn link(target: &str) -> Result<String, Error> {
    let link = std::env::current_dir()?.join("link-out");
    let _ = fs::remove_file(&link);
    std::os::unix::fs::symlink(target, &link)?;
    fs::read_to_string(link)
}

#[expect(clippy::disallowed_methods, reason = "what a server starts is its own business")]
fn run(program: &str) -> Result<String, Error> {
    std::process::Command::new(program).status().map(|status| status.to_string())
}

#[expect(unsafe_code, reason = "prlimit for another process has no safe form")]
fn limit(pid: i32) -> Result<String, Error> {
    let few = nix::libc::rlimit { rlim_cur: 900, rlim_max: 900 };
    // SAFETY: the kernel reads a structure that lives through the call.
    let result = unsafe {
        nix::libc::prlimit(pid, nix::libc::RLIMIT_NOFILE, std::ptr::from_ref(&few), std::ptr::null_mut())
    };
    done(Errno::result(result).map(drop).map_err(Error::from))
}

fn processes() -> usize {
    let names = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.filter(|name| name.to_string_lossy().parse::<u32>().is_ok()).count()
}

#[expect(unsafe_code, reason = "the descriptor was inherited: its number is all that is known")]
fn descriptor(number: i32) -> Result<String, Error> {
    // SAFETY: nothing else in this program has that number.
    let mut file = unsafe { fs::File::from_raw_fd(number) };
    let mut text = String::new();
    file.read_to_string(&mut text).map(|_| text)
}
