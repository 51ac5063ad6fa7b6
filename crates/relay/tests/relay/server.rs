//! An encrypted MCP server of both eras, on a thread of its own.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls_pki_types::PrivatePkcs8KeyDer;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What the server got.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub session: String,
    pub version: String,
    pub authorization: String,
}

pub struct Server {
    pub port: u16,
    /// The certificate in PEM.
    pub root: String,
    log: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
    _stop: tokio::sync::oneshot::Sender<()>,
}

impl Server {
    pub fn start() -> Self {
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let root = certified.cert.pem();
        let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key.into())
            .expect("the key fits");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (log, connections) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (told, port) = std::sync::mpsc::channel();
        let (seen, count) = (Arc::clone(&log), Arc::clone(&connections));
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(tokio::task::LocalSet::new().run_until(async move {
                let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
                told.send(listener.local_addr().expect("bound").port()).expect("the test waits");
                tokio::select! {
                    () = accept(&listener, &acceptor, &seen, &count) => {}
                    _ = stopped => {}
                }
            }));
        });
        let port = port.recv().expect("the server starts");
        Self { port, root, log, connections, _stop: stop }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.log.lock().expect("not poisoned").clone()
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn accept(
    listener: &TcpListener,
    acceptor: &TlsAcceptor,
    log: &Arc<Mutex<Vec<Seen>>>,
    connections: &AtomicUsize,
) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        connections.fetch_add(1, Ordering::SeqCst);
        let (acceptor, log) = (acceptor.clone(), Arc::clone(log));
        tokio::task::spawn_local(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let service = service_fn(|request| answer(request, Arc::clone(&log)));
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    log: Arc<Mutex<Vec<Seen>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let header =
        |name: &str| head.headers.get(name).map_or("", |value| value.to_str().unwrap_or("?")).to_owned();
    if head.method != "OPTIONS" {
        log.lock().expect("not poisoned").push(Seen {
            method: head.method.to_string(),
            session: header("mcp-session-id"),
            version: header("mcp-protocol-version"),
            authorization: header("authorization"),
        });
    }
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let message: Value = serde_json::from_slice(&body).unwrap_or_default();
    let response = Response::builder().header("content-type", "application/json");
    let result = |result: Value| {
        Full::from(json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string())
    };
    if let Some(port) = head.uri.path().strip_prefix("/redirect/") {
        let location = format!("https://localhost:{port}/mcp");
        return Ok(response.status(308).header("location", location).body(Full::default()).expect("whole"));
    }
    let response = match (head.method.as_str(), message["method"].as_str()) {
        ("POST", Some("server/discover")) => {
            response.body(result(json!({"supportedVersions": ["2026-07-28"]})))
        }
        ("POST", Some("initialize")) => {
            let response = response.header("mcp-session-id", "s-1");
            response.body(result(json!({"protocolVersion": "2025-11-25", "capabilities": {}})))
        }
        ("POST", Some("forget")) => response.status(404).body(Full::default()),
        ("POST", _) if message["id"].is_null() => response.status(202).body(Full::default()),
        ("POST", _) => response.body(result(json!({}))),
        ("DELETE", _) => response.status(204).body(Full::default()),
        _ => response.status(405).body(Full::default()),
    };
    Ok(response.expect("whole"))
}
