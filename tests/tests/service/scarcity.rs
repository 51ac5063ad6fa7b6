//! The machine runs out of something: a launch is refused with the reason, nothing is left half done, whatever runs goes on.

use std::path::{Path, PathBuf};
use std::time::Duration;

use roadstead_test_support::app::{Answer, App};
use roadstead_test_support::process::descriptors;
use roadstead_test_support::raw::{Session, http_client};
use roadstead_test_support::wait_for;
use serde_json::{Value, json};

use crate::support::kept::Kept;
use crate::support::left::{Left, life_is_whole};
use crate::support::machine::{FewProcesses, SmallDisk, limit_descriptors};

/// How long anything here may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long one answer of a service may take that has too little of something.
const NO_ANSWER: Duration = Duration::from_secs(10);
/// What a machine without enough answers.
const EXHAUSTED: &str = "MACHINE_EXHAUSTED";
/// What a launch may be refused with, depending on which of its steps found too little.
const REFUSALS: [&str; 3] = [EXHAUSTED, "DATABASE_UNAVAILABLE", "SERVER_FAILED_TO_START"];
/// More than a launch takes of anything that is counted here.
const PLENTY: usize = 60;
/// Descriptors that a service may have open for a moment.
const MOMENTARY: usize = 16;
/// Room on the small disk.
const DISK_BYTES: usize = 256 * 1024;

async fn start(first_port: u16) -> (Kept, App) {
    let (kept, app) = Kept::start("serve", &[]).await;
    for (key, value) in [("port.range_end", first_port + 99), ("port.range_start", first_port)] {
        let answer = app.ask("PUT", &format!("/settings/{key}"), Some(json!({ "value": value }))).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    (kept, app)
}

async fn try_launch(app: &App) -> Answer {
    app.ask("POST", "/instances", Some(json!({"type": "echo", "expires_in": "1h"}))).await
}

/// A refusal that names its reason; answers with the code.
fn refused(answer: &Answer) -> String {
    let code = answer.body["error"]["code"].as_str().unwrap_or_default();
    assert!(REFUSALS.contains(&code), "{answer:?}");
    if code == EXHAUSTED {
        assert!(answer.status == 503 && answer.headers.contains_key("retry-after"), "{answer:?}");
    }
    code.to_owned()
}

async fn adds(session: &Session, number: u64) {
    let answer = session.call(&json!(number), "add", &json!({"a": number, "b": 1})).await;
    assert_eq!(answer["result"]["structuredContent"]["sum"], number + 1, "{answer}");
}

async fn live(app: &App) -> Vec<Value> {
    let mut rows = Vec::new();
    for status in ["pending", "running"] {
        let answer = app.ask("GET", &format!("/instances?status={status}&limit=100"), None).await;
        rows.extend(answer.body["data"].as_array().expect("a list").iter().cloned());
    }
    rows
}

/// Rows, processes and folders tell the same, and every life that ended is told whole.
async fn nothing_is_half_done(app: &App) {
    let mut wrong = Vec::new();
    wait_for("rows and processes to tell the same", PATIENCE, async || {
        let now = Left::look(app.data()).compared_with(&live(app).await);
        if now != wrong {
            eprintln!("{now:?}");
        }
        wrong = now;
        wrong.is_empty().then_some(())
    })
    .await;
    let failed = app.ask("GET", "/instances?status=error&limit=100", None).await;
    for row in failed.body["data"].as_array().expect("a list") {
        let events = app.event_types(row["id"].as_str().expect("an id")).await;
        life_is_whole(&events, "error").expect("its events tell all of it");
        assert!(row["error_message"].as_str().is_some_and(|message| !message.is_empty()), "{row}");
    }
    let ports = app.ask("GET", "/ports?limit=200", None).await;
    assert_eq!(ports.status, 200, "{ports:?}");
}

/// Launches with more and more of what is short, until one is made; the codes of the others.
async fn until_enough(app: &App, mut leave: impl FnMut(usize)) -> Vec<String> {
    let mut codes = Vec::new();
    for more in 0..PLENTY {
        leave(more);
        // Where not even a connection can be taken, there is no answer: more is left then, too.
        let Ok(answer) = tokio::time::timeout(NO_ANSWER, try_launch(app)).await else {
            codes.push("no answer".to_owned());
            continue;
        };
        if answer.status == 201 {
            return codes;
        }
        codes.push(refused(&answer));
    }
    panic!("nothing was launched with {PLENTY} more: {codes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_descriptors_a_launch_is_refused_and_the_next_with_some_is_made() {
    let (kept, app) = start(25_200).await;
    // What a launch opens and keeps is open already.
    assert_eq!(try_launch(&app).await.status, 201);
    // What is open for a moment only, on a busy machine, would be enough for a launch.
    let open = descriptors(app.pid()).saturating_sub(MOMENTARY);
    let codes = until_enough(&app, |more| limit_descriptors(app.pid(), open + more)).await;
    eprintln!("{codes:?}");
    assert!(codes.iter().any(|code| code == EXHAUSTED), "{codes:?}");
    limit_descriptors(app.pid(), 4096);
    nothing_is_half_done(&app).await;
    assert_eq!(try_launch(&app).await.status, 201);
    drop((app, kept));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_processes_a_launch_is_refused_and_the_next_with_some_is_made() {
    let (kept, app) = start(25_300).await;
    assert_eq!(try_launch(&app).await.status, 201);
    let Some(group) = FewProcesses::around(app.pid()) else {
        eprintln!("no control group for processes can be made here: needs root and the pids controller");
        return;
    };
    let codes = until_enough(&app, |more| group.leave(more)).await;
    eprintln!("{codes:?}");
    assert!(codes.iter().any(|code| code == EXHAUSTED), "{codes:?}");
    group.no_limit();
    nothing_is_half_done(&app).await;
    assert_eq!(try_launch(&app).await.status, 201);
    drop((group, app, kept));
}

/// Where the shims of a data folder have their folders.
fn run_root(data: &Path) -> PathBuf {
    let installation = std::fs::read_to_string(data.join("installation")).expect("an id");
    let digits: String = installation.trim().chars().filter(|c| *c != '-').collect();
    let name = format!("run-{}", &digits[digits.len() - 8..]);
    let own = format!("/tmp/roadstead-{}", nix::unistd::geteuid());
    let parents = ["/run/roadstead", own.as_str()];
    parents.iter().map(|parent| Path::new(parent).join(&name)).find(|path| path.is_dir()).expect("a folder")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_full_disk_instances_go_on_and_end_and_a_launch_is_refused() {
    let (kept, app) = start(25_400).await;
    let Some(disk) = SmallDisk::over(&run_root(app.data()), DISK_BYTES) else {
        eprintln!("no small disk can be mounted here: needs root");
        return;
    };
    let launched = try_launch(&app).await;
    assert_eq!(launched.status, 201, "{launched:?}");
    let id = launched.body["id"].as_str().expect("an id").to_owned();
    let token = launched.body["access_token"].as_str().expect("a token");
    let url = launched.body["port_url"].as_str().expect("a URL");
    let session = Session::open(&http_client(false), url, token).await;
    adds(&session, 1).await;
    disk.fill();
    for number in 2..10 {
        adds(&session, number).await;
    }
    let answer = try_launch(&app).await;
    assert_eq!(refused(&answer), EXHAUSTED, "{answer:?}");
    let stopped = app.ask("POST", &format!("/instances/{id}/stop"), None).await;
    assert_eq!(stopped.status, 200, "{stopped:?}");
    wait_for("a fact for every call", PATIENCE, async || {
        let answer = app.ask("GET", "/usage?limit=100", None).await;
        (answer.body["data"].as_array()?.len() == 9).then_some(())
    })
    .await;
    disk.make_room();
    nothing_is_half_done(&app).await;
    life_is_whole(&app.event_types(&id).await, "stopped").expect("its events tell all of it");
    let answer = try_launch(&app).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let last = format!("/instances/{}", answer.body["id"].as_str().expect("an id"));
    assert_eq!(app.ask("DELETE", &last, None).await.status, 204);
    drop((disk, app, kept));
}
