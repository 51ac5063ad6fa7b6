//! `/types`: kinds of servers.

use axum::Json;
use axum::extract::State;
use http::{HeaderMap, StatusCode, header};
use roadstead_accounts::TypeRow;
use serde_json::Value;

use crate::error::{ApiError, Code, ErrorBody};
use crate::extract::{Authenticated, JsonBody, PathName, QueryFields};
use crate::idempotency::{Answer, once};
use crate::state::ApiState;
use crate::wire::{All, ServerType, TypeBody};
use roadstead_model::Operation;

/// List server types
///
/// Disabled ones too with `all=true`.
#[utoipa::path(get, operation_id = "types_list", path = "/types", tag = "types",
    params(("all" = Option<bool>, Query, description = "Disabled ones, too")),
    responses((status = 200, body = All<ServerType>), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    QueryFields(mut fields): QueryFields,
) -> Result<Json<All<ServerType>>, ApiError> {
    let permit = caller.type_permit(Operation::TypesList)?;
    let all: bool = fields.parsed("all", "true or false").unwrap_or_default();
    fields.finish()?;
    let types = state.accounts().types(&permit, !all).await?;
    Ok(Json(All { data: types.into_iter().map(ServerType::new).collect() }))
}

/// Get a server type
///
/// By id or by name, with its credential slots and configuration schema.
#[utoipa::path(get, operation_id = "types_get", path = "/types/{id}", tag = "types",
    params(("id" = String, Path, pattern = "^[A-Za-z0-9-]{1,50}$", description = "Its id or its name")),
    responses((status = 200, body = ServerType), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(crate) async fn get(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathName(named): PathName,
) -> Result<Versioned, ApiError> {
    let permit = caller.type_permit(Operation::TypesGet)?;
    let found = state.accounts().type_named(&permit, &named).await?;
    Ok(versioned(found))
}

/// Create a server type
///
/// Platform admins only: a type names a program that will run. Every mistake is named at once.
#[utoipa::path(post, operation_id = "types_create", path = "/types", tag = "types",
    request_body = TypeBody, params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = ServerType), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 409, body = ErrorBody), (status = 413, body = ErrorBody),
        (status = 415, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn create(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    headers: HeaderMap,
    JsonBody { mut fields, bytes }: JsonBody,
) -> Result<Answer, ApiError> {
    let permit = caller.admin_permit(Operation::TypesCreate)?;
    let spec = Value::Object(fields.rest());
    let work = {
        let state = state.clone();
        async move {
            let created = state.accounts().create_type(&permit, spec).await?;
            Ok(Answer::json(StatusCode::CREATED, &ServerType::new(created)))
        }
    };
    once(&state, &caller, &headers, "POST /types", &bytes, work).await
}

/// Replace a server type's definition
///
/// With `If-Match` naming the version that was read. Running instances keep what they were launched with.
#[utoipa::path(put, operation_id = "types_update", path = "/types/{id}", tag = "types",
    request_body = TypeBody,
    params(("id" = String, Path, pattern = "^[A-Za-z0-9-]{1,50}$", description = "Its id or its name"), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = ServerType), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 412, body = ErrorBody),
        (status = 413, body = ErrorBody), (status = 415, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn update(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathName(named): PathName,
    headers: HeaderMap,
    JsonBody { mut fields, .. }: JsonBody,
) -> Result<Versioned, ApiError> {
    let permit = caller.admin_permit(Operation::TypesUpdate)?;
    let expected = expected_version(&headers)?;
    let spec = Value::Object(fields.rest());
    let updated = state.accounts().update_type(&permit, &named, expected, spec).await?;
    Ok(versioned(updated))
}

/// A type, with its version as `ETag`.
type Versioned = ([(http::HeaderName, String); 1], Json<ServerType>);

fn versioned(row: TypeRow) -> Versioned {
    ([(header::ETAG, format!("\"{}\"", row.version))], Json(ServerType::new(row)))
}

fn expected_version(headers: &HeaderMap) -> Result<Option<i32>, ApiError> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let version = value.to_str().ok().and_then(|text| text.trim_matches('"').parse().ok());
    version
        .map(Some)
        .ok_or_else(|| ApiError::new(Code::Malformed, "If-Match must be the ETag of a type: \"3\""))
}

/// Disable a server type
///
/// It launches no more; running instances go on.
#[utoipa::path(post, operation_id = "types_disable", path = "/types/{id}/disable", tag = "types",
    params(("id" = String, Path, pattern = "^[A-Za-z0-9-]{1,50}$", description = "Its id or its name")),
    responses((status = 200, body = ServerType), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(crate) async fn disable(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathName(named): PathName,
) -> Result<Json<ServerType>, ApiError> {
    let permit = caller.admin_permit(Operation::TypesDisable)?;
    let disabled = state.accounts().disable_type(&permit, &named).await?;
    Ok(Json(ServerType::new(disabled)))
}
