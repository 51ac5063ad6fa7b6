//! Servers that are started again, and instances that nobody uses.

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use roadstead_control::{
    EVENTS_FILE, FailureCode, LifecycleEntry, LifecycleStep, Outcome, ServerEnd, StopReason,
};
use roadstead_model::{Era, RestartLimits, RestartPolicy};

use crate::support::{Launched, Place, TOKEN, ask, bearer, eventually, get, marked, until};

/// So many restarts within a window in which no pause is missing.
pub fn at_most(restarts: u32) -> RestartPolicy {
    RestartPolicy::OnFailure(RestartLimits::new(restarts, Duration::from_mins(1)).unwrap())
}

fn kill_server(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
}

/// One request of a client; the answer's head and body.
fn post(launched: &Launched, body: &str) -> (String, String) {
    let length = body.len();
    let request = format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    ask(launched.address, &request)
}

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{}}}"#;

fn steps_on_disk(folder: &Path) -> Vec<LifecycleEntry> {
    let text = std::fs::read_to_string(folder.join(EVENTS_FILE)).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_server_that_is_killed_is_started_again_and_the_word_of_it_is_kept_until_it_is_stored() {
    let place = Place::new();
    let mut specification = place.specification(&[]);
    specification.restart = at_most(5);
    let mut launched = place.launch(specification).await;
    let run_folder = std::fs::read_dir(place.run_root()).unwrap().next().unwrap().unwrap().path();
    kill_server(launched.ready.server.pid);
    let entry = launched.step().await;
    let LifecycleStep::Restarted { attempt, ended, process_id, away_ms } = entry.step;
    assert_eq!((entry.seq, attempt, ended), (1, 1, Some(ServerEnd::Signal(9))));
    assert!(away_ms >= 1000, "the pause was kept: {away_ms}");
    assert_eq!(steps_on_disk(&run_folder), [entry]);
    launched.shim.control().lifecycle_received(1).await;
    until("what is stored is forgotten", || steps_on_disk(&run_folder).is_empty()).await;

    let status = launched.shim.control().status().await.unwrap();
    assert_eq!(
        (status.status.as_str(), status.server.map(|server| server.pid)),
        ("running", Some(process_id))
    );
    let (head, _) = post(&launched, INITIALIZE);
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("mcp-session-id"), "{head}");
    launched.shim.control().stop(StopReason::Requested, Duration::ZERO).await.unwrap();
    let record = launched.exited().await.0;
    assert_eq!((record.outcome, record.server_end), (Outcome::Stopped, None));
}

#[tokio::test]
async fn a_server_that_ends_at_a_ping_before_its_handshake_is_asked_nothing_from_then_on() {
    let place = Place::new();
    let mut specification = place.specification(&["--handshake-first"]);
    specification.restart = at_most(5);
    let mut launched = place.launch(specification).await;
    assert!(launched.ready.silent);
    let (head, _) = post(&launched, INITIALIZE);
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("mcp-session-id"), "{head}");
    // A ping would end each that is started again.
    kill_server(launched.ready.server.pid);
    let LifecycleStep::Restarted { attempt, ended, .. } = launched.step().await.step;
    assert_eq!((attempt, ended), (1, Some(ServerEnd::Signal(9))));
    let (head, _) = post(&launched, INITIALIZE);
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    launched.shim.control().stop(StopReason::Requested, Duration::ZERO).await.unwrap();
    let (record, lines) = launched.exited().await;
    assert_eq!(record.outcome, Outcome::Stopped);
    assert!(!lines.iter().any(|line| line.contains("ExpectedInitializeRequest")), "{lines:?}");
}

#[tokio::test]
async fn a_server_that_dies_at_each_start_ends_its_instance_with_its_last_words() {
    let place = Place::new();
    let doom = place.work().join("doom");
    let mut specification = place.specification(&["--exit-if", doom.to_str().unwrap()]);
    specification.restart = at_most(2);
    let mut launched = place.launch(specification).await;
    std::fs::write(&doom, "").unwrap();
    kill_server(launched.ready.server.pid);
    let (record, lines) = launched.exited().await;
    assert_eq!((record.outcome, record.server_end), (Outcome::CrashLoop, Some(ServerEnd::Code(3))));
    let failure = record.failure.unwrap();
    assert_eq!(failure.code, FailureCode::CrashLoop);
    assert_eq!(failure.message, "the server ended 3 times within 1m; its last end was exit status 3");
    assert_eq!(failure.stderr_tail, ["doomed", "doomed"]);
    let told = |text: &str| lines.iter().any(|line| line.contains(text));
    assert!(told("signal 9; it is started again in 1s (restart 1, of at most 2 within 1m)"), "{lines:?}");
    assert!(told("ended before it was ready: exit status 3; it is started again in 2s"), "{lines:?}");
}

#[tokio::test]
async fn a_server_that_leaves_in_peace_is_missed_as_well() {
    let place = Place::new();
    // Its first answer is the one that makes it ready.
    let mut specification = place.specification(&["--exit-after", "2"]);
    specification.restart = at_most(1);
    let mut launched = place.launch(specification).await;
    let (head, _) = post(&launched, INITIALIZE);
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let LifecycleStep::Restarted { ended, .. } = launched.step().await.step;
    assert_eq!(ended, Some(ServerEnd::Code(0)));
    post(&launched, INITIALIZE);
    let record = launched.exited().await.0;
    assert_eq!((record.outcome, record.server_end), (Outcome::CrashLoop, Some(ServerEnd::Code(0))));
}

#[tokio::test]
async fn a_server_that_is_not_ready_again_and_ignores_signals_is_ended_and_counts() {
    let place = Place::new();
    let mute = place.work().join("mute");
    let args = ["--ignore-sigterm", "--ignore-end-of-input", "--silent-if", mute.to_str().unwrap()];
    let mut specification = place.specification(&args);
    specification.restart = at_most(1);
    specification.era = Era::Modern;
    specification.ready_timeout_ms = 3_000;
    let mut launched = place.launch(specification).await;
    std::fs::write(&mute, "").unwrap();
    kill_server(launched.ready.server.pid);
    let record = launched.exited().await.0;
    assert_eq!((record.outcome, record.server_end), (Outcome::CrashLoop, None));
    let message = record.failure.unwrap().message;
    assert!(message.contains("is not ready: the server did not answer"), "{message}");
    assert_eq!(marked(launched.instance), []);
}

#[tokio::test]
async fn a_server_whose_type_wants_no_restart_takes_its_instance_along() {
    let place = Place::new();
    let mut launched = place.launch(place.specification(&["--exit-after", "2"])).await;
    post(&launched, INITIALIZE);
    let record = launched.exited().await.0;
    assert_eq!((record.outcome, record.server_end), (Outcome::Disconnected, Some(ServerEnd::Code(0))));
}

#[tokio::test]
async fn an_instance_that_is_asked_to_stop_during_the_pause_stops() {
    let place = Place::new();
    let mut specification = place.specification(&[]);
    specification.restart = at_most(5);
    let mut launched = place.launch(specification).await;
    kill_server(launched.ready.server.pid);
    let control = launched.shim.control();
    let server = launched.ready.server;
    eventually("the server is gone", || !roadstead_supervisor::is_alive(server));
    control.stop(StopReason::Requested, Duration::from_secs(5)).await.unwrap();
    let record = launched.exited().await.0;
    assert!(matches!(record.outcome, Outcome::Stopped), "{record:?}");
    assert_eq!(marked(launched.instance), []);
}

#[tokio::test]
async fn an_instance_that_nobody_uses_ends_and_looking_at_it_is_no_use() {
    let place = Place::new();
    let mut specification = place.specification(&[]);
    specification.idle_limit_ms = Some(4_000);
    let mut launched = place.launch(specification).await;
    let alive = launched.shim.control().status().await.unwrap().alive.unwrap();
    assert!(alive.because.starts_with("no request yet; idle limit 4s"), "{alive:?}");
    post(&launched, INITIALIZE);
    let alive = launched.shim.control().status().await.unwrap().alive.unwrap();
    assert!(alive.because.starts_with("last request ") && alive.requests == 0, "{alive:?}");
    assert!(alive.last_request_ms.is_some() && alive.idle_left_ms.is_some_and(|left| left <= 4_000));
    let (head, body) = ask(launched.address, &get("/status", &bearer()));
    assert!(head.starts_with("HTTP/1.1 200 ") && body.contains("last request "), "{head} {body}");
    let record = launched.exited().await.0;
    assert_eq!(
        (record.outcome, record.reason, record.idle_ms),
        (Outcome::Expired, Some(StopReason::Idle), Some(4_000))
    );
}
