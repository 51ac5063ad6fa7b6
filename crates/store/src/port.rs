//! The port pool as rows: what is in it, what is held, what rests. Leases are taken and given back with instances.

use roadstead_model::{InstanceId, NodeId, Port, PortRange};
use time::OffsetDateTime;

use crate::db::{System, Within};
use crate::error::During;
use crate::{StoreError, convert};

const TABLE: &str = "port_allocations";

/// A port of a node's pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortRow {
    /// The port.
    pub port: Port,
    /// What holds it; none when it is free.
    pub instance: Option<InstanceId>,
    /// When it was taken last.
    pub allocated_at: Option<OffsetDateTime>,
    /// When it was given back last.
    pub released_at: Option<OffsetDateTime>,
    /// When its instance last showed that it is well.
    pub last_health_check: Option<OffsetDateTime>,
    /// Until when it is not to be leased.
    pub quarantined_until: Option<OffsetDateTime>,
}

/// A port that is free and has been used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleasedPort {
    /// The port.
    pub port: Port,
    /// When it was given back; none when it is only quarantined.
    pub released_at: Option<OffsetDateTime>,
    /// Until when it is not to be leased.
    pub quarantined_until: Option<OffsetDateTime>,
}

/// What became of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RangeChange {
    /// Ports that are new.
    pub added: u64,
    /// Free ports that are gone.
    pub removed: u64,
    /// Ports outside the range that are still held; they go when the range is ensured after their release.
    pub still_held: u64,
}

/// The ports' rows.
#[derive(Debug, Clone, Copy)]
pub struct Ports<D> {
    pub(crate) db: D,
}

impl Ports<System<'_>> {
    /// Every port of a node's pool, lowest first.
    #[tracing::instrument(name = "db.port.map", skip_all, fields(node.id = %node), err(level = "debug"))]
    pub async fn map(&self, node: NodeId) -> Result<Vec<PortRow>, StoreError> {
        let rows = sqlx::query!(
            "select port, mcp_instance_id, allocated_at, released_at, last_health_check, quarantined_until
             from port_allocations where node_id = $1 order by port",
            node.uuid(),
        )
        .fetch_all(self.db.pool)
        .await
        .during("db.port.map")?;
        rows.into_iter()
            .map(|row| {
                Ok(PortRow {
                    port: number(row.port)?,
                    instance: row.mcp_instance_id.map(InstanceId::from_uuid),
                    allocated_at: row.allocated_at,
                    released_at: row.released_at,
                    last_health_check: row.last_health_check,
                    quarantined_until: row.quarantined_until,
                })
            })
            .collect()
    }

    /// The port that an instance gave back last, if nobody has taken it since.
    #[tracing::instrument(name = "db.port.former", skip_all, fields(node.id = %node, instance.id = %instance), err(level = "debug"))]
    pub async fn former(&self, node: NodeId, instance: InstanceId) -> Result<Option<Port>, StoreError> {
        let port = sqlx::query_scalar!(
            "select port from port_allocations where node_id = $1 and released_by = $2 and is_available
             order by released_at desc limit 1",
            node.uuid(),
            instance.uuid(),
        )
        .fetch_optional(self.db.pool)
        .await
        .during("db.port.former")?;
        port.map(number).transpose()
    }

    /// Fits a node's pool to a range: adds what is missing, removes what is outside and free, touches nothing held.
    #[tracing::instrument(name = "db.port.ensure_range", skip_all, fields(node.id = %node), err(level = "debug"))]
    pub async fn ensure_range(&self, node: NodeId, range: PortRange) -> Result<RangeChange, StoreError> {
        let row = sqlx::query!(
            r#"with added as (
                 insert into port_allocations (node_id, port)
                 select $1, port from generate_series($2::integer, $3::integer) as port
                 on conflict do nothing
                 returning 1
               ), removed as (
                 delete from port_allocations
                 where node_id = $1 and port not between $2 and $3 and is_available
                 returning 1
               )
               select (select count(*) from added) as "added!",
                      (select count(*) from removed) as "removed!",
                      (select count(*) from port_allocations
                       where node_id = $1 and port not between $2 and $3 and not is_available) as "still_held!""#,
            node.uuid(),
            i32::from(range.first().get()),
            i32::from(range.last().get()),
        )
        .fetch_one(self.db.pool)
        .await
        .during("db.port.ensure_range")?;
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        Ok(RangeChange {
            added: count(row.added),
            removed: count(row.removed),
            still_held: count(row.still_held),
        })
    }

    /// Keeps a port from being leased until a moment: something else holds it.
    #[tracing::instrument(name = "db.port.mark_quarantined", skip_all, fields(node.id = %node, port = %port), err(level = "debug"))]
    pub async fn mark_quarantined(
        &self,
        node: NodeId,
        port: Port,
        until: OffsetDateTime,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "insert into port_allocations (node_id, port, quarantined_until) values ($1, $2, $3)
             on conflict (node_id, port) do update
             set quarantined_until = greatest(port_allocations.quarantined_until, excluded.quarantined_until)",
            node.uuid(),
            i32::from(port.get()),
            until,
        )
        .execute(self.db.pool)
        .await
        .during("db.port.mark_quarantined")
        .map(drop)
    }

    /// Records that the instances on these ports were seen to be well.
    #[tracing::instrument(name = "db.port.stamp_health", skip_all, fields(node.id = %node), err(level = "debug"))]
    pub async fn stamp_health(
        &self,
        node: NodeId,
        seen: &[(Port, OffsetDateTime)],
    ) -> Result<(), StoreError> {
        let (ports, times) = convert::latest(seen.iter().map(|(port, at)| (i32::from(port.get()), *at)));
        sqlx::query!(
            "update port_allocations p set last_health_check = s.at
             from unnest($2::integer[], $3::timestamptz[]) as s (port, at)
             where p.node_id = $1 and p.port = s.port",
            node.uuid(),
            &ports,
            &times,
        )
        .execute(self.db.pool)
        .await
        .during("db.port.stamp_health")
        .map(drop)
    }

    /// The free ports that were used, least recently used first: by these a pool knows after a start what rests, and
    /// what to lease last.
    #[tracing::instrument(name = "db.port.recently_released", skip_all, fields(node.id = %node), err(level = "debug"))]
    pub async fn recently_released(&self, node: NodeId) -> Result<Vec<ReleasedPort>, StoreError> {
        let rows = sqlx::query!(
            "select port, released_at, quarantined_until from port_allocations
             where node_id = $1 and is_available and (released_at is not null or quarantined_until is not null)
             order by released_at nulls first, port",
            node.uuid(),
        )
        .fetch_all(self.db.pool)
        .await
        .during("db.port.recently_released")?;
        rows.into_iter()
            .map(|row| {
                Ok(ReleasedPort {
                    port: number(row.port)?,
                    released_at: row.released_at,
                    quarantined_until: row.quarantined_until,
                })
            })
            .collect()
    }
}

impl Ports<Within<'_>> {
    /// Keeps a free port from being leased until a moment, or lets it be leased again. False when an instance holds it, or
    /// it is not in the pool.
    #[tracing::instrument(name = "db.port.set_quarantine", skip_all, fields(node.id = %node, port = %port), err(level = "debug"))]
    pub async fn set_quarantine(
        &mut self,
        node: NodeId,
        port: Port,
        until: Option<OffsetDateTime>,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "update port_allocations set quarantined_until = $3 where node_id = $1 and port = $2 and is_available",
            node.uuid(),
            i32::from(port.get()),
            until,
        )
        .execute(&mut *self.db.connection)
        .await
        .during("db.port.set_quarantine")?;
        Ok(done.rows_affected() == 1)
    }
}

fn number(port: i32) -> Result<Port, StoreError> {
    convert::port(port).map_err(|why| StoreError::inconsistent(TABLE, port, why))
}
