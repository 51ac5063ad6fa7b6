//! Who reaps on a machine. A lease is judged by the database's clock alone: those who ask may disagree about the time.

use std::time::Duration;

use roadstead_model::NodeId;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::System;
use crate::error::During;
use crate::{StoreError, convert};

/// Who asks for a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseHolder {
    /// Told apart from every other process that ever asked.
    pub id: Uuid,
    /// What kind of process: `service` or `daemon`.
    pub kind: &'static str,
    /// The process's number, for people.
    pub pid: u32,
}

/// Who has a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRow {
    /// Told apart from every other process that ever asked.
    pub holder: Uuid,
    /// What kind of process.
    pub kind: String,
    /// The process's number.
    pub pid: u32,
    /// Since when it has had it.
    pub since: OffsetDateTime,
    /// Until when, unless it is renewed.
    pub until: OffsetDateTime,
}

/// The leases' rows.
#[derive(Debug, Clone, Copy)]
pub struct ReaperLeases<D> {
    pub(crate) db: D,
}

impl ReaperLeases<System<'_>> {
    /// Takes or renews a machine's lease for `term` from now on. False while another one has it, and for a machine
    /// that is not known. A service takes it from the service before it, which its data folder's lock proves gone.
    #[tracing::instrument(name = "db.reaper_lease.take", skip_all, fields(node.id = %node), err(level = "debug"))]
    pub async fn take(&self, node: NodeId, asks: &LeaseHolder, term: Duration) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "insert into reaper_leases as l (node_id, holder, kind, pid, since, until)
             select n.id, $2, $3, $4, clock_timestamp(), clock_timestamp() + make_interval(secs => $5)
             from nodes n where n.id = $1
             on conflict (node_id) do update
             set since = case when l.holder = excluded.holder then l.since else clock_timestamp() end,
                 holder = excluded.holder, kind = excluded.kind, pid = excluded.pid,
                 until = clock_timestamp() + make_interval(secs => $5)
             where l.holder = excluded.holder or l.until <= clock_timestamp()
                or (l.kind = 'service' and excluded.kind = 'service')",
            node.uuid(),
            asks.id,
            asks.kind,
            convert::process_number(asks.pid),
            term.as_secs_f64(),
        )
        .execute(self.db.pool)
        .await
        .during("db.reaper_lease.take")?;
        Ok(done.rows_affected() == 1)
    }

    /// Gives a lease up. Somebody else's stays.
    #[tracing::instrument(name = "db.reaper_lease.give_up", skip_all, fields(node.id = %node), err(level = "debug"))]
    pub async fn give_up(&self, node: NodeId, holder: Uuid) -> Result<(), StoreError> {
        sqlx::query!("delete from reaper_leases where node_id = $1 and holder = $2", node.uuid(), holder)
            .execute(self.db.pool)
            .await
            .during("db.reaper_lease.give_up")
            .map(drop)
    }

    /// Who has a machine's lease now; none when nobody has, or it has run out.
    #[tracing::instrument(name = "db.reaper_lease.holder", skip_all, fields(node.id = %node), err(level = "debug"))]
    pub async fn holder(&self, node: NodeId) -> Result<Option<LeaseRow>, StoreError> {
        let row = sqlx::query!(
            "select holder, kind, pid, since, until from reaper_leases
             where node_id = $1 and until > clock_timestamp()",
            node.uuid(),
        )
        .fetch_optional(self.db.pool)
        .await
        .during("db.reaper_lease.holder")?;
        Ok(row.map(|row| LeaseRow {
            holder: row.holder,
            kind: row.kind,
            pid: row.pid.unsigned_abs(),
            since: row.since,
            until: row.until,
        }))
    }
}
