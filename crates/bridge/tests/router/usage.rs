//! Whichever way a call goes and ends, one fact is told of it.

use std::time::Duration;

use http::StatusCode;
use roadstead_bridge::{BridgeConfig, CallOutcome, Called, Era, Fact, Parent, Request, SessionMode};
use serde_json::{Value, json};

use crate::modern_caller::{called, greet, retry, tool};
use crate::rig::{MODERN, Peer, Rig, call, in_session, local, modern, pass, plain, post, settle, with};

const V: &str = "2025-11-25";
const TIMEOUT: Duration = Duration::from_mins(10);

/// How the facts told so far say that their calls ended, with the number that each call had.
fn told(rig: &Rig) -> Vec<(i64, CallOutcome)> {
    let number = |fact: &Fact| match fact.request {
        Some(Request::Number(number)) => number,
        _ => panic!("{fact:?}"),
    };
    rig.notes.facts().iter().map(|fact| (number(fact), fact.outcome)).collect()
}

async fn says_error(peer: &mut Peer, heard: &Value, error: &str) {
    peer.says(format!(r#"{{"jsonrpc":"2.0","id":{},{error}}}"#, heard["id"])).await;
}

#[tokio::test(start_paused = true)]
async fn a_fact_says_what_was_called_and_what_it_cost() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        let body = r#"{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"add","arguments":{"secret":1},"_meta":{"traceparent":"00-0000000000000000000000000000000a-000000000000000b-00"}}}"#;
        let reply = rig.start(in_session(&session, body));
        let heard = peer.hears().await;
        assert_eq!(rig.notes.facts(), [], "nothing is told of a call that is not over");
        pass(Duration::from_millis(70)).await;
        peer.answers(&heard, "done").await;
        let answer = reply.await.unwrap().text().await;
        let facts = rig.notes.facts();
        let expected = Fact {
            method: Called::Tool,
            name: "add".into(),
            request: Some(Request::Other("\"a\"".into())),
            parent: Some(Parent { trace: 10, span: 11 }),
            modern: false,
            outcome: CallOutcome::Success,
            latency: facts[0].latency,
            request_bytes: body.len(),
            answer_bytes: answer.len(),
        };
        assert_eq!(facts, [expected]);
        assert!(facts[0].latency >= Duration::from_millis(70) && facts[0].latency < Duration::from_secs(1));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn however_a_call_in_a_session_ends_it_leaves_one_fact() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        let mut replies = Vec::new();
        let mut heard = Vec::new();
        for id in 0..9 {
            replies.push(rig.start(call(&session, &id.to_string())));
            heard.push(peer.hears().await);
        }
        peer.answers(&heard[0], "done").await;
        says_error(&mut peer, &heard[1], r#""error":{"code":-32602,"message":"no"}"#).await;
        says_error(&mut peer, &heard[2], r#""result":{"content":[],"isError":true}"#).await;
        settle().await;
        // Twice in use is no second call.
        assert_eq!(rig.send(call(&session, "3")).await.status(), StatusCode::BAD_REQUEST);
        let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":3}}"#;
        rig.send(in_session(&session, cancel)).await;
        peer.answers(&heard[3], "too late").await;
        // Its client leaves, but it goes on.
        replies.remove(4).abort();
        settle().await;
        peer.answers(&heard[4], "nobody listens").await;
        peer.answers(&heard[4], "twice").await;
        settle().await;
        let (success, error) = (CallOutcome::Success, CallOutcome::Error);
        let early = [(0, success), (1, error), (2, error), (3, CallOutcome::Cancelled), (4, success)];
        assert_eq!(told(&rig), early);
        pass(TIMEOUT + Duration::from_secs(1)).await;
        for reply in replies.split_off(4) {
            assert!(reply.await.unwrap().text().await.contains("CALL_TIMED_OUT"));
        }
        let late: Vec<_> = (5..9).map(|id| (id, CallOutcome::Timeout)).collect();
        assert_eq!(told(&rig)[5..], late);
        let facts = rig.notes.facts();
        assert!(facts[5..].iter().all(|fact| fact.latency >= TIMEOUT && fact.answer_bytes > 0));
        assert_eq!(facts[3].answer_bytes, 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_session_and_of_a_server_end_its_calls() {
    local(async {
        let (rig, mut one) = Rig::new(Era::Legacy);
        let first = rig.open_session(&mut one, V).await;
        let reply = rig.start(call(&first, "1"));
        one.hears().await;
        rig.send(plain("DELETE", &first)).await;
        reply.await.unwrap();
        assert_eq!(told(&rig), [(1, CallOutcome::Cancelled)]);
        let opening = rig.start(crate::rig::initialize(1));
        let mut two = rig.next_peer().await;
        let hello = two.hears().await;
        two.answers(&hello, "two").await;
        let second = opening.await.unwrap().header("mcp-session-id").unwrap();
        let reply = rig.start(call(&second, "2"));
        two.hears().await;
        two.exits("killed");
        two.closes_output();
        reply.await.unwrap();
        assert_eq!(told(&rig)[1..], [(2, CallOutcome::Error)]);
        // Nobody is there who could take it in.
        rig.send(call(&second, "3")).await;
        assert_eq!(told(&rig).len(), 2);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn however_a_stateless_call_ends_it_leaves_one_fact() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Modern);
        let mut replies = Vec::new();
        let mut heard = Vec::new();
        for id in 0..5 {
            replies.push(rig.start(modern(&id.to_string(), "tools/call", Some("x"), "")));
            heard.push(peer.hears().await);
        }
        let list = rig.start(modern("9", "tools/list", None, ""));
        let asked = peer.hears().await;
        peer.answers(&asked, "no call").await;
        list.await.unwrap();
        peer.answers(&heard[0], "done").await;
        says_error(&mut peer, &heard[1], r#""error":{"code":-32601,"message":"no"}"#).await;
        says_error(&mut peer, &heard[2], r#""result":{"resultType":"complete","isError":true}"#).await;
        settle().await;
        replies.remove(3).abort();
        settle().await;
        assert_eq!(peer.hears().await["method"], "notifications/cancelled");
        let (error, cancelled) = (CallOutcome::Error, CallOutcome::Cancelled);
        assert_eq!(told(&rig), [(0, CallOutcome::Success), (1, error), (2, error), (3, cancelled)]);
        pass(TIMEOUT + Duration::from_secs(1)).await;
        assert!(replies.remove(3).await.unwrap().text().await.contains("CALL_TIMED_OUT"));
        assert_eq!(told(&rig)[4..], [(4, CallOutcome::Timeout)]);
        assert!(rig.notes.facts().iter().all(|fact| fact.modern && &*fact.name == "x"));
        let get = rig.start(modern("10", "prompts/get", Some("p"), ""));
        let asked = peer.hears().await;
        peer.answers(&asked, "done").await;
        get.await.unwrap();
        assert_eq!(rig.notes.facts()[5].method, Called::Prompt);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_translated_is_one_call() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let (reply, heard) = called(&rig, &mut peer).await;
        peer.says(r#"{"jsonrpc":"2.0","id":"q","method":"roots/list"}"#).await;
        let answer = reply.await.unwrap().json().await;
        // A modern client asks once more when it brings what the server asked for.
        let state = &answer["result"]["requestState"];
        let second = rig.start(retry("2", state, r#"{"input-1":{"roots":[]}}"#));
        assert_eq!(peer.hears().await["id"], "q");
        peer.answers(&heard, "once").await;
        second.await.unwrap();
        let both = [(1, CallOutcome::Success), (2, CallOutcome::Success)];
        assert_eq!(told(&rig), both);
        let third = rig.start(tool("3", ""));
        let heard = peer.hears().await;
        says_error(&mut peer, &heard, r#""result":{"content":[],"isError":true}"#).await;
        third.await.unwrap();
        let fourth = rig.start(tool("4", ""));
        peer.hears().await;
        fourth.abort();
        settle().await;
        assert_eq!(told(&rig)[2..], [(3, CallOutcome::Error), (4, CallOutcome::Cancelled)]);
        assert!(rig.notes.facts().iter().all(|fact| fact.modern));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_legacy_call_to_a_modern_server_is_one_call_however_often_that_asks_back() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Modern);
        let opening = rig.start(post(
            r#"{"jsonrpc":"2.0","id":"i","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"roots":{}}}}"#,
        ));
        let asked = peer.hears().await;
        peer.says(format!(
            r#"{{"jsonrpc":"2.0","id":{},"result":{{"resultType":"complete","supportedVersions":["{MODERN}"],"capabilities":{{"tools":{{}}}}}}}}"#,
            asked["id"]
        ))
        .await;
        let session = opening.await.unwrap().header("mcp-session-id").unwrap();
        let mut get = rig.send(plain("GET", &session)).await;
        let reply = rig.start(call(&session, "1"));
        let heard = peer.hears().await;
        let ask = r#""result":{"resultType":"input_required","inputRequests":{"r":{"method":"roots/list"}},"requestState":"s"}"#;
        says_error(&mut peer, &heard, ask).await;
        let mut reply = reply.await.unwrap();
        let question = tokio::select! { question = reply.event() => question, question = get.event() => question };
        assert_eq!(question["method"], "roots/list");
        let brought = json!({"jsonrpc": "2.0", "id": question["id"], "result": {"roots": []}});
        rig.send(in_session(&session, brought.to_string())).await;
        let again = peer.hears().await;
        assert_eq!(again["params"]["requestState"], "s");
        assert_eq!(told(&rig), []);
        says_error(&mut peer, &again, r#""result":{"resultType":"complete","content":[]}"#).await;
        reply.text().await;
        assert_eq!(told(&rig), [(1, CallOutcome::Success)]);
        assert!(!rig.notes.facts()[0].modern, "what the client speaks counts");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn calls_over_one_shared_process_and_calls_of_a_batch_leave_one_fact_each() {
    local(async {
        let mut config = BridgeConfig::new(Era::Legacy);
        config.session_mode = SessionMode::Shared;
        let (rig, mut peer) = Rig::with(config, 65536);
        let session = rig.open_session(&mut peer, "2025-03-26").await;
        let reply = rig.start(call(&session, "1"));
        let heard = peer.hears().await;
        peer.answers(&heard, "done").await;
        reply.await.unwrap();
        assert_eq!(told(&rig), [(1, CallOutcome::Success)]);
        let part = |id: u64, method: &str| {
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{"name":"x","uri":"file:///x"}}}}"#)
        };
        let parts = [part(2, "tools/call"), part(3, "tools/list"), part(2, "tools/call"), part(4, "resources/read")];
        let batch = format!("[{}]", parts.join(","));
        let reply = rig.start(with(in_session(&session, batch), &[("accept", "application/json")]));
        for _ in 0..3 {
            let heard = peer.hears().await;
            peer.answers(&heard, "done").await;
        }
        reply.await.unwrap();
        let mut facts = told(&rig);
        facts.sort_unstable_by_key(|(id, _)| *id);
        assert_eq!(facts, [1, 2, 4].map(|id| (id, CallOutcome::Success)));
        let last = rig.notes.facts().into_iter().find(|fact| fact.method == Called::Resource).unwrap();
        assert_eq!((&*last.name, last.request_bytes), ("file://", parts[3].len()));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_taken_up_again_adds_no_fact() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","_meta":{"progressToken":1}}}"#;
        let reply = rig.start(in_session(&session, body));
        let heard = peer.hears().await;
        peer.says(r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}"#).await;
        let mut reply = reply.await.unwrap();
        let last = reply.identified().await.unwrap().0.unwrap();
        drop(reply);
        settle().await;
        assert_eq!(told(&rig), [], "the call goes on without its client");
        peer.answers(&heard, "done").await;
        settle().await;
        for _ in 0..2 {
            let mut back = rig.send(with(plain("GET", &session), &[("last-event-id", &last)])).await;
            assert_eq!(back.event().await["result"]["name"], "done");
        }
        assert_eq!(told(&rig), [(1, CallOutcome::Success)]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_left_when_the_bridge_goes_is_told_too() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Auto);
        let session = rig.open_session(&mut peer, V).await;
        let reply = rig.start(call(&session, "1"));
        peer.hears().await;
        rig.bridge.close();
        reply.await.unwrap();
        assert_eq!(told(&rig), [(1, CallOutcome::Error)]);
    })
    .await;
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let reply = rig.start(tool("1", ""));
        greet(&mut peer).await;
        peer.hears().await;
        rig.bridge.close();
        reply.await.unwrap();
        assert_eq!(told(&rig), [(1, CallOutcome::Error)]);
    })
    .await;
}
