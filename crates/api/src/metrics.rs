//! `GET /metrics`: what the service counts about itself, for Prometheus.

use axum::extract::{ConnectInfo, FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use http::header;

use crate::error::{ApiError, ErrorBody};
use crate::extract::Authenticated;
use crate::state::ApiState;
use roadstead_model::Operation;

/// Who may see the metrics: whoever is on this machine, and elsewhere or behind a proxy a platform admin.
pub(crate) struct MayScrape;

impl FromRequestParts<ApiState> for MayScrape {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut http::request::Parts,
        state: &ApiState,
    ) -> Result<Self, ApiError> {
        let peer = parts.extensions.get::<ConnectInfo<std::net::SocketAddr>>().map(|info| info.0.ip());
        let is_here = peer.is_some_and(|peer| peer.to_canonical().is_loopback());
        if is_here && !state.is_proxied() {
            // The database is not asked: that it is away is to be seen here.
            return Ok(Self);
        }
        let Authenticated(caller) = Authenticated::from_request_parts(parts, state).await?;
        let _permit = caller.admin_permit(Operation::SettingsList)?;
        Ok(Self)
    }
}

/// The service's metrics, for Prometheus
///
/// OpenMetrics text. From this machine without a key, unless a proxy stands in front; else with a platform admin's key
/// that has the scope `settings:read`.
#[utoipa::path(get, operation_id = "metrics", path = "/metrics", tag = "health",
    security((), ("api_key" = [])),
    responses((status = 200, body = String, content_type = "application/openmetrics-text"),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub(crate) async fn metrics(State(state): State<ApiState>, _may: MayScrape) -> Response {
    let text = state.orchestrator().metrics().await;
    ([(header::CONTENT_TYPE, roadstead_metrics::CONTENT_TYPE)], text).into_response()
}
