//! `POST /instances/{id}/revoke-token`.

use axum::Json;
use axum::extract::State;
use roadstead_model::{InstanceId, Operation};

use crate::error::{ApiError, ErrorBody};
use crate::extract::{Authenticated, PathId};
use crate::state::ApiState;
use crate::wire::Instance;

/// Revoke an instance's access token
///
/// The token is refused from the moment of the answer, and nothing opens the instance until `rotate-token` makes another.
#[utoipa::path(post, operation_id = "instances_revoke_token", path = "/instances/{id}/revoke-token", tag = "instances",
    params(("id" = String, Path)),
    responses((status = 200, body = Instance), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, description = "It is not running", body = ErrorBody),
        (status = 503, description = "Not acknowledged", body = ErrorBody)))]
pub(crate) async fn revoke_token(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<InstanceId>,
) -> Result<Json<Instance>, ApiError> {
    let permit = caller.instance_permit(Operation::InstancesRevokeToken)?;
    let instance = state.orchestrator().revoke_token(permit, id).await?;
    Ok(Json(Instance::new(instance, state.view())))
}
