//! `POST /instances/{id}/logs/export`.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use roadstead_accounts::ExposeSecret;
use roadstead_model::{InstanceId, Operation};
use roadstead_orchestrator::ExportFormat;

use super::logs::read_filter;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Authenticated, JsonBody, PathId};
use crate::state::ApiState;
use crate::wire::{ExportBody, ExportLink, rfc3339};

/// Export an instance's log lines
///
/// Answers with a link to the lines said up to now, oldest first, as JSON lines, CSV or text. The link needs no key and
/// ends after an hour (setting `exports.link_lifetime_s`).
#[utoipa::path(post, operation_id = "instances_logs_export", path = "/instances/{id}/logs/export", tag = "instances",
    params(("id" = String, Path)),
    request_body = ExportBody,
    responses((status = 201, body = ExportLink), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 413, body = ErrorBody),
        (status = 415, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn export(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<InstanceId>,
    JsonBody { mut fields, .. }: JsonBody,
) -> Result<(StatusCode, Json<ExportLink>), ApiError> {
    let permit = caller.instance_permit(Operation::InstancesLogsExport)?;
    let format = fields.required_text("format", 20);
    let format: Option<ExportFormat> = format.parse().ok();
    if format.is_none() {
        fields.problem("format", "must be json, csv or text");
    }
    let query = read_filter(&mut fields);
    fields.finish()?;
    let format = format.unwrap_or(ExportFormat::Json);
    let link = state.orchestrator().export_logs(&permit, id, query, format).await?;
    let base = state.view().public_base;
    let link = ExportLink {
        download_url: format!("{base}/api/v1/exports/{}", link.token.expose_secret()),
        expires_at: rfc3339(link.expires_at),
    };
    Ok((StatusCode::CREATED, Json(link)))
}
