//! Sessions whose server process ends: gone by default, continued where the type allows it.

use http::StatusCode;
use roadstead_bridge::{BridgeConfig, EndReason, Era, Note};
use serde_json::json;

use crate::rig::{Peer, Rig, call, in_session, local, pass, plain, settle, with};

const V: &str = "2025-11-25";
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

fn replaying() -> BridgeConfig {
    let mut config = BridgeConfig::new(Era::Legacy);
    config.replay_initialize = true;
    config
}

async fn begin(rig: &Rig, peer: &mut Peer) -> String {
    let session = rig.open_session(peer, V).await;
    rig.send(in_session(&session, INITIALIZED)).await;
    assert_eq!(peer.hears_raw().await, INITIALIZED);
    session
}

/// The fresh process hears the handshake of the client, and agrees.
async fn greets(peer: &mut Peer) {
    let hello = peer.hears().await;
    assert_eq!((&hello["method"], &hello["id"]), (&json!("initialize"), &json!(1)));
    peer.says(format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"protocolVersion":"{V}"}}}}"#)).await;
    assert_eq!(peer.hears_raw().await, INITIALIZED);
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_with_its_process_when_nothing_else_was_asked_for() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = begin(&rig, &mut peer).await;
        peer.exits("exit code 1");
        assert_eq!(peer.is_ended().await, EndReason::Exited);
        settle().await;
        assert_eq!(rig.send(call(&session, "1")).await.status(), StatusCode::NOT_FOUND);
        assert_eq!((rig.launcher.opens.get(), rig.bridge.sessions()), (0, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_next_request_goes_to_a_fresh_process_that_knows_the_client() {
    local(async {
        let (rig, mut peer) = Rig::with(replaying(), 65536);
        let session = begin(&rig, &mut peer).await;
        let lost = rig.start(call(&session, "7"));
        peer.hears().await;
        peer.exits("signal 9");
        let error = lost.await.unwrap().json().await;
        assert!(error["error"]["message"].as_str().unwrap().contains("signal 9"), "{error}");
        settle().await;
        assert_eq!((rig.launcher.opens.get(), rig.bridge.sessions()), (0, 1), "nobody needs a process yet");

        let (one, two) = (rig.start(call(&session, "8")), rig.start(call(&session, "9")));
        let mut fresh = rig.next_peer().await;
        greets(&mut fresh).await;
        let (a, b) = (fresh.hears().await, fresh.hears().await);
        assert_eq!((&a["id"], &b["id"]), (&json!(8), &json!(9)), "the lost call is not repeated");
        fresh.answers(&a, "eight").await;
        fresh.answers(&b, "nine").await;
        assert_eq!(one.await.unwrap().json().await["result"]["name"], "eight");
        assert_eq!(two.await.unwrap().json().await["result"]["name"], "nine");
        assert_eq!((rig.launcher.opens.get(), rig.bridge.sessions()), (1, 1));
        assert!(rig.notes.all().contains(&Note::SessionRevived { server: 2 }));

        assert_eq!(rig.send(plain("DELETE", &session)).await.status(), StatusCode::NO_CONTENT);
        assert_eq!(fresh.is_ended().await, EndReason::SessionDeleted);
        assert_eq!(rig.send(call(&session, "10")).await.status(), StatusCode::NOT_FOUND);
        assert_eq!((rig.bridge.sessions(), rig.bridge.tracked()), (0, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn event_ids_go_on_where_the_old_process_stopped() {
    local(async {
        let (rig, mut peer) = Rig::with(replaying(), 65536);
        let session = begin(&rig, &mut peer).await;
        let changed = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
        let mut get = rig.send(plain("GET", &session)).await;
        peer.says(changed).await;
        let (first, _) = get.identified().await.unwrap();
        let first = first.unwrap();
        peer.exits("exit code 1");
        assert_eq!(get.message().await, None);
        settle().await;
        let reply = rig.start(with(plain("GET", &session), &[("last-event-id", &first)]));
        let mut fresh = rig.next_peer().await;
        greets(&mut fresh).await;
        fresh.says(changed).await;
        let (second, message) = reply.await.unwrap().identified().await.unwrap();
        assert_eq!(message["method"], "notifications/tools/list_changed");
        assert_ne!(first, second.unwrap());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_fresh_process_refuses_is_over() {
    local(async {
        let (rig, mut peer) = Rig::with(replaying(), 65536);
        let session = begin(&rig, &mut peer).await;
        peer.exits("exit code 1");
        peer.is_ended().await;
        settle().await;
        rig.launcher.fails.set(true);
        let mut failed = rig.send(call(&session, "1")).await;
        assert_eq!(failed.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(failed.json().await["error"]["message"], "no such program");
        rig.launcher.fails.set(false);
        let reply = rig.start(call(&session, "2"));
        let mut fresh = rig.next_peer().await;
        fresh.hears().await;
        fresh.says(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no"}}"#).await;
        assert_eq!(reply.await.unwrap().status(), StatusCode::NOT_FOUND);
        assert_eq!(fresh.is_ended().await, EndReason::NotInitialized);
        assert_eq!((rig.bridge.sessions(), rig.bridge.tracked()), (0, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_session_without_a_process_can_be_ended_and_gives_way() {
    local(async {
        let mut config = replaying();
        config.max_sessions = 1;
        let quiet = config.session_reclaim_after;
        let (rig, mut peer) = Rig::with(config, 65536);
        let session = begin(&rig, &mut peer).await;
        peer.exits("exit code 1");
        peer.is_ended().await;
        settle().await;
        pass(quiet).await;
        let reply = rig.start(crate::rig::initialize(1));
        let mut other = rig.next_peer().await;
        let hello = other.hears().await;
        other
            .says(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{"protocolVersion":"{V}"}}}}"#, hello["id"]))
            .await;
        let next = reply.await.unwrap().header("mcp-session-id").unwrap();
        assert_eq!(rig.send(call(&session, "1")).await.status(), StatusCode::NOT_FOUND);
        other.exits("exit code 1");
        other.is_ended().await;
        settle().await;
        assert_eq!(rig.send(plain("DELETE", &next)).await.status(), StatusCode::NO_CONTENT);
        assert_eq!(rig.bridge.sessions(), 0);
    })
    .await;
}
