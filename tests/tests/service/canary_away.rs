//! Canaries where nobody looks: in a dump of the database, on disk while the service is away, in what a killed process
//! leaves, and in what another user of the machine sees of our processes.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use memchr::memmem;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use roadstead_test_support::app::{App, AppOptions, is_alive};
use roadstead_test_support::poll::wait_for;
use serde_json::json;

use crate::support::canary::{
    BLABBER, RUN_FOLDER, Secret, assert_files_are_silent, canary, contents, define, files_below, holds,
    marker, text,
};

/// How long anything here may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
/// Somebody else on the machine.
const NOBODY: &str = "65534";

/// Goes on telling its secret beside a server that behaves, for some minutes at most.
const CHATTERER: &str = r#"
    if (!fork) { for (1..1500) { select undef, undef, undef, 0.2; syswrite STDERR, "later $t\n"; } exit 0; }
    exec $ARGV[0];
"#;

/// Tries to look into processes as somebody else; and into one of its own, so that the look is known to work.
const STRANGER: &str = r#"
    use POSIX (); POSIX::setgid($ARGV[0]); POSIX::setuid($ARGV[0]); shift;
    my $own = fork; if (!$own) { exec "/bin/sleep", "60"; }
    select undef, undef, undef, 0.05 until (readlink("/proc/$own/exe") // "") =~ /sleep|coreutils|busybox/;
    for my $pid ($own, @ARGV) { for my $part (qw(environ mem maps)) {
        if (open my $file, "<", "/proc/$pid/$part") { print $pid == $own ? "own" : "open $pid", " $part\n"; }
    } }
    kill 9, $own;
"#;

#[expect(clippy::disallowed_methods, reason = "programs of the machine look at what ours leave")]
fn program(path: impl AsRef<Path>) -> Command {
    Command::new(path.as_ref())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_not_left_behind_by_whoever_ends() {
    let app = App::start_with(AppOptions { command: "serve", ..AppOptions::default() }).await;
    let secret = Secret { called: "the canary", value: canary() };
    define(&app, "chatterer", &format!("{BLABBER} {CHATTERER}")).await;
    let spot = marker();
    let launch = json!({"type": "chatterer", "name": spot, "credentials": {"token": secret.value}});
    let first = app.launch(launch.clone()).await;
    let second = app.launch(launch).await;
    let all = [secret, Secret { called: "the API key", value: app.key.clone() }];
    let secret = &all[0];

    let dump = dump(app.data());
    assert!(memmem::find(&dump, spot.as_bytes()).is_some(), "the dump holds what there is");
    assert!(all.iter().all(|each| !holds(&dump, each)), "the dump of the database holds a secret");
    let servers = [&first, &second]
        .map(|each| i32::try_from(each["process_id"].as_i64().expect("it runs")).expect("a process id"));
    let inits = servers.map(parent);
    let shims = inits.map(parent);
    let ours = [&inits[..], &shims[..], &[app.pid()]].concat();
    for pid in &ours {
        let command = std::fs::read_to_string(format!("/proc/{pid}/comm")).expect("it runs");
        assert!(command.starts_with("roadstead"), "{pid} is {command}");
        let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("it runs");
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
        assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{command}: {core}");
    }
    strangers_see_nothing(&[&ours[..], &servers[..]].concat());

    // The service dies of what would leave a core; its instances go on, and what they say waits on disk.
    let log = app.log();
    assert!(!holds(log.as_bytes(), secret), "the log holds the secret");
    app.signal(Signal::SIGABRT);
    let (status, data) = app.ended().await;
    assert_eq!((status.signal(), status.core_dumped()), (Some(Signal::SIGABRT as i32), false), "{status}");
    let spools = spoken(data.path(), "spool.jsonl", b"later ").await;
    assert!(!spools.is_empty());
    assert_files_are_silent(data.path(), &all, Some(&spot));

    // One shim leaves in order and writes its exit record; the other is broken, and so is an init.
    kill(Pid::from_raw(shims[0]), Signal::SIGTERM).expect("it runs");
    spoken(data.path(), "exit.json", b"\"complete\":true").await;
    for broken in [inits[1], shims[1]] {
        let _ = kill(Pid::from_raw(broken), Signal::SIGABRT);
    }
    wait_for("everybody to be gone", PATIENCE, async || {
        [&inits[..], &shims[..], &servers[..]].concat().iter().all(|pid| !is_alive(*pid)).then_some(())
    })
    .await;
    assert_files_are_silent(data.path(), &all, Some(&spot));
    let here = std::env::current_dir().expect("a folder");
    for place in [Path::new("/"), &here, data.path()] {
        let left = std::fs::read_dir(place).expect("it can be read").flatten().find(|entry| {
            entry.file_name().to_str().is_some_and(|name| name == "core" || name.starts_with("core."))
        });
        assert!(left.is_none(), "{left:?}");
    }

    let app =
        App::start_with(AppOptions { data: Some(data), command: "serve", ..AppOptions::default() }).await;
    let path = format!("/instances/{}/logs?limit=100&order=desc", text(&first["id"]));
    let told = wait_for("what was said meanwhile", PATIENCE, async || {
        let answer = app.ask("GET", &path, None).await.body.to_string();
        answer.contains("later [masked]").then_some(answer)
    })
    .await;
    assert!(!holds(told.as_bytes(), secret), "the log holds the secret");
    assert!(!app.log().contains("panicked"), "{}", app.log());
    let (_, data) = app.interrupt().await;
    assert_files_are_silent(data.path(), &all, Some(&spot));
}

/// All of the database as SQL.
fn dump(data: &Path) -> Vec<u8> {
    let folder = data.join("postgres");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("a cluster has it");
    let about = read("cluster/postmaster.pid");
    let (port, socket) = (about.lines().nth(3).expect("a port"), about.lines().nth(4).expect("a folder"));
    let server: i32 = about.lines().next().and_then(|pid| pid.parse().ok()).expect("a process id");
    // The programs of the cluster's own version lie together.
    let server = std::fs::read_link(format!("/proc/{server}/exe")).expect("it runs");
    let dump = program(server.with_file_name("pg_dump"))
        .args(["--host", socket, "--port", port, "--username", "roadstead_owner", "roadstead"])
        .env("PGPASSWORD", read("owner.password").trim())
        .output()
        .expect("pg_dump is beside the server");
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    dump.stdout
}

fn parent(pid: i32) -> i32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:")).expect("it has a parent");
    line.trim().parse().expect("a number")
}

/// Files of this name below our folders that hold these words, once there is one.
async fn spoken(data: &Path, name: &str, words: &[u8]) -> Vec<PathBuf> {
    wait_for(name, PATIENCE, async || {
        let mut files = files_below(data);
        files.extend(files_below(Path::new(RUN_FOLDER)));
        files.retain(|path| path.ends_with(name));
        files.retain(|path| contents(path).is_some_and(|bytes| memmem::find(&bytes, words).is_some()));
        (!files.is_empty()).then_some(files)
    })
    .await
}

fn strangers_see_nothing(processes: &[i32]) {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("only root can look as somebody else: what others see was not tried");
        return;
    }
    let pids = processes.iter().map(ToString::to_string);
    let looked =
        program("/usr/bin/perl").args(["-e", STRANGER, NOBODY]).args(pids).output().expect("perl runs");
    let seen = String::from_utf8_lossy(&looked.stdout);
    assert_eq!(seen.lines().collect::<Vec<_>>(), ["own environ", "own mem", "own maps"], "{looked:?}");
}
