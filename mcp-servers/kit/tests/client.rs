//! The client against a service on this machine: where it goes, whom it tells the credential, how much it reads.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use http::Method;
use roadstead_server_kit::{Auth, BaseUrl, Call, Client, ClientBuilder, Code, Limits, Plain};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const TOKEN: &str = "canary-of-the-client";

/// What came: method, path with query, credential, body.
type Seen = (Method, String, Option<String>, String);

/// Answers by the path: `/to/CODE/URL` redirects there, `/many/N` has N lines, all else is told back.
struct Service {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    _serving: JoinSet<()>,
}

impl Service {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&seen));
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { address, seen, _serving: serving }
    }

    fn builder(&self) -> ClientBuilder {
        let base =
            BaseUrl::parse(&format!("http://{}", self.address), Plain::LoopbackOnly).expect("an address");
        let limits = Limits { first_wait: Duration::from_millis(1), ..Limits::default() };
        Client::builder("Books", base).limits(limits)
    }

    fn client(&self) -> Client {
        let auth = Auth::header("x-books-token", &SecretString::from(TOKEN)).expect("a credential");
        self.builder().auth(auth).build().expect("a client")
    }

    /// The same place under another name: another origin.
    fn elsewhere(&self) -> String {
        format!("http://localhost:{}", self.address.port())
    }

    fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().expect("no holder panics"))
    }
}

async fn answer(State(seen): State<Arc<Mutex<Vec<Seen>>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.expect("a body");
    let body = String::from_utf8(body.to_vec()).expect("text");
    let path = parts.uri.to_string();
    let secret = ["x-books-token", "authorization"].iter().find_map(|name| parts.headers.get(*name));
    let secret = secret.map(|value| value.to_str().expect("text").to_owned());
    seen.lock().expect("no holder panics").push((parts.method, path.clone(), secret, body.clone()));
    let response = Response::builder();
    if let Some(rest) = path.strip_prefix("/to/") {
        let (code, place) = rest.split_once('/').expect("a place");
        let place = place.replace("%2F", "/");
        return response.status(code).header("location", place).body(Body::empty()).expect("an answer");
    }
    if let Some(lines) = path.strip_prefix("/many/") {
        let lines: usize = lines.parse().expect("a number");
        let text: Vec<String> = (0..lines).map(|line| format!("{line:07}\n")).collect();
        return Response::new(Body::from(text.concat()));
    }
    if let Some(rule) = path.strip_prefix("/kept/") {
        let status = if parts.headers.contains_key("if-none-match") { 304 } else { 200 };
        let response = response.status(status).header("etag", "\"a\"").header("cache-control", rule);
        let body = if status == 304 { "" } else { "{}" };
        return response.body(Body::from(body)).expect("an answer");
    }
    Response::new(Body::from(Bytes::from(body)))
}

#[tokio::test]
async fn the_credential_goes_to_its_own_service_alone() {
    let service = Service::start().await;
    let (client, call) = (service.client(), Call::detached());
    client.get(["to", "302", "/here?sig=1"]).send(&call).await.expect("an answer");
    let place = format!("{}/there", service.elsewhere());
    client.get(["to", "302", &place]).send(&call).await.expect("an answer");
    client.request_to(Method::GET, &place).send(&call).await.expect("an answer");
    client.get(["here"]).without_auth().send(&call).await.expect("an answer");
    let told: Vec<bool> = service.seen().into_iter().map(|(_, _, secret, _)| secret.is_some()).collect();
    assert_eq!(told, [true, true, true, false, false, false]);

    // A credential of the request's own goes where the request goes, and no further.
    let own = Auth::bearer(&SecretString::from("another-canary")).expect("a credential");
    let further = format!("{}/to/302/http:%2F%2F{}%2Ffar", service.elsewhere(), service.address);
    client.request_to(Method::GET, &further).auth(own).send(&call).await.expect("an answer");
    let told: Vec<Option<String>> = service.seen().into_iter().map(|(_, _, secret, _)| secret).collect();
    assert_eq!(told, [Some("Bearer another-canary".to_owned()), None]);
    assert_eq!(client.mask("another-canary and canary-of-the-client"), "*** and ***");

    client.set_auth(Auth::bearer(&SecretString::from("renewed-canary")).expect("a credential"));
    client.get(["here"]).send(&call).await.expect("an answer");
    assert_eq!(service.seen()[0].2.as_deref(), Some("Bearer renewed-canary"));
    assert_eq!(client.mask("canary-of-the-client"), "***", "the old one is still a secret");
}

#[tokio::test]
async fn what_changes_something_goes_elsewhere_whole_and_only_within_the_service() {
    let service = Service::start().await;
    let (client, call) = (service.client(), Call::detached());
    let answer = client.post(["to", "307", "/here"]).form(&[("a", "b c&d")]).send(&call).await;
    assert_eq!(answer.expect("an answer").text(), "a=b+c%26d");
    let [_, (method, path, ..)] = &service.seen()[..] else { panic!("two requests") };
    assert_eq!((method, path.as_str()), (&Method::POST, "/here"));

    let place = format!("{}/there", service.elsewhere());
    let refused = client.post(["to", "307", &place]).send(&call).await.expect_err("a refusal");
    assert_eq!((refused.code(), service.seen().len()), (Code::UnexpectedAnswer, 1));
    let refused = client.post(["to", "303", "/here"]).send(&call).await.expect_err("a refusal");
    assert_eq!((refused.status(), service.seen().len()), (Some(303), 1));
}

#[tokio::test]
async fn a_client_of_this_machine_asks_nobody_in_the_open() {
    let service = Service::start().await;
    let call = Call::detached();
    for place in ["http://books.example.com/", "ftp://127.0.0.1/", "file:///etc/passwd", "no url"] {
        let refused =
            service.client().request_to(Method::GET, place).send(&call).await.expect_err("a refusal");
        assert_eq!(refused.code(), Code::InvalidInput, "{place}");
    }
    assert!(service.seen().is_empty());
}

#[tokio::test]
async fn only_a_part_of_a_long_answer_is_kept() {
    let service = Service::start().await;
    let (client, call) = (service.client(), Call::detached());
    let long = || client.get(["many", "100000"]);
    let end = long().tail(16).send(&call).await.expect("an answer");
    assert_eq!((end.text().as_str(), end.is_cut(), end.read_bytes()), ("0099998\n0099999\n", true, 800_000));
    let beginning = long().head(8).send(&call).await.expect("an answer");
    assert_eq!((beginning.text().as_str(), beginning.is_cut()), ("0000000\n", true));
    let refused = long().limit(799_999).send(&call).await.expect_err("a refusal");
    assert_eq!(refused.code(), Code::TooLarge);
    let whole = long().limit(800_000).send(&call).await.expect("an answer");
    assert_eq!((whole.body().len(), whole.is_cut()), (800_000, false));
    let short = client.get(["many", "2"]).tail(16).send(&call).await.expect("an answer");
    assert_eq!((short.text().as_str(), short.is_cut()), ("0000000\n0000001\n", false));
}

#[tokio::test]
async fn an_answer_with_a_tag_is_kept_unless_it_must_not_be() {
    let service = Service::start().await;
    let (client, call) = (service.client(), Call::detached());
    for (rule, is_kept) in [("max-age=60", true), ("no-store", false)] {
        for is_second in [false, true] {
            let answer = client.get(["kept", rule]).send(&call).await.expect("an answer");
            assert_eq!(
                (answer.is_from_cache(), answer.text().as_str()),
                (is_kept && is_second, "{}"),
                "{rule}"
            );
        }
    }
}

#[tokio::test]
async fn arguments_cannot_break_out_of_a_request() {
    let service = Service::start().await;
    let (client, call) = (service.client(), Call::detached());
    client.get(["a/../b", "c?d=e"]).query("q", "x&y=z#").send(&call).await.expect("an answer");
    assert_eq!(service.seen()[0].1, "/a%2F..%2Fb/c%3Fd=e?q=x%26y%3Dz%23");
    let broken = client.get(["a"]).header("x-part", "a\r\nx-books-token: b").send(&call).await;
    assert_eq!(broken.expect_err("a refusal").code(), Code::InvalidInput);
    assert!(service.seen().is_empty());
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_not_trusted() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("a configuration");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // The client hangs up: what we want.
            assert!(acceptor.accept(stream).await.is_err(), "the certificate was taken");
        }
    });
    let base = BaseUrl::parse(&format!("https://localhost:{port}"), Plain::LoopbackOnly).expect("an address");
    let limits = Limits { first_wait: Duration::from_millis(1), ..Limits::default() };
    let client = Client::builder("Books", base).limits(limits).build().expect("a client");
    let refused = client.get(["a"]).send(&Call::detached()).await.expect_err("a refusal");
    assert_eq!(refused.code(), Code::Network);
    assert!(refused.message().contains("UnknownIssuer"), "{refused}");
}
