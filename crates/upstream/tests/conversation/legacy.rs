//! Sessions over Streamable HTTP.

use std::future::pending;
use std::rc::Rc;

use http::HeaderValue;
use roadstead_bridge::Purpose;
use serde_json::json as value;
use tokio::sync::Notify;

use crate::fake::{Fake, Pipes, Seen, beginning, error_of, events, json, reply, result, run, status};

#[test]
fn the_session_and_its_version_are_named_in_everything_after_initialize() {
    run(async {
        let fake =
            Fake::start(|seen| async move { beginning(&seen).unwrap_or_else(|| json(&result(&seen, "{}"))) })
                .await;
        let mut pipes = fake.session().await;
        pipes.send(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#).await;
        assert_eq!(pipes.next().await["id"], 1);
        let seen = fake.until(|seen| seen.len() == 4).await;
        assert_eq!((seen[0].header("mcp-session-id"), seen[0].header("mcp-protocol-version")), (None, None));
        for later in &seen[1..] {
            assert_eq!(later.header("mcp-session-id"), Some("s-1"));
            assert_eq!(later.header("mcp-protocol-version"), Some("2025-11-25"));
        }
        for post in seen.iter().filter(|seen| seen.method == "POST") {
            assert_eq!(post.header("accept"), Some("application/json, text/event-stream"));
            assert_eq!(post.header("content-type"), Some("application/json"));
        }
    });
}

#[test]
fn messages_pass_unchanged_on_one_line_each() {
    run(async {
        let fake = Fake::start(|seen| async move {
            if let Some(reply) = beginning(&seen) {
                return reply;
            }
            if seen.rpc() == "pretty" {
                return json("\r\n{ \"jsonrpc\": \"2.0\",\r\n  \"id\": 1,\n  \"result\": {\"n\": 1.0e5} }\n");
            }
            let (reply, feed) = events();
            tokio::task::spawn_local(async move {
                feed.send("id: 1\ndata:\n\n: comment\n\nevent: other\ndata: {}\n\n").await;
                feed.event(r#"{"method":"notifications/progress","params":{"u":"\u2028 é"}}"#).await;
                feed.send("data: {\"id\":\r\ndata: 2, \"result\": 123456789012345678901234567890}\r\n\r\n")
                    .await;
            });
            reply
        })
        .await;
        let mut pipes = fake.session().await;
        let sent =
            r#"{ "id" : 1 ,"method":"pretty", "params": {"big": 123456789012345678901234567890, "s":"é\n"}}"#;
        pipes.send(sent).await;
        let got = pipes.line().await.unwrap();
        assert_eq!(got, "{ \"jsonrpc\": \"2.0\",    \"id\": 1,   \"result\": {\"n\": 1.0e5} }");
        assert_eq!(fake.message("pretty").await.body, sent);
        pipes.send(r#"{"id":2,"method":"streamed"}"#).await;
        let progress = pipes.line().await.unwrap();
        assert_eq!(progress, r#"{"method":"notifications/progress","params":{"u":"\u2028 é"}}"#);
        assert_eq!(pipes.line().await.unwrap(), r#"{"id": 2, "result": 123456789012345678901234567890}"#);
    });
}

#[test]
fn a_slow_request_holds_nobody_up_and_a_notification_comes_after_all_before_it() {
    run(async {
        let go = Rc::new(Notify::new());
        let held = Rc::clone(&go);
        let fake = Fake::start(move |seen| {
            let held = Rc::clone(&held);
            async move {
                if let Some(reply) = beginning(&seen) {
                    return reply;
                }
                if seen.rpc() == "slow" {
                    held.notified().await;
                }
                if seen.json()["id"].is_null() { status(202) } else { json(&result(&seen, "{}")) }
            }
        })
        .await;
        let mut pipes = fake.session().await;
        let ballast = "x".repeat(2000);
        for id in 1..=20 {
            pipes.send(&format!(r#"{{"id":{id},"method":"slow","params":{{"x":"{ballast}"}}}}"#)).await;
        }
        pipes.send(r#"{"method":"notifications/after"}"#).await;
        pipes.send(r#"{"id":"quick","method":"quick"}"#).await;
        assert_eq!(pipes.next().await["id"], "quick");
        let order: Vec<_> = fake.seen().iter().filter(|seen| seen.method == "POST").map(Seen::rpc).collect();
        let at = |wanted: &str| order.iter().position(|method| method == wanted).unwrap();
        assert_eq!(order[2..at("notifications/after")], ["slow"; 20]);
        assert!(at("quick") > at("notifications/after"));
        go.notify_waiters();
        let mut ids = Vec::new();
        for _ in 0..20 {
            ids.push(pipes.next().await["id"].as_i64().unwrap());
        }
        ids.sort_unstable();
        assert_eq!(ids, (1..=20).collect::<Vec<_>>());
    });
}

#[test]
fn an_answer_to_a_request_of_the_server_is_posted() {
    run(async {
        let answered = Rc::new(Notify::new());
        let told = Rc::clone(&answered);
        let fake = Fake::start(move |seen| {
            let told = Rc::clone(&told);
            async move {
                if let Some(reply) = beginning(&seen) {
                    return reply;
                }
                if seen.rpc().is_empty() {
                    told.notify_one();
                    return status(202);
                }
                let (reply, feed) = events();
                tokio::task::spawn_local(async move {
                    feed.event(r#"{"jsonrpc":"2.0","id":"ask-1","method":"elicitation/create"}"#).await;
                    told.notified().await;
                    feed.event(&result(&seen, r#"{"ok":true}"#)).await;
                });
                reply
            }
        })
        .await;
        let mut pipes = fake.session().await;
        pipes.send(r#"{"id":1,"method":"tools/call"}"#).await;
        assert_eq!(pipes.next().await["id"], "ask-1");
        pipes.send(r#"{"jsonrpc":"2.0","id":"ask-1","result":{"action":"accept"}}"#).await;
        assert_eq!(pipes.next().await["result"]["ok"], true);
        let posted = fake.seen().into_iter().find(|seen| seen.json()["id"] == "ask-1").unwrap();
        assert_eq!(posted.json()["result"]["action"], "accept");
        assert_eq!(posted.header("mcp-session-id"), Some("s-1"));
    });
}

#[test]
fn refusals_become_errors_of_the_request() {
    run(async {
        let fake = Fake::start(|seen| async move {
            if let Some(reply) = beginning(&seen) {
                return reply;
            }
            match seen.rpc().as_str() {
                "theirs" => reply(400, "application/json", r#"{"jsonrpc":"2.0","id":"server-error","error":{"code":-32042,"message":"m","data":{"x":1}}}"#),
                "no id" => reply(422, "application/json", r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"m"}}"#),
                "html" => reply(502, "text/html", "<h1>secret host</h1>"),
                "empty" => status(202),
                "nonsense" => json(r#"{"hello":"world"}"#),
                "ok but error" => json(r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"m"}}"#),
                _ => json(r#"{"jsonrpc":"2.0","id":"7","result":{}}"#),
            }
        })
        .await;
        let mut pipes = fake.session().await;
        for (id, method, code) in [
            (value!("a"), "theirs", -32042),
            (value!(2), "no id", -32600),
            (value!(3), "html", -32603),
            (value!(4), "empty", -32603),
            (value!(5), "nonsense", -32603),
            (value!("6"), "ok but error", -32700),
        ] {
            pipes.send(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}"}}"#)).await;
            let answer = pipes.next().await;
            let (got, message) = error_of(&answer, id);
            assert_eq!(got, code, "{method}: {answer}");
            assert!(
                method != "html" || (message.contains("502") && !message.contains("secret")),
                "{message}"
            );
            assert!(method != "theirs" || answer["error"]["data"]["x"] == 1);
        }
        pipes.send(r#"{"jsonrpc":"2.0","id":7,"method":"changes the type of ids"}"#).await;
        let answer = pipes.next().await;
        assert_eq!((&answer["id"], &answer["result"]), (&value!(7), &value!({})));
    });
}

#[test]
fn ids_that_differ_only_in_their_type_never_meet_at_the_server() {
    run(async {
        let go = Rc::new(Notify::new());
        let held = Rc::clone(&go);
        let fake = Fake::start(move |seen| {
            let held = Rc::clone(&held);
            async move {
                if let Some(reply) = beginning(&seen) {
                    return reply;
                }
                if seen.json()["id"].is_null() {
                    return status(202);
                }
                held.notified().await;
                json(&result(&seen, &format!(r#"{{"was":{}}}"#, seen.json()["params"]["was"])))
            }
        })
        .await;
        let mut pipes = fake.session().await;
        pipes.send(r#"{"id":1,"method":"m","params":{"was":"number"}}"#).await;
        pipes.send(r#"{"id":"1","method":"m","params":{"was":"text"}}"#).await;
        let both = fake.until(|seen| seen.iter().filter(|seen| seen.rpc() == "m").count() == 2).await;
        let ids: Vec<_> =
            both.iter().filter(|seen| seen.rpc() == "m").map(|seen| seen.json()["id"].clone()).collect();
        assert!(ids.contains(&value!(1)) && !ids.contains(&value!("1")), "{ids:?}");
        go.notify_waiters();
        for _ in 0..2 {
            let answer = pipes.next().await;
            let wanted = if answer["id"] == 1 { "number" } else { "text" };
            assert!(answer["id"] == 1 || answer["id"] == "1");
            assert_eq!(answer["result"]["was"], wanted);
        }
    });
}

#[test]
fn a_cancellation_is_posted_under_the_id_the_server_knows_and_its_stream_is_closed() {
    run(async {
        let feeds = Rc::new(std::cell::RefCell::new(Vec::new()));
        let kept = Rc::clone(&feeds);
        let fake = Fake::start(move |seen| {
            let kept = Rc::clone(&kept);
            async move {
                if let Some(reply) = beginning(&seen) {
                    return reply;
                }
                if seen.json()["id"].is_null() {
                    return status(202);
                }
                let (reply, feed) = events();
                kept.borrow_mut().push(feed);
                reply
            }
        })
        .await;
        let mut pipes = fake.session().await;
        pipes.send(r#"{"id":1,"method":"m"}"#).await;
        pipes.send(r#"{"id":"1","method":"m"}"#).await;
        pipes.send(r#"{"method":"notifications/cancelled","params":{"requestId":"1","reason":"r"}}"#).await;
        let cancelled = fake.message("notifications/cancelled").await;
        let sent: Vec<_> = fake
            .seen()
            .iter()
            .filter(|seen| seen.rpc() == "m")
            .map(|seen| seen.json()["id"].clone())
            .collect();
        assert_ne!(cancelled.json()["params"]["requestId"], "1");
        assert!(sent.contains(&cancelled.json()["params"]["requestId"]), "{sent:?}");
        assert_eq!(cancelled.json()["params"]["reason"], "r");
        let cancelled_at = sent.iter().position(|id| *id == cancelled.json()["params"]["requestId"]).unwrap();
        let feed = feeds.borrow()[cancelled_at].clone();
        feed.left().await;
        let other = feeds.borrow()[1 - cancelled_at].clone();
        other.event(r#"{"id":1,"result":{}}"#).await;
        assert_eq!(pipes.next().await["id"], 1, "nothing was said about the cancelled one");
    });
}

#[test]
fn a_session_the_server_does_not_know_ends_the_pipes() {
    run(async {
        let fake = Fake::start(|seen| async move {
            if let Some(reply) = beginning(&seen) {
                return reply;
            }
            if seen.rpc() == "lasts" {
                return pending().await;
            }
            reply(
                404,
                "application/json",
                r#"{"jsonrpc":"2.0","error":{"code":-32001,"message":"Session not found"}}"#,
            )
        })
        .await;
        let mut pipes = fake.session().await;
        pipes.send(r#"{"id":1,"method":"lasts"}"#).await;
        fake.message("lasts").await;
        pipes.send(r#"{"id":2,"method":"tools/list"}"#).await;
        for _ in 0..2 {
            let answer = pipes.next().await;
            assert_eq!(answer["error"]["code"], -32603);
            assert!(answer["error"]["message"].as_str().unwrap().contains("session"), "{answer}");
        }
        assert_eq!(pipes.line().await, None);
        assert!(pipes.exited().await.contains("ended the session"));
        assert!(fake.seen().iter().all(|seen| seen.method != "DELETE"), "there is nothing to delete");
    });
}

#[test]
fn ending_deletes_the_session_and_closes_every_stream() {
    run(async {
        let feed = Rc::new(std::cell::RefCell::new(None));
        let kept = Rc::clone(&feed);
        let fake = Fake::start(move |seen| {
            let kept = Rc::clone(&kept);
            async move {
                if seen.method == "GET" {
                    let (reply, feed) = events();
                    *kept.borrow_mut() = Some(feed);
                    return reply;
                }
                beginning(&seen).unwrap()
            }
        })
        .await;
        for by_ender in [true, false] {
            let mut pipes = fake.session().await;
            fake.until(|seen| seen.last().unwrap().method == "GET").await;
            if by_ender {
                pipes.end();
            } else {
                pipes.input = None;
            }
            assert_eq!(pipes.line().await, None);
            let seen = fake.until(|seen| seen.last().unwrap().method == "DELETE").await;
            assert_eq!(seen.last().unwrap().header("mcp-session-id"), Some("s-1"));
            let feed = feed.borrow_mut().take().unwrap();
            feed.left().await;
            let wanted = if by_ender { "ended" } else { "input was closed" };
            assert!(pipes.exited().await.contains(wanted));
        }
    });
}

#[test]
fn a_server_that_goes_away_answers_everything_with_an_error_and_ends_the_pipes() {
    run(async {
        let fake = Fake::start(|seen| async move {
            if let Some(reply) = beginning(&seen) {
                return reply;
            }
            pending().await
        })
        .await;
        let mut pipes = fake.session().await;
        pipes.send(r#"{"id":1,"method":"lasts"}"#).await;
        fake.message("lasts").await;
        fake.stop().await;
        assert_eq!(error_of(&pipes.next().await, 1).0, -32603);
        pipes.send(r#"{"id":2,"method":"tools/list"}"#).await;
        assert_eq!(error_of(&pipes.next().await, 2).0, -32603);
        assert_eq!(pipes.line().await, None);
        assert!(pipes.exited().await.contains("listen"));
    });
}

#[test]
fn the_exit_of_the_process_behind_is_told_to_everything_open() {
    run(async {
        let fake = Fake::start(|seen| async move {
            if let Some(reply) = beginning(&seen) {
                return reply;
            }
            pending().await
        })
        .await;
        let exit = Rc::new(Notify::new());
        let told = Rc::clone(&exit);
        let exited = Box::pin(async move {
            told.notified().await;
            "exit code 7".to_owned()
        });
        let mut pipes = Pipes::open(fake.address, fake.upstream(), Purpose::LegacySession, exited);
        pipes.begin().await;
        pipes.send(r#"{"id":"x","method":"lasts"}"#).await;
        fake.message("lasts").await;
        exit.notify_one();
        assert!(error_of(&pipes.next().await, "x").1.contains("exit code 7"));
        assert_eq!(pipes.line().await, None);
        assert_eq!(pipes.exited().await, "exit code 7");
    });
}

#[test]
fn a_server_without_sessions_is_served_too() {
    run(async {
        let fake = Fake::start(|seen| async move {
            let mut reply = beginning(&seen).unwrap_or_else(|| json(&result(&seen, "{}")));
            reply.headers_mut().remove("mcp-session-id");
            reply.headers_mut().insert("x-other", HeaderValue::from_static("1"));
            reply
        })
        .await;
        let mut pipes = fake.session().await;
        pipes.send(r#"{"id":1,"method":"tools/list"}"#).await;
        pipes.next().await;
        pipes.end();
        pipes.exited().await;
        assert!(
            fake.seen().iter().all(|seen| seen.header("mcp-session-id").is_none() && seen.method != "DELETE")
        );
    });
}
