//! `GET /usage/export`: what calls cost, as a file.

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use roadstead_access::InstancePermit;
use roadstead_model::Operation;
use roadstead_orchestrator::UsageQuery;

use crate::error::{ApiError, ErrorBody};
use crate::exports::format_field;
use crate::extract::{Authenticated, QueryFields};
use crate::state::ApiState;
use crate::usage::read_filter;
use crate::wire::{UsageEntry, words};
use crate::written::{Line, Turn, Writer, answer};

/// Calls that are read at once.
const PAGE: u32 = 1000;

/// Export what calls cost
///
/// The calls that `GET /usage` lists, oldest first, as CSV or JSON lines. Four exports are told at a time.
#[utoipa::path(get, operation_id = "usage_export", path = "/usage/export", tag = "usage",
    params(("format" = inline(Option<words::TableFormat>), Query, description = "CSV, unless `json`: one object a line"),
        ("instance" = Option<String>, Query, description = "An instance's id"),
        ("type" = Option<String>, Query, description = "A server type's name"),
        ("tool" = Option<String>, Query, description = "A tool's or prompt's name, or where a resource lives"),
        ("status" = inline(Option<words::UsageStatus>), Query, description = "Only those that ended so"),
        ("since" = Option<String>, Query), ("until" = Option<String>, Query)),
    responses((status = 200, description = "The calls", content((String = "text/csv"), (String = "application/jsonl"))),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 422, body = ErrorBody),
        (status = 429, description = "Others are being downloaded", body = ErrorBody)))]
pub(crate) async fn export(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    QueryFields(mut fields): QueryFields,
) -> Result<Response, ApiError> {
    let permit = caller.instance_permit(Operation::UsageExport)?;
    let format = format_field(&mut fields);
    let query = read_filter(&mut fields);
    fields.finish()?;
    let until = query.until.unwrap_or_else(|| state.clock().now());
    let query = UsageQuery { oldest_first: true, limit: PAGE, until: Some(until), ..query };
    let telling =
        Telling { state, permit, query: Some(query), writer: Writer::new(format), turn: Turn::take()? };
    let pages = stream::try_unfold(telling, |mut telling| async move {
        Ok::<_, std::io::Error>(telling.next().await?.map(|page| (page, telling)))
    });
    Ok(answer(format, "usage", pages))
}

struct Telling {
    state: ApiState,
    permit: InstancePermit,
    query: Option<UsageQuery>,
    writer: Writer,
    #[expect(dead_code, reason = "held as long as it is told")]
    turn: Turn,
}

impl Telling {
    async fn next(&mut self) -> Result<Option<Bytes>, std::io::Error> {
        let Some(query) = self.query.take() else { return Ok(None) };
        let page = self.state.orchestrator().usage(&self.permit, query.clone()).await;
        let page = page.map_err(std::io::Error::other)?;
        self.query = page.next.map(|next| UsageQuery { after: Some(next), ..query });
        let entries: Vec<UsageEntry> = page.items.into_iter().map(UsageEntry::new).collect();
        self.writer.page(&entries).map(Some)
    }
}

impl Line for UsageEntry {
    const COLUMNS: &'static [&'static str] = &[
        "at",
        "instance_id",
        "type",
        "user_id",
        "organization_id",
        "project_id",
        "method",
        "name",
        "era",
        "status",
        "calls",
        "latency_us",
        "request_bytes",
        "answer_bytes",
        "request_id",
        "parent_request_id",
        "id",
    ];

    fn columns(&self) -> Vec<String> {
        let optional = |text: &Option<String>| text.clone().unwrap_or_default();
        vec![
            self.at.clone(),
            self.instance_id.clone(),
            self.type_name.clone(),
            self.user_id.clone(),
            self.organization_id.clone(),
            self.project_id.clone(),
            self.method.clone(),
            optional(&self.name),
            self.era.clone(),
            self.status.clone(),
            self.calls.to_string(),
            self.latency_us.to_string(),
            self.request_bytes.to_string(),
            self.answer_bytes.to_string(),
            optional(&self.request_id),
            optional(&self.parent_request_id),
            self.id.clone(),
        ]
    }
}
