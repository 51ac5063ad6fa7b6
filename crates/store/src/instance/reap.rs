//! Live instances whose time is up and that nobody answers for: many ended by one statement, or one at a time while its
//! processes are looked for.

use roadstead_model::{EventType, InstanceId, InstanceStatus, NodeId};
use serde_json::Value;
use sqlx::{PgExecutor, Postgres, Transaction};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Instances;
use crate::StoreError;
use crate::db::System;
use crate::error::During;

const NAME: &str = "db.instance.reap";

/// How instances are ended that nobody answers for.
#[derive(Debug, Clone)]
pub struct Reaping {
    /// How: a status that is not live.
    pub status: InstanceStatus,
    /// When.
    pub at: OffsetDateTime,
    /// Rows whose deadline is later are left alone: somebody has moved it meanwhile.
    pub due_by: OffsetDateTime,
    /// Why; `Error` must have it.
    pub error_message: Option<String>,
    /// What is known of the processes' end: a JSON object without secrets, which the event tells as well.
    pub details: Value,
    /// The event that tells of it; `reaped` follows.
    pub event_type: EventType,
    /// Until when the ports rest.
    pub quarantine_until: OffsetDateTime,
}

/// A live row that is due, and that nobody else changes until this is ended or dropped.
#[derive(Debug)]
#[must_use = "dropped, the row is free again"]
pub struct HeldDue {
    id: InstanceId,
    transaction: Transaction<'static, Postgres>,
}

impl Instances<System<'_>> {
    /// Those of some instances that are live although their deadline has passed.
    #[tracing::instrument(name = "db.instance.due_among", skip_all, err(level = "debug"))]
    pub async fn due_among(
        &self,
        ids: &[InstanceId],
        now: OffsetDateTime,
    ) -> Result<Vec<InstanceId>, StoreError> {
        let rows = sqlx::query_scalar!(
            "select id from mcp_instances
             where id = any($1) and expires_at <= $2 and status in ('pending', 'running')",
            &uuids(ids),
            now,
        )
        .fetch_all(self.db.pool)
        .await
        .during("db.instance.due_among")?;
        Ok(rows.into_iter().map(InstanceId::from_uuid).collect())
    }

    /// The live instances of a node whose deadline is at or before a moment, most overdue first, without some.
    #[tracing::instrument(name = "db.instance.due", skip_all, fields(node.id = %node), err(level = "debug"))]
    pub async fn due(
        &self,
        node: NodeId,
        by: OffsetDateTime,
        without: &[InstanceId],
        limit: u32,
    ) -> Result<Vec<InstanceId>, StoreError> {
        let rows = sqlx::query_scalar!(
            "select id from mcp_instances
             where node_id = $1 and expires_at <= $2 and status in ('pending', 'running') and id <> all($3)
             order by expires_at limit $4",
            node.uuid(),
            by,
            &uuids(without),
            i64::from(limit),
        )
        .fetch_all(self.db.pool)
        .await
        .during("db.instance.due")?;
        Ok(rows.into_iter().map(InstanceId::from_uuid).collect())
    }

    /// Ends those of some instances that are still live and due; answers which they were.
    #[tracing::instrument(name = "db.instance.reap", skip_all, err(level = "debug"))]
    pub async fn reap(&self, ids: &[InstanceId], how: &Reaping) -> Result<Vec<InstanceId>, StoreError> {
        reap(self.db.pool, ids, how).await
    }

    /// Keeps a live row that is due from being changed by anybody else. None when it is neither any more, or somebody
    /// else changes it at this moment.
    #[tracing::instrument(name = "db.instance.hold_due", skip_all, fields(instance.id = %id), err(level = "debug"))]
    pub async fn hold_due(&self, id: InstanceId, by: OffsetDateTime) -> Result<Option<HeldDue>, StoreError> {
        let mut transaction = self.db.pool.begin().await.during("db.instance.hold_due")?;
        // `no key`: lines and events of the instance can still be stored meanwhile.
        let held = sqlx::query_scalar!(
            "select id from mcp_instances
             where id = $1 and expires_at <= $2 and status in ('pending', 'running')
             for no key update skip locked",
            id.uuid(),
            by,
        )
        .fetch_optional(&mut *transaction)
        .await
        .during("db.instance.hold_due")?;
        Ok(held.map(|_| HeldDue { id, transaction }))
    }
}

impl HeldDue {
    /// Ends it, as [`Instances::reap`] does. Nobody sees that before [`HeldDue::done`].
    pub async fn reap(&mut self, how: &Reaping) -> Result<bool, StoreError> {
        let ended = reap(&mut *self.transaction, &[self.id], how).await?;
        Ok(!ended.is_empty())
    }

    /// What was written counts from now on.
    pub async fn done(self) -> Result<(), StoreError> {
        self.transaction.commit().await.during(NAME)
    }
}

async fn reap(
    database: impl PgExecutor<'_>,
    ids: &[InstanceId],
    how: &Reaping,
) -> Result<Vec<InstanceId>, StoreError> {
    let rows = sqlx::query_scalar!(
        "with ended as (
           update mcp_instances
           set status = $2, ended_at = $3, error_message = coalesce($5, error_message), exit = $6,
               assigned_port = null, stopping_at = null
           where id = any($1) and status in ('pending', 'running') and expires_at <= $4
           returning id
         ), port as (
           update port_allocations p
           set mcp_instance_id = null, is_available = true, released_at = $3, quarantined_until = $8,
               released_by = ended.id
           from ended where p.mcp_instance_id = ended.id
         ), event as (
           insert into mcp_events (id, mcp_instance_id, at, event_type, event_data)
           select uuid_v7($3), ended.id, $3, step.event_type, step.event_data
           from ended, (values (1, $7::text, $6::jsonb), (2, 'reaped', '{}')) as step (place, event_type, event_data)
           order by ended.id, step.place
         )
         select id from ended",
        &uuids(ids),
        how.status.as_str(),
        how.at,
        how.due_by,
        how.error_message,
        how.details,
        how.event_type.as_str(),
        how.quarantine_until,
    )
    .fetch_all(database)
    .await
    .during(NAME)?;
    Ok(rows.into_iter().map(InstanceId::from_uuid).collect())
}

fn uuids(ids: &[InstanceId]) -> Vec<Uuid> {
    ids.iter().map(|id| id.uuid()).collect()
}
