//! Credentials: a name, hints, and one sealed value per slot. What changes one is in the files beside this one.

mod change;
mod history;
mod read;
mod remove;
mod usage;
mod validation;

use roadstead_model::{Actor, CredentialId, OrganizationId, ProjectId, TypeId, UserId, Validity};
use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::StoreError;
use crate::convert::ActorColumns;
use crate::db::{Db, System};
use crate::error::During;

pub use change::CredentialChange;
pub use history::{CredentialEvent, CredentialEventType};
pub use remove::{Deletion, Holding};
pub use usage::Holder;

const TABLE: &str = "credentials";

/// A credential to create, with its sealed slots.
#[derive(Debug, Clone)]
pub struct NewCredential {
    /// The credential's id.
    pub id: CredentialId,
    /// Whose it is.
    pub user: UserId,
    /// What it belongs to.
    pub organization: OrganizationId,
    /// What it belongs to.
    pub project: ProjectId,
    /// What it is for.
    pub type_id: TypeId,
    /// Unique among the user's credentials for the type that are not deleted.
    pub name: String,
    /// The end of its main value, to recognise it by.
    pub hint: String,
    /// When it stops working.
    pub expires_at: Option<OffsetDateTime>,
    /// Its values.
    pub slots: Vec<NewSlot>,
    /// Who stores it.
    pub actor: Actor,
    /// Now.
    pub at: OffsetDateTime,
}

/// A sealed value to store.
#[derive(Debug, Clone)]
pub struct NewSlot {
    /// Which of the type's slots it fills.
    pub slot: String,
    /// The sealed value.
    pub sealed: Vec<u8>,
    /// The end of the value, to recognise it by.
    pub hint: String,
}

/// A sealed value, for a launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSlot {
    /// Which of the type's slots it fills.
    pub slot: String,
    /// The sealed value.
    pub sealed: Vec<u8>,
}

/// What may be shown of a slot.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SlotHint {
    /// The slot.
    pub slot: String,
    /// The end of its value.
    pub hint: String,
}

/// A credential that is not deleted, without its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialRow {
    /// The credential's id.
    pub id: CredentialId,
    /// Whose it is.
    pub user: UserId,
    /// What it belongs to.
    pub organization: OrganizationId,
    /// What it belongs to.
    pub project: ProjectId,
    /// What it is for.
    pub type_id: TypeId,
    /// The name of what it is for.
    pub type_name: String,
    /// What its owner calls it.
    pub name: String,
    /// The end of its main value.
    pub hint: String,
    /// What may be shown of its slots, by name.
    pub slots: Vec<SlotHint>,
    /// Whether it may be used.
    pub is_active: bool,
    /// When it stops working.
    pub expires_at: Option<OffsetDateTime>,
    /// Counts its values: one more each time that they are replaced.
    pub version: i32,
    /// What its service said when its present values were tried out, and when that was.
    pub validation: Option<(Validity, OffsetDateTime)>,
    /// When an instance was launched with it last.
    pub last_used_at: Option<OffsetDateTime>,
    /// When it was created.
    pub created_at: OffsetDateTime,
    /// When it was changed last.
    pub updated_at: OffsetDateTime,
}

struct Record {
    id: Uuid,
    user_id: Uuid,
    organization_id: Uuid,
    project_id: Uuid,
    mcp_type_id: Uuid,
    type_name: String,
    name: String,
    hint: String,
    slots: Value,
    is_active: bool,
    expires_at: Option<OffsetDateTime>,
    version: i32,
    validation: Option<String>,
    validated_at: Option<OffsetDateTime>,
    last_used_at: Option<OffsetDateTime>,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl TryFrom<Record> for CredentialRow {
    type Error = StoreError;

    fn try_from(record: Record) -> Result<Self, StoreError> {
        let slots = serde_json::from_value(record.slots)
            .map_err(|_| StoreError::inconsistent(TABLE, record.id, "its slots cannot be read"))?;
        let validity = record.validation.map(|word| word.parse::<Validity>()).transpose();
        let validity =
            validity.map_err(|error| StoreError::inconsistent(TABLE, record.id, error.to_string()))?;
        Ok(Self {
            id: CredentialId::from_uuid(record.id),
            user: UserId::from_uuid(record.user_id),
            organization: OrganizationId::from_uuid(record.organization_id),
            project: ProjectId::from_uuid(record.project_id),
            type_id: TypeId::from_uuid(record.mcp_type_id),
            type_name: record.type_name,
            name: record.name,
            hint: record.hint,
            slots,
            is_active: record.is_active,
            expires_at: record.expires_at,
            version: record.version,
            validation: validity.zip(record.validated_at),
            last_used_at: record.last_used_at,
            created_at: record.created_at,
            updated_at: record.updated_at,
        })
    }
}

/// The credentials' rows.
#[derive(Debug, Clone, Copy)]
pub struct Credentials<D> {
    pub(crate) db: D,
}

impl<D: Db> Credentials<D> {
    /// Creates a credential and its slots, all or nothing.
    #[tracing::instrument(name = "db.credential.create", skip_all, fields(credential.id = %new.id), err(level = "debug"))]
    pub async fn create(&mut self, new: &NewCredential) -> Result<(), StoreError> {
        const NAME: &str = "db.credential.create";
        let mut connection = self.db.connection().await.during(NAME)?;
        let names: Vec<String> = new.slots.iter().map(|slot| slot.slot.clone()).collect();
        let sealed: Vec<Vec<u8>> = new.slots.iter().map(|slot| slot.sealed.clone()).collect();
        let hints: Vec<String> = new.slots.iter().map(|slot| slot.hint.clone()).collect();
        let actor = ActorColumns::from(&new.actor);
        sqlx::query!(
            "with credential as (
               insert into credentials (id, user_id, organization_id, project_id, mcp_type_id, name, hint, expires_at,
                                        created_at, updated_at)
               values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
             ), event as (
               insert into credential_events (id, credential_id, at, event_type, user_id, api_key_id)
               values (uuid_v7($9), $1, $9, 'created', $13, $14)
             )
             insert into credential_secrets (credential_id, slot, sealed, hint)
             select $1, s.slot, s.sealed, s.hint
             from unnest($10::text[], $11::bytea[], $12::text[]) as s (slot, sealed, hint)",
            new.id.uuid(),
            new.user.uuid(),
            new.organization.uuid(),
            new.project.uuid(),
            new.type_id.uuid(),
            new.name,
            new.hint,
            new.expires_at,
            new.at,
            &names,
            &sealed,
            &hints,
            actor.user,
            actor.api_key,
        )
        .execute(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)
    }
}

impl Credentials<System<'_>> {
    /// The sealed values of a credential, by slot; none when it is deleted.
    #[tracing::instrument(name = "db.credential.sealed_slots", skip_all, fields(credential.id = %id), err(level = "debug"))]
    pub async fn sealed_slots(&self, id: CredentialId) -> Result<Vec<SealedSlot>, StoreError> {
        sqlx::query_as!(
            SealedSlot,
            "select slot, sealed from credential_secrets where credential_id = $1 order by slot",
            id.uuid(),
        )
        .fetch_all(self.db.pool)
        .await
        .during("db.credential.sealed_slots")
    }

    /// Records that a credential was used.
    #[tracing::instrument(name = "db.credential.touch", skip_all, fields(credential.id = %id), err(level = "debug"))]
    pub async fn touch(&self, id: CredentialId, at: OffsetDateTime) -> Result<(), StoreError> {
        sqlx::query!(
            "update credentials set last_used_at = greatest(last_used_at, $2) where id = $1",
            id.uuid(),
            at,
        )
        .execute(self.db.pool)
        .await
        .during("db.credential.touch")
        .map(drop)
    }
}
