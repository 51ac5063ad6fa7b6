//! `GET /usage`: what calls through instances cost, one by one or added up.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use roadstead_model::{InstanceId, Operation, UsageStatus};
use roadstead_orchestrator::{UsageBy, UsageQuery};

use crate::error::{ApiError, ErrorBody};
use crate::extract::fields::{Fields, ListMark};
use crate::extract::{Authenticated, QueryFields};
use crate::state::ApiState;
use crate::wire::{
    All, Page, UsageEntry, UsageTotal, choice, limit_field, list_cursor_field, time_field, words,
};

/// Longest name of a tool.
const MAX_TOOL_CHARS: usize = 128;

/// List what calls cost
///
/// One entry for each `tools/call`, `resources/read` and `prompts/get` through an instance, newest first unless
/// `sort=at`: the caller's own, or all for a platform admin. What was said in a call is never kept. With `summary`
/// the answer is what they add up to by tool, day (UTC) or instance, at most 1000 sums: days newest first, else those
/// of the most calls first; `sort`, `limit` and `cursor` cannot be given then.
#[utoipa::path(get, operation_id = "usage_list", path = "/usage", tag = "usage",
    params(("instance" = Option<String>, Query, format = Uuid, description = "Only calls through this instance"),
        ("type" = Option<String>, Query, description = "A server type's name"),
        ("tool" = Option<String>, Query, max_length = 128, description = "A tool's or prompt's name, or where a resource lives"),
        ("status" = inline(Option<words::UsageStatus>), Query, description = "Only calls that ended so"),
        ("since" = Option<String>, Query), ("until" = Option<String>, Query),
        ("summary" = inline(Option<words::Summary>), Query, description = "Add them up by this"),
        ("sort" = inline(Option<words::ByTime>), Query, description = "Newest first, unless `at`"),
        ("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = UsageAnswer), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    QueryFields(mut fields): QueryFields,
) -> Result<Response, ApiError> {
    let permit = caller.instance_permit(Operation::UsageList)?;
    let list = fields.list_mark("usage");
    let by = summary(&mut fields);
    let query = read(&mut fields, by.is_some(), &list);
    fields.finish()?;
    let orchestrator = state.orchestrator();
    Ok(match by {
        Some(by) => {
            let sums = orchestrator.usage_sums(&permit, query, by).await?;
            Json(All { data: sums.into_iter().map(UsageTotal::new).collect::<Vec<_>>() }).into_response()
        }
        None => Json(Page::marked(orchestrator.usage(&permit, query).await?, &list, UsageEntry::new))
            .into_response(),
    })
}

/// A page of calls, or all sums that `summary` asked for.
#[derive(utoipa::ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only described: the handler answers with one or the other")]
pub(crate) enum UsageAnswer {
    Calls(Page<UsageEntry>),
    Sums(All<UsageTotal>),
}

fn summary(fields: &mut Fields) -> Option<UsageBy> {
    let by = match fields.text("summary", 20)?.as_str() {
        "tool" => Some(UsageBy::Tool),
        "day" => Some(UsageBy::Day),
        "instance" => Some(UsageBy::Instance),
        _ => None,
    };
    if by.is_none() {
        fields.problem("summary", "must be tool, day or instance");
    }
    by
}

fn read(fields: &mut Fields, summed: bool, list: &ListMark) -> UsageQuery {
    let query = read_filter(fields);
    if summed {
        return query;
    }
    UsageQuery {
        oldest_first: choice(fields, "sort", ["-at", "at"]),
        after: list_cursor_field(fields, list),
        limit: limit_field(fields),
        ..query
    }
}

/// What chooses calls.
pub(crate) fn read_filter(fields: &mut Fields) -> UsageQuery {
    UsageQuery {
        instance: fields.parsed::<InstanceId>("instance", "an instance's id"),
        type_name: fields.text("type", 50),
        tool: fields.text("tool", MAX_TOOL_CHARS),
        status: fields.parsed::<UsageStatus>("status", "success, error, timeout, cancelled or blocked"),
        since: time_field(fields, "since"),
        until: time_field(fields, "until"),
        ..UsageQuery::default()
    }
}
