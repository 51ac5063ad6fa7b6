//! Looking after the tables, as their owner: how large they are, what is done with them, who waits for whom.
//!
//! Everything here asks the database's own catalogue. Numbers of rows are what was counted last by `analyze`, and may be
//! behind; sizes are what is on the disk.

mod check;
mod look;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};

use crate::StoreError;
use crate::error::During;

pub use check::{Finding, FindingKind};
pub use look::{BusyTable, DatabaseSize, LongTransaction, Stats, TableSize, Waiting};

/// A connection of the schema's owner.
#[derive(Debug)]
pub struct Maintenance {
    pub(crate) connection: PgConnection,
}

impl Maintenance {
    /// Connects as the owner.
    #[tracing::instrument(name = "db.maintain.open", skip_all, err(level = "debug"))]
    pub async fn open(owner: &PgConnectOptions) -> Result<Self, StoreError> {
        let connection =
            owner.clone().application_name("roadstead db").connect().await.during("db.maintain.open")?;
        Ok(Self { connection })
    }

    /// Ends the connection politely.
    pub async fn close(self) -> Result<(), StoreError> {
        self.connection.close().await.during("db.maintain.close")
    }

    /// Every table of ours, a month's part not counted as one.
    #[tracing::instrument(name = "db.maintain.table_names", skip_all, err(level = "debug"))]
    pub async fn table_names(&mut self) -> Result<Vec<String>, StoreError> {
        sqlx::query_scalar!(
            r#"select relname::text as "name!" from pg_class
               where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition
               order by relname"#,
        )
        .fetch_all(&mut self.connection)
        .await
        .during("db.maintain.table_names")
    }

    /// Counts what the tables hold, for the planner.
    pub async fn analyze(&mut self, table: &str) -> Result<(), StoreError> {
        self.run("db.maintain.analyze", format!("analyze {}", quoted(table))).await
    }

    /// Gives the room of dead rows back: to the table, or (whole) to the disk while nobody else may use the table.
    pub async fn vacuum(&mut self, table: &str, whole: bool) -> Result<(), StoreError> {
        let options = if whole { "full, analyze" } else { "analyze" };
        self.run("db.maintain.vacuum", format!("vacuum ({options}) {}", quoted(table))).await
    }

    /// A statement of ours about a table that the catalogue named: such statements take no parameters.
    pub(crate) async fn run(&mut self, name: &'static str, statement: String) -> Result<(), StoreError> {
        self.connection.execute(AssertSqlSafe(statement)).await.during(name).map(drop)
    }
}

/// A name as SQL takes it, whatever is in it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_quote_in_a_name_does_not_end_it() {
        assert_eq!(quoted("mcp_logs"), "\"mcp_logs\"");
        assert_eq!(quoted("a\"; drop table x"), "\"a\"\"; drop table x\"");
    }
}
