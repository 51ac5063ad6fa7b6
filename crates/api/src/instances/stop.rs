//! `POST /instances/{id}/stop`.

use axum::Json;
use axum::extract::State;
use roadstead_model::{InstanceId, Operation};

use crate::error::{ApiError, ErrorBody};
use crate::extract::{Authenticated, PathId};
use crate::state::ApiState;
use crate::wire::Instance;

/// Stop an instance
///
/// Asks its server to leave; the row stays. Waits until every process is gone.
#[utoipa::path(post, operation_id = "instances_stop", path = "/instances/{id}/stop", tag = "instances",
    params(("id" = String, Path)),
    responses((status = 200, body = Instance), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, description = "Its status does not permit it", body = ErrorBody)))]
pub(crate) async fn stop(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<InstanceId>,
) -> Result<Json<Instance>, ApiError> {
    let permit = caller.instance_permit(Operation::InstancesStop)?;
    let instance = state.orchestrator().stop(permit, id).await?;
    Ok(Json(Instance::new(instance, state.view())))
}
