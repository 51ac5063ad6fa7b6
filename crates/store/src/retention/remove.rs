//! Counting, writing out and removing what is old.

use futures_util::TryStreamExt as _;
use roadstead_model::InstanceId;
use sqlx::postgres::PgPoolCopyExt as _;
use sqlx::{AssertSqlSafe, Executor};
use time::OffsetDateTime;

use super::{MonthRow, Retention};
use crate::StoreError;
use crate::db::System;
use crate::error::During;

/// `lock_not_available`, and what the database says of months of the audit log whose chains are not anchored.
const IN_USE: &str = "55P03";
const NOT_READY: &str = "55000";

/// What came of dropping months.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dropped {
    /// They are gone.
    Done(Vec<String>),
    /// Nothing was dropped, and why.
    Not(String),
}

/// Takes what a month holds, piece by piece.
pub type Sink<'a> = &'a mut (dyn FnMut(&[u8]) -> std::io::Result<()> + Send);

impl Retention<System<'_>> {
    /// The rows of a month.
    #[tracing::instrument(name = "db.retention.count_month", skip_all, err(level = "debug"))]
    pub async fn count_month(&self, month: &MonthRow) -> Result<u64, StoreError> {
        let statement = format!("select count(*) from {}", month.rows_of());
        let rows: i64 = sqlx::query_scalar(AssertSqlSafe(statement))
            .fetch_one(self.db.pool)
            .await
            .during("db.retention.count_month")?;
        Ok(rows.unsigned_abs())
    }

    /// Hands a month over as CSV with a header. The inner result is the sink's.
    #[tracing::instrument(name = "db.retention.write_month", skip_all, err(level = "debug"))]
    pub async fn write_month(
        &self,
        month: &MonthRow,
        sink: Sink<'_>,
    ) -> Result<std::io::Result<()>, StoreError> {
        const NAME: &str = "db.retention.write_month";
        let statement =
            format!("copy (select * from {}) to stdout with (format csv, header)", month.rows_of());
        let mut rows = self.db.pool.copy_out_raw(&statement).await.during(NAME)?;
        while let Some(piece) = rows.try_next().await.during(NAME)? {
            if let Err(error) = sink(&piece) {
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    }

    /// Drops every month of a table that ended before `cutoff`, all or none. Does not wait long for those who use the table.
    #[tracing::instrument(name = "db.retention.drop_months", skip_all, err(level = "debug"))]
    pub async fn drop_months(&self, table: &str, cutoff: OffsetDateTime) -> Result<Dropped, StoreError> {
        const NAME: &str = "db.retention.drop_months";
        let mut transaction = self.db.pool.begin().await.during(NAME)?;
        transaction.execute("set local lock_timeout = '2s'").await.during(NAME)?;
        let dropped =
            sqlx::query_scalar!(r#"select drop_month_partitions($1, $2) as "months!""#, table, cutoff)
                .fetch_one(&mut *transaction)
                .await;
        match dropped {
            Ok(months) => {
                transaction.commit().await.during(NAME)?;
                Ok(Dropped::Done(months))
            }
            Err(error) => match error.as_database_error().map(|error| (error.code(), error.message())) {
                Some((Some(code), _)) if code == IN_USE => {
                    Ok(Dropped::Not("the table is in use; the next run tries again".to_owned()))
                }
                Some((Some(code), said)) if code == NOT_READY => Ok(Dropped::Not(said.to_owned())),
                _ => Err(error).during(NAME),
            },
        }
    }

    /// The old rows of a table that is not kept by the month.
    #[tracing::instrument(name = "db.retention.count_rows", skip_all, err(level = "debug"))]
    pub async fn count_rows(&self, table: &str, cutoff: OffsetDateTime) -> Result<u64, StoreError> {
        const NAME: &str = "db.retention.count_rows";
        let rows = match table {
            "mcp_instances" => {
                sqlx::query_scalar!(
                    r#"select count(*) as "rows!" from mcp_instances i
                       where (i.deleted_at <= $1 or (i.ended_at <= $1 and i.expires_at <= $1))
                         and not exists (select from mcp_logs l where l.mcp_instance_id = i.id)"#,
                    cutoff
                )
                .fetch_one(self.db.pool)
                .await
            }
            "exports" => {
                sqlx::query_scalar!(
                    r#"select count(*) as "rows!" from exports where expires_at <= $1"#,
                    cutoff
                )
                .fetch_one(self.db.pool)
                .await
            }
            "setting_history" => {
                sqlx::query_scalar!(
                    r#"select count(*) as "rows!" from setting_history where at <= $1"#,
                    cutoff
                )
                .fetch_one(self.db.pool)
                .await
            }
            _ => Ok(0),
        };
        rows.during(NAME).map(i64::unsigned_abs)
    }

    /// Deletes some of those; says how many. An instance goes after its last log line has: lines are never deleted one by one.
    #[tracing::instrument(name = "db.retention.delete_batch", skip_all, err(level = "debug"))]
    pub async fn delete_batch(
        &self,
        table: &str,
        cutoff: OffsetDateTime,
        limit: i64,
    ) -> Result<u64, StoreError> {
        const NAME: &str = "db.retention.delete_batch";
        let done = match table {
            "mcp_instances" => {
                sqlx::query!(
                    "delete from mcp_instances where id in (
                       select i.id from mcp_instances i
                       where (i.deleted_at <= $1 or (i.ended_at <= $1 and i.expires_at <= $1))
                         and not exists (select from mcp_logs l where l.mcp_instance_id = i.id)
                       order by i.id limit $2 for update skip locked)",
                    cutoff,
                    limit
                )
                .execute(self.db.pool)
                .await
            }
            "exports" => {
                sqlx::query!(
                    "delete from exports where id in (
                       select id from exports where expires_at <= $1 order by expires_at limit $2 for update skip locked)",
                    cutoff,
                    limit
                )
                .execute(self.db.pool)
                .await
            }
            "setting_history" => {
                sqlx::query!(
                    "delete from setting_history where id in (
                       select id from setting_history where at <= $1 order by id limit $2 for update skip locked)",
                    cutoff,
                    limit
                )
                .execute(self.db.pool)
                .await
            }
            _ => return Ok(0),
        };
        Ok(done.during(NAME)?.rows_affected())
    }

    /// The log lines of one instance that are older than a moment.
    #[tracing::instrument(name = "db.retention.lines_of", skip_all, err(level = "debug"))]
    pub async fn lines_of(&self, instance: InstanceId, before: OffsetDateTime) -> Result<u64, StoreError> {
        let rows = sqlx::query_scalar!(
            r#"select count(*) as "rows!" from mcp_logs where mcp_instance_id = $1 and at < $2"#,
            instance.uuid(),
            before
        )
        .fetch_one(self.db.pool)
        .await
        .during("db.retention.lines_of")?;
        Ok(rows.unsigned_abs())
    }

    /// Deletes some of the log lines of one instance.
    #[tracing::instrument(name = "db.retention.delete_lines_of", skip_all, err(level = "debug"))]
    pub async fn delete_lines_of(
        &self,
        instance: InstanceId,
        before: OffsetDateTime,
        limit: i64,
    ) -> Result<u64, StoreError> {
        let done = sqlx::query!(
            "delete from mcp_logs where (mcp_instance_id, at, seq, origin) in (
               select mcp_instance_id, at, seq, origin from mcp_logs where mcp_instance_id = $1 and at < $2
               order by at, seq, origin limit $3)",
            instance.uuid(),
            before,
            limit
        )
        .execute(self.db.pool)
        .await
        .during("db.retention.delete_lines_of")?;
        Ok(done.rows_affected())
    }
}
