//! Modern clients in front of legacy servers: what a server asks in the middle of a call.

use std::time::Duration;

use http::StatusCode;
use roadstead_bridge::{BridgeConfig, Era};
use serde_json::{Value, json};

use crate::modern_caller::{ALL, called, greet, request, retry, tool};
use crate::rig::{Rig, local, pass, settle};

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
async fn a_server_may_take_its_question_back_and_die_while_a_call_is_parked() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let (reply, call) = called(&rig, &mut peer).await;
        peer.says(r#"{"jsonrpc":"2.0","id":1,"method":"roots/list"}"#).await;
        let state = reply.await.unwrap().json().await["result"]["requestState"].clone();
        peer.says(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#).await;
        settle().await;
        let again = rig.start(retry("2", &state, r#"{"input-1":{"roots":[]}}"#));
        settle().await;
        peer.says(r#"{"jsonrpc":"2.0","id":2,"method":"roots/list"}"#).await;
        let state = again.await.unwrap().json().await["result"]["requestState"].clone();
        peer.exits("signal 9");
        peer.closes_output();
        settle().await;
        let error = rig.send(retry("3", &state, r#"{"input-2":{"roots":[]}}"#)).await.json().await;
        assert_eq!((&error["id"], &error["error"]["code"]), (&json!(3), &json!(-32603)), "{call}");
        assert_eq!((rig.launcher.opens.get(), rig.bridge.tracked()), (0, 0), "the call is not made again");
    })
    .await;
}
