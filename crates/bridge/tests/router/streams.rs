//! Event streams: what goes where, and what happens when a stream is missing.

use http::StatusCode;
use roadstead_bridge::{BridgeConfig, Era};
use serde_json::json;

use crate::rig::{Rig, call, in_session, local, pass, plain, settle, with};

const V: &str = "2025-11-25";
const CHANGED: &str = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;

fn with_token(id: u64, token: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"x","_meta":{{"progressToken":{token}}}}}}}"#
    )
}

fn progress(token: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":1}}}}"#
    )
}

#[tokio::test(start_paused = true)]
async fn progress_comes_before_the_result_on_the_stream_of_its_own_call() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        let first = rig.start(in_session(&session, with_token(1, "\"t\"")));
        let second = rig.start(in_session(&session, with_token(2, "9")));
        let (one, two) = (peer.hears().await, peer.hears().await);
        peer.says(progress("9")).await;
        let mut second = second.await.unwrap();
        assert!(second.is_events());
        assert_eq!(second.header("x-accel-buffering").as_deref(), Some("no"));
        assert_eq!(second.event().await["params"]["progressToken"], 9);
        peer.says(progress("\"t\"")).await;
        peer.answers(&one, "one").await;
        peer.answers(&two, "two").await;
        assert_eq!(second.event().await["result"]["name"], "two");
        assert_eq!(second.part().await, None);
        let mut first = first.await.unwrap();
        let text = first.text().await;
        assert!(text.find("notifications/progress").unwrap() < text.find("\"one\"").unwrap(), "{text}");
        drop((first, second));
        assert_eq!((rig.bridge.in_flight(), rig.bridge.tracked()), (0, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_call_gets_an_event_stream_and_comments_while_it_waits() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        let before = rig.bridge.last_activity();
        let reply = rig.start(call(&session, "1"));
        let heard = peer.hears().await;
        pass(std::time::Duration::from_secs(1)).await;
        let mut reply = reply.await.unwrap();
        assert!(reply.is_events());
        let busy = rig.bridge.last_activity();
        assert_eq!(reply.part().await.unwrap(), "id: 1-1\nretry: 1000\ndata: \n\n");
        assert_eq!(reply.part().await.unwrap(), ": keep-alive\n\n");
        assert_eq!(reply.part().await.unwrap(), ": keep-alive\n\n");
        assert!(before <= busy && busy == rig.bridge.last_activity(), "comments are no activity");
        peer.answers(&heard, "slow").await;
        assert_eq!(reply.event().await["result"]["name"], "slow");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_without_event_streams_waits_and_gets_json() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        let request = with(in_session(&session, with_token(1, "1")), &[("accept", "application/json")]);
        let reply = rig.start(request);
        let heard = peer.hears().await;
        peer.says(progress("1")).await;
        pass(std::time::Duration::from_secs(100)).await;
        peer.answers(&heard, "plain").await;
        let mut reply = reply.await.unwrap();
        assert!(!reply.is_events());
        assert_eq!(reply.json().await["result"]["name"], "plain");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_request_of_the_server_goes_to_the_call_it_came_with_and_its_answer_comes_back() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        let reply = rig.start(call(&session, "1"));
        let heard = peer.hears().await;
        peer.says(r#"{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{}}"#).await;
        let mut reply = reply.await.unwrap();
        assert_eq!(reply.event().await["method"], "sampling/createMessage");
        let answer = r#"{"jsonrpc":"2.0","id":1,"result":{"role":"assistant"}}"#;
        assert_eq!(rig.send(in_session(&session, answer)).await.status(), StatusCode::ACCEPTED);
        assert_eq!(peer.hears_raw().await, answer);
        // The same answer again is about nothing.
        assert_eq!(rig.send(in_session(&session, answer)).await.status(), StatusCode::ACCEPTED);
        peer.answers(&heard, "done").await;
        assert_eq!(reply.event().await["result"]["name"], "done");
        let next = rig.start(call(&session, "2"));
        assert_eq!(peer.hears().await["method"], "tools/call");
        drop(next);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_request_of_the_server_waits_for_a_get_stream() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        peer.says(r#"{"jsonrpc":"2.0","id":"r","method":"roots/list"}"#).await;
        peer.says(CHANGED).await;
        settle().await;
        let mut stream = rig.send(plain("GET", &session)).await;
        assert_eq!(stream.status(), StatusCode::OK);
        let text = stream.part().await.unwrap();
        assert!(text.contains("roots/list") && text.contains("list_changed"), "{text}");
        rig.send(in_session(&session, r#"{"jsonrpc":"2.0","id":"r","result":{"roots":[]}}"#)).await;
        assert_eq!(peer.hears().await["result"], json!({"roots": []}));
        assert_eq!(rig.bridge.tracked(), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_request_of_the_server_that_no_client_comes_for_gets_an_error() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let _session = rig.open_session(&mut peer, V).await;
        peer.says(r#"{"jsonrpc":"2.0","id":"r","method":"roots/list"}"#).await;
        let refusal = peer.hears().await;
        assert_eq!((&refusal["id"], &refusal["error"]["code"]), (&json!("r"), &json!(-32603)));
        peer.says(r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#).await;
        assert_eq!(peer.hears().await, json!({"jsonrpc": "2.0", "id": "p", "result": {}}));
        assert_eq!(rig.bridge.tracked(), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_server_may_take_its_request_back() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"r"}}"#;
        peer.says(r#"{"jsonrpc":"2.0","id":"r","method":"roots/list"}"#).await;
        peer.says(cancel).await;
        settle().await;
        assert_eq!(rig.bridge.tracked(), 0, "neither the request nor its end is kept");
        let mut stream = rig.send(plain("GET", &session)).await;
        peer.says(r#"{"jsonrpc":"2.0","id":"r","method":"roots/list"}"#).await;
        assert_eq!(stream.event().await["method"], "roots/list");
        peer.says(cancel).await;
        assert_eq!(stream.event().await["method"], "notifications/cancelled");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_second_get_replaces_the_first_and_nothing_is_sent_twice() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        let mut first = rig.send(plain("GET", &session)).await;
        peer.says(CHANGED).await;
        settle().await;
        let mut second = rig.send(plain("GET", &session)).await;
        assert_eq!(first.message().await, None);
        drop(first);
        assert_eq!(second.event().await["method"], "notifications/tools/list_changed");
        peer.says(CHANGED).await;
        assert_eq!(second.event().await["method"], "notifications/tools/list_changed");
        drop(second);
        peer.says(CHANGED).await;
        settle().await;
        assert_eq!(rig.bridge.tracked(), 1, "it waits for the next stream");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn logs_ride_on_the_oldest_call_whose_client_still_listens() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        let log =
            r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x"}}"#;
        let gone = rig.start(call(&session, "1"));
        let lost = peer.hears().await;
        gone.abort();
        settle().await;
        let stays = rig.start(call(&session, "2"));
        let heard = peer.hears().await;
        peer.says(log).await;
        let mut stays = stays.await.unwrap();
        assert_eq!(stays.event().await["method"], "notifications/message");
        assert_eq!(rig.bridge.in_flight(), 2, "a lost connection does not end a call of this era");
        peer.answers(&lost, "nobody").await;
        peer.answers(&heard, "there").await;
        assert_eq!(stays.event().await["result"]["name"], "there");
        drop(stays);
        assert_eq!((rig.bridge.in_flight(), rig.bridge.counters().dropped_messages), (0, 1));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_stream_is_limited_and_the_rest_is_counted() {
    local(async {
        let mut config = BridgeConfig::new(Era::Legacy);
        config.max_queued_messages = 2;
        let (rig, mut peer) = Rig::with(config, 65536);
        let _session = rig.open_session(&mut peer, V).await;
        for _ in 0..5 {
            peer.says(CHANGED).await;
        }
        settle().await;
        assert_eq!((rig.bridge.tracked(), rig.bridge.counters().dropped_messages), (2, 3));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_end_of_an_elicitation_reaches_a_client_that_only_has_its_call() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        let reply = rig.start(call(&session, "1"));
        let heard = peer.hears().await;
        let end = r#"{"jsonrpc":"2.0","method":"notifications/elicitation/complete","params":{"elicitationId":"e"}}"#;
        peer.says(end).await;
        let mut reply = reply.await.unwrap();
        assert_eq!(reply.event().await["params"]["elicitationId"], "e");
        peer.says(CHANGED).await;
        let required = r#"{"code":-32042,"message":"m","data":{"elicitations":[{"mode":"url","x":1.0}]}}"#;
        let id = &heard["id"];
        peer.says(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{required}}}"#)).await;
        let rest = reply.text().await;
        assert!(rest.contains(required) && !rest.contains("list_changed"), "{rest}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_belongs_to_a_task_goes_to_the_call_that_waits_for_it() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        let other = rig.start(call(&session, "1"));
        peer.hears().await;
        let body = r#"{"jsonrpc":"2.0","id":2,"method":"tasks/result","params":{"taskId":"t"}}"#;
        let waiting = rig.start(in_session(&session, body));
        let heard = peer.hears().await;
        let meta = r#""_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t"}}"#;
        peer.says(format!(r#"{{"jsonrpc":"2.0","id":"e","method":"elicitation/create","params":{{{meta}}}}}"#)).await;
        peer.says(format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":"gone","progress":1,{meta}}}}}"#
        ))
        .await;
        peer.says(r#"{"jsonrpc":"2.0","method":"notifications/tasks/status","params":{"taskId":"t","status":"working"}}"#)
            .await;
        peer.answers(&heard, "result").await;
        let mut waiting = waiting.await.unwrap();
        for method in ["elicitation/create", "notifications/progress", "notifications/tasks/status"] {
            assert_eq!(waiting.event().await["method"], method);
        }
        assert_eq!(waiting.event().await["result"]["name"], "result");
        assert_eq!(waiting.message().await, None);
        other.abort();
        assert_eq!(rig.bridge.counters().dropped_messages, 0);
    })
    .await;
}
