//! What needs a key, and its retirement.

use sqlx::{Connection as _, Postgres, Transaction};
use time::OffsetDateTime;

use super::KeyRotations;
use crate::StoreError;
use crate::db::{Db, System};
use crate::error::During;

/// What needs a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MasterKeyUse {
    /// The key.
    pub key: u32,
    /// Values that it has sealed.
    pub values: u64,
    /// Live instances whose control connection is proved with a secret that was made from it.
    pub instances: u64,
}

/// What came of a retirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retirement {
    /// Nothing needs the key, and nothing can be sealed with it any more.
    Done,
    /// This needs it; nothing was changed.
    Needed(MasterKeyUse),
}

impl KeyRotations<System<'_>> {
    /// Every key that something needs, and how much.
    #[tracing::instrument(name = "db.key_rotation.uses", skip_all, err(level = "debug"))]
    pub async fn uses(&self) -> Result<Vec<MasterKeyUse>, StoreError> {
        let rows = sqlx::query!(
            r#"select key as "key!", sum(values)::bigint as "values!", sum(instances)::bigint as "instances!"
               from (
                 select substring(sealed from 2 for 4) as key, count(*) as values, 0 as instances
                 from credential_secrets group by 1
                 union all
                 select substring(sealed from 2 for 4), count(*), 0 from instance_secrets group by 1
                 union all
                 select substring(sealed_answer from 2 for 4), count(*), 0
                 from idempotency_keys where sealed_answer is not null group by 1
                 union all
                 select substring(sealed from 2 for 4), count(*), 0
                 from system_settings where sealed is not null group by 1
                 union all
                 select substring(sealed from 2 for 4), 0, 0 from ring_check
                 union all
                 select substring(int8send(control_key) from 5), 0, count(*) from mcp_instances
                 where status in ('pending', 'running') and control_key is not null group by 1
               ) as found group by key order by key"#,
        )
        .fetch_all(self.db.pool)
        .await
        .during("db.key_rotation.uses")?;
        let uses = rows.into_iter().filter_map(|row| {
            let key = u32::from_be_bytes(row.key.try_into().ok()?);
            Some(MasterKeyUse {
                key,
                values: row.values.unsigned_abs(),
                instances: row.instances.unsigned_abs(),
            })
        });
        Ok(uses.collect())
    }

    /// Whether a key has sealed any value that is there.
    #[tracing::instrument(name = "db.key_rotation.has_sealed", skip_all, err(level = "debug"))]
    pub async fn has_sealed(&self, key: u32) -> Result<bool, StoreError> {
        sqlx::query_scalar!(
            r#"select exists (select from credential_secrets where substring(sealed from 2 for 4) = $1)
                   or exists (select from instance_secrets where substring(sealed from 2 for 4) = $1)
                   or exists (select from idempotency_keys where substring(sealed_answer from 2 for 4) = $1)
                   or exists (select from system_settings where substring(sealed from 2 for 4) = $1)
                   or exists (select from ring_check where substring(sealed from 2 for 4) = $1) as "has!""#,
            &key.to_be_bytes()[..],
        )
        .fetch_one(self.db.pool)
        .await
        .during("db.key_rotation.has_sealed")
    }
}

impl<D: Db> KeyRotations<D> {
    /// Retires a key that nothing needs: from now on the database refuses whatever is sealed with it, so that a request
    /// which began long ago leaves nothing behind that no key opens.
    #[tracing::instrument(name = "db.key_rotation.retire", skip_all, err(level = "debug"))]
    pub async fn retire(&mut self, key: u32, at: OffsetDateTime) -> Result<Retirement, StoreError> {
        const NAME: &str = "db.key_rotation.retire";
        let mut connection = self.db.connection().await.during(NAME)?;
        let mut transaction = connection.begin().await.during(NAME)?;
        // Whoever is about to write a value has done so, or sees the retirement. Readers go on; a launch waits a moment.
        sqlx::query!("set local lock_timeout = '5s'").execute(&mut *transaction).await.during(NAME)?;
        sqlx::query!(
            "lock table credential_secrets, instance_secrets, idempotency_keys, system_settings in share mode"
        )
        .execute(&mut *transaction)
        .await
        .during(NAME)?;
        let needed = needs(&mut transaction, key).await.during(NAME)?;
        if (needed.values, needed.instances) != (0, 0) {
            return Ok(Retirement::Needed(needed));
        }
        sqlx::query!(
            "insert into retired_keys (key, retired_at) values ($1, $2) on conflict do nothing",
            i64::from(key),
            at,
        )
        .execute(&mut *transaction)
        .await
        .during(NAME)?;
        transaction.commit().await.during(NAME)?;
        Ok(Retirement::Done)
    }
}

impl KeyRotations<System<'_>> {
    /// Whether a key was retired.
    #[tracing::instrument(name = "db.key_rotation.is_retired", skip_all, err(level = "debug"))]
    pub async fn is_retired(&self, key: u32) -> Result<bool, StoreError> {
        sqlx::query_scalar!(
            r#"select exists (select from retired_keys where key = $1) as "is!""#,
            i64::from(key)
        )
        .fetch_one(self.db.pool)
        .await
        .during("db.key_rotation.is_retired")
    }
}

async fn needs(transaction: &mut Transaction<'_, Postgres>, key: u32) -> Result<MasterKeyUse, sqlx::Error> {
    let values = sqlx::query_scalar!(
        r#"select (select count(*) from credential_secrets where substring(sealed from 2 for 4) = $1)
                + (select count(*) from instance_secrets where substring(sealed from 2 for 4) = $1)
                + (select count(*) from idempotency_keys where substring(sealed_answer from 2 for 4) = $1)
                + (select count(*) from system_settings where substring(sealed from 2 for 4) = $1)
                + (select count(*) from ring_check where substring(sealed from 2 for 4) = $1) as "values!""#,
        &key.to_be_bytes()[..],
    )
    .fetch_one(&mut **transaction)
    .await?;
    // One that has not said yet which key it needs may need any that sealed before the last rotation.
    let instances = sqlx::query_scalar!(
        r#"select count(*) as "instances!" from mcp_instances
           where status in ('pending', 'running')
             and (control_key = $1 or (control_key is null and created_at <= coalesce(
                   (select max(finished_at) from key_rotations), 'infinity')))"#,
        i64::from(key),
    )
    .fetch_one(&mut **transaction)
    .await?;
    Ok(MasterKeyUse { key, values: values.unsigned_abs(), instances: instances.unsigned_abs() })
}
