//! The service's own end: what it leaves, what the next start finds, and when there is no start.

use std::path::Path;

use nix::sys::signal::Signal;
use roadstead_test_support::app::{App, processes_of};
use roadstead_test_support::raw::{Session, http_client};
use roadstead_test_support::wait_for;
use serde_json::json;

use crate::support::instance::{Launched, PATIENCE, set_ports};
use crate::support::kept::{Kept, run};

/// Whether a private cluster runs in a folder.
fn cluster_runs(data: &Path) -> bool {
    processes_of(data).iter().any(|process| process.contains("postgres -D"))
}

/// Waits until no process knows of a folder any more.
async fn nothing_runs_in(data: &Path) {
    wait_for("every process of the folder to be gone", PATIENCE, async || {
        processes_of(data).is_empty().then_some(())
    })
    .await;
}

fn stderr(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// One call of a tool, which must be answered.
async fn answers(session: &Session, number: u64) {
    let answer = session.call(&json!(number), "echo", &json!({"text": "still here"})).await;
    assert_eq!(answer["result"]["content"][0]["text"], "still here", "{answer}");
}

/// Waits until the last event of an instance is this one, and answers with all of them.
async fn events_until(app: &App, id: &str, last: &str) -> Vec<String> {
    wait_for("an event", PATIENCE, async || {
        let events = app.event_types(id).await;
        (events.last().is_some_and(|event| event == last)).then_some(events)
    })
    .await
}

/// Launches on one run, ends the run by a signal, and looks at what the next one makes of it.
async fn instances_outlive_the_service(signal: Signal, first_port: u16) {
    let (kept, app) = Kept::start("serve", &[]).await;
    set_ports(&app, first_port, first_port + 19).await;
    let left = Launched::new(&app, json!({"type": "echo"})).await;
    let lost = Launched::new(&app, json!({"type": "echo"})).await;
    let stopped = Launched::new(&app, json!({"type": "echo"})).await;
    let answer = app.ask("POST", &format!("/instances/{}/stop", stopped.id), None).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let client = http_client(false);
    let mut session =
        Session::open(&client, &format!("http://127.0.0.1:{}/mcp", left.port), &left.token).await;
    app.signal(signal);
    let (status, data) = app.ended().await;
    assert_eq!(status.success(), signal == Signal::SIGTERM, "{status}");
    assert!(left.lives(), "an instance outlives the service");
    assert!(cluster_runs(data.path()), "so does the cluster");
    answers(&session, 1).await;
    kill(lost.shim);
    lost.gone().await;

    let app = kept.start_again("serve", data).await;
    assert_eq!(left.route(&app, &left.token).await.0, 200, "callers need not wait until it is adopted");
    assert_eq!(events_until(&app, &left.id, "adopted").await, ["created", "started", "adopted"]);
    assert_eq!(app.instance(&left.id).await["status"], "running");
    answers(&session, 2).await;
    session.url = format!("{}/i/{}/mcp", app.url, left.id);
    answers(&session, 3).await;
    let row = app.wait_status(&lost.id, "disconnected", PATIENCE).await;
    assert!(row["error_message"].as_str().is_some_and(|why| why.contains("shim")), "{row}");
    assert_eq!(app.event_types(&lost.id).await, ["created", "started", "disconnected"]);
    assert_eq!(lost.route(&app, &lost.token).await.0, 410);
    assert_eq!(app.instance(&stopped.id).await["status"], "stopped", "an end is written once");
    let new = Launched::new(&app, json!({"type": "echo"})).await;
    assert!(![left.port, lost.port, stopped.port].contains(&new.port), "ports are held, or go on resting");

    // Everything that may be asked of an instance may be asked of one that was taken over, a second time too.
    let extended = format!("/instances/{}/extend", left.id);
    let answer = app.ask("POST", &extended, Some(json!({"by": "10m"}))).await;
    assert_eq!((answer.status, &answer.body["generation"]), (200, &json!(2)), "{answer:?}");
    let answer = app.ask("POST", &format!("/instances/{}/rotate-token", left.id), None).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let token = answer.body["access_token"].as_str().expect("a new token").to_owned();
    assert_eq!(left.route(&app, &left.token).await.0, 401);
    app.signal(Signal::SIGKILL);
    let (_, data) = app.ended().await;
    let app = kept.start_again("up", data).await;
    events_until(&app, &left.id, "adopted").await;
    assert_eq!(left.route(&app, &token).await.0, 200);
    let answer = app.ask("POST", &format!("/instances/{}/stop", left.id), None).await;
    assert_eq!((answer.status, &answer.body["status"]), (200, &json!("stopped")), "{answer:?}");
    left.gone().await;

    let (status, data) = app.interrupt().await;
    assert!(status.success(), "{status}");
    new.gone().await;
    nothing_runs_in(data.path()).await;
}

fn kill(pid: i32) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL).expect("it lives");
}

#[tokio::test]
async fn sigterm_leaves_instances_and_cluster_and_the_next_start_takes_them_over() {
    instances_outlive_the_service(Signal::SIGTERM, 21_300).await;
}

#[tokio::test]
async fn a_service_that_was_killed_is_followed_by_one_that_takes_its_instances_over() {
    instances_outlive_the_service(Signal::SIGKILL, 21_320).await;
}

#[tokio::test]
async fn ctrl_c_ends_instances_and_cluster_and_leaves_only_the_data_folder() {
    let (kept, app) = Kept::start("up", &[]).await;
    set_ports(&app, 21_340, 21_359).await;
    app.define_echo("stubborn", &["--ignore-sigterm"]).await;
    let obedient = Launched::new(&app, json!({"type": "echo"})).await;
    let stubborn = Launched::new(&app, json!({"type": "stubborn"})).await;
    let (status, data) = app.interrupt().await;
    assert_eq!(status.code(), Some(0));
    obedient.gone().await;
    stubborn.gone().await;
    nothing_runs_in(data.path()).await;

    let app = kept.start_again("up", data).await;
    for instance in [&obedient, &stubborn] {
        assert_eq!(app.instance(&instance.id).await["status"], "stopped");
        assert_eq!(app.event_types(&instance.id).await, ["created", "started", "stopped"]);
    }
}

#[tokio::test]
async fn a_second_service_in_a_folder_names_the_first_and_disturbs_nothing() {
    let app = App::start().await;
    set_ports(&app, 21_360, 21_379).await;
    let instance = Launched::new(&app, json!({"type": "echo"})).await;
    for command in ["up", "serve"] {
        let second = run(app.data(), &[command, "--listen", "127.0.0.1:0"], &[]);
        assert_eq!(second.status.code(), Some(1), "{second:?}");
        let said = stderr(&second);
        assert!(said.contains("in use") && said.contains(&format!("process {}", app.pid())), "{said}");
    }
    assert!(instance.lives());
    assert_eq!(instance.route(&app, &instance.token).await.0, 200);
}

#[tokio::test]
async fn a_wrong_or_missing_master_key_keeps_the_service_from_starting_and_changes_nothing() {
    let (kept, app) = Kept::start("up", &[]).await;
    set_ports(&app, 21_380, 21_399).await;
    let stored = app
        .ask("POST", "/credentials", Some(json!({"type": "echo", "name": "mine", "values": {"token": "t"}})))
        .await;
    assert_eq!(stored.status, 201, "{stored:?}");
    let (_, data) = app.interrupt().await;
    let (file, aside) = (data.path().join("master.key"), data.path().join("master.key.aside"));
    let profile = std::fs::read(data.path().join("profile.json")).expect("a profile");
    let key = std::fs::read(&file).expect("a key file");
    let up = ["up", "--listen", "127.0.0.1:0"];

    let other = "0123456789abcdef".repeat(4);
    let wrong = run(data.path(), &up, &[("ROADSTEAD_MASTER_KEY", &other)]);
    assert!(stderr(&wrong).contains("does not open the secrets"), "{wrong:?}");
    let none = run(data.path(), &up, &[("ROADSTEAD_MASTER_KEY", "too short")]);
    assert!(stderr(&none).contains("64 hexadecimal digits"), "{none:?}");
    std::fs::rename(&file, &aside).expect("a folder of ours");
    let missing = run(data.path(), &up, &[]);
    assert!(stderr(&missing).contains("put back that file from your backup"), "{missing:?}");
    assert!(!file.exists(), "no other key takes the place of a lost one");
    for refused in [&wrong, &none, &missing] {
        assert!(!refused.status.success(), "{refused:?}");
        assert!(refused.stdout.windows(8).all(|part| part != b"Ready at"), "{refused:?}");
    }
    nothing_runs_in(data.path()).await;

    std::fs::rename(&aside, &file).expect("a folder of ours");
    assert_eq!(std::fs::read(&file).expect("a key file"), key);
    assert_eq!(std::fs::read(data.path().join("profile.json")).expect("a profile"), profile);
    let app = kept.start_again("up", data).await;
    let id = stored.body["id"].as_str().expect("an id");
    app.launch(json!({"type": "echo", "credential_id": id})).await;
}

#[tokio::test]
async fn down_leaves_or_ends_instances_as_it_is_told() {
    let (kept, app) = Kept::start("serve", &[]).await;
    set_ports(&app, 21_400, 21_419).await;
    let instance = Launched::new(&app, json!({"type": "echo"})).await;
    let down = run(&kept.folder, &["down"], &[]);
    assert!(down.status.success(), "{down:?}");
    let (status, data) = app.ended().await;
    assert!(status.success(), "{status}");
    assert!(instance.lives());
    assert!(cluster_runs(data.path()));

    // Nobody serves any more: what was left is ended all the same.
    let down = run(&kept.folder, &["down", "--instances"], &[]);
    assert!(down.status.success(), "{down:?}");
    instance.gone().await;
    nothing_runs_in(data.path()).await;

    let app = kept.start_again("up", data).await;
    // Its shim wrote down that it was asked to leave.
    app.wait_status(&instance.id, "stopped", PATIENCE).await;
    let second = Launched::new(&app, json!({"type": "echo"})).await;
    let down = run(&kept.folder, &["down", "--instances"], &[]);
    assert!(down.status.success(), "{down:?}");
    let (status, data) = app.ended().await;
    assert!(status.success(), "{status}");
    second.gone().await;
    nothing_runs_in(data.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_in_the_background_is_ready_when_the_command_returns_and_down_ends_it() {
    let data = roadstead_test_support::app::data_folder();
    let run = |arguments: &'static [&'static str]| {
        #[expect(clippy::disallowed_methods, reason = "the command is what is tested")]
        let mut command =
            std::process::Command::new(roadstead_test_support::app::programs().join("roadstead"));
        command.args(arguments).env("ROADSTEAD_DATA_DIR", data.path()).output().expect("it runs")
    };
    for _ in 0..2 {
        let up = run(&["up", "-d", "--listen", "127.0.0.1:0"]);
        assert!(up.status.success(), "{up:?}");
        let ps = run(&["ps", "--json"]);
        assert!(ps.status.success(), "{ps:?}");
        let down = run(&["down", "--instances"]);
        assert!(down.status.success(), "{down:?}");
        // The folder is free a moment before the process has ended.
        nothing_runs_in(data.path()).await;
    }
}
