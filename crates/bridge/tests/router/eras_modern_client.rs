//! Modern clients in front of legacy servers: calls, subscriptions, logs, ends.

use http::StatusCode;
use roadstead_bridge::{BridgeConfig, EndReason, Era, Note, Purpose};
use serde_json::{Value, json};

use crate::events::Events;
use crate::modern_caller::{ALL, agrees, called, greet, listen, request, retry, tool};
use crate::rig::{MODERN, Rig, local, settle};

#[tokio::test(start_paused = true)]
async fn discovery_is_answered_from_the_handshake_of_the_server() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let reply = rig.start(request("\"d\"", "server/discover", ALL, "a", "", ""));
        let hello = greet(&mut peer).await;
        assert_eq!(
            hello["params"],
            json!({"protocolVersion": "2025-11-25", "capabilities": {"sampling": {}, "elicitation": {"form": {}, "url": {}}, "roots": {}}, "clientInfo": {"name": "a", "version": "1"}})
        );
        let answer = reply.await.unwrap().json().await;
        assert_eq!(answer["id"], "d");
        assert_eq!(
            answer["result"],
            json!({
                "resultType": "complete", "supportedVersions": [MODERN],
                "capabilities": {"logging": {}, "completions": {}, "tools": {"listChanged": true}, "resources": {"subscribe": true, "listChanged": true}},
                "instructions": "be kind", "ttlMs": 0, "cacheScope": "private",
                "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "old", "version": "3"}}
            })
        );
        assert_eq!(rig.launcher.opens.get(), 0, "the process started at launch serves");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn calls_reach_the_server_in_its_own_words_and_results_come_back_complete() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let token = r#","progressToken":"p","traceparent":"t""#;
        let one = rig.start(request("1", "tools/call", "{}", "a", r#""name":"x","arguments":{"n":12345678901234567890123}"#, token));
        let two = rig.start(request("\"1\"", "tools/list", "{}", "a", "", ""));
        greet(&mut peer).await;
        let raw = peer.hears_raw().await;
        assert!(raw.contains(r#""arguments":{"n":12345678901234567890123}"#), "{raw}");
        let call: Value = serde_json::from_str(&raw).unwrap();
        let meta = &call["params"]["_meta"];
        assert_eq!(meta, &json!({"traceparent": "t", "progressToken": call["id"]}));
        let list = peer.hears().await;
        assert!(list["params"].get("_meta").is_none(), "{list}");
        peer.says(format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{meta},"progress":1}}}}"#,
            meta = meta["progressToken"]
        ))
        .await;
        let mut one = Events::of(one.await.unwrap());
        assert_eq!(one.event().await["params"], json!({"progressToken": "p", "progress": 1}));
        peer.says(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{"tools":[],"big":1.50e3}}}}"#, list["id"])).await;
        let text = two.await.unwrap().text().await;
        assert!(text.contains(r#""id":"1""#) && text.contains(r#""big":1.50e3,"resultType":"complete","ttlMs":0,"cacheScope":"private""#), "{text}");
        peer.answers(&call, "done").await;
        let result = one.event().await["result"].clone();
        assert_eq!((&result["name"], &result["resultType"]), (&json!("done"), &json!("complete")));
        assert!(result.get("ttlMs").is_none(), "the result of a call is not cacheable");
        drop(one);
        assert_eq!((rig.bridge.in_flight(), rig.bridge.tracked()), (0, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn each_client_identity_has_a_process_and_quiet_ones_give_way() {
    local(async {
        let mut config = BridgeConfig::new(Era::Legacy);
        config.max_bridged_servers = 2;
        let (rig, mut first) = Rig::with(config, 65536);
        let list = |id: &str, who: &str, can: &str| request(id, "tools/list", can, who, "", "");
        let reply = rig.start(list("1", "a", "{}"));
        greet(&mut first).await;
        let heard = first.hears().await;
        let same = rig.start(list("1", "a", "{}"));
        let also = first.hears().await;
        first.answers(&heard, "a").await;
        first.answers(&also, "a").await;
        assert_eq!(reply.await.unwrap().json().await["result"]["name"], "a");
        assert_eq!(same.await.unwrap().json().await["result"]["name"], "a");
        let busy = rig.start(list("1", "a", ALL));
        let mut second = rig.next_peer().await;
        assert_eq!(second.purpose, Some(Purpose::LegacySession));
        greet(&mut second).await;
        second.hears().await;
        let third = rig.start(list("1", "b", "{}"));
        let mut fresh = rig.next_peer().await;
        assert_eq!(first.is_ended().await, EndReason::SessionReclaimed);
        greet(&mut fresh).await;
        fresh.hears().await;
        let mut refused = rig.send(list("1", "c", "{}")).await;
        assert_eq!(refused.json().await["error"]["code"], -32603);
        drop((busy, third));
        assert_eq!(rig.launcher.opens.get(), 2);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_hangs_up_cancels_its_call_at_the_legacy_server() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let (reply, call) = called(&rig, &mut peer).await;
        reply.abort();
        let cancel = peer.hears().await;
        assert_eq!(
            (&cancel["method"], &cancel["params"]["requestId"]),
            (&json!("notifications/cancelled"), &call["id"])
        );
        // So does one that leaves while its retry runs.
        let reply = rig.start(tool("2", ""));
        let call = peer.hears().await;
        peer.says(r#"{"jsonrpc":"2.0","id":1,"method":"roots/list"}"#).await;
        let state = reply.await.unwrap().json().await["result"]["requestState"].clone();
        let again = rig.start(retry("3", &state, r#"{"input-1":{"roots":[]}}"#));
        peer.hears().await;
        again.abort();
        assert_eq!(peer.hears().await["params"]["requestId"], call["id"]);
        peer.answers(&call, "late").await;
        settle().await;
        assert_eq!((rig.bridge.in_flight(), rig.bridge.tracked()), (0, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn error_codes_of_the_older_revision_become_modern_ones() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let cases = [(-32002, -32602, 200), (-32601, -32601, 404), (-32022, -32603, 200), (-5, -5, 200)];
        for (at, (theirs, ours, status)) in cases.into_iter().enumerate() {
            let reply = rig.start(request("1", "resources/read", "{}", "a", r#""uri":"u""#, ""));
            if at == 0 {
                greet(&mut peer).await;
            }
            let id = peer.hears().await["id"].clone();
            peer.says(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{theirs},"message":"m","data":{{"uri":"u"}}}}}}"#)).await;
            let mut reply = reply.await.unwrap();
            assert_eq!(reply.status().as_u16(), status, "{theirs}");
            assert_eq!(reply.json().await["error"], json!({"code": ours, "message": "m", "data": {"uri": "u"}}));
        }
        for method in ["ping", "logging/setLevel", "resources/subscribe", "tasks/get"] {
            let mut reply = rig.send(request("1", method, "{}", "a", "", "")).await;
            assert_eq!((reply.status(), reply.json().await["error"]["code"].clone()), (StatusCode::NOT_FOUND, json!(-32601)));
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn logs_come_only_for_calls_that_asked_and_at_their_level() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let log = |level: &str| format!(r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"level":"{level}","data":"{level}"}}}}"#);
        let quiet = rig.start(request("1", "tools/call", "{}", "a", r#""name":"x""#, ""));
        greet(&mut peer).await;
        let call = peer.hears().await;
        peer.says(log("error")).await;
        peer.answers(&call, "q").await;
        assert!(!quiet.await.unwrap().is_events());
        let level = r#","io.modelcontextprotocol/logLevel":"warning""#;
        let loud = rig.start(request("2", "tools/call", "{}", "a", r#""name":"x""#, level));
        let set = peer.hears().await;
        assert_eq!((&set["method"], &set["params"]), (&json!("logging/setLevel"), &json!({"level": "warning"})));
        peer.says(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#, set["id"])).await;
        let call = peer.hears().await;
        peer.says(log("info")).await;
        peer.says(log("error")).await;
        peer.answers(&call, "l").await;
        let mut loud = Events::of(loud.await.unwrap());
        assert_eq!(loud.event().await["params"]["level"], "error");
        assert_eq!(loud.event().await["result"]["name"], "l");
        let wrong = r#","io.modelcontextprotocol/logLevel":"loud""#;
        let mut refused = rig.send(request("3", "tools/list", "{}", "a", "", wrong)).await;
        assert_eq!(refused.json().await["error"]["code"], -32602);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_subscription_is_acknowledged_first_filtered_tagged_and_taken_back_at_the_end() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let filter = r#"{"toolsListChanged":true,"promptsListChanged":true,"resourceSubscriptions":["file:///a"]}"#;
        let one = rig.start(listen("\"s\"", filter));
        greet(&mut peer).await;
        let asked = peer.hears().await;
        assert_eq!((&asked["method"], &asked["params"]), (&json!("resources/subscribe"), &json!({"uri": "file:///a"})));
        // It has changed before the server has even agreed.
        peer.says(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#).await;
        settle().await;
        peer.says(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#, asked["id"])).await;
        let mut one = Events::of(one.await.unwrap());
        let tag = json!({"io.modelcontextprotocol/subscriptionId": "s"});
        let first = one.event().await;
        assert_eq!(first["method"], "notifications/subscriptions/acknowledged");
        assert_eq!(
            first["params"],
            json!({"notifications": {"toolsListChanged": true, "resourceSubscriptions": ["file:///a"]}, "_meta": tag})
        );
        assert_eq!(one.event().await["method"], "notifications/tools/list_changed");
        let two = rig.start(listen("2", r#"{"resourceSubscriptions":["file:///a"]}"#)).await.unwrap();
        let mut two = Events::of(two);
        assert_eq!(two.event().await["method"], "notifications/subscriptions/acknowledged");
        peer.says(r#"{"jsonrpc":"2.0","method":"notifications/resources/list_changed"}"#).await;
        peer.says(r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"file:///a"}}"#).await;
        let updated = one.event().await;
        assert_eq!(updated["params"], json!({"uri": "file:///a", "_meta": tag}));
        assert_eq!(two.event().await["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 2);
        drop(one);
        settle().await;
        drop(two);
        assert_eq!(agrees(&mut peer, "resources/unsubscribe").await, "file:///a");
        settle().await;
        assert_eq!(rig.bridge.tracked(), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ends_answers_its_calls_and_ends_its_subscriptions() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let subscription = rig.start(listen("1", r#"{"toolsListChanged":true}"#));
        greet(&mut peer).await;
        let mut subscription = Events::of(subscription.await.unwrap());
        subscription.event().await;
        let parked = rig.start(request("2", "tools/call", "{}", "a", r#""name":"x""#, ""));
        peer.hears().await;
        peer.exits("signal 9");
        let error = parked.await.unwrap().json().await;
        assert_eq!((&error["id"], &error["error"]["code"]), (&json!(2), &json!(-32603)));
        assert_eq!(subscription.next().await, None);
        let next = rig.start(request("3", "tools/list", "{}", "a", "", ""));
        let mut fresh = rig.next_peer().await;
        greet(&mut fresh).await;
        let heard = fresh.hears().await;
        fresh.answers(&heard, "again").await;
        assert_eq!(next.await.unwrap().json().await["result"]["name"], "again");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_handshake_is_said_and_tried_again_by_the_next_request() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let reply = rig.start(request("1", "tools/list", "{}", "a", "", ""));
        let hello = peer.hears().await;
        peer.says(format!(
            r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":-32602,"message":"no key"}}}}"#,
            hello["id"]
        ))
        .await;
        let error = reply.await.unwrap().json().await["error"].clone();
        assert_eq!(error["code"], -32603);
        assert!(error["message"].as_str().unwrap().contains("no key"));
        assert_eq!(peer.is_ended().await, EndReason::NotInitialized);
        let reply = rig.start(request("1", "tools/list", "{}", "a", "", ""));
        let mut fresh = rig.next_peer().await;
        greet(&mut fresh).await;
        let heard = fresh.hears().await;
        fresh.answers(&heard, "now").await;
        assert_eq!(reply.await.unwrap().json().await["result"]["name"], "now");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_server_silent_to_discover_serves_modern_clients_by_another_process() {
    local(async {
        let (rig, mut first) = Rig::new(Era::Auto);
        let reply = rig.start(request("1", "tools/list", "{}", "a", "", ""));
        let mut probe = rig.next_peer().await;
        assert_eq!(probe.hears().await["method"], "server/discover");
        greet(&mut first).await;
        let heard = first.hears().await;
        first.answers(&heard, "old").await;
        assert_eq!(reply.await.unwrap().json().await["result"]["name"], "old");
        assert_eq!(probe.is_ended().await, EndReason::NotModern);
        assert!(
            !rig.notes.all().iter().any(|note| matches!(note, Note::EraFound { .. })),
            "a server that has never been timed may just be slow"
        );
        rig.bridge.close();
        assert_eq!(first.is_ended().await, EndReason::Closed);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn logs_of_one_client_never_reach_another() {
    local(async {
        let (rig, mut one) = Rig::new(Era::Legacy);
        let level = r#","io.modelcontextprotocol/logLevel":"debug""#;
        let tool = |who: &str| request("1", "tools/call", "{}", who, r#""name":"x""#, level);
        let first = rig.start(tool("a"));
        greet(&mut one).await;
        agrees(&mut one, "logging/setLevel").await;
        let call = one.hears().await;
        let second = rig.start(tool("b"));
        let mut two = rig.next_peer().await;
        greet(&mut two).await;
        agrees(&mut two, "logging/setLevel").await;
        let other = two.hears().await;
        two.says(
            r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"b"}}"#,
        )
        .await;
        settle().await;
        one.answers(&call, "a").await;
        assert!(!first.await.unwrap().is_events());
        let mut second = Events::of(second.await.unwrap());
        assert_eq!(second.event().await["params"]["data"], "b");
        two.answers(&other, "b").await;
        assert_eq!(second.event().await["result"]["name"], "b");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn draining_ends_subscriptions_and_closing_ends_every_process() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let subscription = rig.start(listen("1", r#"{"resourceSubscriptions":["file:///a"]}"#));
        greet(&mut peer).await;
        agrees(&mut peer, "resources/subscribe").await;
        let mut subscription = Events::of(subscription.await.unwrap());
        subscription.event().await;
        rig.bridge.drain().await;
        assert_eq!(subscription.next().await, None);
        assert_eq!(agrees(&mut peer, "resources/unsubscribe").await, "file:///a");
        rig.bridge.close();
        assert_eq!(peer.is_ended().await, EndReason::Closed);
        settle().await;
        assert_eq!(rig.bridge.tracked(), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_bridge_that_closes_during_a_handshake_leaves_no_process() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let reply = rig.start(request("1", "tools/list", "{}", "a", "", ""));
        assert_eq!(peer.hears().await["method"], "initialize");
        rig.bridge.close();
        assert_eq!(peer.is_ended().await, EndReason::Closed);
        assert_eq!(reply.await.unwrap().json().await["error"]["code"], -32603);
        settle().await;
        assert_eq!((rig.bridge.in_flight(), rig.bridge.tracked()), (0, 0));
    })
    .await;
}
