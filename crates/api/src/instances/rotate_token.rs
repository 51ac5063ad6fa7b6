//! `POST /instances/{id}/rotate-token`.

use axum::extract::State;
use http::StatusCode;
use roadstead_model::{InstanceId, Operation};

use crate::error::{ApiError, ErrorBody};
use crate::extract::{Authenticated, PathId};
use crate::idempotency::Answer;
use crate::state::ApiState;
use crate::wire::Launched;

/// Replace an instance's access token
///
/// The old token is refused from the moment of the answer. The new one is shown only here.
#[utoipa::path(post, operation_id = "instances_rotate_token", path = "/instances/{id}/rotate-token", tag = "instances",
    params(("id" = String, Path)),
    responses((status = 200, body = Launched), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, description = "It is not running", body = ErrorBody),
        (status = 503, description = "Not acknowledged", body = ErrorBody)))]
pub(crate) async fn rotate_token(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<InstanceId>,
) -> Result<Answer, ApiError> {
    let permit = caller.instance_permit(Operation::InstancesRotateToken)?;
    let launched = state.orchestrator().rotate_token(permit, id).await?;
    Ok(Answer::json(StatusCode::OK, &Launched::new(launched, state.view())))
}
