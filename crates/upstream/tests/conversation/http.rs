//! What HTTP itself brings: hosts, headers, redirects, connections, readiness.

use std::future::pending;

use http::{HeaderName, HeaderValue};
use roadstead_bridge::Purpose;
use roadstead_upstream::Upstream;
use tokio::net::TcpListener;

use crate::fake::{Fake, Pipes, Reply, beginning, error_of, json, result, run, status};

const READY: &str = r#"{"id":"roadstead/ready","jsonrpc":"2.0","method":"ping"}"#;

fn redirect(code: u16, to: &str) -> Reply {
    let mut reply = status(code);
    reply.headers_mut().insert("location", HeaderValue::from_str(to).expect("a header is text"));
    reply
}

#[test]
fn the_server_gets_its_own_host_and_headers_and_the_protocols_cannot_be_replaced() {
    run(async {
        let fake =
            Fake::start(|seen| async move { beginning(&seen).unwrap_or_else(|| json(&result(&seen, "{}"))) })
                .await;
        let own = |name, value| (HeaderName::from_static(name), HeaderValue::from_static(value));
        let upstream = Upstream {
            headers: vec![
                own("authorization", "Bearer own"),
                own("host", "evil"),
                own("accept", "text/html"),
                own("mcp-session-id", "forged"),
                own("accept-encoding", "gzip"),
            ],
            ..fake.upstream()
        };
        let mut pipes = Pipes::open(fake.address, upstream, Purpose::LegacySession, Box::pin(pending()));
        pipes.begin().await;
        let seen = fake.until(|seen| seen.len() == 3).await;
        for seen in &seen {
            assert_eq!(seen.header("host"), Some(format!("localhost:{}", fake.address.port()).as_str()));
            assert_eq!(seen.header("authorization"), Some("Bearer own"));
            assert_eq!(seen.header("accept-encoding"), Some("identity"));
            assert_ne!(seen.header("accept"), Some("text/html"));
        }
        assert_eq!(seen[0].header("mcp-session-id"), None);
    });
}

#[test]
fn redirects_within_the_server_are_followed_and_remembered() {
    run(async {
        for code in [307, 308] {
            let fake = Fake::start(move |seen| async move {
                if seen.path == "/mcp" {
                    return redirect(code, "/mcp/");
                }
                beginning(&seen).unwrap_or_else(|| json(&result(&seen, "{}")))
            })
            .await;
            fake.session().await;
            let seen = fake.until(|seen| seen.len() >= 3).await;
            assert_eq!(seen[0].path, "/mcp");
            assert_eq!(seen[1].body, seen[0].body);
            assert!(seen[1..].iter().all(|seen| seen.path == "/mcp/"));
        }
    });
}

#[test]
fn a_redirect_to_another_server_or_in_a_circle_is_refused() {
    run(async {
        let other = Fake::start(|_| async { status(200) }).await;
        let elsewhere = format!("http://127.0.0.1:{}/mcp", other.address.port());
        for (to, said) in [(elsewhere.as_str(), "another server"), ("/mcp", "too often"), ("", "redirect")] {
            let to = to.to_owned();
            let fake = Fake::start(move |_| {
                let to = to.clone();
                async move { redirect(307, &to) }
            })
            .await;
            let mut pipes = fake.open(Purpose::LegacySession);
            pipes.send(r#"{"id":1,"method":"initialize"}"#).await;
            let (_, message) = error_of(&pipes.next().await, 1);
            assert!(message.contains(said), "{message}");
        }
        assert!(other.seen().is_empty());
    });
}

#[test]
fn connections_are_used_again_and_a_closed_one_is_replaced() {
    run(async {
        let fake =
            Fake::start(|seen| async move { beginning(&seen).unwrap_or_else(|| json(&result(&seen, "{}"))) })
                .await;
        let mut pipes = fake.session().await;
        for id in 0..30 {
            if id % 10 == 0 {
                fake.close_connections().await;
            }
            pipes.send(&format!(r#"{{"id":{id},"method":"tools/list"}}"#)).await;
            let answer = pipes.next().await;
            assert_eq!((&answer["id"], answer["error"].is_null()), (&id.into(), true), "{answer}");
        }
        assert!(
            fake.connections() <= 2,
            "{} connections since the last time they were closed",
            fake.connections()
        );
    });
}

#[test]
fn readiness_waits_for_the_server_to_listen_and_changes_nothing() {
    run(async {
        // A port that is free and known before anybody listens.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = socket.local_addr().unwrap();
        let template = Fake::start(|_| async { status(200) }).await;
        let upstream = Upstream {
            url: format!("http://localhost:{}/mcp", address.port()).parse().unwrap(),
            ..template.upstream()
        };
        let mut pipes = Pipes::open(address, upstream, Purpose::LegacySession, Box::pin(pending()));
        pipes.send(READY).await;
        tokio::task::yield_now().await;
        let listener: TcpListener = socket.listen(16).unwrap();
        let fake = Fake::on(listener, |seen| async move { beginning(&seen).unwrap_or_else(|| status(400)) });
        assert_eq!(pipes.line().await.unwrap(), r#"{"jsonrpc":"2.0","id":"roadstead/ready","result":{}}"#);
        let seen = fake.seen();
        assert_eq!((seen.len(), seen[0].method.as_str()), (1, "OPTIONS"));
        pipes.begin().await;
        pipes.send(r#"{"id":1,"method":"ping"}"#).await;
        assert_eq!(
            error_of(&pipes.next().await, 1).0,
            -32603,
            "a ping of a session is the server's business"
        );
    });
}

#[test]
fn a_request_also_waits_for_a_server_that_was_just_started() {
    run(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = socket.local_addr().unwrap();
        let template = Fake::start(|_| async { status(200) }).await;
        let mut pipes = Pipes::open(address, template.upstream(), Purpose::ModernShared, Box::pin(pending()));
        pipes.send(r#"{"id":1,"method":"server/discover"}"#).await;
        tokio::task::yield_now().await;
        let _fake = Fake::on(socket.listen(16).unwrap(), |seen| async move { json(&result(&seen, "{}")) });
        assert_eq!(pipes.next().await["id"], 1);
    });
}
