//! `/api-keys`.

use axum::Json;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use roadstead_accounts::NewKey;
use roadstead_model::{ApiKeyId, Operation, Scope, UserId};

use crate::error::{ApiError, ErrorBody};
use crate::extract::{Authenticated, JsonBody, PathId, QueryFields};
use crate::idempotency::{Answer, once};
use crate::state::ApiState;
use crate::wire::{All, ApiKey, KeyBody, NewApiKey};

/// Longest reason for a revocation.
const MAX_REASON_CHARS: usize = 200;

/// List API keys
///
/// Names, hints and scopes; a key itself is shown once, when it is made.
#[utoipa::path(get, operation_id = "keys_list", path = "/api-keys", tag = "api-keys",
    responses((status = 200, body = All<ApiKey>), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
) -> Result<Json<All<ApiKey>>, ApiError> {
    let permit = caller.key_permit(Operation::KeysList)?;
    let keys = state.accounts().keys(&permit).await?;
    Ok(Json(All { data: keys.into_iter().map(ApiKey::new).collect() }))
}

/// Create an API key
///
/// With at most the scopes of the key that makes it. The key is shown only here.
#[utoipa::path(post, operation_id = "keys_create", path = "/api-keys", tag = "api-keys",
    request_body = KeyBody,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = NewApiKey), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, description = "More scopes than one's own", body = ErrorBody),
        (status = 404, description = "No such user", body = ErrorBody), (status = 413, body = ErrorBody),
        (status = 415, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn create(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    headers: HeaderMap,
    JsonBody { mut fields, bytes }: JsonBody,
) -> Result<Answer, ApiError> {
    let permit = caller.key_permit(Operation::KeysCreate)?;
    let new = NewKey {
        name: fields.required_text("name", roadstead_model::limits::MAX_NAME_CHARS),
        scopes: match fields.words::<Scope>("scopes", "scope") {
            Some(scopes) if !scopes.is_empty() => scopes.into_iter().collect(),
            _ => {
                fields.problem("scopes", "must name at least one scope, such as instances:launch");
                roadstead_model::Scopes::default()
            }
        },
        expires_in: fields.duration("expires_in"),
        user: fields.parsed::<UserId>("user_id", "a user's id"),
    };
    fields.finish()?;
    let work = {
        let state = state.clone();
        async move {
            let (row, key) = state.accounts().create_key(&permit, new).await?;
            Ok(Answer::json(StatusCode::CREATED, &NewApiKey::new(row, &key)))
        }
    };
    once(&state, &caller, &headers, "POST /api-keys", &bytes, work).await
}

/// Revoke an API key
///
/// At once; `reason` is kept.
#[utoipa::path(delete, operation_id = "keys_revoke", path = "/api-keys/{id}", tag = "api-keys",
    params(("id" = String, Path), ("reason" = Option<String>, Query, max_length = 200, description = "Kept with the key")),
    responses((status = 204, description = "Revoked"), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn revoke(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<ApiKeyId>,
    QueryFields(mut fields): QueryFields,
) -> Result<StatusCode, ApiError> {
    let permit = caller.key_permit(Operation::KeysRevoke)?;
    let reason = fields.text("reason", MAX_REASON_CHARS);
    fields.finish()?;
    state.accounts().revoke_key(&permit, id, reason.as_deref()).await?;
    Ok(StatusCode::NO_CONTENT)
}
