//! The server over Streamable HTTP, on the loopback interface only, with its checks of Host and Origin on.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use futures_util::StreamExt;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, BodyStream, Full, StreamBody};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rmcp::ServerHandler;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::era::Era;

const PATH: &str = "/mcp";
const VERSION_HEADER: &str = "mcp-protocol-version";
/// The first revision without a handshake.
const FIRST_MODERN: &str = "2026-07-28";

/// How long clients are asked to wait before they come back to a stream that was cut.
const RETRY: Duration = Duration::from_millis(200);

type Body = BoxBody<Bytes, Infallible>;
type Service<H> = StreamableHttpService<H, LocalSessionManager>;

/// Ends the stream on which a request is being answered; the answer waits for the client to resume.
#[derive(Debug, Clone, Default)]
pub struct Cut(CancellationToken);

impl Cut {
    /// Ends it now.
    pub fn now(&self) {
        self.0.cancel();
    }
}

/// Serves until the process ends; `make` gives the handler of a session, or of a stateless request.
///
/// # Errors
/// When the port cannot be listened on.
pub async fn serve<H: ServerHandler>(
    port: u16,
    era: Era,
    make: impl Fn() -> H + Send + Sync + 'static,
) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .with_context(|| format!("could not listen on port {port}"))?;
    let address = listener.local_addr().context("the listener has no address")?;
    let mut sessions = LocalSessionManager::default();
    // What clients are told to wait has to be shorter than a call that cuts its stream: the library loses an answer that is given
    // while nobody listens.
    sessions.session_config.sse_retry = Some(RETRY);
    let service: Service<H> = StreamableHttpService::new(move || Ok(make()), sessions.into(), config(era));
    eprintln!("listening on http://{address}{PATH}");
    let connections = TaskTracker::new();
    loop {
        let (stream, _) = listener.accept().await.context("could not accept a connection")?;
        let service = service.clone();
        let answering = service_fn(move |request| {
            let service = service.clone();
            async move { Ok::<_, Infallible>(answer(&service, era, request).await) }
        });
        connections.spawn(async move {
            // A connection that breaks is its client's business.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answering).await;
        });
    }
}

fn config(era: Era) -> StreamableHttpServerConfig {
    let is_modern = era == Era::Modern;
    StreamableHttpServerConfig::default()
        .with_allowed_origins(["http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*"])
        .with_legacy_session_mode(!is_modern)
        .with_stateless_protocol_metadata_required(is_modern)
        .with_sse_retry(Some(RETRY))
}

async fn answer<H: ServerHandler>(
    service: &Service<H>,
    era: Era,
    mut request: Request<Incoming>,
) -> Response<Body> {
    if request.uri().path() != PATH {
        return refusal(StatusCode::NOT_FOUND, "there is nothing here");
    }
    if era == Era::Legacy && is_modern(request.headers()) {
        return refusal(StatusCode::BAD_REQUEST, "Bad Request: Unsupported protocol version");
    }
    let cut = Cut::default();
    request.extensions_mut().insert(cut.clone());
    let response = service.handle(request).await;
    let streams = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream");
    if streams { response.map(|body| until_cut(body, cut)) } else { response }
}

fn until_cut(body: Body, cut: Cut) -> Body {
    BodyExt::boxed(StreamBody::new(BodyStream::new(body).take_until(cut.0.cancelled_owned())))
}

/// Revisions are dates, so the order of their names is the order in time.
fn is_modern(headers: &HeaderMap) -> bool {
    headers
        .get(VERSION_HEADER)
        .and_then(|version| version.to_str().ok())
        .is_some_and(|version| version >= FIRST_MODERN)
}

/// What legacy SDKs answer a request that is not for them: an error of no modern code.
fn refusal(status: StatusCode, message: &str) -> Response<Body> {
    let body =
        json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32000, "message": message}}).to_string();
    let mut response = Response::new(Full::new(Bytes::from(body)).boxed());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
