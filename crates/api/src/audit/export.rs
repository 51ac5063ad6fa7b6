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
use tokio::sync::OwnedSemaphorePermit;

use super::{busy, read};
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Authenticated, QueryFields};
use crate::state::ApiState;
use crate::wire::{AuditEntry, choice, words};

/// Entries that are read at once.
const PAGE: u32 = 1_000;
/// What a line takes mostly; a page that takes more is made room for.
const USUAL_BYTES: usize = 1_024;

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
        let mut lines = Vec::with_capacity(page.items.len() * USUAL_BYTES);
        for row in page.items {
            let entry = AuditEntry::new(row);
            if self.is_csv {
                write_csv(&entry, &mut lines);
            } else if let Err(error) = serde_json::to_writer(&mut lines, &entry) {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "an entry cannot be written as JSON"
                );
            }
            lines.push(b'\n');
        }
        Ok(Some(Bytes::from(lines)).filter(|lines| !lines.is_empty()))
    }
}

/// The columns, in their order: every field of an entry.
const COLUMNS: [&str; 20] = [
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

fn write_csv(entry: &AuditEntry, line: &mut Vec<u8>) {
    let optional = |text: &'_ Option<String>| text.as_deref().map_or_else(String::new, quoted);
    let cells: [String; COLUMNS.len()] = [
        entry.seq.to_string(),
        quoted(&entry.id),
        quoted(&entry.at),
        quoted(&entry.organization_id),
        optional(&entry.project_id),
        quoted(&entry.actor_kind),
        optional(&entry.actor_user_id),
        optional(&entry.actor_key_id),
        optional(&entry.on_behalf_of),
        optional(&entry.ip_address),
        optional(&entry.user_agent),
        quoted(&entry.action),
        quoted(&entry.resource_kind),
        optional(&entry.resource_id),
        quoted(&entry.changes.to_string()),
        optional(&entry.request_id),
        quoted(&entry.outcome),
        optional(&entry.code),
        entry.sensitive.to_string(),
        entry.times.to_string(),
    ];
    line.extend_from_slice(cells.join(",").as_bytes());
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
        let mut line = Vec::new();
        write_csv(&entry(), &mut line);
        let line = String::from_utf8(line).unwrap();
        assert!(line.starts_with("1,b,c,d,,f,,,,,,l,m,,") && line.ends_with(",,q,,true,2"), "{line}");
        assert!(line.contains("\"{\"\"name\"\":{\"\"new\"\":\"\"a,b\"\"}}\""), "{line}");
    }

    #[test]
    fn every_field_is_a_column_in_its_place() {
        let text = serde_json::to_string(&entry()).unwrap();
        let mut at = 0;
        for column in COLUMNS {
            at += text[at..].find(&format!("\"{column}\":")).unwrap_or_else(|| panic!("{column} in {text}"));
        }
        assert_eq!(serde_json::to_value(entry()).unwrap().as_object().unwrap().len(), COLUMNS.len());
    }

    fn entry() -> AuditEntry {
        serde_json::from_value(json!({
            "seq": 1, "id": "b", "at": "c", "organization_id": "d", "actor_kind": "f", "action": "l", "resource_kind": "m",
            "changes": {"name": {"new": "a,b"}}, "outcome": "q", "sensitive": true, "times": 2
        }))
        .unwrap()
    }
}
