//! `GET /audit/export`: the whole log, or what a filter leaves of it, page after page: memory stays flat, and no
//! transaction is open while somebody reads slowly.

use std::collections::VecDeque;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header;
use roadstead_access::Permit;
use roadstead_accounts::{AccountsError, AuditFilter, Order};
use roadstead_model::Operation;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;

use super::{busy, read};
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Authenticated, QueryFields};
use crate::state::ApiState;
use crate::wire::{AuditEntry, choice, words};

/// Entries that are read at once.
const PAGE: u32 = 1_000;

/// Export the audit log
///
/// Oldest first, one entry a line: JSON, or comma-separated values with a line of names. At most four exports go on at once.
#[utoipa::path(get, operation_id = "audit_export", path = "/audit/export", tag = "audit",
    params(("format" = inline(Option<words::ExportFormat>), Query, description = "What a line is: JSON, unless `csv`"),
        ("actor" = Option<String>, Query, format = Uuid, description = "A user: what they did, or what was done for them"),
        ("action" = Option<String>, Query, max_length = 200, description = "Such as `instance.stop`"),
        ("resource" = Option<String>, Query, max_length = 200, description = "A kind of thing, an id, or both: `instance:0199…`"),
        ("outcome" = inline(Option<words::Outcome>), Query, description = "What came of it"),
        ("request" = Option<String>, Query, max_length = 200, description = "A request's id"),
        ("since" = Option<String>, Query), ("until" = Option<String>, Query)),
    responses((status = 200, description = "One entry a line", content((AuditEntry = "application/x-ndjson"), (String = "text/csv"))),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 422, body = ErrorBody),
        (status = 429, body = ErrorBody)))]
pub(crate) async fn export(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    QueryFields(mut fields): QueryFields,
) -> Result<Response, ApiError> {
    let permit = caller.may(Operation::AuditExport)?;
    let is_csv = choice(&mut fields, "format", ["json", "csv"]);
    let filter = AuditFilter { limit: PAGE, order: Order::Ascending, ..read(&mut fields) };
    fields.finish()?;
    let turn = state.kept().export().ok_or_else(|| busy("four exports go on already; ask again"))?;
    let mut export =
        Export { state, permit, filter, is_csv, ready: VecDeque::new(), over: false, _turn: turn };
    if is_csv {
        export.ready.push_back(Bytes::from(COLUMNS.join(",") + "\n"));
    }
    let (kind, name) = if is_csv {
        ("text/csv; charset=utf-8", "attachment; filename=\"audit.csv\"")
    } else {
        ("application/x-ndjson", "attachment; filename=\"audit.jsonl\"")
    };
    let lines = stream::try_unfold(export, |mut export| async move {
        let next = export.next().await.map_err(std::io::Error::other)?;
        Ok::<_, std::io::Error>(next.map(|bytes| (bytes, export)))
    });
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_DISPOSITION, name),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, Body::from_stream(lines)).into_response())
}

struct Export {
    state: ApiState,
    permit: Permit,
    filter: AuditFilter,
    is_csv: bool,
    ready: VecDeque<Bytes>,
    over: bool,
    _turn: OwnedSemaphorePermit,
}

impl Export {
    /// A page of lines.
    async fn next(&mut self) -> Result<Option<Bytes>, AccountsError> {
        if let Some(ready) = self.ready.pop_front() {
            return Ok(Some(ready));
        }
        if self.over {
            return Ok(None);
        }
        let page = self.state.accounts().audit(&self.permit, &self.filter).await?;
        self.over = page.next.is_none();
        self.filter.after = page.next;
        let mut lines = String::new();
        for row in page.items {
            let entry = serde_json::to_value(AuditEntry::new(row)).unwrap_or_default();
            if self.is_csv {
                lines.push_str(&as_csv(&entry));
            } else {
                lines.push_str(&entry.to_string());
            }
            lines.push('\n');
        }
        Ok(Some(Bytes::from(lines)).filter(|lines| !lines.is_empty()))
    }
}

/// The columns, in their order: every field of an entry.
const COLUMNS: &[&str] = &[
    "seq",
    "id",
    "at",
    "organization_id",
    "project_id",
    "actor_kind",
    "actor_user_id",
    "actor_key_id",
    "on_behalf_of",
    "ip_address",
    "user_agent",
    "action",
    "resource_kind",
    "resource_id",
    "changes",
    "request_id",
    "outcome",
    "code",
    "sensitive",
    "times",
];

fn as_csv(entry: &Value) -> String {
    let cells = COLUMNS.iter().map(|column| match &entry[*column] {
        Value::Null => String::new(),
        Value::String(text) => quoted(text),
        other => quoted(&other.to_string()),
    });
    cells.collect::<Vec<_>>().join(",")
}

/// A cell that a spreadsheet takes for text: one that begins like a formula is told apart by a quotation mark.
fn quoted(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let mark = if is_formula { "'" } else { "" };
    if is_formula || text.contains([',', '"', '\n', '\r']) {
        format!("\"{mark}{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cell_is_one_cell_whatever_is_in_it() {
        assert_eq!(quoted("a,b\"c"), "\"a,b\"\"c\"");
        assert_eq!(quoted("=1+1"), "\"'=1+1\"");
        let line = as_csv(&json!({"seq": 1, "changes": {"name": {"new": "a,b"}}, "times": 2}));
        assert!(line.starts_with("1,,") && line.ends_with(",2"), "{line}");
        assert!(line.contains("\"{\"\"name\"\":{\"\"new\"\":\"\"a,b\"\"}}\""), "{line}");
    }
}
