//! After a reboot of the machine: what is meant to come back does, and nothing else.
//!
//! The reboot is made up: every process is killed, run folders go as a memory file system's would, and the rows are made to
//! remember another boot.

use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use roadstead_test_support::app::{App, is_alive};
use roadstead_test_support::{Rows, wait_for};
use serde_json::{Value, json};

use crate::support::instance::{Launched, PATIENCE, set_ports};
use crate::support::kept::Kept;

/// The run folders of a data folder's instances: beside the socket of its database.
fn run_root(data: &Path) -> PathBuf {
    let lock = std::fs::read_to_string(data.join("postgres/cluster/postmaster.pid")).expect("a cluster runs");
    let socket = PathBuf::from(lock.lines().nth(4).expect("its socket's folder"));
    let name = socket.file_name().and_then(|name| name.to_str()).expect("a name").replace("pg-", "run-");
    socket.with_file_name(name)
}

async fn reboot(data: &Path, instances: &[&Launched]) {
    for one in instances {
        for pid in [one.shim, one.server] {
            // Gone already: what we want.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
    wait_for("every process to be gone", PATIENCE, async || {
        instances.iter().all(|one| !is_alive(one.shim) && !is_alive(one.server)).then_some(())
    })
    .await;
    for entry in std::fs::read_dir(run_root(data)).expect("run folders").flatten() {
        std::fs::remove_dir_all(entry.path()).expect("a folder of ours");
    }
    let mut rows = Rows::of(data).await;
    rows.execute("update nodes set boot_id = '019a0000-0000-7000-8000-00000000b007'").await;
    rows.execute("update mcp_instances set boot_id = '019a0000-0000-7000-8000-00000000b007'").await;
    rows.close().await;
}

async fn stop(app: &App, id: &str) {
    let answer = app.ask("POST", &format!("/instances/{id}/stop"), None).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// The particulars of the last event of a type.
async fn told(app: &App, id: &str, event: &str) -> Value {
    let answer = app.ask("GET", &format!("/instances/{id}/events?limit=100"), None).await;
    let events = answer.body["data"].as_array().expect("a list").clone();
    let found = events.into_iter().rev().find(|one| one["event_type"] == event);
    found.unwrap_or_else(|| panic!("no {event} in {answer:?}"))
}

#[tokio::test]
async fn after_a_reboot_what_is_marked_and_has_time_left_is_restored_and_nothing_else() {
    let (kept, app) = Kept::start("serve", &[]).await;
    set_ports(&app, 22_200, 22_229).await;
    let marked = json!({"type": "echo", "expires_in": "1h", "autostart": true});
    let mut meant = Vec::new();
    for _ in 0..3 {
        meant.push(Launched::new(&app, marked.clone()).await);
    }
    let unmarked = Launched::new(&app, json!({"type": "echo", "expires_in": "1h"})).await;
    let stopped = Launched::new(&app, marked.clone()).await;
    stop(&app, &stopped.id).await;
    stopped.gone().await;
    let short = Launched::new(&app, json!({"type": "echo", "expires_in": "8s", "autostart": true})).await;
    app.define_echo("gone", &[]).await;
    let disabled = Launched::new(&app, json!({"type": "gone", "expires_in": "1h", "autostart": true})).await;
    assert_eq!(app.instance(&meant[0].id).await["autostart"], true);
    assert_eq!(app.instance(&unmarked.id).await["autostart"], false);
    let answer = app.ask("POST", "/types/gone/disable", None).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    app.wait_status(&short.id, "expired", PATIENCE).await;
    assert!(meant.iter().chain([&unmarked, &disabled]).all(Launched::lives));
    app.signal(Signal::SIGKILL);
    let (_, data) = app.ended().await;
    let all: Vec<&Launched> = meant.iter().chain([&unmarked, &stopped, &short, &disabled]).collect();
    reboot(data.path(), &all).await;

    let app = kept.start_again("serve", data).await;
    for one in &meant {
        let expected = ["created", "started", "disconnected", "restored", "started"];
        wait_for("it to be started again", PATIENCE, async || {
            (app.event_types(&one.id).await == expected).then_some(())
        })
        .await;
        // The way is opened after the event is written.
        wait_for("its URL and token to open it", PATIENCE, async || {
            (one.route(&app, &one.token).await.0 == 200).then_some(())
        })
        .await;
        assert_eq!(app.instance(&one.id).await["status"], "running");
        let restored = told(&app, &one.id, "restored").await;
        assert!(restored["user_id"].is_null(), "nobody asked: {restored}");
        assert_eq!(restored["data"]["autostart"], true, "{restored}");
        assert_eq!(told(&app, &one.id, "disconnected").await["data"]["lost_with"], "reboot");
    }
    app.wait_status(&unmarked.id, "disconnected", PATIENCE).await;
    assert_eq!(app.event_types(&unmarked.id).await, ["created", "started", "disconnected"]);
    assert_eq!(app.instance(&stopped.id).await["status"], "stopped");
    assert_eq!(app.instance(&short.id).await["status"], "expired");
    wait_for("the one that cannot be started to be told of", PATIENCE, async || {
        app.log().contains("could not be started again after a reboot").then_some(())
    })
    .await;
    assert_eq!(app.instance(&disabled.id).await["status"], "disconnected", "its row is true");

    // A service that is merely started again restores nobody a second time.
    stop(&app, &meant[0].id).await;
    app.signal(Signal::SIGTERM);
    let (_, data) = app.ended().await;
    let app = kept.start_again("serve", data).await;
    assert_eq!(app.instance(&meant[1].id).await["status"], "running");
    assert_eq!(app.instance(&meant[0].id).await["status"], "stopped");
}
