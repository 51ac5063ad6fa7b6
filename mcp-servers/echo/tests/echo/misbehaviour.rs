//! Every flag to misbehave, seen at work.

use std::os::unix::process::ExitStatusExt;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::process::{Server, Stray, stat, wait_until};

const MIB: usize = 1024 * 1024;

#[track_caller]
fn grandchild_of(server: &Server) -> Stray {
    let line = server.error_line().expect("a line about the grandchild");
    let pid = line.strip_prefix("echo: grandchild ").expect("a process id").parse().expect("a number");
    Stray(Pid::from_raw(pid))
}

#[test]
fn never_ready_reads_and_answers_nothing() {
    let mut server = Server::start(&["--never-ready"]);
    assert_eq!(server.error_line().as_deref(), Some("echo: told never to be ready"));
    for _ in 0..2000 {
        server
            .send_line(r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"padding":"................"}}"#);
    }
    server.close_input();
    assert_eq!(server.line(), None);
    assert!(server.end().success());
}

#[test]
fn sigterm_ends_it_unless_it_ignores_it() {
    let mut server = Server::start(&[]);
    server.answers_ping();
    server.signal(Signal::SIGTERM);
    assert_eq!(server.end().signal(), Some(Signal::SIGTERM as i32));

    let mut server = Server::start(&["--ignore-sigterm"]);
    server.answers_ping();
    server.signal(Signal::SIGTERM);
    server.answers_ping();
    server.close_input();
    assert_eq!(server.error_line().as_deref(), Some("echo: told to ignore the end of input"));
    server.signal(Signal::SIGTERM);
    assert!(!server.has_ended());
    server.signal(Signal::SIGKILL);
    assert_eq!(server.end().signal(), Some(Signal::SIGKILL as i32));
}

#[test]
fn a_server_that_is_never_ready_may_ignore_its_end_too() {
    let mut server = Server::start(&["--never-ready", "--ignore-sigterm"]);
    assert_eq!(server.error_line().as_deref(), Some("echo: told never to be ready"));
    server.close_input();
    assert_eq!(server.error_line().as_deref(), Some("echo: told to ignore the end of input"));
    assert!(!server.has_ended());
}

#[test]
fn a_grandchild_outlives_the_server_in_a_session_of_its_own() {
    let mut server = Server::start(&["--fork-grandchild"]);
    let grandchild = grandchild_of(&server);
    server.answers_ping();
    let ours = stat(server.pid()).expect("the server lives");
    let its = stat(grandchild.0).expect("the grandchild lives");
    let (parent, session) = (1, 3);
    assert_ne!(its[parent], server.pid().to_string(), "it is a child, not a grandchild");
    assert_ne!(its[session], ours[session], "it is in the session of the server");
    server.close_input();
    assert!(server.end().success());
    assert_eq!(server.line(), None, "the grandchild holds stdout");
    nix::sys::signal::kill(grandchild.0, Signal::SIGTERM).expect("the grandchild can be signalled");
    assert!(stat(grandchild.0).is_some(), "SIGTERM ended the grandchild");
    grandchild.end();
}

#[test]
fn a_grandchild_may_hold_the_pipes() {
    let mut server = Server::start(&["--fork-grandchild", "--grandchild-holds-pipes"]);
    let grandchild = grandchild_of(&server);
    server.answers_ping();
    server.close_input();
    server.end();
    for descriptor in 0..3 {
        let held =
            std::fs::read_link(format!("/proc/{}/fd/{descriptor}", grandchild.0)).expect("a descriptor");
        assert!(held.to_string_lossy().starts_with("pipe:"), "{}", held.display());
    }
    grandchild.end();
    assert_eq!((server.line(), server.error_line()), (None, None));
}

#[test]
fn it_exits_at_once_or_after_a_time_with_the_code_given() {
    let mut server = Server::start(&["--exit-at-start", "42"]);
    assert_eq!(server.end().code(), Some(42));
    assert_eq!(server.error_line().as_deref(), Some("echo: told to exit at once with 42"));
    assert_eq!(server.line(), None);

    let mut server = Server::start(&["--exit-after", "300ms", "--exit-code", "7", "--ignore-sigterm"]);
    server.answers_ping();
    assert_eq!(server.end().code(), Some(7));
    assert_eq!(server.error_line().as_deref(), Some("echo: told to exit now with 7"));
}

#[test]
fn it_floods_stderr_and_answers_meanwhile() {
    for rate in ["0", "5000"] {
        let mut server = Server::start(&["--flood-stderr", rate]);
        for number in 1..=2000 {
            assert_eq!(server.error_line(), Some(format!("echo: flood line {number}")));
        }
        server.answers_ping();
    }
}

#[test]
fn it_writes_a_huge_line() {
    let mut server = Server::start(&["--huge-line", &(20 * MIB).to_string()]);
    let line = server.line().expect("a line");
    assert_eq!(line.len(), 20 * MIB);
    assert!(serde_json::from_str::<Value>(&line).is_ok());
    server.answers_ping();
}

#[test]
fn it_puts_garbage_between_its_messages() {
    let mut server = Server::start(&["--garbage"]);
    for _ in 0..3 {
        let garbage = server.line().expect("a line");
        assert!(serde_json::from_str::<Value>(&garbage).is_err(), "{garbage}");
        server.answers_ping();
    }
    server.close_input();
    assert!(server.end().success());
}

#[test]
fn it_eats_memory_and_keeps_it() {
    let mut server = Server::start(&["--eat-memory", "64"]);
    assert_eq!(server.error_line().as_deref(), Some("echo: ate 64 MB"));
    server.answers_ping();
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("its status");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    let kib: usize = resident.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(kib >= 64 * 1024, "only {kib} KiB");
}

#[test]
fn it_spins_and_answers_meanwhile() {
    let mut server = Server::start(&["--spin"]);
    server.answers_ping();
    // Field 14 of the line, in hundredths of a second.
    wait_until("a fifth of a second is used up", || {
        stat(server.pid()).expect("the server lives")[11].parse::<u64>().expect("ticks") >= 20
    });
    server.answers_ping();
}

#[test]
fn it_answers_what_nobody_asked() {
    let mut server = Server::start(&["--answer-unasked"]);
    for _ in 0..3 {
        assert_eq!(server.message()["id"], "nobody asked");
        server.answers_ping();
    }
}

#[test]
fn it_answers_twice() {
    let mut server = Server::start(&["--answer-twice"]);
    server.answers_ping();
    assert_eq!(server.message()["id"], "ping");
    server.answers_ping();
}

#[test]
fn it_answers_what_was_cancelled() {
    let mut server = Server::start(&["--answer-cancelled"]);
    server.initialize();
    let params = json!({ "name": "sleep", "arguments": { "ms": 3_000_000 } });
    server.send(&json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }));
    let params = json!({ "requestId": 1 });
    server.send(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params }));
    assert_eq!(server.message()["id"], 1);
    server.answers_ping();
}

#[test]
fn it_answers_in_the_shape_of_the_wrong_era() {
    let mut server = Server::start(&["--wrong-era"]);
    assert_eq!(server.initialize()["result"]["resultType"], "complete");
    let mut server = Server::start(&["--wrong-era"]);
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let listed = server.ask(1, "tools/list", &json!({ "_meta": meta }));
    assert!(listed["result"]["tools"].is_array() && listed["result"].get("resultType").is_none(), "{listed}");
}

#[test]
fn it_reads_no_further() {
    let mut server = Server::start(&["--stop-reading-after", "1"]);
    server.answers_ping();
    assert_eq!(server.error_line().as_deref(), Some("echo: told to read no further"));
    server.send_line(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
    server.close_input();
    assert!(!server.has_ended(), "it read the end of input");
}

#[test]
fn a_batch_crashes_it() {
    let mut server = Server::start(&["--crash-on-batch"]);
    server.answers_ping();
    server.send_line(r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#);
    assert_eq!(server.end().code(), Some(1));
    assert_eq!(server.error_line().as_deref(), Some("echo: told to exit at a batch"));
}

#[test]
fn it_floods_notifications_and_answers_meanwhile() {
    for rate in ["0", "5000"] {
        let mut server = Server::start(&["--flood-notifications", rate]);
        for number in 1..=2000 {
            let told = server.message();
            assert_eq!(
                (&told["method"], &told["params"]["data"]),
                (&json!("notifications/message"), &json!(number))
            );
        }
        server.send(&json!({ "jsonrpc": "2.0", "id": "ping", "method": "ping" }));
        while server.message()["id"] != "ping" {}
    }
}
