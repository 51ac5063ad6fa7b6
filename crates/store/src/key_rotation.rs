//! Rotation of the master key: the run's own row, what is sealed with which key, and batches of values that are held
//! while they are sealed anew. A key is a number here; its bytes are the second to fifth of what it sealed.

mod batch;
mod retire;

use roadstead_model::RotationId;
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::StoreError;
use crate::db::{Db, System};
use crate::error::During;

pub use batch::{HeldValues, SealedTable, SealedValue, ValuePlace};
pub use retire::{MasterKeyUse, Retirement};

const TABLE: &str = "key_rotations";

/// One run: every value sealed with one key.
#[derive(Debug, Clone, PartialEq)]
pub struct RotationRow {
    /// Its id.
    pub id: RotationId,
    /// The key that everything is sealed with in the end.
    pub to_key: u32,
    /// When it began.
    pub started_at: OffsetDateTime,
    /// When everything was.
    pub finished_at: Option<OffsetDateTime>,
    /// Values that other keys had sealed when it began.
    pub total: u64,
    /// Values sealed anew so far.
    pub done: u64,
    /// Values that did not open when it went over them last.
    pub failed: u64,
    /// Which, and why: the first few.
    pub failures: Value,
}

struct Record {
    id: Uuid,
    to_key: i64,
    started_at: OffsetDateTime,
    finished_at: Option<OffsetDateTime>,
    total: i64,
    done: i64,
    failed: i64,
    failures: Value,
}

impl TryFrom<Record> for RotationRow {
    type Error = StoreError;

    fn try_from(record: Record) -> Result<Self, StoreError> {
        let key = u32::try_from(record.to_key);
        Ok(Self {
            id: RotationId::from_uuid(record.id),
            to_key: key.map_err(|_| StoreError::inconsistent(TABLE, record.id, "its key is none"))?,
            started_at: record.started_at,
            finished_at: record.finished_at,
            total: record.total.unsigned_abs(),
            done: record.done.unsigned_abs(),
            failed: record.failed.unsigned_abs(),
            failures: record.failures,
        })
    }
}

/// The rotations' rows, and every sealed value.
#[derive(Debug, Clone, Copy)]
pub struct KeyRotations<D> {
    pub(crate) db: D,
}

impl<D: Db> KeyRotations<D> {
    /// Begins a run to a key, if none is under way. False when one is.
    #[tracing::instrument(name = "db.key_rotation.begin", skip_all, err(level = "debug"))]
    pub async fn begin(
        &mut self,
        id: RotationId,
        to_key: u32,
        at: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        const NAME: &str = "db.key_rotation.begin";
        let mut connection = self.db.connection().await.during(NAME)?;
        let done = sqlx::query!(
            "insert into key_rotations (id, to_key, started_at, total)
             select $1, $2, $3,
               (select count(*) from credential_secrets where substring(sealed from 2 for 4) <> $4)
               + (select count(*) from instance_secrets where substring(sealed from 2 for 4) <> $4)
               + (select count(*) from idempotency_keys where substring(sealed_answer from 2 for 4) <> $4)
               + (select count(*) from system_settings where substring(sealed from 2 for 4) <> $4)
             on conflict do nothing",
            id.uuid(),
            i64::from(to_key),
            at,
            &to_key.to_be_bytes()[..],
        )
        .execute(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        Ok(done.rows_affected() == 1)
    }
}

impl KeyRotations<System<'_>> {
    /// The run that is under way.
    #[tracing::instrument(name = "db.key_rotation.unfinished", skip_all, err(level = "debug"))]
    pub async fn unfinished(&self) -> Result<Option<RotationRow>, StoreError> {
        let record = sqlx::query_as!(
            Record,
            "select id, to_key, started_at, finished_at, total, done, failed, failures
             from key_rotations where finished_at is null",
        )
        .fetch_optional(self.db.pool)
        .await
        .during("db.key_rotation.unfinished")?;
        record.map(RotationRow::try_from).transpose()
    }

    /// The run that began last.
    #[tracing::instrument(name = "db.key_rotation.latest", skip_all, err(level = "debug"))]
    pub async fn latest(&self) -> Result<Option<RotationRow>, StoreError> {
        let record = sqlx::query_as!(
            Record,
            "select id, to_key, started_at, finished_at, total, done, failed, failures
             from key_rotations order by started_at desc, id desc limit 1",
        )
        .fetch_optional(self.db.pool)
        .await
        .during("db.key_rotation.latest")?;
        record.map(RotationRow::try_from).transpose()
    }

    /// Forgets a run that never began: its key was not written down, so nothing can have been sealed with it.
    #[tracing::instrument(name = "db.key_rotation.forget", skip_all, fields(rotation.id = %id), err(level = "debug"))]
    pub async fn forget(&self, id: RotationId) -> Result<bool, StoreError> {
        let done = sqlx::query!("delete from key_rotations where id = $1 and finished_at is null", id.uuid())
            .execute(self.db.pool)
            .await
            .during("db.key_rotation.forget")?;
        Ok(done.rows_affected() == 1)
    }

    /// Notes what a whole pass over all values could not open.
    #[tracing::instrument(name = "db.key_rotation.note_pass", skip_all, fields(rotation.id = %id), err(level = "debug"))]
    pub async fn note_pass(&self, id: RotationId, failed: u64, failures: &Value) -> Result<(), StoreError> {
        sqlx::query!(
            "update key_rotations set failed = $2, failures = $3 where id = $1 and finished_at is null",
            id.uuid(),
            i64::try_from(failed).unwrap_or(i64::MAX),
            failures,
        )
        .execute(self.db.pool)
        .await
        .during("db.key_rotation.note_pass")
        .map(drop)
    }

    /// Ends a run, and the probe of the master key with it, if no value is sealed with another key any more.
    #[tracing::instrument(name = "db.key_rotation.finish", skip_all, fields(rotation.id = %rotation.id), err(level = "debug"))]
    pub async fn finish(
        &self,
        rotation: &RotationRow,
        probe: &[u8],
        at: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "with finished as (
               update key_rotations set finished_at = greatest($2, started_at), failed = 0, failures = '[]'
               where id = $1 and finished_at is null
                 and not exists (select from credential_secrets where substring(sealed from 2 for 4) <> $3)
                 and not exists (select from instance_secrets where substring(sealed from 2 for 4) <> $3)
                 and not exists (select from idempotency_keys where substring(sealed_answer from 2 for 4) <> $3)
                 and not exists (select from system_settings where substring(sealed from 2 for 4) <> $3)
               returning id
             )
             update ring_check set sealed = $4 from finished",
            rotation.id.uuid(),
            at,
            &rotation.to_key.to_be_bytes()[..],
            probe,
        )
        .execute(self.db.pool)
        .await
        .during("db.key_rotation.finish")?;
        Ok(done.rows_affected() == 1)
    }
}
