//! The stateless revision.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use roadstead_bridge::Purpose;
use serde_json::{Value, json as value};

use crate::fake::{Fake, Feed, Seen, beginning, error_of, events, json, reply, result, run, status};

fn request(id: i64, method: &str, mut params: Value) -> String {
    params["_meta"] = value!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    value!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()
}

const TOOLS: &str = r#"{"tools":[{"name":"sql","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},"limit":{"type":"integer","x-mcp-header":"Limit"}}}}]}"#;

fn param<'s>(seen: &'s Seen, name: &str) -> Option<&'s str> {
    seen.header(&format!("mcp-param-{name}"))
}

#[test]
fn headers_repeat_what_the_body_says() {
    run(async {
        let fake = Fake::start(|seen| async move {
            let list = seen.rpc() == "tools/list";
            json(&result(&seen, if list { TOOLS } else { "{}" }))
        })
        .await;
        let mut pipes = fake.open(Purpose::ModernShared);
        for (id, method, params) in [
            (1, "server/discover", value!({})),
            (2, "tools/list", value!({})),
            (3, "tools/call", value!({"name": "sql", "arguments": {"region": "é", "limit": 3}})),
            (4, "resources/read", value!({"uri": "file:///a b"})),
            (5, "prompts/get", value!({"name": " x"})),
            (6, "tasks/get", value!({"taskId": "t-1"})),
        ] {
            pipes.send(&request(id, method, params)).await;
            assert_eq!(pipes.next().await["id"], id);
            let seen = fake.message(method).await;
            assert_eq!(seen.header("mcp-protocol-version"), Some("2026-07-28"));
            assert_eq!(seen.header("mcp-method"), Some(method));
            assert_eq!(seen.header("mcp-session-id"), None);
        }
        let call = fake.message("tools/call").await;
        assert_eq!(call.header("mcp-name"), Some("sql"));
        assert_eq!((param(&call, "region"), param(&call, "limit")), (Some("=?base64?w6k=?="), Some("3")));
        assert_eq!(fake.message("resources/read").await.header("mcp-name"), Some("file:///a b"));
        assert_eq!(fake.message("prompts/get").await.header("mcp-name"), Some("=?base64?IHg=?="));
        assert_eq!(fake.message("tasks/get").await.header("mcp-name"), Some("t-1"));
        assert_eq!(fake.message("tools/list").await.header("mcp-name"), None);
        pipes.end();
        pipes.exited().await;
        assert!(fake.seen().iter().all(|seen| seen.method == "POST"), "no GET, no DELETE");
    });
}

#[test]
fn a_server_that_misses_headers_is_asked_for_its_tools_and_called_again() {
    run(async {
        let fake = Fake::start(|seen| async move {
            if seen.rpc() == "tools/list" {
                let first = seen.json()["params"]["cursor"].is_null();
                let (stream, feed) = events();
                tokio::task::spawn_local(async move {
                    let page = if first { r#"{"tools":[],"nextCursor":"2"}"# } else { TOOLS };
                    feed.event(&result(&seen, page)).await;
                });
                return stream;
            }
            match param(&seen, "region") {
                Some("eu") => json(&result(&seen, r#"{"ok":true}"#)),
                _ => reply(
                    400,
                    "application/json",
                    &format!(
                        r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":-32020,"message":"missing"}}}}"#,
                        seen.json()["id"]
                    ),
                ),
            }
        })
        .await;
        let mut pipes = fake.open(Purpose::ModernShared);
        pipes.send(&request(1, "tools/call", value!({"name": "sql", "arguments": {"region": "eu"}}))).await;
        assert_eq!(pipes.next().await["result"]["ok"], true);
        pipes.send(&request(2, "tools/call", value!({"name": "other", "arguments": {"region": "eu"}}))).await;
        assert_eq!(error_of(&pipes.next().await, 2).0, -32020, "what is still wrong then is the client's");
    });
}

#[test]
fn refusals_keep_their_code_and_get_the_id_of_the_request() {
    run(async {
        let fake = Fake::start(|seen| async move {
            match seen.rpc().as_str() {
                "nope" => reply(404, "application/json", r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"m"}}"#),
                "old" => reply(400, "application/json", r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32022,"message":"m","data":{"supported":["x"]}}}"#),
                _ => reply(404, "text/plain", "Not Found"),
            }
        })
        .await;
        let mut pipes = fake.open(Purpose::ModernShared);
        for (id, method, code) in [(1, "nope", -32601), (2, "old", -32022), (3, "server/discover", -32603)] {
            pipes.send(&request(id, method, value!({}))).await;
            let answer = pipes.next().await;
            assert_eq!(error_of(&answer, id).0, code);
            assert!(method != "old" || answer["error"]["data"]["supported"][0] == "x");
        }
    });
}

/// A server that keeps every stream open.
async fn streaming() -> (Fake, Rc<RefCell<Vec<Feed>>>) {
    let feeds: Rc<RefCell<Vec<Feed>>> = Rc::default();
    let kept = Rc::clone(&feeds);
    let fake = Fake::start(move |seen| {
        let kept = Rc::clone(&kept);
        async move {
            if seen.json()["id"].is_null() {
                return status(202);
            }
            let (reply, feed) = events();
            kept.borrow_mut().push(feed);
            reply
        }
    })
    .await;
    (fake, feeds)
}

#[test]
fn a_cancellation_closes_the_stream_of_its_request_and_is_not_posted() {
    run(async {
        let (fake, feeds) = streaming().await;
        let mut pipes = fake.open(Purpose::ModernShared);
        pipes.send(&request(1, "tools/call", value!({"name": "a"}))).await;
        fake.message("tools/call").await;
        let feed = feeds.borrow()[0].clone();
        feed.event(r#"{"method":"notifications/progress"}"#).await;
        assert_eq!(pipes.next().await["method"], "notifications/progress");
        pipes.send(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#).await;
        feed.left().await;
        pipes.send(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":99}}"#).await;
        pipes.send(r#"{"jsonrpc":"2.0","method":"notifications/other","params":{}}"#).await;
        let other = fake.message("notifications/other").await;
        assert_eq!(other.header("mcp-method"), Some("notifications/other"));
        assert_eq!(fake.seen().len(), 2, "the cancellations stayed here");
    });
}

/// Tells that whoever holds it is gone.
struct OnDrop(Rc<tokio::sync::Notify>);
impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[test]
fn a_cancellation_before_any_answer_closes_the_connection_too() {
    run(async {
        let waiting = Rc::new(Cell::new(false));
        let held = Rc::clone(&waiting);
        let dropped = Rc::new(tokio::sync::Notify::new());
        let told = Rc::clone(&dropped);
        let fake = Fake::start(move |_| {
            let (held, guard) = (Rc::clone(&held), OnDrop(Rc::clone(&told)));
            async move {
                held.set(true);
                let _guard = guard;
                std::future::pending().await
            }
        })
        .await;
        let mut pipes = fake.open(Purpose::ModernShared);
        pipes.send(&request(1, "tools/call", value!({"name": "a"}))).await;
        fake.message("tools/call").await;
        pipes.send(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#).await;
        tokio::time::timeout(std::time::Duration::from_secs(10), dropped.notified())
            .await
            .expect("the handler is dropped");
        assert!(waiting.get());
    });
}

#[test]
fn the_end_of_a_subscription_is_a_cancellation_and_of_a_call_an_error() {
    run(async {
        let (fake, feeds) = streaming().await;
        let mut pipes = fake.open(Purpose::ModernShared);
        pipes.send(&request(1, "subscriptions/listen", value!({"notifications": {}}))).await;
        fake.message("subscriptions/listen").await;
        pipes.send(&request(2, "tools/call", value!({"name": "a"}))).await;
        fake.message("tools/call").await;
        let acknowledged = r#"{"method":"notifications/subscriptions/acknowledged","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":1}}}"#;
        let (listen, call) = (feeds.borrow()[0].clone(), feeds.borrow()[1].clone());
        feeds.borrow_mut().clear();
        listen.event(acknowledged).await;
        assert_eq!(pipes.line().await.unwrap(), acknowledged);
        drop(listen);
        let ended = pipes.next().await;
        assert_eq!(ended["method"], "notifications/cancelled");
        assert_eq!(ended["params"]["requestId"], 1);
        call.break_off().await;
        assert_eq!(error_of(&pipes.next().await, 2).0, -32603);
    });
}

#[test]
fn pipes_for_a_session_can_be_asked_for_the_era_first() {
    run(async {
        let fake = Fake::start(|seen| async move {
            if seen.rpc() == "server/discover" {
                return reply(
                    400,
                    "application/json",
                    r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"no session"}}"#,
                );
            }
            beginning(&seen).unwrap_or_else(|| json(&result(&seen, "{}")))
        })
        .await;
        let mut pipes = fake.open(Purpose::LegacySession);
        pipes.send(&request(1, "server/discover", value!({}))).await;
        assert_eq!(error_of(&pipes.next().await, 1).0, -32000);
        let probe = fake.message("server/discover").await;
        assert_eq!(probe.header("mcp-method"), Some("server/discover"));
        pipes.begin().await;
        pipes.send(r#"{"id":2,"method":"tools/list"}"#).await;
        pipes.next().await;
        let later = fake.message("tools/list").await;
        assert_eq!((later.header("mcp-session-id"), later.header("mcp-method")), (Some("s-1"), None));
    });
}
