//! The feed: in one order, without loss or repetition, and never what is somebody else's.

use std::time::Duration;

use roadstead_test_support::app::App;
use roadstead_test_support::{Rows, wait_for};
use serde_json::{Value, json};

use crate::support::apart;

const PATIENCE: Duration = Duration::from_secs(30);

/// A stream of server-sent events.
struct Stream {
    response: reqwest::Response,
    buffer: String,
}

impl Stream {
    async fn open(app: &App, key: &str, last: Option<i64>) -> Self {
        let request = app.request("GET", "/events").bearer_auth(key).header("accept", "text/event-stream");
        let request = match last {
            Some(last) => request.header("last-event-id", last.to_string()),
            None => request,
        };
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        Self { response, buffer: String::new() }
    }

    /// The next event; comments are passed over.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some((event, rest)) = self.buffer.split_once("\n\n") {
                let data = event.lines().find_map(|line| line.strip_prefix("data: ")).map(str::to_owned);
                let id = event.lines().find_map(|line| line.strip_prefix("id: ")).map(str::to_owned);
                let rest = rest.to_owned();
                self.buffer = rest;
                if let Some(data) = data {
                    let event: Value = serde_json::from_str(&data).expect("JSON");
                    assert_eq!(id, Some(event["position"].to_string()));
                    return Some(event);
                }
                continue;
            }
            let chunk = self.response.chunk().await.ok()??;
            self.buffer.push_str(std::str::from_utf8(&chunk).expect("text"));
        }
    }

    /// Reads until something has happened to something.
    async fn until(&mut self, subject: &str, event_type: &str) -> Vec<Value> {
        let reading = async {
            let mut read = Vec::new();
            while let Some(event) = self.next().await {
                let is_it = event["subject_id"] == subject && event["event_type"] == event_type;
                read.push(event);
                if is_it {
                    return read;
                }
            }
            panic!("the stream ended after {read:?}");
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("it comes")
    }
}

fn position(event: &Value) -> i64 {
    event["position"].as_i64().expect("a number")
}

async fn launch(app: &App) -> String {
    let launched = app.launch(json!({"type": "echo", "expires_in": "1h"})).await;
    launched["id"].as_str().expect("it has an id").to_owned()
}

/// A key of somebody else's.
async fn stranger(app: &App) -> String {
    let user = app.ask("POST", "/users", Some(json!({"email": "b@example.com", "name": "B"}))).await;
    assert_eq!(user.status, 201, "{user:?}");
    let scopes = app.ask("GET", "/me", None).await.body["key"]["scopes"].clone();
    let key = json!({"name": "b", "scopes": scopes, "user_id": user.body["id"]});
    let key = app.ask("POST", "/api-keys", Some(key)).await;
    assert_eq!(key.status, 201, "{key:?}");
    key.body["key"].as_str().expect("a key").to_owned()
}

#[tokio::test]
async fn a_stream_goes_on_where_it_ended_without_loss_or_repetition() {
    let app = apart::started().await;
    let mut stream = Stream::open(&app, &app.key, Some(0)).await;
    let first = launch(&app).await;
    let mut read = stream.until(&first, "started").await;
    drop(stream);
    let second = launch(&app).await;
    let stopped = app.ask("POST", &format!("/instances/{first}/stop"), None).await;
    assert_eq!(stopped.status, 200, "{stopped:?}");
    let last = position(read.last().expect("something was read"));
    let mut stream = Stream::open(&app, &app.key, Some(last)).await;
    read.extend(stream.until(&first, "stopped").await);
    let positions: Vec<i64> = read.iter().map(position).collect();
    assert!(positions.is_sorted_by(|a, b| a < b), "{positions:?}");
    for id in [&first, &second] {
        let of = read.iter().filter(|event| event["subject_id"] == **id);
        let types: Vec<String> =
            of.map(|event| event["event_type"].as_str().expect("a word").to_owned()).collect();
        assert_eq!(types, app.event_types(id).await, "{id}");
    }

    // Page by page, it is the same.
    let (mut after, mut paged) = (0, Vec::new());
    while after < *positions.last().expect("something was read") {
        let page = app.ask("GET", &format!("/events?limit=3&after={after}"), None).await.body;
        paged.extend(page["data"].as_array().expect("a list").iter().map(position));
        after = page["position"].as_i64().expect("a number");
    }
    assert!(paged.starts_with(&positions), "{paged:?} {positions:?}");

    // Told to stop, the service ends it.
    let reading = async { while stream.next().await.is_some() {} };
    let ((status, _data), read) = tokio::join!(app.interrupt(), tokio::time::timeout(PATIENCE, reading));
    assert!(status.success());
    read.expect("the stream ends");
}

#[tokio::test]
async fn nobody_sees_what_happens_to_others() {
    let app = apart::started().await;
    let stranger = stranger(&app).await;
    let mut theirs = Stream::open(&app, &stranger, Some(0)).await;
    let foreign = launch(&app).await;
    let answer =
        app.ask_as(&stranger, "POST", "/instances", Some(json!({"type": "echo", "expires_in": "1h"}))).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let own = answer.body["id"].as_str().expect("an id").to_owned();
    let read = theirs.until(&own, "started").await;
    assert!(read.iter().all(|event| event["subject_id"] == *own), "{read:?}");
    let asked = format!("/events?after=0&subject={foreign}");
    assert_eq!(app.ask_as(&stranger, "GET", &asked, None).await.body["data"], json!([]));
    assert_eq!(app.ask("GET", &asked, None).await.body["data"].as_array().map(Vec::len), Some(2));
    assert_eq!(app.ask_as(&stranger, "GET", "/system-events", None).await.status, 403);
    assert_eq!(
        app.ask_as(&stranger, "GET", "/events?after=0&kind=system", None).await.body["data"],
        json!([])
    );
    let (status, _data) = app.interrupt().await;
    assert!(status.success());
}

#[tokio::test]
async fn what_is_not_kept_is_said_to_be_gone_and_a_key_follows_ten_streams() {
    let app = apart::started().await;
    launch(&app).await;
    let first = wait_for("events to be numbered", PATIENCE, async || {
        let page = app.ask("GET", "/events?after=0", None).await.body;
        let events = page["data"].as_array().expect("a list").clone();
        (events.len() >= 3).then(|| position(&events[2]))
    })
    .await;
    let mut rows = Rows::of(app.data()).await;
    rows.execute(&format!("delete from feed where position < {first}")).await;
    rows.close().await;
    let gone = app.ask("GET", "/events?after=1", None).await;
    assert_eq!((gone.status, &gone.body["error"]["code"]), (410, &json!("EVENTS_GONE")));
    assert_eq!(app.ask("GET", &format!("/events?after={}", first - 1), None).await.status, 200);

    let mut streams = Vec::new();
    for _ in 0..10 {
        streams.push(Stream::open(&app, &app.key, None).await);
    }
    assert_eq!(app.ask("GET", "/events?follow=true", None).await.status, 429);
    streams.pop();
    wait_for("a stream to be given back", PATIENCE, async || {
        let request = app.request("GET", "/events?follow=true").bearer_auth(&app.key);
        (request.send().await.expect("an answer").status() == 200).then_some(())
    })
    .await;
    drop(streams);

    let told = app.ask("GET", "/system-events?type=service.started", None).await.body;
    assert_eq!(told["data"][0]["severity"], "info", "{told}");
    let (status, _data) = app.interrupt().await;
    assert!(status.success());
}
