//! `GET /credentials/{id}/usage`.

use axum::Json;
use axum::extract::State;
use roadstead_model::{CredentialId, Operation};

use crate::error::{ApiError, ErrorBody};
use crate::extract::{Authenticated, PathId};
use crate::state::ApiState;
use crate::wire::CredentialUsage;

/// Show who uses a credential
///
/// The instances that hold it, with the version of the values that each has, and what happened to it.
#[utoipa::path(get, operation_id = "credentials_usage", path = "/credentials/{id}/usage", tag = "credentials",
    params(("id" = String, Path)),
    responses((status = 200, body = CredentialUsage), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(crate) async fn usage(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<CredentialId>,
) -> Result<Json<CredentialUsage>, ApiError> {
    let permit = caller.credential_permit(Operation::CredentialsUsage)?;
    Ok(Json(CredentialUsage::new(state.accounts().credential_usage(&permit, id).await?)))
}
