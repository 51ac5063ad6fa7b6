//! The service is killed, or replaced, while a client counts: on an instance's own port it notices nothing; through the gateway
//! only that connections break when the service is killed, and nothing when it is replaced.
//!
//! Short in CI; `cargo test --release --workspace --test unnoticed -- --ignored --nocapture` kills more often, and takes 300 living
//! instances over.

#[path = "support/counter.rs"]
mod counter;
#[path = "support/instance.rs"]
mod instance;
#[path = "support/kept.rs"]
mod kept;
#[path = "support/range.rs"]
mod range;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use nix::sys::signal::Signal;
use roadstead_test_support::app::{App, AppOptions};
use roadstead_test_support::process::memory_kib;
use roadstead_test_support::raw::{Session, http_client};
use roadstead_test_support::wait_for;
use serde_json::json;

use counter::Counter;
use instance::{Launched, PATIENCE, set_ports};
use kept::Kept;

/// A session of the instance, by its id.
async fn session(client: &reqwest::Client, url: &str, token: &str) -> String {
    let session = Session::open(client, url, token).await;
    session.id().to_owned()
}

/// A service at the address of the one before: clients find it again.
async fn start_at(data: tempfile::TempDir, address: &str) -> App {
    let listen = address.to_owned();
    App::start_with(AppOptions { data: Some(data), command: "serve", listen, ..AppOptions::default() }).await
}

async fn nobody_notices(restarts: usize, first_port: u16) {
    let (_kept, app) = Kept::start("serve", &[]).await;
    set_ports(&app, first_port, first_port + 9).await;
    let address = app.url.strip_prefix("http://").expect("it is local").to_owned();
    let instance = Launched::new(&app, json!({"type": "echo", "expires_in": "1h"})).await;
    let client = http_client(false);
    let port_url = format!("http://127.0.0.1:{}/mcp", instance.port);
    let gateway_url = format!("{}/i/{}/mcp", app.url, instance.id);
    let on_port = session(&client, &port_url, &instance.token).await;
    let on_gateway = session(&client, &gateway_url, &instance.token).await;
    let token = || instance.token.clone();
    let may_break = Arc::new(AtomicBool::new(false));
    let direct = Counter::start(client.clone(), port_url, token(), on_port, Arc::default());
    let routed = Counter::start(client, gateway_url, token(), on_gateway, Arc::clone(&may_break));
    let mut app = app;
    for round in 0..restarts {
        direct.goes_on(3).await;
        routed.goes_on(3).await;
        if round % 2 == 0 {
            may_break.store(true, Ordering::Relaxed);
            app.signal(Signal::SIGKILL);
            let (_, data) = app.ended().await;
            direct.goes_on(3).await;
            app = start_at(data, &address).await;
            routed.goes_on(1).await;
            may_break.store(false, Ordering::Relaxed);
        } else {
            let next = app.start_beside(&["--replace"]).await;
            assert!(std::mem::replace(&mut app, next).ended_alone().await.success());
        }
    }
    direct.goes_on(3).await;
    routed.goes_on(3).await;
    let (direct, routed) = (direct.end().await, routed.end().await);
    eprintln!("{restarts} restarts: counted to {direct} on the port, to {routed} through the gateway");
    let adopted = app.event_types(&instance.id).await.iter().filter(|event| *event == "adopted").count();
    assert!(adopted >= 1, "it was taken over");
    assert!(instance.lives(), "it is the same process all the time");
    assert_eq!(instance.route(&app, &instance.token).await.0, 200);
    let answer = app.ask("DELETE", &format!("/instances/{}", instance.id), None).await;
    assert_eq!(answer.status, 204, "{answer:?}");
    instance.gone().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_counts_does_not_notice_that_the_service_is_killed_and_started_again() {
    nobody_notices(3, 25_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute"]
async fn a_client_that_counts_does_not_notice_twenty_restarts() {
    nobody_notices(20, 25_010).await;
}

async fn launch_many(app: &App, many: usize) -> Vec<Launched> {
    let mut launched = Vec::new();
    while launched.len() < many {
        let batch = (0..20).map(|_| Launched::new(app, json!({"type": "echo", "expires_in": "1h"})));
        launched.extend(futures_util::future::join_all(batch).await);
    }
    launched
}

/// How many instances have been taken over so often.
async fn adopted(app: &App, instances: &[Launched], times: usize) -> bool {
    for instance in instances {
        let events = app.event_types(&instance.id).await;
        if events.iter().filter(|event| *event == "adopted").count() < times {
            return false;
        }
    }
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes and two gigabytes"]
async fn three_hundred_instances_are_taken_over() {
    for many in [10_usize, 300] {
        let (kept, app) = Kept::start("serve", &[]).await;
        set_ports(&app, 25_100, 25_499).await;
        let answer =
            app.ask("PUT", "/settings/mcp.max_instances_per_user", Some(json!({"value": 1000}))).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let instances = launch_many(&app, many).await;
        let shims: u64 = instances.iter().map(|each| memory_kib(each.shim)).sum();
        app.signal(Signal::SIGKILL);
        let (_, data) = app.ended().await;
        let begun = Instant::now();
        let app = kept.start_again("serve", data).await;
        let ready = begun.elapsed();
        wait_for("all to be adopted", PATIENCE, async || adopted(&app, &instances, 1).await.then_some(()))
            .await;
        eprintln!(
            "{many} instances: ready after {ready:.0?}, seen to be adopted after {:.0?}; {} KiB a shim",
            begun.elapsed(),
            shims / u64::try_from(instances.len()).unwrap_or(1)
        );
        assert!(instances.iter().all(Launched::lives));
        drop(app);
    }
}
