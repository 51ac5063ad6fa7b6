//! `/ports/{port}/quarantine`: ports that a platform admin keeps from being leased.

use std::time::Duration;

use axum::extract::State;
use http::StatusCode;
use roadstead_model::{Operation, Port};
use serde::{Deserialize, Serialize};

use crate::error::{ApiError, ErrorBody};
use crate::extract::{Authenticated, JsonBody, OptionalBody, PathName};
use crate::state::ApiState;

/// How long a port rests when nobody says.
const DEFAULT_REST: Duration = Duration::from_hours(1);
/// The longest that a port can be kept.
const LONGEST_REST: Duration = Duration::from_hours(24 * 30);

/// How long to keep a port; may be left out.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct QuarantineBody {
    /// `90s`, `15m`, `1h`, `7d`; an hour when it is left out.
    #[schema(example = "1h")]
    pub r#for: Option<String>,
}

/// Keep a port from being leased
///
/// For a while, although it is free: something else is to use it, or it is to be looked at.
#[utoipa::path(post, operation_id = "ports_quarantine", path = "/ports/{port}/quarantine", tag = "settings",
    params(("port" = u16, Path)),
    request_body = Option<QuarantineBody>,
    responses((status = 204, description = "It rests"), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, description = "It is not in the pool", body = ErrorBody),
        (status = 409, description = "An instance has it", body = ErrorBody), (status = 413, body = ErrorBody),
        (status = 415, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn quarantine(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathName(port): PathName,
    OptionalBody(JsonBody { mut fields, .. }): OptionalBody,
) -> Result<StatusCode, ApiError> {
    let permit = caller.admin_permit(Operation::PortsQuarantine)?;
    let length = fields.duration("for").unwrap_or(DEFAULT_REST);
    if !(Duration::from_secs(1)..=LONGEST_REST).contains(&length) {
        fields.problem("for", "must be from 1s to 30d");
    }
    fields.finish()?;
    state.orchestrator().quarantine_port(&permit, named(&port)?, length).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Let a port be leased again
///
/// Whatever it rests for. If something else still listens on it, the next launch finds out and takes another.
#[utoipa::path(delete, operation_id = "ports_release", path = "/ports/{port}/quarantine", tag = "settings",
    params(("port" = u16, Path)),
    responses((status = 204, description = "It can be leased"), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, description = "It is not in the pool", body = ErrorBody),
        (status = 409, description = "An instance has it", body = ErrorBody)))]
pub(crate) async fn release(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathName(port): PathName,
) -> Result<StatusCode, ApiError> {
    let permit = caller.admin_permit(Operation::PortsRelease)?;
    state.orchestrator().release_port(&permit, named(&port)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn named(port: &str) -> Result<Port, ApiError> {
    let port = port.parse::<u16>().ok().and_then(Port::new);
    port.ok_or_else(|| ApiError::not_found("port"))
}
