//! `POST /credentials/{id}/validate`.

use axum::Json;
use axum::extract::State;
use roadstead_model::{CredentialId, Operation};

use crate::error::{ApiError, ErrorBody};
use crate::extract::{Authenticated, PathId};
use crate::state::ApiState;
use crate::wire::CredentialValidation;

/// Try a credential out
///
/// Asks the service that it is for, as its type says, whether it takes it. `unknown` when that says neither yes nor no, or cannot
/// be reached.
#[utoipa::path(post, operation_id = "credentials_validate", path = "/credentials/{id}/validate", tag = "credentials",
    params(("id" = String, Path)),
    responses((status = 200, body = CredentialValidation), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 409, description = "It was replaced meanwhile", body = ErrorBody),
        (status = 422, description = "Its type does not say how", body = ErrorBody)))]
pub(crate) async fn validate(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<CredentialId>,
) -> Result<Json<CredentialValidation>, ApiError> {
    let permit = caller.credential_permit(Operation::CredentialsValidate)?;
    let work = {
        let state = state.clone();
        async move { Ok(state.orchestrator().validate_credential(permit, id).await?) }
    };
    Ok(Json(CredentialValidation::new(state.detached(work).await?)))
}
