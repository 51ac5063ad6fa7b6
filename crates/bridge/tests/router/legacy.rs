//! Clients with sessions.

use http::StatusCode;
use roadstead_bridge::{BridgeConfig, EndReason, Era, Purpose, Ready, Via};
use serde_json::json;

use crate::rig::{Rig, call, in_session, initialize, local, pass, plain, post, settle, with};

const V: &str = "2025-11-25";

#[tokio::test(start_paused = true)]
async fn a_client_initializes_calls_and_gets_plain_json() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Auto);
        let session = rig.open_session(&mut peer, V).await;
        assert_eq!(session.len(), 32);
        let note =
            rig.send(in_session(&session, r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)).await;
        assert_eq!(note.status(), StatusCode::ACCEPTED);
        assert_eq!(peer.hears().await["method"], "notifications/initialized");
        let reply = rig.start(call(&session, "7"));
        let heard = peer.hears().await;
        assert_eq!(rig.bridge.in_flight(), 1);
        peer.answers(&heard, "seven").await;
        let mut reply = reply.await.unwrap();
        assert_eq!(reply.header("content-type").as_deref(), Some("application/json"));
        assert_eq!(reply.json().await, json!({"jsonrpc": "2.0", "id": 7, "result": {"name": "seven"}}));
        drop(reply);
        assert_eq!((rig.bridge.in_flight(), rig.bridge.tracked(), rig.launcher.opens.get()), (0, 0, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn nothing_of_a_message_is_changed_on_its_way() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        let body = r#"{"zz":1e400 ,"jsonrpc":"2.0","params":{"n":123456789012345678901234567890,"b":1,"a":"\u0041\u2028"},"id":"q","method":"tools\/call"}"#;
        let reply = rig.start(in_session(&session, body));
        assert_eq!(peer.hears_raw().await, body);
        let answer = r#"{"result":{"z":9007199254740993,"a":[1.10,{"unknown":null}]},"extra":true,"id":"\u0071","jsonrpc":"2.0"}"#;
        peer.says(answer).await;
        assert_eq!(reply.await.unwrap().text().await, answer);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_pretty_printed_body_becomes_one_line() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        let body = "{\r\n  \"jsonrpc\": \"2.0\",\n  \"id\": 3,\n  \"method\": \"ping\"\n}";
        let reply = rig.start(in_session(&session, body));
        assert_eq!(peer.hears().await, json!({"jsonrpc": "2.0", "id": 3, "method": "ping"}));
        peer.says(r#"{"jsonrpc":"2.0","id":3,"result":{}}"#).await;
        assert_eq!(reply.await.unwrap().status(), StatusCode::OK);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_number_and_the_same_text_as_ids_of_two_sessions_do_not_meet() {
    local(async {
        let (rig, mut one) = Rig::new(Era::Legacy);
        let first = rig.open_session(&mut one, V).await;
        let reply = rig.start(initialize(1));
        let mut two = rig.next_peer().await;
        assert_eq!(two.purpose, Some(Purpose::LegacySession));
        let hello = two.hears().await;
        two.answers(&hello, "two").await;
        let second = reply.await.unwrap().header("mcp-session-id").unwrap();
        assert_ne!(first, second);
        assert_eq!(rig.bridge.sessions(), 2);

        let number = rig.start(call(&first, "1"));
        let text = rig.start(call(&second, "\"1\""));
        let text_too = rig.start(call(&first, "\"1\""));
        let (a, b) = (one.hears().await, one.hears().await);
        one.answers(&b, "text of one").await;
        one.answers(&a, "number of one").await;
        let heard = two.hears().await;
        two.answers(&heard, "text of two").await;
        assert_eq!(number.await.unwrap().json().await["result"]["name"], "number of one");
        assert_eq!(text_too.await.unwrap().json().await["result"]["name"], "text of one");
        assert_eq!(text.await.unwrap().json().await["result"]["name"], "text of two");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_id_in_use_is_refused() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        let reply = rig.start(call(&session, "5"));
        let heard = peer.hears().await;
        let mut again = rig.send(call(&session, "5")).await;
        assert_eq!(again.status(), StatusCode::BAD_REQUEST);
        assert_eq!(again.json().await["error"]["code"], -32600);
        peer.answers(&heard, "first").await;
        assert_eq!(reply.await.unwrap().json().await["result"]["name"], "first");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn sessions_that_are_missing_unknown_or_ended_are_told_apart() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        assert_eq!(rig.send(post(ping)).await.status(), StatusCode::BAD_REQUEST);
        assert_eq!(rig.send(in_session("nobody", ping)).await.status(), StatusCode::NOT_FOUND);
        assert_eq!(rig.send(plain("DELETE", "nobody")).await.status(), StatusCode::NOT_FOUND);
        let mut deleted = rig.send(plain("DELETE", &session)).await;
        assert_eq!((deleted.status(), deleted.text().await), (StatusCode::NO_CONTENT, String::new()));
        assert_eq!(peer.is_ended().await, EndReason::SessionDeleted);
        assert_eq!(rig.send(in_session(&session, ping)).await.status(), StatusCode::NOT_FOUND);
        assert_eq!(rig.send(plain("GET", &session)).await.status(), StatusCode::NOT_FOUND);
        assert_eq!(rig.bridge.sessions(), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_http_forbids_is_refused_before_a_server_hears_of_it() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        let ping = || in_session(&session, r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
        let mut foreign = rig.send(with(ping(), &[("origin", "https://evil.example")])).await;
        assert_eq!(foreign.status(), StatusCode::FORBIDDEN);
        let error = foreign.json().await;
        assert!(error.get("id").is_none() && error["error"]["message"].is_string());
        let cases: [(&[(&'static str, &str)], StatusCode); 4] = [
            (&[("host", "evil.example")], StatusCode::FORBIDDEN),
            (&[("content-type", "text/plain")], StatusCode::UNSUPPORTED_MEDIA_TYPE),
            (&[("accept", "text/html")], StatusCode::NOT_ACCEPTABLE),
            (&[("mcp-protocol-version", "1999-01-01")], StatusCode::BAD_REQUEST),
        ];
        for (headers, status) in cases {
            assert_eq!(rig.send(with(ping(), headers)).await.status(), status, "{headers:?}");
        }
        for body in
            ["{", "[]", "3", "{}", r#"{"id":1,"method":"ping"}"#, r#"{"jsonrpc":"2.0","id":{},"method":"x"}"#]
        {
            assert_eq!(
                rig.send(in_session(&session, body)).await.status(),
                StatusCode::BAD_REQUEST,
                "{body}"
            );
        }
        let through_gateway = with(plain("PUT", &session), &[("host", "mcp.example.com")]);
        let reply = rig.bridge.handle(through_gateway, Via::Gateway).await;
        assert_eq!(reply.status(), StatusCode::METHOD_NOT_ALLOWED, "the gateway has looked at the host");
        assert_eq!(
            rig.send(plain("PUT", &session)).await.header("allow").as_deref(),
            Some("GET, POST, DELETE")
        );
        let reply =
            rig.start(with(ping(), &[("origin", "http://localhost:5173"), ("mcp-protocol-version", V)]));
        assert_eq!(peer.hears().await["method"], "ping", "the first thing the server hears");
        drop(reply);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_split_where_the_revision_has_batches_and_refused_elsewhere() {
    local(async {
        let batch = r#"[{"jsonrpc":"2.0","id":1,"method":"a"},{"jsonrpc":"2.0","method":"n"},{"jsonrpc":"2.0","id":"1","method":"b"}]"#;
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, "2025-03-26").await;
        let reply = rig.start(with(in_session(&session, batch), &[("accept", "application/json")]));
        let (a, n, b) = (peer.hears().await, peer.hears().await, peer.hears().await);
        assert_eq!((&a["method"], &n["method"], &b["method"]), (&json!("a"), &json!("n"), &json!("b")));
        peer.answers(&b, "b").await;
        peer.answers(&a, "a").await;
        let answers = reply.await.unwrap().json().await;
        assert_eq!(answers[0]["id"], "1");
        assert_eq!(answers[1]["id"], 1);

        let mut events = rig.send(in_session(&session, batch)).await;
        let (a, _, b) = (peer.hears().await, peer.hears().await, peer.hears().await);
        peer.answers(&a, "a").await;
        assert_eq!(events.event().await["id"], 1);
        peer.answers(&b, "b").await;
        assert_eq!(events.event().await["id"], "1");
        assert_eq!(events.part().await, None);

        let only_notes = rig.send(in_session(&session, r#"[{"jsonrpc":"2.0","method":"n"}]"#)).await;
        assert_eq!(only_notes.status(), StatusCode::ACCEPTED);
        for bad in ["[]", "[1]", r#"[{"jsonrpc":"2.0","id":1,"method":"initialize"}]"#] {
            assert_eq!(rig.send(in_session(&session, bad)).await.status(), StatusCode::BAD_REQUEST, "{bad}");
        }

        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        assert_eq!(rig.send(in_session(&session, batch)).await.status(), StatusCode::BAD_REQUEST);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn sessions_run_out_and_a_quiet_one_gives_way_after_its_time() {
    local(async {
        let mut config = BridgeConfig::new(Era::Legacy);
        config.max_sessions = 1;
        let quiet = config.session_reclaim_after;
        let (rig, mut peer) = Rig::with(config, 65536);
        let old = rig.open_session(&mut peer, V).await;
        let mut refused = rig.send(initialize(9)).await;
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
        assert!(refused.header("retry-after").is_some());
        let error = refused.json().await;
        assert_eq!(
            (&error["error"]["data"]["code"], &error["id"]),
            (&json!("SESSIONS_EXHAUSTED"), &json!(9))
        );

        pass(quiet).await;
        let reply = rig.start(initialize(1));
        assert_eq!(peer.is_ended().await, EndReason::SessionReclaimed);
        let mut next = rig.next_peer().await;
        let hello = next.hears().await;
        next.answers(&hello, "new").await;
        assert_eq!(reply.await.unwrap().status(), StatusCode::OK);
        assert_eq!(rig.send(call(&old, "1")).await.status(), StatusCode::NOT_FOUND);
        assert_eq!(rig.bridge.sessions(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_or_abandoned_initialize_leaves_no_session() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let reply = rig.start(initialize(1));
        peer.hears().await;
        peer.says(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no"}}"#).await;
        let reply = reply.await.unwrap();
        assert!(reply.header("mcp-session-id").is_none());
        assert_eq!(peer.is_ended().await, EndReason::NotInitialized);

        let reply = rig.start(initialize(1));
        let mut second = rig.next_peer().await;
        second.hears().await;
        reply.abort();
        assert_eq!(second.is_ended().await, EndReason::NotInitialized);
        settle().await;
        assert_eq!((rig.bridge.sessions(), rig.bridge.tracked(), rig.bridge.in_flight()), (0, 0, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_leaves_the_tables_and_its_late_answer_is_ignored() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        let reply = rig.start(call(&session, "4"));
        let heard = peer.hears().await;
        let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":4}}"#;
        assert_eq!(rig.send(in_session(&session, cancel)).await.status(), StatusCode::ACCEPTED);
        assert_eq!(peer.hears_raw().await, cancel);
        assert_eq!(reply.await.unwrap().text().await, "");
        assert_eq!((rig.bridge.in_flight(), rig.bridge.tracked()), (0, 0));
        peer.answers(&heard, "late").await;
        // A second wish to cancel is about nothing, so the server does not hear of it.
        rig.send(in_session(&session, cancel)).await;
        let reply = rig.start(call(&session, "4"));
        let heard = peer.hears().await;
        assert_eq!(heard["method"], "tools/call");
        peer.answers(&heard, "in time").await;
        assert_eq!(reply.await.unwrap().json().await["result"]["name"], "in time");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_server_is_ready_when_it_answers_a_ping_in_any_way_or_outlives_its_silence() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Auto);
        let patience = std::time::Duration::from_secs(30);
        let answered = async {
            let ping = peer.hears().await;
            assert_eq!(ping["method"], "ping");
            let id = &ping["id"];
            peer.says(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32601,"message":"?"}}}}"#))
                .await;
        };
        let (ready, ()) = tokio::join!(rig.bridge.ready(patience), answered);
        assert_eq!(ready, Ok(Ready::AnsweredPing));
        assert_eq!(rig.bridge.tracked(), 0);

        let (rig, _silent) = Rig::new(Era::Legacy);
        assert_eq!(rig.bridge.ready(patience).await, Ok(Ready::SilentButAlive));
        assert_eq!((rig.bridge.tracked(), rig.bridge.in_flight()), (0, 0));

        let (rig, mut dying) = Rig::new(Era::Legacy);
        dying.exits("exit code 2");
        assert_eq!(rig.bridge.ready(patience).await, Err(roadstead_bridge::ReadyFailure::Ended));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_works_in_silence_is_waited_for() {
    local(async {
        let patience = std::time::Duration::from_secs(30);
        let millis = std::time::Duration::from_millis;
        // It takes three seconds to load, and then does nothing.
        let (rig, _silent) = Rig::new(Era::Legacy);
        let began = tokio::time::Instant::now();
        rig.launcher.works.set(Some((began, millis(3_000))));
        assert_eq!(rig.bridge.ready(patience).await, Ok(Ready::SilentButAlive));
        assert_eq!(began.elapsed(), millis(3_500));
        assert_eq!(rig.bridge.tracked(), 0);

        // It works all the time, and answers at last.
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let began = tokio::time::Instant::now();
        rig.launcher.works.set(Some((began, millis(60_000))));
        let answered = async {
            let ping = peer.hears().await;
            for _ in 0..11 {
                pass(millis(500)).await;
            }
            peer.answers(&ping, "late").await;
        };
        let (ready, ()) = tokio::join!(rig.bridge.ready(patience), answered);
        assert_eq!((ready, began.elapsed().as_millis() / 100), (Ok(Ready::AnsweredPing), 55));

        // It works, and never says a word: its time is over at some time.
        let (rig, _busy) = Rig::new(Era::Legacy);
        let began = tokio::time::Instant::now();
        rig.launcher.works.set(Some((began, millis(600_000))));
        assert_eq!(rig.bridge.ready(patience).await, Ok(Ready::SilentButAlive));
        assert_eq!(began.elapsed().as_secs(), 30);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_initialize_is_never_cancelled_by_its_client() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, V).await;
        let cancel = |id: u64| {
            format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#)
        };
        assert_eq!(rig.send(in_session(&session, cancel(1))).await.status(), StatusCode::ACCEPTED);
        assert_eq!(rig.send(in_session(&session, cancel(5))).await.status(), StatusCode::ACCEPTED);
        let reply = rig.start(call(&session, "2"));
        assert_eq!(peer.hears().await["method"], "tools/call", "the first thing the server hears");
        drop(reply);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn any_revision_with_sessions_may_be_named_in_the_header_and_no_other() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, "2025-06-18").await;
        let note = || in_session(&session, r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        for version in ["2025-06-18", "2025-11-25", "2024-11-05"] {
            let named = rig.send(with(note(), &[("mcp-protocol-version", version)])).await;
            assert_eq!(named.status(), StatusCode::ACCEPTED, "{version}");
            peer.hears().await;
        }
        for version in ["2025-06-19", "latest", ""] {
            let named = rig.send(with(note(), &[("mcp-protocol-version", version)])).await;
            assert_eq!(named.status(), StatusCode::BAD_REQUEST, "{version}");
            let get = with(plain("GET", &session), &[("mcp-protocol-version", version)]);
            assert_eq!(rig.send(get).await.status(), StatusCode::BAD_REQUEST, "{version}");
        }
    })
    .await;
}
