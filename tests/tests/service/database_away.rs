//! The database cannot be reached: what runs goes on, what is asked hears so, and nothing that happens meanwhile is lost.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use roadstead_test_support::app::App;
use roadstead_test_support::database::TestDatabase;
use roadstead_test_support::raw::{Events, Session, call, http_client};
use roadstead_test_support::wait_for;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::support::cut::Cut;
use crate::support::instance::{Launched, PATIENCE, set_ports};
use crate::support::kept::Kept;
use crate::support::left::{Left, life_is_whole};

/// How long a caller may wait for the word that the database is away.
const SOON: Duration = Duration::from_secs(15);
/// How far the end of an instance may be from its deadline, in a row that was written much later.
const PUNCTUAL: Duration = Duration::from_secs(3);
/// Calls made while the database is away.
const CALLS: u64 = 10;
/// Longer than it takes to let go of everything.
const SLOW_CALL_MS: u64 = 4_000;
const SEED: u64 = 0x6177_6179;

/// A service whose database can be cut off, and the sweep of all that it leaves.
async fn start(cut: &Cut, first_port: u16) -> (Kept, App) {
    let (kept, app) = Kept::start("serve", &cut.environment()).await;
    set_ports(&app, first_port, first_port + 49).await;
    (kept, app)
}

async fn adds(session: &Session, number: u64) {
    let answer = session.call(&json!(number), "add", &json!({"a": number, "b": 1})).await;
    assert_eq!(answer["result"]["structuredContent"]["sum"], number + 1, "{answer}");
}

fn time_of(row: &serde_json::Value, field: &str) -> OffsetDateTime {
    OffsetDateTime::parse(row[field].as_str().expect("a time"), &Rfc3339).expect("a time")
}

/// What a caller hears, and how soon.
async fn a_launch_is_refused(app: &App) {
    let begun = Instant::now();
    let answer = app.ask("POST", "/instances", Some(json!({"type": "echo"}))).await;
    assert_eq!((answer.status, answer.body["error"]["code"].as_str()), (503, Some("DATABASE_UNAVAILABLE")));
    assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
    assert!(begun.elapsed() < SOON, "told after {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_go_on_and_what_ends_meanwhile_is_told_when_the_database_is_back() {
    let database = TestDatabase::empty().await;
    let cut = Cut::before(&database);
    let (kept, app) = start(&cut, 25_000).await;
    let stays = Launched::new(&app, json!({"type": "echo", "expires_in": "1h"})).await;
    let expires = Launched::new(&app, json!({"type": "echo", "expires_in": "4s"})).await;
    let crashes = Launched::new(&app, json!({"type": "echo", "expires_in": "1h"})).await;
    let port =
        Session::open(&http_client(false), &format!("http://127.0.0.1:{}/mcp", stays.port), &stays.token)
            .await;
    let gateway = format!("{}/i/{}/mcp", app.url, stays.id);
    let gateway = Session::open(&http_client(false), &gateway, &stays.token).await;

    cut.close();
    a_launch_is_refused(&app).await;
    let client = http_client(false);
    let ready = client.get(format!("{}/readyz", app.url)).send().await.expect("an answer");
    assert_eq!(ready.status(), 503);
    let alive = client.get(format!("{}/healthz", app.url)).send().await.expect("an answer");
    assert_eq!(alive.status(), 200);
    assert_eq!(stays.route(&app, &stays.token).await.0, 200, "the gateway needs no database");
    for number in 0..CALLS {
        adds(if number % 2 == 0 { &port } else { &gateway }, number).await;
    }
    kill(Pid::from_raw(crashes.shim), Signal::SIGKILL).expect("it lives");
    crashes.gone().await;
    expires.gone().await;

    cut.open();
    let row = app.wait_status(&expires.id, "expired", PATIENCE).await;
    let late = time_of(&row, "ended_at") - time_of(&row, "expires_at");
    assert!(late.unsigned_abs() < PUNCTUAL, "{row}");
    app.wait_status(&crashes.id, "disconnected", PATIENCE).await;
    for (id, status) in [(&expires.id, "expired"), (&crashes.id, "disconnected")] {
        life_is_whole(&app.event_types(id).await, status).expect("its events tell all of it");
    }
    adds(&port, CALLS).await;
    adds(&gateway, CALLS + 1).await;
    wait_for("a fact for every call", PATIENCE, async || {
        let answer = app.ask("GET", "/usage?limit=100", None).await;
        let facts = answer.body["data"].as_array()?.len() as u64;
        assert!(facts <= CALLS + 2, "{answer:?}");
        (facts == CALLS + 2).then_some(())
    })
    .await;

    // Told to stop while it cannot write, it finishes calls and stops, and the next start finds everything.
    cut.close();
    let message = call(&json!("slow"), "sleep", &json!({ "ms": SLOW_CALL_MS }), Some("p"));
    let mut events = Events::of(gateway.send(&message).await);
    assert_eq!(events.message().await.expect("it has begun")["method"], "notifications/progress");
    app.signal(Signal::SIGTERM);
    let answer = wait_for("the answer", PATIENCE, async || {
        let message = events.message().await.expect("the answer comes before the end");
        (message["id"] == "slow").then_some(message)
    })
    .await;
    assert!(answer["result"].is_object(), "{answer}");
    let (status, data) = app.ended().await;
    assert!(status.success(), "{status}");
    assert!(stays.lives());
    cut.open();
    let app = kept.start_again("serve", data).await;
    adds(&port, CALLS + 2).await;
    app.wait_status(&stays.id, "running", PATIENCE).await;
    drop((app, kept));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_break_under_load_leave_no_half_states() {
    let database = TestDatabase::empty().await;
    let cut = Cut::before(&database);
    let (kept, app) = start(&cut, 25_100).await;
    // What a broken connection keeps from being deleted stays.
    let quota = app.ask("PUT", "/settings/mcp.max_instances_per_user", Some(json!({ "value": 100 }))).await;
    assert_eq!(quota.status, 200, "{quota:?}");
    let mut random = StdRng::seed_from_u64(SEED);
    let mut refused = 0;
    for _ in 0..20 {
        let pause = Duration::from_micros(random.random_range(0..30_000));
        let breaking = async {
            // The random moment at which they break.
            tokio::time::sleep(pause).await;
            cut.drop_connections();
        };
        let launch = json!({"type": "echo", "expires_in": "1h"});
        let launches = (0..3).map(|_| app.ask("POST", "/instances", Some(launch.clone())));
        let (answers, ()) = tokio::join!(futures_util::future::join_all(launches), breaking);
        refused += answers.iter().filter(|answer| answer.status != 201).count();
        let wrong = answers.iter().find(|answer| ![201, 503].contains(&answer.status));
        assert!(wrong.is_none(), "{wrong:?}");
        let made = answers.iter().filter_map(|answer| answer.body["id"].as_str());
        let paths: Vec<String> = made.map(|id| format!("/instances/{id}")).collect();
        let deletes = paths.iter().map(|path| app.ask("DELETE", path, None));
        let breaking = async { cut.drop_connections() };
        tokio::join!(futures_util::future::join_all(deletes), breaking);
    }
    eprintln!("{refused} of 60 launches were refused");
    wait_for("rows and processes to tell the same", Duration::from_secs(100), async || {
        let live = app.ask("GET", "/instances?status=running&limit=100", None).await;
        let pending = app.ask("GET", "/instances?status=pending&limit=100", None).await;
        if live.status != 200 || pending.status != 200 {
            return None;
        }
        let rows = [live, pending].map(|mut each| each.body["data"].take());
        let rows: Vec<_> = rows.iter().filter_map(|rows| rows.as_array()).flatten().cloned().collect();
        Left::look(app.data()).compared_with(&rows).is_empty().then_some(())
    })
    .await;
    drop((app, kept));
}
