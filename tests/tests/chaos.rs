//! Everything of ours is killed at random, while instances come, are used and go; afterwards nothing is left over, and every row
//! tells the truth.
//!
//! A short run in CI; the long one with `cargo test --release --workspace --test chaos -- --ignored`. The same seed makes the same
//! decisions: `ROADSTEAD_CHAOS_SEED=<number>`.

#[path = "support/kept.rs"]
mod kept;
#[path = "support/left.rs"]
mod left;

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use roadstead_test_support::app::{App, is_alive};
use roadstead_test_support::wait_for;
use serde_json::{Value, json};

use kept::Kept;
use left::Left;

/// Decisions are made with this, unless the environment says otherwise.
const SEED: u64 = 0x6861_766f_6321;
/// Steps between two looks at what is left.
const STEPS: usize = 12;
/// How long everything may take to come to rest: longer than two reconciles.
const REST: Duration = Duration::from_secs(150);
/// Instances at one time.
const CROWD: usize = 8;
/// Lifetimes that instances get, in seconds: some end within the round.
const LIFETIMES: [u64; 4] = [2, 5, 600, 3600];

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Service,
    Shim,
    Init,
    Server,
    Database,
}

const VICTIMS: [Victim; 8] = [
    Victim::Service,
    Victim::Service,
    Victim::Shim,
    Victim::Shim,
    Victim::Init,
    Victim::Server,
    Victim::Server,
    Victim::Database,
];

struct Chaos {
    kept: Kept,
    app: Option<App>,
    random: StdRng,
    kills: usize,
    steps: usize,
    calls: usize,
}

impl Chaos {
    async fn new(seed: u64, first_port: u16) -> Self {
        eprintln!("seed {seed}: ROADSTEAD_CHAOS_SEED={seed} repeats the decisions");
        let (kept, app) = Kept::start("serve").await;
        // In this order, the range of ports is one after each step.
        for (key, value) in [
            ("port.range_end", first_port + 299),
            ("port.range_start", first_port),
            ("mcp.max_instances_per_user", 100),
        ] {
            let answer = app.ask("PUT", &format!("/settings/{key}"), Some(json!({ "value": value }))).await;
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        Self { kept, app: Some(app), random: StdRng::seed_from_u64(seed), kills: 0, steps: 0, calls: 0 }
    }

    fn app(&self) -> &App {
        self.app.as_ref().expect("it runs between two steps")
    }

    /// One request that may fail: what it is sent to may be killed meanwhile.
    async fn try_ask(&self, method: &str, path: &str, body: Option<Value>) -> Option<(u16, Value)> {
        let app = self.app();
        let mut request = app.request(method, path).bearer_auth(&app.key);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.timeout(REST).send().await.ok()?;
        Some((response.status().as_u16(), response.json().await.unwrap_or_default()))
    }

    /// The rows with one of these statuses.
    async fn rows(&self, statuses: &[&str]) -> Vec<Value> {
        let mut rows = Vec::new();
        for status in statuses {
            let path = format!("/instances?status={status}&limit=100");
            let listed = wait_for("a list", REST, async || match self.try_ask("GET", &path, None).await {
                Some((200, body)) => body["data"].as_array().cloned(),
                _ => None,
            });
            rows.extend(listed.await);
        }
        rows
    }

    /// Something that people do, and at some moment of it, or after it, something is killed.
    async fn step(&mut self) {
        let live = self.rows(&["pending", "running"]).await;
        let victim = *VICTIMS.choose(&mut self.random).expect("there are some");
        let after = Duration::from_micros(self.random.random_range(0..40_000));
        let target = live.choose(&mut self.random).cloned();
        let deed = self.random.random_range(0..10);
        let lifetime = *LIFETIMES.choose(&mut self.random).expect("there are some");
        let at_once = if live.len() < CROWD { self.random.random_range(1..4) } else { 1 };
        let doing = async {
            let path = |verb: &str| {
                target.as_ref().map(|row| format!("/instances/{}{verb}", row["id"].as_str().expect("an id")))
            };
            let launch = json!({"type": "echo", "expires_in": format!("{lifetime}s")});
            match (deed, live.len()) {
                (0..=4, 0..CROWD) | (_, 0) => {
                    let launches =
                        (0..at_once).map(|_| self.try_ask("POST", "/instances", Some(launch.clone())));
                    futures_util::future::join_all(launches).await;
                }
                (0..=4, _) => drop(self.try_ask("DELETE", &path("").expect("one lives"), None).await),
                (5, _) => drop(self.try_ask("POST", &path("/stop").expect("one lives"), None).await),
                (6, _) => drop(self.try_ask("POST", &path("/expire").expect("one lives"), None).await),
                (7, _) => {
                    let by = Some(json!({"by": "30s"}));
                    drop(self.try_ask("POST", &path("/extend").expect("one lives"), by).await);
                }
                (_, _) => {
                    drop(self.try_ask("POST", &path("/rotate-token").expect("one lives"), None).await);
                }
            }
        };
        let killing = async {
            tokio::time::sleep(after).await;
            self.kill(victim, target.as_ref())
        };
        let ((), killed) = tokio::join!(doing, killing);
        self.kills += usize::from(killed);
        self.steps += 1;
        if victim == Victim::Service {
            let (_, data) = self.app.take().expect("it ran").ended().await;
            self.app = Some(self.kept.start_again("serve", data).await);
        }
    }

    /// Whether there was something to kill.
    fn kill(&self, victim: Victim, row: Option<&Value>) -> bool {
        let pid = |field: &str| {
            let pid = i32::try_from(row?[field].as_i64()?).ok()?;
            is_alive(pid).then_some(pid)
        };
        let pid = match victim {
            Victim::Service => Some(self.app().pid()),
            Victim::Shim => pid("shim_process_id"),
            Victim::Server => pid("process_id"),
            Victim::Init => pid("process_id").and_then(left::parent),
            Victim::Database => left::postmaster(self.app().data()),
        };
        // Gone by itself at this moment is fine.
        pid.is_some_and(|pid| pid > 1 && kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok())
    }

    /// Waits until rows and processes tell the same story; then looks at everything.
    async fn comes_to_rest(&mut self) {
        let mut wrong = vec!["nothing was looked at".to_owned()];
        let begun = std::time::Instant::now();
        while !wrong.is_empty() {
            assert!(begun.elapsed() < REST, "after {REST:?}:\n{}\n{}", wrong.join("\n"), self.app().log());
            let live = self.rows(&["pending", "running"]).await;
            wrong = Left::look(self.app().data()).compared_with(&live);
            tokio::task::yield_now().await;
        }
        for row in self.rows(&["running"]).await {
            self.is_used(&row).await;
        }
        for row in self.rows(&["expired", "disconnected", "stopped", "error"]).await {
            let events = self.app().event_types(row["id"].as_str().expect("an id")).await;
            let status = row["status"].as_str().expect("a status");
            left::life_is_whole(&events, status).unwrap_or_else(|why| panic!("{why}: {row}"));
        }
    }

    /// An instance that is said to run answers a call with a token of its own.
    async fn is_used(&mut self, row: &Value) {
        let id = row["id"].as_str().expect("an id");
        let answered = wait_for("an instance that runs to answer, or to end", REST, async || {
            let (status, body) = self.try_ask("POST", &format!("/instances/{id}/rotate-token"), None).await?;
            if status == 409 {
                return Some(false);
            }
            let token = body["access_token"].as_str()?;
            let url = format!("{}/i/{id}/mcp", self.app().url);
            let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
                "protocolVersion": "2025-11-25", "capabilities": {},
                "clientInfo": {"name": "chaos", "version": "1"}}});
            let answer = self.app().mcp(&url, token, None, ping).await;
            (answer.status == 200 && answer.body["result"]["serverInfo"].is_object()).then_some(true)
        })
        .await;
        self.calls += usize::from(answered);
    }

    async fn run(mut self, kills: usize) {
        while self.kills < kills {
            for _ in 0..STEPS {
                self.step().await;
            }
            self.comes_to_rest().await;
            eprintln!("{} kills, {} steps, {} instances used at rest", self.kills, self.steps, self.calls);
        }
        for row in self.rows(&["pending", "running"]).await {
            let path = format!("/instances/{}", row["id"].as_str().expect("an id"));
            wait_for("an instance to be deleted", REST, async || {
                let answer = self.try_ask("DELETE", &path, None).await;
                matches!(answer, Some((204 | 404, _))).then_some(())
            })
            .await;
        }
        self.comes_to_rest().await;
        assert_eq!(Left::look(self.app().data()).compared_with(&[]), Vec::<String>::new());
    }
}

fn seed() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "the one input of this test")]
    std::env::var("ROADSTEAD_CHAOS_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(SEED)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_killed_nothing_is_left_over_and_every_row_tells_the_truth() {
    Chaos::new(seed(), 24_000).await.run(24).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes some twenty minutes"]
async fn a_thousand_kills_leave_nothing_over() {
    Chaos::new(seed(), 24_400).await.run(1000).await;
}
