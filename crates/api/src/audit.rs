//! `/audit`: who changed what, or was refused; and whether the log is what was written.

pub(crate) mod export;

use axum::Json;
use axum::extract::State;
use roadstead_accounts::{AuditFilter, Order};
use roadstead_model::Operation;
use uuid::Uuid;

use crate::error::{ApiError, Code, ErrorBody};
use crate::extract::fields::Fields;
use crate::extract::{Authenticated, QueryFields};
use crate::state::ApiState;
use crate::wire::{AuditEntry, Page, Verification, choice, cursor_field, limit_field, time_field, words};

/// Longest word of a filter.
const MAX_WORD_CHARS: usize = 200;
/// When to ask again for what somebody else does now.
const BUSY_PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

/// List entries of the audit log
///
/// Newest first unless `sort=at`: one's own, those of the organisation for who manages it, or all for a platform admin.
#[utoipa::path(get, operation_id = "audit_list", path = "/audit", tag = "audit",
    params(("actor" = Option<String>, Query, format = Uuid, description = "A user: what they did, or what was done for them"),
        ("action" = Option<String>, Query, max_length = 200, description = "Such as `instance.stop`"),
        ("resource" = Option<String>, Query, max_length = 200, description = "A kind of thing, an id, or both: `instance:0199…`"),
        ("outcome" = inline(Option<words::Outcome>), Query, description = "What came of it"),
        ("request" = Option<String>, Query, max_length = 200, description = "A request's id"),
        ("since" = Option<String>, Query), ("until" = Option<String>, Query),
        ("sort" = inline(Option<words::ByTime>), Query, description = "Newest first, unless `at`"),
        ("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<AuditEntry>), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    QueryFields(mut fields): QueryFields,
) -> Result<Json<Page<AuditEntry>>, ApiError> {
    let permit = caller.may(Operation::AuditList)?;
    let order = if choice(&mut fields, "sort", ["-at", "at"]) { Order::Ascending } else { Order::Descending };
    let filter = AuditFilter {
        after: cursor_field(&mut fields),
        limit: limit_field(&mut fields),
        order,
        ..read(&mut fields)
    };
    fields.finish()?;
    Ok(Json(Page::of(state.accounts().audit(&permit, &filter).await?, AuditEntry::new)))
}

/// Verify the audit log
///
/// Reads every entry of the organisation's chain, or of all for a platform admin, and says what was altered or is gone. One
/// at a time.
#[utoipa::path(get, operation_id = "audit_verify", path = "/audit/verify", tag = "audit",
    params(("organization" = Option<String>, Query, format = Uuid, description = "One organisation's chain; all zeros for the platform's")),
    responses((status = 200, body = Verification), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 422, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub(crate) async fn verify(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    QueryFields(mut fields): QueryFields,
) -> Result<Json<Verification>, ApiError> {
    let permit = caller.may(Operation::AuditVerify)?;
    let organization = fields.parsed::<Uuid>("organization", "an organisation's id");
    fields.finish()?;
    let turn = state.kept().verification();
    let _turn = turn.ok_or_else(|| busy("the audit log is being verified for somebody else; ask again"))?;
    let began = std::time::Instant::now();
    let verified = Box::pin(state.accounts().verify_audit(&permit, organization)).await?;
    Ok(Json(Verification::new(&verified, began.elapsed())))
}

fn busy(message: &str) -> ApiError {
    ApiError { retry_after: Some(BUSY_PATIENCE), ..ApiError::new(Code::RateLimited, message) }
}

/// The filters that lists and exports share.
fn read(fields: &mut Fields) -> AuditFilter {
    let (resource_kind, resource) = match fields.text("resource", MAX_WORD_CHARS) {
        None => (None, None),
        Some(named) => match named.split_once(':') {
            Some((kind, id)) => (Some(kind.to_owned()), Some(id.to_owned())),
            None if named.parse::<Uuid>().is_ok() => (None, Some(named)),
            None => (Some(named), None),
        },
    };
    let outcome = fields.text("outcome", MAX_WORD_CHARS);
    if outcome.as_deref().is_some_and(|word| !["done", "refused", "failed"].contains(&word)) {
        fields.problem("outcome", "must be done, refused or failed");
    }
    AuditFilter {
        actor: fields.parsed::<Uuid>("actor", "a user's id"),
        action: fields.text("action", MAX_WORD_CHARS),
        resource_kind,
        resource,
        outcome,
        request: fields.text("request", MAX_WORD_CHARS),
        since: time_field(fields, "since"),
        until: time_field(fields, "until"),
        ..AuditFilter::default()
    }
}
