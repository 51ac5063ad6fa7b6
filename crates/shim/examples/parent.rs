//! Stands for `roadstead` in the tests: launches one instance, or ends what an earlier run left.
//!
//! `parent launch SHIM RUN_ROOT DOCUMENTS` · `parent end-survivors SHIM RUN_ROOT INSTALLATION BOOT`

use std::sync::Arc;
use std::time::Duration;

use roadstead_control::{Secrets, Specification, frame};
use roadstead_model::SystemClock;
use roadstead_supervisor::{ShimEvent, Supervisor, SupervisorConfig};
use tokio_util::task::TaskTracker;

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let config = SupervisorConfig { shim_program: args[1].clone().into(), run_root: args[2].clone().into() };
    let entropy = Arc::new(|bytes: &mut [u8; 32]| {
        *bytes = roadstead_sandbox::privilege::random_bytes();
    });
    let clock = Arc::new(SystemClock::new());
    let supervisor = Supervisor::new(config, TaskTracker::new(), clock, entropy).expect("a supervisor");
    match args[0].as_str() {
        "launch" => {
            // Listened to, because whoever starts the tests in the background may have it ignored.
            let kind = tokio::signal::unix::SignalKind::interrupt();
            let mut interrupt = tokio::signal::unix::signal(kind).expect("a handler");
            tokio::select! {
                () = launch(&supervisor, &args[3]) => {}
                _ = interrupt.recv() => std::process::exit(130),
            }
        }
        "end-survivors" => {
            let installation = args[3].parse().expect("an id");
            let boot = args[4].parse().expect("an id");
            let found = supervisor.survey(installation, boot, true).expect("a run folder");
            let alive = found.iter().filter(|each| each.is_alive()).count();
            supervisor.end(&found, Duration::from_secs(5)).await.expect("survivors end");
            println!("ENDED {} {alive}", found.len());
        }
        other => panic!("unknown verb {other}"),
    }
}

async fn launch(supervisor: &Supervisor, documents: &str) {
    let mut file = std::fs::File::open(documents).expect("the documents are there");
    let specification: Specification = frame::read_document(&mut file).expect("a specification");
    let secrets: Secrets = frame::read_document(&mut file).expect("secrets");
    let begun = std::time::Instant::now();
    let mut shim = supervisor.start(specification, secrets).await.expect("a shim");
    let mut events = shim.take_events();
    let ready = shim.ready().await.expect("a ready server");
    eprintln!("ready after {} µs", begun.elapsed().as_micros());
    println!("READY {}", serde_json::to_string(&ready).expect("JSON"));
    while let Some(event) = events.recv().await {
        if let ShimEvent::Exited(record) = event {
            println!("EXITED {}", serde_json::to_string(&record).expect("JSON"));
        }
    }
    std::future::pending::<()>().await;
}
