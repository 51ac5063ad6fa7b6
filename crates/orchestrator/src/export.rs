//! Log lines as a file: a link that holds for a while, and pages of lines while it is read. Nothing is kept on a disk, and
//! no transaction stays open between two pages.

use roadstead_access::InstancePermit;
use roadstead_accounts::PlainToken;
use roadstead_crypto::{TokenHash, TokenKind};
use roadstead_model::{Changes, ExportId, InstanceId, LogLevel, LogSource};
use roadstead_store::{ExportRow, LogFilter, LogRow, NewExport, Order, StoreError};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use crate::error::ChangeError;
use crate::parts::Orchestrator;
use crate::query::LogQuery;

/// Lines that are read at once.
const PAGE: u32 = 1000;
/// What kind of export this is, in its row.
const KIND: &str = "logs";

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// One JSON object a line.
    Json,
    /// Comma-separated values with a header.
    Csv,
    /// As `roadstead logs` shows them.
    Text,
}

/// A link to an export.
#[derive(Debug)]
pub struct ExportLink {
    /// Opens it; shown here alone.
    pub token: PlainToken,
    /// When it ends.
    pub expires_at: OffsetDateTime,
}

/// An export that is being read.
#[derive(Debug)]
pub struct LogExport {
    orchestrator: Orchestrator,
    row: ExportRow,
    format: ExportFormat,
    filter: Option<LogFilter>,
}

impl ExportFormat {
    const ALL: [Self; 3] = [Self::Json, Self::Csv, Self::Text];

    /// The word used in rows and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Text => "text",
        }
    }
}

impl std::str::FromStr for ExportFormat {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|format| format.as_str() == word).ok_or(())
    }
}

impl Orchestrator {
    /// Makes the lines of an instance ready that a query lets through, up to now.
    pub async fn export_logs(
        &self,
        permit: &InstancePermit,
        id: InstanceId,
        query: LogQuery,
        format: ExportFormat,
    ) -> Result<ExportLink, ChangeError> {
        self.get(permit, id).await?;
        let (token, export) = {
            let random = &mut *self.0.parts.randomness.lock();
            (PlainToken::generate(TokenKind::Export, random), ExportId::new(&*self.0.parts.clock, random))
        };
        let at = self.0.now();
        let expires_at = at + self.0.settings().export_link_lifetime;
        let new = NewExport {
            id: export,
            view: permit.view(),
            kind: KIND,
            format: format.as_str(),
            filter: written(id, &query, at),
            token_hash: *token.hash().as_bytes(),
            at,
            expires_at,
        };
        let mut change = self.0.store().change(permit.view()).await?;
        change.exports().create(&new).await?;
        let told = Changes::default().with("format", None, &json!(format.as_str()));
        change.commit(&permit.entry(&id, told, at)).await?;
        Ok(ExportLink { token, expires_at })
    }

    /// Opens an export by its link; what it holds is read as its maker sees it now.
    pub async fn open_export(&self, token: &str) -> Result<LogExport, ChangeError> {
        let token = PlainToken::parse(TokenKind::Export, token).map_err(|_| ChangeError::LinkGone)?;
        let hash: TokenHash = token.hash();
        let found = self.0.store().exports().of_token(hash.as_bytes(), self.0.now()).await?;
        let row = found.filter(|row| row.kind == KIND).ok_or(ChangeError::LinkGone)?;
        let format = row.format.parse().map_err(|()| ChangeError::LinkGone)?;
        let filter = Some(read(&row).ok_or(ChangeError::LinkGone)?);
        Ok(LogExport { orchestrator: self.clone(), row, format, filter })
    }
}

impl LogExport {
    /// How its lines are written.
    pub const fn format(&self) -> ExportFormat {
        self.format
    }

    /// Which one it is.
    pub const fn id(&self) -> ExportId {
        self.row.id
    }

    /// The next lines, oldest first; none after the last.
    pub async fn next(&mut self) -> Result<Option<Vec<LogRow>>, StoreError> {
        let Some(filter) = self.filter.take() else { return Ok(None) };
        let store = self.orchestrator.0.store();
        let page = store.seen_by(self.row.view).logs().list(&filter).await?;
        self.filter = page.next.map(|next| LogFilter { after: Some(next), ..filter });
        Ok(Some(page.items))
    }

    /// Writes down that it was told to its end.
    pub async fn told(&self, rows: u64, bytes: u64) -> Result<(), StoreError> {
        let inner = &self.orchestrator.0;
        inner.store().exports().told(self.row.id, rows, bytes, inner.now()).await
    }
}

fn written(id: InstanceId, query: &LogQuery, now: OffsetDateTime) -> Map<String, Value> {
    let micros = |time: OffsetDateTime| i64::try_from(time.unix_timestamp_nanos() / 1000).unwrap_or(i64::MAX);
    let filter = json!({
        "instance": id.to_string(),
        "level": query.min_level.map(LogLevel::as_str),
        "source": query.source.map(LogSource::as_str),
        "since": query.since.map(micros),
        // What is said while it is read is not in it: an export has an end.
        "until": micros(query.until.map_or(now, |until| until.min(now))),
        "text": query.text,
    });
    filter.as_object().cloned().unwrap_or_default()
}

fn read(row: &ExportRow) -> Option<LogFilter> {
    let word = |name: &str| row.filter.get(name).and_then(Value::as_str);
    let time = |name: &str| {
        let micros = row.filter.get(name).and_then(Value::as_i64)?;
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000).ok()
    };
    Some(LogFilter {
        view: Some(row.view),
        instance: word("instance")?.parse().ok()?,
        since: time("since"),
        until: time("until"),
        min_level: word("level").and_then(|word| word.parse().ok()),
        source: word("source").and_then(|word| word.parse().ok()),
        contains: word("text").map(str::to_owned),
        after: None,
        limit: PAGE,
        order: Order::Ascending,
    })
}
