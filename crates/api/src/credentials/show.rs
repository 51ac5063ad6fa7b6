//! `GET /credentials/{id}`.

use axum::Json;
use axum::extract::State;
use roadstead_model::{CredentialId, Operation};

use crate::error::{ApiError, ErrorBody};
use crate::extract::{Authenticated, PathId};
use crate::state::ApiState;
use crate::wire::Credential;

/// Show a credential
///
/// Its name, hints and end; never its values.
#[utoipa::path(get, operation_id = "credentials_get", path = "/credentials/{id}", tag = "credentials",
    params(("id" = String, Path)),
    responses((status = 200, body = Credential), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(crate) async fn show(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<CredentialId>,
) -> Result<Json<Credential>, ApiError> {
    let permit = caller.credential_permit(Operation::CredentialsGet)?;
    Ok(Json(Credential::new(state.accounts().credential(&permit, id).await?)))
}
