//! Stateless clients on one shared server.

use http::StatusCode;
use roadstead_bridge::{EndReason, Era, Purpose, Ready};
use serde_json::json;

use crate::rig::{MODERN, Rig, initialize, local, modern, plain, post, settle, with};

#[tokio::test(start_paused = true)]
async fn clients_with_the_same_id_and_token_get_their_own_answers_and_progress() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Modern);
        let token = r#","progressToken":"p""#;
        let one = rig.start(modern("1", "tools/call", Some("a"), token));
        let two = rig.start(modern("1", "tools/call", Some("b"), token));
        let three = rig.start(modern("\"1\"", "tools/list", None, ""));
        let (a, b, c) = (peer.hears().await, peer.hears().await, peer.hears().await);
        assert!(a["id"] != b["id"] && b["id"] != c["id"]);
        let sent = &b["params"]["_meta"]["progressToken"];
        assert!(sent.is_number(), "{b}");
        peer.says(format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{sent},"progress":1}}}}"#
        ))
        .await;
        let mut two = two.await.unwrap();
        assert_eq!(two.event().await["params"], json!({"progressToken": "p", "progress": 1}));
        peer.says(format!(r#"{{"result":{{"resultType":"input_required","big":12345678901234567890123}},"id":{},"jsonrpc":"2.0"}}"#, c["id"])).await;
        assert_eq!(
            three.await.unwrap().text().await,
            r#"{"result":{"resultType":"input_required","big":12345678901234567890123},"id":"1","jsonrpc":"2.0"}"#
        );
        peer.answers(&b, "b").await;
        peer.answers(&a, "a").await;
        assert_eq!(two.event().await, json!({"jsonrpc": "2.0", "id": 1, "result": {"name": "b"}}));
        assert_eq!(one.await.unwrap().json().await["result"]["name"], "a");
        drop(two);
        assert_eq!((rig.bridge.in_flight(), rig.bridge.tracked(), rig.launcher.opens.get()), (0, 0, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_hangs_up_cancels_its_call_under_the_servers_id() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Modern);
        let held = rig.start(modern("\"mine\"", "tools/call", Some("a"), ""));
        let heard = peer.hears().await;
        held.abort();
        let cancel = peer.hears().await;
        assert_eq!(
            (&cancel["method"], &cancel["params"]["requestId"]),
            (&json!("notifications/cancelled"), &heard["id"])
        );
        let slow = rig.start(modern("2", "tools/call", Some("a"), ""));
        let heard = peer.hears().await;
        let streaming = slow.await.unwrap();
        assert!(streaming.is_events());
        drop(streaming);
        assert_eq!(peer.hears().await["params"]["requestId"], heard["id"]);
        peer.answers(&heard, "late").await;
        settle().await;
        assert_eq!((rig.bridge.in_flight(), rig.bridge.tracked()), (0, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn headers_and_body_have_to_agree() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Modern);
        let good = || modern("1", "tools/call", Some("a"), "");
        let cases: [(&[(&'static str, &str)], i64); 3] = [
            (&[("mcp-protocol-version", "2027-01-01")], -32020),
            (&[("mcp-method", "tools/list")], -32020),
            (&[("mcp-name", "b")], -32020),
        ];
        for (headers, code) in cases {
            let mut reply = rig.send(with(good(), headers)).await;
            assert_eq!(reply.status(), StatusCode::BAD_REQUEST, "{headers:?}");
            let error = reply.json().await;
            assert_eq!((&error["error"]["code"], &error["id"]), (&json!(code), &json!(1)));
        }
        let mut unnamed = good();
        unnamed.headers_mut().remove("mcp-name");
        assert_eq!(rig.send(unnamed).await.json().await["error"]["code"], -32020);
        let bare = with(post(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#), &[("mcp-protocol-version", MODERN)]);
        assert_eq!(rig.send(bare).await.json().await["error"]["code"], -32602);
        let old = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2031-01-01","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
        let newer = with(post(old), &[("mcp-protocol-version", "2031-01-01"), ("mcp-method", "tools/list")]);
        let error = rig.send(newer).await.json().await;
        assert_eq!((&error["error"]["code"], &error["error"]["data"]["supported"]), (&json!(-32022), &json!([MODERN])));
        let reply = rig.start(with(good(), &[("mcp-name", "=?base64?YQ==?="), ("mcp-session-id", "ignored")]));
        assert_eq!(peer.hears().await["method"], "tools/call", "the first thing the server hears");
        reply.abort();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn error_codes_of_the_server_become_statuses() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Modern);
        for (code, status) in [(-32601, 404), (-32021, 400), (-32022, 400), (-32602, 200), (-1, 200)] {
            let reply = rig.start(modern("1", "tools/list", None, ""));
            let id = peer.hears().await["id"].clone();
            peer.says(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":"m"}}}}"#))
                .await;
            let reply = reply.await.unwrap();
            assert_eq!(reply.status().as_u16(), status, "{code}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn there_are_no_sessions_and_no_handshake() {
    local(async {
        let (rig, mut peer) = Rig::strict(Era::Modern);
        for method in ["GET", "DELETE"] {
            let reply = rig.send(plain(method, "any")).await;
            assert_eq!((reply.status(), reply.header("allow").as_deref()), (StatusCode::METHOD_NOT_ALLOWED, Some("POST")));
        }
        let discovered = async {
            let asked = peer.hears().await;
            assert_eq!(asked["method"], "server/discover");
            let id = &asked["id"];
            peer.says(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"supportedVersions":["2026-07-28","2027-01-01"]}}}}"#)).await;
        };
        let patience = std::time::Duration::from_secs(9);
        let (ready, ()) = tokio::join!(rig.bridge.ready(patience), discovered);
        assert_eq!(ready, Ok(Ready::AnsweredDiscover));
        let mut refused = rig.send(initialize(1)).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
        assert_eq!(refused.json().await["error"]["data"]["supported"], json!(["2026-07-28", "2027-01-01"]));
        let mut modern_hello = rig.send(with(initialize(1), &[("mcp-protocol-version", MODERN)])).await;
        assert_eq!(modern_hello.status(), StatusCode::NOT_FOUND);
        assert_eq!(modern_hello.json().await["error"]["code"], -32601);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn messages_of_a_subscription_carry_the_clients_own_id() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Modern);
        let listen = rig.start(modern("\"sub\"", "subscriptions/listen", None, ""));
        let number = peer.hears().await["id"].clone();
        let tag = format!(r#""_meta":{{"io.modelcontextprotocol/subscriptionId":{number}}}"#);
        peer.says(format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{{{tag}}}}}"#
        ))
        .await;
        let mut listen = listen.await.unwrap();
        let subscription = |message: &serde_json::Value, holder: &str| {
            message[holder]["_meta"]["io.modelcontextprotocol/subscriptionId"].clone()
        };
        assert_eq!(subscription(&listen.event().await, "params"), "sub");
        assert_eq!(rig.bridge.in_flight(), 0, "nobody waits for a subscription to end");
        peer.says(format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{{{tag}}}}}"#
        ))
        .await;
        assert_eq!(subscription(&listen.event().await, "params"), "sub");
        peer.says(format!(r#"{{"jsonrpc":"2.0","id":{number},"result":{{{tag}}}}}"#)).await;
        let end = listen.event().await;
        assert_eq!((&end["id"], subscription(&end, "result")), (&json!("sub"), json!("sub")));
        assert_eq!(listen.part().await, None);

        let listen = rig.start(modern("1", "subscriptions/listen", None, ""));
        peer.hears().await;
        let mut listen = listen.await.unwrap();
        rig.bridge.drain().await;
        assert_eq!(listen.part().await, None);
        assert_eq!(peer.hears().await["method"], "notifications/cancelled");
        drop(listen);
        assert_eq!(rig.bridge.tracked(), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn logs_reach_only_a_call_that_asked_for_them() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Modern);
        let quiet = rig.start(modern("1", "tools/list", None, ""));
        let heard = peer.hears().await;
        let loud =
            rig.start(modern("2", "tools/list", None, r#","io.modelcontextprotocol/logLevel":"info""#));
        let loud_heard = peer.hears().await;
        peer.says(r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info"}}"#).await;
        let mut loud = loud.await.unwrap();
        assert_eq!(loud.event().await["method"], "notifications/message");
        peer.answers(&heard, "q").await;
        peer.answers(&loud_heard, "l").await;
        assert!(!quiet.await.unwrap().is_events());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_request_of_the_server_is_answered_for_the_client() {
    local(async {
        let (_rig, mut peer) = Rig::new(Era::Modern);
        peer.says(r#"{"jsonrpc":"2.0","id":5,"method":"roots/list"}"#).await;
        let refusal = peer.hears().await;
        assert_eq!((&refusal["id"], &refusal["error"]["code"]), (&json!(5), &json!(-32601)));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn notifications_are_accepted_and_a_foreign_cancel_reaches_nobody() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Modern);
        let send = |method: &'static str| {
            let body = format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{{"requestId":1}}}}"#);
            with(post(body), &[("mcp-protocol-version", MODERN), ("mcp-method", method)])
        };
        assert_eq!(rig.send(send("notifications/cancelled")).await.status(), StatusCode::ACCEPTED);
        assert_eq!(rig.send(send("notifications/other")).await.status(), StatusCode::ACCEPTED);
        assert_eq!(peer.hears().await["method"], "notifications/other");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_fresh_server_serves_the_call_after_a_death() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Modern);
        let reply = rig.start(modern("\"x\"", "tools/list", None, ""));
        peer.hears().await;
        peer.exits("signal 9");
        let error = reply.await.unwrap().json().await;
        assert_eq!((&error["id"], &error["error"]["code"]), (&json!("x"), &json!(-32603)));
        assert_eq!(peer.is_ended().await, EndReason::Exited);
        let reply = rig.start(modern("1", "tools/list", None, ""));
        let mut next = rig.next_peer().await;
        assert_eq!(next.purpose, Some(Purpose::ModernShared));
        let heard = next.hears().await;
        next.answers(&heard, "again").await;
        assert_eq!(reply.await.unwrap().json().await["result"]["name"], "again");
    })
    .await;
}
