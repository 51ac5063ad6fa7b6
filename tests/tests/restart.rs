//! The service's own end: what it leaves, what the next start finds, and when there is no start.

#[path = "support/instance.rs"]
mod instance;
#[path = "support/kept.rs"]
mod kept;

use std::path::Path;

use nix::sys::signal::Signal;
use roadstead_test_support::app::{App, processes_of};
use roadstead_test_support::wait_for;
use serde_json::json;

use instance::{Launched, PATIENCE, set_ports};
use kept::{Kept, run};

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

/// Launches on one run, ends the run by a signal, and looks at what the next one makes of it.
async fn the_next_start_tells_the_truth(signal: Signal, first_port: u16) {
    let (kept, app) = Kept::start("serve").await;
    set_ports(&app, first_port, first_port + 19).await;
    let left = Launched::new(&app, json!({"type": "echo"})).await;
    let stopped = Launched::new(&app, json!({"type": "echo"})).await;
    let answer = app.ask("POST", &format!("/instances/{}/stop", stopped.id), None).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    app.signal(signal);
    let (status, data) = app.ended().await;
    assert_eq!(status.success(), signal == Signal::SIGTERM, "{status}");
    assert!(left.lives(), "an instance outlives the service");
    assert!(cluster_runs(data.path()), "so does the cluster");
    let connected = tokio::net::TcpStream::connect(("127.0.0.1", left.port)).await;
    assert!(connected.is_ok(), "its port is served without the service");

    let app = kept.start_again("up", data).await;
    let row = app.instance(&left.id).await;
    assert_eq!(row["status"], "disconnected", "{row}");
    let why = row["error_message"].as_str().expect("it says why");
    assert!(why.contains("started again"), "{why}");
    assert_eq!(app.event_types(&left.id).await, ["created", "started", "disconnected"]);
    left.gone().await;
    assert_eq!(left.route(&app, &left.token).await.0, 410);
    assert_eq!(app.instance(&stopped.id).await["status"], "stopped", "an end is written once");
    let new = Launched::new(&app, json!({"type": "echo"})).await;
    assert!(new.port != left.port && new.port != stopped.port, "ports go on resting");

    let (status, data) = app.interrupt().await;
    assert!(status.success(), "{status}");
    new.gone().await;
    nothing_runs_in(data.path()).await;
}

#[tokio::test]
async fn sigterm_leaves_instances_and_cluster_and_the_next_start_tells_what_became_of_them() {
    the_next_start_tells_the_truth(Signal::SIGTERM, 21_300).await;
}

#[tokio::test]
async fn a_service_that_was_killed_is_followed_by_one_that_tells_what_became_of_its_instances() {
    the_next_start_tells_the_truth(Signal::SIGKILL, 21_320).await;
}

#[tokio::test]
async fn ctrl_c_ends_instances_and_cluster_and_leaves_only_the_data_folder() {
    let (kept, app) = Kept::start("up").await;
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
    let (kept, app) = Kept::start("up").await;
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
    let (kept, app) = Kept::start("serve").await;
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
    assert_eq!(app.instance(&instance.id).await["status"], "stopped");
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
        assert_eq!(roadstead_test_support::app::processes_of(data.path()), Vec::<String>::new());
    }
}
