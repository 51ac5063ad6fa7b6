//! Large messages: the right bytes in both directions, on both ways in, and no memory that stays.

#[path = "support/steps.rs"]
mod steps;

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use roadstead_test_support::app::App;
use roadstead_test_support::process::own_memory_kib;
use roadstead_test_support::raw::{PATIENCE, Session, call, http_client};
use roadstead_test_support::wait_for;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::MissedTickBehavior;

use steps::{Place, define, set_ports};

const MIB: usize = 1024 * 1024;
const LARGEST: usize = 32 * MIB;
/// Calls with the largest payload at one time.
const AT_ONCE: usize = 20;
/// What a shim may hold of one such call: its request while the server reads it, or its answer while the client does, each
/// perhaps in a block that has just grown to twice its content.
const HELD_OF_A_CALL_KIB: u64 = 2 * 2 * LARGEST as u64 / 1024;
/// What the gateway may hold of a call: the buffers of two connections.
const HELD_BY_THE_GATEWAY_KIB: u64 = 2 * 1024;
/// How soon memory is given back, and how much may be left.
const GIVEN_BACK: Duration = Duration::from_secs(30);
const LEFT_KIB: u64 = 2 * 1024;
const SEED: u64 = 0x6c61_7267_6521;

/// Text of so many bytes, with all that JSON escapes and UTF-8 joins.
fn text(random: &mut impl Rng, bytes: usize) -> String {
    const PIECES: [&str; 8] = ["a", "\n", "\\", "\"", "é", "\u{2028}", "\u{1f600}", "plain words "];
    let mut text = String::with_capacity(bytes);
    while text.len() < bytes {
        let piece = PIECES[random.random_range(0..PIECES.len())];
        text.push_str(if text.len() + piece.len() > bytes { "x" } else { piece });
    }
    text
}

fn answered(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| {
        let shown: String = answer.to_string().chars().take(300).collect();
        panic!("no text: {shown}")
    })
}

/// The answer in a whole body, which is one JSON or, where it took its time, a stream whose last event it is.
fn answer_in(body: &[u8]) -> Option<Value> {
    let last = body.split(|byte| *byte == b'\n').rev().find_map(|line| line.strip_prefix(b"data: "));
    serde_json::from_slice(last.unwrap_or(body)).ok()
}

async fn back_to(pid: i32, before: u64, who: &str) {
    let mut now = 0;
    let what = format!("{who} to give back what it held beyond {before} KiB");
    wait_for(&what, GIVEN_BACK, async || {
        let held = own_memory_kib(pid);
        if held != now {
            eprintln!("{who}: {held} KiB");
        }
        now = held;
        (now <= before + LEFT_KIB).then_some(())
    })
    .await;
    eprintln!("{who}: {before} KiB before, {now} KiB after");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payloads_of_every_size_arrive_whole_and_leave_no_memory_behind() {
    let app = App::start().await;
    set_ports(&app, 23_100, 23_119).await;
    define(&app).await;
    let place = Place::launch(&app, "large").await;
    let mut random = StdRng::seed_from_u64(SEED);
    let ways = [(&place.gateway, false), (&place.gateway, true), (&place.port, false)];
    let mut sessions = Vec::new();
    for (url, two) in ways {
        let session = Session::open(&http_client(two), url, &place.token).await;
        for bytes in [1, MIB, LARGEST] {
            let sent = text(&mut random, bytes);
            let answer = session.call(&json!(bytes), "echo", &json!({ "text": sent })).await;
            assert_eq!(answered(&answer).len(), bytes, "{url}");
            assert!(answered(&answer) == sent, "{url}: other text of {bytes} bytes");
        }
        sessions.push(session);
    }
    let before = (own_memory_kib(place.shim), own_memory_kib(app.pid()));
    let sent: String = text(&mut random, LARGEST);
    let calls = (0..AT_ONCE).map(|number| {
        let (session, sent) = (&sessions[number % sessions.len()], &sent);
        let message = call(&json!(number), "echo", &json!({ "text": sent }), None);
        // Read to the end before it is looked at: a client that does not read for long is taken for gone.
        async move { session.send(&message).await.bytes().await.expect("a whole answer") }
    });
    let mut most = (0, 0);
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    // A look at so much memory takes longer than the pause: made up for, the looks would leave the calls no time, and who does
    // not read is taken for gone.
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let watch = async {
        loop {
            looks.tick().await;
            most.0 = most.0.max(own_memory_kib(place.shim));
            most.1 = most.1.max(own_memory_kib(app.pid()));
        }
    };
    let bodies = tokio::select! {
        bodies = futures_util::future::join_all(calls) => bodies,
        () = watch => Vec::new(),
    };
    eprintln!("at most {} KiB in the shim and {} KiB in the service", most.0, most.1);
    let calls = AT_ONCE as u64;
    assert!(most.0 <= before.0 + calls * HELD_OF_A_CALL_KIB, "the shim held {} KiB", most.0);
    assert!(most.1 <= before.1 + calls * HELD_BY_THE_GATEWAY_KIB, "the service held {} KiB", most.1);
    tokio::join!(back_to(place.shim, before.0, "shim"), back_to(app.pid(), before.1, "service"));
    for (number, body) in bodies.iter().enumerate() {
        let answer = answer_in(body).unwrap_or_else(|| panic!("call {number}: no answer"));
        assert!(answered(&answer) == sent, "call {number}: other text");
    }
    drop(bodies);
    no_body_is_held_for_a_slow_reader(&app, &place).await;
    no_body_is_held_for_a_writer_without_end(&app, &place).await;
}

async fn connected(url: &str, room: u32) -> (TcpStream, String) {
    let (address, path) = url.strip_prefix("http://").and_then(|url| url.split_once('/')).expect("a URL");
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(room).expect("a small buffer");
    let stream = socket.connect(address.parse().expect("an address")).await.expect("connected");
    let head = format!(
        "POST /{path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nConnection: close\r\n\
         Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2025-06-18\r\n"
    );
    (stream, head)
}

/// The client takes nothing until all that can move has moved: the rest waits in the shim, and not with us.
async fn no_body_is_held_for_a_slow_reader(app: &App, place: &Place) {
    let before = own_memory_kib(app.pid());
    let session = Session::open(&http_client(false), &place.gateway, &place.token).await;
    let message = call(&json!("slow"), "echo", &json!({ "text": "x".repeat(LARGEST) }), None).to_string();
    let (mut stream, head) = connected(&place.gateway, 16 * 1024).await;
    let request = session.request("POST").build().expect("a request");
    let header = |name: &str| request.headers()[name].to_str().expect("plain").to_owned();
    let head = format!(
        "{head}Authorization: {}\r\nMcp-Session-Id: {}\r\nContent-Length: {}\r\n\r\n{message}",
        header("authorization"),
        header("mcp-session-id"),
        message.len()
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream.readable().await.expect("an answer begins");
    let mut last = (0, 0);
    wait_for("nothing to move any more", PATIENCE, async || {
        let now = own_memory_kib(place.shim);
        last = if now.abs_diff(last.0) < 64 { (now, last.1 + 1) } else { (now, 0) };
        (last.1 == 25).then_some(())
    })
    .await;
    let meanwhile = own_memory_kib(app.pid());
    assert!(
        meanwhile <= before + HELD_BY_THE_GATEWAY_KIB + LEFT_KIB,
        "the service held {meanwhile} KiB, {before} before"
    );
    let mut said = Vec::new();
    stream.read_to_end(&mut said).await.expect("the rest comes when it is wanted");
    assert!(said.len() > LARGEST, "{} bytes", said.len());
    session.end().await;
}

/// A body that never ends is passed on as it comes, and refused by the shim when it is too large: with us it leaves nothing.
async fn no_body_is_held_for_a_writer_without_end(app: &App, place: &Place) {
    let before = own_memory_kib(app.pid());
    let (mut stream, head) = connected(&place.gateway, 64 * 1024).await;
    let head = format!("{head}Authorization: Bearer {}\r\nTransfer-Encoding: chunked\r\n\r\n", place.token);
    stream.write_all(head.as_bytes()).await.expect("sent");
    let chunk = [b"10000\r\n".as_slice(), &vec![b'x'; 0x10000], b"\r\n"].concat();
    let (mut reader, mut writer) = stream.into_split();
    let (mut sent, mut most) = (0, 0);
    let write = async {
        loop {
            writer.write_all(&chunk).await.expect("taken");
            sent += 0x10000;
            if sent % MIB == 0 {
                most = most.max(own_memory_kib(app.pid()));
            }
            // The answer is under way to us while we write.
            assert!(sent <= 256 * MIB, "{sent} bytes were taken without a word");
        }
    };
    let mut said = [0; 12];
    tokio::select! {
        read = reader.read_exact(&mut said) => drop(read.expect("an answer")),
        () = write => {}
    }
    assert_eq!(&said, b"HTTP/1.1 413", "{:?}", String::from_utf8_lossy(&said));
    assert!(sent >= 60 * MIB, "refused after {sent} bytes");
    assert!(
        most <= before + HELD_BY_THE_GATEWAY_KIB + LEFT_KIB,
        "the service held {most} KiB, {before} before"
    );
}
