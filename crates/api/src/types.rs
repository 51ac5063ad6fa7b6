//! `/types`: kinds of servers.

pub(crate) mod import;

use axum::Json;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{ApiError, ErrorBody};
use crate::extract::{Authenticated, JsonBody, PathName, QueryFields, Tagged, if_match, tagged};
use crate::idempotency::{Answer, once};
use crate::state::ApiState;
use crate::wire::{Page, ServerType, TypeBody, list_cursor_field, long_limit_field};
use roadstead_model::Operation;

/// List server types
///
/// By name. Disabled ones too with `all=true`.
#[utoipa::path(get, operation_id = "types_list", path = "/types", tag = "types",
    params(("all" = Option<bool>, Query, description = "Disabled ones, too"),
        ("limit" = Option<u32>, Query, description = "How many items one page may hold: 100 unless it says so"), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<ServerType>), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    QueryFields(mut fields): QueryFields,
) -> Result<Json<Page<ServerType>>, ApiError> {
    let permit = caller.type_permit(Operation::TypesList)?;
    let list = fields.list_mark("types");
    let after = list_cursor_field::<TypePlace>(&mut fields, &list);
    let limit = long_limit_field(&mut fields);
    let all: bool = fields.parsed("all", "true or false").unwrap_or_default();
    fields.finish()?;
    let types =
        state.accounts().types(&permit, !all, after.as_ref().map(|place| place.name.as_str()), limit).await?;
    let types =
        roadstead_accounts::Page { items: types.items, next: types.next.map(|name| TypePlace { name }) };
    Ok(Json(Page::marked(types, &list, ServerType::new)))
}

/// The place of a type in the list.
#[derive(Serialize, Deserialize)]
struct TypePlace {
    name: String,
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
) -> Result<Tagged<ServerType>, ApiError> {
    let permit = caller.type_permit(Operation::TypesGet)?;
    let found = state.accounts().type_named(&permit, &named).await?;
    Ok(tagged(found.version, ServerType::new(found)))
}

/// Create a server type
///
/// Platform admins only: a type names a program that will run. Every mistake is named at once. With `project_id`, it is
/// there for that project alone.
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
    let project = fields.parsed("project_id", "a project's id");
    fields.so_far()?;
    let spec = Value::Object(fields.rest());
    let work = {
        let state = state.clone();
        async move {
            let created = state.accounts().create_type(&permit, spec, project).await?;
            Ok(Answer::json(StatusCode::CREATED, &ServerType::new(created)))
        }
    };
    once(&state, &caller, &headers, "POST /types", &bytes, work).await
}

/// Replace a server type's definition
///
/// With `If-Match` naming the version that was read. Running instances keep what they were launched with. Its project
/// stays unless `project_id` names another; null makes it everybody's.
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
) -> Result<Tagged<ServerType>, ApiError> {
    let permit = caller.admin_permit(Operation::TypesUpdate)?;
    let expected = if_match(&headers)?;
    let for_everybody = fields.is_null("project_id");
    let project = fields.parsed("project_id", "a project's id");
    fields.so_far()?;
    let project = if for_everybody { Some(None) } else { project.map(Some) };
    let spec = Value::Object(fields.rest());
    let updated = state.accounts().update_type(&permit, &named, expected, spec, project).await?;
    Ok(tagged(updated.version, ServerType::new(updated)))
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
