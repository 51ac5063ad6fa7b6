//! What happened to a credential, and the reminder that its end is near.

use roadstead_model::CredentialId;
use serde_json::Value;
use time::OffsetDateTime;

use super::Credentials;
use crate::StoreError;
use crate::db::{Db, System};
use crate::error::During;

/// What happened to a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialEventType {
    /// It was stored.
    Created,
    /// Its name or its end was changed.
    Changed,
    /// Its values were replaced.
    Replaced,
    /// Its end is near.
    Expiring,
    /// Its service was asked whether it takes it.
    Validated,
    /// It was deleted.
    Deleted,
}

impl CredentialEventType {
    const ALL: [Self; 6] =
        [Self::Created, Self::Changed, Self::Replaced, Self::Expiring, Self::Validated, Self::Deleted];

    /// The word used in rows and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Replaced => "replaced",
            Self::Expiring => "expiring",
            Self::Validated => "validated",
            Self::Deleted => "deleted",
        }
    }
}

/// An event.
#[derive(Debug, Clone, PartialEq)]
pub struct CredentialEvent {
    /// When.
    pub at: OffsetDateTime,
    /// What happened.
    pub event_type: CredentialEventType,
    /// The particulars.
    pub data: Value,
}

impl<D: Db> Credentials<D> {
    /// The latest events of a credential, newest first.
    #[tracing::instrument(name = "db.credential.events", skip_all, fields(credential.id = %id), err(level = "debug"))]
    pub async fn events(&mut self, id: CredentialId, limit: u32) -> Result<Vec<CredentialEvent>, StoreError> {
        let mut connection = self.db.connection().await.during("db.credential.events")?;
        let rows = sqlx::query!(
            "select at, event_type, event_data from credential_events where credential_id = $1
             order by at desc, id desc limit $2",
            id.uuid(),
            i64::from(limit),
        )
        .fetch_all(&mut *connection)
        .await
        .during("db.credential.events")?;
        connection.done().await.during("db.credential.events")?;
        let event = |(at, word, data): (OffsetDateTime, String, Value)| {
            let event_type = CredentialEventType::ALL.into_iter().find(|each| each.as_str() == word);
            let event_type = event_type.ok_or_else(|| {
                StoreError::inconsistent("credential_events", id, "an unknown type of event")
            })?;
            Ok(CredentialEvent { at, event_type, data })
        };
        rows.into_iter().map(|row| event((row.at, row.event_type, row.event_data))).collect()
    }
}

impl Credentials<System<'_>> {
    /// Says of each end that comes until a moment, once, that it is near: in the credential's own history, and to the
    /// instances that live with it. A credential whose end is moved says it again. Answers how many said it.
    #[tracing::instrument(name = "db.credential.remind", skip_all, err(level = "debug"))]
    pub async fn remind(
        &self,
        until: OffsetDateTime,
        now: OffsetDateTime,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let count = sqlx::query_scalar!(
            r#"with near as (
                 select id from credentials
                 where expires_at <= $1 and expires_at > $2 and is_active and deleted_at is null
                   and warned_of is distinct from expires_at
                 order by expires_at limit $3 for no key update skip locked
               ), told as (
                 update credentials c set warned_of = c.expires_at from near where c.id = near.id
                 returning c.id, c.expires_at
               ), history as (
                 insert into credential_events (id, credential_id, at, event_type, event_data)
                 select uuid_v7($2), id, $2, 'expiring',
                        jsonb_build_object('expires_at', extract(epoch from expires_at)::bigint)
                 from told
               ), holders as (
                 insert into mcp_events (id, mcp_instance_id, at, event_type, event_data)
                 select uuid_v7($2), i.id, $2, 'credential_expiring',
                        jsonb_build_object('credential_id', told.id,
                                           'expires_at', extract(epoch from told.expires_at)::bigint)
                 from told join mcp_instances i on i.credential_id = told.id
                 where i.status in ('pending', 'running')
               )
               select count(*) as "count!" from told"#,
            until,
            now,
            i64::from(limit),
        )
        .fetch_one(self.db.pool)
        .await
        .during("db.credential.remind")?;
        Ok(count.unsigned_abs())
    }
}
