//! One service follows another: calls under way are answered, no caller is refused, and nothing is done twice.

use std::io::{IoSliceMut, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd as _, FromRawFd as _};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use roadstead_test_support::app::{App, AppOptions};
use roadstead_test_support::raw::{Event, Events, Session, call, http_client};
use roadstead_test_support::wait_for;
use serde_json::{Value, json};

use crate::support::counter::Counter;
use crate::support::instance::{Launched, PATIENCE, set_ports};
use crate::support::kept::Kept;

/// Longer than a start takes on a busy machine, and shorter than the drain.
const SLOW_CALL_MS: u64 = 15_000;
/// As long as a call may be waited for when its instance is restarted.
const SHORT_CALL_MS: u64 = 2_000;
/// Longer than any drain.
const ENDLESS_CALL_MS: u64 = 600_000;
/// How quickly a service ends that waits for nobody, on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(8);

/// A service with an instance, and where clients find it.
struct Place {
    instance: Launched,
    url: String,
}

impl Place {
    async fn new(app: &App, first_port: u16) -> Self {
        set_ports(app, first_port, first_port + 9).await;
        let instance = Launched::new(app, json!({"type": "echo", "expires_in": "1h"})).await;
        let url = format!("{}/i/{}/mcp", app.url, instance.id);
        Self { instance, url }
    }

    /// The server and its shim are the same processes all the time.
    async fn is_the_same(&self, app: &App) {
        let lives = self.instance.lives();
        assert!(lives, "{:?}\n{}", app.instance(&self.instance.id).await, app.log());
    }

    async fn session(&self) -> Session {
        Session::open(&http_client(false), &self.url, &self.instance.token).await
    }
}

/// A call that takes its time; it is under way when this returns.
async fn slow_call(session: &Session, ms: u64) -> Events {
    let message = call(&json!("slow"), "sleep", &json!({ "ms": ms }), Some("p"));
    let mut events = Events::of(session.send(&message).await);
    let first = events.message().await.expect("it says how far it is");
    assert_eq!(first["method"], "notifications/progress", "{first}");
    events
}

/// The rest of a slow call, with its answer.
async fn answered(mut events: Events) -> Value {
    loop {
        let message = events.message().await.expect("the answer comes before the end");
        if message["id"] == "slow" {
            assert_eq!(events.message().await, None, "nothing follows an answer");
            return message;
        }
    }
}

async fn has_released(app: &App) {
    wait_for("the service to let go", PATIENCE, async || {
        app.log().contains("are free for the next process").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_under_way_is_answered_whole_while_the_next_service_works() {
    let (_kept, mut app) = Kept::start("serve", &[]).await;
    let place = Place::new(&app, 25_600).await;
    let (calling, listening) = (place.session().await, place.session().await);
    let mut stream = listening.listen().await;
    let begun = Instant::now();
    let events = slow_call(&calling, SLOW_CALL_MS).await;
    app.signal(Signal::SIGTERM);
    let next = app.start_beside(&[]).await;
    let started = begun.elapsed();
    assert!(app.runs(), "it still copies the call: {started:?}");
    // What listens was ended in order, comes again, and has its session.
    while let Some(event) = stream.next().await.expect("an end in order") {
        assert!(!matches!(event, Event::Message(_)), "{event:?}");
    }
    drop(listening.listen().await);
    // The next one has rows and shims.
    wait_for("the instance to be adopted", PATIENCE, async || {
        let events = next.event_types(&place.instance.id).await;
        events.iter().any(|event| event == "adopted").then_some(())
    })
    .await;
    let other = Launched::new(&next, json!({"type": "echo"})).await;
    assert_eq!(other.route(&next, &other.token).await.0, 200);
    let answer = answered(events).await;
    assert_eq!(answer["result"]["content"][0]["text"], format!("slept {SLOW_CALL_MS} ms"), "{answer}");
    assert!(app.ended_alone().await.success());
    eprintln!("the next service was ready after {started:.1?}");
    place.is_the_same(&next).await;
    let gone = next.ask("DELETE", &format!("/instances/{}", other.id), None).await;
    assert_eq!(gone.status, 204, "{gone:?}");
    other.gone().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_under_way_is_finished_before_the_service_leaves() {
    let (kept, app) = Kept::start("serve", &[]).await;
    let place = Place::new(&app, 25_610).await;
    let calling = place.session().await;
    // It is waited for by the shim that is to end.
    let events = slow_call(&calling, SHORT_CALL_MS).await;
    let restart = format!("/instances/{}/restart", place.instance.id);
    let asked = app.ask("POST", &restart, Some(json!({"wait": "none"}))).await;
    assert_eq!(asked.status, 202, "{asked:?}");
    app.signal(Signal::SIGTERM);
    answered(events).await;
    let (status, data) = app.ended().await;
    assert!(status.success(), "{status}");
    let app = kept.start_again("serve", data).await;
    let id = &place.instance.id;
    let events = wait_for("the restarted instance to be adopted", PATIENCE, async || {
        let events = app.event_types(id).await;
        events.iter().any(|event| event == "adopted").then_some(events)
    })
    .await;
    assert_eq!(events, ["created", "started", "restarted", "adopted"]);
    let row = app.wait_status(id, "running", PATIENCE).await;
    assert_ne!(row["process_id"], place.instance.server, "{row}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_count_notice_nothing_of_five_upgrades_and_nothing_is_sent_twice() {
    let (_kept, mut app) = Kept::start("serve", &[]).await;
    let place = Place::new(&app, 25_620).await;
    // One keeps its connections, one makes a new one for each call.
    let fresh = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().expect("a client");
    let mut counters = Vec::new();
    for client in [http_client(false), http_client(true), fresh] {
        let session = place.session().await.id().to_owned();
        let (url, token) = (place.url.clone(), place.instance.token.clone());
        counters.push(Counter::start(client, url, token, session, Arc::default()));
    }
    let calling = place.session().await;
    for round in 0..5 {
        for counter in &counters {
            counter.goes_on(3).await;
        }
        let next = if round % 2 == 0 {
            let events = slow_call(&calling, SLOW_CALL_MS / 2).await;
            app.signal(Signal::SIGTERM);
            let next = app.start_beside(&[]).await;
            answered(events).await;
            next
        } else {
            app.start_beside(&["--replace"]).await
        };
        assert!(std::mem::replace(&mut app, next).ended_alone().await.success());
    }
    let mut counted = 0;
    for counter in counters {
        counter.goes_on(3).await;
        counted += counter.end().await;
    }
    eprintln!("counted to {counted} through five upgrades");
    // The servers' own count, by what the bridge writes down of each call.
    let told = async || {
        let answer = app.ask("GET", "/usage?summary=tool&tool=echo", None).await;
        answer.body["data"][0]["calls"].as_u64().unwrap_or_default()
    };
    wait_for("a fact for every call", PATIENCE, async || (told().await >= counted).then_some(())).await;
    assert_eq!(told().await, counted, "nothing is sent twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_a_service_that_waits_for_calls() {
    let (_kept, app) = Kept::start("serve", &[]).await;
    let place = Place::new(&app, 25_640).await;
    let session = place.session().await;
    let mut events = slow_call(&session, ENDLESS_CALL_MS).await;
    app.signal(Signal::SIGTERM);
    has_released(&app).await;
    let begun = Instant::now();
    app.signal(Signal::SIGTERM);
    let (status, _data) = app.ended().await;
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    assert!(status.success(), "{status}");
    while let Ok(Some(event)) = events.next().await {
        assert!(!matches!(event, Event::Message(message) if message["id"] == "slow"));
    }
    assert!(place.instance.lives());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_outlast_the_drain_are_cut_and_streams_do_not_hold_it() {
    let (_kept, app) = Kept::start("serve", &[]).await;
    let (_, data) = {
        app.signal(Signal::SIGTERM);
        app.ended().await
    };
    let args = ["--drain".to_owned(), "2".to_owned()].to_vec();
    let app =
        App::start_with(AppOptions { data: Some(data), command: "serve", args, ..AppOptions::default() })
            .await;
    let place = Place::new(&app, 25_660).await;
    let (calling, listening) = (place.session().await, place.session().await);
    let _stream = listening.listen().await;
    let mut events = slow_call(&calling, ENDLESS_CALL_MS).await;
    let begun = Instant::now();
    app.signal(Signal::SIGTERM);
    // An event stream ends between two events, so that its client may resume.
    while events.next().await.expect("an end in order").is_some() {}
    let (status, data) = app.ended().await;
    assert!((2..2 + AT_ONCE.as_secs()).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    assert!(status.success(), "{status}");
    // With nothing but streams, nobody is waited for.
    let app =
        App::start_with(AppOptions { data: Some(data), command: "serve", ..AppOptions::default() }).await;
    place.is_the_same(&app).await;
    let url = format!("{}/i/{}/mcp", app.url, place.instance.id);
    let session = Session::open(&http_client(false), &url, &place.instance.token).await;
    let _stream = session.listen().await;
    let begun = Instant::now();
    app.signal(Signal::SIGTERM);
    app.ended().await;
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
}

/// A service manager as far as descriptors go: it keeps what it is given.
struct Manager {
    socket: UnixDatagram,
    path: std::path::PathBuf,
}

impl Manager {
    fn new(folder: &std::path::Path) -> Self {
        let path = folder.join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self { socket, path }
    }

    fn environment(&self) -> Vec<(String, String)> {
        vec![("NOTIFY_SOCKET".to_owned(), self.path.to_string_lossy().into_owned())]
    }

    /// The next descriptor that is to be stored, and its name.
    #[expect(unsafe_code, reason = "received descriptors are bare numbers until they are owned")]
    fn stored(&self) -> (TcpListener, String) {
        loop {
            let mut buffer = [0; 4096];
            let mut space = nix::cmsg_space!([i32; 1]);
            let mut parts = [IoSliceMut::new(&mut buffer)];
            let flags = MsgFlags::MSG_CMSG_CLOEXEC;
            let message = recvmsg::<()>(self.socket.as_raw_fd(), &mut parts, Some(&mut space), flags);
            let message = message.expect("the service says something");
            let descriptor = message.cmsgs().expect("whole").find_map(|control| match control {
                ControlMessageOwned::ScmRights(numbers) => numbers.first().copied(),
                _ => None,
            });
            let length = message.bytes;
            let said = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if let Some(number) = descriptor {
                assert!(said.lines().any(|line| line == "FDSTORE=1"), "{said}");
                let name = said.lines().find_map(|line| line.strip_prefix("FDNAME=")).expect("a name");
                // SAFETY: the kernel just made this descriptor for us; nobody else knows its number.
                return (unsafe { TcpListener::from_raw_fd(number) }, name.to_owned());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_wait_in_the_queue_of_a_socket_that_a_service_manager_keeps() {
    let (kept, app) = Kept::start("serve", &[]).await;
    app.signal(Signal::SIGTERM);
    let (_, data) = app.ended().await;
    let manager = Manager::new(&kept.folder);
    let environment = manager.environment();
    let options = AppOptions {
        data: Some(data),
        command: "serve",
        environment: environment.clone(),
        ..AppOptions::default()
    };
    let app = App::start_with(options).await;
    let place = Place::new(&app, 25_680).await;
    let (socket, name) = manager.stored();
    let address = socket.local_addr().expect("it listens");
    assert_eq!(app.url, format!("http://{address}"));
    app.signal(Signal::SIGTERM);
    let (_, data) = app.ended().await;
    // Nobody serves, and nobody is refused.
    let mut early = TcpStream::connect(address).expect("the queue takes it");
    let head = format!(
        "GET /i/{}/status HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
        place.instance.id, place.instance.token
    );
    early.write_all(head.as_bytes()).expect("the kernel takes it");
    let socket = Some((socket, name));
    let listen = address.to_string();
    let options = AppOptions {
        data: Some(data),
        command: "serve",
        listen,
        environment,
        socket,
        ..AppOptions::default()
    };
    let next = App::start_with(options).await;
    assert_eq!(next.url, format!("http://{address}"));
    let mut answer = String::new();
    early.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}\n{}", next.log());
    assert!(place.instance.lives());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_units_address_is_the_one_that_counts() {
    let (_kept, app) = Kept::start("serve", &[]).await;
    app.signal(Signal::SIGTERM);
    let (_, data) = app.ended().await;
    let socket = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let address = socket.local_addr().expect("it listens");
    let socket = Some((socket, "roadstead.socket".to_owned()));
    let options = AppOptions { data: Some(data), command: "serve", socket, ..AppOptions::default() };
    let app = App::start_with(options).await;
    assert_eq!(app.url, format!("http://{address}"));
}
