//! What a modern request says twice, in its headers and in its body.

use http::{Request, StatusCode};
use http_body_util::Full;
use roadstead_bridge::Era;
use serde_json::{Value, json};

use crate::rig::{MODERN, Peer, Reply, Rig, local, modern, pass, plain, post, settle, with};

const TOOLS: &str = r#"[{"name":"a","inputSchema":{"type":"object","properties":{
    "region":{"type":"string","x-mcp-header":"Region"},
    "where":{"type":"object","properties":{"zone":{"type":"integer","x-mcp-header":"Zone"}}}}}},
    {"name":"plain"}]"#;

type Sent = Request<Full<bytes::Bytes>>;
type Headers<'h> = &'h [(&'static str, &'h str)];

fn calls(name: &str, arguments: &str, headers: Headers<'_>) -> Sent {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{name}","arguments":{arguments},"_meta":{{"io.modelcontextprotocol/protocolVersion":"{MODERN}","io.modelcontextprotocol/clientCapabilities":{{"x":1}},"io.modelcontextprotocol/clientInfo":{{"name":"c","version":"1"}}}}}}}}"#
    );
    let standard = [("mcp-protocol-version", MODERN), ("mcp-method", "tools/call"), ("mcp-name", name)];
    with(with(post(body), &standard), headers)
}

fn calls_of_a() -> Sent {
    calls("a", r#"{"region":"eu"}"#, &[])
}

fn result(id: &Value, result: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{}}}"#, result.replace('\n', ""))
}

/// The bridge asks for the tools, and is told.
async fn gives_tools(peer: &mut Peer, tools: &str) -> Value {
    let question = peer.hears().await;
    assert_eq!(question["method"], "tools/list", "{question}");
    peer.says(result(&question["id"], &format!(r#"{{"tools":{tools}}}"#))).await;
    question
}

async fn is_refused(mut reply: Reply) -> String {
    assert_eq!(reply.status(), StatusCode::BAD_REQUEST);
    let error = reply.json().await;
    assert_eq!((&error["error"]["code"], &error["id"]), (&json!(-32020), &json!(1)), "{error}");
    error["error"]["message"].to_string()
}

#[tokio::test(start_paused = true)]
async fn a_call_of_an_unknown_tool_makes_the_bridge_ask_for_all_pages_once() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Modern);
        peer.hears_all = true;
        let one = rig.start(calls("a", r#"{"region":"eu"}"#, &[("mcp-param-region", "eu")]));
        let two = rig.start(calls("a", r#"{"region":"eu"}"#, &[("Mcp-Param-Region", "us")]));
        let first = peer.hears().await;
        assert_eq!(first["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"], json!({"x": 1}));
        assert_eq!(first["params"]["_meta"]["io.modelcontextprotocol/clientInfo"]["name"], "c");
        peer.says(result(&first["id"], r#"{"tools":[{"name":"plain"}],"nextCursor":"p\"2"}"#)).await;
        let second = gives_tools(&mut peer, TOOLS).await;
        assert_eq!(second["params"]["cursor"], "p\"2");
        let heard = peer.hears().await;
        assert_eq!(
            (&heard["method"], &heard["params"]["arguments"]["region"]),
            (&json!("tools/call"), &json!("eu"))
        );
        peer.answers(&heard, "done").await;
        assert_eq!(one.await.unwrap().json().await["result"]["name"], "done");
        assert!(is_refused(two.await.unwrap()).await.contains("mcp-param-region does not agree"));
        // Neither a tool of the list nor one that is not on it is asked about again.
        for name in ["plain", "none"] {
            let reply = rig.start(calls(name, r#"{"region":"eu"}"#, &[("mcp-param-region", "us")]));
            let heard = peer.hears().await;
            assert_eq!(heard["method"], "tools/call");
            peer.answers(&heard, "passed").await;
            assert_eq!(reply.await.unwrap().json().await["result"]["name"], "passed");
        }
        assert_eq!((rig.bridge.in_flight(), rig.bridge.tracked()), (0, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn headers_are_compared_with_the_arguments_they_repeat() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Modern);
        peer.hears_all = true;
        let list = rig.start(modern("1", "tools/list", None, ""));
        gives_tools(&mut peer, TOOLS).await;
        assert_eq!(list.await.unwrap().status(), StatusCode::OK);
        let good: [(&str, Headers<'_>); 5] = [
            (
                r#"{"region":"eu","where":{"zone":42}}"#,
                &[("mcp-param-region", "eu"), ("mcp-param-zone", "42.0")],
            ),
            (r#"{"region":"é"}"#, &[("mcp-param-region", "=?base64?w6k=?=")]),
            (r#"{"region":null,"where":{}}"#, &[]),
            ("{}", &[("mcp-param-other", "anything")]),
            (r#"{"region":"eu"}"#, &[("mcp-param-region", "  eu\t")]),
        ];
        for (arguments, headers) in good {
            let reply = rig.start(calls("a", arguments, headers));
            let heard = peer.hears().await;
            peer.answers(&heard, "passed").await;
            assert_eq!(reply.await.unwrap().json().await["result"]["name"], "passed", "{arguments}");
        }
        let bad: [(&str, Headers<'_>); 7] = [
            (r#"{"region":"eu"}"#, &[]),
            (r#"{"region":"eu"}"#, &[("mcp-param-region", "EU")]),
            (r#"{"region":"Hello"}"#, &[("mcp-param-region", "=?base64?SGVsbG8?=")]),
            (r#"{"region":"Hello"}"#, &[("mcp-param-region", "=?base64?SGVs!!!bG8=?=")]),
            (r#"{"where":{"zone":42}}"#, &[("mcp-param-zone", "43")]),
            ("{}", &[("mcp-param-region", "eu")]),
            (r#"{"region":null}"#, &[("mcp-param-region", "null")]),
        ];
        for (arguments, headers) in bad {
            is_refused(rig.send(calls("a", arguments, headers)).await).await;
        }
        let mut twice = calls("a", r#"{"region":"eu"}"#, &[("mcp-param-region", "eu")]);
        twice.headers_mut().append("mcp-param-region", "us".parse().unwrap());
        is_refused(rig.send(twice).await).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_call_is_not_refused_by_a_list_that_has_become_old() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Modern);
        peer.hears_all = true;
        let list = rig.start(modern("1", "tools/list", None, ""));
        gives_tools(&mut peer, TOOLS).await;
        list.await.unwrap();
        pass(std::time::Duration::from_secs(5)).await;
        let good = [(); 2].map(|()| rig.start(calls_of_a()));
        gives_tools(&mut peer, r#"[{"name":"a"}]"#).await;
        for call in good {
            let heard = peer.hears().await;
            assert_eq!(heard["method"], "tools/call", "the argument is not repeated any more");
            peer.answers(&heard, "passed").await;
            assert_eq!(call.await.unwrap().json().await["result"]["name"], "passed");
        }
        let list = rig.start(modern("1", "tools/list", None, ""));
        gives_tools(&mut peer, TOOLS).await;
        list.await.unwrap();
        pass(std::time::Duration::from_secs(5)).await;
        let bad = [(); 3].map(|()| rig.start(calls_of_a()));
        gives_tools(&mut peer, TOOLS).await;
        for refused in bad {
            is_refused(refused.await.unwrap()).await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_known_of_the_tools_is_lost_when_they_change_and_with_their_process() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Modern);
        peer.hears_all = true;
        let call = || calls("a", r#"{"region":"eu"}"#, &[]);
        let reply = rig.start(call());
        gives_tools(&mut peer, TOOLS).await;
        is_refused(reply.await.unwrap()).await;
        peer.says(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#).await;
        settle().await;
        let reply = rig.start(call());
        gives_tools(&mut peer, TOOLS).await;
        is_refused(reply.await.unwrap()).await;
        peer.exits("gone");
        peer.is_ended().await;
        let reply = rig.start(call());
        let mut next = rig.next_peer().await;
        next.hears_all = true;
        gives_tools(&mut next, TOOLS).await;
        is_refused(reply.await.unwrap()).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_gives_no_list_is_called_all_the_same() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Modern);
        peer.hears_all = true;
        let reply = rig.start(calls("a", "{}", &[]));
        assert_eq!(peer.hears().await["method"], "tools/list");
        let heard = peer.hears().await;
        assert_eq!(heard["method"], "tools/call", "after the time for a list is over");
        peer.answers(&heard, "a").await;
        assert_eq!(reply.await.unwrap().json().await["result"]["name"], "a");
        let reply = rig.start(calls("a", "{}", &[]));
        assert_eq!(peer.hears().await["method"], "tools/call", "and it is not asked again at once");
        reply.abort();
        settle().await;
        assert_eq!(rig.bridge.tracked(), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_while_the_tools_are_asked_for_leaves_nothing_behind() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Modern);
        peer.hears_all = true;
        let left = rig.start(calls("a", "{}", &[]));
        let question = peer.hears().await;
        left.abort();
        settle().await;
        assert_eq!((rig.bridge.in_flight(), rig.bridge.tracked()), (0, 0));
        let next = rig.start(calls("a", r#"{"region":"eu"}"#, &[]));
        peer.says(result(&question["id"], r#"{"tools":[]}"#)).await;
        gives_tools(&mut peer, TOOLS).await;
        is_refused(next.await.unwrap()).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn tasks_are_relayed_and_may_be_named_in_a_header() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Modern);
        for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
            let task = |name: Option<&str>| {
                let body = format!(
                    r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{"taskId":"t-1","_meta":{{"io.modelcontextprotocol/protocolVersion":"{MODERN}","io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
                );
                let request = with(post(body), &[("mcp-protocol-version", MODERN), ("mcp-method", method)]);
                match name {
                    Some(name) => with(request, &[("mcp-name", name)]),
                    None => request,
                }
            };
            for name in [Some("t-1"), None] {
                let reply = rig.start(task(name));
                let heard = peer.hears().await;
                assert_eq!((&heard["method"], &heard["params"]["taskId"]), (&json!(method), &json!("t-1")));
                peer.says(result(&heard["id"], r#"{"resultType":"complete","taskId":"t-1","status":"working"}"#)).await;
                assert_eq!(reply.await.unwrap().json().await["result"]["taskId"], "t-1");
            }
            is_refused(rig.send(task(Some("t-2"))).await).await;
        }
        let listen = rig.start(modern("\"s\"", "subscriptions/listen", None, ""));
        let number = peer.hears().await["id"].clone();
        peer.says(format!(r#"{{"jsonrpc":"2.0","method":"notifications/tasks","params":{{"taskId":"t-1","status":"completed","result":{{"n":1.0}},"_meta":{{"io.modelcontextprotocol/subscriptionId":{number}}}}}}}"#)).await;
        let mut listen = listen.await.unwrap();
        assert_eq!(
            listen.part().await.unwrap(),
            "event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tasks\",\"params\":{\"taskId\":\"t-1\",\"status\":\"completed\",\"result\":{\"n\":1.0},\"_meta\":{\"io.modelcontextprotocol/subscriptionId\":\"s\"}}}\n\n"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn standard_headers_count_once_whatever_the_case_of_their_names() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Modern);
        for name in ["MCP-PROTOCOL-VERSION", "Mcp-Method", "mcp-NAME"] {
            let mut twice = modern("1", "prompts/get", Some("a"), "");
            let value = twice.headers()[name].clone();
            twice.headers_mut().append(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
            is_refused(rig.send(twice).await).await;
            let mut missing = modern("1", "prompts/get", Some("a"), "");
            missing.headers_mut().remove(name);
            is_refused(rig.send(missing).await).await;
        }
        let padded = with(modern("1", "prompts/get", Some("a"), ""), &[("mcp-name", " \ta ")]);
        let reply = rig.start(padded);
        peer.hears().await;
        reply.abort();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_notification_needs_its_version_and_no_contradiction() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Modern);
        let body = r#"{"jsonrpc":"2.0","method":"notifications/x"}"#;
        let tagged = r#"{"jsonrpc":"2.0","method":"notifications/x","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
        let version = ("mcp-protocol-version", MODERN);
        let good: [(&'static str, Headers<'_>); 3] =
            [(body, &[version]), (body, &[version, ("mcp-method", "notifications/x")]), (tagged, &[version])];
        for (body, headers) in good {
            assert_eq!(rig.send(with(post(body), headers)).await.status(), StatusCode::ACCEPTED);
            assert_eq!(peer.hears().await["method"], "notifications/x");
        }
        let bad: [(&'static str, Headers<'_>, i64); 4] = [
            (tagged, &[], -32020),
            (tagged, &[("mcp-protocol-version", "2027-01-01")], -32020),
            (body, &[version, ("mcp-method", "notifications/y")], -32020),
            (body, &[("mcp-protocol-version", "2027-01-01")], -32022),
        ];
        for (body, headers, code) in bad {
            let mut refused = rig.send(with(post(body), headers)).await;
            assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
            let error = refused.json().await;
            assert_eq!((&error["error"]["code"], error.get("id")), (&json!(code), None), "{error}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn other_methods_of_the_web_are_not_served() {
    local(async {
        let (rig, _peer) = Rig::new(Era::Auto);
        for method in ["OPTIONS", "PUT", "PATCH", "HEAD"] {
            let reply = rig.send(plain(method, "any")).await;
            assert_eq!(reply.status(), StatusCode::METHOD_NOT_ALLOWED, "{method}");
            assert!(reply.header("allow").unwrap().contains("POST"));
            assert_eq!(reply.header("access-control-allow-origin"), None);
        }
    })
    .await;
}
