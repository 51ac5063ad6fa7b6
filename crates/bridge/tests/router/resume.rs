//! Clients that lose a connection and come back for what they missed.
#![expect(clippy::unwrap_used, reason = "a helper that does not work has to end its test")]

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use roadstead_bridge::{BridgeConfig, Era};
use serde_json::{Value, json};

use crate::rig::{Peer, Reply, Rig, call, in_session, local, modern, pass, plain, settle, with};

const V: &str = "2025-11-25";
const CHANGED: &str = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
const LOG: &str = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"log"}}"#;
const ROOTS: &str = r#"{"jsonrpc":"2.0","id":"r","method":"roots/list"}"#;
const ROOTS_ANSWER: &str = r#"{"jsonrpc":"2.0","id":"r","result":{"roots":[]}}"#;

fn progressing(session: &str, id: u64) -> Request<Full<Bytes>> {
    in_session(
        session,
        format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"x","_meta":{{"progressToken":{id}}}}}}}"#
        ),
    )
}

fn progress(token: u64, at: u64) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":{at}}}}}"#
    )
}

fn after(session: &str, id: &str) -> Request<Full<Bytes>> {
    with(plain("GET", session), &[("last-event-id", id)])
}

/// Begins a call that has sent its client one event; the stream, the id of the event, the call.
async fn began(rig: &Rig, peer: &mut Peer, session: &str, id: u64) -> (Reply, String, Value) {
    let reply = rig.start(progressing(session, id));
    let heard = peer.hears().await;
    peer.says(progress(id, 1)).await;
    let mut reply = reply.await.unwrap();
    let (event, message) = reply.identified().await.unwrap();
    assert_eq!(message["params"]["progress"], 1);
    (reply, event.unwrap(), heard)
}

#[tokio::test(start_paused = true)]
async fn a_client_that_lost_the_stream_of_a_call_gets_the_rest_of_it_once() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        let (reply, last, heard) = began(&rig, &mut peer, &session, 1).await;
        drop(reply);
        peer.says(progress(1, 2)).await;
        peer.says(LOG).await;
        settle().await;
        assert_eq!(rig.bridge.in_flight(), 1, "the call goes on");
        let mut again = rig.send(after(&session, &last)).await;
        assert!(again.is_events());
        assert_eq!(again.event().await["params"]["progress"], 2);
        let (second, log) = again.identified().await.unwrap();
        assert_eq!(log["params"]["data"], "log");
        drop(again);
        peer.says(progress(1, 3)).await;
        peer.answers(&heard, "done").await;
        settle().await;
        assert_eq!((rig.bridge.in_flight(), rig.bridge.tracked(), rig.bridge.streams()), (0, 0, 0));
        let mut rest = rig.send(after(&session, &second.unwrap())).await;
        assert_eq!(rest.event().await["params"]["progress"], 3);
        assert_eq!(rest.event().await["result"]["name"], "done");
        assert_eq!(rest.message().await, None);
        assert_eq!((rig.bridge.counters().dropped_messages, rig.bridge.counters().resumed_streams), (0, 2));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_comes_back_while_its_call_runs_and_hears_the_rest_live() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        let (reply, last, heard) = began(&rig, &mut peer, &session, 1).await;
        drop(reply);
        let mut again = rig.send(after(&session, &last)).await;
        peer.says(progress(1, 2)).await;
        assert_eq!(again.event().await["params"]["progress"], 2);
        peer.answers(&heard, "live").await;
        let (id, answer) = again.identified().await.unwrap();
        assert_eq!(answer["result"]["name"], "live");
        assert_eq!(again.message().await, None);
        drop(again);
        let nothing = rig.send(after(&session, &id.unwrap())).await;
        assert_eq!(nothing.status(), StatusCode::NO_CONTENT, "there is nothing to come back for");
        assert_eq!((rig.bridge.in_flight(), rig.bridge.tracked(), rig.bridge.streams()), (0, 0, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn only_the_messages_of_the_lost_stream_are_sent_again() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        let mut get = rig.send(plain("GET", &session)).await;
        let (one, last, first) = began(&rig, &mut peer, &session, 1).await;
        let (mut two, other, second) = began(&rig, &mut peer, &session, 2).await;
        assert_ne!(last.split('-').next(), other.split('-').next(), "an id names its stream");
        drop(one);
        peer.says(CHANGED).await;
        peer.says(progress(2, 2)).await;
        peer.answers(&first, "one").await;
        peer.answers(&second, "two").await;
        assert_eq!(get.event().await["method"], "notifications/tools/list_changed");
        assert_eq!(two.event().await["params"]["progress"], 2);
        assert_eq!(two.event().await["result"]["name"], "two");
        let mut again = rig.send(after(&session, &last)).await;
        assert_eq!(again.event().await["result"]["name"], "one");
        assert_eq!(again.message().await, None);
        peer.says(CHANGED).await;
        assert!(get.message().await.is_some(), "the GET stream is untouched");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_get_stream_is_continued_where_its_client_stopped_reading() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        let mut get = rig.send(plain("GET", &session)).await;
        let numbered = |at: u64| {
            format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{{"at":{at}}}}}"#
            )
        };
        peer.says(numbered(1)).await;
        let (id, _) = get.identified().await.unwrap();
        peer.says(numbered(2)).await;
        get.event().await;
        drop(get);
        peer.says(numbered(3)).await;
        settle().await;
        let mut again = rig.send(after(&session, &id.unwrap())).await;
        peer.says(numbered(4)).await;
        for at in 2..5 {
            assert_eq!(again.event().await["params"]["at"], at);
        }
        drop(again);
        assert_eq!((rig.bridge.tracked(), rig.bridge.streams()), (0, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_id_that_says_nothing_means_the_get_stream_and_a_forgotten_call_is_said() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        for strange in ["", "not ours", "0-999"] {
            let mut get = rig.send(after(&session, strange)).await;
            peer.says(CHANGED).await;
            assert_eq!(get.event().await["method"], "notifications/tools/list_changed", "{strange:?}");
        }
        let (reply, last, heard) = began(&rig, &mut peer, &session, 1).await;
        drop(reply);
        peer.answers(&heard, "old").await;
        settle().await;
        assert!(rig.bridge.stored_bytes() > 0);
        pass(Duration::from_mins(5)).await;
        assert_eq!(rig.bridge.stored_bytes(), 0, "what is too old is given back without anybody asking");
        for id in [last.as_str(), "77-1"] {
            let mut gone = rig.send(after(&session, id)).await;
            assert_eq!(gone.status(), StatusCode::BAD_REQUEST);
            assert_eq!(gone.json().await["error"]["data"]["code"], "EVENTS_NOT_KEPT");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_primed_where_the_revision_knows_it_and_never_for_stateless_clients() {
    local(async {
        for (version, primed) in [(V, true), ("2025-06-18", false), ("2024-11-05", false)] {
            let (rig, mut peer) = Rig::new(Era::Legacy);
            let session = rig.open_session(&mut peer, version).await;
            let mut get = rig.send(plain("GET", &session)).await;
            peer.says(CHANGED).await;
            settle().await;
            let text = get.part().await.unwrap();
            assert_eq!(text.starts_with("id: 0-1\nretry: 1000\ndata: \n\n"), primed, "{version}: {text}");
            assert!(text.contains("\nevent: message\ndata: {") && text.contains("id: 0-"), "{text}");
        }
        let (rig, mut peer) = Rig::new(Era::Modern);
        let reply = rig.start(modern("1", "tools/call", Some("a"), ""));
        let heard = peer.hears().await;
        pass(Duration::from_secs(1)).await;
        let mut reply = reply.await.unwrap();
        peer.answers(&heard, "a").await;
        assert!(!reply.text().await.contains("id: "));
        assert_eq!(rig.bridge.stored_bytes(), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_plain_answer_is_not_kept() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        let reply = rig.start(call(&session, "1"));
        let heard = peer.hears().await;
        peer.answers(&heard, "quick").await;
        assert!(!reply.await.unwrap().is_events());
        assert_eq!(rig.bridge.stored_bytes(), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_request_of_the_server_that_was_not_sent_goes_to_the_client_that_comes_back() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        let (reply, last, heard) = began(&rig, &mut peer, &session, 1).await;
        peer.says(ROOTS).await;
        peer.says(progress(1, 2)).await;
        settle().await;
        drop(reply);
        let mut again = rig.send(after(&session, &last)).await;
        let mut methods = [again.event().await, again.event().await].map(|message| message["method"].clone());
        methods.sort_by_key(ToString::to_string);
        assert_eq!(methods, [json!("notifications/progress"), json!("roots/list")]);
        rig.send(in_session(&session, ROOTS_ANSWER)).await;
        assert_eq!(peer.hears_raw().await, ROOTS_ANSWER);
        peer.answers(&heard, "end").await;
        assert_eq!(again.event().await["result"]["name"], "end");
        assert_eq!(again.message().await, None);
        pass(Duration::from_mins(10)).await;
        assert_eq!(rig.bridge.tracked(), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_request_of_the_server_that_arrives_while_its_client_is_away_is_refused_in_time() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        let (reply, last, _) = began(&rig, &mut peer, &session, 1).await;
        drop(reply);
        peer.says(ROOTS).await;
        let refusal = peer.hears().await;
        assert_eq!((&refusal["id"], &refusal["error"]["code"]), (&json!("r"), &json!(-32603)));
        let mut again = rig.send(after(&session, &last)).await;
        peer.says(LOG).await;
        assert_eq!(again.event().await["method"], "notifications/message", "it is not asked afterwards");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_request_of_the_server_is_sent_again_only_while_it_is_not_answered() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        let (mut reply, last, _) = began(&rig, &mut peer, &session, 1).await;
        peer.says(ROOTS).await;
        assert_eq!(reply.event().await["method"], "roots/list");
        drop(reply);
        let mut again = rig.send(after(&session, &last)).await;
        assert_eq!(again.event().await["method"], "roots/list", "its client did not see it");
        rig.send(in_session(&session, ROOTS_ANSWER)).await;
        peer.hears().await;
        drop(again);
        peer.says(LOG).await;
        settle().await;
        let mut third = rig.send(after(&session, &last)).await;
        assert_eq!(third.event().await["method"], "notifications/message");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_request_of_the_server_whose_stream_broke_for_good_gets_an_error() {
    local(async {
        let mut config = BridgeConfig::new(Era::Legacy);
        config.call_timeout = Duration::from_hours(2);
        let (rig, mut peer) = Rig::with(config, 65536);
        let session = rig.open_session(&mut peer, V).await;
        let (mut reply, _, _) = began(&rig, &mut peer, &session, 1).await;
        peer.says(ROOTS).await;
        reply.event().await;
        drop(reply);
        let get = rig.send(plain("GET", &session)).await;
        pass(Duration::from_mins(6)).await;
        assert_eq!(rig.bridge.tracked(), 3, "the client is there and may be thinking");
        drop(get);
        let refusal = peer.hears().await;
        assert_eq!((&refusal["id"], &refusal["error"]["code"]), (&json!("r"), &json!(-32603)));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_request_of_the_server_on_a_stream_that_came_to_its_end_may_be_answered_much_later() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        let (mut reply, _, heard) = began(&rig, &mut peer, &session, 1).await;
        peer.says(ROOTS).await;
        assert_eq!(reply.event().await["method"], "roots/list");
        peer.answers(&heard, "end").await;
        assert_eq!(reply.event().await["result"]["name"], "end");
        assert_eq!(reply.message().await, None);
        drop(reply);
        pass(Duration::from_hours(1)).await;
        rig.send(in_session(&session, ROOTS_ANSWER)).await;
        assert_eq!(peer.hears_raw().await, ROOTS_ANSWER);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_we_still_believe_in_gives_way_to_the_client_that_comes_back() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        let (mut dead, last, heard) = began(&rig, &mut peer, &session, 1).await;
        peer.says(progress(1, 2)).await;
        settle().await;
        let mut again = rig.send(after(&session, &last)).await;
        assert_eq!(dead.message().await, None);
        assert_eq!(again.event().await["params"]["progress"], 2, "what the old one had not taken");
        drop(dead);
        peer.says(progress(1, 3)).await;
        assert_eq!(again.event().await["params"]["progress"], 3, "the end of the old one changes nothing");
        peer.answers(&heard, "new").await;
        assert_eq!(again.event().await["result"]["name"], "new");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_too_large_to_be_kept_becomes_an_error_that_says_so() {
    local(async {
        let mut config = BridgeConfig::new(Era::Legacy);
        config.event_store_bytes = 4096;
        let (rig, mut peer) = Rig::with(config, 65536);
        let session = rig.open_session(&mut peer, V).await;
        let (reply, last, heard) = began(&rig, &mut peer, &session, 1).await;
        drop(reply);
        peer.answers(&heard, &"x".repeat(5000)).await;
        settle().await;
        let mut again = rig.send(after(&session, &last)).await;
        let error = again.event().await;
        assert_eq!((&error["id"], &error["error"]["data"]["code"]), (&json!(1), &json!("ANSWER_NOT_KEPT")));
        assert!(rig.bridge.stored_bytes() <= 4096);
        assert_eq!(rig.bridge.counters().dropped_messages, 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_comes_back_too_late_for_some_gets_what_is_left_and_it_is_counted() {
    local(async {
        let mut config = BridgeConfig::new(Era::Legacy);
        config.event_store_events = 2;
        let (rig, mut peer) = Rig::with(config, 65536);
        let session = rig.open_session(&mut peer, V).await;
        let (reply, last, heard) = began(&rig, &mut peer, &session, 1).await;
        drop(reply);
        for at in 2..6 {
            peer.says(progress(1, at)).await;
        }
        peer.answers(&heard, "end").await;
        settle().await;
        let mut again = rig.send(after(&session, &last)).await;
        assert_eq!(again.event().await["params"]["progress"], 5);
        assert_eq!(again.event().await["result"]["name"], "end");
        assert_eq!(rig.bridge.counters().incomplete_replays, 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_runs_out_of_time_while_its_client_is_away_says_so_when_it_returns() {
    local(async {
        let mut config = BridgeConfig::new(Era::Legacy);
        config.call_timeout = Duration::from_secs(20);
        let (rig, mut peer) = Rig::with(config, 65536);
        let session = rig.open_session(&mut peer, V).await;
        let (reply, last, _) = began(&rig, &mut peer, &session, 1).await;
        drop(reply);
        assert_eq!(peer.hears().await["method"], "notifications/cancelled");
        let mut again = rig.send(after(&session, &last)).await;
        assert_eq!(again.event().await["error"]["data"]["code"], "CALL_TIMED_OUT");
        assert_eq!((rig.bridge.in_flight(), rig.bridge.tracked()), (0, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn however_often_connections_break_each_message_is_read_once_and_in_order() {
    local(async {
        for seed in 1..40_u64 {
            let mut random = seed;
            let mut choose = |below: u64| {
                random =
                    random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (random >> 33) % below
            };
            let (rig, mut peer) = Rig::new(Era::Legacy);
            let session = rig.open_session(&mut peer, V).await;
            let (reply, mut last, heard) = began(&rig, &mut peer, &session, 1).await;
            let mut connection = Some(reply);
            let (mut sent, mut read) = (1, 1);
            while sent < 60 {
                match choose(4) {
                    0 => {
                        sent += 1;
                        peer.says(progress(1, sent)).await;
                    }
                    1 => connection = None,
                    2 => connection = Some(rig.send(after(&session, &last)).await),
                    _ => {
                        if let Some(reply) = connection.as_mut().filter(|_| read < sent) {
                            let (id, message) = reply.identified().await.unwrap();
                            read += 1;
                            assert_eq!(message["params"]["progress"], read, "seed {seed}");
                            last = id.unwrap();
                        }
                    }
                }
                settle().await;
            }
            peer.answers(&heard, "end").await;
            settle().await;
            drop(connection);
            let mut rest = rig.send(after(&session, &last)).await;
            while read < sent {
                read += 1;
                assert_eq!(rest.event().await["params"]["progress"], read, "seed {seed}");
            }
            assert_eq!(rest.event().await["result"]["name"], "end");
            assert_eq!(rest.message().await, None);
            drop(rest);
            let counters = rig.bridge.counters();
            assert_eq!((rig.bridge.tracked(), rig.bridge.in_flight(), rig.bridge.streams()), (0, 0, 0));
            assert_eq!((counters.dropped_messages, counters.incomplete_replays), (0, 0), "seed {seed}");
        }
    })
    .await;
}
