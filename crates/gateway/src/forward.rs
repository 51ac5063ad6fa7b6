//! Forwarding: the request goes to the shim as it comes, the answer comes back as it goes. No body is held.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::any;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use roadstead_model::{InstanceId, InstanceStatus};
use tokio::net::UnixStream;

use crate::answer;
use crate::routes::Routes;

/// Idle connections kept to each shim: as many as one busy client needs, few enough to forget.
const IDLE_CONNECTIONS_PER_INSTANCE: usize = 64;
/// How long an idle connection to a shim is kept.
const IDLE_CONNECTION_LIFE: Duration = Duration::from_secs(30);

/// Headers that belong to one hop and must not be passed on (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::UPGRADE,
];

/// What is true of an instance to which there is no route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// No such instance, or the token is not its own.
    Refused,
    /// It is starting.
    Starting,
    /// It is on its way out.
    Ending,
    /// It is not running any more.
    Ended(InstanceStatus),
    /// The rows cannot be read now.
    Unknown,
}

/// The answer of a [`Doorkeeper`], some time.
pub type Verdict<'a> = Pin<Box<dyn Future<Output = Absence> + Send + 'a>>;

/// Judges a token against the row of an instance that is not running.
pub trait Doorkeeper: Send + Sync {
    /// What to tell the holder of `token`.
    fn judge<'a>(&'a self, instance: InstanceId, token: Option<&'a str>) -> Verdict<'a>;
}

/// The gateway: one client with a pool of connections to shims.
#[derive(Clone)]
pub struct Gateway {
    routes: Routes,
    client: Client<ShimConnector, Body>,
    doorkeeper: Arc<dyn Doorkeeper>,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").field("routes", &self.routes.len()).finish_non_exhaustive()
    }
}

impl Gateway {
    /// A gateway over `routes`; `doorkeeper` answers where there is none.
    pub fn new(routes: Routes, doorkeeper: Arc<dyn Doorkeeper>) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(IDLE_CONNECTIONS_PER_INSTANCE)
            .pool_idle_timeout(IDLE_CONNECTION_LIFE)
            .pool_timer(TokioTimer::new())
            .build(ShimConnector { routes: routes.clone() });
        Self { routes, client, doorkeeper }
    }

    /// The access URLs: `/i/{instance}/mcp` and `/i/{instance}/status`.
    pub fn router(self) -> axum::Router {
        axum::Router::new().route("/i/{instance}/{part}", any(forward)).with_state(self)
    }

    async fn absent(&self, instance: InstanceId, headers: &HeaderMap) -> Response {
        match self.doorkeeper.judge(instance, presented_token(headers)).await {
            Absence::Refused => answer::refused(),
            Absence::Starting => answer::starting(),
            Absence::Ending => answer::ending(),
            Absence::Ended(status) => answer::gone(status),
            Absence::Unknown => answer::unknown(),
        }
    }
}

async fn forward(
    State(gateway): State<Gateway>,
    path: Result<Path<(String, String)>, PathRejection>,
    mut request: Request,
) -> Response {
    // What cannot be read is no instance: the same answer as for one that does not exist.
    let Ok(Path((instance, part))) = path else { return answer::refused() };
    let Ok(instance) = instance.parse::<InstanceId>() else { return answer::refused() };
    if part != "mcp" && part != "status" {
        return answer::not_found();
    }
    match gateway.routes.find(instance) {
        Some(route) => route.note_use(),
        None => return gateway.absent(instance, request.headers()).await,
    }
    let target = format!("http://{}/{part}", instance.uuid().simple());
    let Ok(target) = target.parse::<Uri>() else { return answer::refused() };
    *request.uri_mut() = target;
    *request.version_mut() = http::Version::HTTP_11;
    strip_hop_by_hop(request.headers_mut());
    request.headers_mut().insert(header::HOST, HeaderValue::from_static("localhost"));
    let token_headers = token_headers(request.headers());
    match gateway.client.request(request).await {
        // In our words, so that a wrong token cannot be told from an unknown instance.
        Ok(response) if response.status() == http::StatusCode::UNAUTHORIZED => answer::refused(),
        Ok(response) => {
            let mut response = response.map(Body::new);
            strip_hop_by_hop(response.headers_mut());
            response
        }
        Err(error) => {
            tracing::info!(instance.id = %instance, error = &error as &dyn std::error::Error,
                "a shim did not answer");
            match gateway.absent(instance, &token_headers).await {
                // The row still says running: its driver has not noticed yet.
                response if response.status() == http::StatusCode::GONE => response,
                response if response.status() == http::StatusCode::UNAUTHORIZED => response,
                _ => answer::starting(),
            }
        }
    }
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

/// The two headers in which a token may come, kept for the case that the shim does not answer.
fn token_headers(headers: &HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::with_capacity(2);
    for name in [header::AUTHORIZATION, HeaderName::from_static("x-mcp-access-token")] {
        if let Some(value) = headers.get(&name) {
            kept.insert(name, value.clone());
        }
    }
    kept
}

fn presented_token(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    bearer.or_else(|| headers.get("x-mcp-access-token").and_then(|value| value.to_str().ok()))
}

// === impl ShimConnector ===

/// Dials the unix socket of the instance that a URI's host names.
#[derive(Clone)]
struct ShimConnector {
    routes: Routes,
}

/// A connection to a shim, as the client's pool wants it.
struct ShimStream(TokioIo<UnixStream>);

impl tower::Service<Uri> for ShimConnector {
    type Response = ShimStream;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<ShimStream, std::io::Error>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let instance = uri.host().and_then(|host| host.parse::<InstanceId>().ok());
        let route = instance.and_then(|instance| self.routes.find(instance));
        Box::pin(async move {
            let route = route.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotFound))?;
            UnixStream::connect(&route.socket).await.map(|stream| ShimStream(TokioIo::new(stream)))
        })
    }
}

impl Connection for ShimStream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl hyper::rt::Read for ShimStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(cx, buffer)
    }
}

impl hyper::rt::Write for ShimStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write_vectored(cx, slices)
    }
}

#[cfg(test)]
mod tests;
