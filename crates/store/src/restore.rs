//! Putting a backup in the place of what a database holds: what is there is set aside, not thrown away, until what comes is whole.

mod table;

use std::collections::BTreeMap;

use roadstead_model::InstallationId;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection, Executor};
use time::OffsetDateTime;

use crate::backup::{ChainHead, chain_heads, counts, key_ids};
use crate::error::During;
use crate::{Maintenance, StoreError};

pub use table::{Missing, TableRestore};

/// A database that a backup comes into, as the owner of its tables.
#[derive(Debug)]
pub struct Restoring {
    connection: PgConnection,
}

impl Restoring {
    /// Connects as the owner.
    #[tracing::instrument(name = "db.restore.open", skip_all, err(level = "debug"))]
    pub async fn open(owner: &PgConnectOptions) -> Result<Self, StoreError> {
        let connection = owner
            .clone()
            .application_name("roadstead db restore")
            .connect()
            .await
            .during("db.restore.open")?;
        Ok(Self { connection })
    }

    /// The major version of the server.
    pub fn server_major(&self) -> u32 {
        self.connection.server_version_num().unwrap_or(0) / 10_000
    }

    /// Whether there is nothing of ours in it.
    #[tracing::instrument(name = "db.restore.is_empty", skip_all, err(level = "debug"))]
    pub async fn is_empty(&mut self) -> Result<bool, StoreError> {
        sqlx::query_scalar!(
            r#"select not exists (select from pg_class where relnamespace = 'public'::regnamespace)
                 and not exists (select from pg_proc where pronamespace = 'public'::regnamespace) as "empty!""#,
        )
        .fetch_one(&mut self.connection)
        .await
        .during("db.restore.is_empty")
    }

    /// Whether what is there was set aside by an attempt that was broken off.
    #[tracing::instrument(name = "db.restore.was_set_aside", skip_all, err(level = "debug"))]
    pub async fn was_set_aside(&mut self) -> Result<bool, StoreError> {
        sqlx::query_scalar!(r#"select to_regnamespace('roadstead_set_aside') is not null as "there!""#)
            .fetch_one(&mut self.connection)
            .await
            .during("db.restore.was_set_aside")
    }

    /// Renames the schema with everything in it, and makes an empty one.
    pub async fn set_aside(&mut self) -> Result<(), StoreError> {
        let both = "begin; alter schema public rename to roadstead_set_aside; create schema public; commit";
        self.run("db.restore.set_aside", both).await
    }

    /// Undoes [`Self::set_aside`]: what came so far goes.
    pub async fn bring_back(&mut self) -> Result<(), StoreError> {
        let both =
            "begin; drop schema public cascade; alter schema roadstead_set_aside rename to public; commit";
        self.run("db.restore.bring_back", both).await
    }

    /// Throws away what was set aside.
    pub async fn forget_aside(&mut self) -> Result<(), StoreError> {
        self.run("db.restore.forget_aside", "drop schema if exists roadstead_set_aside cascade").await
    }

    async fn run(&mut self, name: &'static str, statement: &'static str) -> Result<(), StoreError> {
        self.connection.execute(statement).await.during(name).map(drop)
    }

    /// The rows of every table.
    pub async fn counts(&mut self) -> Result<BTreeMap<String, u64>, StoreError> {
        counts(&mut self.connection).await
    }

    /// The keys that something was sealed with.
    pub async fn key_ids(&mut self) -> Result<Vec<u32>, StoreError> {
        key_ids(&mut self.connection).await
    }

    /// The ends of the audit chains.
    pub async fn chain_heads(&mut self) -> Result<Vec<ChainHead>, StoreError> {
        chain_heads(&mut self.connection).await
    }

    /// Closes functions that not everybody could call where the backup was made.
    #[tracing::instrument(name = "db.restore.close_functions", skip_all, err(level = "debug"))]
    pub async fn close_functions(&mut self, names: &[String]) -> Result<(), StoreError> {
        const NAME: &str = "db.restore.close_functions";
        // The server writes the statements: a name in a file is compared, never run.
        let statements = sqlx::query_scalar!(
            r#"select format('revoke all on function %s from public', oid::regprocedure) as "statement!" from pg_proc
               where pronamespace = 'public'::regnamespace and oid::regprocedure::text = any($1)"#,
            names,
        )
        .fetch_all(&mut self.connection)
        .await
        .during(NAME)?;
        for statement in statements {
            self.connection.execute(sqlx::AssertSqlSafe(statement)).await.during(NAME)?;
        }
        Ok(())
    }

    /// Ends the rows of instances that ran where the backup was made; says how many there were.
    #[tracing::instrument(name = "db.restore.lose_instances", skip_all, err(level = "debug"))]
    pub async fn lose_instances(
        &mut self,
        installation: InstallationId,
        at: OffsetDateTime,
    ) -> Result<u64, StoreError> {
        let lost = sqlx::query_scalar!(
            r#"with ended as (
                 update mcp_instances
                 set status = 'disconnected', ended_at = greatest($2, started_at, created_at), assigned_port = null,
                     stopping_at = null, exit = coalesce(exit, '{}') || '{"lost_with": "restore"}'
                 where status in ('pending', 'running') and node_id <> $1
                 returning id, ended_at
               ), port as (
                 update port_allocations p
                 set mcp_instance_id = null, is_available = true, released_at = $2, released_by = ended.id
                 from ended where p.mcp_instance_id = ended.id
               ), event as (
                 insert into mcp_events (id, mcp_instance_id, at, event_type, event_data)
                 select uuid_v7(ended_at), id, ended_at, 'disconnected', '{"lost_with": "restore"}' from ended
               )
               select count(*) as "lost!" from ended"#,
            installation.uuid(),
            at,
        )
        .fetch_one(&mut self.connection)
        .await
        .during("db.restore.lose_instances")?;
        Ok(lost.unsigned_abs())
    }

    /// Ends the connection politely.
    pub async fn close(self) -> Result<(), StoreError> {
        self.connection.close().await.during("db.restore.close")
    }
}

impl Maintenance {
    /// Makes an empty database beside this one, for trying a backup; false when this role may not.
    pub async fn make_database(&mut self, name: &str, owner: &str) -> Result<bool, StoreError> {
        use crate::maintain::quoted;
        let statement =
            format!("create database {} owner {} template template0", quoted(name), quoted(owner));
        match self.run("db.maintain.make_database", statement).await {
            Ok(()) => Ok(true),
            Err(StoreError::Database { source, .. })
                if source
                    .as_database_error()
                    .is_some_and(|error| error.code().as_deref() == Some("42501")) =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Throws such a database away.
    pub async fn drop_database(&mut self, name: &str) -> Result<(), StoreError> {
        let statement = format!("drop database if exists {}", crate::maintain::quoted(name));
        self.run("db.maintain.drop_database", statement).await
    }
}
