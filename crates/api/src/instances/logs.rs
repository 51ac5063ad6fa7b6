//! `GET /instances/{id}/logs`: a page of lines, or all that come from now on as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt};
use roadstead_model::{InstanceId, LogLevel, LogSource, Operation};
use roadstead_orchestrator::{LogFollower, LogQuery};

use crate::error::{ApiError, ErrorBody};
use crate::extract::fields::{Fields, ListMark};
use crate::extract::{Authenticated, PathId, QueryFields};
use crate::state::ApiState;
use crate::wire::{LogLine, Page, choice, limit_field, list_cursor_field, time_field, words};

/// How often a silent stream shows that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Lines that `tail` asks for at most.
const MAX_TAIL: u32 = 1000;
/// Longest text to search for.
pub(crate) const MAX_SEARCH_CHARS: usize = 200;

/// List or follow an instance's log lines
///
/// Newest first unless `order=asc`. With `tail=N`, the last N lines that the filters let through, oldest first, as one page. With `follow=true` the answer is a stream of server-sent events named
/// `log`: the lines asked for, then each new one, until the instance has ended. With `q`, a page newest first looks at a bounded
/// number of lines (setting `logs.search_lines`): it can hold fewer than there are, or none, and `next_cursor` goes on.
#[utoipa::path(get, operation_id = "instances_logs", path = "/instances/{id}/logs", tag = "instances",
    params(("id" = String, Path), ("level" = inline(Option<words::Level>), Query, description = "At least so bad"),
        ("source" = inline(Option<words::Source>), Query, description = "Only what this one said"),
        ("since" = Option<String>, Query), ("until" = Option<String>, Query),
        ("q" = Option<String>, Query, max_length = 200, description = "Text that the line contains"),
        ("order" = inline(Option<words::Order>), Query, description = "Newest first, unless `asc`"),
        ("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query),
        ("tail" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Instead of order, limit and cursor"),
        ("follow" = Option<bool>, Query)),
    responses((status = 200, body = Page<LogLine>), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn logs(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<InstanceId>,
    QueryFields(mut fields): QueryFields,
) -> Result<Response, ApiError> {
    let permit = caller.instance_permit(Operation::InstancesLogs)?;
    let follow = choice(&mut fields, "follow", ["false", "true"]);
    let list = fields.list_mark("lines");
    let tail = tail(&mut fields);
    let query = read(&mut fields, tail, &list);
    fields.finish()?;
    if follow {
        let follower = state.orchestrator().follow_logs(&permit, id, query).await?;
        let stream = Sse::new(lines(follower)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
        return Ok(([("x-accel-buffering", "no")], stream).into_response());
    }
    let mut page = state.orchestrator().logs(&permit, id, query).await?;
    if tail.is_some() {
        page.items.reverse();
        page.next = None;
    }
    Ok(Json(Page::marked(page, &list, LogLine::new)).into_response())
}

/// The last so many lines.
fn tail(fields: &mut Fields) -> Option<u32> {
    let tail = fields.parsed::<u32>("tail", "a whole number")?;
    if !(1..=MAX_TAIL).contains(&tail) {
        fields.problem("tail", format!("must be from 1 to {MAX_TAIL}"));
    }
    Some(tail.clamp(1, MAX_TAIL))
}

fn read(fields: &mut Fields, tail: Option<u32>, list: &ListMark) -> LogQuery {
    if let Some(limit) = tail {
        return LogQuery { limit, ..read_filter(fields) };
    }
    LogQuery {
        is_bounded: true,
        oldest_first: choice(fields, "order", ["desc", "asc"]),
        after: list_cursor_field(fields, list),
        limit: limit_field(fields),
        ..read_filter(fields)
    }
}

/// What chooses lines, in a query or in a body.
pub(super) fn read_filter(fields: &mut Fields) -> LogQuery {
    LogQuery {
        min_level: fields.parsed::<LogLevel>("level", "debug, info, warn or error"),
        source: fields.parsed::<LogSource>("source", "process, system or api"),
        since: time_field(fields, "since"),
        until: time_field(fields, "until"),
        text: fields.text("q", MAX_SEARCH_CHARS),
        ..LogQuery::default()
    }
}

fn lines(follower: LogFollower) -> impl Stream<Item = Result<Event, Infallible>> {
    follower.into_stream().map(|row| {
        let line = LogLine::new(row);
        Ok(Event::default().event("log").id(line.id.clone()).json_data(&line).unwrap_or_default())
    })
}
