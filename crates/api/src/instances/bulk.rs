//! `POST /instances/bulk`.

use axum::Json;
use axum::extract::State;
use roadstead_model::{InstanceId, Operation};
use roadstead_orchestrator::{BulkAction, BulkChoice, MAX_BULK};

use super::list::read_filter;
use crate::error::{ApiError, ErrorBody};
use crate::extract::fields::Fields;
use crate::extract::{Authenticated, JsonBody};
use crate::state::ApiState;
use crate::wire::{BulkBody, BulkResult};

/// End many instances
///
/// `stop`, `expire` or `delete`, for ids or for what a filter lets through, at most 1,000. A dry run unless `dry_run` is
/// false: it says for each what would be done. Eight end at a time; the answer comes when all have.
#[utoipa::path(post, operation_id = "instances_bulk", path = "/instances/bulk", tag = "instances",
    request_body = BulkBody,
    responses((status = 200, body = BulkResult), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 413, body = ErrorBody), (status = 415, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(crate) async fn bulk(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    JsonBody { mut fields, .. }: JsonBody,
) -> Result<Json<BulkResult>, ApiError> {
    let permit = caller.instance_permit(Operation::InstancesBulk)?;
    let action = action(&mut fields);
    let dry_run = fields.flag("dry_run").unwrap_or(true);
    let choice = choice(&mut fields)?;
    fields.finish()?;
    let answer = state.orchestrator().bulk(permit, action, choice, dry_run).await?;
    Ok(Json(BulkResult::new(action, dry_run, answer)))
}

fn action(fields: &mut Fields) -> BulkAction {
    match fields.required_text("action", 20).as_str() {
        "expire" => BulkAction::Expire,
        "delete" => BulkAction::Delete,
        // Nothing was noted already.
        "stop" | "" => BulkAction::Stop,
        _ => {
            fields.problem("action", "must be stop, expire or delete");
            BulkAction::Stop
        }
    }
}

fn choice(fields: &mut Fields) -> Result<BulkChoice, ApiError> {
    let ids = fields.words::<InstanceId>("ids", "instance's id");
    let filter = fields.object("filter");
    match (ids, filter) {
        (Some(mut ids), None) => {
            let mut seen = std::collections::BTreeSet::new();
            ids.retain(|id| seen.insert(*id));
            if ids.is_empty() || ids.len() > MAX_BULK {
                fields.problem("ids", format!("must be from 1 to {MAX_BULK} ids"));
            }
            Ok(BulkChoice::Ids(ids))
        }
        (None, Some(filter)) => {
            let mut inner = Fields::new(filter);
            let query = read_filter(&mut inner);
            inner.finish()?;
            Ok(BulkChoice::Filter(Box::new(query)))
        }
        _ => {
            fields.problem("ids", "give either ids or filter");
            Ok(BulkChoice::Ids(Vec::new()))
        }
    }
}
