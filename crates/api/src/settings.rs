//! `/settings` and `/ports`, for platform admins.

use axum::Json;
use axum::extract::State;
use http::{HeaderMap, HeaderName, header};
use roadstead_accounts::SettingSet;
use roadstead_model::Operation;

use crate::error::{ApiError, ErrorBody};
use crate::extract::{Authenticated, JsonBody, PathName, QueryFields, if_match};
use crate::state::ApiState;
use crate::wire::{
    All, ChangedSetting, Page, PortEntry, Setting, SettingBody, SettingChange, Settings, cursor_field,
    limit_field,
};

/// Longest reason for a change; the database keeps the same limit.
const MAX_REASON_CHARS: usize = 1000;

/// List settings
///
/// With what each decides, what it may be and what it was at first. The value of a sensitive one is never shown.
#[utoipa::path(get, operation_id = "settings_list", path = "/settings", tag = "settings",
    responses((status = 200, body = Settings), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
) -> Result<Json<Settings>, ApiError> {
    let permit = caller.admin_permit(Operation::SettingsList)?;
    Ok(Json(Settings::new(state.accounts().settings(&permit).await?)))
}

/// Change a setting
///
/// In force at once, unless the answer says `needs_restart`; a smaller port range lets ports in use go when their instances
/// end. Who changed it, why, and what it was are kept.
#[utoipa::path(put, operation_id = "settings_set", path = "/settings/{key}", tag = "settings",
    params(("key" = String, Path),
        ("If-Match" = Option<String>, Header, description = "The version that was read, in quotes")),
    request_body = SettingBody,
    responses((status = 200, body = ChangedSetting), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 412, body = ErrorBody),
        (status = 413, body = ErrorBody), (status = 415, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn set(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathName(key): PathName,
    headers: HeaderMap,
    JsonBody { mut fields, .. }: JsonBody,
) -> Result<([(HeaderName, String); 1], Json<ChangedSetting>), ApiError> {
    let permit = caller.admin_permit(Operation::SettingsSet)?;
    let expected = if_match(&headers)?;
    let reason = fields.text("reason", MAX_REASON_CHARS);
    let mut body = fields.rest();
    let value = body.remove("value");
    for unknown in body.keys() {
        fields.problem(unknown, "is not a field of this request");
    }
    if value.is_none() {
        fields.problem("value", "is required");
    }
    fields.finish()?;
    let set = SettingSet { value: value.unwrap_or_default(), reason, expected };
    let setting = Setting::new(state.accounts().set_setting(&permit, &key, set).await?);
    state.orchestrator().settings_changed().await?;
    let etag = [(header::ETAG, format!("\"{}\"", setting.version))];
    Ok((etag, Json(ChangedSetting { needs_restart: setting.needs_restart, setting })))
}

/// What was changed of a setting
///
/// Who, when, why, and from what to what, newest first. Of a sensitive one only that it was changed.
#[utoipa::path(get, operation_id = "settings_history", path = "/settings/{key}/history", tag = "settings",
    params(("key" = String, Path), ("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<SettingChange>), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn history(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathName(key): PathName,
    QueryFields(mut fields): QueryFields,
) -> Result<Json<Page<SettingChange>>, ApiError> {
    let permit = caller.admin_permit(Operation::SettingsHistory)?;
    let (after, limit) = (cursor_field(&mut fields), limit_field(&mut fields));
    fields.finish()?;
    let page = state.accounts().setting_history(&permit, &key, after, limit).await?;
    Ok(Json(Page::of(page, SettingChange::new)))
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
