//! `POST /instances/{id}/extend`.

use axum::Json;
use axum::extract::State;
use roadstead_model::{InstanceId, Operation};
use roadstead_orchestrator::Extension;

use crate::error::{ApiError, ErrorBody};
use crate::extract::{Authenticated, JsonBody, PathId};
use crate::state::ApiState;
use crate::wire::{ExtendBody, Instance};

/// Move an instance's deadline
///
/// `expires_in` counts from now, `by` from the present deadline; give one of them. The change is in force
/// when the answer comes.
#[utoipa::path(post, operation_id = "instances_extend", path = "/instances/{id}/extend", tag = "instances",
    params(("id" = String, Path)),
    request_body = ExtendBody,
    responses((status = 200, body = Instance), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 409, description = "It is not running", body = ErrorBody), (status = 415, body = ErrorBody),
        (status = 422, body = ErrorBody), (status = 503, description = "Not acknowledged", body = ErrorBody)))]
pub(crate) async fn extend(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<InstanceId>,
    JsonBody { mut fields, .. }: JsonBody,
) -> Result<Json<Instance>, ApiError> {
    let permit = caller.instance_permit(Operation::InstancesExtend)?;
    let extension = match (fields.duration("expires_in"), fields.duration("by")) {
        (Some(from_now), None) => Some(Extension::FromNow(from_now)),
        (None, Some(by)) => Some(Extension::By(by)),
        _ => {
            fields.problem("expires_in", "give either expires_in or by, as a duration such as 30m");
            None
        }
    };
    fields.finish()?;
    let Some(extension) = extension else { return Err(ApiError::not_found("instance")) };
    let instance = state.orchestrator().extend(permit, id, extension).await?;
    Ok(Json(Instance::new(instance, state.view())))
}
