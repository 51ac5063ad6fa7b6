//! The rows of a running service's private database, for what no request can bring about.

use std::path::Path;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};

/// A connection with the service's own rights.
#[derive(Debug)]
pub struct Rows(PgConnection);

impl Rows {
    /// Connects to the private database in a data folder; it must run.
    pub async fn of(data: &Path) -> Self {
        Self::connect(data, "roadstead_app", "app.password").await
    }

    /// The same with the rights of the tables' owner, whom no trigger asks for an audit entry and no policy shows less.
    pub async fn of_owner(data: &Path) -> Self {
        Self::connect(data, "roadstead_owner", "owner.password").await
    }

    /// The same with the rights of the cluster's superuser, who looks after the server itself.
    pub async fn of_admin(data: &Path) -> Self {
        Self::connect(data, "roadstead_admin", "admin.password").await
    }

    async fn connect(data: &Path, role: &str, password: &str) -> Self {
        let folder = data.join("postgres");
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("a cluster has it");
        let socket = read("cluster/postmaster.pid").lines().nth(4).expect("its socket's folder").to_owned();
        let options = PgConnectOptions::new_without_pgpass()
            .socket(socket)
            .username(role)
            .password(read(password).trim())
            .database("roadstead");
        Self(options.connect().await.expect("the private database answers"))
    }

    /// Does it; answers how many rows it concerned.
    pub async fn execute(&mut self, sql: &str) -> u64 {
        let done = sqlx::query(AssertSqlSafe(sql)).execute(&mut self.0).await;
        done.unwrap_or_else(|error| panic!("{error} in {sql}")).rows_affected()
    }

    /// Tries what the database must refuse; answers what it says.
    pub async fn refused(&mut self, sql: &str) -> String {
        match sqlx::query(AssertSqlSafe(sql)).execute(&mut self.0).await {
            Ok(_) => panic!("the database did it: {sql}"),
            Err(error) => error.to_string(),
        }
    }

    /// A whole number.
    pub async fn number(&mut self, sql: &str) -> i64 {
        let found = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut self.0).await;
        found.unwrap_or_else(|error| panic!("{error} in {sql}"))
    }

    /// Words, one a row.
    pub async fn texts(&mut self, sql: &str) -> Vec<String> {
        let found = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut self.0).await;
        found.unwrap_or_else(|error| panic!("{error} in {sql}"))
    }

    /// How long an instance's deadline is away.
    pub async fn remaining(&mut self, id: &str) -> Duration {
        let micros = self
            .number(&format!(
                "select (extract(epoch from expires_at - clock_timestamp()) * 1000000)::bigint
                 from mcp_instances where id = '{id}'"
            ))
            .await;
        Duration::from_micros(micros.try_into().unwrap_or(0))
    }

    /// Closes it.
    pub async fn close(self) {
        let _ = self.0.close().await;
    }
}
