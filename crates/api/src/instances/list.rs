//! `GET /instances`.

use axum::Json;
use axum::extract::State;
use roadstead_model::{InstanceStatus, Operation};
use roadstead_orchestrator::InstanceQuery;

use crate::error::{ApiError, ErrorBody};
use crate::extract::{Authenticated, QueryFields};
use crate::state::ApiState;
use crate::wire::{Instance, Page, choice, cursor_field, limit_field, words};

/// List instances
///
/// The caller's own; all of them for a platform admin. Newest first unless `sort=created_at`.
#[utoipa::path(get, operation_id = "instances_list", path = "/instances", tag = "instances",
    params(("status" = inline(Option<words::InstanceStatus>), Query, description = "Only those in this status"),
        ("type" = Option<String>, Query, description = "A server type's name"),
        ("sort" = inline(Option<words::ByCreation>), Query, description = "Newest first, unless `created_at`"),
        ("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<Instance>), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    QueryFields(mut fields): QueryFields,
) -> Result<Json<Page<Instance>>, ApiError> {
    let permit = caller.instance_permit(Operation::InstancesList)?;
    let status = fields.parsed::<InstanceStatus>("status", "a status of an instance");
    let type_name = fields.text("type", 50);
    let oldest_first = choice(&mut fields, "sort", ["-created_at", "created_at"]);
    let after = cursor_field(&mut fields);
    let limit = limit_field(&mut fields);
    fields.finish()?;
    let query = InstanceQuery { status, type_name, oldest_first, after, limit };
    let instances = state.orchestrator().list(&permit, query).await?;
    Ok(Json(Page::of(instances, |row| Instance::new(row, state.view()))))
}
