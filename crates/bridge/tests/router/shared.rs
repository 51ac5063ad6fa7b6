//! Legacy sessions of a server that keeps nothing of them apart.

use http::StatusCode;
use roadstead_bridge::{BridgeConfig, EndReason, Era, SessionMode};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::rig::{Peer, Reply, Rig, call, in_session, initialize, local, plain, post, settle};

const V: &str = "2025-11-25";

fn shared(era: Era) -> (Rig, Peer) {
    let mut config = BridgeConfig::new(era);
    config.session_mode = SessionMode::Shared;
    Rig::with(config, 65536)
}

/// One more session, which the server does not hear of.
async fn join(rig: &Rig, version: &str) -> String {
    let hello = format!(
        r#"{{"jsonrpc":"2.0","id":"hi","method":"initialize","params":{{"protocolVersion":"{version}","capabilities":{{"sampling":{{}}}}}}}}"#
    );
    let mut reply = rig.send(post(hello)).await;
    let session = reply.header("mcp-session-id").expect("a session id");
    let answer = reply.json().await;
    assert_eq!((&answer["id"], &answer["result"]["protocolVersion"]), (&json!("hi"), &json!(V)));
    session
}

async fn two_sessions() -> (Rig, Peer, String, String) {
    let (rig, mut peer) = shared(Era::Legacy);
    let one = rig.open_session(&mut peer, V).await;
    let two = join(&rig, V).await;
    (rig, peer, one, two)
}

async fn answered(peer: &mut Peer, heard: &Value, reply: JoinHandle<Reply>, name: &str) {
    peer.answers(heard, name).await;
    assert_eq!(reply.await.expect("an answer").json().await["result"]["name"], name);
}

fn note(session: &str, method: &str) -> http::Request<http_body_util::Full<bytes::Bytes>> {
    in_session(session, format!(r#"{{"jsonrpc":"2.0","method":"{method}"}}"#))
}

#[tokio::test(start_paused = true)]
async fn the_first_initialize_is_everybodys() {
    local(async {
        let (rig, mut peer) = shared(Era::Legacy);
        let first = rig.start(initialize(1));
        let hello = peer.hears().await;
        let early = rig.start(initialize(7));
        settle().await;
        assert!(!early.is_finished(), "it waits for the first one's answer");
        peer.says(format!(
            r#"{{"jsonrpc":"2.0","id":{},"result":{{"protocolVersion":"{V}","big":123456789012345678901234567890}}}}"#,
            hello["id"]
        ))
        .await;
        let mut early = early.await.unwrap();
        let expected =
            format!(r#"{{"jsonrpc":"2.0","id":7,"result":{{"protocolVersion":"{V}","big":123456789012345678901234567890}}}}"#);
        assert_eq!(early.text().await, expected);
        let first = first.await.unwrap().header("mcp-session-id").unwrap();
        let third = join(&rig, "2024-11-05").await;
        for session in [&first, &third] {
            assert_eq!(
                rig.send(note(session, "notifications/initialized")).await.status(),
                StatusCode::ACCEPTED
            );
        }
        assert_eq!(rig.send(note(&third, "notifications/other")).await.status(), StatusCode::ACCEPTED);
        assert_eq!(peer.hears().await["method"], "notifications/initialized");
        assert_eq!(peer.hears().await["method"], "notifications/other");
        assert_eq!((rig.bridge.sessions(), rig.launcher.opens.get(), rig.bridge.tracked()), (3, 0, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn after_a_failed_initialize_the_next_one_asks_again() {
    local(async {
        let (rig, mut peer) = shared(Era::Legacy);
        let refused = rig.start(initialize(1));
        let hello = peer.hears().await;
        let next = rig.start(initialize(2));
        settle().await;
        peer.says(format!(
            r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":-1,"message":"no"}}}}"#,
            hello["id"]
        ))
        .await;
        assert_eq!(refused.await.unwrap().json().await["error"]["code"], -1);
        let hello = peer.hears().await;
        assert_eq!(hello["method"], "initialize");
        peer.says(format!(
            r#"{{"jsonrpc":"2.0","id":{},"result":{{"protocolVersion":"{V}"}}}}"#,
            hello["id"]
        ))
        .await;
        let next = next.await.unwrap();
        assert!(next.header("mcp-session-id").is_some());
        assert_eq!(peer.end_reason(), None, "the process is not the session's");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_same_ids_and_tokens_of_two_sessions_do_not_meet() {
    local(async {
        let (rig, mut peer, one, two) = two_sessions().await;
        let ask = |session: &str, id: &str, token: &str| {
            in_session(session, format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"x","_meta":{{"progressToken":"{token}"}}}}}}"#))
        };
        let first = rig.start(ask(&one, "1", "t"));
        let a = peer.hears().await;
        let second = rig.start(ask(&two, "1", "t"));
        let b = peer.hears().await;
        let third = rig.start(ask(&two, "\"1\"", "u"));
        let c = peer.hears().await;
        assert!(a["id"] != b["id"] && b["id"] != c["id"]);
        let token = &b["params"]["_meta"]["progressToken"];
        peer.says(format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":1}}}}"#)).await;
        let mut second = second.await.unwrap();
        assert_eq!(second.event().await["params"], json!({"progressToken": "t", "progress": 1}));
        answered(&mut peer, &c, third, "c").await;
        peer.answers(&b, "b").await;
        assert_eq!(second.event().await, json!({"jsonrpc": "2.0", "id": 1, "result": {"name": "b"}}));
        answered(&mut peer, &a, first, "a").await;
        drop(second);
        assert_eq!((rig.bridge.in_flight(), rig.bridge.tracked()), (0, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_concerns_everybody_reaches_every_session_once() {
    local(async {
        let (rig, mut peer, one, two) = two_sessions().await;
        let mut gets = [rig.send(plain("GET", &one)).await, rig.send(plain("GET", &two)).await];
        for (method, data) in [("notifications/tools/list_changed", "a"), ("notifications/message", "b")] {
            peer.says(format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{{"data":"{data}"}}}}"#))
                .await;
            for get in &mut gets {
                let event = get.event().await;
                assert_eq!((&event["method"], &event["params"]["data"]), (&json!(method), &json!(data)));
            }
        }
        let busy = rig.start(call(&two, "1"));
        let heard = peer.hears().await;
        peer.says(r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"busy"}}"#).await;
        peer.says(r#"{"jsonrpc":"2.0","method":"notifications/prompts/list_changed"}"#).await;
        let mut busy = busy.await.unwrap();
        assert_eq!(busy.event().await["params"]["data"], "busy");
        for get in &mut gets {
            assert_eq!(get.event().await["method"], "notifications/prompts/list_changed");
        }
        peer.answers(&heard, "done").await;
        assert_eq!(busy.event().await["result"]["name"], "done");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_server_may_ask_only_the_client_of_the_only_call() {
    local(async {
        let (rig, mut peer, one, two) = two_sessions().await;
        let ask = |id: u64| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"sampling/createMessage"}}"#);
        peer.says(ask(1)).await;
        let refused = peer.hears().await;
        assert_eq!((&refused["id"], &refused["error"]["code"]), (&json!(1), &json!(-32603)));
        peer.says(r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#).await;
        assert_eq!(peer.hears().await, json!({"jsonrpc": "2.0", "id": 2, "result": {}}));
        let first = rig.start(call(&two, "1"));
        let heard = peer.hears().await;
        peer.says(ask(3)).await;
        let mut first = first.await.unwrap();
        assert_eq!(first.event().await["method"], "sampling/createMessage");
        let answer = r#"{"jsonrpc":"2.0","id":3,"result":{"model":"m"}}"#;
        assert_eq!(rig.send(in_session(&one, answer)).await.status(), StatusCode::ACCEPTED);
        let second = rig.start(call(&one, "1"));
        assert_eq!(
            peer.hears().await["method"],
            "tools/call",
            "an answer of the wrong session is not passed on"
        );
        assert_eq!(rig.send(in_session(&two, answer)).await.status(), StatusCode::ACCEPTED);
        assert_eq!(peer.hears().await["result"]["model"], "m");
        peer.says(ask(4)).await;
        assert_eq!(peer.hears().await["error"]["code"], -32603);
        peer.answers(&heard, "done").await;
        assert_eq!(first.event().await["result"]["name"], "done");
        drop(first);
        second.abort();
        assert_eq!(rig.send(plain("DELETE", &one)).await.status(), StatusCode::NO_CONTENT);
        settle().await;
        assert_eq!((rig.bridge.in_flight(), rig.bridge.tracked()), (0, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_takes_its_calls_and_nothing_else() {
    local(async {
        let (rig, mut peer, one, two) = two_sessions().await;
        let kept = rig.start(call(&one, "1"));
        let kept_heard = peer.hears().await;
        let gone = rig.start(call(&two, "1"));
        let gone_heard = peer.hears().await;
        let cancel = in_session(
            &one,
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"1"}}"#,
        );
        assert_eq!(rig.send(cancel).await.status(), StatusCode::ACCEPTED);
        assert_eq!(rig.send(plain("DELETE", &two)).await.status(), StatusCode::NO_CONTENT);
        let cancelled = peer.hears().await;
        assert_eq!(
            (&cancelled["method"], &cancelled["params"]["requestId"]),
            (&json!("notifications/cancelled"), &gone_heard["id"])
        );
        assert_eq!(gone.await.unwrap().json().await["error"]["code"], -32603);
        peer.answers(&gone_heard, "late").await;
        answered(&mut peer, &kept_heard, kept, "kept").await;
        assert_eq!(rig.send(call(&two, "2")).await.status(), StatusCode::NOT_FOUND);
        assert_eq!((rig.bridge.sessions(), rig.bridge.tracked(), peer.end_reason()), (1, 0, None));
        let cancelled = rig.start(call(&one, "5"));
        let heard = peer.hears().await;
        let cancel = in_session(
            &one,
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":5,"reason":"r"}}"#,
        );
        assert_eq!(rig.send(cancel).await.status(), StatusCode::ACCEPTED);
        assert_eq!(peer.hears().await["params"], json!({"requestId": heard["id"], "reason": "r"}));
        cancelled.await.unwrap();
        assert_eq!((rig.bridge.in_flight(), rig.bridge.tracked()), (0, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_exit_of_the_process_ends_all_sessions_and_the_next_starts_it_anew() {
    local(async {
        let (rig, mut peer, one, two) = two_sessions().await;
        let waiting = rig.start(call(&one, "1"));
        peer.hears().await;
        peer.exits("exit code 3");
        let error = waiting.await.unwrap().json().await;
        assert!(error["error"]["message"].as_str().unwrap().contains("exit code 3"), "{error}");
        assert_eq!(peer.is_ended().await, EndReason::Exited);
        settle().await;
        for session in [&one, &two] {
            assert_eq!(rig.send(call(session, "2")).await.status(), StatusCode::NOT_FOUND);
        }
        let hellos = [rig.start(initialize(1)), rig.start(initialize(2))];
        let mut next = rig.next_peer().await;
        let hello = next.hears().await;
        next.says(format!(
            r#"{{"jsonrpc":"2.0","id":{},"result":{{"protocolVersion":"{V}"}}}}"#,
            hello["id"]
        ))
        .await;
        for hello in hellos {
            assert!(hello.await.unwrap().header("mcp-session-id").is_some());
        }
        assert_eq!((rig.bridge.sessions(), rig.launcher.opens.get()), (2, 1));
        rig.bridge.close();
        assert_eq!(next.end_reason(), Some(EndReason::Closed));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_bridge_that_is_dropped_or_closed_stops_the_process_without_sessions_too() {
    local(async {
        let (rig, mut peer) = shared(Era::Legacy);
        let only = rig.open_session(&mut peer, V).await;
        rig.send(plain("DELETE", &only)).await;
        assert_eq!(peer.end_reason(), None);
        rig.bridge.close();
        assert_eq!(peer.end_reason(), Some(EndReason::Closed));
        let (rig, peer) = shared(Era::Dual);
        drop(rig);
        settle().await;
        assert_eq!(peer.end_reason(), Some(EndReason::Abandoned));
    })
    .await;
}
