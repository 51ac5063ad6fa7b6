//! The older transport with two endpoints.

use std::cell::RefCell;
use std::future::pending;
use std::rc::Rc;

use roadstead_bridge::Purpose;
use roadstead_upstream::{Transport, Upstream};

use crate::fake::{Fake, Feed, Pipes, error_of, events, result, run, status};

/// A server that names this endpoint, and answers on its stream.
async fn server(endpoint: &'static str) -> (Fake, Rc<RefCell<Option<Feed>>>) {
    let feed: Rc<RefCell<Option<Feed>>> = Rc::default();
    let kept = Rc::clone(&feed);
    let fake = Fake::start(move |seen| {
        let kept = Rc::clone(&kept);
        async move {
            if seen.method == "GET" {
                let (reply, feed) = events();
                *kept.borrow_mut() = Some(feed.clone());
                tokio::task::spawn_local(async move {
                    feed.send(&format!(": hello\n\nevent: endpoint\ndata: {endpoint}\n\n")).await;
                });
                return reply;
            }
            let feed = kept.borrow().clone();
            match (seen.rpc().as_str(), feed) {
                ("refused", _) => return status(400),
                (_, Some(feed)) if !seen.json()["id"].is_null() => {
                    tokio::task::spawn_local(async move { feed.event(&result(&seen, "{}")).await });
                }
                _ => {}
            }
            status(202)
        }
    })
    .await;
    (fake, feed)
}

fn open(fake: &Fake, purpose: Purpose) -> Pipes {
    let upstream = Upstream {
        transport: Transport::Sse,
        url: format!("http://localhost:{}/deep/sse", fake.address.port()).parse().expect("a URL"),
        ..fake.upstream()
    };
    Pipes::open(fake.address, upstream, purpose, Box::pin(pending()))
}

#[test]
fn messages_go_to_the_endpoint_and_answers_come_on_the_stream() {
    run(async {
        let (fake, feed) = server("messages?session_id=abc").await;
        let mut pipes = open(&fake, Purpose::LegacySession);
        pipes.begin().await;
        pipes.send(r#"{"id":1,"method":"tools/list"}"#).await;
        assert_eq!(pipes.next().await["id"], 1);
        pipes.send(r#"{"id":2,"method":"refused"}"#).await;
        let (code, message) = error_of(&pipes.next().await, 2);
        assert!(code == -32603 && message.contains("400"), "{message}");
        let seen = fake.seen();
        assert_eq!((seen[0].method.as_str(), seen[0].path.as_str()), ("GET", "/deep/sse"));
        assert!(seen[1..].iter().all(|seen| seen.path == "/deep/messages?session_id=abc"));
        assert_eq!(seen.iter().filter(|seen| seen.method == "GET").count(), 1);
        let feed = feed.borrow_mut().take().unwrap();
        feed.event(r#"{"method":"notifications/message"}"#).await;
        assert_eq!(pipes.next().await["method"], "notifications/message");
        drop(feed);
        assert_eq!(pipes.line().await, None);
        assert!(pipes.exited().await.contains("closed its event stream"));
    });
}

#[test]
fn a_modern_probe_is_refused_without_asking_the_server() {
    run(async {
        let (fake, _feed) = server("/messages").await;
        let probe = r#"{"id":7,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
        for purpose in [Purpose::ModernShared, Purpose::LegacySession] {
            let mut pipes = open(&fake, purpose);
            pipes.send(probe).await;
            assert_eq!(error_of(&pipes.next().await, 7).0, -32601);
        }
        assert!(fake.seen().is_empty());
    });
}

#[test]
fn an_endpoint_of_another_server_is_refused() {
    run(async {
        let (other, _) = server("/messages").await;
        let elsewhere = format!("http://localhost:{}/messages", other.address.port());
        let (fake, _feed) = server(Box::leak(elsewhere.into_boxed_str())).await;
        let mut pipes = open(&fake, Purpose::LegacySession);
        pipes.send(r#"{"id":1,"method":"initialize"}"#).await;
        assert!(error_of(&pipes.next().await, 1).1.contains("another server"));
        assert!(other.seen().is_empty());
    });
}
