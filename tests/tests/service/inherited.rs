//! What the programs that we start inherit: their own pipes, and no descriptor of ours.

use std::collections::BTreeSet;
use std::time::Duration;

use roadstead_test_support::app::{App, programs};
use roadstead_test_support::poll::wait_for;
use serde_json::json;

/// How long anything here may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// Tells each of its descriptors; the one with which it reads the folder is gone by then.
const LISTER: &str = r#"
    opendir my $folder, "/proc/self/fd"; my @all = grep { /\d/ } readdir $folder; closedir $folder;
    for (sort { $a <=> $b } @all) { my $to = readlink "/proc/self/fd/$_"; print STDERR "fd $_ $to\n" if defined $to; }
    print STDERR "listed\n"; exec $ARGV[0];
"#;

/// Where the descriptors of a process lead.
fn descriptors(pid: i32) -> BTreeSet<(i32, String)> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("root reads every process");
    let read = |entry: std::fs::DirEntry| {
        let number = entry.file_name().to_str()?.parse().ok()?;
        Some((number, std::fs::read_link(entry.path()).ok()?.to_str()?.to_owned()))
    };
    entries.flatten().filter_map(read).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_has_its_pipes_and_nothing_else() {
    let app = App::start().await;
    let spec = json!({"name": "lister", "display_name": "Lister", "program": "/usr/bin/perl", "ready_timeout_s": 20,
        "args": ["-e", LISTER.replace('\n', " "), programs().join("roadstead-echo")]});
    let answer = app.ask("POST", "/types", Some(spec)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    // The second one is started where the first one's descriptors are open.
    for _ in 0..2 {
        let instance = app.launch(json!({"type": "lister"})).await;
        let path = format!("/instances/{}/logs?limit=100&order=asc", instance["id"].as_str().expect("an id"));
        let lines = wait_for("the list", PATIENCE, async || {
            let answer = app.ask("GET", &path, None).await;
            let lines = answer.body["data"].as_array()?.iter();
            let lines: Vec<String> =
                lines.filter_map(|line| Some(line["message"].as_str()?.to_owned())).collect();
            lines.iter().any(|line| line == "listed").then_some(lines)
        })
        .await;
        let listed: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("fd ")).collect();
        let numbers: Vec<&str> =
            listed.iter().map(|line| line.split(' ').next().expect("a number")).collect();
        assert_eq!(numbers, ["0", "1", "2"], "{listed:?}");
        assert!(listed.iter().all(|line| line.contains(" pipe:[")), "{listed:?}");
    }
    app.interrupt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_has_nothing_of_ours() {
    let app = App::start().await;
    let about = std::fs::read_to_string(app.data().join("postgres/cluster/postmaster.pid")).expect("it runs");
    let server: i32 = about.lines().next().and_then(|pid| pid.parse().ok()).expect("a process id");
    if !nix::unistd::geteuid().is_root() {
        eprintln!("only root can look at the descriptors of a process that hides them");
        app.interrupt().await;
        return;
    }
    let (theirs, ours) = (descriptors(server), descriptors(app.pid()));
    assert!(ours.iter().any(|(_, to)| to.starts_with("socket:[")), "the look itself finds sockets: {ours:?}");
    let ours: BTreeSet<&String> = ours.iter().map(|(_, to)| to).collect();
    for (number, to) in &theirs {
        // Kinds of things without a name of their own.
        if to.starts_with("anon_inode:") {
            assert!(to.contains("eventpoll") || to.contains("signalfd"), "{number} leads to {to}");
        } else if *number > 2 && to != "/dev/null" {
            assert!(!ours.contains(to), "the database has {to} of ours as {number}");
        } else {
            assert!(!to.starts_with("socket:["), "{number} leads to {to}");
        }
    }
    app.interrupt().await;
}
