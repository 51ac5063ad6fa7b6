//! Servers that misbehave, and ends of all kinds.

use http::StatusCode;
use roadstead_bridge::{BridgeConfig, EndReason, Era, Note};

use crate::rig::{Rig, call, in_session, initialize, local, pass, plain, settle};

const V: &str = "2025-11-25";

#[tokio::test(start_paused = true)]
async fn lines_that_are_no_messages_are_skipped_and_counted() {
    local(async {
        let mut config = BridgeConfig::new(Era::Legacy);
        config.max_line = 10_000;
        let (rig, mut peer) = Rig::with(config, 65536);
        let session = rig.open_session(&mut peer, V).await;
        let reply = rig.start(call(&session, "1"));
        let heard = peer.hears().await;
        peer.says("Listening on stdio!").await;
        peer.says(b"\xff\xfe").await;
        peer.says("").await;
        peer.says(r#"{"json":"but no message"}"#).await;
        peer.says(format!(r#"{{"jsonrpc":"2.0","id":1,"result":"{}"}}"#, "x".repeat(20_000))).await;
        peer.answers(&heard, "still here").await;
        assert_eq!(reply.await.unwrap().json().await["result"]["name"], "still here");
        let counters = rig.bridge.counters();
        assert_eq!((counters.skipped_lines, counters.oversized_lines), (3, 1));
        let notes = rig.notes.all();
        assert!(
            notes.contains(&Note::NotAMessage { server: 1, excerpt: "Listening on stdio!".to_owned() }),
            "{notes:?}"
        );
        assert!(notes.contains(&Note::LineTooLong { server: 1, bytes: 20_036 }), "{notes:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn calls_in_flight_are_answered_when_the_server_dies() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        let mut get = rig.send(plain("GET", &session)).await;
        let (one, two) = (rig.start(call(&session, "1")), rig.start(call(&session, "\"b\"")));
        peer.hears().await;
        peer.hears().await;
        peer.exits("exit code 3");
        for (reply, id) in [(one, serde_json::json!(1)), (two, serde_json::json!("b"))] {
            let error = reply.await.unwrap().json().await;
            assert_eq!((&error["id"], &error["error"]["code"]), (&id, &serde_json::json!(-32603)));
            assert!(error["error"]["message"].as_str().unwrap().contains("exit code 3"), "{error}");
        }
        assert_eq!(get.message().await, None);
        assert_eq!(peer.is_ended().await, EndReason::Exited);
        assert_eq!(rig.send(call(&session, "3")).await.status(), StatusCode::NOT_FOUND);
        assert_eq!((rig.bridge.sessions(), rig.bridge.in_flight(), rig.bridge.tracked()), (0, 0, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_last_words_of_an_exiting_server_are_still_heard() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        let reply = rig.start(call(&session, "1"));
        let heard = peer.hears().await;
        peer.exits("exit code 0");
        settle().await;
        peer.answers(&heard, "goodbye").await;
        assert_eq!(reply.await.unwrap().json().await["result"]["name"], "goodbye");
        assert_eq!(peer.is_ended().await, EndReason::Exited);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_closed_output_is_an_end() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        peer.closes_output();
        assert_eq!(peer.is_ended().await, EndReason::Exited);
        settle().await;
        assert_eq!(rig.send(call(&session, "1")).await.status(), StatusCode::NOT_FOUND);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_call_without_an_answer_is_cancelled_when_its_time_is_over() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        let reply = rig.start(call(&session, "1"));
        peer.hears().await;
        let mut reply = reply.await.unwrap();
        let text = reply.text().await;
        assert!(
            text.ends_with("did not answer within 600 s\",\"data\":{\"code\":\"CALL_TIMED_OUT\"}}}\n\n"),
            "{text}"
        );
        let cancel = peer.hears().await;
        assert_eq!(
            (&cancel["method"], &cancel["params"]["requestId"]),
            (&"notifications/cancelled".into(), &1.into())
        );
        drop(reply);
        assert_eq!(
            (rig.bridge.in_flight(), rig.bridge.tracked(), rig.bridge.counters().timed_out_calls),
            (0, 0, 1)
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_client_left_is_given_up_in_time_too() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        let reply = rig.start(call(&session, "1"));
        peer.hears().await;
        reply.abort();
        assert_eq!(peer.hears().await["method"], "notifications/cancelled");
        assert_eq!((rig.bridge.in_flight(), rig.bridge.tracked()), (0, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_reads_nothing_costs_its_callers_an_error_and_us_no_memory() {
    local(async {
        let mut config = BridgeConfig::new(Era::Legacy);
        config.max_input_backlog = 150;
        let (rig, mut peer) = Rig::with(config, 64);
        let session = rig.open_session(&mut peer, V).await;
        let calls: Vec<_> = (2..8).map(|id| rig.start(call(&session, &id.to_string()))).collect();
        let mut refused = 0;
        for reply in calls {
            let mut reply = reply.await.unwrap();
            if reply.status() == StatusCode::SERVICE_UNAVAILABLE {
                assert!(reply.text().await.contains("does not read"));
                refused += 1;
            }
        }
        assert!(refused >= 3, "{refused}");
        assert!(rig.notes.all().contains(&Note::InputStalled { server: 1 }));
        assert_eq!(rig.bridge.counters().stalled_inputs, refused);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_reads_slowly_is_waited_for() {
    local(async {
        let mut config = BridgeConfig::new(Era::Legacy);
        config.max_input_backlog = 150;
        let between = config.write_timeout * 2 / 3;
        let (rig, mut peer) = Rig::with(config, 64);
        let session = rig.open_session(&mut peer, V).await;
        let calls: Vec<_> = (2..8).map(|id| rig.start(call(&session, &id.to_string()))).collect();
        for _ in 0..calls.len() {
            pass(between).await;
            let asked = peer.hears().await;
            peer.answers(&asked, "slow").await;
        }
        for reply in calls {
            let mut reply = reply.await.unwrap();
            let answer = if reply.is_events() { reply.event().await } else { reply.json().await };
            assert_eq!(answer["result"]["name"], "slow", "{answer}");
        }
        assert_eq!(rig.bridge.counters().stalled_inputs, 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_launch_that_fails_is_told_to_the_client() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let _session = rig.open_session(&mut peer, V).await;
        rig.launcher.fails.set(true);
        let mut reply = rig.send(initialize(1)).await;
        assert_eq!(reply.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(reply.json().await["error"]["message"], "no such program");
        assert_eq!(rig.bridge.sessions(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn draining_lets_calls_finish_and_closing_ends_the_rest() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        let reply = rig.start(call(&session, "1"));
        let heard = peer.hears().await;
        let bridge = rig.bridge.clone();
        let drained = tokio::task::spawn_local(async move { bridge.drain().await });
        settle().await;
        assert!(!drained.is_finished());
        assert_eq!(rig.send(call(&session, "2")).await.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(rig.send(initialize(3)).await.status(), StatusCode::SERVICE_UNAVAILABLE);
        peer.answers(&heard, "last").await;
        assert_eq!(reply.await.unwrap().json().await["result"]["name"], "last");
        drained.await.unwrap();
        rig.bridge.close();
        assert_eq!(peer.end_reason(), Some(EndReason::Closed));
        assert_eq!(rig.send(call(&session, "4")).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_long_answer_passes_without_being_cut() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        let reply = rig.start(call(&session, "1"));
        peer.hears().await;
        peer.says(r#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#).await;
        let long = format!(r#"{{"jsonrpc":"2.0","id":1,"result":"{}"}}"#, "é".repeat(100_000));
        peer.says(&long).await;
        let text = reply.await.unwrap().text().await;
        assert!(text.ends_with(&format!("event: message\ndata: {long}\n\n")));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_may_be_dropped_where_no_task_can_be_started() {
    let (rig, mut peer, reply) = local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        let reply = rig.start(call(&session, "1"));
        peer.hears().await;
        (rig, peer, reply.await.unwrap())
    })
    .await;
    assert!(reply.is_events());
    drop(reply);
    assert_eq!(rig.bridge.in_flight(), 1);
    rig.bridge.close();
    assert_eq!((rig.bridge.in_flight(), peer.end_reason()), (0, Some(EndReason::Closed)));
    peer.closes_output();
}

#[tokio::test(start_paused = true)]
async fn closing_reaches_a_process_that_is_still_being_asked_for_its_era() {
    local(async {
        let (rig, first) = Rig::new(Era::Auto);
        let reply = rig.start(crate::rig::modern("1", "tools/list", None, ""));
        let mut probe = rig.next_peer().await;
        probe.hears().await;
        rig.bridge.close();
        assert_eq!(
            (first.end_reason(), probe.end_reason()),
            (Some(EndReason::Closed), Some(EndReason::Closed))
        );
        assert_eq!(reply.await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_nothing_and_a_second_answer_are_dropped_and_counted() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        peer.says(r#"{"jsonrpc":"2.0","id":99,"result":{}}"#).await;
        let reply = rig.start(call(&session, "1"));
        let heard = peer.hears().await;
        peer.answers(&heard, "first").await;
        peer.answers(&heard, "second").await;
        assert_eq!(reply.await.unwrap().json().await["result"]["name"], "first");
        settle().await;
        let counters = rig.bridge.counters();
        assert_eq!((counters.stray_answers, counters.late_answers, counters.dropped_messages), (2, 0, 0));
        assert!(rig.notes.all().contains(&Note::StrayAnswer { server: 1 }));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_after_the_cancellation_is_counted_apart() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        let reply = rig.start(call(&session, "1"));
        let heard = peer.hears().await;
        let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
        rig.send(in_session(&session, cancel)).await;
        peer.hears().await;
        peer.answers(&heard, "late").await;
        peer.answers(&heard, "and again").await;
        settle().await;
        assert_eq!(reply.await.unwrap().text().await, "");
        assert_eq!((rig.bridge.counters().late_answers, rig.bridge.counters().stray_answers), (1, 1));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_floods_costs_a_bounded_amount_and_its_calls_are_still_answered() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        let reply = rig.start(call(&session, "1"));
        let heard = peer.hears().await;
        for _ in 0..5_000 {
            peer.says(r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{}}"#).await;
        }
        for id in 0..300 {
            peer.says(format!(r#"{{"jsonrpc":"2.0","id":"r{id}","method":"roots/list"}}"#)).await;
        }
        peer.answers(&heard, "still here").await;
        assert!(reply.await.unwrap().text().await.contains("still here"));
        let config = BridgeConfig::new(Era::Legacy);
        assert!(rig.bridge.tracked() <= config.max_queued_messages + config.max_server_requests);
        assert_eq!(rig.bridge.counters().dropped_messages, 5_000 - config.max_queued_messages as u64);
        assert!(peer.hears().await["error"]["message"].as_str().unwrap().contains("too many requests"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_initialize_that_is_answered_as_in_the_other_era_is_passed_on_and_noted() {
    local(async {
        for answer in [
            r#""error":{"code":-32022,"message":"?","data":{"supported":["2026-07-28"]}}"#,
            r#""error":{"code":-32601,"message":"?"}"#,
            r#""result":{"protocolVersion":"2026-07-28"}"#,
        ] {
            let (rig, mut peer) = Rig::new(Era::Legacy);
            let reply = rig.start(initialize(1));
            peer.hears().await;
            let answer = format!(r#"{{"jsonrpc":"2.0","id":1,{answer}}}"#);
            peer.says(&answer).await;
            assert_eq!(reply.await.unwrap().text().await, answer);
            assert_eq!(rig.bridge.counters().wrong_era_answers, 1);
            assert!(rig.notes.all().contains(&Note::WrongEra { server: 1 }));
        }
    })
    .await;
}
