//! Calls that are counted by whoever makes them, held against the facts that the service tells of them.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IteratorRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use reqwest::Client;
use roadstead_test_support::app::App;
use roadstead_test_support::raw::{call, http_client, stateless};
use serde_json::json;

/// What an impatient client waits for its answer, at most, in milliseconds.
const IMPATIENCE_MS: u64 = 20;
/// What a patient one waits: what it asks is killed meanwhile.
const PATIENCE: Duration = Duration::from_secs(20);
/// Facts on one page.
const PAGE: usize = 100;

/// Where an instance is reached, and what lets a caller in.
#[derive(Debug, Clone)]
struct Door {
    /// Its own port, if it has one; the way through the gateway depends on where that listens now.
    port_url: Option<String>,
    token: String,
}

/// The calls made so far.
pub(crate) struct Counted {
    client: Client,
    doors: BTreeMap<String, Door>,
    random: StdRng,
    sent: u64,
    /// With the instance that answered.
    answered: BTreeMap<u64, String>,
}

/// What the facts tell that is not so.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Untrue {
    /// Answered, by which instance, and not told of.
    pub(crate) missing: Vec<(u64, String)>,
    /// Told of more than once.
    pub(crate) twice: Vec<u64>,
}

impl Counted {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            client: http_client(false),
            doors: BTreeMap::new(),
            random: StdRng::seed_from_u64(seed),
            sent: 0,
            answered: BTreeMap::new(),
        }
    }

    /// How many calls were answered.
    pub(crate) fn answered(&self) -> usize {
        self.answered.len()
    }

    /// An instance may be called with this token from now on.
    pub(crate) fn may_call(&mut self, id: &str, port_url: Option<&str>, token: &str) {
        let door = Door { port_url: port_url.map(ToOwned::to_owned), token: token.to_owned() };
        self.doors.insert(id.to_owned(), door);
    }

    /// Only these are left.
    pub(crate) fn keep(&mut self, live: &[String]) {
        self.doors.retain(|id, _| live.contains(id));
    }

    /// A few calls at one time, to whichever instances, by either way; some clients hang up before the answer.
    pub(crate) async fn some(&mut self, count: usize, service: &str) {
        let mut calls = Vec::new();
        for _ in 0..count {
            let Some((id, door)) = self.doors.iter().choose(&mut self.random) else { return };
            let (id, gateway) = (id.clone(), format!("{service}/i/{id}/mcp"));
            let url = match &door.port_url {
                Some(port) if self.random.random() => port.clone(),
                _ => gateway,
            };
            self.sent += 1;
            let number = self.sent;
            let message = call(&json!(number), "add", &json!({"a": number, "b": 1}), None);
            let request = stateless(&self.client, &url, &door.token, &message);
            let hangs_up = self.random.random_range(0..4) == 0;
            let patience = if hangs_up {
                Duration::from_millis(self.random.random_range(0..IMPATIENCE_MS))
            } else {
                PATIENCE
            };
            calls.push(async move {
                let answer = async { request.send().await.ok()?.text().await.ok() };
                let text = tokio::time::timeout(patience, answer).await.ok()??;
                let is_right = text.contains(&format!("\"structuredContent\":{{\"sum\":{}}}", number + 1));
                is_right.then_some((number, id))
            });
        }
        self.answered.extend(futures_util::future::join_all(calls).await.into_iter().flatten());
    }

    /// Compares what was answered with the facts of all calls.
    pub(crate) async fn compared_with(&self, app: &App) -> Untrue {
        let mut told: BTreeMap<u64, usize> = BTreeMap::new();
        let mut cursor = String::new();
        loop {
            let answer = app.ask("GET", &format!("/usage?limit={PAGE}{cursor}"), None).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            for fact in answer.body["data"].as_array().expect("a list") {
                if let Some(number) = fact["request_id"].as_str().and_then(|id| id.parse().ok()) {
                    *told.entry(number).or_default() += 1;
                }
            }
            match answer.body["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        Untrue {
            missing: self
                .answered
                .clone()
                .into_iter()
                .filter(|(number, _)| !told.contains_key(number))
                .collect(),
            twice: told.into_iter().filter(|(_, times)| *times > 1).map(|(number, _)| number).collect(),
        }
    }
}
