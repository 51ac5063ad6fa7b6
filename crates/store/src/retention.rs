//! What is kept for how long: the policies, what they would remove, and what they have.
//!
//! Tables that are kept by the month lose whole months: nothing is deleted row by row, and the room is the disk's again at once. A
//! month goes when its last moment is old enough, so a row lives for the policy's days and up to a month more.

mod remove;

use roadstead_model::{RunId, UserId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::{Db, System};
use crate::error::During;
use crate::maintain::quoted;
use crate::page::one_more;
use crate::{Cursor, Page, PageRequest, StoreError};

pub use remove::{Dropped, Sink};

/// How long a table's rows are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyRow {
    /// The table.
    pub table: String,
    /// So many days.
    pub days: u32,
    /// Whether anything is removed.
    pub is_active: bool,
    /// Whether a month is written to a file before it goes.
    pub archive: bool,
    /// Whether the table is kept by the month.
    pub by_month: bool,
    /// Counted up at every change.
    pub version: i32,
    /// When it was changed last.
    pub updated_at: OffsetDateTime,
    /// When it was done last.
    pub last_run_at: Option<OffsetDateTime>,
}

/// A month of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonthRow {
    /// The name of its part.
    pub name: String,
    /// The table that it is a part of. The application may read that, and no part of it by itself.
    pub(crate) table: String,
    /// The column that says to which month a row belongs.
    pub(crate) by: String,
    /// Its first moment.
    pub begin: OffsetDateTime,
    /// The first moment after it.
    pub end: OffsetDateTime,
    /// Rows, as counted last; none before they were.
    pub rows: Option<u64>,
    /// The room that it takes.
    pub bytes: u64,
}

impl MonthRow {
    /// The rows of the month, as what follows `select … from`.
    fn rows_of(&self) -> String {
        let (table, by) = (quoted(&self.table), quoted(&self.by));
        let (begin, end) = (self.begin.unix_timestamp(), self.end.unix_timestamp());
        format!("public.{table} where {by} >= to_timestamp({begin}) and {by} < to_timestamp({end})")
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunOutcome {
    /// It has not.
    Running,
    /// All is removed that was to be.
    Completed,
    /// Nothing was: something stood in the way, and the next run is the retry.
    Skipped,
    /// Nothing was: it was only looked at.
    DryRun,
    /// It failed.
    Error,
}

impl RunOutcome {
    /// The word used in rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Skipped => "skipped",
            Self::DryRun => "dry_run",
            Self::Error => "error",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Running, Self::Completed, Self::Skipped, Self::DryRun, Self::Error]
            .into_iter()
            .find(|one| one.as_str() == word)
    }
}

/// One time that a table's old rows were removed, or looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// Its id.
    pub id: RunId,
    /// The table.
    pub table: String,
    /// When it began.
    pub started_at: OffsetDateTime,
    /// When it ended.
    pub finished_at: Option<OffsetDateTime>,
    /// What was older than this was to go.
    pub cutoff: OffsetDateTime,
    /// Rows that went, or would.
    pub rows: u64,
    /// Months that went, or would.
    pub months: Vec<String>,
    /// Where they were written to before.
    pub archived_to: Option<String>,
    /// How it ended.
    pub outcome: RunOutcome,
    /// Why it did so.
    pub error: Option<String>,
    /// Who asked for it; none when it was time.
    pub user: Option<UserId>,
}

struct RunRecord {
    id: Uuid,
    table_name: String,
    started_at: OffsetDateTime,
    finished_at: Option<OffsetDateTime>,
    cutoff: OffsetDateTime,
    rows_removed: i64,
    partitions: Vec<String>,
    archived_to: Option<String>,
    outcome: String,
    error: Option<String>,
    user_id: Option<Uuid>,
}

impl TryFrom<RunRecord> for RunRow {
    type Error = StoreError;

    fn try_from(record: RunRecord) -> Result<Self, StoreError> {
        let outcome = RunOutcome::parse(&record.outcome).ok_or_else(|| {
            StoreError::inconsistent("retention_runs", record.id, "its outcome is not a known word")
        })?;
        Ok(Self {
            id: RunId::from_uuid(record.id),
            table: record.table_name,
            started_at: record.started_at,
            finished_at: record.finished_at,
            cutoff: record.cutoff,
            rows: record.rows_removed.unsigned_abs(),
            months: record.partitions,
            archived_to: record.archived_to,
            outcome,
            error: record.error,
            user: record.user_id.map(UserId::from_uuid),
        })
    }
}

struct PolicyRecord {
    table_name: String,
    days: i32,
    is_active: bool,
    archive: bool,
    by_month: bool,
    version: i32,
    updated_at: OffsetDateTime,
    last_run_at: Option<OffsetDateTime>,
}

impl From<PolicyRecord> for PolicyRow {
    fn from(record: PolicyRecord) -> Self {
        Self {
            table: record.table_name,
            days: record.days.unsigned_abs(),
            is_active: record.is_active,
            archive: record.archive,
            by_month: record.by_month,
            version: record.version,
            updated_at: record.updated_at,
            last_run_at: record.last_run_at,
        }
    }
}

/// The policies and their runs.
#[derive(Debug, Clone, Copy)]
pub struct Retention<D> {
    pub(crate) db: D,
}

impl<D: Db> Retention<D> {
    /// Every policy, by table.
    #[tracing::instrument(name = "db.retention.policies", skip_all, err(level = "debug"))]
    pub async fn policies(&mut self) -> Result<Vec<PolicyRow>, StoreError> {
        const NAME: &str = "db.retention.policies";
        let mut connection = self.db.connection().await.during(NAME)?;
        let rows = sqlx::query_as!(
            PolicyRecord,
            r#"select table_name, days, is_active, archive, version, updated_at, last_run_at,
                 exists (select from pg_class where oid = to_regclass('public.' || quote_ident(table_name)) and relkind = 'p')
                   as "by_month!"
               from retention_policies order by table_name"#,
        )
        .fetch_all(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        Ok(rows.into_iter().map(PolicyRow::from).collect())
    }

    /// Changes a policy, if it is still of the version that was read. False when it is not, or there is none.
    #[tracing::instrument(name = "db.retention.set", skip_all, fields(table = policy.table), err(level = "debug"))]
    pub async fn set(&mut self, policy: &PolicyRow, at: OffsetDateTime) -> Result<bool, StoreError> {
        const NAME: &str = "db.retention.set";
        let mut connection = self.db.connection().await.during(NAME)?;
        let done = sqlx::query!(
            "update retention_policies
             set days = $3, is_active = $4, archive = $5, version = version + 1, updated_at = $6
             where table_name = $1 and version = $2",
            policy.table,
            policy.version,
            i32::try_from(policy.days).unwrap_or(i32::MAX),
            policy.is_active,
            policy.archive,
            at,
        )
        .execute(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        Ok(done.rows_affected() == 1)
    }

    /// What was removed when, the newest first; of one table, or of all.
    #[tracing::instrument(name = "db.retention.runs", skip_all, err(level = "debug"))]
    pub async fn runs(&mut self, table: Option<&str>, page: PageRequest) -> Result<Page<RunRow>, StoreError> {
        const NAME: &str = "db.retention.runs";
        let mut connection = self.db.connection().await.during(NAME)?;
        let (at, id) = (page.after.map(|after| after.at), page.after.map(|after| after.id));
        let records = sqlx::query_as!(
            RunRecord,
            "select id, table_name, started_at, finished_at, cutoff, rows_removed, partitions, archived_to, outcome, error,
                    user_id
             from retention_runs
             where ($1::text is null or table_name = $1)
               and ($2::timestamptz is null or started_at < $2 or (started_at = $2 and id > $3))
             order by started_at desc, id limit $4",
            table,
            at,
            id,
            one_more(page.limit),
        )
        .fetch_all(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        let rows = records.into_iter().map(RunRow::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::cut(rows, page.limit, |row| Cursor { at: row.started_at, id: row.id.uuid() }))
    }
}

impl Retention<System<'_>> {
    /// The months of a table that ended before a moment, the oldest first; none where it is not kept by the month.
    #[tracing::instrument(name = "db.retention.months", skip_all, err(level = "debug"))]
    pub async fn months(&self, table: &str, before: OffsetDateTime) -> Result<Vec<MonthRow>, StoreError> {
        let rows = sqlx::query!(
            r#"select * from (
                 select c.relname::text as "name!", a.attname::text as "by!", b.begin as "begin!",
                   (b.begin at time zone 'UTC' + interval '1 month') at time zone 'UTC' as "end!",
                   case when c.reltuples >= 0 then c.reltuples::bigint end as rows,
                   pg_total_relation_size(c.oid) as "bytes!"
                 from pg_inherits h join pg_class c on c.oid = h.inhrelid
                 join pg_partitioned_table t on t.partrelid = h.inhparent
                 join pg_attribute a on a.attrelid = t.partrelid and a.attnum = t.partattrs[0]
                 cross join lateral (
                   select to_date(right(c.relname, 7), 'YYYY_MM')::timestamp at time zone 'UTC' as begin
                 ) as b
                 where h.inhparent = to_regclass('public.' || quote_ident($1)) and c.relname ~ '_\d{4}_\d{2}$'
               ) as m where m."end!" <= $2 order by m."begin!""#,
            table,
            before,
        )
        .fetch_all(self.db.pool)
        .await
        .during("db.retention.months")?;
        let months = rows.into_iter().map(|row| MonthRow {
            name: row.name,
            table: table.to_owned(),
            by: row.by,
            begin: row.begin,
            end: row.end,
            rows: row.rows.map(i64::unsigned_abs),
            bytes: row.bytes.unsigned_abs(),
        });
        Ok(months.collect())
    }

    /// The oldest entry of the audit log that must be kept for longer than its policy says; its month stays.
    #[tracing::instrument(name = "db.retention.kept_longer", skip_all, err(level = "debug"))]
    pub async fn kept_longer(
        &self,
        cutoff: OffsetDateTime,
        now: OffsetDateTime,
    ) -> Result<Option<OffsetDateTime>, StoreError> {
        sqlx::query_scalar!(
            "select min(at) from audit_logs
             where at < $1 and retention_days is not null and at + make_interval(days => retention_days) > $2",
            cutoff,
            now,
        )
        .fetch_one(self.db.pool)
        .await
        .during("db.retention.kept_longer")
    }

    /// Notes that a run begins. One that was broken off before is noted as such.
    #[tracing::instrument(name = "db.retention.begin_run", skip_all, err(level = "debug"))]
    pub async fn begin_run(&self, run: &RunRow, dry: bool) -> Result<(), StoreError> {
        sqlx::query!(
            "with broken_off as (
               update retention_runs set outcome = 'error', error = 'broken off', finished_at = $3
               where table_name = $2 and outcome = 'running' and started_at < $3::timestamptz - interval '1 hour'
             )
             insert into retention_runs (id, table_name, started_at, dry_run, cutoff, user_id)
             values ($1, $2, $3, $4, $5, $6)",
            run.id.uuid(),
            run.table,
            run.started_at,
            dry,
            run.cutoff,
            run.user.map(UserId::uuid),
        )
        .execute(self.db.pool)
        .await
        .during("db.retention.begin_run")
        .map(drop)
    }

    /// Notes how a run ended; unless it was only a look, its table was done.
    #[tracing::instrument(name = "db.retention.end_run", skip_all, err(level = "debug"))]
    pub async fn end_run(&self, run: &RunRow) -> Result<(), StoreError> {
        sqlx::query!(
            "with done as (
               update retention_policies set last_run_at = $8
               where table_name = $7 and $3 = 'completed'
             )
             update retention_runs
             set finished_at = $2, outcome = $3, rows_removed = $4, partitions = $5, archived_to = $6, error = $9
             where id = $1",
            run.id.uuid(),
            run.finished_at,
            run.outcome.as_str(),
            i64::try_from(run.rows).unwrap_or(i64::MAX),
            &run.months,
            run.archived_to,
            run.table,
            run.started_at,
            run.error,
        )
        .execute(self.db.pool)
        .await
        .during("db.retention.end_run")
        .map(drop)
    }

    /// Forgets runs that began before a moment.
    #[tracing::instrument(name = "db.retention.forget_runs", skip_all, err(level = "debug"))]
    pub async fn forget_runs(&self, before: OffsetDateTime) -> Result<u64, StoreError> {
        let done = sqlx::query!("delete from retention_runs where started_at < $1", before)
            .execute(self.db.pool)
            .await
            .during("db.retention.forget_runs")?;
        Ok(done.rows_affected())
    }
}
