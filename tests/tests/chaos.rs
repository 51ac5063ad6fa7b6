//! Everything of ours is killed at random, while instances come, are used and go; afterwards nothing is left over, and every row
//! tells the truth.
//!
//! A short run in CI; the long one with `cargo test --release --workspace --test chaos -- --ignored`. The same seed makes the same
//! decisions: `ROADSTEAD_CHAOS_SEED=<number>`.

#[path = "support/counted.rs"]
mod counted;
#[path = "support/kept.rs"]
mod kept;
#[path = "support/left.rs"]
mod left;
#[path = "support/ports.rs"]
mod ports;
#[path = "support/victims.rs"]
mod victims;

use std::ops::RangeInclusive;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use roadstead_test_support::app::{App, is_alive};
use roadstead_test_support::wait_for;
use serde_json::{Value, json};

use counted::{Counted, Untrue};
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
    /// One connection of the service to its database.
    Connection,
}

/// Calls under way while something is killed.
const CALLS: usize = 3;

const VICTIMS: [Victim; 9] = [
    Victim::Service,
    Victim::Service,
    Victim::Shim,
    Victim::Shim,
    Victim::Init,
    Victim::Server,
    Victim::Server,
    Victim::Database,
    Victim::Connection,
];

struct Chaos {
    kept: Kept,
    app: Option<App>,
    random: StdRng,
    kills: usize,
    steps: usize,
    counted: Counted,
    pool: RangeInclusive<u16>,
}

impl Chaos {
    async fn new(seed: u64, first_port: u16) -> Self {
        eprintln!("seed {seed}: ROADSTEAD_CHAOS_SEED={seed} repeats the decisions");
        let (kept, app) = Kept::start("serve", &[]).await;
        let pool = first_port..=first_port + 299;
        // In this order, the range of ports is one after each step.
        for (key, value) in [
            ("port.range_end", *pool.end()),
            ("port.range_start", first_port),
            ("mcp.max_instances_per_user", 100),
        ] {
            let answer = app.ask("PUT", &format!("/settings/{key}"), Some(json!({ "value": value }))).await;
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        let (random, counted) = (StdRng::seed_from_u64(seed), Counted::new(seed));
        Self { kept, app: Some(app), random, kills: 0, steps: 0, counted, pool }
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

    /// Something that people do, calls meanwhile, and at some moment of it, or after it, something is killed.
    async fn step(&mut self) {
        let live = self.rows(&["pending", "running"]).await;
        let victim = *VICTIMS.choose(&mut self.random).expect("there are some");
        let after = Duration::from_micros(self.random.random_range(0..40_000));
        let target = live.choose(&mut self.random).cloned();
        let deed = self.deed(&live, target.as_ref()).await;
        let mut counted = std::mem::replace(&mut self.counted, Counted::new(0));
        let this = &*self;
        let doing = async {
            let asked =
                deed.into_iter().map(async |(method, path, body)| this.try_ask(method, &path, body).await);
            futures_util::future::join_all(asked).await;
        };
        let killing = async {
            tokio::time::sleep(after).await;
            this.kill(victim, target.as_ref())
        };
        let calling = counted.some(CALLS, &this.app().url);
        let ((), (), killed) = tokio::join!(doing, calling, killing);
        self.counted = counted;
        self.kills += usize::from(killed);
        self.steps += 1;
        if victim == Victim::Service {
            let (_, data) = self.app.take().expect("it ran").ended().await;
            self.app = Some(self.kept.start_again("serve", data).await);
        }
    }

    /// Requests that are made at one time.
    async fn deed(
        &mut self,
        live: &[Value],
        target: Option<&Value>,
    ) -> Vec<(&'static str, String, Option<Value>)> {
        let lifetime = *LIFETIMES.choose(&mut self.random).expect("there are some");
        let number = self.random.random_range(0..14);
        let at_once = if live.len() < CROWD { self.random.random_range(1..4) } else { 1 };
        let post = |row: Option<&Value>, verb: &str, body: Option<Value>| {
            let id = row.and_then(|row| row["id"].as_str());
            id.map(|id| ("POST", format!("/instances/{id}{verb}"), body)).into_iter().collect::<Vec<_>>()
        };
        let ended = match number {
            10 | 11 => self.rows(&["stopped", "disconnected", "error"]).await,
            12 => self.rows(&["expired"]).await,
            _ => Vec::new(),
        };
        let ended = ended.choose(&mut self.random);
        match (number, target) {
            (0..=3, Some(row)) if live.len() >= CROWD => {
                vec![("DELETE", format!("/instances/{}", row["id"].as_str().expect("an id")), None)]
            }
            (4, _) => post(target, "/stop", None),
            (5, _) => post(target, "/expire", None),
            (6, _) => post(target, "/extend", Some(json!({"by": "30s"}))),
            (7, _) => post(target, "/rotate-token", None),
            (8 | 9, _) => post(target, "/restart", None),
            (10 | 11, _) => post(ended, "/restore", None),
            (12, _) => post(ended, "/renew", Some(json!({"expires_in": format!("{lifetime}s")}))),
            (13, _) => Vec::new(),
            _ => {
                let launch = json!({"type": "echo", "expires_in": format!("{lifetime}s")});
                vec![("POST", "/instances".to_owned(), Some(launch)); at_once]
            }
        }
    }

    /// Whether there was something to kill.
    fn kill(&self, victim: Victim, row: Option<&Value>) -> bool {
        // A connection is ended as an administrator does; everything else has no time to say goodbye.
        let signal = if victim == Victim::Connection { Signal::SIGTERM } else { Signal::SIGKILL };
        let pid = |field: &str| {
            let pid = i32::try_from(row?[field].as_i64()?).ok()?;
            is_alive(pid).then_some(pid)
        };
        let pid = match victim {
            Victim::Service => Some(self.app().pid()),
            Victim::Shim => pid("shim_process_id"),
            Victim::Server => pid("process_id"),
            Victim::Init => pid("process_id").and_then(victims::parent),
            Victim::Database => victims::postmaster(self.app().data()),
            Victim::Connection => victims::backends(self.app().data()).first().copied(),
        };
        // Gone by itself at this moment is fine.
        pid.is_some_and(|pid| pid > 1 && kill(Pid::from_raw(pid), signal).is_ok())
    }

    /// Waits until rows and processes tell the same story; then looks at everything.
    async fn comes_to_rest(&mut self) {
        let mut wrong = vec!["nothing was looked at".to_owned()];
        let begun = std::time::Instant::now();
        while !wrong.is_empty() {
            assert!(begun.elapsed() < REST, "after {REST:?}:\n{}\n{}", wrong.join("\n"), self.app().log());
            let live = self.rows(&["pending", "running"]).await;
            wrong = Left::look(self.app().data()).compared_with(&live);
            wrong.extend(ports::compared_with(self.app(), self.pool.clone(), &live).await);
            let expired = self.rows(&["expired"]).await;
            let ending = expired.iter().filter(|row| row["ended_at"].is_null());
            wrong.extend(ending.map(|row| format!("{} is still ending", row["id"])));
            tokio::task::yield_now().await;
        }
        self.no_orphan_was_found().await;
        let running = self.rows(&["running"]).await;
        let ids: Vec<String> =
            running.iter().filter_map(|row| row["id"].as_str()).map(ToOwned::to_owned).collect();
        self.counted.keep(&ids);
        for row in &running {
            self.is_used(row).await;
        }
        for row in self.rows(&["running", "expired", "disconnected", "stopped", "error"]).await {
            let id = row["id"].as_str().expect("an id");
            let mut told = String::new();
            // Asked for anew each time: the reaper writes down within a second that the deadline of one that had ended has
            // passed, and a deadline may pass after the list was read.
            wait_for(&format!("{id} to tell a whole life"), REST, async || {
                let (_, row) = self.try_ask("GET", &format!("/instances/{id}"), None).await?;
                let whole = left::life_is_whole(&self.app().event_types(id).await, row["status"].as_str()?);
                if let Err(why) = &whole
                    && *why != told
                {
                    eprintln!("{why}: {row}");
                    told.clone_from(why);
                }
                whole.ok()
            })
            .await;
        }
        let mut untrue = None;
        wait_for("every answered call to be told of, once", REST, async || {
            let seen = self.counted.compared_with(self.app()).await;
            let is_true = seen == Untrue { missing: Vec::new(), twice: Vec::new() };
            if !is_true && untrue.as_ref() != Some(&seen) {
                eprintln!("{seen:?}");
            }
            untrue = Some(seen);
            is_true.then_some(())
        })
        .await;
    }

    /// Nothing lived without somebody who answered for it, as far as the service that runs now has seen.
    async fn no_orphan_was_found(&self) {
        let request = reqwest::get(format!("{}/metrics", self.app().url));
        let text = request.await.expect("an answer").text().await.expect("a text");
        let orphans: Vec<&str> =
            text.lines().filter(|line| line.starts_with("roadstead_orphans_total{")).collect();
        assert!(!orphans.is_empty() && orphans.iter().all(|line| line.ends_with(" 0")), "{orphans:?}");
    }

    /// An instance that is said to run answers a call with a token of its own.
    async fn is_used(&mut self, row: &Value) {
        let id = row["id"].as_str().expect("an id");
        let gateway = format!("{}/i/{id}/mcp", self.app().url);
        let token = wait_for("an instance that runs to answer, or to end", REST, async || {
            let (status, body) = self.try_ask("POST", &format!("/instances/{id}/rotate-token"), None).await?;
            if status == 409 {
                return Some(None);
            }
            let token = body["access_token"].as_str()?;
            let ping = json!({"jsonrpc": "2.0", "id": "rest", "method": "initialize", "params": {
                "protocolVersion": "2025-11-25", "capabilities": {},
                "clientInfo": {"name": "chaos", "version": "1"}}});
            let answer = self.app().mcp(&gateway, token, None, ping).await;
            (answer.status == 200 && answer.body["result"]["serverInfo"].is_object())
                .then(|| Some(token.to_owned()))
        })
        .await;
        if let Some(token) = token {
            self.counted.may_call(id, row["port_url"].as_str(), &token);
        }
    }

    async fn run(mut self, kills: usize) {
        while self.kills < kills {
            for _ in 0..STEPS {
                self.step().await;
            }
            self.comes_to_rest().await;
            let answered = self.counted.answered();
            eprintln!("{} kills, {} steps, {answered} calls answered", self.kills, self.steps);
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
#[ignore = "takes some twelve minutes"]
async fn a_thousand_kills_leave_nothing_over() {
    Chaos::new(seed(), 24_400).await.run(1000).await;
}
