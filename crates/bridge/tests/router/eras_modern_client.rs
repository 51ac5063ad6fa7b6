//! Modern clients in front of legacy servers.

use std::time::Duration;

use http::StatusCode;
use roadstead_bridge::{BridgeConfig, EndReason, Era, Note, Purpose};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::events::Events;
use crate::rig::{MODERN, Peer, Reply, Rig, local, pass, post, settle, with};

/// What a client may say of itself besides the revision.
const ALL: &str = r#"{"sampling":{},"elicitation":{"form":{},"url":{}},"roots":{}}"#;
const SERVER: &str = r#"{"logging":{},"completions":{},"tools":{"listChanged":true},"resources":{"subscribe":true,"listChanged":true},"tasks":{"list":{}}}"#;

/// A stateless request of the client `who`.
fn request(
    id: &str,
    method: &str,
    capabilities: &str,
    who: &str,
    params: &str,
    meta: &str,
) -> http::Request<http_body_util::Full<bytes::Bytes>> {
    let comma = if params.is_empty() { "" } else { "," };
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{params}{comma}"_meta":{{"io.modelcontextprotocol/protocolVersion":"{MODERN}","io.modelcontextprotocol/clientInfo":{{"name":"{who}","version":"1"}},"io.modelcontextprotocol/clientCapabilities":{capabilities}{meta}}}}}}}"#
    );
    let name = serde_json::from_str::<Value>(&body).expect("a body of our own")["params"].clone();
    let name = name["name"].as_str().or(name["uri"].as_str()).map(ToOwned::to_owned);
    let mut request = with(post(body), &[("mcp-protocol-version", MODERN), ("mcp-method", method)]);
    if let Some(name) = name {
        request = with(request, &[("mcp-name", &name)]);
    }
    request
}

fn tool(id: &str, more: &str) -> http::Request<http_body_util::Full<bytes::Bytes>> {
    request(id, "tools/call", ALL, "a", &format!(r#""name":"x","arguments":{{"n":1.0e5}}{more}"#), "")
}

/// Takes the handshake of a translator; what it said.
async fn greet(peer: &mut Peer) -> Value {
    let hello = peer.hears().await;
    assert_eq!(hello["method"], "initialize");
    let id = &hello["id"];
    peer.says(format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{"protocolVersion":"2025-11-25","capabilities":{SERVER},"serverInfo":{{"name":"old","version":"3"}},"instructions":"be kind"}}}}"#
    ))
    .await;
    assert_eq!(peer.hears().await["method"], "notifications/initialized");
    hello
}

/// A bridge in front of a legacy server that has taken the handshake for a call, and the call at the server.
async fn called(rig: &Rig, peer: &mut Peer) -> (JoinHandle<Reply>, Value) {
    let reply = rig.start(tool("1", ""));
    greet(peer).await;
    let heard = peer.hears().await;
    (reply, heard)
}

fn retry(id: &str, state: &Value, responses: &str) -> http::Request<http_body_util::Full<bytes::Bytes>> {
    tool(id, &format!(r#","inputResponses":{responses},"requestState":{state}"#))
}

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
async fn a_server_that_asks_during_a_call_gets_its_answer_from_the_retry_and_runs_once() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let (reply, call) = called(&rig, &mut peer).await;
        peer.says(r#"{"jsonrpc":"2.0","id":"q1","method":"elicitation/create","params":{"mode":"url","url":"https://x.example","elicitationId":"e","message":"?"}}"#).await;
        peer.says(r#"{"jsonrpc":"2.0","id":7,"method":"roots/list"}"#).await;
        let answer = reply.await.unwrap().json().await;
        let result = &answer["result"];
        assert_eq!(result["resultType"], "input_required");
        assert_eq!(
            result["inputRequests"],
            json!({
                "input-1": {"method": "elicitation/create", "params": {"mode": "url", "url": "https://x.example", "message": "?"}},
                "input-2": {"method": "roots/list"}
            })
        );
        let state = &result["requestState"];
        assert!(state.as_str().unwrap().len() >= 32);
        let responses = r#"{"input-1":{"action":"accept"},"input-2":{"roots":[{"uri":"file:///é"}]},"unknown":{}}"#;
        let second = rig.start(retry("\"r\"", state, responses));
        assert_eq!(peer.hears().await, json!({"jsonrpc": "2.0", "id": "q1", "result": {"action": "accept"}}));
        assert_eq!(peer.hears().await["result"]["roots"][0]["uri"], "file:///é");
        peer.answers(&call, "once").await;
        let answer = second.await.unwrap().json().await;
        assert_eq!((&answer["id"], &answer["result"]["name"]), (&json!("r"), &json!("once")));
        let again = rig.send(retry("9", state, responses)).await.json().await;
        assert_eq!(again["error"]["code"], -32602, "a state is good for one use");
        assert_eq!((rig.bridge.in_flight(), rig.bridge.tracked()), (0, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_a_retry_leaves_open_is_asked_again() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let (reply, call) = called(&rig, &mut peer).await;
        for id in 1..=2 {
            peer.says(format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"sampling/createMessage","params":{{"maxTokens":{id}}}}}"#)).await;
        }
        let state = reply.await.unwrap().json().await["result"]["requestState"].clone();
        let second = rig.start(retry("2", &state, r#"{"input-1":{"role":"assistant"}}"#));
        assert_eq!(peer.hears().await["id"], 1);
        let answer = second.await.unwrap().json().await["result"].clone();
        assert_eq!(answer["inputRequests"], json!({"input-2": {"method": "sampling/createMessage", "params": {"maxTokens": 2}}}));
        assert_ne!(answer["requestState"], state);
        // The server goes on by itself; its answer waits for the client.
        peer.answers(&call, "early").await;
        settle().await;
        let third = rig.send(retry("3", &answer["requestState"], r#"{"input-2":{}}"#)).await.json().await;
        assert_eq!(third["result"]["name"], "early");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_state_is_refused_for_anybody_else_and_for_anything_else() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let (reply, call) = called(&rig, &mut peer).await;
        peer.says(r#"{"jsonrpc":"2.0","id":1,"method":"roots/list"}"#).await;
        let state = reply.await.unwrap().json().await["result"]["requestState"].clone();
        let with_state = |name: &str, who: &str| {
            let params = format!(r#""name":"{name}","inputResponses":{{}},"requestState":{state}"#);
            request("5", "tools/call", ALL, who, &params, "")
        };
        for (name, who) in [("x", "b"), ("y", "a")] {
            assert_eq!(rig.send(with_state(name, who)).await.json().await["error"]["code"], -32602);
        }
        let made_up = retry("6", &json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), "{}");
        assert_eq!(rig.send(made_up).await.json().await["error"]["code"], -32602);
        let wrong = retry("6", &state, r#"{"input-1":5}"#);
        assert_eq!(rig.send(wrong).await.json().await["error"]["code"], -32602);
        let good = rig.start(retry("7", &state, r#"{"input-1":{"roots":[]}}"#));
        assert_eq!(peer.hears().await["result"], json!({"roots": []}));
        peer.answers(&call, "fine").await;
        assert_eq!(good.await.unwrap().json().await["result"]["name"], "fine");
        assert_eq!(rig.launcher.opens.get(), 0, "nobody else had a process opened");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_parked_call_expires_and_is_cancelled_at_the_server() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let (reply, call) = called(&rig, &mut peer).await;
        peer.says(r#"{"jsonrpc":"2.0","id":1,"method":"roots/list"}"#).await;
        let state = reply.await.unwrap().json().await["result"]["requestState"].clone();
        pass(Duration::from_mins(10)).await;
        let refusal = peer.hears().await;
        assert_eq!((&refusal["id"], &refusal["error"]["code"]), (&json!(1), &json!(-32603)));
        let cancel = peer.hears().await;
        assert_eq!(
            (&cancel["method"], &cancel["params"]["requestId"]),
            (&json!("notifications/cancelled"), &call["id"])
        );
        assert_eq!(rig.send(retry("2", &state, "{}")).await.json().await["error"]["code"], -32602);
        assert_eq!(rig.bridge.tracked(), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn parked_calls_are_limited() {
    local(async {
        let mut config = BridgeConfig::new(Era::Legacy);
        config.max_parked_calls = 1;
        let (rig, mut peer) = Rig::with(config, 65536);
        let (one, _) = called(&rig, &mut peer).await;
        peer.says(r#"{"jsonrpc":"2.0","id":1,"method":"roots/list"}"#).await;
        assert_eq!(one.await.unwrap().json().await["result"]["resultType"], "input_required");
        let two = rig.start(tool("2", ""));
        let call = peer.hears().await;
        peer.says(r#"{"jsonrpc":"2.0","id":2,"method":"roots/list"}"#).await;
        assert_eq!(two.await.unwrap().json().await["error"]["code"], -32603);
        assert_eq!(peer.hears().await["id"], 2);
        assert_eq!(peer.hears().await["params"]["requestId"], call["id"]);
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
async fn what_a_client_cannot_do_ends_the_call_with_the_missing_capability() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let reply = rig.start(request("1", "tools/call", "{}", "a", r#""name":"x""#, ""));
        greet(&mut peer).await;
        let call = peer.hears().await;
        peer.says(r#"{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{}}"#).await;
        let mut reply = reply.await.unwrap();
        assert_eq!(reply.status(), StatusCode::BAD_REQUEST);
        let error = reply.json().await["error"].clone();
        assert_eq!(
            (&error["code"], &error["data"]),
            (&json!(-32021), &json!({"requiredCapabilities": {"sampling": {}}}))
        );
        assert_eq!(peer.hears().await["error"]["code"], -32601);
        assert_eq!(peer.hears().await["params"]["requestId"], call["id"]);
        peer.says(r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#).await;
        assert_eq!(peer.hears().await, json!({"jsonrpc": "2.0", "id": "p", "result": {}}));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_the_server_asks_between_calls_is_brought_by_the_next_call_before_it_runs() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let reply = rig.start(request("1", "tools/list", ALL, "a", "", ""));
        greet(&mut peer).await;
        let list = peer.hears().await;
        peer.says(r#"{"jsonrpc":"2.0","id":0,"method":"roots/list"}"#).await;
        peer.answers(&list, "l").await;
        assert_eq!(reply.await.unwrap().json().await["result"]["name"], "l");
        let result = rig.send(tool("2", "")).await.json().await["result"].clone();
        let requests = result["inputRequests"].as_object().unwrap();
        assert_eq!(requests.values().next(), Some(&json!({"method": "roots/list"})));
        let key = requests.keys().next().unwrap();
        let again = rig.start(retry("3", &result["requestState"], &format!(r#"{{"{key}":{{"roots":[]}}}}"#)));
        assert_eq!(peer.hears().await, json!({"jsonrpc": "2.0", "id": 0, "result": {"roots": []}}));
        let call = peer.hears().await;
        assert_eq!(call["method"], "tools/call");
        assert!(call["params"].get("requestState").is_none());
        peer.answers(&call, "with roots").await;
        assert_eq!(again.await.unwrap().json().await["result"]["name"], "with roots");
        // Without a call to bring it, such a request gets an error in time.
        peer.says(r#"{"jsonrpc":"2.0","id":9,"method":"roots/list"}"#).await;
        settle().await;
        pass(Duration::from_secs(30)).await;
        assert_eq!(peer.hears().await["error"]["code"], -32603);
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
async fn a_demand_to_visit_a_page_is_asked_for_and_the_call_made_again() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let (reply, call) = called(&rig, &mut peer).await;
        let demand = |id: &Value| {
            format!(
                r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32042,"message":"m","data":{{"elicitations":[{{"mode":"url","elicitationId":"e","url":"https://x.example","message":"log in"}}]}}}}}}"#
            )
        };
        peer.says(demand(&call["id"])).await;
        let result = reply.await.unwrap().json().await["result"].clone();
        assert_eq!(
            result["inputRequests"]["page-1"],
            json!({"method": "elicitation/create", "params": {"mode": "url", "url": "https://x.example", "message": "log in"}})
        );
        let again = rig.start(retry("2", &result["requestState"], r#"{"page-1":{"action":"accept"}}"#));
        let call = peer.hears().await;
        assert_eq!(call["params"], json!({"name": "x", "arguments": {"n": 1.0e5}}));
        peer.says(demand(&call["id"])).await;
        let result = again.await.unwrap().json().await["result"].clone();
        let declined = retry("3", &result["requestState"], r#"{"page-1":{"action":"decline"}}"#);
        assert_eq!(rig.send(declined).await.json().await["error"]["code"], -32603);
        let plain = rig.start(request("4", "tools/call", "{}", "b", r#""name":"x""#, ""));
        let mut other = rig.next_peer().await;
        greet(&mut other).await;
        let call = other.hears().await;
        other.says(demand(&call["id"])).await;
        assert_eq!(plain.await.unwrap().json().await["error"]["code"], -32021);
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

fn listen(id: &str, filter: &str) -> http::Request<http_body_util::Full<bytes::Bytes>> {
    request(id, "subscriptions/listen", "{}", "a", &format!(r#""notifications":{filter}"#), "")
}

async fn agrees(peer: &mut Peer, method: &str) -> Value {
    let asked = peer.hears().await;
    assert_eq!(asked["method"], method);
    peer.says(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#, asked["id"])).await;
    asked["params"]["uri"].clone()
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
