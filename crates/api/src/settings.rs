//! `/settings` and `/ports`, for platform admins.

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value};

use crate::error::{ApiError, ErrorBody};
use crate::extract::{Authenticated, JsonBody, PathName};
use crate::state::ApiState;
use crate::wire::{All, PortEntry, SettingBody, Settings};
use roadstead_model::Operation;

/// List settings
#[utoipa::path(get, operation_id = "settings_list", path = "/settings", tag = "settings",
    responses((status = 200, body = Settings), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
) -> Result<Json<Settings>, ApiError> {
    let permit = caller.admin_permit(Operation::SettingsList)?;
    let settings: Map<String, Value> = state.accounts().settings(&permit).await?.into_iter().collect();
    Ok(Json(Settings { data: Value::Object(settings) }))
}

/// Change a setting
///
/// In force at once; a smaller port range lets ports in use go when their instances end.
#[utoipa::path(put, operation_id = "settings_set", path = "/settings/{key}", tag = "settings",
    params(("key" = String, Path)),
    request_body = SettingBody,
    responses((status = 200, body = Settings), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 415, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(crate) async fn set(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathName(key): PathName,
    JsonBody { mut fields, .. }: JsonBody,
) -> Result<Json<Settings>, ApiError> {
    let permit = caller.admin_permit(Operation::SettingsSet)?;
    let mut body = fields.rest();
    let value = body.remove("value");
    for unknown in body.keys() {
        fields.problem(unknown, "is not a field of this request");
    }
    if value.is_none() {
        fields.problem("value", "is required");
    }
    fields.finish()?;
    state.accounts().set_setting(&permit, &key, value.unwrap_or_default()).await?;
    state.orchestrator().settings_changed().await?;
    let settings: Map<String, Value> = state.accounts().settings(&permit).await?.into_iter().collect();
    Ok(Json(Settings { data: Value::Object(settings) }))
}

/// The port pool
#[utoipa::path(get, operation_id = "ports_list", path = "/ports", tag = "settings",
    responses((status = 200, body = All<PortEntry>), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub(crate) async fn ports(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
) -> Result<Json<All<PortEntry>>, ApiError> {
    let permit = caller.admin_permit(Operation::PortsList)?;
    let ports = state.orchestrator().ports(&permit).await?;
    Ok(Json(All { data: ports.into_iter().map(PortEntry::new).collect() }))
}
