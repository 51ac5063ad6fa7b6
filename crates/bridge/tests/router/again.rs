//! A bridge whose last process was lost and whose owner starts another one; and what counts as use of an instance.

use std::time::Duration;

use http::StatusCode;
use roadstead_bridge::{Bridge, BridgeConfig, EndReason, Era, Ready, ReadyFailure, ServerPipes};
use tokio::task::{JoinHandle, spawn_local};

use crate::rig::{Peer, Rig, call, fresh, in_session, initialize, local, modern, pass, plain, settle};

const V: &str = "2025-11-25";
const PATIENCE: Duration = Duration::from_secs(20);

/// The one process ends, and the owner says that another one will come.
async fn loses(rig: &Rig, peer: &mut Peer) {
    peer.exits("signal 9");
    peer.is_ended().await;
    settle().await;
    rig.bridge.pause();
}

fn start_again(bridge: &Bridge, pipes: ServerPipes) -> JoinHandle<Result<Ready, ReadyFailure>> {
    let bridge = bridge.clone();
    spawn_local(async move { bridge.start_again(pipes, PATIENCE).await })
}

#[tokio::test(start_paused = true)]
async fn who_comes_during_the_pause_waits_for_the_fresh_process_and_opens_none() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        loses(&rig, &mut peer).await;
        assert_eq!(rig.send(call(&session, "1")).await.status(), StatusCode::NOT_FOUND);
        let waiting = rig.start(initialize(2));
        pass(Duration::from_secs(5)).await;
        assert!(!waiting.is_finished());

        let (pipes, mut peer) = fresh();
        let again = start_again(&rig.bridge, pipes);
        let ping = peer.hears().await;
        assert_eq!(ping["method"], "ping");
        assert!(!waiting.is_finished(), "it waits until the process is ready");
        peer.answers(&ping, "pong").await;
        assert_eq!(again.await.unwrap(), Ok(Ready::AnsweredPing));
        let hello = peer.hears().await;
        assert_eq!(hello["method"], "initialize");
        peer.says(format!(r#"{{"jsonrpc":"2.0","id":2,"result":{{"protocolVersion":"{V}"}}}}"#)).await;
        assert_eq!(waiting.await.unwrap().status(), StatusCode::OK);
        assert_eq!((rig.launcher.opens.get(), rig.bridge.sessions()), (0, 1));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_waits_too_long_is_told_to_come_back() {
    local(async {
        for era in [Era::Legacy, Era::Modern] {
            let (rig, mut peer) = Rig::new(era);
            loses(&rig, &mut peer).await;
            let request = match era {
                Era::Modern => modern("1", "tools/list", None, ""),
                _ => initialize(1),
            };
            let waiting = rig.start(request);
            pass(BridgeConfig::new(era).restart_wait).await;
            let mut refused = waiting.await.unwrap();
            assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert!(refused.header("retry-after").is_some());
            let message = refused.json().await["error"]["message"].clone();
            assert!(message.as_str().unwrap().contains("started again"), "{message}");
            assert_eq!(rig.launcher.opens.get(), 0);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn modern_clients_just_go_on() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Modern);
        let lost = rig.start(modern("1", "prompts/list", None, ""));
        settle().await;
        peer.hears().await;
        loses(&rig, &mut peer).await;
        let error = lost.await.unwrap().json().await;
        assert!(error["error"]["message"].as_str().unwrap().contains("signal 9"), "{error}");
        let waiting = rig.start(modern("2", "resources/list", None, ""));

        let (pipes, mut peer) = fresh();
        let again = start_again(&rig.bridge, pipes);
        let discover = peer.hears().await;
        assert_eq!(discover["method"], "server/discover");
        peer.says(format!(
            r#"{{"jsonrpc":"2.0","id":{},"result":{{"supportedVersions":["2026-07-28"]}}}}"#,
            discover["id"]
        ))
        .await;
        assert_eq!(again.await.unwrap(), Ok(Ready::AnsweredDiscover));
        let asked = peer.hears().await;
        assert_eq!(asked["method"], "resources/list", "what was lost is not sent a second time");
        peer.answers(&asked, "there").await;
        assert_eq!(waiting.await.unwrap().json().await["result"]["name"], "there");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_fresh_process_that_does_not_become_ready_is_ended_and_the_pause_goes_on() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Modern);
        loses(&rig, &mut peer).await;
        let (pipes, peer) = fresh();
        let again = start_again(&rig.bridge, pipes);
        pass(PATIENCE).await;
        assert!(matches!(again.await.unwrap(), Err(ReadyFailure::Silent(_))));
        assert_eq!(peer.is_ended().await, EndReason::NotInitialized);

        let (pipes, mut peer) = fresh();
        let again = start_again(&rig.bridge, pipes);
        peer.hears().await;
        peer.exits("exit code 3");
        assert_eq!(again.await.unwrap(), Err(ReadyFailure::Ended));
        let waiting = rig.start(modern("2", "resources/list", None, ""));
        settle().await;
        assert!(!waiting.is_finished());
        rig.bridge.close();
        assert_eq!(waiting.await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(rig.launcher.opens.get(), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn only_requests_of_clients_are_use() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        let first = rig.bridge.usage();
        assert_eq!(first.in_flight, 0);
        assert!(first.last_begin.is_some() && first.last_end.is_some(), "initialize is a request");

        pass(Duration::from_secs(1)).await;
        let _stream = rig.send(plain("GET", &session)).await;
        let ping = rig.start(in_session(&session, r#"{"jsonrpc":"2.0","id":5,"method":"ping"}"#));
        let asked = peer.hears().await;
        peer.answers(&asked, "pong").await;
        assert_eq!(ping.await.unwrap().status(), StatusCode::OK);
        assert_eq!(rig.bridge.usage(), first, "a stream and a ping are no use");

        let calling = rig.start(call(&session, "6"));
        let asked = peer.hears().await;
        assert_eq!(rig.bridge.usage().in_flight, 1);
        assert!(tokio::time::timeout(Duration::from_mins(1), rig.bridge.unused()).await.is_err());
        // Its client leaves, and the call goes on: sessions outlive connections.
        calling.abort();
        settle().await;
        assert_eq!(rig.bridge.usage().in_flight, 1);
        peer.answers(&asked, "done").await;
        rig.bridge.unused().await;
        assert!(rig.bridge.usage().last_end > first.last_end);
    })
    .await;
}
