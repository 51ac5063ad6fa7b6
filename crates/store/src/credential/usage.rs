//! Who holds a credential, and which of them hold values that were replaced.

use roadstead_model::{CredentialId, InstanceId, InstanceStatus, NodeId};
use uuid::Uuid;

use super::Credentials;
use crate::StoreError;
use crate::db::{Db, System};
use crate::error::During;

/// An instance that was launched with a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The instance.
    pub id: InstanceId,
    /// What its owner calls it.
    pub name: String,
    /// Its status, as its row says.
    pub status: InstanceStatus,
    /// The version of the values that it has.
    pub version: i32,
}

struct Record {
    id: Uuid,
    name: String,
    status: String,
    version: i32,
}

impl TryFrom<Record> for Holder {
    type Error = StoreError;

    fn try_from(record: Record) -> Result<Self, StoreError> {
        let status = record.status.parse().map_err(|error: roadstead_model::era::UnknownWord| {
            StoreError::inconsistent("mcp_instances", record.id, error.to_string())
        })?;
        let id = InstanceId::from_uuid(record.id);
        Ok(Self { id, name: record.name, status, version: record.version })
    }
}

impl<D: Db> Credentials<D> {
    /// The instances that hold a credential: those that live, and those that were lost and may be restored; oldest first.
    #[tracing::instrument(name = "db.credential.holders", skip_all, fields(credential.id = %id), err(level = "debug"))]
    pub async fn holders(&mut self, id: CredentialId) -> Result<Vec<Holder>, StoreError> {
        let mut connection = self.db.connection().await.during("db.credential.holders")?;
        // Before versions were written down, there was the first alone.
        let records = sqlx::query_as!(
            Record,
            r#"select id, name, status, coalesce(credential_version, 1) as "version!" from mcp_instances
               where credential_id = $1 and deleted_at is null and status in ('pending', 'running', 'disconnected')
               order by created_at, id"#,
            id.uuid(),
        )
        .fetch_all(&mut *connection)
        .await
        .during("db.credential.holders")?;
        connection.done().await.during("db.credential.holders")?;
        records.into_iter().map(Holder::try_from).collect()
    }
}

impl Credentials<System<'_>> {
    /// The version of the values that a live instance has; none when it does not live any more.
    #[tracing::instrument(name = "db.credential.held_version", skip_all, fields(instance.id = %id), err(level = "debug"))]
    pub async fn held_version(&self, id: InstanceId) -> Result<Option<i32>, StoreError> {
        sqlx::query_scalar!(
            r#"select coalesce(credential_version, 1) as "version!" from mcp_instances
               where id = $1 and deleted_at is null and status in ('pending', 'running') and stopping_at is null"#,
            id.uuid(),
        )
        .fetch_optional(self.db.pool)
        .await
        .during("db.credential.held_version")
    }

    /// Running instances of a node that have values which were replaced since, with the version that they should have.
    #[tracing::instrument(name = "db.credential.stale", skip_all, fields(node.id = %node), err(level = "debug"))]
    pub async fn stale(&self, node: NodeId, limit: u32) -> Result<Vec<(InstanceId, i32)>, StoreError> {
        let rows = sqlx::query!(
            "select i.id, c.version from mcp_instances i join credentials c on c.id = i.credential_id
             where i.node_id = $1 and i.status = 'running' and i.stopping_at is null and c.deleted_at is null
               and coalesce(i.credential_version, 1) < c.version
             order by i.created_at limit $2",
            node.uuid(),
            i64::from(limit),
        )
        .fetch_all(self.db.pool)
        .await
        .during("db.credential.stale")?;
        Ok(rows.into_iter().map(|row| (InstanceId::from_uuid(row.id), row.version)).collect())
    }
}
