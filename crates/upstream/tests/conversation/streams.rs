//! Streams that last, break and are resumed.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::fake::{Fake, Feed, beginning, error_of, events, json, reply, result, run, status};

#[test]
fn the_stream_without_a_request_is_opened_after_initialized_and_again_where_it_ended() {
    run(async {
        let feeds: Rc<RefCell<Vec<Feed>>> = Rc::default();
        let kept = Rc::clone(&feeds);
        let fake = Fake::start(move |seen| {
            let kept = Rc::clone(&kept);
            async move {
                if seen.method == "GET" {
                    let (reply, feed) = events();
                    kept.borrow_mut().push(feed);
                    return reply;
                }
                beginning(&seen).unwrap_or_else(|| json(&result(&seen, "{}")))
            }
        })
        .await;
        let mut pipes = fake.session().await;
        let gets = |count| {
            move |seen: &[crate::fake::Seen]| seen.iter().filter(|seen| seen.method == "GET").count() == count
        };
        let seen = fake.until(gets(1)).await;
        assert_eq!(seen[1].rpc(), "notifications/initialized");
        assert_eq!(seen[2].header("accept"), Some("text/event-stream"));
        assert_eq!((seen[2].header("last-event-id"), seen[2].header("mcp-session-id")), (None, Some("s-1")));
        let first = feeds.borrow()[0].clone();
        first.send("retry: 10\nid: e-1\ndata: {\"method\":\"notifications/tools/list_changed\"}\n\n").await;
        assert_eq!(pipes.next().await["method"], "notifications/tools/list_changed");
        first.break_off().await;
        let seen = fake.until(gets(2)).await;
        assert_eq!(seen.last().unwrap().header("last-event-id"), Some("e-1"));
        let second = feeds.borrow()[1].clone();
        second.event(r#"{"id":"ask","method":"roots/list"}"#).await;
        assert_eq!(pipes.next().await["id"], "ask");
        drop(second);
        feeds.borrow_mut().clear();
        let seen = fake.until(gets(3)).await;
        assert_eq!(seen.last().unwrap().header("last-event-id"), Some("e-1"), "the second stream had no ids");
    });
}

#[test]
fn a_server_that_offers_no_such_stream_is_asked_once() {
    run(async {
        let fake =
            Fake::start(|seen| async move { beginning(&seen).unwrap_or_else(|| json(&result(&seen, "{}"))) })
                .await;
        let mut pipes = fake.session().await;
        fake.until(|seen| seen.iter().any(|seen| seen.method == "GET")).await;
        for id in 0..50 {
            pipes.send(&format!(r#"{{"id":{id},"method":"tools/list"}}"#)).await;
            pipes.next().await;
        }
        assert_eq!(fake.seen().iter().filter(|seen| seen.method == "GET").count(), 1);
    });
}

/// A server whose answers to `call` break after one event, and are resumed as the test says.
async fn breaking(
    first_event: &'static str,
    resumed: impl Fn(u32) -> Option<&'static str> + Clone + 'static,
) -> Fake {
    let gets = Rc::new(Cell::new(0));
    Fake::start(move |seen| {
        let (gets, resumed) = (Rc::clone(&gets), resumed.clone());
        async move {
            let (stream, feed) = events();
            if seen.rpc() == "call" {
                tokio::task::spawn_local(async move {
                    feed.send(first_event).await;
                    feed.break_off().await;
                });
                return stream;
            }
            if seen.method == "GET" && seen.header("last-event-id").is_some() {
                gets.set(gets.get() + 1);
                let Some(text) = resumed(gets.get()) else { return status(400) };
                tokio::task::spawn_local(async move { feed.send(text).await });
                return stream;
            }
            beginning(&seen).unwrap_or_else(|| reply(500, "", ""))
        }
    })
    .await
}

#[test]
fn an_answer_whose_stream_broke_is_fetched_by_the_last_event() {
    run(async {
        let fake = breaking("retry: 5\nid: a\ndata:\n\n", |get| {
            Some(match get {
                1 => "id: b\ndata: {\"method\":\"notifications/progress\"}\n\n",
                2 => "",
                _ => "id: c\ndata: {\"id\":1,\"result\":{\"late\":true}}\n\n",
            })
        })
        .await;
        let mut pipes = fake.session().await;
        pipes.send(r#"{"id":1,"method":"call"}"#).await;
        assert_eq!(pipes.next().await["method"], "notifications/progress");
        assert_eq!(pipes.next().await["result"]["late"], true);
        let lasts: Vec<_> = fake
            .seen()
            .iter()
            .filter_map(|seen| seen.header("last-event-id").map(ToOwned::to_owned))
            .collect();
        assert_eq!(lasts, ["a", "b", "b"]);
    });
}

#[test]
fn a_broken_stream_that_cannot_be_resumed_is_an_error_of_its_request() {
    run(async {
        for (event, resumed) in
            [("data: {\"method\":\"n\"}\n\n", true), ("retry: 5\nid: a\ndata: {\"method\":\"n\"}\n\n", false)]
        {
            let fake = breaking(event, move |_| resumed.then_some("")).await;
            let mut pipes = fake.session().await;
            pipes.send(r#"{"id":"x","method":"call"}"#).await;
            assert_eq!(pipes.next().await["method"], "n");
            let (code, message) = error_of(&pipes.next().await, "x");
            assert_eq!(code, -32603);
            assert!(message.contains("event stream"), "{message}");
        }
    });
}
