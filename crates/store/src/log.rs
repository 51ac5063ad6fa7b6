//! Log lines. A line that a shim tells again is stored once; lines of unknown instances are left out.

mod search;

use roadstead_model::{InstanceId, LogId, LogLevel, LogSource, OrganizationId, UserId, View};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::{Db, System};
use crate::error::During;
use crate::page::{FIRST, LAST, one_more};
use crate::{Order, Origin, Page, StoreError, TimelineCursor};

pub use search::{LogSearch, Searched};

const TABLE: &str = "mcp_logs";

/// A line to store.
#[derive(Debug, Clone)]
pub struct NewLog {
    /// What it is about.
    pub instance: InstanceId,
    /// When it was said, by its writer's clock.
    pub at: OffsetDateTime,
    /// The number that a shim gave it; none for a line of our own.
    pub shim_seq: Option<i64>,
    /// How bad it is.
    pub level: LogLevel,
    /// Who said it.
    pub source: LogSource,
    /// What was said.
    pub message: String,
    /// More, as JSON.
    pub metadata: Option<Value>,
}

/// A stored line.
#[derive(Debug, Clone, PartialEq)]
pub struct LogRow {
    /// The line's id.
    pub id: LogId,
    /// What it is about.
    pub instance: InstanceId,
    /// When it was said.
    pub at: OffsetDateTime,
    /// Its number.
    pub seq: i64,
    /// Who numbered it.
    pub origin: Origin,
    /// Its place in the order of arrival, for `follow`.
    pub position: i64,
    /// How bad it is.
    pub level: LogLevel,
    /// Who said it.
    pub source: LogSource,
    /// What was said.
    pub message: String,
    /// More.
    pub metadata: Option<Value>,
}

impl LogRow {
    /// Its place in the history.
    pub fn cursor(&self) -> TimelineCursor {
        TimelineCursor { at: self.at, seq: self.seq, origin: self.origin }
    }
}

/// Which lines of an instance are wanted.
#[derive(Debug, Clone)]
pub struct LogFilter {
    /// Whose eyes see them; none for the service's own.
    pub view: Option<View>,
    /// The instance.
    pub instance: InstanceId,
    /// Said at or after this moment.
    pub since: Option<OffsetDateTime>,
    /// Said before this moment.
    pub until: Option<OffsetDateTime>,
    /// At least this bad.
    pub min_level: Option<LogLevel>,
    /// Said by this one.
    pub source: Option<LogSource>,
    /// Containing this text, whatever its case.
    pub contains: Option<String>,
    /// The place after which the page starts.
    pub after: Option<TimelineCursor>,
    /// Lines at most.
    pub limit: u32,
    /// Which end comes first.
    pub order: Order,
}

struct Record {
    id: Uuid,
    mcp_instance_id: Uuid,
    at: OffsetDateTime,
    seq: i64,
    origin: String,
    position: i64,
    level: String,
    source: String,
    message: String,
    metadata: Option<Value>,
}

impl TryFrom<Record> for LogRow {
    type Error = StoreError;

    fn try_from(record: Record) -> Result<Self, StoreError> {
        let id = record.id;
        let wrong = |why: String| StoreError::inconsistent(TABLE, id, why);
        let unknown = |error: roadstead_model::era::UnknownWord| wrong(error.to_string());
        Ok(Self {
            id: LogId::from_uuid(id),
            instance: InstanceId::from_uuid(record.mcp_instance_id),
            at: record.at,
            seq: record.seq,
            origin: Origin::parse(&record.origin).map_err(wrong)?,
            position: record.position,
            level: record.level.parse().map_err(unknown)?,
            source: record.source.parse().map_err(unknown)?,
            message: record.message,
            metadata: record.metadata,
        })
    }
}

/// The lines' rows.
#[derive(Debug, Clone, Copy)]
pub struct Logs<D> {
    pub(crate) db: D,
}

/// The columns of many lines, for one statement.
#[derive(Default)]
struct Columns {
    instances: Vec<Uuid>,
    times: Vec<OffsetDateTime>,
    seqs: Vec<Option<i64>>,
    levels: Vec<String>,
    sources: Vec<String>,
    messages: Vec<String>,
    metadata: Vec<Option<Value>>,
}

impl From<&[NewLog]> for Columns {
    fn from(lines: &[NewLog]) -> Self {
        let mut columns = Self::default();
        for line in lines {
            columns.instances.push(line.instance.uuid());
            columns.times.push(line.at);
            columns.seqs.push(line.shim_seq);
            columns.levels.push(line.level.as_str().to_owned());
            columns.sources.push(line.source.as_str().to_owned());
            // PostgreSQL's text holds any character but this one.
            columns.messages.push(line.message.replace('\0', "\u{fffd}"));
            columns.metadata.push(line.metadata.clone());
        }
        columns
    }
}

impl Logs<System<'_>> {
    /// Stores lines; says how many were new. Lines that are stored already, or of unknown instances, are not.
    #[tracing::instrument(name = "db.log.append", skip_all, fields(lines = lines.len()), err(level = "debug"))]
    pub async fn append(&self, lines: &[NewLog]) -> Result<u64, StoreError> {
        if lines.is_empty() {
            return Ok(0);
        }
        let columns = Columns::from(lines);
        let done = sqlx::query!(
            "insert into mcp_logs (id, mcp_instance_id, owner_id, organization_id, at, seq, origin, level, source, message,
                                   metadata)
             select uuid_v7(l.at), l.instance, i.user_id, i.organization_id, l.at, coalesce(l.seq, nextval('mcp_node_seq')),
                    case when l.seq is null then 'node' else 'shim' end, l.level, l.source, l.message, l.metadata
             from unnest($1::uuid[], $2::timestamptz[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::jsonb[])
                  with ordinality as l (instance, at, seq, level, source, message, metadata, place)
             join mcp_instances i on i.id = l.instance
             order by l.place
             on conflict do nothing",
            &columns.instances,
            &columns.times,
            &columns.seqs as &[Option<i64>],
            &columns.levels,
            &columns.sources,
            &columns.messages,
            &columns.metadata as &[Option<Value>],
        )
        .execute(self.db.pool)
        .await
        .during("db.log.append")?;
        Ok(done.rows_affected())
    }
}

impl<D: Db> Logs<D> {
    /// The lines of an instance that a filter lets through.
    #[tracing::instrument(name = "db.log.list", skip_all, fields(instance.id = %filter.instance), err(level = "debug"))]
    pub async fn list(&mut self, filter: &LogFilter) -> Result<Page<LogRow, TimelineCursor>, StoreError> {
        const NAME: &str = "db.log.list";
        let levels: Option<Vec<String>> = filter.min_level.map(at_least);
        let after = filter.after.unwrap_or_else(|| TimelineCursor::end(filter.order));
        let mut connection = self.db.connection().await.during(NAME)?;
        macro_rules! select {
            ($tail:literal) => {
                sqlx::query_as!(
                    Record,
                    "select id, mcp_instance_id, at, seq, origin, position, level, source, message, metadata
                     from mcp_logs
                     where mcp_instance_id = $1
                       and at >= $2 and at < $3
                       and ($4::text[] is null or level = any ($4))
                       and ($5::text is null or source = $5)
                       and ($6::text is null or strpos(lower(message), (select lower($6))) > 0)
                       and ($11::uuid is null or owner_id = $11)
                       and ($12::uuid is null or organization_id = $12) "
                        + $tail,
                    filter.instance.uuid(),
                    filter.since.unwrap_or(FIRST),
                    filter.until.unwrap_or(LAST),
                    levels.as_deref(),
                    filter.source.map(LogSource::as_str),
                    filter.contains,
                    after.at,
                    after.seq,
                    after.origin.as_str(),
                    one_more(filter.limit),
                    filter.view.and_then(|view| view.owner()).map(UserId::uuid),
                    filter.view.and_then(|view| view.within()).map(OrganizationId::uuid),
                )
                .fetch_all(&mut *connection)
                .await
            };
        }
        let records = match filter.order {
            Order::Ascending => {
                select!("and (at, seq, origin) > ($7, $8, $9) order by at, seq, origin limit $10")
            }
            Order::Descending => {
                select!(
                    "and (at, seq, origin) < ($7, $8, $9) order by at desc, seq desc, origin desc limit $10"
                )
            }
        }
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        let rows = records.into_iter().map(LogRow::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::cut(rows, filter.limit, LogRow::cursor))
    }

    /// The lines that arrived after a position, in the order of arrival: what a reader that follows has not seen,
    /// although a shim may tell late what it wrote down early. Position 0 is before all.
    #[tracing::instrument(name = "db.log.follow", skip_all, fields(instance.id = %instance), err(level = "debug"))]
    pub async fn follow(
        &mut self,
        instance: InstanceId,
        view: Option<View>,
        position: i64,
        limit: u32,
    ) -> Result<Vec<LogRow>, StoreError> {
        const NAME: &str = "db.log.follow";
        let mut connection = self.db.connection().await.during(NAME)?;
        let records = sqlx::query_as!(
            Record,
            "select id, mcp_instance_id, at, seq, origin, position, level, source, message, metadata
             from mcp_logs where mcp_instance_id = $1 and position > $2
               and ($4::uuid is null or owner_id = $4) and ($5::uuid is null or organization_id = $5)
             order by position limit $3",
            instance.uuid(),
            position,
            i64::from(limit),
            view.and_then(|view| view.owner()).map(UserId::uuid),
            view.and_then(|view| view.within()).map(OrganizationId::uuid),
        )
        .fetch_all(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        records.into_iter().map(LogRow::try_from).collect()
    }
}

fn at_least(level: LogLevel) -> Vec<String> {
    [LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error]
        .into_iter()
        .filter(|one| *one >= level)
        .map(|one| one.as_str().to_owned())
        .collect()
}
