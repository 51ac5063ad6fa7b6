//! The reaper in a process of its own: beside a service, and without one.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use roadstead_test_support::app::{App, AppOptions, data_folder, is_alive, programs};
use roadstead_test_support::{Rows, wait_for};
use serde_json::json;

use crate::support::instance::{Launched, PATIENCE, set_ports};
use crate::support::kept::Kept;

/// How long after a deadline a daemon may take: the grace, the ladder and a margin belong to the instance's owner.
const OVERDUE_PATIENCE: Duration = Duration::from_secs(100);

/// `roadstead reaper` in a data folder; ended when dropped.
struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    #[expect(clippy::disallowed_methods, reason = "the program is what is tested")]
    fn start(data: &Path, name: &str) -> Self {
        let log = data.join(name);
        let out = std::fs::File::create(&log).expect("a log file");
        let child = Command::new(programs().join("roadstead"))
            .arg("reaper")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", data)
            .env("ROADSTEAD_DATA_DIR", data)
            // What it must not need is not there.
            .env("ROADSTEAD_MASTER_KEY", "nonsense")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(out)
            .spawn()
            .expect("roadstead starts");
        Self { child, log }
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process id fits")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    async fn says(&self, what: &str) {
        wait_for(&format!("{what:?} in {}", self.log.display()), PATIENCE, async || {
            self.log().contains(what).then_some(())
        })
        .await;
    }

    async fn ended_by(mut self, signal: Signal) -> ExitStatus {
        kill(Pid::from_raw(self.pid()), signal).expect("our own child");
        wait_for("the reaper to end", PATIENCE, async || self.child.try_wait().expect("our own child")).await
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Who reaps: the kind and the process.
async fn holder(rows: &mut Rows) -> Option<String> {
    let query = "select kind || ' ' || pid from reaper_leases where until > clock_timestamp()";
    rows.texts(query).await.pop()
}

async fn wait_holder(rows: &mut Rows, holder_is: Option<String>) {
    wait_for(&format!("{holder_is:?} to reap"), PATIENCE, async || {
        (holder(rows).await == holder_is).then_some(())
    })
    .await;
}

async fn events(rows: &mut Rows, id: &str) -> Vec<String> {
    let query =
        format!("select event_type from mcp_events where mcp_instance_id = '{id}' order by at, seq, origin");
    rows.texts(&query).await
}

async fn wait_status(rows: &mut Rows, id: &str, status: &str) {
    let query = format!("select status from mcp_instances where id = '{id}'");
    wait_for(&format!("{id} to be {status}"), OVERDUE_PATIENCE, async || {
        (rows.texts(&query).await == [status]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn without_a_service_the_daemon_ends_what_is_overdue_and_leaves_the_rest_alone() {
    let (kept, app) = Kept::start("serve", &[]).await;
    set_ports(&app, 22_100, 22_119).await;
    let stuck = Launched::new(&app, json!({"type": "echo", "expires_in": "20s"})).await;
    let obedient = Launched::new(&app, json!({"type": "echo", "expires_in": "20s"})).await;
    let stopped = Launched::new(&app, json!({"type": "echo", "expires_in": "30s"})).await;
    let longer = Launched::new(&app, json!({"type": "echo", "expires_in": "1h"})).await;
    let answer = app.ask("POST", &format!("/instances/{}/stop", stopped.id), None).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let mut rows = Rows::of(app.data()).await;
    // It keeps no deadline any more, nor does anybody else.
    kill(Pid::from_raw(stuck.shim), Signal::SIGSTOP).expect("it lives");
    app.signal(Signal::SIGTERM);
    let (_, data) = app.ended().await;
    assert_eq!(holder(&mut rows).await, None, "an orderly end gives the lease up");

    let daemon = Daemon::start(data.path(), "reaper.log");
    wait_holder(&mut rows, Some(format!("daemon {}", daemon.pid()))).await;
    assert!(is_alive(stuck.server), "its owner's time is not over yet");
    for one in [&stuck, &obedient, &stopped] {
        wait_status(&mut rows, &one.id, "expired").await;
        one.gone().await;
    }
    assert_eq!(events(&mut rows, &stuck.id).await, ["created", "started", "expired", "reaped"]);
    assert_eq!(events(&mut rows, &obedient.id).await, ["created", "started", "expired", "reaped"]);
    assert_eq!(events(&mut rows, &stopped.id).await, ["created", "started", "stopped", "expired"]);
    let message =
        format!("select coalesce(error_message, '') from mcp_instances where id = '{}'", obedient.id);
    assert_eq!(rows.texts(&message).await, [""], "its own record says how it ended");
    let held = rows.number("select count(*) from port_allocations where not is_available").await;
    assert_eq!(held, 1, "their ports are free");
    assert!(longer.lives());
    assert_eq!(daemon.ended_by(Signal::SIGTERM).await.code(), Some(0));
    assert_eq!(holder(&mut rows).await, None);

    let app = kept.start_again("serve", data).await;
    assert_eq!(longer.route(&app, &longer.token).await.0, 200);
    assert_eq!(app.instance(&stuck.id).await["status"], "expired");
    wait_holder(&mut rows, Some(format!("service {}", app.pid()))).await;
    rows.close().await;
}

#[tokio::test]
async fn one_process_reaps_and_another_takes_over_when_it_dies() {
    let data = data_folder();
    let environment = vec![("ROADSTEAD_NO_REAPER".to_owned(), "true".to_owned())];
    let options = AppOptions { data: Some(data), environment, ..AppOptions::default() };
    let app = App::start_with(options).await;
    set_ports(&app, 22_120, 22_139).await;
    let mut rows = Rows::of(app.data()).await;
    assert_eq!(holder(&mut rows).await, None, "a service that is told not to reap does not ask");
    let short = Launched::new(&app, json!({"type": "echo", "expires_in": "5s"})).await;
    app.wait_status(&short.id, "expired", PATIENCE).await;
    short.gone().await;
    assert_eq!(app.event_types(&short.id).await, ["created", "started", "expired"], "its owner ends it");

    let first = Daemon::start(app.data(), "first.log");
    wait_holder(&mut rows, Some(format!("daemon {}", first.pid()))).await;
    let second = Daemon::start(app.data(), "second.log");
    second.says("another process reaps").await;
    assert_eq!(holder(&mut rows).await, Some(format!("daemon {}", first.pid())));
    first.ended_by(Signal::SIGKILL).await;
    wait_holder(&mut rows, Some(format!("daemon {}", second.pid()))).await;
    // Given up in order, it is free at once.
    let third = Daemon::start(app.data(), "third.log");
    third.says("another process reaps").await;
    assert_eq!(second.ended_by(Signal::SIGTERM).await.code(), Some(0));
    wait_holder(&mut rows, Some(format!("daemon {}", third.pid()))).await;
    assert_eq!(third.ended_by(Signal::SIGTERM).await.code(), Some(0));
    rows.close().await;
}

#[tokio::test]
async fn a_daemon_waits_for_a_service_to_begin_and_goes_on_when_its_database_is_back() {
    let mut data = data_folder();
    data.disable_cleanup(true);
    let kept = Kept { folder: data.path().to_owned(), environment: Vec::new() };
    let daemon = Daemon::start(data.path(), "reaper.log");
    daemon.says("there is nothing to reap in yet").await;
    let app = kept.start_again("up", data).await;
    let mut rows = Rows::of(app.data()).await;
    wait_for("somebody to reap", PATIENCE, async || holder(&mut rows).await).await;
    rows.close().await;
    // What it tells of the lease, whoever has it, says that it has found the database.
    daemon.says("on this machine").await;
    let (_, data) = app.interrupt().await;
    daemon.says("the database does not answer").await;
    let app = kept.start_again("serve", data).await;
    let mut rows = Rows::of(app.data()).await;
    app.signal(Signal::SIGTERM);
    app.ended().await;
    wait_holder(&mut rows, Some(format!("daemon {}", daemon.pid()))).await;
    assert_eq!(daemon.ended_by(Signal::SIGTERM).await.code(), Some(0));
    rows.close().await;
}
