//! Forwarding: the request goes to the shim as it comes, the answer comes back as it goes. No body is held: a reader that
//! is slow slows its writer, and an end on one side is an end on the other.

mod connect;
mod ending;
mod expect;
mod headers;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::any;
use http::{HeaderMap, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use roadstead_metrics::{GatewayOutcome, Metrics};
use roadstead_model::{Clock, InstanceId, InstanceStatus, Randomness};

use crate::answer::{self, Fault};
use crate::routes::Routes;
pub use ending::Endings;

use connect::ShimConnector;

/// Idle connections kept to each shim: as many as one busy client needs, few enough to forget.
const IDLE_CONNECTIONS_PER_INSTANCE: usize = 64;
/// How long an idle connection to a shim is kept: a new one costs less than the buffers of an idle one.
const IDLE_CONNECTION_LIFE: Duration = Duration::from_secs(2);
/// What a connection to a shim may buffer: an idle one keeps its buffer, and large bodies would make it grow to several times this.
const CONNECTION_BUFFER_BYTES: usize = 16 * 1024;
/// What exists below an access URL: the endpoint, the two of the HTTP+SSE transport of 2024-11-05, and the status.
const PARTS: [&str; 4] = ["mcp", "sse", "messages", "status"];

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
    clock: Arc<dyn Clock>,
    randomness: Arc<Randomness>,
    metrics: Option<Arc<Metrics>>,
    endings: Endings,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").field("routes", &self.routes.len()).finish_non_exhaustive()
    }
}

impl Gateway {
    /// A gateway over `routes`; `doorkeeper` answers where there is none, and its answers carry the time of `clock` and
    /// request ids from `randomness`.
    pub fn new(
        routes: Routes,
        doorkeeper: Arc<dyn Doorkeeper>,
        clock: Arc<dyn Clock>,
        randomness: Arc<Randomness>,
    ) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(IDLE_CONNECTIONS_PER_INSTANCE)
            .pool_idle_timeout(IDLE_CONNECTION_LIFE)
            .pool_timer(TokioTimer::new())
            .http1_max_buf_size(CONNECTION_BUFFER_BYTES)
            .build(ShimConnector { routes: routes.clone() });
        let endings = Endings::default();
        Self { routes, client, doorkeeper, clock, randomness, metrics: None, endings }
    }

    /// Counts and times what it answers.
    #[must_use]
    pub fn measured(self, metrics: Arc<Metrics>) -> Self {
        Self { metrics: Some(metrics), ..self }
    }

    /// The same gateway, whose event streams end when they are told to.
    #[must_use]
    pub fn with_endings(self, endings: Endings) -> Self {
        Self { endings, ..self }
    }

    /// The access URLs: `/i/{instance}/mcp`, `/sse`, `/messages` and `/status`.
    pub fn router(self) -> axum::Router {
        axum::Router::new().route("/i/{instance}/{part}", any(forward)).with_state(self)
    }

    async fn absent(&self, instance: InstanceId, headers: &HeaderMap) -> Fault {
        match self.doorkeeper.judge(instance, headers::presented_token(headers)).await {
            Absence::Refused => answer::REFUSED,
            Absence::Starting => answer::STARTING,
            Absence::Ending => answer::ENDING,
            Absence::Ended(status) => answer::gone(status),
            Absence::Unknown => answer::UNKNOWN,
        }
    }

    async fn forward(&self, instance: &str, part: &str, mut request: Request) -> Result<Response, Fault> {
        // What cannot be read is no instance: the same answer as for one that does not exist.
        let instance = instance.parse::<InstanceId>().map_err(|_| answer::REFUSED)?;
        if !PARTS.contains(&part) {
            return Err(answer::NOT_FOUND);
        }
        match self.routes.find(instance) {
            Some(route) => route.note_use(),
            None => return Err(self.absent(instance, request.headers()).await),
        }
        let ending = self.endings.of(request.method(), request.headers());
        *request.uri_mut() = target(instance, part, request.uri().query()).ok_or(answer::REFUSED)?;
        *request.version_mut() = http::Version::HTTP_11;
        headers::for_the_shim(request.headers_mut());
        let token_headers = headers::token_headers(request.headers());
        match self.client.request(expect::hold(request)).await {
            // In our words, so that a wrong token cannot be told from an unknown instance.
            Ok(response) if response.status() == StatusCode::UNAUTHORIZED => Err(answer::REFUSED),
            Ok(response) => {
                let mut response = ending::apply(ending, response);
                headers::strip_hop_by_hop(response.headers_mut());
                Ok(response)
            }
            Err(error) => {
                tracing::info!(instance.id = %instance, error = &error as &dyn std::error::Error,
                    "a shim did not answer");
                let fault = self.absent(instance, &token_headers).await;
                // Anything else: the row still says running, because its driver has not noticed yet.
                let known = [StatusCode::GONE, StatusCode::UNAUTHORIZED].contains(&fault.status);
                Err(if known { fault } else { answer::STARTING })
            }
        }
    }
}

async fn forward(
    State(gateway): State<Gateway>,
    path: Result<Path<(String, String)>, PathRejection>,
    request: Request,
) -> Response {
    let began = Instant::now();
    let id = answer::chosen_id(request.headers());
    let outcome = match &path {
        Ok(Path((instance, part))) => gateway.forward(instance, part, request).await,
        Err(_) => Err(answer::REFUSED),
    };
    if let Some(metrics) = &gateway.metrics {
        let answered = outcome.as_ref().map_or_else(Fault::outcome, |_| GatewayOutcome::Forwarded);
        metrics.answered(answered, began.elapsed());
    }
    outcome.unwrap_or_else(|fault| fault.answer(id, &*gateway.clock, &gateway.randomness))
}

/// Where the shim serves this part: its host names the instance, for the connector.
fn target(instance: InstanceId, part: &str, query: Option<&str>) -> Option<Uri> {
    let instance = instance.uuid().simple();
    let target = match query {
        Some(query) => format!("http://{instance}/{part}?{query}"),
        None => format!("http://{instance}/{part}"),
    };
    target.parse().ok()
}

#[cfg(test)]
mod tests;
