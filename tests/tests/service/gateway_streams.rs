//! Streams through the gateway and on the port: they flow at once, and what ends on one side ends on the other.

use std::time::{Duration, Instant};

use roadstead_test_support::app::App;
use roadstead_test_support::process::descriptors;
use roadstead_test_support::raw::{Event, Events, PATIENCE, Session, call, http_client};
use roadstead_test_support::wait_for;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::half_dead::HalfDead;
use crate::support::steps::{Place, define, set, set_ports};

/// What a close takes when nothing but the close itself brings it about: shorter than every timeout of ours.
const AT_ONCE: Duration = Duration::from_secs(4);
/// The pause between comments unless it is set.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Comments of an hour.
const COMMENTS_OF_AN_HOUR: usize = 240;

async fn started(first: u16) -> App {
    let app = App::start().await;
    set_ports(&app, first, first + 19).await;
    define(&app).await;
    app
}

/// Opens a stream with a call that is never answered, and waits until it flows.
async fn open_call(session: &Session) -> Events {
    let mut events = Events::of(session.send(&call(&json!(7), "x", &json!({}), Some("p"))).await);
    assert_eq!(events.message().await.expect("progress")["params"]["progress"], 1);
    events
}

async fn holds(pid: i32, what: &str, wanted: impl Fn(usize) -> bool, patience: Duration) {
    wait_for(what, patience, async || wanted(descriptors(pid)).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_flow_at_once_and_end_on_both_sides() {
    let app = started(23_000).await;
    for two in [false, true] {
        let client = http_client(two);
        let place = Place::launch(&app, "steps").await;
        let session = Session::open(&client, &place.gateway, &place.token).await;
        every_event_arrives_before_the_next_is_made(&session, two).await;
        a_client_that_leaves_is_gone_at_once(&app, &place, &session, &client).await;
        a_server_that_leaves_ends_the_stream_in_order(&session).await;
    }
    for two in [false, true] {
        let place = Place::launch(&app, "steps").await;
        let session = Session::open(&http_client(two), &place.gateway, &place.token).await;
        let mut events = session.listen().await;
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(place.shim), nix::sys::signal::Signal::SIGKILL)
            .expect("the shim runs");
        let cut = async {
            loop {
                match events.next().await {
                    Ok(Some(_)) => {}
                    Ok(None) => return false,
                    Err(_) => return true,
                }
            }
        };
        let cut = tokio::time::timeout(PATIENCE, cut).await.expect("the stream ends with its shim");
        assert!(cut, "a stream that was cut looks as if it had ended in order (HTTP/2: {two})");
    }
}

async fn every_event_arrives_before_the_next_is_made(session: &Session, two: bool) {
    let request = session.request("POST").header("accept-encoding", "gzip, br, zstd, deflate");
    let response = request.json(&call(&json!("1"), "x", &json!({}), Some("p"))).send().await.expect("a head");
    let version = if two { reqwest::Version::HTTP_2 } else { reqwest::Version::HTTP_11 };
    assert_eq!(response.version(), version);
    for absent in ["content-encoding", "connection", "keep-alive", "upgrade"] {
        assert!(!response.headers().contains_key(absent), "{absent}: {response:?}");
    }
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    let mut events = Events::of(response);
    for step in 1..=5 {
        // The server makes the next one only when it is told to, below.
        let message = events.message().await.expect("the stream goes on");
        assert_eq!(message["params"]["progress"], step, "{message}");
        assert_eq!(session.notify("notifications/step", json!({})).await, 202);
    }
    assert_eq!(events.message().await.expect("the last step")["params"]["progress"], 6);
    assert_eq!(session.notify("notifications/finish", json!({})).await, 202);
    assert_eq!(events.message().await.expect("an answer")["id"], "1");
    assert_eq!(events.message().await, None, "the answer is the end");
}

async fn a_client_that_leaves_is_gone_at_once(
    app: &App,
    place: &Place,
    session: &Session,
    client: &reqwest::Client,
) {
    let listening = session.listen().await;
    let calling = open_call(session).await;
    // The head of this one is held back when the client leaves.
    let mut hanging = JoinSet::new();
    let message = call(&json!(8), "x", &json!({}), None);
    hanging.spawn(session.request_accepting("POST", "application/json").json(&message).send());
    let status = place.gateway.replace("/mcp", "/status");
    wait_for("both calls to be in flight", PATIENCE, async || {
        let status = client.get(&status).bearer_auth(&place.token).send().await.ok()?;
        let status: Value = status.json().await.ok()?;
        (status["in_flight"] == 2).then_some(())
    })
    .await;
    // Some connections of the pool may be idle; those in use are three.
    let held = descriptors(place.shim);
    drop((listening, calling));
    assert!(hanging.try_join_next().is_none(), "its answer has not come yet");
    hanging.shutdown().await;
    holds(place.shim, "the shim to see that its clients left", |now| now + 3 <= held, AT_ONCE).await;
    // The session, and everybody else, goes on.
    assert_eq!(session.notify("notifications/finish", json!({})).await, 202);
    assert!(client.get(format!("{}/healthz", app.url)).send().await.expect("healthy").status().is_success());
}

async fn a_server_that_leaves_ends_the_stream_in_order(session: &Session) {
    let mut listening = session.listen().await;
    let mut events = Events::of(session.send(&call(&json!(9), "x", &json!({}), Some("p"))).await);
    assert!(events.message().await.is_some());
    assert_eq!(session.notify("notifications/leave", json!({})).await, 202);
    let answer = events.message().await.expect("an error in the server's stead");
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(9), &json!(-32603)), "{answer}");
    assert_eq!(events.message().await, None);
    // Its session's stream ends too, after what was left of the calls that were hung up on.
    while let Some(message) = listening.message().await {
        assert_eq!(message["method"], "notifications/progress", "{message}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_token_is_told_so_before_it_uploads_and_finds_no_authorization_server() {
    let app = started(23_020).await;
    let place = Place::launch(&app, "large").await;
    let base = place.gateway.strip_suffix("/mcp").expect("an access URL");
    let port = place.port.strip_suffix("/mcp").expect("a port");
    let client = http_client(false);
    let names = ["oauth-protected-resource", "oauth-authorization-server", "openid-configuration"];
    let path = base.strip_prefix(&app.url).expect("the service's");
    for name in names {
        for url in [
            format!("{}/.well-known/{name}", app.url),
            format!("{}/.well-known/{name}{path}/mcp", app.url),
            format!("{base}/.well-known/{name}"),
            format!("{base}/mcp/.well-known/{name}"),
            format!("{port}/.well-known/{name}"),
            format!("{port}/.well-known/{name}/mcp"),
        ] {
            let response = client.get(&url).send().await.expect("an answer");
            assert_eq!(response.status(), 404, "{url}");
            assert!(!response.headers().contains_key("www-authenticate"), "{url}");
            assert_eq!(response.headers()["content-type"], "application/json", "{url}");
            let body: Value = response.json().await.expect("JSON");
            assert!(
                body["error"]["request_id"].is_string() && body["error"]["timestamp"].is_string(),
                "{body}"
            );
        }
    }
    for url in [&place.gateway, &place.port] {
        refused_in_the_middle_of_an_upload(url, &place.token).await;
        expecting_to_be_told_to_continue(url, &place.token).await;
        other_methods(&client, url, &place.token).await;
    }
}

async fn refused_in_the_middle_of_an_upload(url: &str, token: &str) {
    for two in [false, true] {
        if two && !url.contains("/i/") {
            // The port speaks HTTP/1.1 alone.
            continue;
        }
        for (token, bytes, status) in [("wrong", 32 << 20, 401), (token, 65 << 20, 413)] {
            let upload =
                http_client(two).post(url).bearer_auth(token).header("content-type", "application/json");
            let upload =
                upload.header("accept", "application/json, text/event-stream").body(vec![b'x'; bytes]);
            let response =
                upload.send().await.unwrap_or_else(|error| panic!("{url} {status} {two}: {error:?}"));
            assert_eq!(response.status(), status, "{url}");
            if status == 401 {
                let challenge = &response.headers()["www-authenticate"];
                assert_eq!(challenge, "Bearer realm=\"roadstead\", error=\"invalid_token\"");
            }
            assert!(!response.bytes().await.expect("the whole refusal").is_empty());
        }
    }
}

/// Sends a head that expects `100 Continue`, and answers with what is said to it until a head is complete.
async fn said_to_head(stream: &mut TcpStream, url: &str, token: &str, length: usize) -> String {
    let (address, path) = url.strip_prefix("http://").and_then(|url| url.split_once('/')).expect("a URL");
    let head = format!(
        "POST /{path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    read_head(stream).await
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut said = Vec::new();
    while !said.ends_with(b"\r\n\r\n") {
        let byte = tokio::time::timeout(PATIENCE, stream.read_u8()).await.expect("in time");
        said.push(byte.expect("a whole head"));
    }
    String::from_utf8(said).expect("text")
}

async fn expecting_to_be_told_to_continue(url: &str, token: &str) {
    let address = url.strip_prefix("http://").and_then(|url| url.split('/').next()).expect("a URL");
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "raw", "version": "1" } } })
    .to_string();
    let mut stream = TcpStream::connect(address).await.expect("connected");
    let said = said_to_head(&mut stream, url, token, body.len()).await;
    assert!(said.starts_with("HTTP/1.1 100 "), "{said}");
    stream.write_all(body.as_bytes()).await.expect("sent");
    let said = read_head(&mut stream).await;
    assert!(said.starts_with("HTTP/1.1 200 "), "{said}");

    let mut stream = TcpStream::connect(address).await.expect("connected");
    let said = said_to_head(&mut stream, url, "wrong", body.len()).await;
    assert!(said.starts_with("HTTP/1.1 401 "), "{url}: a body was asked for: {said}");
}

async fn other_methods(client: &reqwest::Client, url: &str, token: &str) {
    let options =
        client.request(reqwest::Method::OPTIONS, url).bearer_auth(token).send().await.expect("sent");
    assert_eq!(options.status(), 405);
    assert!(options.headers().contains_key("allow"));
    let status = url.replace("/mcp", "/status");
    let get = client.get(&status).bearer_auth(token).send().await.expect("sent");
    let head = client.head(&status).bearer_auth(token).send().await.expect("sent");
    assert_eq!((get.status(), head.status()), (reqwest::StatusCode::OK, reqwest::StatusCode::OK));
    assert_eq!(head.headers()["content-type"], get.headers()["content-type"]);
    assert!(head.bytes().await.expect("no body").is_empty());
    let refused = client.head(url).bearer_auth("wrong").send().await.expect("sent");
    assert_eq!(refused.status(), 401);
    assert!(refused.headers().contains_key("www-authenticate"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_stream_outlives_every_timeout_and_still_carries_a_message() {
    let app = started(23_040).await;
    // An hour of comments where their pause can be set; else as long as the longest of our timeouts, and more.
    let comments = if set(&app, "bridge.keep_alive_ms", 50).await { COMMENTS_OF_AN_HOUR } else { 5 };
    let place = Place::launch(&app, "steps").await;
    let idle = [(&place.gateway, false), (&place.gateway, true), (&place.port, false)].map(|(url, two)| {
        let (url, token) = (url.clone(), place.token.clone());
        async move {
            let session = Session::open(&http_client(two), &url, &token).await;
            let mut events = session.listen().await;
            for heard in 0..comments {
                let event = tokio::time::timeout(KEEP_ALIVE * 2, events.next()).await;
                let event = event.unwrap_or_else(|_| panic!("{url}: silence after {heard} comments"));
                assert_eq!(event.expect("the stream lives"), Some(Event::Comment), "{url}, HTTP/2: {two}");
            }
            assert_eq!(session.notify("notifications/announce", json!({})).await, 202);
            let message = events.message().await.expect("the stream lives");
            assert_eq!(message["method"], "notifications/tools/list_changed");
        }
    });
    futures_util::future::join_all(idle).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_dead_client_is_noticed_within_the_keep_alive_time() {
    let app = started(23_060).await;
    for (kind, through_gateway, how) in [
        ("steps", true, HalfDead::Vanished),
        ("steps", false, HalfDead::Vanished),
        ("large", true, HalfDead::StoppedReading),
        ("large", false, HalfDead::StoppedReading),
    ] {
        // Each has an instance of its own: no idle connection of another case ends while this one is watched.
        let place = Place::launch(&app, kind).await;
        let url = if through_gateway { &place.gateway } else { &place.port };
        let session = Session::open(&http_client(false), url, &place.token).await;
        let dead = how.play(&session, url).await.fall_silent().await;
        let (held, begun) = (descriptors(place.shim), Instant::now());
        holds(place.shim, &format!("{how:?} to be noticed on {url}"), |now| now < held, KEEP_ALIVE).await;
        eprintln!("{how:?} on {url}: noticed after {:.1?}", begun.elapsed());
        // The session is free: its stream goes to whoever comes now.
        let mut events = session.listen().await;
        if how == HalfDead::Vanished {
            assert_eq!(session.notify("notifications/announce", json!({})).await, 202);
            let message = events.message().await.expect("a message");
            assert_eq!(message["method"], "notifications/tools/list_changed");
        }
        drop((events, dead));
        session.end().await;
    }
}
