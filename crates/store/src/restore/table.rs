//! The rows of one table that a backup has and the database has no more. They come into a table that only this connection sees;
//! what is there is never changed.

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
use time::OffsetDateTime;

use crate::StoreError;
use crate::error::During;
use crate::maintain::quoted;

/// The chain would not hold with an entry put back into its middle.
const WHOLE_ONLY: &str = "audit_";

/// One table of a backup beside the one that is there.
#[derive(Debug)]
pub struct TableRestore {
    connection: PgConnection,
    table: String,
    columns: Vec<String>,
    key: Vec<String>,
}

/// How the two differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Missing {
    /// Rows of the backup.
    pub rows: u64,
    /// Those that are not there any more.
    pub missing: u64,
    /// Those that are there, with other values.
    pub different: u64,
}

impl TableRestore {
    /// Makes the table beside; none when there is no such table, or it can only be restored with everything else.
    #[tracing::instrument(name = "db.restore_table.begin", skip_all, err(level = "debug"))]
    pub async fn begin(owner: &PgConnectOptions, table: &str) -> Result<Option<Self>, StoreError> {
        const NAME: &str = "db.restore_table.begin";
        let mut connection =
            owner.clone().application_name("roadstead db restore").connect().await.during(NAME)?;
        let columns = sqlx::query!(
            r#"select a.attname::text as "name!", coalesce(a.attnum = any(k.conkey), false) as "is_key!"
               from pg_class c join pg_attribute a on a.attrelid = c.oid
                 left join pg_constraint k on k.conrelid = c.oid and k.contype = 'p'
               where c.relnamespace = 'public'::regnamespace and c.relname = $1 and c.relkind in ('r', 'p')
                 and not c.relispartition and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
               order by a.attnum"#,
            table,
        )
        .fetch_all(&mut connection)
        .await
        .during(NAME)?;
        let key: Vec<String> = columns.iter().filter(|one| one.is_key).map(|one| one.name.clone()).collect();
        if key.is_empty() || table.starts_with(WHOLE_ONLY) || table.starts_with('_') {
            return Ok(None);
        }
        let beside = format!("create temporary table restored (like public.{})", quoted(table));
        connection.execute(AssertSqlSafe(beside)).await.during(NAME)?;
        let columns = columns.into_iter().map(|one| one.name).collect();
        Ok(Some(Self { connection, table: table.to_owned(), columns, key }))
    }

    /// Takes rows as `copy` writes them: `columns` as in a dump's own statement.
    pub async fn copy_in(
        &mut self,
        columns: &str,
        rows: &mut (dyn tokio::io::AsyncRead + Unpin + Send),
    ) -> Result<u64, StoreError> {
        const NAME: &str = "db.restore_table.copy_in";
        let statement = format!("copy pg_temp.restored ({columns}) from stdin");
        let mut copy = self.connection.copy_in_raw(&statement).await.during(NAME)?;
        match copy.read_from(rows).await {
            Ok(_) => copy.finish().await.during(NAME),
            Err(error) => {
                // The first error is the one to know.
                let _ = copy.abort("the backup could not be read").await;
                Err(error).during(NAME)
            }
        }
    }

    /// Makes the month that rows of a dropped one go back to.
    #[tracing::instrument(name = "db.restore_table.make_month", skip_all, err(level = "debug"))]
    pub async fn make_month(&mut self, month: OffsetDateTime) -> Result<(), StoreError> {
        sqlx::query_scalar!("select ensure_month_partitions($1, 1)", month)
            .fetch_one(&mut self.connection)
            .await
            .during("db.restore_table.make_month")
            .map(drop)
    }

    /// How the backup's rows differ from those that are there.
    #[tracing::instrument(name = "db.restore_table.compare", skip_all, err(level = "debug"))]
    pub async fn compare(&mut self) -> Result<Missing, StoreError> {
        let same = self.same_key();
        let (ours, theirs) = (self.list("t"), self.list("r"));
        let table = quoted(&self.table);
        let statement = format!(
            "select count(*), count(*) filter (where t.found is null),
               count(*) filter (where t.found and ({theirs}) is distinct from ({ours}))
             from pg_temp.restored r left join lateral (select true as found, t.* from public.{table} t where {same}) t on true"
        );
        let (rows, missing, different): (i64, i64, i64) = sqlx::query_as(AssertSqlSafe(statement))
            .fetch_one(&mut self.connection)
            .await
            .during("db.restore_table.compare")?;
        Ok(Missing {
            rows: rows.unsigned_abs(),
            missing: missing.unsigned_abs(),
            different: different.unsigned_abs(),
        })
    }

    /// Puts back the rows that are not there; says how many. What follows from a new row does not follow from an old one: the
    /// triggers that come after an insert are silent for it, and nobody else writes to the table meanwhile.
    #[tracing::instrument(name = "db.restore_table.put_back", skip_all, err(level = "debug"))]
    pub async fn put_back(&mut self) -> Result<u64, StoreError> {
        const NAME: &str = "db.restore_table.put_back";
        let names: Vec<String> = self.columns.iter().map(|name| quoted(name)).collect();
        let (names, same, table) = (names.join(", "), self.same_key(), quoted(&self.table));
        let insert = format!(
            "insert into public.{table} ({names}) overriding system value select {names} from pg_temp.restored r
             where not exists (select from public.{table} t where {same})"
        );
        let mut transaction = self.connection.begin().await.during(NAME)?;
        transaction.execute("set local lock_timeout = '10s'").await.during(NAME)?;
        let followers = sqlx::query_scalar!(
            r#"select tgname::text as "name!" from pg_trigger
               where tgrelid = to_regclass('public.' || quote_ident($1)) and not tgisinternal and tgenabled = 'O'
                 and tgtype & 2 = 0 and tgtype & 4 <> 0"#,
            self.table,
        )
        .fetch_all(&mut *transaction)
        .await
        .during(NAME)?;
        let each = |way: &str| {
            let all = followers
                .iter()
                .map(|trigger| format!("alter table public.{table} {way} trigger {};", quoted(trigger)));
            AssertSqlSafe(all.collect::<String>())
        };
        transaction.execute(each("disable")).await.during(NAME)?;
        let done = transaction.execute(AssertSqlSafe(insert)).await.during(NAME)?;
        transaction.execute(each("enable")).await.during(NAME)?;
        transaction.commit().await.during(NAME)?;
        Ok(done.rows_affected())
    }

    /// Ends the connection, and with it the table beside.
    pub async fn close(self) -> Result<(), StoreError> {
        self.connection.close().await.during("db.restore_table.close")
    }

    fn same_key(&self) -> String {
        let each = self.key.iter().map(|name| format!("t.{0} = r.{0}", quoted(name)));
        each.collect::<Vec<_>>().join(" and ")
    }

    fn list(&self, of: &str) -> String {
        self.columns.iter().map(|name| format!("{of}.{}", quoted(name))).collect::<Vec<_>>().join(", ")
    }
}
