//! The instance's HTTP: the pooled port for direct clients and a socket for the gateway. The token is judged
//! here, and here alone, before anything of a body is read.

mod guard;

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use roadstead_bridge::{BridgeBody, Via};
use roadstead_listener::Upload;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, watch};

use crate::control::ACCEPT_REST;
use crate::instance::{Instance, Phase};

/// Connections at one time on the port, and as many on the gateway's socket: some hundred sessions with some streams each,
/// and room for clients that open one connection a call. Who comes beyond that waits until one is free.
const MAX_CONNECTIONS: usize = 1024;
/// A client that has not sent the head of a request by then is cut off; so is an idle one. It does not count while an answer
/// is under way, however long that stays silent.
const HEAD_TIMEOUT: Duration = Duration::from_mins(1);
/// What a connection may buffer, heads included: an idle one keeps its buffer, and the gateway keeps some idle.
const CONNECTION_BUFFER_BYTES: usize = 32 * 1024;
/// Headers of one request, in number; more than any client sends.
const MAX_HEADERS: usize = 64;

/// The paths of the bridge: the endpoint of all revisions since 2025-03-26, and the two of the HTTP+SSE transport before.
const MCP_PATHS: [&str; 3] = ["/mcp", "/sse", "/messages"];
/// What a 401 asks for (RFC 6750, section 3). No authorization server is named, because there is none.
const CHALLENGE: &str = r#"Bearer realm="roadstead", error="invalid_token""#;

type Body = Either<BridgeBody, Full<Bytes>>;

/// Serves direct clients on the pooled port until the task is ended.
pub(crate) async fn serve_port(
    listener: TcpListener,
    instance: Rc<Instance>,
    closing: watch::Receiver<bool>,
) {
    let free = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let permit = Arc::clone(&free).acquire_owned().await;
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_REST).await;
            continue;
        };
        roadstead_listener::watch(&stream);
        let connection = converse(stream, Rc::clone(&instance), Via::Port, closing.clone());
        tokio::task::spawn_local(async move {
            connection.await;
            drop(permit);
        });
    }
}

/// Serves the gateway on a unix socket until the task is ended.
pub(crate) async fn serve_gateway(
    listener: UnixListener,
    instance: Rc<Instance>,
    closing: watch::Receiver<bool>,
) {
    let free = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let permit = Arc::clone(&free).acquire_owned().await;
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_REST).await;
            continue;
        };
        let connection = converse(stream, Rc::clone(&instance), Via::Gateway, closing.clone());
        tokio::task::spawn_local(async move {
            connection.await;
            drop(permit);
        });
    }
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    instance: Rc<Instance>,
    via: Via,
    closing: watch::Receiver<bool>,
) {
    let _served = instance.tidy.served();
    roadstead_listener::serve(stream, |stream| exchange(stream, instance, via, closing)).await;
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    instance: Rc<Instance>,
    via: Via,
    mut closing: watch::Receiver<bool>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let instance = Rc::clone(&instance);
        async move {
            let (head, body) = request.into_parts();
            let (body, uploaded) = Upload::new(body);
            let mut answer = answer(&instance, Request::from_parts(head, body), via).await;
            if !uploaded.is_reached() {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(answer.map(|body| instance.tidy.body(body)))
        }
    });
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_headers(MAX_HEADERS)
            .max_buf_size(CONNECTION_BUFFER_BYTES)
            .serve_connection(TokioIo::new(stream), service)
    );
    // What breaks a connection is the client's affair: there is nobody else to tell.
    tokio::select! {
        _ = connection.as_mut() => {}
        _ = closing.wait_for(|closing| *closing) => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

async fn answer(instance: &Instance, request: Request<Upload<Incoming>>, via: Via) -> Response<Body> {
    if matches!(via, Via::Port) && !guard::is_loopback_host(request.headers()) {
        return refuse(
            instance,
            StatusCode::FORBIDDEN,
            "HOST_NOT_ALLOWED",
            "this host name is not served here",
        );
    }
    let path = request.uri().path();
    if !MCP_PATHS.contains(&path) && path != "/status" {
        // Clients look for authorization servers at well-known paths, without a token: there is none.
        return refuse(instance, StatusCode::NOT_FOUND, "NOT_FOUND", "there is nothing at this path");
    }
    if !guard::token(request.headers()).is_some_and(|token| instance.token.get().admits(token)) {
        let mut response = refuse(
            instance,
            StatusCode::UNAUTHORIZED,
            "UNAUTHORIZED",
            "a valid access token of this instance is needed: Authorization: Bearer <token>",
        );
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
        return response;
    }
    if path == "/status" {
        return status(instance, request.method());
    }
    match instance.bridge.get() {
        Some(bridge) if instance.phase.get() != Phase::Pending => {
            bridge.handle(request, via).await.map(Either::Left)
        }
        _ => refuse(
            instance,
            StatusCode::SERVICE_UNAVAILABLE,
            "INSTANCE_NOT_READY",
            "the server is still starting; try again shortly",
        ),
    }
}

#[derive(Serialize)]
struct StatusBody {
    instance: roadstead_model::InstanceId,
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
    #[serde(flatten)]
    status: roadstead_control::Status,
}

fn status(instance: &Instance, method: &Method) -> Response<Body> {
    if method != Method::GET && method != Method::HEAD {
        let mut response = refuse(
            instance,
            StatusCode::METHOD_NOT_ALLOWED,
            "METHOD_NOT_ALLOWED",
            "only GET is possible here",
        );
        response.headers_mut().insert(http::header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let body = StatusBody {
        instance: instance.specification.instance,
        expires_at: instance.clock.now() + instance.deadline.remaining(),
        status: instance.status(),
    };
    json(StatusCode::OK, &body)
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: ErrorDetail<'a>,
}

#[derive(Serialize)]
struct ErrorDetail<'a> {
    code: &'a str,
    message: &'a str,
    details: [serde_json::Value; 0],
    request_id: String,
    timestamp: String,
}

fn refuse(instance: &Instance, status: StatusCode, code: &str, message: &str) -> Response<Body> {
    let random = u128::from_be_bytes(roadstead_sandbox::privilege::random_bytes());
    let error = ErrorDetail {
        code,
        message,
        details: [],
        request_id: format!("{random:032x}"),
        timestamp: instance.clock.now().format(&Rfc3339).unwrap_or_default(),
    };
    json(status, &ErrorBody { error })
}

fn json(status: StatusCode, body: &impl Serialize) -> Response<Body> {
    let bytes = serde_json::to_vec(body).expect("answers are maps with text keys");
    let mut response = Response::new(Either::Right(Full::new(Bytes::from(bytes))));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
