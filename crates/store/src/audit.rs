//! The audit log: appended to, never changed.
//!
//! ```text
//! change + entry, one transaction ──► audit_unsealed ──► sealer: content, link ──► verify: entries ⋈ links, heads, anchors
//! ```

pub mod anchor;
pub mod chain;
pub mod read;
pub mod seal;
pub mod verify;

use roadstead_model::{ActorKind, NewAudit, OrganizationId};
use uuid::Uuid;

use crate::StoreError;
use crate::convert::ActorColumns;
use crate::db::Db;
use crate::error::During;

/// The audit log's rows.
#[derive(Debug, Clone, Copy)]
pub struct Audit<D> {
    pub(crate) db: D,
}

impl<D: Db> Audit<D> {
    /// Appends an entry. It gets its link in the chain after the transaction was committed.
    pub async fn append(&mut self, new: &NewAudit) -> Result<(), StoreError> {
        self.append_times(new, 1).await
    }

    /// Appends an entry that stands for so many of its kind.
    #[tracing::instrument(name = "db.audit.append", skip_all, fields(audit.action = new.action), err(level = "debug"))]
    pub async fn append_times(&mut self, new: &NewAudit, times: i32) -> Result<(), StoreError> {
        const NAME: &str = "db.audit.append";
        let mut connection = self.db.connection().await.during(NAME)?;
        let actor = ActorColumns::from(&new.actor);
        sqlx::query!(
            "insert into audit_logs (at, id, organization_id, project_id, actor_kind, actor_user_id, actor_key_id,
                                     on_behalf_of, ip_address, user_agent, action, resource_kind, resource_id, changes,
                                     request_id, outcome, code, sensitive, retention_days, times)
             values ($1, uuid_v7($1), $2, $3, $4, $5, $6, $7, $8::text::inet, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)",
            new.at,
            // The platform's own chain has the UUID of nobody.
            new.organization.map_or(Uuid::nil(), OrganizationId::uuid),
            new.project.map(roadstead_model::ProjectId::uuid),
            ActorKind::of(&new.actor).as_str(),
            actor.user,
            actor.api_key,
            new.actor.on_behalf_of.map(roadstead_model::UserId::uuid),
            actor.ip_address,
            actor.user_agent,
            new.action,
            new.resource_kind(),
            new.resource_id,
            new.changes.clone().into_json(),
            new.actor.request_id,
            new.outcome.as_str(),
            new.outcome.code(),
            new.sensitive,
            new.retention_days,
            times,
        )
        .execute(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)
    }
}
