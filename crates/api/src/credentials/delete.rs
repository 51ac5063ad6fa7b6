//! `DELETE /credentials/{id}`.

use axum::extract::State;
use http::StatusCode;
use roadstead_model::{CredentialId, Operation};

use crate::error::{ApiError, ErrorBody};
use crate::extract::{Authenticated, PathId, QueryFields};
use crate::state::ApiState;

/// Delete a credential
///
/// Its sealed values are destroyed. Refused while instances hold it; with `force=true`, those that run are stopped first.
#[utoipa::path(delete, operation_id = "credentials_delete", path = "/credentials/{id}", tag = "credentials",
    params(("id" = String, Path), ("force" = Option<bool>, Query, description = "Stop the instances that hold it")),
    responses((status = 204, description = "Gone"), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, description = "Instances hold it; details name them", body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(crate) async fn delete(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<CredentialId>,
    QueryFields(mut fields): QueryFields,
) -> Result<StatusCode, ApiError> {
    let permit = caller.credential_permit(Operation::CredentialsDelete)?;
    let force: bool = fields.parsed("force", "true or false").unwrap_or_default();
    fields.finish()?;
    let work = {
        let state = state.clone();
        async move { Ok(state.orchestrator().delete_credential(permit, id, force).await?) }
    };
    state.detached(work).await?;
    Ok(StatusCode::NO_CONTENT)
}
