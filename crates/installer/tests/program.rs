//! The program by itself: what it makes of requests that are none. What it installs is tried where it is used, in `packages`.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output, Stdio};

use roadstead_installer::{Line, PROGRAM};
use serde_json::{Value, json};

#[expect(clippy::disallowed_methods, reason = "the program under test")]
fn run(args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_roadstead-installer"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    // One that reads nothing may have ended.
    let _ = stdin.write_all(input.as_bytes());
    // Once it has a request, the end of its input ends it with its whole group: whoever asked has gone.
    let _held = input.ends_with('\n').then_some(stdin);
    child.wait_with_output().expect("it ends")
}

/// The last line of the answer to a request, which must be a refusal.
fn refused(input: &str) -> (String, String) {
    let output = run(&[], input);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let last = text.lines().last().expect("a line is answered");
    match serde_json::from_str(last).expect("a line of the answer") {
        Line::Failed { code, message } => (code, message),
        other => panic!("{other:?}"),
    }
}

fn request(change: impl FnOnce(&mut Value)) -> String {
    let mut request = json!({
        "manager": "npm", "name": "left-pad", "folder": "/nonexistent/here", "tools": {}, "ports": [443],
        "max_bytes": 1_000_000, "max_files": 1000,
    });
    change(&mut request);
    request.to_string() + "\n"
}

#[test]
fn it_says_what_it_is_and_takes_no_arguments() {
    let help = run(&["--help"], "");
    assert!(help.status.success());
    assert!(String::from_utf8_lossy(&help.stdout).contains(PROGRAM), "{help:?}");
    let other = run(&["install", "left-pad"], "");
    assert_eq!(other.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&other.stderr).contains("--help"), "{other:?}");
}

#[test]
fn a_request_that_is_none_is_refused_in_words() {
    let wide = request(|request| request["name"] = "x".repeat(100_000).into());
    let unknown = request(|request| request["sudo"] = true.into());
    for input in ["", "\n", "{}\n", "no json\n", &wide, &unknown] {
        let (code, message) = refused(input);
        assert_eq!(code, "request", "{message}");
        assert!(message.contains("request"), "{message}");
    }
}

#[test]
fn a_machine_without_the_package_manager_is_told_what_to_install() {
    let (code, message) = refused(&request(|_| ()));
    assert_eq!(code, "missing_tool", "{message}");
    assert!(message.contains("Node.js") && message.contains("apt install"), "{message}");
}
