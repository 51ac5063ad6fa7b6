//! `DELETE /instances/{id}`.

use axum::extract::State;
use http::StatusCode;
use roadstead_model::{InstanceId, Operation};

use crate::error::{ApiError, ErrorBody};
use crate::extract::{Authenticated, PathId};
use crate::state::ApiState;

/// Delete an instance
///
/// Stops it if it runs, then removes it from every list. Its events and log lines stay until retention.
#[utoipa::path(delete, operation_id = "instances_delete", path = "/instances/{id}", tag = "instances",
    params(("id" = String, Path)),
    responses((status = 204, description = "Gone"), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(crate) async fn delete(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<InstanceId>,
) -> Result<StatusCode, ApiError> {
    let permit = caller.instance_permit(Operation::InstancesDelete)?;
    state.orchestrator().delete(permit, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
