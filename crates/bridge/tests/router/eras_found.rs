//! How the era of a server is found out, remembered and corrected.

use std::time::Duration;

use http::StatusCode;
use roadstead_bridge::{BridgeConfig, EndReason, Era, Note, Purpose, Ready};
use serde_json::Value;

use crate::rig::{Peer, Rig, call, initialize, local, modern, post};

fn found(rig: &Rig) -> Vec<Era> {
    let notes = rig.notes.all().into_iter();
    notes.filter_map(|note| if let Note::EraFound { era } = note { Some(era) } else { None }).collect()
}

async fn refuses(peer: &mut Peer, asked: &Value, code: i64) {
    let id = &asked["id"];
    peer.says(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":"no"}}}}"#)).await;
}

async fn discovers(peer: &mut Peer, versions: &str) {
    let asked = peer.hears().await;
    assert_eq!(asked["method"], "server/discover");
    let id = &asked["id"];
    peer.says(format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{"supportedVersions":{versions},"capabilities":{{}}}}}}"#
    ))
    .await;
}

fn remembered(era: Era) -> BridgeConfig {
    let mut config = BridgeConfig::new(era);
    config.era_is_remembered = true;
    config
}

#[tokio::test(start_paused = true)]
async fn a_legacy_client_finds_out_that_a_server_is_modern_only_and_is_translated() {
    local(async {
        let (rig, mut first) = Rig::new(Era::Auto);
        let reply = rig.start(initialize(1));
        let hello = first.hears().await;
        assert_eq!(hello["method"], "initialize");
        refuses(&mut first, &hello, -32601).await;
        let mut shared = rig.next_peer().await;
        assert_eq!(shared.purpose, Some(Purpose::ModernShared));
        discovers(&mut shared, r#"["2026-07-28"]"#).await;
        assert_eq!(first.is_ended().await, EndReason::NotInitialized);
        // The same process then says who it is for this client.
        discovers(&mut shared, r#"["2026-07-28"]"#).await;
        let mut reply = reply.await.unwrap();
        assert_eq!(reply.json().await["result"]["protocolVersion"], "2025-11-25");
        let session = reply.header("mcp-session-id").unwrap();
        assert_eq!(found(&rig), [Era::Modern]);
        assert_eq!(rig.bridge.era(), Era::Modern);
        let reply = rig.start(call(&session, "1"));
        let asked = shared.hears().await;
        shared.answers(&asked, "translated").await;
        assert_eq!(reply.await.unwrap().json().await["result"]["name"], "translated");
        // The next session asks nobody any more.
        let reply = rig.start(initialize(1));
        discovers(&mut shared, r#"["2026-07-28"]"#).await;
        assert_eq!(reply.await.unwrap().status(), StatusCode::OK);
        assert_eq!((rig.launcher.opens.get(), rig.bridge.sessions()), (1, 2));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_handshake_of_a_server_of_both_eras_stays_refused() {
    local(async {
        let (rig, mut first) = Rig::new(Era::Auto);
        let reply = rig.start(initialize(1));
        let hello = first.hears().await;
        refuses(&mut first, &hello, -32602).await;
        let mut shared = rig.next_peer().await;
        discovers(&mut shared, r#"["2026-07-28","2025-11-25"]"#).await;
        let mut reply = reply.await.unwrap();
        assert_eq!(reply.json().await["error"]["code"], -32602);
        assert_eq!((found(&rig), rig.bridge.sessions()), (vec![Era::Dual], 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_handshake_of_a_legacy_server_stays_refused() {
    local(async {
        let (rig, mut first) = Rig::new(Era::Auto);
        let reply = rig.start(initialize(1));
        let hello = first.hears().await;
        refuses(&mut first, &hello, -32602).await;
        let mut probe = rig.next_peer().await;
        let asked = probe.hears().await;
        refuses(&mut probe, &asked, -32601).await;
        assert_eq!(reply.await.unwrap().json().await["error"]["code"], -32602);
        assert_eq!(probe.is_ended().await, EndReason::NotModern);
        assert_eq!(found(&rig), [Era::Legacy]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn both_eras_seen_make_a_server_dual() {
    local(async {
        let (rig, mut first) = Rig::new(Era::Auto);
        rig.open_session(&mut first, "2025-11-25").await;
        assert_eq!(found(&rig), []);
        let reply = rig.start(modern("1", "tools/list", None, ""));
        let mut shared = rig.next_peer().await;
        discovers(&mut shared, r#"["2026-07-28"]"#).await;
        let asked = shared.hears().await;
        shared.answers(&asked, "m").await;
        assert_eq!(reply.await.unwrap().json().await["result"]["name"], "m");
        assert_eq!((found(&rig), rig.bridge.era()), (vec![Era::Dual], Era::Dual));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_server_silent_to_discover_but_not_to_ping_is_legacy_for_good() {
    local(async {
        let (rig, mut first) = Rig::new(Era::Auto);
        let pinged = async {
            let asked = first.hears().await;
            first.says(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#, asked["id"])).await;
        };
        let (ready, ()) = tokio::join!(rig.bridge.ready(Duration::from_secs(30)), pinged);
        assert_eq!(ready, Ok(Ready::AnsweredPing));
        let reply = rig.start(modern("1", "tools/list", None, ""));
        let probe = rig.next_peer().await;
        assert_eq!(first.hears().await["method"], "initialize");
        assert_eq!(probe.is_ended().await, EndReason::NotModern);
        assert_eq!(found(&rig), [Era::Legacy]);
        drop(reply);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_server_remembered_as_modern_that_is_not_becomes_ready_as_a_legacy_one() {
    local(async {
        let (rig, mut first) = Rig::with(remembered(Era::Modern), 65536);
        let bridge = rig.bridge.clone();
        let ready = tokio::task::spawn_local(async move { bridge.ready(Duration::from_secs(30)).await });
        let asked = first.hears().await;
        refuses(&mut first, &asked, -32601).await;
        let mut fresh = rig.next_peer().await;
        assert_eq!(fresh.purpose, Some(Purpose::LegacySession));
        let asked = fresh.hears().await;
        assert_eq!(asked["method"], "ping");
        fresh.says(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#, asked["id"])).await;
        assert_eq!(ready.await.unwrap(), Ok(Ready::AnsweredPing));
        assert_eq!(first.is_ended().await, EndReason::NotModern);
        assert_eq!(found(&rig), [Era::Legacy]);
        rig.open_session(&mut fresh, "2025-11-25").await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_server_remembered_as_legacy_that_is_modern_is_asked_again() {
    local(async {
        let (rig, mut first) = Rig::with(remembered(Era::Legacy), 65536);
        let reply = rig.start(initialize(1));
        let hello = first.hears().await;
        refuses(&mut first, &hello, -32022).await;
        let mut shared = rig.next_peer().await;
        discovers(&mut shared, r#"["2026-07-28"]"#).await;
        discovers(&mut shared, r#"["2026-07-28"]"#).await;
        assert_eq!(reply.await.unwrap().status(), StatusCode::OK);
        assert_eq!(found(&rig), [Era::Modern]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_modern_client_notices_too_that_a_remembered_legacy_server_has_changed() {
    local(async {
        let (rig, mut first) = Rig::with(remembered(Era::Legacy), 65536);
        let reply = rig.start(modern("1", "tools/list", None, ""));
        let hello = first.hears().await;
        refuses(&mut first, &hello, -32022).await;
        assert_eq!(reply.await.unwrap().json().await["error"]["code"], -32603);
        let reply = rig.start(modern("2", "tools/list", None, ""));
        let mut shared = rig.next_peer().await;
        discovers(&mut shared, r#"["2026-07-28"]"#).await;
        let asked = shared.hears().await;
        shared.answers(&asked, "native").await;
        assert_eq!(reply.await.unwrap().json().await["result"]["name"], "native");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_knows_the_modern_revision_and_does_not_serve_it_is_translated() {
    for told in [
        r#""error":{"code":-32022,"message":"no","data":{"supported":["2025-11-25"]}}"#,
        r#""result":{"supportedVersions":["2025-11-25","2024-11-05"],"capabilities":{}}"#,
    ] {
        local(async {
            let (rig, mut first) = Rig::new(Era::Auto);
            let reply = rig.start(modern("1", "tools/list", None, ""));
            let mut shared = rig.next_peer().await;
            let asked = shared.hears().await;
            assert_eq!(asked["method"], "server/discover");
            shared.says(format!(r#"{{"jsonrpc":"2.0","id":{},{told}}}"#, asked["id"])).await;
            assert_eq!(shared.is_ended().await, EndReason::NotModern);
            // The client is spoken for in the older way.
            assert_eq!(first.hears().await["method"], "initialize");
            assert_eq!(found(&rig), [Era::Legacy]);
            drop(reply);
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_pinned_era_is_not_questioned() {
    local(async {
        let (rig, mut first) = Rig::new(Era::Legacy);
        let reply = rig.start(initialize(1));
        let hello = first.hears().await;
        refuses(&mut first, &hello, -32601).await;
        assert_eq!(reply.await.unwrap().json().await["error"]["code"], -32601);
        assert_eq!((rig.launcher.opens.get(), found(&rig)), (0, vec![]));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn without_the_bridge_each_era_keeps_to_itself() {
    local(async {
        let (rig, _peer) = Rig::strict(Era::Legacy);
        assert_eq!(rig.send(modern("1", "tools/list", None, "")).await.status(), StatusCode::BAD_REQUEST);
        let (rig, _peer) = Rig::strict(Era::Modern);
        let mut reply = rig.send(initialize(1)).await;
        assert_eq!(reply.status(), StatusCode::BAD_REQUEST);
        assert_eq!(reply.json().await["error"]["code"], -32022);
        assert_eq!(
            rig.send(post(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#)).await.status(),
            StatusCode::BAD_REQUEST
        );
    })
    .await;
}
