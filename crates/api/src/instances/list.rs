//! `GET /instances`.

use axum::Json;
use axum::extract::State;
use roadstead_model::{InstanceStatus, Operation, ProjectId, UserId};
use roadstead_orchestrator::{InstanceQuery, InstanceSort};

use crate::error::{ApiError, ErrorBody};
use crate::extract::fields::Fields;
use crate::extract::{Authenticated, QueryFields};
use crate::state::ApiState;
use crate::wire::{Instance, Page, limit_field, list_cursor_field, time_field, words};

/// List instances
///
/// Those in the caller's view: their own, the organisation's, or all. Newest first unless `sort` says otherwise. A page
/// starts after the last instance of the page before, so that instances which come or go meanwhile move nothing; a total
/// is not counted. With `name` and sorted by creation, a page looks at no more than 4,000 instances: it can hold fewer than there
/// are, or none, and `next_cursor` goes on until it is null.
#[utoipa::path(get, operation_id = "instances_list", path = "/instances", tag = "instances",
    params(("status" = Option<String>, Query,
            pattern = "^(pending|running|expired|disconnected|stopped|error)(,(pending|running|expired|disconnected|stopped|error)){0,5}$",
            description = "One or several, with commas: pending, running, expired, disconnected, stopped, error"),
        ("type" = Option<String>, Query, description = "A server type's name"),
        ("project" = Option<String>, Query, description = "A project's id"),
        ("owner" = Option<String>, Query, description = "A user's id, for those who see others' instances"),
        ("name" = Option<String>, Query, description = "Text that the name contains, whatever its case"),
        ("created_since" = Option<String>, Query), ("created_until" = Option<String>, Query),
        ("expires_before" = Option<String>, Query, description = "Their deadline is before"),
        ("sort" = inline(Option<words::OfInstances>), Query, description = "Newest first, unless it says otherwise"),
        ("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<Instance>), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    QueryFields(mut fields): QueryFields,
) -> Result<Json<Page<Instance>>, ApiError> {
    let permit = caller.instance_permit(Operation::InstancesList)?;
    let list = fields.list_mark("instances");
    let (sort, ascending) = sort(&mut fields);
    let after = list_cursor_field(&mut fields, &list);
    let limit = limit_field(&mut fields);
    let query = InstanceQuery { sort, ascending, after, limit, ..read_filter(&mut fields) };
    fields.finish()?;
    let instances = state.orchestrator().list(&permit, query).await?;
    Ok(Json(Page::marked(instances, &list, |row| Instance::new(row, state.view()))))
}

/// What chooses instances, in a query or in a body.
pub(super) fn read_filter(fields: &mut Fields) -> InstanceQuery {
    InstanceQuery {
        statuses: fields.several::<InstanceStatus>("status", "status of an instance"),
        type_name: fields.text("type", 50),
        project: fields.parsed::<ProjectId>("project", "a project's id"),
        owner: fields.parsed::<UserId>("owner", "a user's id"),
        name_contains: fields.name("name"),
        created_since: time_field(fields, "created_since"),
        created_until: time_field(fields, "created_until"),
        expires_before: time_field(fields, "expires_before"),
        ..InstanceQuery::default()
    }
}

fn sort(fields: &mut Fields) -> (InstanceSort, bool) {
    let word = fields.text("sort", 20);
    let word = word.as_deref().unwrap_or("-created_at");
    let (word, ascending) = word.strip_prefix('-').map_or((word, true), |word| (word, false));
    let sort = match word {
        "created_at" => InstanceSort::Created,
        "expires_at" => InstanceSort::Expires,
        "status" => InstanceSort::Status,
        _ => {
            fields.problem(
                "sort",
                "must be created_at, expires_at or status, with a - before it for the other end first",
            );
            InstanceSort::Created
        }
    };
    (sort, ascending)
}
