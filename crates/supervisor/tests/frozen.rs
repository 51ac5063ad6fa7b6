//! Shims of earlier versions: what they said and wrote is kept here, word for word, and a supervisor of today takes them over.
//!
//! A fixture is never changed once its version was released: shims that speak it may live for a month.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use roadstead_control::{ControlSecret, Outcome, ProcessId, StopReason, TokenHash};
use roadstead_model::{Era, SystemClock};
use roadstead_supervisor::{CommandError, Contact, Shim, ShimEvent, Supervisor, SupervisorConfig, started};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio_util::task::TaskTracker;

const SECRET: [u8; 32] = [0x5e; 32];
const PATIENCE: Duration = Duration::from_secs(20);

/// A process that a fixture names as its shim.
struct Stand(Child);

impl Stand {
    #[expect(clippy::disallowed_methods, reason = "the process that stands for a shim")]
    fn start() -> Self {
        // It ends when its input does, should the test not end it.
        Self(Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("a process"))
    }

    fn id(&self) -> ProcessId {
        let pid = i32::try_from(self.0.id()).expect("it fits");
        ProcessId { pid, started: started(pid).expect("it lives") }
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn fixture(version: &str, name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/frozen").join(version);
    std::fs::read_to_string(folder.join(name)).expect("the fixture is there")
}

/// The proof as it was made then.
fn proof(end: u8, theirs: &[u8], ours: &[u8]) -> Vec<u8> {
    Sha256::digest([&SECRET, &[end][..], theirs, ours, &SECRET].concat()).to_vec()
}

fn shake(stream: &mut UnixStream) {
    let (mut theirs, ours) = ([0; 32], [9; 32]);
    stream.read_exact(&mut theirs).expect("a nonce");
    stream.write_all(&[proof(b's', &theirs, &ours), ours.to_vec()].concat()).expect("it is read");
    let mut given = [0; 32];
    stream.read_exact(&mut given).expect("a proof");
    assert_eq!(given.to_vec(), proof(b'v', &theirs, &ours), "the supervisor knows the secret");
}

/// Plays the shim's part of a transcript, and holds the other part against what is heard.
fn play(listener: &UnixListener, transcript: &str) {
    let lines: Vec<Value> =
        transcript.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    let last = lines.last().expect("it is not empty")["connection"].as_u64().expect("a number");
    for connection in 1..=last {
        let (mut stream, _) = listener.accept().expect("a supervisor connects");
        shake(&mut stream);
        let mut heard = BufReader::new(stream.try_clone().expect("a second handle"));
        for line in lines.iter().filter(|line| line["connection"] == connection) {
            if let Some(said) = line.get("shim") {
                writeln!(stream, "{said}").expect("it is read");
                continue;
            }
            let mut request = String::new();
            heard.read_line(&mut request).expect("a request");
            let request: Value = serde_json::from_str(&request).expect("a request is JSON");
            assert_eq!(&request, &line["supervisor"], "connection {connection}");
        }
    }
}

fn supervisor(run_root: &Path) -> Supervisor {
    let entropy = Arc::new(|bytes: &mut [u8; 32]| *bytes = [7; 32]);
    let config = SupervisorConfig { shim_program: "/nonexistent".into(), run_root: run_root.to_owned() };
    Supervisor::new(config, TaskTracker::new(), Arc::new(SystemClock::new()), entropy).expect("a run folder")
}

/// Everything a driver asks of a shim in its life.
async fn drive(shim: &mut Shim) {
    let mut events = shim.take_events();
    let control = shim.control();
    let mut next =
        async || tokio::time::timeout(PATIENCE, events.recv()).await.expect("in time").expect("an event");
    assert!(
        matches!(next().await, ShimEvent::Ready(ready) if ready.era == Era::Dual && ready.server.pid == 4242)
    );
    assert!(matches!(next().await, ShimEvent::EraFound(Era::Dual)));
    assert!(matches!(next().await, ShimEvent::ServerChanged(server) if server.pid == 4243));
    let ShimEvent::Logs { entries, .. } = next().await else { panic!("log lines come next") };
    assert_eq!(entries.iter().map(|entry| entry.message.as_str()).collect::<Vec<_>>(), ["hello", "careful"]);
    control.set_deadline(4, Duration::from_secs(90)).await.expect("done");
    let stale = control.set_token(2, TokenHash::new([7; 32])).await;
    assert!(matches!(stale, Err(CommandError::Stale { generation: 4 })), "{stale:?}");
    control.logs_received(2).await;
    control.stop(StopReason::Requested, Duration::from_secs(5)).await.expect("done");
    control.kill();
    let ShimEvent::Exited(record) = next().await else { panic!("the end is the last event") };
    assert_eq!((record.outcome, record.complete), (Outcome::Stopped, true));
    assert_eq!(record.stderr_tail, ["bye"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shim_of_the_first_version_is_taken_over_used_and_seen_out() {
    let run_root = tempfile::tempdir().expect("a folder");
    let stand = Stand::start();
    let folder = run_root.path().join("80000123456789ab".get(4..).expect("twelve digits"));
    std::fs::create_dir(&folder).expect("a folder");
    for name in ["launch.json", "state.json", "exit.json"] {
        let id = stand.id();
        let text = fixture("version-1", name)
            .replace("PID", &id.pid.to_string())
            .replace("STARTED", &id.started.to_string());
        std::fs::write(folder.join(name), text).expect("it is written");
    }
    let listener = UnixListener::bind(folder.join("c")).expect("a socket");
    let shim = std::thread::spawn(move || play(&listener, &fixture("version-1", "transcript.jsonl")));

    let supervisor = supervisor(run_root.path());
    let installation = "01980000-0000-7000-8000-0000000000aa".parse().expect("an id");
    let boot = "01980000-0000-4000-8000-0000000000bb".parse().expect("an id");
    let found = supervisor.survey(installation, boot, true).expect("it is ours");
    let [found] = found.as_slice() else { panic!("one instance: {found:?}") };
    assert!(found.is_alive() && found.is_bound());
    let contact = supervisor.contact(found, &[ControlSecret::new(SECRET)]).await;
    let Contact::Proved { secret: 0, status } = contact else { panic!("it proves itself: {contact:?}") };
    assert_eq!((status.status.as_str(), status.generation), ("running", 3));
    let mut adopted =
        supervisor.adopt(found, ControlSecret::new(SECRET)).expect("it can be watched").expect("it lives");
    drive(&mut adopted).await;
    shim.join().expect("the transcript was followed to its end");
}
