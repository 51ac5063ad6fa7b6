//! `/events`: the feed of everything that the caller may see, page by page or as it comes.

mod follow;
pub(crate) mod system;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, header};
use roadstead_access::Permit;
use roadstead_accounts::FeedFilter;
use roadstead_model::Operation;
use uuid::Uuid;

use crate::error::{ApiError, Code, ErrorBody};
use crate::extract::fields::Fields;
use crate::extract::{Authenticated, QueryFields};
use crate::state::ApiState;
use crate::wire::{FeedEvent, FeedPage, choice, limit_field, words};

/// The header by which a stream goes on where another one ended.
const LAST_EVENT_ID: &str = "last-event-id";

/// List or follow events
///
/// Everything that happened to what the caller may see, oldest first, in the order of its numbers: whoever has read up to
/// one never misses a lower one. With `follow=true`, or `Accept: text/event-stream`, the answer is a stream of server-sent
/// events whose ids are the positions: what is asked for by `after` or `Last-Event-ID`, or what happens from now on.
#[utoipa::path(get, operation_id = "events_list", path = "/events", tag = "events",
    params(("after" = Option<i64>, Query, minimum = 0, description = "Only what comes after this position; 0 for all that is kept"),
        ("kind" = inline(Option<words::FeedKind>), Query, description = "What it is about"),
        ("subject" = Option<String>, Query, format = Uuid, description = "The id of an instance or a credential"),
        ("limit" = Option<u32>, Query),
        ("follow" = Option<bool>, Query, description = "All that comes, as it comes"),
        ("Last-Event-ID" = Option<i64>, Header, minimum = 0, description = "The same as `after`, and before it")),
    responses((status = 200, body = FeedPage), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 410, description = "What comes after this position is not kept any more", body = ErrorBody),
        (status = 422, body = ErrorBody), (status = 429, description = "Too many streams of this key", body = ErrorBody)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    parts: Parts,
    QueryFields(mut fields): QueryFields,
) -> Result<Response, ApiError> {
    let permit = caller.may(Operation::EventsList)?;
    let follow = choice(&mut fields, "follow", ["false", "true"]) || wants_stream(&parts.headers);
    let (after, filter) = read(&mut fields, &parts.headers);
    fields.finish()?;
    let ends = state.accounts().feed_ends().await?;
    if let (Some(after), Some((first, _))) = (after, ends)
        && after > 0
        && after < first - 1
    {
        let message = format!(
            "events after {after} are not kept any more; the oldest is {first}: begin again with after=0"
        );
        return Err(ApiError::new(Code::EventsGone, message));
    }
    if follow {
        let newest = ends.map_or(0, |(_, last)| last);
        let filter = FeedFilter { after: after.unwrap_or(newest), ..filter };
        return follow::answer(state, caller.key(), permit, filter, parts);
    }
    let filter = FeedFilter { after: after.unwrap_or(0), ..filter };
    Ok(Json(page(&state, &permit, &filter).await?).into_response())
}

async fn page(state: &ApiState, permit: &Permit, filter: &FeedFilter) -> Result<FeedPage, ApiError> {
    let rows = state.accounts().feed(permit, filter).await?;
    let position = rows.last().map_or(filter.after, |row| row.position);
    Ok(FeedPage { data: rows.into_iter().map(FeedEvent::new).collect(), position })
}

fn wants_stream(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/event-stream"))
}

fn read(fields: &mut Fields, headers: &HeaderMap) -> (Option<i64>, FeedFilter) {
    const WHAT: &str = "the position of an event";
    let asked = fields.parsed::<i64>("after", WHAT);
    let last = headers.get(LAST_EVENT_ID).map(|value| value.to_str().ok().and_then(|text| text.parse().ok()));
    let after = match last {
        Some(None) => {
            fields.problem("Last-Event-ID", format!("must be {WHAT}"));
            None
        }
        Some(last) => last,
        None => asked,
    };
    for (name, position) in [("after", asked), ("Last-Event-ID", last.flatten())] {
        if position.is_some_and(|position: i64| position < 0) {
            fields.problem(name, "must not be negative");
        }
    }
    let kind = fields.text("kind", 20);
    if kind.as_deref().is_some_and(|kind| !["instance", "credential", "system"].contains(&kind)) {
        fields.problem("kind", "must be instance, credential or system");
    }
    let subject = fields.parsed::<Uuid>("subject", "an id");
    (after, FeedFilter { after: 0, kind, subject, limit: limit_field(fields) })
}
