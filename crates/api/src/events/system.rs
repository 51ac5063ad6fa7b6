//! `GET /system-events`: what happened to the service itself.

use axum::Json;
use axum::extract::State;
use roadstead_accounts::SystemEventFilter;
use roadstead_model::Operation;

use crate::error::{ApiError, ErrorBody};
use crate::extract::{Authenticated, QueryFields};
use crate::state::ApiState;
use crate::wire::{Page, SystemEvent, cursor_field, limit_field, time_field, words};

/// Longest word of a filter.
const MAX_WORD_CHARS: usize = 100;
/// What a severity may be.
const SEVERITIES: [&str; 4] = ["info", "warning", "error", "critical"];

/// List what happened to the service
///
/// Starts, stops, migrations, rotations and the like, newest first. Platform admins only.
#[utoipa::path(get, operation_id = "system_events_list", path = "/system-events", tag = "events",
    params(("severity" = inline(Option<words::Severity>), Query, description = "How much it matters"),
        ("source" = Option<String>, Query, max_length = 100, description = "The part that says so, such as `service` or `audit`"),
        ("type" = Option<String>, Query, max_length = 100, description = "Such as `service.started`"),
        ("since" = Option<String>, Query), ("until" = Option<String>, Query),
        ("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<SystemEvent>), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    QueryFields(mut fields): QueryFields,
) -> Result<Json<Page<SystemEvent>>, ApiError> {
    let permit = caller.admin_permit(Operation::SystemEventsList)?;
    let severity = fields.text("severity", MAX_WORD_CHARS);
    if severity.as_deref().is_some_and(|word| !SEVERITIES.contains(&word)) {
        fields.problem("severity", format!("must be one of {}", SEVERITIES.join(", ")));
    }
    let filter = SystemEventFilter {
        severity,
        source: fields.text("source", MAX_WORD_CHARS),
        event_type: fields.text("type", MAX_WORD_CHARS),
        since: time_field(&mut fields, "since"),
        until: time_field(&mut fields, "until"),
        after: cursor_field(&mut fields),
        limit: limit_field(&mut fields),
    };
    fields.finish()?;
    Ok(Json(Page::of(state.accounts().system_events(&permit, &filter).await?, SystemEvent::new)))
}
