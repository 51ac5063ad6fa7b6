//! What a service manager is told: ready, still alive, stopping.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use nix::sys::signal::Signal;
use roadstead_test_support::app::{App, AppOptions, data_folder};

const PATIENCE: Duration = Duration::from_mins(1);

/// The next word that is one of these.
fn hears(manager: &UnixDatagram, wanted: &str) {
    let mut buffer = [0; 4096];
    loop {
        let read = manager.recv(&mut buffer).unwrap_or_else(|error| panic!("waited for {wanted}: {error}"));
        let said = String::from_utf8_lossy(&buffer[..read]);
        if said.lines().any(|line| line == wanted) {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_manager_hears_when_we_are_ready_alive_and_stopping() {
    let data = data_folder();
    let socket = data.path().join("notify");
    let manager = UnixDatagram::bind(&socket).expect("a socket");
    manager.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let environment = vec![
        ("NOTIFY_SOCKET".to_owned(), socket.to_string_lossy().into_owned()),
        ("WATCHDOG_USEC".to_owned(), "4000000".to_owned()),
    ];
    let options = AppOptions { data: Some(data), command: "serve", environment, ..AppOptions::default() };
    let app = App::start_with(options).await;
    // Few words: what nobody has read yet fills the socket, and then whoever says the next one waits.
    for word in ["READY=1", "WATCHDOG=1", "WATCHDOG=1"] {
        hears(&manager, word);
    }
    app.signal(Signal::SIGTERM);
    let (status, data) = app.ended().await;
    hears(&manager, "STOPPING=1");
    assert!(status.success(), "{status}");
    // `serve` leaves its database running.
    let program = roadstead_test_support::app::programs().join("roadstead");
    #[expect(clippy::disallowed_methods, reason = "the command is what ends the rest")]
    let reset = std::process::Command::new(program)
        .args(["down", "--instances"])
        .env("ROADSTEAD_DATA_DIR", data.path())
        .output()
        .expect("it runs");
    assert!(reset.status.success(), "{reset:?}");
}
