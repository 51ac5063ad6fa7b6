//! `GET /instances/{id}/events`.

use axum::Json;
use axum::extract::State;
use roadstead_model::{InstanceId, Operation};

use crate::error::{ApiError, ErrorBody};
use crate::extract::{Authenticated, PathId, QueryFields};
use crate::state::ApiState;
use crate::wire::{Event, Page, limit_field, list_cursor_field};

/// List an instance's events
///
/// What happened to it, oldest first, with who did it.
#[utoipa::path(get, operation_id = "instances_events", path = "/instances/{id}/events", tag = "instances",
    params(("id" = String, Path), ("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<Event>), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn events(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<InstanceId>,
    QueryFields(mut fields): QueryFields,
) -> Result<Json<Page<Event>>, ApiError> {
    let permit = caller.instance_permit(Operation::InstancesEvents)?;
    let list = fields.list_mark("events");
    let after = list_cursor_field(&mut fields, &list);
    let limit = limit_field(&mut fields);
    fields.finish()?;
    let events = state.orchestrator().events(&permit, id, after, limit).await?;
    Ok(Json(Page::marked(events, &list, Event::new)))
}
