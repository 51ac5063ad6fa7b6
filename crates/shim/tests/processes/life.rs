//! What a running instance does, and how it ends.

use std::time::{Duration, Instant};

use roadstead_control::{IsolationLevel, Outcome, ServerEnd, StopReason, TokenHash};
use roadstead_supervisor::CommandError;

use crate::support::{Place, ask, bearer, eventually, get, marked};

#[tokio::test]
async fn a_running_instance_answers_whoever_has_its_token() {
    let place = Place::new();
    let mut launched = place.launch(place.specification(&[])).await;
    let address = launched.address;
    for (headers, status) in [
        (bearer(), "200"),
        (bearer().replace("Bearer", "bEaReR"), "200"),
        (format!("X-MCP-Access-Token: {}\r\n", crate::support::TOKEN), "200"),
        (String::new(), "401"),
        ("Authorization: Bearer wrong\r\n".to_owned(), "401"),
        (bearer().replace("Bearer", "Basic"), "401"),
    ] {
        let (head, body) = ask(address, &get("/status", &headers));
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{headers}: {head}");
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        if status == "401" {
            assert!(head.to_lowercase().contains("www-authenticate: bearer"), "{head}");
            assert_eq!(body["error"]["code"], "UNAUTHORIZED");
        } else {
            assert_eq!(body["status"], "running");
            assert_eq!(body["instance"], launched.instance.to_string());
            assert_eq!(body["server"]["pid"], launched.ready.server.pid);
        }
    }
    let query = format!("/status?access_token={}", crate::support::TOKEN);
    assert!(ask(address, &get(&query, "")).0.starts_with("HTTP/1.1 401 "));
    for path in ["/", "/.well-known/oauth-protected-resource", "/mcpx"] {
        assert!(ask(address, &get(path, "")).0.starts_with("HTTP/1.1 404 "), "{path}");
    }
    let rebound = get("/status", &bearer()).replace("localhost", "evil.example");
    assert!(ask(address, &rebound).0.starts_with("HTTP/1.1 403 "));
    assert!(ask(address, &get("/mcp", "")).0.starts_with("HTTP/1.1 401 "));

    launched.shim.control().stop(StopReason::Requested, Duration::ZERO).await.unwrap();
    assert_eq!(launched.exited().await.0.outcome, Outcome::Stopped);
}

#[tokio::test]
async fn the_pid_told_is_the_servers_as_seen_from_here() {
    let place = Place::new();
    let launched = place.launch(place.specification(&[])).await;
    let server = launched.ready.server;
    assert_eq!(marked(launched.instance), [server]);
    let program = std::fs::read_link(format!("/proc/{}/exe", server.pid)).unwrap();
    assert_eq!(program, place.program("misbehave"));
    launched.shim.control().kill();
    let mut launched = launched;
    launched.exited().await;
}

#[tokio::test]
async fn the_server_gets_three_descriptors_its_environment_and_no_rights() {
    let place = Place::new();
    let facts = place.work().join("facts");
    let mut launched = place.launch(place.specification(&["--facts", facts.to_str().unwrap()])).await;
    let facts: serde_json::Value = serde_json::from_slice(&std::fs::read(facts).unwrap()).unwrap();
    let mut descriptors: Vec<_> = facts["descriptors"].as_array().unwrap().iter().collect();
    descriptors.sort_by_key(ToString::to_string);
    assert_eq!(descriptors, ["0", "1", "2"]);
    let instance = launched.instance.to_string();
    assert_eq!(
        facts["environment"],
        serde_json::json!({"GREETING": "canary-secret", "ROADSTEAD_INSTANCE": instance})
    );
    let status = facts["status"].as_str().unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_once(':').unwrap().1.trim().to_owned()
    };
    assert_eq!(field("NoNewPrivs"), "1");
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(field(set), "0000000000000000", "{set}");
    }
    assert_ne!(field("Uid").split_whitespace().next(), Some("0"));
    assert_eq!(field("SigBlk"), "0000000000000000");
    let ignored = u64::from_str_radix(&field("SigIgn"), 16).unwrap();
    assert_eq!(ignored & 0x7FFF_FFFF, 0x1000, "SIGPIPE, which Rust programs ignore themselves, and no other");
    let limits = facts["limits"].as_str().unwrap();
    let limit = |name: &str| limits.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(limit("Max open files").contains("1024"), "{limits}");
    assert!(limit("Max core file size").split_whitespace().nth(4) == Some("0"), "{limits}");
    assert_eq!(facts["folder"], place.work().to_str().unwrap());

    launched.shim.control().kill();
    launched.exited().await;
}

#[tokio::test]
async fn a_server_that_ignores_everything_is_gone_within_the_ladder() {
    let place = Place::new();
    let args = ["--ignore-sigterm", "--ignore-end-of-input", "--stray"];
    let mut launched = place.launch(place.specification(&args)).await;
    assert_eq!(marked(launched.instance).len(), 2);
    let asked = Instant::now();
    launched.shim.control().stop(StopReason::Requested, Duration::ZERO).await.unwrap();
    let (record, lines) = launched.exited().await;
    assert!(asked.elapsed() >= Duration::from_millis(600), "both steps were waited for");
    assert_eq!(marked(launched.instance), []);
    assert_eq!(record.outcome, Outcome::Stopped);
    assert_eq!(record.reason, Some(StopReason::Requested));
    assert!(lines.iter().any(|line| line.contains("SIGTERM")), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("SIGKILL")), "{lines:?}");
    std::net::TcpListener::bind(launched.address).expect("the port is free again");
    launched.supervisor.forget(launched.instance).unwrap();
    assert_eq!(std::fs::read_dir(place.run_root()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_deadline_ends_the_instance_and_can_be_moved_both_ways() {
    let place = Place::new();
    let mut specification = place.specification(&[]);
    specification.remaining_ms = 20_000;
    specification.stop_step_ms = 20_000;
    let mut launched = place.launch(specification).await;
    let control = launched.shim.control();
    control.set_deadline(2, Duration::from_mins(10)).await.unwrap();
    let status = control.status().await.unwrap();
    assert!(status.remaining_ms > 500_000 && status.generation == 2, "{status:?}");
    let stale = control.set_deadline(1, Duration::from_secs(1)).await.unwrap_err();
    assert!(matches!(stale, CommandError::Stale { generation: 2 }), "{stale:?}");
    let asked = Instant::now();
    control.set_deadline(3, Duration::from_millis(50)).await.unwrap();
    let (record, _) = launched.exited().await;
    assert_eq!(record.outcome, Outcome::Expired);
    assert!(
        asked.elapsed() < Duration::from_secs(15),
        "an obedient server is gone before its first step is over"
    );
    assert!(matches!(control.status().await, Err(CommandError::Ending | CommandError::Unreachable)));
}

#[tokio::test]
async fn a_replaced_token_is_refused_at_once() {
    let place = Place::new();
    let mut launched = place.launch(place.specification(&[])).await;
    let control = launched.shim.control();
    control.set_token(2, TokenHash::of(b"rsi_another")).await.unwrap();
    assert!(ask(launched.address, &get("/status", &bearer())).0.starts_with("HTTP/1.1 401 "));
    let other = "Authorization: Bearer rsi_another\r\n";
    assert!(ask(launched.address, &get("/status", other)).0.starts_with("HTTP/1.1 200 "));
    control.kill();
    assert_eq!(launched.exited().await.0.outcome, Outcome::Disconnected);
}

#[tokio::test]
async fn a_server_that_is_killed_is_a_disconnected_instance() {
    let place = Place::new();
    let args = ["--say", "my last words: canary-secret", "--stray"];
    let mut launched = place.launch(place.specification(&args)).await;
    let server = nix::unistd::Pid::from_raw(launched.ready.server.pid);
    nix::sys::signal::kill(server, nix::sys::signal::Signal::SIGKILL).unwrap();
    let (record, lines) = launched.exited().await;
    assert_eq!(record.outcome, Outcome::Disconnected);
    assert_eq!(record.server_end, Some(ServerEnd::Signal(9)));
    assert_eq!(record.stderr_tail, ["my last words: [masked]"]);
    assert!(lines.contains(&"my last words: [masked]".to_owned()), "{lines:?}");
    assert_eq!(marked(launched.instance), []);
}

#[tokio::test]
async fn a_flood_on_standard_error_arrives_whole_and_in_order() {
    let place = Place::new();
    let mut launched = place.launch(place.specification(&["--flood"])).await;
    launched.shim.control().stop(StopReason::Requested, Duration::ZERO).await.unwrap();
    let (record, lines) = launched.exited().await;
    let flood: Vec<_> = lines.iter().filter(|line| line.starts_with("line ")).collect();
    assert_eq!(flood.len(), 20_000);
    assert_eq!((flood[0].as_str(), flood[19_999].as_str()), ("line 0", "line 19999"));
    assert_eq!(record.dropped_logs, 0);
}

#[tokio::test]
async fn lines_that_nobody_stored_are_found_at_the_next_start() {
    let place = Place::new();
    let mut launched = place.launch(place.specification(&["--say", "remember me"])).await;
    let process = launched.shim.process();
    // The driver leaves: what it was sent it has not confirmed.
    drop(launched.take_events());
    let pid = nix::unistd::Pid::from_raw(process.pid);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    eventually("the shim ends", || !roadstead_supervisor::is_alive(process));
    let found = place.supervisor().survey(place.installation, place.boot, true).unwrap();
    assert_eq!(found.len(), 1);
    assert!(!found[0].is_alive());
    assert_eq!(found[0].record().unwrap().reason, Some(StopReason::Shutdown));
    let spool = found[0].spool();
    assert!(spool.iter().any(|entry| entry.message == "remember me"), "{spool:?}");
}

#[tokio::test]
async fn a_foreign_installation_is_refused_and_left_alone() {
    let place = Place::new();
    let mut launched = place.launch(place.specification(&[])).await;
    let other = Place::new().installation;
    let error = place.supervisor().survey(other, place.boot, true).unwrap_err();
    assert!(error.to_string().contains(&place.installation.to_string()), "{error}");
    assert!(roadstead_supervisor::is_alive(launched.shim.process()));
    launched.shim.control().kill();
    launched.exited().await;
}

#[tokio::test]
async fn the_control_socket_speaks_only_with_who_knows_the_secret() {
    use std::io::{Read as _, Write as _};
    let place = Place::new();
    let mut launched = place.launch(place.specification(&[])).await;
    let socket = launched.supervisor.run_folder(launched.instance).join("c");
    let mut stranger = std::os::unix::net::UnixStream::connect(socket).unwrap();
    stranger.write_all(&[7; 64]).unwrap();
    let mut answer = Vec::new();
    stranger.read_to_end(&mut answer).unwrap();
    assert_eq!(answer.len(), 64, "a proof and a nonce, and not one message");
    assert!(launched.shim.control().status().await.is_ok(), "the owner is not disturbed");
    launched.shim.control().kill();
    launched.exited().await;
}

#[tokio::test]
async fn the_records_in_the_run_folder_hold_no_secret() {
    let place = Place::new();
    let launched = place.launch(place.specification(&[])).await;
    assert!(matches!(
        launched.ready.isolation,
        IsolationLevel::PidNamespace | IsolationLevel::UserNamespace | IsolationLevel::None
    ));
    let folder = launched.supervisor.run_folder(launched.instance);
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        if entry.file_type().unwrap().is_file() {
            let text = std::fs::read_to_string(entry.path()).unwrap();
            assert!(!text.contains("canary-secret") && !text.contains(crate::support::TOKEN), "{text}");
            seen += 1;
        }
    }
    assert!(seen >= 2, "state and launch note were looked at");
    for arg in ["cmdline", "environ"] {
        let said = std::fs::read(format!("/proc/{}/{arg}", launched.shim.process().pid)).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&said).contains("canary-secret"));
    }
    launched.shim.control().kill();
    let mut launched = launched;
    launched.exited().await;
}
