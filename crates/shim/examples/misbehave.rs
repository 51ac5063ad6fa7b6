//! A server for the tests: answers `ping`, and misbehaves as its arguments say.

use std::io::{BufRead as _, Read as _, Write as _};
use std::net::TcpListener;

use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::{ForkResult, fork, setsid};

fn main() {
    let mut silent = false;
    let (mut stay, mut strict) = (false, false);
    let mut eat = None;
    let mut answers_left = u32::MAX;
    let mut sockets = Vec::new();
    let mut args = std::env::args().skip(1);
    while let Some(flag) = args.next() {
        match flag.as_str() {
            "--silent" => silent = true,
            "--ignore-end-of-input" => stay = true,
            "--handshake-first" => strict = true,
            "--ignore-sigterm" => ignore_sigterm(),
            "--stray" => leave_a_stray(),
            "--say" => eprintln!("{}", args.next().expect("a text")),
            "--flood" => flood(),
            "--eat-when-told" => eat = args.next(),
            "--fork-until-refused" => fork_until_refused(&args.next().expect("a path")),
            "--facts" => write_facts(&args.next().expect("a path")),
            "--listen" => {
                sockets.push(TcpListener::bind(args.next().expect("an address")).expect("it is free"));
            }
            "--silent-if" => silent = exists(args.next()),
            "--exit-if" => {
                if exists(args.next()) {
                    eprintln!("doomed");
                    std::process::exit(3);
                }
            }
            "--exit-after" => {
                answers_left = args.next().and_then(|count| count.parse().ok()).expect("a number");
            }
            "--exit" => std::process::exit(args.next().and_then(|code| code.parse().ok()).expect("a code")),
            other => panic!("unknown flag {other}"),
        }
    }
    // Not before, because other flags fork.
    for socket in sockets {
        std::thread::spawn(move || refuse_all(&socket));
    }
    let mut output = std::io::stdout();
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let message: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        if std::mem::take(&mut strict) && message["method"] != "initialize" {
            eprintln!("Error: ExpectedInitializeRequest({})", message["method"]);
            std::process::exit(1);
        }
        if silent || message["id"].is_null() {
            continue;
        }
        let answer = serde_json::json!({"jsonrpc": "2.0", "id": message["id"], "result": {}});
        writeln!(output, "{answer}").expect("stdout is open");
        answers_left -= 1;
        if answers_left == 0 {
            std::process::exit(0);
        }
        if let Some(pipe) = &eat {
            // Blocks until somebody writes.
            std::fs::read(pipe).expect("the pipe can be read");
            eat_everything();
        }
    }
    if stay {
        wait_for_ever();
    }
}

/// Whether a test has made this file.
fn exists(path: Option<String>) -> bool {
    std::path::Path::new(&path.expect("a path")).exists()
}

/// Speaks HTTP, but says no to everything.
fn refuse_all(socket: &TcpListener) {
    for mut connection in socket.incoming().flatten() {
        // A request fits one read.
        if connection.read(&mut [0; 16 * 1024]).is_ok_and(|read| read > 0) {
            let _ = connection.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        }
    }
}

#[expect(unsafe_code, reason = "setting a disposition is unsafe in general")]
fn ignore_sigterm() {
    // SAFETY: ignoring a signal runs no code.
    unsafe { signal(Signal::SIGTERM, SigHandler::SigIgn) }.expect("SIGTERM can be ignored");
}

/// A grandchild in a session of its own, whose parent is gone: no group and no parent leads to it.
#[expect(unsafe_code, reason = "a double fork needs fork")]
fn leave_a_stray() {
    // SAFETY: this program has one thread.
    if let ForkResult::Child = unsafe { fork() }.expect("fork") {
        setsid().expect("a fresh child leads no group");
        // SAFETY: as above.
        if let ForkResult::Child = unsafe { fork() }.expect("fork") {
            ignore_sigterm();
            wait_for_ever();
        }
        std::process::exit(0);
    }
    nix::sys::wait::wait().expect("the middle one ends at once");
}

fn eat_everything() {
    let mut eaten = Vec::new();
    loop {
        eaten.push(vec![1_u8; 1024 * 1024]);
    }
}

/// Children that live as long as this program, and how many there are.
#[expect(unsafe_code, reason = "fork is unsafe in general")]
fn fork_until_refused(path: &str) {
    let mut children = 0;
    while children < 1000 {
        // SAFETY: this program has one thread.
        match unsafe { fork() } {
            Ok(ForkResult::Child) => wait_for_ever(),
            Ok(ForkResult::Parent { .. }) => children += 1,
            Err(_) => break,
        }
    }
    std::fs::write(path, children.to_string()).expect("the work folder is open");
}

fn flood() {
    for number in 0..20_000 {
        eprintln!("line {number}");
    }
}

fn write_facts(path: &str) {
    let descriptors: Vec<String> = std::fs::read_dir("/proc/self/fd")
        .expect("there is a /proc")
        .flatten()
        .map(|entry| (entry.file_name(), std::fs::read_link(entry.path())))
        // The listing's own descriptor is gone by the time its link is read.
        .filter_map(|(name, link)| link.is_ok_and(|l| !l.ends_with("fd")).then_some(name))
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    let environment: std::collections::BTreeMap<String, String> = std::env::vars().collect();
    let status = std::fs::read_to_string("/proc/self/status").expect("there is a /proc");
    let limits = std::fs::read_to_string("/proc/self/limits").expect("there is a /proc");
    let facts = serde_json::json!({
        "descriptors": descriptors, "environment": environment, "status": status, "limits": limits,
        "folder": std::env::current_dir().expect("a working folder"),
    });
    std::fs::write(path, facts.to_string()).expect("the path is writable");
}

fn wait_for_ever() -> ! {
    loop {
        std::thread::park();
    }
}
