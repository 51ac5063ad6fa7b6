//! What a server and a client may cost.

use std::future::pending;
use std::time::Duration;

use roadstead_bridge::Purpose;
use roadstead_upstream::{Upstream, UpstreamLimits};
use tokio::time::timeout;

use crate::fake::{Fake, Pipes, beginning, error_of, events, json, result, run};

async fn bounded(fake: &Fake, limits: UpstreamLimits) -> Pipes {
    let upstream = Upstream { limits, ..fake.upstream() };
    let mut pipes = Pipes::open(fake.address, upstream, Purpose::LegacySession, Box::pin(pending()));
    pipes.begin().await;
    pipes
}

#[test]
fn a_message_over_the_limit_is_an_error_of_its_request_alone() {
    run(async {
        let fake = Fake::start(|seen| async move {
            if let Some(reply) = beginning(&seen) {
                return reply;
            }
            let text = result(
                &seen,
                &format!(r#""{}""#, "x".repeat(if seen.rpc().starts_with("big") { 5000 } else { 10 })),
            );
            if seen.rpc() == "big json" {
                return json(&text);
            }
            let (reply, feed) = events();
            tokio::task::spawn_local(async move { feed.event(&text).await });
            reply
        })
        .await;
        let mut pipes =
            bounded(&fake, UpstreamLimits { max_message: 4096, ..UpstreamLimits::default() }).await;
        for (id, method) in [(1, "big json"), (2, "big events")] {
            pipes.send(&format!(r#"{{"id":{id},"method":"{method}"}}"#)).await;
            let (code, message) = error_of(&pipes.next().await, id);
            assert!(code == -32603 && message.contains("4096"), "{message}");
        }
        pipes.send(&format!(r#"{{"id":3,"method":"{}"}}"#, "x".repeat(5000))).await;
        pipes.send(r#"{"id":4,"method":"small"}"#).await;
        assert_eq!(pipes.next().await["result"], "xxxxxxxxxx");
        pipes.end();
        let detail = pipes.exited().await;
        assert!(detail.ends_with("lost: 2"), "one event and one line: {detail}");
    });
}

#[test]
fn one_open_request_too_many_is_refused_and_messages_still_pass() {
    run(async {
        let fake = Fake::start(|seen| async move {
            if let Some(reply) = beginning(&seen) {
                return reply;
            }
            pending().await
        })
        .await;
        let mut pipes = bounded(&fake, UpstreamLimits { max_open: 3, ..UpstreamLimits::default() }).await;
        for id in 1..=4 {
            pipes.send(&format!(r#"{{"id":{id},"method":"lasts"}}"#)).await;
        }
        assert!(error_of(&pipes.next().await, 4).1.contains("too many"));
        pipes.send(r#"{"method":"notifications/initialized"}"#).await;
        fake.until(|seen| seen.iter().filter(|seen| seen.rpc() == "notifications/initialized").count() == 2)
            .await;
    });
}

#[test]
fn a_bridge_that_does_not_read_holds_the_server_back_and_loses_nothing() {
    run(async {
        const EVENTS: usize = 400;
        let (decided, mut decision) = tokio::sync::watch::channel(None);
        let fake = Fake::start(move |seen| {
            let decided = decided.clone();
            async move {
                if let Some(reply) = beginning(&seen) {
                    return reply;
                }
                let (reply, feed) = events();
                tokio::task::spawn_local(async move {
                    let ballast = "x".repeat(64 * 1024);
                    let sending = async {
                        for number in 0..EVENTS {
                            feed.event(&format!(r#"{{"method":"n","params":[{number},"{ballast}"]}}"#)).await;
                        }
                    };
                    // 25 MB do not fit into the buffers on the way.
                    let mut sending = Box::pin(sending);
                    let held = timeout(Duration::from_millis(500), &mut sending).await.is_err();
                    decided.send_replace(Some(held));
                    sending.await;
                    feed.event(&result(&seen, "{}")).await;
                });
                reply
            }
        })
        .await;
        let mut pipes = bounded(&fake, UpstreamLimits::default()).await;
        pipes.send(r#"{"id":1,"method":"floods"}"#).await;
        let held = *decision.wait_for(Option::is_some).await.expect("the server lives");
        assert_eq!(held, Some(true), "25 MB went into nobody's hands");
        for number in 0..EVENTS {
            assert_eq!(pipes.next().await["params"][0], number);
        }
        assert_eq!(pipes.next().await["id"], 1);
    });
}
