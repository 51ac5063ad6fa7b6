//! `POST /instances/{id}/expire`.

use axum::Json;
use axum::extract::State;
use roadstead_model::{InstanceId, Operation};

use crate::error::{ApiError, ErrorBody};
use crate::extract::{Authenticated, PathId};
use crate::state::ApiState;
use crate::wire::Instance;

/// Expire an instance
///
/// Ends it now exactly as its deadline would.
#[utoipa::path(post, operation_id = "instances_expire", path = "/instances/{id}/expire", tag = "instances",
    params(("id" = String, Path)),
    responses((status = 200, body = Instance), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, description = "Its status does not permit it", body = ErrorBody)))]
pub(crate) async fn expire(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<InstanceId>,
) -> Result<Json<Instance>, ApiError> {
    let permit = caller.instance_permit(Operation::InstancesExpire)?;
    let instance = state.orchestrator().expire(permit, id).await?;
    Ok(Json(Instance::new(instance, state.view())))
}
