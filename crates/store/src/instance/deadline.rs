//! Deadlines, many at a time: those that uses move on, those that are near, those that have passed after the end.

use std::time::Duration;

use roadstead_model::expiry::{Keep, Warning};
use roadstead_model::{InstanceId, NodeId};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Instances;
use crate::StoreError;
use crate::db::System;
use crate::error::During;

/// An instance whose deadline uses move on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptInstance {
    /// The instance.
    pub id: InstanceId,
    /// Its deadline.
    pub expires_at: OffsetDateTime,
    /// What a use does to it.
    pub keep: Keep,
}

/// A deadline to move on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MovedDeadline {
    /// The instance.
    pub id: InstanceId,
    /// What it was when it was decided.
    pub from: OffsetDateTime,
    /// What it shall be.
    pub to: OffsetDateTime,
}

/// A running instance whose deadline is near and has not been looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NearDeadline {
    /// The instance.
    pub id: InstanceId,
    /// What decides about the warning.
    pub warning: Warning,
}

impl Instances<System<'_>> {
    /// Those of some instances that run and are kept by their uses.
    #[tracing::instrument(name = "db.instance.kept", skip_all, err(level = "debug"))]
    pub async fn kept(&self, ids: &[InstanceId]) -> Result<Vec<KeptInstance>, StoreError> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
        let rows = sqlx::query!(
            "select i.id, i.expires_at, i.lifetime_s, i.began_at, t.max_duration_minutes
             from mcp_instances i join mcp_types t on t.id = i.mcp_type_id
             where i.id = any($1) and i.keep and i.status = 'running' and i.stopping_at is null",
            &ids,
        )
        .fetch_all(self.db.pool)
        .await
        .during("db.instance.kept")?;
        let kept = rows.into_iter().map(|row| KeptInstance {
            id: InstanceId::from_uuid(row.id),
            expires_at: row.expires_at,
            keep: Keep {
                lifetime: Duration::from_secs(row.lifetime_s.unsigned_abs()),
                began_at: row.began_at,
                cap: Duration::from_secs(60 * u64::from(row.max_duration_minutes.unsigned_abs())),
            },
        });
        Ok(kept.collect())
    }

    /// Moves deadlines that nobody else has moved meanwhile; answers the new generations, which the shims must be
    /// told. No event: a use is none.
    #[tracing::instrument(name = "db.instance.move_deadlines", skip_all, err(level = "debug"))]
    pub async fn move_deadlines(
        &self,
        moved: &[MovedDeadline],
        at: OffsetDateTime,
    ) -> Result<Vec<(InstanceId, i64)>, StoreError> {
        let ids: Vec<Uuid> = moved.iter().map(|one| one.id.uuid()).collect();
        let from: Vec<OffsetDateTime> = moved.iter().map(|one| one.from).collect();
        let to: Vec<OffsetDateTime> = moved.iter().map(|one| one.to).collect();
        let rows = sqlx::query!(
            "update mcp_instances i
             set expires_at = m.later, deadline_set_at = $4, generation = i.generation + 1
             from unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[]) as m (id, before, later)
             where i.id = m.id and i.expires_at = m.before and i.status = 'running' and i.stopping_at is null
             returning i.id, i.generation",
            &ids,
            &from,
            &to,
            at,
        )
        .fetch_all(self.db.pool)
        .await
        .during("db.instance.move_deadlines")?;
        Ok(rows.into_iter().map(|row| (InstanceId::from_uuid(row.id), row.generation)).collect())
    }

    /// The running instances of a node whose deadline comes until a moment and was not looked at, nearest first.
    #[tracing::instrument(name = "db.instance.near", skip_all, fields(node.id = %node), err(level = "debug"))]
    pub async fn near(
        &self,
        node: NodeId,
        until: OffsetDateTime,
        limit: u32,
    ) -> Result<Vec<NearDeadline>, StoreError> {
        let rows = sqlx::query!(
            "select id, expires_at, deadline_set_at, warned_of from mcp_instances
             where node_id = $1 and expires_at <= $2 and status in ('pending', 'running') and status = 'running'
               and stopping_at is null and warned_of is distinct from expires_at
             order by expires_at limit $3",
            node.uuid(),
            until,
            i64::from(limit),
        )
        .fetch_all(self.db.pool)
        .await
        .during("db.instance.near")?;
        let near = rows.into_iter().map(|row| NearDeadline {
            id: InstanceId::from_uuid(row.id),
            warning: Warning {
                set_at: row.deadline_set_at,
                expires_at: row.expires_at,
                warned_of: row.warned_of,
            },
        });
        Ok(near.collect())
    }

    /// Deadlines were looked at, each once: those that are told of get the event `expiring`.
    #[tracing::instrument(name = "db.instance.settle_warnings", skip_all, err(level = "debug"))]
    pub async fn settle_warnings(
        &self,
        looked_at: &[(NearDeadline, bool)],
        at: OffsetDateTime,
    ) -> Result<u64, StoreError> {
        let ids: Vec<Uuid> = looked_at.iter().map(|(near, _)| near.id.uuid()).collect();
        let deadlines: Vec<OffsetDateTime> =
            looked_at.iter().map(|(near, _)| near.warning.expires_at).collect();
        let told: Vec<bool> = looked_at.iter().map(|(_, told)| *told).collect();
        let done = sqlx::query!(
            "with settled as (
               update mcp_instances i set warned_of = l.deadline
               from unnest($1::uuid[], $2::timestamptz[], $3::boolean[]) as l (id, deadline, told)
               where i.id = l.id and i.expires_at = l.deadline and i.status = 'running'
                 and i.warned_of is distinct from l.deadline
               returning i.id, i.expires_at, l.told
             )
             insert into mcp_events (id, mcp_instance_id, at, event_type, event_data)
             select uuid_v7($4), id, $4, 'expiring',
                    jsonb_build_object('expires_at', extract(epoch from expires_at)::bigint)
             from settled where told",
            &ids,
            &deadlines,
            &told,
            at,
        )
        .execute(self.db.pool)
        .await
        .during("db.instance.settle_warnings")?;
        Ok(done.rows_affected())
    }

    /// What has ended otherwise is expired once its deadline has passed, all of it or one; answers how many were.
    #[tracing::instrument(name = "db.instance.expire_ended", skip_all, fields(node.id = %node), err(level = "debug"))]
    pub async fn expire_ended(
        &self,
        node: NodeId,
        now: OffsetDateTime,
        only: Option<InstanceId>,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let done = sqlx::query!(
            "with due as (
               select id, status from mcp_instances
               where node_id = $1 and expires_at <= $2 and status in ('disconnected', 'stopped', 'error')
                 and deleted_at is null and ($4::uuid is null or id = $4)
               order by expires_at limit $3 for update skip locked
             ), expired as (
               update mcp_instances i set status = 'expired' from due where i.id = due.id
               returning i.id, due.status as was
             )
             insert into mcp_events (id, mcp_instance_id, at, event_type, event_data)
             select uuid_v7($2), id, $2, 'expired', jsonb_build_object('was', was) from expired",
            node.uuid(),
            now,
            i64::from(limit),
            only.map(InstanceId::uuid),
        )
        .execute(self.db.pool)
        .await
        .during("db.instance.expire_ended")?;
        Ok(done.rows_affected())
    }
}
