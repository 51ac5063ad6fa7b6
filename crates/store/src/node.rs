//! Machines that run instances.

use roadstead_model::{BootId, NodeId};
use time::OffsetDateTime;

use crate::StoreError;
use crate::db::System;
use crate::error::During;

/// A machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRow {
    /// The machine's id.
    pub id: NodeId,
    /// What it calls itself.
    pub hostname: String,
    /// Its present boot.
    pub boot_id: BootId,
    /// When it was heard of last.
    pub last_seen_at: OffsetDateTime,
}

/// The machines' rows.
#[derive(Debug, Clone, Copy)]
pub struct Nodes<D> {
    pub(crate) db: D,
}

impl Nodes<System<'_>> {
    /// Records that a machine is there.
    #[tracing::instrument(name = "db.node.upsert", skip_all, fields(node.id = %node.id), err(level = "debug"))]
    pub async fn upsert(&self, node: &NodeRow) -> Result<(), StoreError> {
        sqlx::query!(
            "insert into nodes (id, hostname, boot_id, last_seen_at) values ($1, $2, $3, $4)
             on conflict (id) do update
             set hostname = excluded.hostname, boot_id = excluded.boot_id, last_seen_at = excluded.last_seen_at",
            node.id.uuid(),
            node.hostname,
            node.boot_id.uuid(),
            node.last_seen_at,
        )
        .execute(self.db.pool)
        .await
        .during("db.node.upsert")
        .map(drop)
    }

    /// A machine as it was recorded last.
    #[tracing::instrument(name = "db.node.get", skip_all, fields(node.id = %id), err(level = "debug"))]
    pub async fn get(&self, id: NodeId) -> Result<Option<NodeRow>, StoreError> {
        let row = sqlx::query!("select hostname, boot_id, last_seen_at from nodes where id = $1", id.uuid())
            .fetch_optional(self.db.pool)
            .await
            .during("db.node.get")?;
        Ok(row.map(|row| NodeRow {
            id,
            hostname: row.hostname,
            boot_id: BootId::from_uuid(row.boot_id),
            last_seen_at: row.last_seen_at,
        }))
    }
}
