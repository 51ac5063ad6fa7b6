//! Many modern clients at once in front of legacy servers, with equal ids, questions, disconnects and disorder.

use std::cell::RefCell;
use std::rc::Rc;

use roadstead_bridge::{BridgeConfig, Era};
use serde_json::{Value, json};
use tokio::task::spawn_local;

use crate::modern_caller::{ALL, request};
use crate::rig::{Peer, Reply, Rig, local, settle};

const CALLS: usize = 300;

/// A small generator, so that a failure can be repeated.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// A legacy server that answers out of order, reports progress and asks for roots in the middle of some calls.
async fn legacy_server(mut peer: Peer, seed: u64, runs: Rc<RefCell<Vec<String>>>) {
    let mut dice = Dice(seed);
    let (mut open, mut waiting): (Vec<Value>, Option<(Value, u64)>) = (Vec::new(), None);
    let mut asked = 0;
    while let Some(heard) = peer.hears_soon().await {
        let Ok(heard) = heard else {
            answer_some(&mut peer, &mut open, &mut dice, 0).await;
            continue;
        };
        match heard["method"].as_str() {
            Some("initialize") => {
                let id = &heard["id"];
                peer.says(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"protocolVersion":"2025-11-25","capabilities":{{}}}}}}"#)).await;
            }
            Some("tools/call") => {
                runs.borrow_mut().push(heard["params"]["name"].to_string());
                // A question does not say which call it is about, so it is only asked when there is but one.
                if dice.roll(3) == 0 && waiting.is_none() && open.is_empty() {
                    asked += 1;
                    peer.says(format!(r#"{{"jsonrpc":"2.0","id":{asked},"method":"roots/list"}}"#)).await;
                    waiting = Some((heard, asked));
                } else {
                    open.push(heard);
                }
            }
            Some("notifications/cancelled") => {
                let about = &heard["params"]["requestId"];
                open.retain(|call| call["id"] != *about);
                waiting.take_if(|(call, _)| call["id"] == *about);
            }
            _ => {
                if let Some((call, _)) = waiting.take_if(|(_, id)| heard["id"] == json!(*id)) {
                    open.push(call);
                }
            }
        }
        answer_some(&mut peer, &mut open, &mut dice, 2).await;
    }
}

/// Answers some calls in any order; all of them when there is nothing to decide.
async fn answer_some(peer: &mut Peer, open: &mut Vec<Value>, dice: &mut Dice, sides: u64) {
    while !open.is_empty() && (sides == 0 || dice.roll(sides) == 0) {
        let at = usize::try_from(dice.roll(open.len() as u64)).expect("small");
        let call = open.swap_remove(at);
        answer(peer, &call).await;
    }
}

async fn answer(peer: &mut Peer, call: &Value) {
    if let Some(token) = call["params"]["_meta"].get("progressToken") {
        peer.says(format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":1,"message":{}}}}}"#, call["params"]["name"])).await;
    }
    let (id, name) = (&call["id"], &call["params"]["name"]);
    peer.says(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[],"ran":{name}}}}}"#)).await;
}

/// Every message of a response.
async fn messages(mut reply: Reply) -> Vec<Value> {
    let text = reply.text().await;
    if !reply.is_events() {
        return vec![serde_json::from_str(&text).expect("one message")];
    }
    messages_of(&text)
}

fn messages_of(part: &str) -> Vec<Value> {
    let data = part.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).expect("a message")).collect()
}

async fn one_modern_call(rig: Rc<Rig>, number: usize, leaves: bool) {
    // Few ids for many calls, numbers and the same as text.
    let id = if number.is_multiple_of(2) { format!("{}", number % 5) } else { format!("\"{}\"", number % 5) };
    let who = if number.is_multiple_of(3) { "a" } else { "b" };
    let meta = r#","progressToken":"p""#;
    let name = format!(r#""name":"tool-{number}""#);
    let running = rig.start(request(&id, "tools/call", ALL, who, &name, meta));
    if leaves {
        settle().await;
        running.abort();
        return;
    }
    let mut all = messages(running.await.expect("served")).await;
    while all.last().is_some_and(|last| last["result"]["resultType"] == "input_required") {
        let result = all.pop().expect("the last one")["result"].clone();
        let keys = result["inputRequests"].as_object().expect("an object").keys();
        let answers: Value = keys.map(|key| (key.clone(), json!({"roots": []}))).collect();
        let again = format!(r#"{name},"inputResponses":{answers},"requestState":{}"#, result["requestState"]);
        all.extend(messages(rig.send(request(&id, "tools/call", ALL, who, &again, meta)).await).await);
    }
    let last = all.pop().expect("an answer");
    assert_eq!(last["id"].to_string(), id);
    assert_eq!(last["result"]["ran"], format!("tool-{number}"), "{last}");
    for message in all {
        assert_eq!(message["params"]["message"], format!("tool-{number}"), "only its own progress");
        assert_eq!(message["params"]["progressToken"], "p");
    }
}

#[tokio::test(start_paused = true)]
async fn modern_calls_to_legacy_servers_get_their_own_answers_and_run_once() {
    for seed in 1..6 {
        local(async {
            let (rig, first) = Rig::with(BridgeConfig::new(Era::Legacy), 1 << 20);
            let rig = Rc::new(rig);
            let runs = Rc::default();
            spawn_local(legacy_server(first, seed, Rc::clone(&runs)));
            let (launching, also) = (Rc::clone(&rig), Rc::clone(&runs));
            let servers = spawn_local(async move {
                loop {
                    spawn_local(legacy_server(launching.next_peer().await, seed + 90, Rc::clone(&also)));
                }
            });
            let mut dice = Dice(seed * 7919);
            let mut calls = Vec::new();
            for number in 0..CALLS {
                let leaves = dice.roll(5) == 0;
                calls.push(spawn_local(one_modern_call(Rc::clone(&rig), number, leaves)));
                if dice.roll(3) == 0 {
                    settle().await;
                }
            }
            for call in calls {
                call.await.expect("every call gets its own answer");
            }
            servers.abort();
            settle().await;
            assert_eq!(rig.bridge.in_flight(), 0, "seed {seed}");
            let mut ran = runs.borrow().clone();
            ran.sort();
            let all = ran.len();
            ran.dedup();
            assert_eq!(ran.len(), all, "a call ran twice");
            rig.bridge.close();
            settle().await;
            assert_eq!(rig.bridge.tracked(), 0, "seed {seed}");
        })
        .await;
    }
}
