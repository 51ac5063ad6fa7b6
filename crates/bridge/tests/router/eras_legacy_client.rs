//! Legacy clients in front of modern servers.

use std::time::Duration;

use http::StatusCode;
use roadstead_bridge::{EndReason, Era};
use serde_json::{Value, json};

use crate::events::Events;
use crate::rig::{MODERN, Peer, Reply, Rig, call, in_session, local, pass, plain, post, settle};

const CLIENT: &str =
    r#"{"roots":{"listChanged":true},"sampling":{},"elicitation":{"form":{},"url":{}},"tasks":{}}"#;
const SERVER: &str = r#"{"logging":{},"tools":{"listChanged":true},"resources":{"subscribe":true},"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;
const VERSION_KEY: &str = "io.modelcontextprotocol/protocolVersion";

/// A session of a client that negotiates `version`, in front of a server that answers discovery; its id and the handshake.
async fn session(rig: &Rig, peer: &mut Peer, version: &str) -> (String, Value) {
    let reply = rig.start(post(format!(
        r#"{{"jsonrpc":"2.0","id":"i","method":"initialize","params":{{"protocolVersion":"{version}","capabilities":{CLIENT},"clientInfo":{{"name":"c","version":"1"}}}}}}"#
    )));
    let asked = peer.hears().await;
    assert_eq!(asked["method"], "server/discover");
    assert_eq!(
        asked["params"]["_meta"],
        json!({
            VERSION_KEY: MODERN,
            "io.modelcontextprotocol/clientInfo": {"name": "c", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {"roots": {}, "sampling": {}, "elicitation": {"form": {}, "url": {}}}
        })
    );
    peer.says(format!(
        r#"{{"jsonrpc":"2.0","id":{},"result":{{"resultType":"complete","supportedVersions":["{MODERN}"],"capabilities":{SERVER},"instructions":"be kind","_meta":{{"io.modelcontextprotocol/serverInfo":{{"name":"new","version":"9"}}}}}}}}"#,
        asked["id"]
    ))
    .await;
    let mut reply = reply.await.expect("the request was served");
    assert_eq!(reply.status(), StatusCode::OK);
    let hello = reply.json().await;
    assert_eq!(hello["id"], "i");
    (reply.header("mcp-session-id").expect("a session id"), hello["result"].clone())
}

async fn ready(rig: &Rig, peer: &mut Peer) -> String {
    session(rig, peer, "2025-11-25").await.0
}

async fn completes(peer: &mut Peer, asked: &Value, name: &str) {
    let id = &asked["id"];
    peer.says(format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{"resultType":"complete","name":"{name}","big":1.50e3}}}}"#
    ))
    .await;
}

async fn requires(peer: &mut Peer, asked: &Value, members: &str) {
    let id = &asked["id"];
    peer.says(format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{"resultType":"input_required",{members}}}}}"#
    ))
    .await;
}

async fn initialized(rig: &Rig, session: &str) {
    let note = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    assert_eq!(rig.send(in_session(session, note)).await.status(), StatusCode::ACCEPTED);
}

/// Takes a subscription of the translator and acknowledges it; the request.
async fn acknowledges(peer: &mut Peer) -> Value {
    let asked = peer.hears().await;
    assert_eq!(asked["method"], "subscriptions/listen");
    let (id, filter) = (&asked["id"], &asked["params"]["notifications"]);
    peer.says(format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}},"notifications":{filter}}}}}"#
    ))
    .await;
    asked
}

async fn answer(rig: &Rig, session: &str, question: &Value, body: &str) {
    let line = format!(r#"{{"jsonrpc":"2.0","id":{},{body}}}"#, question["id"]);
    assert_eq!(rig.send(in_session(session, line)).await.status(), StatusCode::ACCEPTED);
}

#[tokio::test(start_paused = true)]
async fn the_handshake_is_answered_from_discovery() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Modern);
        let (_, hello) = session(&rig, &mut peer, "2025-06-18").await;
        assert_eq!(
            hello,
            json!({
                "protocolVersion": "2025-06-18",
                "capabilities": {"logging": {}, "tools": {"listChanged": true}, "resources": {"subscribe": true}},
                "serverInfo": {"name": "new", "version": "9"},
                "instructions": "be kind"
            })
        );
        let (_, hello) = session(&rig, &mut peer, "2031-01-01").await;
        assert_eq!(hello["protocolVersion"], "2025-11-25");
        assert_eq!((rig.bridge.sessions(), rig.launcher.opens.get()), (2, 0), "all share the one process");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn calls_say_who_the_client_is_and_results_come_back_as_they_are() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Modern);
        let (one, two) = (ready(&rig, &mut peer).await, ready(&rig, &mut peer).await);
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"n":12345678901234567890123},"_meta":{"progressToken":1,"traceparent":"t"},"task":{}}}"#;
        let first = rig.start(in_session(&one, body));
        let raw = peer.hears_raw().await;
        assert!(raw.contains(r#""arguments":{"n":12345678901234567890123}"#) && !raw.contains("task\""), "{raw}");
        let asked: Value = serde_json::from_str(&raw).unwrap();
        let meta = &asked["params"]["_meta"];
        assert_eq!((&meta[VERSION_KEY], &meta["traceparent"], &meta["progressToken"]), (&json!(MODERN), &json!("t"), &asked["id"]));
        // The same id as text in the same session, and the same id in another one.
        let second = rig.start(call(&one, "\"1\""));
        let third = rig.start(call(&two, "1"));
        let (other, foreign) = (peer.hears().await, peer.hears().await);
        completes(&mut peer, &foreign, "foreign").await;
        completes(&mut peer, &other, "text").await;
        peer.says(format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{},"progress":5}}}}"#,
            asked["id"]
        ))
        .await;
        let mut first = Events::of(first.await.unwrap());
        assert_eq!(first.event().await["params"], json!({"progressToken": 1, "progress": 5}));
        completes(&mut peer, &asked, "number").await;
        assert_eq!(first.event().await["id"], 1);
        let text = second.await.unwrap().text().await;
        assert!(text.contains(r#""id":"1""#) && text.contains(r#""name":"text","big":1.50e3"#), "{text}");
        assert_eq!(third.await.unwrap().json().await["result"]["name"], "foreign");
        drop(first);
        settle().await;
        assert_eq!((rig.bridge.in_flight(), rig.bridge.tracked()), (0, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_the_session_itself_can_answer_does_not_reach_the_server() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Modern);
        let session = ready(&rig, &mut peer).await;
        let send = async |method: &str, params: &str| {
            let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
            rig.send(in_session(&session, body)).await.json().await
        };
        assert_eq!(send("ping", "{}").await["result"], json!({}));
        assert_eq!(send("logging/setLevel", r#"{"level":"loud"}"#).await["error"]["code"], -32602);
        assert_eq!(send("tasks/list", "{}").await["error"]["code"], -32601);
        assert_eq!(send("server/discover", "{}").await["error"]["code"], -32601);
        assert_eq!(send("logging/setLevel", r#"{"level":"info"}"#).await["result"], json!({}));
        let reply = rig.start(call(&session, "2"));
        let asked = peer.hears().await;
        assert_eq!(asked["params"]["_meta"]["io.modelcontextprotocol/logLevel"], "info");
        peer.says(r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}"#)
            .await;
        completes(&mut peer, &asked, "loud").await;
        let mut reply = Events::of(reply.await.unwrap());
        assert_eq!(reply.event().await["method"], "notifications/message");
        assert_eq!(reply.event().await["result"]["name"], "loud");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_demand_for_input_becomes_requests_and_the_retry_is_made_for_the_client() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Modern);
        let session = ready(&rig, &mut peer).await;
        let reply = rig.start(call(&session, "1"));
        let asked = peer.hears().await;
        requires(
            &mut peer,
            &asked,
            r#""requestState":"a\u0062 \"c\"","inputRequests":{"who":{"method":"elicitation/create","params":{"mode":"url","url":"https://x.example","message":"?"}},"where":{"method":"roots/list"}}"#,
        )
        .await;
        let mut reply = Events::of(reply.await.unwrap());
        let (first, second) = (reply.event().await, reply.event().await);
        let (visit, roots) = if first["method"] == "roots/list" { (second, first) } else { (first, second) };
        assert_eq!((&visit["method"], &visit["params"]["url"]), (&json!("elicitation/create"), &json!("https://x.example")));
        assert!(visit["params"]["elicitationId"].is_string(), "{visit}");
        assert_eq!((&roots["method"], roots.get("params")), (&json!("roots/list"), None));
        answer(&rig, &session, &roots, r#""result":{"roots":[]}"#).await;
        answer(&rig, &session, &visit, r#""result":{"action":"accept"}"#).await;
        let raw = peer.hears_raw().await;
        assert!(raw.contains(r#""requestState":"a\u0062 \"c\"""#), "byte for byte: {raw}");
        let again: Value = serde_json::from_str(&raw).unwrap();
        assert_ne!(again["id"], asked["id"]);
        assert_eq!(again["params"]["name"], asked["params"]["name"]);
        assert_eq!(again["params"]["inputResponses"], json!({"who": {"action": "accept"}, "where": {"roots": []}}));
        // It is still not satisfied, and wants no more than time.
        requires(&mut peer, &again, r#""requestState":"later""#).await;
        let third = peer.hears().await;
        assert_eq!((&third["params"]["requestState"], third["params"].get("inputResponses")), (&json!("later"), None));
        completes(&mut peer, &third, "done").await;
        let end = reply.event().await;
        assert_eq!((&end["id"], &end["result"]["name"]), (&json!(1), &json!("done")));
        drop(reply);
        settle().await;
        assert_eq!(rig.bridge.tracked(), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_refuses_to_answer_ends_its_call_with_its_own_error() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Modern);
        let session = ready(&rig, &mut peer).await;
        let reply = rig.start(call(&session, "1"));
        let asked = peer.hears().await;
        let requests = r#""inputRequests":{"a":{"method":"sampling/createMessage","params":{}},"b":{"method":"roots/list"}}"#;
        requires(&mut peer, &asked, requests).await;
        let mut reply = Events::of(reply.await.unwrap());
        let (one, other) = (reply.event().await, reply.event().await);
        answer(&rig, &session, &one, r#""error":{"code":-1,"message":"the user said no"}"#).await;
        let back = reply.event().await;
        assert_eq!((&back["method"], &back["params"]["requestId"]), (&json!("notifications/cancelled"), &other["id"]));
        let end = reply.event().await;
        assert_eq!(end["error"], json!({"code": -1, "message": "the user said no"}));
        // What the client never offered cannot be asked of it.
        let reply = rig.start(call(&session, "2"));
        let asked = peer.hears().await;
        requires(&mut peer, &asked, r#""inputRequests":{"a":{"method":"other/thing"}}"#).await;
        assert_eq!(reply.await.unwrap().json().await["error"]["code"], -32603);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_never_satisfied_is_given_up() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Modern);
        let session = ready(&rig, &mut peer).await;
        let mut reply = rig.start(call(&session, "1"));
        let mut rounds = 0;
        let mut reply: Reply = loop {
            tokio::select! {
                asked = peer.hears() => {
                    rounds += 1;
                    requires(&mut peer, &asked, r#""requestState":"s""#).await;
                }
                reply = &mut reply => break reply.unwrap(),
            }
        };
        while reply.is_events() && rounds <= 50 {
            let asked = peer.hears().await;
            rounds += 1;
            requires(&mut peer, &asked, r#""requestState":"s""#).await;
        }
        let text = reply.text().await;
        assert!(text.contains("-32603") && rounds == 51, "{rounds} {text}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_is_cancelled_where_it_is() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Modern);
        let session = ready(&rig, &mut peer).await;
        let cancel = |id: u32| {
            let body = format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#
            );
            in_session(&session, body)
        };
        let _reply = rig.start(call(&session, "1"));
        let asked = peer.hears().await;
        rig.send(cancel(1)).await;
        let heard = peer.hears().await;
        assert_eq!(
            (&heard["method"], &heard["params"]["requestId"]),
            (&json!("notifications/cancelled"), &asked["id"])
        );
        // While the client is being asked, the questions are taken back.
        let mut stream = Events::of(rig.send(plain("GET", &session)).await);
        let reply = rig.start(call(&session, "2"));
        let asked = peer.hears().await;
        requires(&mut peer, &asked, r#""inputRequests":{"b":{"method":"roots/list"}}"#).await;
        let mut reply = Events::of(reply.await.unwrap());
        let question = reply.event().await;
        rig.send(cancel(2)).await;
        let back = stream.event().await;
        assert_eq!(
            (&back["method"], &back["params"]["requestId"]),
            (&json!("notifications/cancelled"), &question["id"])
        );
        assert_eq!(reply.next().await, None);
        // The end of the session cancels what is left.
        let _reply = rig.start(call(&session, "3"));
        let asked = peer.hears().await;
        assert_eq!(rig.send(plain("DELETE", &session)).await.status(), StatusCode::NO_CONTENT);
        assert_eq!(peer.hears().await["params"]["requestId"], asked["id"]);
        settle().await;
        assert_eq!((rig.bridge.sessions(), peer.end_reason()), (0, None));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn one_subscription_follows_the_wishes_of_the_session() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Modern);
        let session = ready(&rig, &mut peer).await;
        initialized(&rig, &session).await;
        let mut stream = Events::of(rig.send(plain("GET", &session)).await);
        let first = acknowledges(&mut peer).await;
        assert_eq!(first["params"]["notifications"], json!({"toolsListChanged": true}));
        let tag = |asked: &Value| format!(r#""_meta":{{"io.modelcontextprotocol/subscriptionId":{}}}"#, asked["id"]);
        peer.says(format!(r#"{{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{{{}}}}}"#, tag(&first))).await;
        assert_eq!(stream.event().await, json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}));

        let subscribe = |id: u32, what: &str| {
            in_session(&session, format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"resources/{what}","params":{{"uri":"file:///a"}}}}"#))
        };
        let reply = rig.start(subscribe(1, "subscribe"));
        let second = acknowledges(&mut peer).await;
        assert_eq!(second["params"]["notifications"], json!({"toolsListChanged": true, "resourceSubscriptions": ["file:///a"]}));
        let cancel = peer.hears().await;
        assert_eq!(cancel["params"]["requestId"], first["id"], "the old one ends after the new one has begun");
        assert_eq!(reply.await.unwrap().json().await["result"], json!({}));
        peer.says(format!(r#"{{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{{"uri":"file:///a",{}}}}}"#, tag(&second))).await;
        assert_eq!(stream.event().await["params"], json!({"uri": "file:///a"}));

        assert_eq!(rig.send(subscribe(2, "unsubscribe")).await.json().await["result"], json!({}));
        let third = acknowledges(&mut peer).await;
        assert_eq!(third["params"]["notifications"], json!({"toolsListChanged": true}));
        assert_eq!(peer.hears().await["params"]["requestId"], second["id"]);

        // A resource the server does not agree to is refused.
        let reply = rig.start(subscribe(3, "subscribe"));
        let asked = peer.hears().await;
        peer.says(format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{{{},"notifications":{{}}}}}}"#,
            tag(&asked)
        ))
        .await;
        assert_eq!(reply.await.unwrap().json().await["error"]["code"], -32602);
        // The session's end is the subscription's.
        assert_eq!(peer.hears().await["params"]["requestId"], third["id"]);
        rig.send(plain("DELETE", &session)).await;
        assert_eq!(peer.hears().await["params"]["requestId"], asked["id"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_session_outlives_the_process_and_subscribes_anew() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Modern);
        let session = ready(&rig, &mut peer).await;
        initialized(&rig, &session).await;
        acknowledges(&mut peer).await;
        let lost = rig.start(call(&session, "1"));
        peer.hears().await;
        peer.exits("signal 9");
        assert_eq!(lost.await.unwrap().json().await["error"]["code"], -32603);
        assert_eq!(peer.is_ended().await, EndReason::Exited);
        pass(Duration::from_secs(3)).await;
        let mut fresh = rig.next_peer().await;
        acknowledges(&mut fresh).await;
        let reply = rig.start(call(&session, "2"));
        let asked = fresh.hears().await;
        completes(&mut fresh, &asked, "again").await;
        assert_eq!(reply.await.unwrap().json().await["result"]["name"], "again");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn error_codes_of_the_modern_revision_become_legacy_ones() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Modern);
        let session = ready(&rig, &mut peer).await;
        let cases = [
            (-32021, "{}", -32600),
            (-32022, "{}", -32603),
            (-32602, r#"{"uri":"u"}"#, -32002),
            (-32602, "{}", -32602),
            (-7, "{}", -7),
        ];
        for (theirs, data, ours) in cases {
            let body = r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"u"}}"#;
            let reply = rig.start(in_session(&session, body));
            let id = peer.hears().await["id"].clone();
            peer.says(format!(
                r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{theirs},"message":"m","data":{data}}}}}"#
            ))
            .await;
            let mut reply = reply.await.unwrap();
            let error = reply.json().await;
            assert_eq!((reply.status(), &error["id"]), (StatusCode::OK, &json!(1)));
            assert_eq!((&error["error"]["code"], &error["error"]["message"]), (&json!(ours), &json!("m")));
        }
        let reply = rig.start(call(&session, "2"));
        let id = peer.hears().await["id"].clone();
        peer.says(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"resultType":"task","task":{{}}}}}}"#))
            .await;
        assert_eq!(reply.await.unwrap().json().await["error"]["code"], -32603);
    })
    .await;
}
