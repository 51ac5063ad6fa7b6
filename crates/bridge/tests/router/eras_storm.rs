//! Many clients of both eras at once in front of servers of the other, with equal ids, questions, disconnects and disorder.

use std::cell::RefCell;
use std::rc::Rc;

use roadstead_bridge::{BridgeConfig, Era};
use serde_json::{Value, json};
use tokio::task::spawn_local;

use crate::modern_caller::{ALL, request};
use crate::rig::{MODERN, Peer, Reply, Rig, in_session, local, plain, post, settle};

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

/// A modern server that answers out of order and sends some calls round again with a state or a question.
async fn modern_server(mut peer: Peer, seed: u64) {
    let mut dice = Dice(seed);
    let mut open: Vec<Value> = Vec::new();
    while let Some(heard) = peer.hears_soon().await {
        let Ok(heard) = heard else {
            answer_some(&mut peer, &mut open, &mut dice, 0).await;
            continue;
        };
        let (id, params) = (&heard["id"], &heard["params"]);
        match heard["method"].as_str() {
            Some("server/discover") => {
                peer.says(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"supportedVersions":["{MODERN}"],"capabilities":{{}}}}}}"#)).await;
            }
            Some("tools/call") if params.get("requestState").is_none() && dice.roll(3) == 0 => {
                let name = &params["name"];
                let asks =
                    if dice.roll(2) == 0 { r#""inputRequests":{"r":{"method":"roots/list"}},"# } else { "" };
                peer.says(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{{asks}"resultType":"input_required","requestState":{name}}}}}"#)).await;
            }
            Some("tools/call") => {
                if let Some(state) = params.get("requestState") {
                    assert_eq!(state, &params["name"], "a state belongs to its call");
                }
                open.push(heard);
            }
            Some("notifications/cancelled") => {
                let about = &params["requestId"];
                open.retain(|call| call["id"] != *about);
            }
            _ => {}
        }
        answer_some(&mut peer, &mut open, &mut dice, 2).await;
    }
}

/// One session whose calls all have equal ids in the other sessions.
async fn one_legacy_session(rig: Rc<Rig>, number: usize, calls: usize) {
    let hello = initialize_with_roots();
    let mut reply = rig.send(hello).await;
    let session = reply.header("mcp-session-id").expect("a session");
    reply.json().await;
    let mut stream = rig.send(plain("GET", &session)).await;
    let (answering, own) = (Rc::clone(&rig), session.clone());
    let questions = spawn_local(async move {
        while let Some(part) = stream.part().await {
            answer_questions(&answering, &own, &part).await;
        }
    });
    let mut running = Vec::new();
    for call in 0..calls {
        let id = if call % 2 == 0 { format!("{call}") } else { format!("\"{}\"", call - 1) };
        running.push(spawn_local(one_legacy_call(
            Rc::clone(&rig),
            session.clone(),
            id,
            format!("{number}-{call}"),
        )));
        if call % 7 == 0 {
            settle().await;
        }
    }
    for call in running {
        call.await.expect("every call gets its own answer");
    }
    rig.send(plain("DELETE", &session)).await;
    questions.await.expect("the stream ends with its session");
}

async fn one_legacy_call(rig: Rc<Rig>, session: String, id: String, name: String) {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{name}","_meta":{{"progressToken":{id}}}}}}}"#
    );
    let mut reply = rig.send(in_session(&session, body)).await;
    let mut all = Vec::new();
    if reply.is_events() {
        while let Some(part) = reply.part().await {
            answer_questions(&rig, &session, &part).await;
            all.extend(messages_of(&part));
        }
    } else {
        all.push(reply.json().await);
    }
    let last = all.pop().expect("an answer");
    assert_eq!(last["id"].to_string(), id);
    assert_eq!(last["result"]["ran"], name, "{last}");
    for message in all.iter().filter(|message| message["method"] == "notifications/progress") {
        assert_eq!(
            (&message["params"]["message"], message["params"]["progressToken"].to_string()),
            (&json!(name), id.clone())
        );
    }
}

fn messages_of(part: &str) -> Vec<Value> {
    let data = part.lines().filter_map(|line| line.strip_prefix("data: ").filter(|data| !data.is_empty()));
    data.map(|data| serde_json::from_str(data).expect("a message")).collect()
}

async fn answer_questions(rig: &Rig, session: &str, part: &str) {
    for question in messages_of(part).iter().filter(|message| message["method"] == "roots/list") {
        let answer = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{"roots":[]}}}}"#, question["id"]);
        rig.send(in_session(session, answer)).await;
    }
}

fn initialize_with_roots() -> http::Request<http_body_util::Full<bytes::Bytes>> {
    post(
        r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"roots":{}},"clientInfo":{"name":"c","version":"1"}}}"#,
    )
}

#[tokio::test(start_paused = true)]
async fn legacy_sessions_on_one_modern_server_get_their_own_answers() {
    for seed in 1..6 {
        local(async {
            let (rig, first) = Rig::with(BridgeConfig::new(Era::Modern), 1 << 20);
            let rig = Rc::new(rig);
            spawn_local(modern_server(first, seed));
            let sessions: Vec<_> =
                (0..8).map(|number| spawn_local(one_legacy_session(Rc::clone(&rig), number, 40))).collect();
            for session in sessions {
                session.await.expect("every session goes well");
            }
            settle().await;
            assert_eq!((rig.bridge.in_flight(), rig.bridge.tracked(), rig.bridge.sessions()), (0, 0, 0));
        })
        .await;
    }
}
