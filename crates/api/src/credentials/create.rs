//! `POST /credentials`.

use axum::extract::State;
use http::{HeaderMap, StatusCode};
use roadstead_accounts::NewCredential;

use super::end_field;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Authenticated, JsonBody};
use crate::idempotency::{Answer, once};
use crate::state::ApiState;
use crate::wire::{Credential, CredentialBody};
use roadstead_model::Operation;

/// Store a credential
///
/// Values are sealed at once and can never be read again.
#[utoipa::path(post, operation_id = "credentials_create", path = "/credentials", tag = "credentials",
    request_body = CredentialBody,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = Credential), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 409, description = "You have one of that name for this type", body = ErrorBody),
        (status = 413, body = ErrorBody), (status = 415, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn create(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    headers: HeaderMap,
    JsonBody { mut fields, bytes }: JsonBody,
) -> Result<Answer, ApiError> {
    let permit = caller.credential_permit(Operation::CredentialsCreate)?;
    let type_name = fields.required_text("type", 50);
    let name = fields.required_text("name", roadstead_model::limits::MAX_NAME_CHARS);
    let expires_at = end_field(&mut fields, state.view().now).flatten();
    let Some(values) = fields.secrets("values") else {
        fields.problem("values", "must be an object of secret values by slot");
        fields.finish()?;
        return Err(ApiError::not_found("type"));
    };
    fields.finish()?;
    let new = NewCredential {
        type_name,
        name,
        values: values.into_iter().map(|(slot, value)| (slot, value.into())).collect(),
        expires_at,
        organization: caller.organization,
        project: caller.project,
        user: caller.user,
    };
    let work = {
        let state = state.clone();
        async move {
            let created = state.accounts().create_credential(&permit, new).await?;
            Ok(Answer::json(StatusCode::CREATED, &Credential::new(created)))
        }
    };
    once(&state, &caller, &headers, "POST /credentials", &bytes, work).await
}
