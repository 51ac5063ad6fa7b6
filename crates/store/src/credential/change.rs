//! A credential is changed: its values are replaced, all of them, or its name or its end alone.

use roadstead_model::{Actor, CredentialId, UserId};
use sqlx::{Connection as _, Postgres, Transaction};
use time::OffsetDateTime;

use super::{Credentials, NewSlot};
use crate::StoreError;
use crate::convert::ActorColumns;
use crate::db::Db;
use crate::error::During;

const NAME: &str = "db.credential.change";

/// What becomes of a credential.
#[derive(Debug, Clone)]
pub struct CredentialChange {
    /// The credential.
    pub id: CredentialId,
    /// Whose it is.
    pub owner: UserId,
    /// Another name; none to leave it.
    pub name: Option<String>,
    /// Another end, or no end any more; none to leave it.
    pub expires_at: Option<Option<OffsetDateTime>>,
    /// All of its values; none to leave them.
    pub slots: Option<Vec<NewSlot>>,
    /// Who changes it.
    pub actor: Actor,
    /// Now.
    pub at: OffsetDateTime,
}

impl<D: Db> Credentials<D> {
    /// Changes a credential, all or nothing; answers the version that its values have from now on. Those that live with
    /// the values before get the event `credential_replaced`. None when there is no such credential of this owner.
    ///
    /// The row is locked from the first statement on: a launch that read it before waits for the end of this, and then
    /// finds another version (see `Instances::reserve`).
    #[tracing::instrument(name = "db.credential.change", skip_all, fields(credential.id = %change.id), err(level = "debug"))]
    pub async fn change(&mut self, change: &CredentialChange) -> Result<Option<i32>, StoreError> {
        let mut connection = self.db.connection().await.during(NAME)?;
        let mut transaction = connection.begin().await.during(NAME)?;
        let Some(version) = update(&mut transaction, change).await? else { return Ok(None) };
        if let Some(slots) = &change.slots {
            replace(&mut transaction, change.id, slots).await?;
            tell_holders(&mut transaction, change, version).await?;
        }
        transaction.commit().await.during(NAME)?;
        Ok(Some(version))
    }
}

async fn update(
    transaction: &mut Transaction<'_, Postgres>,
    change: &CredentialChange,
) -> Result<Option<i32>, StoreError> {
    let actor = ActorColumns::from(&change.actor);
    let hint = change.slots.as_ref().map(|slots| slots.first().map_or("", |slot| slot.hint.as_str()));
    sqlx::query_scalar!(
        r#"with changed as (
             update credentials
             set name = coalesce($3, name), hint = coalesce($4, hint),
                 expires_at = case when $5 then $6 else expires_at end,
                 version = version + case when $4::text is null then 0 else 1 end,
                 validation = case when $4::text is null then validation end,
                 validated_at = case when $4::text is null then validated_at end
             where id = $1 and user_id = $2 and deleted_at is null
             returning id, version
           ), event as (
             insert into credential_events (id, credential_id, at, event_type, event_data, user_id, api_key_id)
             select uuid_v7($7), id, $7, case when $4::text is null then 'changed' else 'replaced' end,
                    jsonb_build_object('version', version, 'name', $3::text is not null, 'expires_at', $5::boolean),
                    $8, $9
             from changed
           )
           select version as "version!" from changed"#,
        change.id.uuid(),
        change.owner.uuid(),
        change.name,
        hint,
        change.expires_at.is_some(),
        change.expires_at.flatten(),
        change.at,
        actor.user,
        actor.api_key,
    )
    .fetch_optional(&mut **transaction)
    .await
    .during(NAME)
}

/// In two statements: one could not put a value where it takes another away.
async fn replace(
    transaction: &mut Transaction<'_, Postgres>,
    id: CredentialId,
    slots: &[NewSlot],
) -> Result<(), StoreError> {
    let names: Vec<String> = slots.iter().map(|slot| slot.slot.clone()).collect();
    let sealed: Vec<Vec<u8>> = slots.iter().map(|slot| slot.sealed.clone()).collect();
    let hints: Vec<String> = slots.iter().map(|slot| slot.hint.clone()).collect();
    sqlx::query!("delete from credential_secrets where credential_id = $1", id.uuid())
        .execute(&mut **transaction)
        .await
        .during(NAME)?;
    sqlx::query!(
        "insert into credential_secrets (credential_id, slot, sealed, hint)
         select $1, s.slot, s.sealed, s.hint
         from unnest($2::text[], $3::bytea[], $4::text[]) as s (slot, sealed, hint)",
        id.uuid(),
        &names,
        &sealed,
        &hints,
    )
    .execute(&mut **transaction)
    .await
    .during(NAME)
    .map(drop)
}

async fn tell_holders(
    transaction: &mut Transaction<'_, Postgres>,
    change: &CredentialChange,
    version: i32,
) -> Result<(), StoreError> {
    let actor = ActorColumns::from(&change.actor);
    sqlx::query!(
        "insert into mcp_events (id, mcp_instance_id, at, event_type, event_data,
                                 user_id, api_key_id, ip_address, user_agent)
         select uuid_v7($2), id, $2, 'credential_replaced',
                jsonb_build_object('credential_id', credential_id, 'version', $3::integer),
                $4, $5, $6::text::inet, $7
         from mcp_instances where credential_id = $1 and status in ('pending', 'running')",
        change.id.uuid(),
        change.at,
        version,
        actor.user,
        actor.api_key,
        actor.ip_address,
        actor.user_agent,
    )
    .execute(&mut **transaction)
    .await
    .during(NAME)
    .map(drop)
}
