//! A credential is deleted, unless somebody holds it.

use roadstead_model::{Actor, CredentialId, InstanceId, UserId};
use sqlx::Connection as _;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Credentials;
use crate::StoreError;
use crate::convert::ActorColumns;
use crate::db::{Db, Within};
use crate::error::During;

const NAME: &str = "db.credential.delete";

/// Which instances keep a credential from being deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holding {
    /// Those that live, and those that were lost and may be restored with it.
    LiveOrLost,
    /// Those that live.
    Live,
}

/// What came of a deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deletion {
    /// It is gone, and its sealed values are destroyed.
    Done,
    /// There is none of this id, or it is not the owner's.
    Missing,
    /// These hold it; nothing was changed.
    Held(Vec<InstanceId>),
}

impl<D: Db> Credentials<D> {
    /// Soft-deletes a credential and wipes its sealed values, unless instances hold it.
    ///
    /// Its row is locked before they are looked for: a launch with it has either written its row, and is seen, or waits,
    /// and then finds the credential deleted (see `Instances::reserve`).
    #[tracing::instrument(name = "db.credential.delete", skip_all, fields(credential.id = %id), err(level = "debug"))]
    pub async fn delete(
        &mut self,
        id: CredentialId,
        owner: Option<UserId>,
        holding: Holding,
        actor: &Actor,
        at: OffsetDateTime,
    ) -> Result<Deletion, StoreError> {
        let mut connection = self.db.connection().await.during(NAME)?;
        let mut transaction = connection.begin().await.during(NAME)?;
        let found = sqlx::query_scalar!(
            r#"select 1 as "one!" from credentials
               where id = $1 and deleted_at is null and ($2::uuid is null or user_id = $2) for update"#,
            id.uuid(),
            owner.map(UserId::uuid),
        )
        .fetch_optional(&mut *transaction)
        .await
        .during(NAME)?;
        if found.is_none() {
            return Ok(Deletion::Missing);
        }
        let holders: Vec<Uuid> = sqlx::query_scalar!(
            "select id from mcp_instances
             where credential_id = $1 and deleted_at is null
               and (status in ('pending', 'running') or ($2 and status = 'disconnected'))
             order by created_at, id",
            id.uuid(),
            holding == Holding::LiveOrLost,
        )
        .fetch_all(&mut *transaction)
        .await
        .during(NAME)?;
        if !holders.is_empty() {
            return Ok(Deletion::Held(holders.into_iter().map(InstanceId::from_uuid).collect()));
        }
        let actor = ActorColumns::from(actor);
        sqlx::query!(
            "with deleted as (
               update credentials set deleted_at = $2, is_active = false where id = $1 returning id
             ), wiped as (
               delete from credential_secrets s using deleted where s.credential_id = deleted.id
             )
             insert into credential_events (id, credential_id, at, event_type, user_id, api_key_id)
             select uuid_v7($2), id, $2, 'deleted', $3, $4 from deleted",
            id.uuid(),
            at,
            actor.user,
            actor.api_key,
        )
        .execute(&mut *transaction)
        .await
        .during(NAME)?;
        transaction.commit().await.during(NAME)?;
        Ok(Deletion::Done)
    }
}

impl Credentials<Within<'_>> {
    /// Switches a credential off: no launch begins with it any more. False when there is none of this owner.
    #[tracing::instrument(name = "db.credential.switch_off", skip_all, fields(credential.id = %id), err(level = "debug"))]
    pub async fn switch_off(&mut self, id: CredentialId, owner: Option<UserId>) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "update credentials set is_active = false
             where id = $1 and deleted_at is null and ($2::uuid is null or user_id = $2)",
            id.uuid(),
            owner.map(UserId::uuid),
        )
        .execute(&mut *self.db.connection)
        .await
        .during("db.credential.switch_off")?;
        Ok(done.rows_affected() == 1)
    }
}
