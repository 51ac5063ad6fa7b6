//! `PUT /credentials/{id}`.

use axum::extract::State;
use http::{HeaderMap, StatusCode};
use roadstead_accounts::ChangedCredential;
use roadstead_model::{CredentialId, Operation};

use super::end_field;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Authenticated, JsonBody, PathId};
use crate::idempotency::{Answer, of_credential, once};
use crate::state::ApiState;
use crate::wire::{CredentialChangeBody, ReplacedCredential};

/// Replace a credential's values, or change its name or its end
///
/// All values at once, or none. The old ones are destroyed, and the instances that run with them are restarted: the answer names
/// those that were, and those that could not be. Instances that have ended take the new values at their next start.
#[utoipa::path(put, operation_id = "credentials_replace", path = "/credentials/{id}", tag = "credentials",
    request_body = CredentialChangeBody,
    params(("id" = String, Path),
        ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 200, body = ReplacedCredential), (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 409, description = "You have one of that name for this type", body = ErrorBody),
        (status = 413, body = ErrorBody), (status = 415, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn replace(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<CredentialId>,
    headers: HeaderMap,
    JsonBody { mut fields, bytes }: JsonBody,
) -> Result<Answer, ApiError> {
    let permit = caller.credential_permit(Operation::CredentialsReplace)?;
    let name = fields.name("name");
    let expires_at = end_field(&mut fields, state.view().now);
    let values = fields.secrets("values");
    if name.is_none() && expires_at.is_none() && values.is_none() {
        fields.problem("values", "must be given, unless name, expires_at or expires_in is");
    }
    fields.finish()?;
    let values = values.map(|values| values.into_iter().map(|(slot, value)| (slot, value.into())).collect());
    let changed = ChangedCredential { name, expires_at, values };
    let work = {
        let state = state.clone();
        async move {
            let replaced = state.orchestrator().replace_credential(permit, id, changed).await?;
            Ok(Answer::json(StatusCode::OK, &ReplacedCredential::new(replaced)))
        }
    };
    let request = of_credential(id, &bytes);
    Box::pin(once(&state, &caller, &headers, "PUT /credentials/{id}", &request, work)).await
}
