//! Migrations: embedded, reversible, run on a connection of the schema's owner.

use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};
use time::OffsetDateTime;

use crate::Store;

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");
/// The lock of whoever changes the schema: `roads` and a number, in ASCII.
const TURN: i64 = 0x0072_6f61_6473_0001;
/// How often whoever waits for it asks again.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// Why the schema was not changed.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The owner's connection failed.
    #[error("could not look at the schema as its owner")]
    Connection(#[source] sqlx::Error),
    /// No migration has that number.
    #[error("there is no migration {0}")]
    Unknown(i64),
    /// A migration failed and left nothing, or the history is not ours.
    #[error("could not change the schema")]
    Migration(#[source] sqlx::migrate::MigrateError),
}

/// One migration and whether it was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationStatus {
    /// Its number.
    pub version: i64,
    /// What it is about.
    pub description: String,
    /// When it was applied; none when it is pending.
    pub applied_at: Option<OffsetDateTime>,
}

/// A migration of the history or of this program, and whether the two agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum {
    /// Its number.
    pub version: i64,
    /// What it is about.
    pub description: String,
    /// Whether it was applied.
    pub applied: bool,
    /// Whether this program carries it.
    pub known: bool,
    /// Whether what was applied has the text that this program carries.
    pub same: bool,
}

/// Applies what is pending, up to and including `to`; says the numbers of what was new.
#[tracing::instrument(name = "db.migrate.up", skip_all, err(level = "debug"))]
pub async fn up(owner: &PgConnectOptions, to: Option<i64>) -> Result<Vec<i64>, MigrateError> {
    if let Some(target) = to {
        known(target)?;
    }
    let mut connection = owner.connect().await.map_err(MigrateError::Connection)?;
    take_turn(&mut connection).await.map_err(MigrateError::Connection)?;
    let before = applied(&mut connection).await?;
    match to {
        Some(target) => MIGRATIONS.run_to(target, &mut connection).await,
        None => MIGRATIONS.run(&mut connection).await,
    }
    .map_err(MigrateError::Migration)?;
    grant(&mut connection).await.map_err(MigrateError::Connection)?;
    let after = applied(&mut connection).await?;
    connection.close().await.map_err(MigrateError::Connection)?;
    Ok(after.into_keys().filter(|version| !before.contains_key(version)).collect())
}

/// Undoes every migration after `to`, newest first; 0 undoes all. The rows of the tables that go are lost.
#[tracing::instrument(name = "db.migrate.rollback", skip_all, err(level = "debug"))]
pub async fn rollback(owner: &PgConnectOptions, to: i64) -> Result<Vec<i64>, MigrateError> {
    if to != 0 {
        known(to)?;
    }
    let mut connection = owner.connect().await.map_err(MigrateError::Connection)?;
    take_turn(&mut connection).await.map_err(MigrateError::Connection)?;
    let before = applied(&mut connection).await?;
    MIGRATIONS.undo(&mut connection, to).await.map_err(MigrateError::Migration)?;
    let after = applied(&mut connection).await?;
    connection.close().await.map_err(MigrateError::Connection)?;
    Ok(before.into_keys().rev().filter(|version| !after.contains_key(version)).collect())
}

/// Waits until nobody else changes the schema; the turn ends with the connection. Asked again and again: a statement that
/// waits for a lock has a snapshot, and an index that is built beside readers waits for all who have an older one.
async fn take_turn(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    loop {
        let question = sqlx::query_scalar::<_, bool>("select pg_try_advisory_lock($1)").bind(TURN);
        if question.fetch_one(&mut *connection).await? {
            return Ok(());
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

/// Every migration and whether it was applied.
#[tracing::instrument(name = "db.migrate.status", skip_all, err(level = "debug"))]
pub async fn status(owner: &PgConnectOptions) -> Result<Vec<MigrationStatus>, MigrateError> {
    let mut connection = owner.connect().await.map_err(MigrateError::Connection)?;
    let applied = applied(&mut connection).await?;
    connection.close().await.map_err(MigrateError::Connection)?;
    Ok(described(&applied))
}

/// The history held against what this program carries, by number.
#[tracing::instrument(name = "db.migrate.checksums", skip_all, err(level = "debug"))]
pub async fn checksums(owner: &PgConnectOptions) -> Result<Vec<Checksum>, MigrateError> {
    let mut connection = owner.connect().await.map_err(MigrateError::Connection)?;
    let history = history(&mut connection).await?;
    connection.close().await.map_err(MigrateError::Connection)?;
    let ups = || MIGRATIONS.iter().filter(|one| !one.migration_type.is_down_migration());
    let mut all: std::collections::BTreeMap<i64, Checksum> = ups()
        .map(|one| {
            let (version, description) = (one.version, one.description.to_string());
            (version, Checksum { version, description, applied: false, known: true, same: false })
        })
        .collect();
    for (version, description, checksum) in history {
        let entry = all.entry(version).or_insert(Checksum {
            version,
            description,
            applied: true,
            known: false,
            same: false,
        });
        entry.applied = true;
        entry.same = ups().any(|one| one.version == version && *one.checksum == *checksum);
    }
    Ok(all.into_values().collect())
}

/// The newest migration that this program carries.
pub fn newest() -> i64 {
    MIGRATIONS.iter().map(|one| one.version).max().unwrap_or(0)
}

impl Store {
    /// The migrations that the application's own connection finds pending: it must not serve before they ran.
    #[tracing::instrument(name = "db.migrate.pending", skip_all, err(level = "debug"))]
    pub async fn pending_migrations(&self) -> Result<Vec<MigrationStatus>, MigrateError> {
        let mut connection = self.pool.acquire().await.map_err(MigrateError::Connection)?;
        let applied = applied(&mut connection).await?;
        Ok(described(&applied).into_iter().filter(|one| one.applied_at.is_none()).collect())
    }
}

type Applied = std::collections::BTreeMap<i64, OffsetDateTime>;

fn known(version: i64) -> Result<(), MigrateError> {
    if MIGRATIONS.version_exists(version) { Ok(()) } else { Err(MigrateError::Unknown(version)) }
}

fn described(applied: &Applied) -> Vec<MigrationStatus> {
    MIGRATIONS
        .iter()
        .filter(|migration| !migration.migration_type.is_down_migration())
        .map(|migration| MigrationStatus {
            version: migration.version,
            description: migration.description.to_string(),
            applied_at: applied.get(&migration.version).copied(),
        })
        .collect()
}

/// Whether anything was ever applied. The migrator's own table is made by no migration: statements about it cannot be checked
/// early.
async fn has_history(connection: &mut PgConnection) -> Result<bool, MigrateError> {
    sqlx::query_scalar("select to_regclass('public._sqlx_migrations') is not null")
        .fetch_one(connection)
        .await
        .map_err(MigrateError::Connection)
}

async fn history(connection: &mut PgConnection) -> Result<Vec<(i64, String, Vec<u8>)>, MigrateError> {
    if !has_history(connection).await? {
        return Ok(Vec::new());
    }
    sqlx::query_as(
        "select version, description, checksum from public._sqlx_migrations where success order by version",
    )
    .fetch_all(connection)
    .await
    .map_err(MigrateError::Connection)
}

async fn applied(connection: &mut PgConnection) -> Result<Applied, MigrateError> {
    if !has_history(connection).await? {
        return Ok(Applied::new());
    }
    let rows: Vec<(i64, OffsetDateTime)> =
        sqlx::query_as("select version, installed_on from public._sqlx_migrations where success")
            .fetch_all(connection)
            .await
            .map_err(MigrateError::Connection)?;
    Ok(rows.into_iter().collect())
}

/// Gives the application role its rights again: the role may be newer than the tables.
async fn grant(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let there: bool =
        sqlx::query_scalar("select to_regprocedure('public.grant_application_role()') is not null")
            .fetch_one(&mut *connection)
            .await?;
    if there {
        sqlx::query("select public.grant_application_role()").execute(connection).await?;
    }
    Ok(())
}
