//! Clients of the first revision: one event stream and a place to post to.
#![expect(clippy::unwrap_used, reason = "a helper that does not work has to end its test")]

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use roadstead_bridge::{BridgeConfig, EndReason, Era, Purpose};
use serde_json::json;

use crate::rig::{Peer, Reply, Rig, local, pass, plain, settle, with};

const CHANGED: &str = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
const HELLO: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2024-11-05","capabilities":{}}}"#;

fn stream(path: &str) -> Request<Full<Bytes>> {
    Request::get(path)
        .header("host", "127.0.0.1:3001")
        .header("accept", "text/event-stream")
        .body(Full::default())
        .unwrap()
}

fn message(endpoint: &str, body: &str) -> Request<Full<Bytes>> {
    Request::post(format!("/{endpoint}"))
        .header("host", "127.0.0.1:3001")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body.to_owned())))
        .unwrap()
}

fn call(endpoint: &str, id: u64) -> Request<Full<Bytes>> {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"x","_meta":{{"progressToken":{id}}}}}}}"#
    );
    message(endpoint, &body)
}

/// Opens a stream; where to post to.
async fn open(rig: &Rig) -> (Reply, String) {
    let mut events = rig.send(stream("/sse")).await;
    assert_eq!(events.status(), StatusCode::OK);
    assert_eq!(events.header("x-accel-buffering").as_deref(), Some("no"));
    let first = events.part().await.unwrap();
    let endpoint = first.strip_prefix("event: endpoint\ndata: ").unwrap().trim_end().to_owned();
    assert!(endpoint.starts_with("messages?session_id="), "relative, so that it works behind any prefix");
    (events, endpoint)
}

async fn begin(rig: &Rig, peer: &mut Peer) -> (Reply, String) {
    let (mut events, endpoint) = open(rig).await;
    assert_eq!(rig.send(message(&endpoint, HELLO)).await.status(), StatusCode::ACCEPTED);
    assert_eq!(peer.hears_raw().await, HELLO);
    peer.says(r#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2024-11-05"}}"#).await;
    assert_eq!(events.event().await["result"]["protocolVersion"], "2024-11-05");
    let initialized = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    assert_eq!(rig.send(message(&endpoint, initialized)).await.status(), StatusCode::ACCEPTED);
    assert_eq!(peer.hears_raw().await, initialized);
    (events, endpoint)
}

#[tokio::test(start_paused = true)]
async fn everything_comes_back_on_the_one_stream() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let (mut events, endpoint) = begin(&rig, &mut peer).await;
        for id in [1, 2] {
            let mut accepted = rig.send(call(&endpoint, id)).await;
            assert_eq!((accepted.status(), accepted.text().await), (StatusCode::ACCEPTED, String::new()));
        }
        let (one, two) = (peer.hears().await, peer.hears().await);
        assert_eq!(rig.bridge.in_flight(), 2);
        peer.says(r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":2,"progress":1}}"#)
            .await;
        peer.says(r#"{"jsonrpc":"2.0","id":"s","method":"sampling/createMessage"}"#).await;
        peer.says(CHANGED).await;
        peer.answers(&two, "two").await;
        peer.answers(&one, "one").await;
        assert_eq!(events.event().await["params"]["progressToken"], 2);
        assert_eq!(events.event().await["method"], "sampling/createMessage");
        assert_eq!(events.event().await["method"], "notifications/tools/list_changed");
        assert_eq!(events.event().await["result"]["name"], "two");
        assert_eq!(events.event().await["result"]["name"], "one");
        let answer = r#"{"jsonrpc":"2.0","id":"s","result":{}}"#;
        assert_eq!(rig.send(message(&endpoint, answer)).await.status(), StatusCode::ACCEPTED);
        assert_eq!(peer.hears_raw().await, answer);
        assert_eq!((rig.bridge.in_flight(), rig.bridge.tracked(), rig.bridge.stored_bytes()), (0, 0, 0));
        assert_eq!(events.part().await.unwrap(), ": keep-alive\n\n");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_session_and_its_process_end_with_the_stream() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let (events, endpoint) = begin(&rig, &mut peer).await;
        rig.send(call(&endpoint, 1)).await;
        drop(events);
        assert_eq!(peer.is_ended().await, EndReason::SessionDeleted);
        assert_eq!(rig.send(call(&endpoint, 2)).await.status(), StatusCode::NOT_FOUND);
        assert_eq!((rig.bridge.sessions(), rig.bridge.in_flight(), rig.bridge.streams()), (0, 0, 0));

        let (mut events, endpoint) = open(&rig).await;
        let mut next = rig.next_peer().await;
        assert_eq!(next.purpose, Some(Purpose::LegacySession));
        rig.send(call(&endpoint, 1)).await;
        next.hears().await;
        next.exits("exit code 9");
        assert!(events.event().await["error"]["message"].as_str().unwrap().contains("exit code 9"));
        assert_eq!(events.message().await, None);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_two_kinds_of_sessions_do_not_mix() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let (_events, endpoint) = begin(&rig, &mut peer).await;
        let id = endpoint.split_once('=').unwrap().1.to_owned();
        assert_eq!(rig.send(plain("GET", &id)).await.status(), StatusCode::NOT_FOUND);
        assert_eq!(rig.send(plain("DELETE", &id)).await.status(), StatusCode::NOT_FOUND);
        let reply = rig.start(crate::rig::initialize(1));
        let mut other = rig.next_peer().await;
        let hello = other.hears().await;
        other.answers(&hello, "streamable").await;
        let session = reply.await.unwrap().header("mcp-session-id").unwrap();
        let posted = rig.send(call(&format!("messages?session_id={session}"), 1)).await;
        assert_eq!(posted.status(), StatusCode::NOT_FOUND);
        assert_eq!(peer.end_reason(), None);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_same_rules_hold_at_the_edge() {
    local(async {
        let mut config = BridgeConfig::new(Era::Legacy);
        config.max_sessions = 1;
        let (rig, mut peer) = Rig::with(config, 65536);
        let foreign = with(stream("/sse"), &[("origin", "https://evil.example")]);
        assert_eq!(rig.send(foreign).await.status(), StatusCode::FORBIDDEN);
        let foreign = with(stream("/sse"), &[("host", "evil.example")]);
        assert_eq!(rig.send(foreign).await.status(), StatusCode::FORBIDDEN);
        let deaf = with(stream("/sse"), &[("accept", "application/json")]);
        assert_eq!(rig.send(deaf).await.status(), StatusCode::NOT_ACCEPTABLE);
        let (_events, endpoint) = begin(&rig, &mut peer).await;
        let mut full = rig.send(stream("/sse")).await;
        assert_eq!(full.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(full.json().await["error"]["data"]["code"], "SESSIONS_EXHAUSTED");
        for (request, status) in [
            (message("messages", HELLO), StatusCode::BAD_REQUEST),
            (message("messages?session_id=nobody", HELLO), StatusCode::NOT_FOUND),
            (message(&endpoint, "{"), StatusCode::BAD_REQUEST),
            (message(&endpoint, "[]"), StatusCode::BAD_REQUEST),
            (message(&endpoint, HELLO), StatusCode::BAD_REQUEST),
            (
                with(message(&endpoint, HELLO), &[("content-type", "text/plain")]),
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ),
            (stream("/messages"), StatusCode::METHOD_NOT_ALLOWED),
            (message("sse", HELLO), StatusCode::METHOD_NOT_ALLOWED),
        ] {
            let line = format!("{} {}", request.method(), request.uri());
            assert_eq!(rig.send(request).await.status(), status, "{line}");
        }
        assert_eq!(rig.send(call(&endpoint, 1)).await.status(), StatusCode::ACCEPTED);
        assert_eq!(rig.send(call(&endpoint, 1)).await.status(), StatusCode::BAD_REQUEST, "the id is in use");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_path_with_a_slash_at_its_end_still_leads_to_the_messages() {
    local(async {
        let (rig, _peer) = Rig::new(Era::Legacy);
        let mut events = rig.send(stream("/sse/")).await;
        assert!(events.part().await.unwrap().contains("data: ../messages?session_id="));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn calls_run_out_of_time_each_at_its_own_and_others_go_on() {
    local(async {
        let mut config = BridgeConfig::new(Era::Legacy);
        config.call_timeout = Duration::from_secs(20);
        let (rig, mut peer) = Rig::with(config, 65536);
        let (mut events, endpoint) = begin(&rig, &mut peer).await;
        rig.send(call(&endpoint, 1)).await;
        pass(Duration::from_secs(10)).await;
        rig.send(call(&endpoint, 2)).await;
        let (_, two) = (peer.hears().await, peer.hears().await);
        let late = events.event().await;
        assert_eq!((&late["id"], &late["error"]["data"]["code"]), (&json!(1), &json!("CALL_TIMED_OUT")));
        assert_eq!(peer.hears().await["params"]["requestId"], 1);
        settle().await;
        peer.answers(&two, "in time").await;
        assert_eq!(events.event().await["result"]["name"], "in time");
        rig.send(call(&endpoint, 3)).await;
        peer.hears().await;
        assert_eq!(events.event().await["error"]["data"]["code"], "CALL_TIMED_OUT");
        assert_eq!((rig.bridge.in_flight(), rig.bridge.tracked()), (0, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_its_stream_may_not_ask_for_more() {
    local(async {
        let mut config = BridgeConfig::new(Era::Legacy);
        config.max_queued_bytes = 4000;
        let (rig, mut peer) = Rig::with(config, 65536);
        let (mut events, endpoint) = begin(&rig, &mut peer).await;
        let mut taken = 0;
        let mut refused = loop {
            let reply = rig.send(call(&endpoint, taken + 1)).await;
            if reply.status() != StatusCode::ACCEPTED {
                break reply;
            }
            let heard = peer.hears().await;
            peer.answers(&heard, &"x".repeat(1000)).await;
            settle().await;
            taken += 1;
        };
        assert_eq!((taken, refused.status()), (4, StatusCode::TOO_MANY_REQUESTS));
        assert_eq!(refused.json().await["error"]["data"]["code"], "STREAM_STALLED");
        for id in 1..=taken {
            assert_eq!(events.event().await["id"], id);
        }
        assert_eq!(rig.send(call(&endpoint, 9)).await.status(), StatusCode::ACCEPTED);
    })
    .await;
}
