//! How large, how busy, and who waits.

use serde::Serialize;
use time::OffsetDateTime;

use super::Maintenance;
use crate::StoreError;
use crate::error::During;

/// The busiest tables that are shown.
const BUSIEST: i64 = 10;
/// A transaction that has been open so long keeps dead rows from being cleared away.
const LONG_TRANSACTION_S: f64 = 60.0;

/// The room that the database takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DatabaseSize {
    /// Its name.
    pub database: String,
    /// All of it.
    pub bytes: u64,
    /// Rows of our tables.
    pub table_bytes: u64,
    /// Their indexes.
    pub index_bytes: u64,
    /// Values that are too long for a row.
    pub toast_bytes: u64,
}

/// The room that a table takes, all its months together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableSize {
    /// Its name.
    pub table: String,
    /// So many months; 0 where it is not kept by the month.
    pub partitions: u32,
    /// Rows, as counted last.
    pub rows: u64,
    /// Rows of it on the disk.
    pub table_bytes: u64,
    /// Its indexes.
    pub index_bytes: u64,
    /// Values that are too long for a row.
    pub toast_bytes: u64,
    /// All of that.
    pub bytes: u64,
}

/// How the database is doing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stats {
    /// What PostgreSQL calls its version.
    pub server_version: String,
    /// Since when the figures are counted; none: since the server began.
    #[serde(with = "time::serde::rfc3339::option")]
    pub since: Option<OffsetDateTime>,
    /// The share of blocks that were in memory when asked for; none before anything was.
    pub hit_rate: Option<f64>,
    /// Transactions that were committed.
    pub commits: u64,
    /// Transactions that were given up.
    pub rollbacks: u64,
    /// Of those, to end a deadlock.
    pub deadlocks: u64,
    /// Written for sorts and joins that did not fit into memory.
    pub temporary_bytes: u64,
    /// Connections to this database.
    pub connections: u32,
    /// How many the server takes in all.
    pub max_connections: u32,
    /// Transactions that have been open for more than a minute.
    pub long_transactions: Vec<LongTransaction>,
    /// Tables with the most dead rows.
    pub tables: Vec<BusyTable>,
}

/// A transaction that keeps dead rows from being cleared away.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LongTransaction {
    /// The server's process for it.
    pub pid: i32,
    /// Who connected.
    pub role: Option<String>,
    /// What program connected.
    pub application: Option<String>,
    /// Active, or idle in the transaction.
    pub state: Option<String>,
    /// How long it has been open.
    pub seconds: f64,
}

/// A table's rows and reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BusyTable {
    /// Its name.
    pub table: String,
    /// Rows that are there.
    pub live_rows: u64,
    /// Rows that are not any more, and whose room was not given back yet.
    pub dead_rows: u64,
    /// How often the whole of it was read.
    pub whole_reads: u64,
    /// How often an index was asked.
    pub index_reads: u64,
    /// When dead rows were cleared away last.
    #[serde(with = "time::serde::rfc3339::option")]
    pub vacuumed_at: Option<OffsetDateTime>,
    /// When its rows were counted last.
    #[serde(with = "time::serde::rfc3339::option")]
    pub analyzed_at: Option<OffsetDateTime>,
}

/// One who waits for another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Waiting {
    /// The server's process of the one who waits.
    pub pid: i32,
    /// Who that is.
    pub role: Option<String>,
    /// With what program.
    pub application: Option<String>,
    /// What is wanted.
    pub wanted: Option<String>,
    /// The table it is about, if it is about one.
    pub table: Option<String>,
    /// For how long.
    pub seconds: Option<f64>,
    /// Processes that hold it.
    pub blocked_by: Vec<i32>,
    /// Who the first of those is, and with what program.
    pub holder: Option<String>,
    /// What the first of those is doing.
    pub holder_state: Option<String>,
}

impl Maintenance {
    /// The room that the database takes.
    #[tracing::instrument(name = "db.maintain.size", skip_all, err(level = "debug"))]
    pub async fn size(&mut self) -> Result<DatabaseSize, StoreError> {
        let row = sqlx::query!(
            r#"select current_database()::text as "database!", pg_database_size(current_database()) as "bytes!",
                 coalesce(sum(pg_table_size(oid) - coalesce(pg_total_relation_size(nullif(reltoastrelid, 0)), 0)), 0)::bigint
                   as "table_bytes!",
                 coalesce(sum(pg_indexes_size(oid)), 0)::bigint as "index_bytes!",
                 coalesce(sum(coalesce(pg_total_relation_size(nullif(reltoastrelid, 0)), 0)), 0)::bigint as "toast_bytes!"
               from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'"#,
        )
        .fetch_one(&mut self.connection)
        .await
        .during("db.maintain.size")?;
        Ok(DatabaseSize {
            database: row.database,
            bytes: row.bytes.unsigned_abs(),
            table_bytes: row.table_bytes.unsigned_abs(),
            index_bytes: row.index_bytes.unsigned_abs(),
            toast_bytes: row.toast_bytes.unsigned_abs(),
        })
    }

    /// The room that each table takes, the largest first.
    #[tracing::instrument(name = "db.maintain.table_sizes", skip_all, err(level = "debug"))]
    pub async fn table_sizes(&mut self) -> Result<Vec<TableSize>, StoreError> {
        let rows = sqlx::query!(
            r#"select t.name as "table!", count(*) filter (where t.is_part) as "partitions!",
                 coalesce(sum(greatest(t.reltuples, 0)), 0)::bigint as "rows!",
                 coalesce(sum(t.heap), 0)::bigint as "table_bytes!", coalesce(sum(t.indexes), 0)::bigint as "index_bytes!",
                 coalesce(sum(t.toast), 0)::bigint as "toast_bytes!"
               from (
                 select coalesce(p.relname, c.relname)::text as name, p.oid is not null as is_part, c.reltuples,
                   pg_table_size(c.oid) - coalesce(pg_total_relation_size(nullif(c.reltoastrelid, 0)), 0) as heap,
                   pg_indexes_size(c.oid) as indexes,
                   coalesce(pg_total_relation_size(nullif(c.reltoastrelid, 0)), 0) as toast
                 from pg_class c left join pg_inherits h on h.inhrelid = c.oid left join pg_class p on p.oid = h.inhparent
                 where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'
               ) as t
               group by t.name order by sum(t.heap + t.indexes + t.toast) desc, t.name"#,
        )
        .fetch_all(&mut self.connection)
        .await
        .during("db.maintain.table_sizes")?;
        let sizes = rows.into_iter().map(|row| TableSize {
            table: row.table,
            partitions: u32::try_from(row.partitions).unwrap_or(u32::MAX),
            rows: row.rows.unsigned_abs(),
            table_bytes: row.table_bytes.unsigned_abs(),
            index_bytes: row.index_bytes.unsigned_abs(),
            toast_bytes: row.toast_bytes.unsigned_abs(),
            bytes: (row.table_bytes + row.index_bytes + row.toast_bytes).unsigned_abs(),
        });
        Ok(sizes.collect())
    }

    /// How the database is doing.
    #[tracing::instrument(name = "db.maintain.stats", skip_all, err(level = "debug"))]
    pub async fn stats(&mut self) -> Result<Stats, StoreError> {
        let row = sqlx::query!(
            r#"select current_setting('server_version') as "server_version!", stats_reset as since,
                 (blks_hit::double precision / nullif(blks_hit + blks_read, 0)) as hit_rate, xact_commit as "commits!",
                 xact_rollback as "rollbacks!", deadlocks as "deadlocks!", temp_bytes as "temporary_bytes!",
                 numbackends as "connections!", current_setting('max_connections')::integer as "max_connections!"
               from pg_stat_database where datname = current_database()"#,
        )
        .fetch_one(&mut self.connection)
        .await
        .during("db.maintain.stats")?;
        Ok(Stats {
            server_version: row.server_version,
            since: row.since,
            hit_rate: row.hit_rate,
            commits: row.commits.unsigned_abs(),
            rollbacks: row.rollbacks.unsigned_abs(),
            deadlocks: row.deadlocks.unsigned_abs(),
            temporary_bytes: row.temporary_bytes.unsigned_abs(),
            connections: row.connections.unsigned_abs(),
            max_connections: row.max_connections.unsigned_abs(),
            long_transactions: self.long_transactions().await?,
            tables: self.busiest().await?,
        })
    }

    async fn long_transactions(&mut self) -> Result<Vec<LongTransaction>, StoreError> {
        sqlx::query_as!(
            LongTransaction,
            r#"select pid as "pid!", usename::text as role, application_name as application, state,
                 extract(epoch from clock_timestamp() - xact_start)::double precision as "seconds!"
               from pg_stat_activity
               where datname = current_database() and pid <> pg_backend_pid()
                 and extract(epoch from clock_timestamp() - xact_start)::double precision > $1
               order by xact_start"#,
            LONG_TRANSACTION_S,
        )
        .fetch_all(&mut self.connection)
        .await
        .during("db.maintain.long_transactions")
    }

    async fn busiest(&mut self) -> Result<Vec<BusyTable>, StoreError> {
        let rows = sqlx::query!(
            r#"select coalesce(p.relname, s.relname)::text as "table!", sum(s.n_live_tup)::bigint as "live!",
                 sum(s.n_dead_tup)::bigint as "dead!", sum(s.seq_scan)::bigint as "whole!",
                 coalesce(sum(s.idx_scan), 0)::bigint as "by_index!",
                 max(greatest(s.last_vacuum, s.last_autovacuum)) as vacuumed_at,
                 max(greatest(s.last_analyze, s.last_autoanalyze)) as analyzed_at
               from pg_stat_user_tables s left join pg_inherits h on h.inhrelid = s.relid
                 left join pg_class p on p.oid = h.inhparent
               where s.schemaname = 'public' group by 1 order by 3 desc, 2 desc, 1 limit $1"#,
            BUSIEST,
        )
        .fetch_all(&mut self.connection)
        .await
        .during("db.maintain.busiest")?;
        let tables = rows.into_iter().map(|row| BusyTable {
            table: row.table,
            live_rows: row.live.unsigned_abs(),
            dead_rows: row.dead.unsigned_abs(),
            whole_reads: row.whole.unsigned_abs(),
            index_reads: row.by_index.unsigned_abs(),
            vacuumed_at: row.vacuumed_at,
            analyzed_at: row.analyzed_at,
        });
        Ok(tables.collect())
    }

    /// Everybody who waits for a lock, the longest first, and for whom.
    #[tracing::instrument(name = "db.maintain.waiting", skip_all, err(level = "debug"))]
    pub async fn waiting(&mut self) -> Result<Vec<Waiting>, StoreError> {
        sqlx::query_as!(
            Waiting,
            r#"select w.pid as "pid!", w.usename::text as role, w.application_name as application,
                 l.mode || ' on ' || l.locktype as wanted, c.relname::text as "table",
                 extract(epoch from clock_timestamp() - l.waitstart)::double precision as seconds,
                 b.pids as "blocked_by!", h.usename || ' (' || h.application_name || ')' as holder,
                 h.state as holder_state
               from pg_stat_activity w
               cross join lateral (select pg_blocking_pids(w.pid) as pids) as b
               left join lateral (
                 select mode, locktype, relation, waitstart, database from pg_locks where pid = w.pid and not granted limit 1
               ) as l on true
               left join pg_class c on c.oid = l.relation
               left join pg_stat_activity h on h.pid = b.pids[1]
               where w.datname = current_database() and cardinality(b.pids) > 0
               order by l.waitstart nulls last, w.pid"#,
        )
        .fetch_all(&mut self.connection)
        .await
        .during("db.maintain.waiting")
    }
}
