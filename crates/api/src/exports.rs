//! `GET /exports/{token}`: what was asked for as a file, told while it is read.

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use roadstead_orchestrator::{ExportFormat, LogExport};

use crate::error::{ApiError, ErrorBody};
use crate::extract::PathName;
use crate::state::ApiState;
use crate::wire::LogLine;
use crate::written::{Line, Turn, Writer, answer};

/// Download an export
///
/// The link that an export was answered with; it needs no key. Four are told at a time.
#[utoipa::path(get, operation_id = "exports_download", path = "/exports/{token}", tag = "instances", security(()),
    params(("token" = String, Path)),
    responses((status = 200, description = "The lines", content((String = "text/plain"), (String = "text/csv"), (String = "application/jsonl"))),
        (status = 404, description = "The link is unknown or has ended", body = ErrorBody),
        (status = 429, description = "Others are being downloaded", body = ErrorBody)))]
pub(crate) async fn download(
    State(state): State<ApiState>,
    PathName(token): PathName,
) -> Result<Response, ApiError> {
    let export = state.orchestrator().open_export(&token).await?;
    let turn = Turn::take()?;
    let (format, name) = (export.format(), format!("logs-{}", export.id()));
    let telling = Telling { export, writer: Writer::new(format), turn };
    let pages = stream::try_unfold(telling, |mut telling| async move {
        Ok::<_, std::io::Error>(telling.next().await?.map(|page| (page, telling)))
    });
    Ok(answer(format, &name, pages))
}

struct Telling {
    export: LogExport,
    writer: Writer,
    #[expect(dead_code, reason = "held as long as it is told")]
    turn: Turn,
}

impl Telling {
    async fn next(&mut self) -> Result<Option<Bytes>, std::io::Error> {
        if let Some(rows) = self.export.next().await.map_err(std::io::Error::other)? {
            let lines: Vec<LogLine> = rows.into_iter().map(LogLine::new).collect();
            return self.writer.page(&lines).map(Some);
        }
        // Only counted: the lines were told, whatever becomes of the count.
        if let Err(error) = self.export.told(self.writer.rows, self.writer.bytes).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "a download was not counted");
        }
        Ok(None)
    }
}

impl Line for LogLine {
    const COLUMNS: &'static [&'static str] = &["timestamp", "level", "source", "message", "id"];

    fn columns(&self) -> Vec<String> {
        [&self.timestamp, &self.level, &self.source, &self.message, &self.id].map(Clone::clone).to_vec()
    }

    fn text(&self) -> String {
        format!("{} {:5} {} {}", self.timestamp, self.level, self.source, self.message)
    }
}

/// The format of a query, or CSV.
pub(crate) fn format_field(fields: &mut crate::extract::fields::Fields) -> ExportFormat {
    let word = fields.text("format", 20);
    let format = word.as_deref().map_or(Some(ExportFormat::Csv), |word| word.parse().ok());
    format.filter(|format| *format != ExportFormat::Text).unwrap_or_else(|| {
        fields.problem("format", "must be json or csv");
        ExportFormat::Csv
    })
}
