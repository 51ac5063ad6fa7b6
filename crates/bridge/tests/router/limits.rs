//! Time and room: what happens where either runs out.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use roadstead_bridge::{BridgeConfig, Era};
use serde_json::json;

use crate::rig::{Reply, Rig, call, in_session, local, modern, pass, plain, settle, with};

const V: &str = "2025-11-25";

fn progressing(session: &str) -> Request<Full<Bytes>> {
    in_session(
        session,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","_meta":{"progressToken":"t"}}}"#,
    )
}

const PROGRESS: &str =
    r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t","progress":1}}"#;

async fn is_full(mut reply: Reply, code: &str) {
    assert_eq!(reply.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(reply.header("retry-after").is_some());
    assert_eq!(reply.json().await["error"]["data"]["code"], code);
}

#[tokio::test(start_paused = true)]
async fn progress_gives_a_call_more_time_but_not_for_ever() {
    local(async {
        let mut config = BridgeConfig::new(Era::Legacy);
        config.call_timeout = Duration::from_mins(1);
        config.call_timeout_max = Duration::from_secs(200);
        let (rig, mut peer) = Rig::with(config, 65536);
        let session = rig.open_session(&mut peer, V).await;
        let began = tokio::time::Instant::now();
        let reply = rig.start(progressing(&session));
        peer.hears().await;
        for _ in 0..4 {
            pass(Duration::from_secs(45)).await;
            peer.says(PROGRESS).await;
            settle().await;
        }
        assert_eq!(rig.bridge.in_flight(), 1, "three times its time has passed");
        let mut reply = reply.await.unwrap();
        for _ in 0..4 {
            assert_eq!(reply.event().await["method"], "notifications/progress");
        }
        let error = reply.event().await;
        assert_eq!(error["error"]["data"]["code"], "CALL_TIMED_OUT");
        assert!(error["error"]["message"].as_str().unwrap().contains("within 200 s"), "{error}");
        assert_eq!(began.elapsed().as_secs(), 200);
        assert_eq!(peer.hears().await["method"], "notifications/cancelled");
        peer.says(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).await;
        settle().await;
        assert_eq!((rig.bridge.counters().late_answers, rig.bridge.counters().stray_answers), (1, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn progress_gives_more_time_to_clients_that_wait_for_json_are_away_or_stateless() {
    local(async {
        let mut config = BridgeConfig::new(Era::Legacy);
        config.call_timeout = Duration::from_mins(1);
        let (rig, mut peer) = Rig::with(config.clone(), 65536);
        let session = rig.open_session(&mut peer, V).await;
        let reply = rig.start(with(progressing(&session), &[("accept", "application/json")]));
        let heard = peer.hears().await;
        pass(Duration::from_secs(45)).await;
        peer.says(PROGRESS).await;
        pass(Duration::from_secs(45)).await;
        peer.answers(&heard, "json").await;
        assert_eq!(reply.await.unwrap().json().await["result"]["name"], "json");
        let reply = rig.start(progressing(&session));
        let heard = peer.hears().await;
        reply.abort();
        pass(Duration::from_secs(45)).await;
        peer.says(PROGRESS).await;
        pass(Duration::from_secs(45)).await;
        assert_eq!(rig.bridge.in_flight(), 1);
        peer.answers(&heard, "nobody").await;

        config.era = Era::Modern;
        let (rig, mut peer) = Rig::with(config, 65536);
        let reply = rig.start(modern("1", "tools/call", Some("a"), r#","progressToken":"t""#));
        let heard = peer.hears().await;
        let token = &heard["params"]["_meta"]["progressToken"];
        pass(Duration::from_secs(45)).await;
        peer.says(format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":1}}}}"#)).await;
        pass(Duration::from_secs(45)).await;
        peer.answers(&heard, "stateless").await;
        assert!(reply.await.unwrap().text().await.contains("stateless"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn streams_run_out_and_are_given_back() {
    local(async {
        let mut config = BridgeConfig::new(Era::Auto);
        config.max_streams = 2;
        let (rig, mut peer) = Rig::with(config, 65536);
        let session = rig.open_session(&mut peer, V).await;
        let get = rig.send(plain("GET", &session)).await;
        let reply = rig.start(call(&session, "1"));
        let heard = peer.hears().await;
        assert_eq!(rig.bridge.streams(), 2);
        is_full(rig.send(call(&session, "2")).await, "STREAMS_EXHAUSTED").await;
        is_full(rig.send(plain("GET", &session)).await, "STREAMS_EXHAUSTED").await;
        let note = r#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#;
        assert_eq!(rig.send(in_session(&session, note)).await.status(), StatusCode::ACCEPTED);
        peer.hears().await;
        peer.answers(&heard, "one").await;
        assert_eq!(reply.await.unwrap().json().await["result"]["name"], "one");
        drop(get);
        settle().await;
        assert_eq!(rig.bridge.streams(), 0);
        assert!(rig.send(plain("GET", &session)).await.is_events());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn subscriptions_and_calls_run_out_and_are_given_back() {
    local(async {
        let mut config = BridgeConfig::new(Era::Modern);
        config.max_listens = 1;
        config.max_calls = 2;
        let (rig, mut peer) = Rig::with(config, 65536);
        let listen = rig.start(modern("1", "subscriptions/listen", None, ""));
        peer.hears().await;
        is_full(rig.send(modern("2", "subscriptions/listen", None, "")).await, "LISTENS_EXHAUSTED").await;
        let held = rig.start(modern("3", "tools/list", None, ""));
        peer.hears().await;
        is_full(rig.send(modern("4", "tools/list", None, "")).await, "CALLS_EXHAUSTED").await;
        drop(listen.await.unwrap());
        drop(held.await.unwrap());
        assert_eq!(rig.bridge.streams(), 0);
        let again = rig.start(modern("5", "subscriptions/listen", None, ""));
        assert_eq!(peer.hears().await["method"], "notifications/cancelled");
        assert_eq!(peer.hears().await["method"], "notifications/cancelled");
        assert_eq!(peer.hears().await["method"], "subscriptions/listen");
        again.abort();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_costs_a_bounded_amount_and_still_gets_its_answer() {
    local(async {
        let mut config = BridgeConfig::new(Era::Legacy);
        config.max_queued_bytes = 1000;
        let (rig, mut peer) = Rig::with(config, 65536);
        let session = rig.open_session(&mut peer, V).await;
        let reply = rig.start(progressing(&session));
        let heard = peer.hears().await;
        pass(Duration::from_secs(1)).await;
        let mut stalled = reply.await.unwrap();
        for _ in 0..100 {
            peer.says(PROGRESS).await;
        }
        peer.says(r#"{"jsonrpc":"2.0","id":"r","method":"roots/list"}"#).await;
        peer.answers(&heard, &"x".repeat(5000)).await;
        settle().await;
        let dropped = rig.bridge.counters().dropped_messages;
        let kept = usize::try_from(100 - dropped).unwrap();
        assert!((1..=1000 / PROGRESS.len()).contains(&kept), "{kept} of 100 are kept");
        for _ in 0..kept {
            assert_eq!(stalled.event().await["method"], "notifications/progress");
        }
        // A request of the server that found no room waits for another stream, like any other.
        let mut rest = vec![stalled.event().await];
        rest.extend(stalled.message().await);
        assert_eq!(rest.last().unwrap()["result"]["name"], "x".repeat(5000), "an answer always passes");
        if rest.len() == 1 {
            assert_eq!(peer.hears().await["error"]["code"], json!(-32603));
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_dropped_stream_gives_everything_back() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        for _ in 0..3 {
            let mut get = rig.send(plain("GET", &session)).await;
            assert!(get.part().await.unwrap().starts_with("id: 0-"));
            assert_eq!(get.part().await.unwrap(), ": keep-alive\n\n");
            assert_eq!(rig.bridge.streams(), 1);
            drop(get);
            assert_eq!((rig.bridge.streams(), rig.bridge.tracked(), rig.bridge.in_flight()), (0, 0, 0));
        }
        pass(Duration::from_mins(5)).await;
        assert_eq!(rig.bridge.stored_bytes(), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_request_of_the_server_on_a_stream_that_nobody_reads_is_refused_in_time() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        let mut stalled = rig.send(plain("GET", &session)).await;
        peer.says(r#"{"jsonrpc":"2.0","id":"r","method":"roots/list"}"#).await;
        let refusal = peer.hears().await;
        assert_eq!((&refusal["id"], &refusal["error"]["code"]), (&json!("r"), &json!(-32603)));
        peer.says(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#).await;
        assert_eq!(
            stalled.event().await["method"],
            "notifications/tools/list_changed",
            "it is not asked late"
        );
        peer.says(r#"{"jsonrpc":"2.0","id":"s","method":"roots/list"}"#).await;
        assert_eq!(stalled.event().await["method"], "roots/list");
        pass(Duration::from_mins(20)).await;
        assert_eq!(rig.bridge.tracked(), 1, "a client that took it may think as long as it likes");
        let answer = r#"{"jsonrpc":"2.0","id":"s","result":{}}"#;
        rig.send(in_session(&session, answer)).await;
        assert_eq!(peer.hears_raw().await, answer);
    })
    .await;
}
