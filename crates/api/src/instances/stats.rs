//! `GET /instances/{id}/stats`.

use axum::Json;
use axum::extract::State;
use roadstead_model::{InstanceId, Operation};

use crate::error::{ApiError, ErrorBody};
use crate::extract::{Authenticated, PathId};
use crate::state::ApiState;
use crate::wire::Stats;

/// What an instance takes
///
/// Processor time, memory, processes and open files of all its processes together, looked at every ten seconds. What
/// cannot be known is null.
#[utoipa::path(get, operation_id = "instances_stats", path = "/instances/{id}/stats", tag = "instances",
    params(("id" = String, Path)),
    responses((status = 200, body = Stats), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(crate) async fn stats(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<InstanceId>,
) -> Result<Json<Stats>, ApiError> {
    let permit = caller.instance_permit(Operation::InstancesStats)?;
    let found = state.orchestrator().stats(&permit, id).await?;
    Ok(Json(Stats::new(&found, state.clock().now())))
}
