//! Rotation of the master key while launches go on, and killed half way; what keeps one from being finished; and what of the
//! key is seen from outside.
//!
//! A thousand credentials in CI; ten thousand with `cargo test --release --workspace --test rotation -- --ignored --nocapture`.

#[path = "support/range.rs"]
mod range;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use roadstead_test_support::app::{App, AppOptions, data_folder, programs};
use roadstead_test_support::{Rows, wait_for};
use serde_json::{Value, json};

use range::set_ports;

/// How long anything else may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);
/// Between two launches while values are sealed anew: five a second.
const PULSE: Duration = Duration::from_millis(200);
/// How long a rotation may take on a busy machine.
const ROTATION_PATIENCE: Duration = Duration::from_mins(5);
/// Credentials that are made at one time.
const AT_ONCE: usize = 8;

/// What the launches beside a rotation came to.
#[derive(Debug, Default)]
struct Launches {
    took: Vec<Duration>,
    failed: Vec<String>,
}

fn secret_of(nth: usize) -> String {
    format!("secret-number-{nth:06}")
}

async fn store(app: &App, nth: usize) -> String {
    let body = json!({"type": "kept", "name": format!("c{nth}"), "values": {"token": secret_of(nth)}});
    let answer = app.ask("POST", "/credentials", Some(body)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.body["id"].as_str().expect("an id").to_owned()
}

/// A service with a type and credentials of it.
async fn with_credentials(count: usize, ports: (u16, u16), options: AppOptions) -> (App, Vec<String>) {
    let app = App::start_with(options).await;
    set_ports(&app, ports.0, ports.1).await;
    let quota = app.ask("PUT", "/settings/mcp.max_instances_per_user", Some(json!({"value": 1000}))).await;
    assert_eq!(quota.status, 200, "{quota:?}");
    app.define_echo("kept", &[]).await;
    let made = futures_util::stream::iter(0..count).map(|nth| store(&app, nth)).buffered(AT_ONCE);
    let ids = made.collect().await;
    (app, ids)
}

/// Launches with a credential, and looks whether its server was given the right value.
async fn launch(app: &App, nth: usize, id: &str) -> Result<(String, Duration), String> {
    let begun = Instant::now();
    let answer = app.ask("POST", "/instances", Some(json!({"type": "kept", "credential_id": id}))).await;
    let took = begun.elapsed();
    if answer.status != 201 {
        return Err(answer.body.to_string());
    }
    let environment = std::fs::read(format!("/proc/{}/environ", answer.body["process_id"]));
    let environment = environment.map_err(|error| error.to_string())?;
    let needle = format!("ECHO_TOKEN={}\0", secret_of(nth));
    if !String::from_utf8_lossy(&environment).contains(&needle) {
        return Err(format!("the server of credential {nth} was given something else"));
    }
    Ok((answer.body["id"].as_str().expect("an id").to_owned(), took))
}

/// Launches five times a second until told to stop, whatever else goes on.
async fn launches(app: &App, ids: &[String], enough: Arc<AtomicBool>) -> Launches {
    let mut ticks = tokio::time::interval(PULSE);
    let mut tally = Launches::default();
    let mut nth = 0;
    while !enough.load(Ordering::Relaxed) {
        ticks.tick().await;
        // A prime, so that they are spread over everything.
        nth = (nth + 7919) % ids.len();
        match launch(app, nth, &ids[nth]).await {
            Ok((instance, took)) => {
                tally.took.push(took);
                let gone = app.ask("DELETE", &format!("/instances/{instance}"), None).await;
                assert_eq!(gone.status, 204, "{gone:?}");
            }
            Err(why) => tally.failed.push(why),
        }
    }
    tally
}

async fn master_key(app: &App) -> Value {
    let answer = app.ask("GET", "/master-key", None).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

/// The key in a state, with what needs it.
fn key<'a>(found: &'a Value, state: &str) -> &'a Value {
    let keys = found["keys"].as_array().expect("a list");
    keys.iter().find(|key| key["state"] == state).unwrap_or_else(|| panic!("no {state} key in {found}"))
}

async fn finished(app: &App) -> Value {
    wait_for("the rotation to be finished", ROTATION_PATIENCE, async || {
        let found = master_key(app).await;
        (!found["rotation"]["finished_at"].is_null()).then_some(found)
    })
    .await
}

async fn killed(app: App) -> tempfile::TempDir {
    app.signal(Signal::SIGKILL);
    app.ended().await.1
}

async fn again(data: tempfile::TempDir) -> App {
    App::start_with(AppOptions { data: Some(data), ..AppOptions::default() }).await
}

/// Rotates `count` credentials with launches beside it; kills the service when half of them are done.
async fn round(count: usize, ports: (u16, u16)) {
    let (app, ids) = with_credentials(count, ports, AppOptions::default()).await;
    let (kept, _) = launch(&app, 0, &ids[0]).await.expect("a launch before it all");
    let old = key(&master_key(&app).await, "sealing")["id"].as_str().expect("an id").to_owned();

    let file = app.data().join("master.key");
    let old_file = std::fs::read(&file).expect("it is there");
    // The second half is in use by somebody, so that the rotation cannot have passed the middle when it is killed.
    let mut held = Rows::of(app.data()).await;
    held.execute("begin").await;
    held.execute(&format!(
        "select from credential_secrets where credential_id in (
           select credential_id from credential_secrets order by credential_id offset {}) for update",
        count / 2
    ))
    .await;
    let begun = Instant::now();
    let answer = app.ask("POST", "/master-key/rotations", None).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let again_refused = app.ask("POST", "/master-key/rotations", None).await;
    assert_eq!(again_refused.body["error"]["code"], "ROTATION_UNDER_WAY");
    let enough = Arc::new(AtomicBool::new(false));
    let first = async {
        let half = wait_for("half to be sealed anew", ROTATION_PATIENCE, async || {
            let done = master_key(&app).await["rotation"]["done"].as_u64()?;
            (done >= (count / 2) as u64).then_some(done)
        })
        .await;
        let took = begun.elapsed();
        // A few launches more with both keys in use.
        wait_for("two seconds", PATIENCE, async || (begun.elapsed() > Duration::from_secs(2)).then_some(()))
            .await;
        enough.store(true, Ordering::Relaxed);
        (half, took)
    };
    let (before, (half, half_took)) = tokio::join!(launches(&app, &ids, Arc::clone(&enough)), first);
    let data = killed(app).await;
    held.execute("rollback").await;
    held.close().await;
    let new_file = std::fs::read(&file).expect("it is there");
    std::fs::write(&file, old_file).expect("it is ours");
    refuses_to_start(data.path(), "put back the newest key file");
    std::fs::write(&file, new_file).expect("it is ours");

    let restarted = Instant::now();
    let app = again(data).await;
    let enough = Arc::new(AtomicBool::new(false));
    let second = async {
        let found = finished(&app).await;
        let took = restarted.elapsed();
        wait_for("two seconds", PATIENCE, async || {
            (restarted.elapsed() > took + Duration::from_secs(2)).then_some(())
        })
        .await;
        enough.store(true, Ordering::Relaxed);
        (found, took)
    };
    let (after, (found, rest_took)) = tokio::join!(launches(&app, &ids, Arc::clone(&enough)), second);
    report(count, half, [half_took, rest_took], [&before, &after]);
    for tally in [&before, &after] {
        assert!(tally.failed.is_empty() && !tally.took.is_empty(), "{tally:?}");
    }
    assert_eq!(found["rotation"]["failed"], 0, "{found}");
    assert!(found["rotation"]["done"].as_u64() >= Some(count as u64), "{found}");
    let new = key(&found, "sealing").clone();
    assert_eq!(
        (&found["rotation"]["to_key"], new["values"].as_u64() >= Some(count as u64)),
        (&new["id"], true)
    );
    let stale = stale(&app, &new).await;
    assert_eq!(stale, 0);
    retire(app, &old, &kept, &ids).await;
}

/// Values that another key than this has sealed.
async fn stale(app: &App, key: &Value) -> i64 {
    let mut rows = Rows::of(app.data()).await;
    let statement = format!(
        "select (select count(*) from credential_secrets where encode(substring(sealed from 2 for 4), 'hex') <> '{0}')
              + (select count(*) from ring_check where encode(substring(sealed from 2 for 4), 'hex') <> '{0}')",
        key["id"].as_str().expect("an id")
    );
    rows.number(&statement).await
}

#[expect(clippy::disallowed_methods, reason = "the program is what is tested")]
fn refuses_to_start(data: &Path, why: &str) {
    let refused = Command::new(programs().join("roadstead"))
        .args(["serve", "--listen", "127.0.0.1:0"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", data)
        .env("ROADSTEAD_DATA_DIR", data)
        .stdin(Stdio::null())
        .output()
        .expect("roadstead starts");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains(why), "{said}");
}

/// The old key goes when the last instance that needs it has gone, and the file and the database keep nothing of it.
async fn retire(app: App, old: &str, kept: &str, ids: &[String]) {
    assert!(instance_runs(&app, kept).await, "it was adopted with the old key");
    let path = format!("/master-key/keys/{old}");
    let refused = app.ask("DELETE", &path, None).await;
    assert_eq!(
        (refused.status, &refused.body["error"]["code"]),
        (409, &json!("MASTER_KEY_IN_USE")),
        "{refused:?}"
    );
    assert_eq!(refused.body["error"]["details"][1], json!({"field": "instances", "message": "1"}));
    // Started afresh, it has a secret of the new key.
    let restarted = app.ask("POST", &format!("/instances/{kept}/restart"), Some(json!({}))).await;
    assert_eq!(restarted.status, 200, "{restarted:?}");
    let retired = app.ask("DELETE", &path, None).await;
    assert_eq!(retired.status, 204, "{retired:?}");
    assert_eq!(app.ask("DELETE", &path, None).await.status, 404);
    let file = app.data().join("master.key");
    assert_eq!(std::fs::read_to_string(&file).expect("it is there").lines().count(), 1);
    assert_eq!(std::fs::metadata(&file).expect("it is there").permissions().mode() & 0o777, 0o600);
    let mut rows = Rows::of(app.data()).await;
    let late = format!(
        "insert into credential_secrets (credential_id, slot, sealed, hint)
         values ('{}', 'late', '\\x01{old}00', '')",
        ids[0]
    );
    assert!(
        rows.refused(&late).await.contains("retired"),
        "a slow request leaves nothing behind that no key opens"
    );
    let app = again(killed(app).await).await;
    assert!(instance_runs(&app, kept).await);
    launch(&app, 1, &ids[1]).await.expect("everything opens with the new key alone");
}

async fn instance_runs(app: &App, id: &str) -> bool {
    let status = || async { app.request("GET", &format!("/i/{id}/status")).send().await };
    app.wait_status(id, "running", PATIENCE).await;
    // The gateway has a way to it: whoever asks without a token is told so, and not that it is not there.
    status().await.is_ok_and(|answer| answer.status().as_u16() == 401)
}

fn report(count: usize, half: u64, [half_took, rest_took]: [Duration; 2], tallies: [&Launches; 2]) {
    let mut took: Vec<Duration> = tallies.iter().flat_map(|tally| tally.took.iter().copied()).collect();
    took.sort_unstable();
    let failed: usize = tallies.iter().map(|tally| tally.failed.len()).sum();
    let at = |share: usize| took.get(took.len() * share / 100).copied().unwrap_or_default();
    println!(
        "{count} credentials: {half} after {half_took:?}, killed, all {rest_took:?} after the next start was begun; \
         {} launches beside it, {failed} failed, median {:?}, 95 of 100 within {:?}",
        took.len(),
        at(50),
        at(95),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_goes_on_beside_launches_and_after_a_kill() {
    round(1000, (26_000, 26_399)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "makes ten thousand credentials: minutes"]
async fn ten_thousand_credentials_are_rotated_beside_launches_and_after_a_kill() {
    round(10_000, (26_400, 27_399)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_that_were_moved_do_not_open_and_keep_a_rotation_from_being_finished() {
    let (app, ids) = with_credentials(4, (27_400, 27_419), AppOptions::default()).await;
    let user = json!({"email": "eve@example.org", "name": "Eve"});
    let eve = app.ask("POST", "/users", Some(user)).await.body["id"].as_str().expect("an id").to_owned();
    let mut rows = Rows::of_owner(app.data()).await;
    // Two that changed places, one of another owner, one of another slot.
    let swap = format!(
        "update credential_secrets s set sealed = o.sealed from credential_secrets o
         where (s.credential_id, o.credential_id) in (('{0}', '{1}'), ('{1}', '{0}'))",
        ids[0], ids[1]
    );
    assert_eq!(rows.execute(&swap).await, 2);
    assert_eq!(
        rows.execute(&format!("update credentials set user_id = '{eve}' where id = '{}'", ids[2])).await,
        1
    );
    let slot = format!("update credential_secrets set slot = 'other' where credential_id = '{}'", ids[3]);
    assert_eq!(rows.execute(&slot).await, 1);
    for nth in [0, 1] {
        let refused = launch(&app, nth, &ids[nth]).await.expect_err("it opens in no other place");
        assert!(refused.contains("INTERNAL_ERROR") && !refused.contains("secret-number"), "{refused}");
    }

    let answer = app.ask("POST", "/master-key/rotations", None).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let found = wait_for("the rotation to have looked at everything", ROTATION_PATIENCE, async || {
        let found = master_key(&app).await;
        (found["rotation"]["failed"] == 4).then_some(found)
    })
    .await;
    assert!(found["rotation"]["finished_at"].is_null(), "{found}");
    let named = found["rotation"]["failures"].to_string();
    assert!(ids.iter().all(|id| named.contains(id.as_str())), "{named}");
    assert_eq!(key(&found, "opening")["values"], 4, "none was dropped, {found}");
    let old = key(&found, "opening")["id"].as_str().expect("an id");
    let refused = app.ask("DELETE", &format!("/master-key/keys/{old}"), None).await;
    assert_eq!(refused.body["error"]["code"], "MASTER_KEY_IN_USE", "{refused:?}");

    // Once they are gone, or as they were, whoever asks again has it finished.
    assert_eq!(rows.execute(&swap).await, 2);
    let gone = format!("delete from credential_secrets where credential_id in ('{}', '{}')", ids[2], ids[3]);
    assert_eq!(rows.execute(&gone).await, 2);
    let again = app.ask("POST", "/master-key/rotations", None).await;
    assert_eq!(again.body["error"]["code"], "ROTATION_UNDER_WAY");
    assert_eq!(finished(&app).await["rotation"]["failed"], 0);
    launch(&app, 0, &ids[0]).await.expect("it is where it belongs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_the_environment_are_changed_by_hand_and_what_they_sealed_is_sealed_anew() {
    let [first, second] = ["1f", "2e"].map(|byte| format!("{byte}00").repeat(16));
    let options = |data, key: String| AppOptions {
        data,
        environment: vec![("ROADSTEAD_MASTER_KEY".to_owned(), key)],
        ..AppOptions::default()
    };
    let (app, ids) = with_credentials(3, (27_420, 27_439), options(None, first.clone())).await;
    let refused = app.ask("POST", "/master-key/rotations", None).await;
    assert_eq!(
        (refused.status, &refused.body["error"]["code"]),
        (409, &json!("MASTER_KEY_FROM_ENVIRONMENT"))
    );
    let old = key(&master_key(&app).await, "sealing")["id"].as_str().expect("an id").to_owned();
    let data = killed(app).await;
    let app = App::start_with(options(Some(data), format!("{second},{first}"))).await;
    let found = finished(&app).await;
    assert_eq!(
        (key(&found, "opening")["id"].as_str(), &key(&found, "opening")["values"]),
        (Some(&*old), &json!(0))
    );
    assert!(!app.data().join("master.key").exists());
    let data = killed(app).await;
    let app = App::start_with(options(Some(data), second.clone())).await;
    launch(&app, 2, &ids[2]).await.expect("the first key is needed no longer");
    assert_eq!(key(&master_key(&app).await, "sealing")["values"].as_u64(), Some(3));
    assert_silent(app.pid(), &[&second]);
}

/// A process's environment, as the system shows it, holds none of these.
fn assert_silent(pid: i32, secrets: &[&str]) {
    match std::fs::read(format!("/proc/{pid}/environ")) {
        Ok(environment) => {
            let environment = String::from_utf8_lossy(&environment);
            assert!(environment.contains("PATH="), "it is the environment that is looked at");
            assert!(secrets.iter().all(|secret| !environment.contains(secret)), "a secret is seen");
        }
        // Nobody but root may look into a process that is not dumpable.
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied),
    }
}

#[tokio::test]
async fn neither_the_master_key_nor_the_databases_password_stays_in_the_environment() {
    let data = data_folder();
    let log = data.path().join("reaper.log");
    let (key, password) = ("1f00".repeat(16), "canary-of-a-password");
    let url = format!("postgres://roadstead:{password}@127.0.0.1:1/none");
    // It finds nothing to do, and looks again and again.
    #[expect(clippy::disallowed_methods, reason = "the program is what is tested")]
    let mut daemon = Command::new(programs().join("roadstead"))
        .arg("reaper")
        .env_clear()
        .env("PATH", "/usr/bin")
        .env("ROADSTEAD_DATA_DIR", data.path())
        .env("ROADSTEAD_MASTER_KEY", &key)
        .env("DATABASE_URL", &url)
        .env("ROADSTEAD_OWNER_DATABASE_URL", &url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&log).expect("a log file"))
        .spawn()
        .expect("roadstead starts");
    wait_for("the daemon to look", PATIENCE, async || {
        std::fs::read_to_string(&log).ok()?.contains("looking again").then_some(())
    })
    .await;
    let pid = i32::try_from(daemon.id()).expect("a process id fits");
    assert_silent(pid, &[&key, password]);
    kill(Pid::from_raw(pid), Signal::SIGTERM).expect("our own child");
    daemon.wait().expect("our own child");
}
