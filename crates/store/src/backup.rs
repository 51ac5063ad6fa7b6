//! One moment of the whole database, held open for as long as a backup of it is written: what is counted here is what the
//! backup holds. Statements about tables that only newer migrations make are put together here: a backup is what one takes before
//! a migration.

use std::collections::BTreeMap;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};

use crate::StoreError;
use crate::error::During;
use crate::maintain::quoted;

/// The columns that hold sealed values; the second to fifth byte say which key sealed them.
const SEALED_COLUMNS: [&str; 2] = ["sealed", "sealed_answer"];

/// One moment of the database. Dropped, it is given up.
#[derive(Debug)]
pub struct Snapshot {
    connection: PgConnection,
    /// Its name, by which other connections see the same moment.
    pub name: String,
}

/// The end of an organisation's chain of audit entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainHead {
    /// Whose chain.
    pub organization: uuid::Uuid,
    /// The number of its last entry.
    pub number: i64,
    /// The hash of its last entry.
    pub hash: Vec<u8>,
}

impl Snapshot {
    /// Takes hold of the present moment.
    #[tracing::instrument(name = "db.snapshot.take", skip_all, err(level = "debug"))]
    pub async fn take(owner: &PgConnectOptions) -> Result<Self, StoreError> {
        const NAME: &str = "db.snapshot.take";
        let mut connection =
            owner.clone().application_name("roadstead db backup").connect().await.during(NAME)?;
        connection.execute("begin isolation level repeatable read read only").await.during(NAME)?;
        let name = sqlx::query_scalar!(r#"select pg_export_snapshot() as "name!""#)
            .fetch_one(&mut connection)
            .await
            .during(NAME)?;
        Ok(Self { connection, name })
    }

    /// The major version of the server.
    pub fn server_major(&self) -> u32 {
        self.connection.server_version_num().unwrap_or(0) / 10_000
    }

    /// The rows of every table.
    pub async fn counts(&mut self) -> Result<BTreeMap<String, u64>, StoreError> {
        counts(&mut self.connection).await
    }

    /// The newest migration that was applied; 0 where none was.
    pub async fn migration(&mut self) -> Result<i64, StoreError> {
        const NAME: &str = "db.snapshot.migration";
        if !has_table(&mut self.connection, "_sqlx_migrations").await? {
            return Ok(0);
        }
        sqlx::query_scalar("select coalesce(max(version), 0) from public._sqlx_migrations where success")
            .fetch_one(&mut self.connection)
            .await
            .during(NAME)
    }

    /// The keys that something was sealed with, wherever it lies.
    pub async fn key_ids(&mut self) -> Result<Vec<u32>, StoreError> {
        key_ids(&mut self.connection).await
    }

    /// The ends of the audit chains, where there are any.
    pub async fn chain_heads(&mut self) -> Result<Vec<ChainHead>, StoreError> {
        chain_heads(&mut self.connection).await
    }

    /// Functions that not everybody may call: a backup without rights would open them.
    #[tracing::instrument(name = "db.snapshot.closed_functions", skip_all, err(level = "debug"))]
    pub async fn closed_functions(&mut self) -> Result<Vec<String>, StoreError> {
        sqlx::query_scalar!(
            r#"select oid::regprocedure::text as "name!" from pg_proc
               where pronamespace = 'public'::regnamespace and not has_function_privilege('public', oid, 'execute')
               order by 1"#,
        )
        .fetch_all(&mut self.connection)
        .await
        .during("db.snapshot.closed_functions")
    }

    /// Schemas that are not ours.
    #[tracing::instrument(name = "db.snapshot.foreign_schemas", skip_all, err(level = "debug"))]
    pub async fn foreign_schemas(&mut self) -> Result<Vec<String>, StoreError> {
        sqlx::query_scalar!(
            r#"select nspname::text as "name!" from pg_namespace
               where nspname not in ('public', 'information_schema') and nspname !~ '^pg_' order by 1"#,
        )
        .fetch_all(&mut self.connection)
        .await
        .during("db.snapshot.foreign_schemas")
    }

    /// Lets go of the moment.
    pub async fn release(self) -> Result<(), StoreError> {
        self.connection.close().await.during("db.snapshot.release")
    }
}

/// The rows of every table, by its name; months are counted in their table.
#[tracing::instrument(name = "db.snapshot.counts", skip_all, err(level = "debug"))]
pub(crate) async fn counts(connection: &mut PgConnection) -> Result<BTreeMap<String, u64>, StoreError> {
    const NAME: &str = "db.snapshot.counts";
    let tables = sqlx::query_scalar!(
        r#"select relname::text as "name!" from pg_class
           where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition"#,
    )
    .fetch_all(&mut *connection)
    .await
    .during(NAME)?;
    let mut found = BTreeMap::new();
    for table in tables {
        let statement = format!("select count(*) from public.{}", quoted(&table));
        let rows: i64 =
            sqlx::query_scalar(AssertSqlSafe(statement)).fetch_one(&mut *connection).await.during(NAME)?;
        found.insert(table, rows.unsigned_abs());
    }
    Ok(found)
}

#[tracing::instrument(name = "db.snapshot.key_ids", skip_all, err(level = "debug"))]
pub(crate) async fn key_ids(connection: &mut PgConnection) -> Result<Vec<u32>, StoreError> {
    const NAME: &str = "db.snapshot.key_ids";
    let columns = sqlx::query!(
        r#"select c.relname::text as "table!", a.attname::text as "column!"
           from pg_class c join pg_attribute a on a.attrelid = c.oid
           where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
             and a.attname = any($1) and a.atttypid = 'bytea'::regtype and not a.attisdropped"#,
        &SEALED_COLUMNS.map(ToOwned::to_owned)[..],
    )
    .fetch_all(&mut *connection)
    .await
    .during(NAME)?;
    let mut found = std::collections::BTreeSet::new();
    for place in columns {
        let (table, column) = (quoted(&place.table), quoted(&place.column));
        let statement = format!(
            "select distinct substring({column} from 2 for 4) from public.{table} where octet_length({column}) > 5"
        );
        let keys: Vec<Vec<u8>> =
            sqlx::query_scalar(AssertSqlSafe(statement)).fetch_all(&mut *connection).await.during(NAME)?;
        found.extend(keys.into_iter().filter_map(|key| Some(u32::from_be_bytes(key.try_into().ok()?))));
    }
    Ok(found.into_iter().collect())
}

#[tracing::instrument(name = "db.snapshot.chain_heads", skip_all, err(level = "debug"))]
pub(crate) async fn chain_heads(connection: &mut PgConnection) -> Result<Vec<ChainHead>, StoreError> {
    const NAME: &str = "db.snapshot.chain_heads";
    if !has_table(connection, "audit_chains").await? {
        return Ok(Vec::new());
    }
    let rows: Vec<(uuid::Uuid, i64, Vec<u8>)> = sqlx::query_as(
        "select organization_id, number, hash from public.audit_chains order by organization_id",
    )
    .fetch_all(connection)
    .await
    .during(NAME)?;
    Ok(rows
        .into_iter()
        .map(|(organization, number, hash)| ChainHead { organization, number, hash })
        .collect())
}

async fn has_table(connection: &mut PgConnection, name: &str) -> Result<bool, StoreError> {
    sqlx::query_scalar!(r#"select to_regclass('public.' || quote_ident($1)) is not null as "there!""#, name)
        .fetch_one(connection)
        .await
        .during("db.snapshot.has_table")
}
