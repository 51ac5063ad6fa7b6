//! Many sessions at once on one instance, with the same ids in each, half of them cancelling and hanging up at random: no
//! message is crossed, lost or doubled, and no memory stays.
//!
//! In CI a short run of some sessions; all of it with `cargo test --release --test soak -- --ignored`.

#[path = "support/steps.rs"]
mod steps;

use std::cell::Cell;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use roadstead_test_support::app::App;
use roadstead_test_support::process::memory_kib;
use roadstead_test_support::raw::{Event, Events, PATIENCE, Session, call, http_client, messages};
use roadstead_test_support::wait_for;
use serde_json::{Value, json};

use steps::{Place, define, set, set_ports};

/// Memory that may be more afterwards than after the first sessions, and how soon it is no more.
const LEFT_KIB: u64 = 2 * 1024;
const GIVEN_BACK: Duration = Duration::from_secs(30);
const SEED: u64 = 0x736f_616b;
/// A call that lasts until it is cancelled, or until nobody cares.
const LONG_MS: u64 = 3_000;

/// What all sessions together have seen.
#[derive(Default)]
struct Tally {
    answered: Cell<usize>,
    cancelled: Cell<usize>,
    hung_up: Cell<usize>,
    listened: Cell<usize>,
}

impl Tally {
    fn count(cell: &Cell<usize>) {
        cell.set(cell.get() + 1);
    }
}

/// One client: it knows which texts and tokens are its own.
struct Client<'a> {
    number: usize,
    session: Session,
    random: StdRng,
    next: u64,
    tally: &'a Tally,
}

impl Client<'_> {
    /// An id that every other session uses too, a number or the same number as text, and a text that no other has.
    fn fresh(&mut self) -> (Value, String) {
        self.next += 1;
        // Two calls in a row share their digits: `1` and `"1"` are in flight at the same time.
        let digits = self.next / 2 % 50;
        let id = if self.next.is_multiple_of(2) { json!(digits) } else { json!(digits.to_string()) };
        (id, format!("session {} message {}", self.number, self.next))
    }

    /// Exactly one answer, with the id and the text of its call.
    async fn ask(&self, id: &Value, text: &str) {
        let token = text.replace(' ', "-");
        let sent = call(id, "echo", &json!({ "text": text }), Some(&token));
        let all = messages(self.session.send(&sent).await).await;
        assert_eq!(all.len(), 1, "{text}: {all:?}");
        assert_eq!((&all[0]["id"], &all[0]["result"]["content"][0]["text"]), (id, &json!(text)), "{all:?}");
        Tally::count(&self.tally.answered);
    }

    /// A call whose answer is a stream: what it says on the way is its own, and the answer comes once, at the end.
    async fn ask_at_length(&self, id: &Value, text: &str) {
        let token = text.replace(' ', "-");
        let sent = call(id, "sleep", &json!({ "ms": 30 }), Some(&token));
        let mut all = messages(self.session.send(&sent).await).await;
        let answer = all.pop().unwrap_or_else(|| panic!("{text}: no answer"));
        assert_eq!((&answer["id"], &answer["result"]["content"][0]["text"]), (id, &json!("slept 30 ms")));
        for message in all {
            assert_eq!(message["params"]["progressToken"], token, "{message}");
        }
        Tally::count(&self.tally.answered);
    }

    /// Begins something long, cancels it, and hears no more of it.
    async fn cancel(&self, id: &Value, text: &str) {
        let token = text.replace(' ', "-");
        let sent = call(id, "sleep", &json!({ "ms": LONG_MS }), Some(&token));
        let calling = async { messages(self.session.send(&sent).await).await };
        let cancelling = async {
            // Before, while or after the server learns of the call: each may happen.
            let params = json!({ "requestId": id, "reason": "the test wants it" });
            self.session.notify("notifications/cancelled", params).await
        };
        let (all, status) = tokio::join!(calling, cancelling);
        assert_eq!(status, 202);
        for message in all {
            let own = message["params"]["progressToken"] == token || message["id"] == *id;
            assert!(own, "{text}: {message}");
        }
        Tally::count(&self.tally.cancelled);
    }

    /// Calls and leaves, at any moment.
    async fn hang_up(&mut self, id: &Value, text: &str) {
        let patience = Duration::from_micros(self.random.random_range(0..20_000));
        let token = text.replace(' ', "-");
        let long = self.random.random_bool(0.5);
        let sent = if long {
            call(id, "sleep", &json!({ "ms": 200 }), Some(&token))
        } else {
            call(id, "echo", &json!({ "text": text }), None)
        };
        let calling = async { messages(self.session.send(&sent).await).await };
        let _ = tokio::time::timeout(patience, calling).await;
        Tally::count(&self.tally.hung_up);
    }

    /// Opens the session's stream, hears nothing of anybody else, and leaves.
    async fn listen(&mut self) {
        let patience = Duration::from_millis(self.random.random_range(0..50));
        let mut events = self.session.listen().await;
        let _ = tokio::time::timeout(patience, self.own(&mut events)).await;
        Tally::count(&self.tally.listened);
    }

    /// What a session's stream says is about its own calls: those it has hung up on.
    async fn own(&self, events: &mut Events) {
        let prefix = format!("session-{}-", self.number);
        while let Ok(Some(event)) = events.next().await {
            let Event::Message(message) = event else { continue };
            let token = message["params"]["progressToken"].as_str().unwrap_or_default();
            assert!(token.starts_with(&prefix), "session {} heard {message}", self.number);
        }
    }

    /// Only asks, and listens all the while: nothing may come that it did not ask for.
    async fn steady(mut self, until: Instant) {
        let mut events = self.session.listen().await;
        let asking = async {
            while Instant::now() < until {
                let (first, second, third) = (self.fresh(), self.fresh(), self.fresh());
                tokio::join!(
                    self.ask(&first.0, &first.1),
                    self.ask(&second.0, &second.1),
                    self.ask_at_length(&third.0, &third.1),
                );
            }
        };
        let listening = async {
            loop {
                match events.next().await.expect("the stream lives") {
                    Some(Event::Message(message)) => panic!("nobody asked for {message}"),
                    Some(_) => {}
                    None => panic!("the stream has ended"),
                }
            }
        };
        tokio::select! {
            () = asking => {}
            () = listening => {}
        }
        drop(events);
        self.session.end().await;
    }

    /// Asks, cancels, hangs up and comes back, as it happens.
    async fn unsteady(mut self, until: Instant) {
        while Instant::now() < until {
            let (_, text) = self.fresh();
            // What was hung up on may still be in flight under its id: it is not used again.
            match self.random.random_range(0..4) {
                0 => self.ask(&json!(format!("own-{text}")), &text).await,
                1 => self.cancel(&json!(format!("long-{text}")), &text).await,
                2 => self.hang_up(&json!(format!("left-{text}")), &text).await,
                _ => self.listen().await,
            }
        }
        self.session.end().await;
    }
}

async fn round(place: &Place, sessions: usize, lasting: Duration, seed: u64) -> Tally {
    let tally = Tally::default();
    let client = http_client(false);
    let mut clients = Vec::new();
    for number in 0..sessions {
        let url = if number / 2 % 2 == 0 { &place.gateway } else { &place.port };
        let session = Session::open(&client, url, &place.token).await;
        let random = StdRng::seed_from_u64(seed + number as u64);
        clients.push(Client { number, session, random, next: 0, tally: &tally });
    }
    let until = Instant::now() + lasting;
    let all = clients.into_iter().map(|client| async move {
        if client.number % 2 == 0 { client.steady(until).await } else { client.unsteady(until).await }
    });
    let whole = tokio::time::timeout(lasting + PATIENCE, futures_util::future::join_all(all));
    whole.await.expect("every call is answered");
    tally
}

async fn soak(first_port: u16, sessions: usize, lasting: Duration) {
    let app = App::start().await;
    set_ports(&app, first_port, first_port + 9).await;
    define(&app).await;
    // Without these settings the limits are what they are.
    let raised =
        set(&app, "bridge.max_sessions", 1_000).await && set(&app, "bridge.max_streams", 10_000).await;
    let sessions = if raised { sessions } else { 8 };
    let place = Place::launch(&app, "many").await;
    round(&place, sessions, Duration::from_secs(2), SEED).await;
    let before = settled(place.shim).await;
    let tally = round(&place, sessions, lasting, SEED + 1_000_000).await;
    eprintln!(
        "{sessions} sessions for {lasting:?}: {} answered, {} cancelled, {} hung up on, {} times listened",
        tally.answered.get(),
        tally.cancelled.get(),
        tally.hung_up.get(),
        tally.listened.get(),
    );
    assert!(tally.answered.get() > sessions && tally.cancelled.get() > 0 && tally.hung_up.get() > 0);
    let mut after = 0;
    wait_for(&format!("the shim to be back at {before} KiB"), GIVEN_BACK, async || {
        after = memory_kib(place.shim);
        (after <= before + LEFT_KIB).then_some(())
    })
    .await;
    eprintln!("shim: {before} KiB after the first sessions, {after} KiB after all");
    let (status, _data) = app.interrupt().await;
    assert!(status.success());
}

/// What a process holds when it does not change any more.
async fn settled(pid: i32) -> u64 {
    let mut last = (0, 0);
    wait_for("memory to settle", PATIENCE, async || {
        let now = memory_kib(pid);
        last = if now == last.0 { (now, last.1 + 1) } else { (now, 0) };
        (last.1 == 20).then_some(now)
    })
    .await
}

#[tokio::test]
async fn many_sessions_with_the_same_ids_do_not_meet() {
    soak(23_200, 50, Duration::from_secs(10)).await;
}

#[tokio::test]
#[ignore = "a minute of two hundred sessions: run it by name"]
async fn two_hundred_sessions_with_the_same_ids_do_not_meet_for_a_minute() {
    soak(23_220, 200, Duration::from_mins(1)).await;
}
