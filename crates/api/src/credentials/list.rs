//! `GET /credentials`.

use axum::Json;
use axum::extract::State;

use crate::error::{ApiError, ErrorBody};
use crate::extract::Authenticated;
use crate::state::ApiState;
use crate::wire::{All, Credential};
use roadstead_model::Operation;

/// List one's credentials
///
/// Names, hints and ends only. One whose end is near has the status `expiring`.
#[utoipa::path(get, operation_id = "credentials_list", path = "/credentials", tag = "credentials",
    responses((status = 200, body = All<Credential>), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
) -> Result<Json<All<Credential>>, ApiError> {
    let permit = caller.credential_permit(Operation::CredentialsList)?;
    let credentials = state.accounts().credentials(&permit).await?;
    Ok(Json(All { data: credentials.into_iter().map(Credential::new).collect() }))
}
