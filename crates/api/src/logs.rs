//! `GET /logs/search`.

use axum::Json;
use axum::extract::State;
use roadstead_model::{InstanceId, LogLevel, LogSource, Operation};
use roadstead_orchestrator::SearchQuery;

use crate::error::{ApiError, ErrorBody};
use crate::extract::{Authenticated, QueryFields};
use crate::instances::logs::MAX_SEARCH_CHARS;
use crate::state::ApiState;
use crate::wire::{FoundLines, limit_field, list_cursor_field, time_field, words};

/// Search the log
///
/// The lines of every instance in the caller's view, newest first. One page looks at a bounded number of lines (setting
/// `logs.search_lines`), so it can find none although older ones are there: `searched_to` says how far it came, and
/// `next_cursor` goes on from there until it is null.
#[utoipa::path(get, operation_id = "logs_search", path = "/logs/search", tag = "instances",
    params(("q" = Option<String>, Query, max_length = 200, description = "Text that the line contains, whatever its case"),
        ("instance" = Option<String>, Query, description = "Of this instance alone"),
        ("level" = inline(Option<words::Level>), Query, description = "At least so bad"),
        ("source" = inline(Option<words::Source>), Query, description = "Only what this one said"),
        ("since" = Option<String>, Query), ("until" = Option<String>, Query),
        ("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = FoundLines), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(crate) async fn search(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    QueryFields(mut fields): QueryFields,
) -> Result<Json<FoundLines>, ApiError> {
    let permit = caller.instance_permit(Operation::LogsSearch)?;
    let list = fields.list_mark("logs");
    let query = SearchQuery {
        text: fields.text("q", MAX_SEARCH_CHARS),
        instance: fields.parsed::<InstanceId>("instance", "an instance's id"),
        min_level: fields.parsed::<LogLevel>("level", "debug, info, warn or error"),
        source: fields.parsed::<LogSource>("source", "process, system or api"),
        since: time_field(&mut fields, "since"),
        until: time_field(&mut fields, "until"),
        after: list_cursor_field(&mut fields, &list),
        limit: limit_field(&mut fields),
    };
    fields.finish()?;
    let found = state.orchestrator().search_logs(&permit, query).await?;
    Ok(Json(FoundLines::new(found, &list)))
}
