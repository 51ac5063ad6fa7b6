//! Values that are sealed anew, many at a time: held, so that nobody changes them meanwhile, and never waited for.

use roadstead_model::{NewAudit, Operation};
use sqlx::postgres::PgQueryResult;
use sqlx::{Postgres, Transaction};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{KeyRotations, RotationRow};
use crate::StoreError;
use crate::audit::Audit;
use crate::db::{System, Within};
use crate::error::During;

const NAME: &str = "db.key_rotation.hold";

/// Where sealed values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealedTable {
    /// Values of credentials.
    Credentials,
    /// Values that were given with a launch.
    Instances,
    /// Answers that are kept under callers' keys.
    Answers,
    /// Settings that nobody may see.
    Settings,
}

impl SealedTable {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Credentials, Self::Instances, Self::Answers, Self::Settings];
}

/// Where a value is within its table, in the order in which they are gone through.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ValuePlace {
    /// The credential, the instance, or the caller; the nil UUID of a setting.
    pub row: Uuid,
    /// The slot, what was asked, or the setting.
    pub slot: String,
    /// The caller's key; empty where there is none.
    pub key: String,
}

/// A sealed value, and what it is bound to beside its place.
#[derive(Debug, Clone)]
pub struct SealedValue {
    /// Where it is.
    pub place: ValuePlace,
    /// Whose it is.
    pub owner: Uuid,
    /// The type that it is for; none of an answer.
    pub type_id: Option<Uuid>,
    /// The value.
    pub sealed: Vec<u8>,
}

/// Values that nobody else changes until they are written or let go.
#[derive(Debug)]
#[must_use = "dropped, the values are free again, and as they were"]
pub struct HeldValues {
    table: SealedTable,
    rotation: RotationRow,
    /// What is held.
    pub values: Vec<SealedValue>,
    transaction: Transaction<'static, Postgres>,
}

struct Record {
    row: Uuid,
    slot: String,
    key: String,
    owner: Uuid,
    type_id: Option<Uuid>,
    sealed: Vec<u8>,
}

impl From<Record> for SealedValue {
    fn from(record: Record) -> Self {
        Self {
            place: ValuePlace { row: record.row, slot: record.slot, key: record.key },
            owner: record.owner,
            type_id: record.type_id,
            sealed: record.sealed,
        }
    }
}

impl KeyRotations<System<'_>> {
    /// Holds some values of a table that another key than the rotation's has sealed, those after a place; without those
    /// that somebody else changes at this moment.
    #[tracing::instrument(name = "db.key_rotation.hold", skip_all, err(level = "debug"))]
    pub async fn hold(
        &self,
        rotation: &RotationRow,
        table: SealedTable,
        after: &ValuePlace,
        limit: u32,
    ) -> Result<HeldValues, StoreError> {
        let mut transaction = self.db.pool.begin().await.during(NAME)?;
        let key = rotation.to_key.to_be_bytes();
        let (key, limit) = (&key[..], i64::from(limit));
        let records = match table {
            SealedTable::Credentials => {
                sqlx::query_as!(
                    Record,
                    r#"select s.credential_id as "row", s.slot, '' as "key!", c.user_id as "owner",
                              c.mcp_type_id as "type_id?", s.sealed
                       from credential_secrets s join credentials c on c.id = s.credential_id
                       where substring(s.sealed from 2 for 4) <> $1 and (s.credential_id, s.slot) > ($2, $3)
                       order by s.credential_id, s.slot limit $4
                       for no key update of s skip locked"#,
                    key,
                    after.row,
                    after.slot,
                    limit,
                )
                .fetch_all(&mut *transaction)
                .await
            }
            SealedTable::Instances => {
                sqlx::query_as!(
                    Record,
                    r#"select s.instance_id as "row", s.slot, '' as "key!", i.user_id as "owner",
                              i.mcp_type_id as "type_id?", s.sealed
                       from instance_secrets s join mcp_instances i on i.id = s.instance_id
                       where substring(s.sealed from 2 for 4) <> $1 and (s.instance_id, s.slot) > ($2, $3)
                       order by s.instance_id, s.slot limit $4
                       for no key update of s skip locked"#,
                    key,
                    after.row,
                    after.slot,
                    limit,
                )
                .fetch_all(&mut *transaction)
                .await
            }
            SealedTable::Answers => {
                sqlx::query_as!(
                    Record,
                    r#"select user_id as "row", route as "slot", key, user_id as "owner", null::uuid as "type_id?",
                              sealed_answer as "sealed!"
                       from idempotency_keys
                       where substring(sealed_answer from 2 for 4) <> $1 and (user_id, route, key) > ($2, $3, $4)
                       order by user_id, route, key limit $5
                       for no key update skip locked"#,
                    key,
                    after.row,
                    after.slot,
                    after.key,
                    limit,
                )
                .fetch_all(&mut *transaction)
                .await
            }
            SealedTable::Settings => hold_settings(&mut transaction, key, after, limit).await,
        };
        let values = records.during(NAME)?.into_iter().map(SealedValue::from).collect();
        Ok(HeldValues { table, rotation: rotation.clone(), values, transaction })
    }
}

impl HeldValues {
    /// Writes what was sealed anew, counts it, and lets everything go. What is in none of the pairs stays as it is.
    #[tracing::instrument(name = "db.key_rotation.replace", skip_all, err(level = "debug"))]
    pub async fn replace(mut self, renewed: &[(SealedValue, Vec<u8>)]) -> Result<u64, StoreError> {
        const NAME: &str = "db.key_rotation.replace";
        let rows: Vec<Uuid> = renewed.iter().map(|(old, _)| old.place.row).collect();
        let slots: Vec<String> = renewed.iter().map(|(old, _)| old.place.slot.clone()).collect();
        let keys: Vec<String> = renewed.iter().map(|(old, _)| old.place.key.clone()).collect();
        let old: Vec<Vec<u8>> = renewed.iter().map(|(old, _)| old.sealed.clone()).collect();
        let new: Vec<Vec<u8>> = renewed.iter().map(|(_, new)| new.clone()).collect();
        let written = match self.table {
            SealedTable::Credentials => {
                sqlx::query!(
                    "update credential_secrets s set sealed = n.new
                     from unnest($1::uuid[], $2::text[], $3::bytea[], $4::bytea[]) as n (id, slot, old, new)
                     where s.credential_id = n.id and s.slot = n.slot and s.sealed = n.old",
                    &rows,
                    &slots,
                    &old,
                    &new,
                )
                .execute(&mut *self.transaction)
                .await
            }
            SealedTable::Instances => {
                sqlx::query!(
                    "update instance_secrets s set sealed = n.new
                     from unnest($1::uuid[], $2::text[], $3::bytea[], $4::bytea[]) as n (id, slot, old, new)
                     where s.instance_id = n.id and s.slot = n.slot and s.sealed = n.old",
                    &rows,
                    &slots,
                    &old,
                    &new,
                )
                .execute(&mut *self.transaction)
                .await
            }
            SealedTable::Answers => {
                sqlx::query!(
                    "update idempotency_keys s set sealed_answer = n.new
                     from unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::bytea[])
                       as n (id, route, key, old, new)
                     where s.user_id = n.id and s.route = n.route and s.key = n.key and s.sealed_answer = n.old",
                    &rows,
                    &slots,
                    &keys,
                    &old,
                    &new,
                )
                .execute(&mut *self.transaction)
                .await
            }
            SealedTable::Settings => {
                note_settings(&mut self.transaction, self.rotation.started_at).await?;
                replace_settings(&mut self.transaction, &slots, &old, &new).await
            }
        };
        let written = written.during(NAME)?.rows_affected();
        sqlx::query!(
            "update key_rotations set done = done + $2 where id = $1 and finished_at is null",
            self.rotation.id.uuid(),
            i64::try_from(written).unwrap_or(0),
        )
        .execute(&mut *self.transaction)
        .await
        .during(NAME)?;
        self.transaction.commit().await.during(NAME)?;
        Ok(written)
    }
}

async fn hold_settings(
    transaction: &mut Transaction<'static, Postgres>,
    key: &[u8],
    after: &ValuePlace,
    limit: i64,
) -> Result<Vec<Record>, sqlx::Error> {
    sqlx::query_as!(
                    Record,
                    r#"select '00000000-0000-0000-0000-000000000000'::uuid as "row!", key as "slot", '' as "key!",
                              '00000000-0000-0000-0000-000000000000'::uuid as "owner!", null::uuid as "type_id?",
                              sealed as "sealed!"
                       from system_settings
                       where substring(sealed from 2 for 4) <> $1 and key > $2
                       order by key limit $3
                       for no key update skip locked"#,
                    key,
                    after.slot,
                    limit,
                )
                .fetch_all(&mut **transaction)
                .await
}

/// A change of a setting is written down, whatever made it.
async fn note_settings(
    transaction: &mut Transaction<'static, Postgres>,
    at: OffsetDateTime,
) -> Result<(), StoreError> {
    let entry = NewAudit::by_system(Operation::MasterKeyRotate.action(), at);
    Audit { db: Within { connection: transaction } }.append(&entry).await
}

async fn replace_settings(
    transaction: &mut Transaction<'static, Postgres>,
    keys: &[String],
    old: &[Vec<u8>],
    new: &[Vec<u8>],
) -> Result<PgQueryResult, sqlx::Error> {
    sqlx::query!(
        "update system_settings s set sealed = n.new
                     from unnest($1::text[], $2::bytea[], $3::bytea[]) as n (key, old, new)
                     where s.key = n.key and s.sealed = n.old",
        keys,
        old,
        new,
    )
    .execute(&mut **transaction)
    .await
}
