//! Clients of one era in front of servers of the other or of both.

use http::StatusCode;
use roadstead_bridge::{EndReason, Era, Purpose};
use serde_json::json;

use crate::rig::{Rig, call, local, modern, settle};

const V: &str = "2025-11-25";

#[tokio::test(start_paused = true)]
async fn a_legacy_server_is_asked_once_and_then_refuses_modern_clients_at_once() {
    local(async {
        let (rig, mut first) = Rig::strict(Era::Auto);
        let reply = rig.start(modern("1", "server/discover", None, ""));
        let mut probe = rig.next_peer().await;
        assert_eq!(probe.purpose, Some(Purpose::ModernShared));
        let asked = probe.hears().await;
        assert_eq!(asked["method"], "server/discover");
        let id = &asked["id"];
        probe.says(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32601,"message":"?"}}}}"#)).await;
        let mut reply = reply.await.unwrap();
        assert_eq!(reply.status(), StatusCode::BAD_REQUEST);
        let error = reply.json().await;
        assert_eq!((&error["error"]["code"], &error["id"]), (&json!(-32000), &json!(1)));
        assert_eq!(probe.is_ended().await, EndReason::NotModern);
        let before = tokio::time::Instant::now();
        assert_eq!(rig.send(modern("2", "tools/list", None, "")).await.status(), StatusCode::BAD_REQUEST);
        assert_eq!((before.elapsed().as_millis(), rig.launcher.opens.get()), (0, 1));
        rig.open_session(&mut first, V).await;
        assert_eq!(rig.bridge.sessions(), 1, "the process started at launch is untouched");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_server_silent_to_discover_counts_as_legacy_after_three_seconds() {
    local(async {
        let (rig, _first) = Rig::strict(Era::Auto);
        let before = tokio::time::Instant::now();
        let one = rig.start(modern("1", "tools/list", None, ""));
        let two = rig.start(modern("2", "tools/list", None, ""));
        let probe = rig.next_peer().await;
        assert_eq!(one.await.unwrap().status(), StatusCode::BAD_REQUEST);
        assert_eq!(two.await.unwrap().status(), StatusCode::BAD_REQUEST);
        assert_eq!((before.elapsed().as_secs(), rig.launcher.opens.get()), (3, 1));
        assert_eq!(probe.is_ended().await, EndReason::NotModern);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn both_eras_are_served_by_processes_of_their_own() {
    local(async {
        let (rig, mut first) = Rig::strict(Era::Auto);
        let session = rig.open_session(&mut first, V).await;
        let reply = rig.start(modern("1", "tools/list", None, ""));
        let mut shared = rig.next_peer().await;
        let asked = shared.hears().await;
        shared
            .says(format!(
                r#"{{"jsonrpc":"2.0","id":{},"result":{{"supportedVersions":["2026-07-28"]}}}}"#,
                asked["id"]
            ))
            .await;
        let heard = shared.hears().await;
        assert_eq!(heard["method"], "tools/list");
        let legacy = rig.start(call(&session, "1"));
        let legacy_heard = first.hears().await;
        first.answers(&legacy_heard, "legacy").await;
        shared.answers(&heard, "modern").await;
        assert_eq!(reply.await.unwrap().json().await["result"]["name"], "modern");
        assert_eq!(legacy.await.unwrap().json().await["result"]["name"], "legacy");
        assert_eq!(rig.launcher.opens.get(), 1);
        rig.bridge.close();
        assert_eq!(
            (first.end_reason(), shared.end_reason()),
            (Some(EndReason::Closed), Some(EndReason::Closed))
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_known_legacy_server_is_never_probed() {
    local(async {
        let (rig, _first) = Rig::strict(Era::Legacy);
        assert_eq!(rig.send(modern("1", "tools/list", None, "")).await.status(), StatusCode::BAD_REQUEST);
        assert_eq!(rig.launcher.opens.get(), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_client_that_began_a_probe_may_leave_without_harm() {
    local(async {
        let (rig, _first) = Rig::strict(Era::Auto);
        let reply = rig.start(modern("1", "tools/list", None, ""));
        let mut shared = rig.next_peer().await;
        let asked = shared.hears().await;
        reply.abort();
        settle().await;
        shared.says(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#, asked["id"])).await;
        let reply = rig.start(modern("2", "tools/list", None, ""));
        let heard = shared.hears().await;
        shared.answers(&heard, "fine").await;
        assert_eq!(reply.await.unwrap().json().await["result"]["name"], "fine");
        assert_eq!(rig.launcher.opens.get(), 1);
    })
    .await;
}
