//! An instance that has ended is started again: the row is pending once more, with a port, within its owner's quota.

use std::time::Duration;

use roadstead_model::{
    Actor, BootId, EventType, InstanceId, InvalidTransition, NewAudit, NodeId, OrganizationId, Port, Quotas,
    Standing, UserId, Verb,
};
use serde_json::Value;
use sqlx::{Postgres, Transaction};
use time::OffsetDateTime;

use super::quota::{check_quotas, lock_organization};
use super::reserve::{Takes, hold_credential, lock_owner, write_down};
use super::{Instances, ReserveError, TABLE, UsedCredential};
use crate::StoreError;
use crate::convert::{self, ActorColumns};
use crate::db::System;
use crate::error::During;

const NAME: &str = "db.instance.reopen";

/// A deadline that begins a life anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewLife {
    /// How long it is.
    pub lifetime: Duration,
    /// When it ends.
    pub expires_at: OffsetDateTime,
}

/// An instance to start again.
#[derive(Debug, Clone)]
pub struct Reopening {
    /// The instance.
    pub id: InstanceId,
    /// Its owner, whose quota counts.
    pub user: UserId,
    /// Its organisation, whose quota counts.
    pub organization: OrganizationId,
    /// What it may take, of its type as it is now.
    pub takes: Takes,
    /// What is asked: restore or renew.
    pub verb: Verb,
    /// A new deadline; none to keep the one that it has.
    pub life: Option<NewLife>,
    /// The type's version, as it is now.
    pub type_version: i32,
    /// The installed packages that it needs.
    pub packages: Vec<String>,
    /// The credential that it was launched with, as it is now.
    pub credential: Option<UsedCredential>,
    /// Where it will run.
    pub node: NodeId,
    /// That machine's boot.
    pub boot: BootId,
    /// The port that the pool leased.
    pub port: Port,
    /// Now.
    pub at: OffsetDateTime,
    /// What is recorded.
    pub event_type: EventType,
    /// Who asks.
    pub actor: Actor,
    /// The event's particulars, a JSON object without secrets.
    pub event_data: Value,
    /// What the audit log says of it, in the same transaction; none where nobody asked.
    pub entry: Option<NewAudit>,
}

/// What its shim must know of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Desired {
    /// The row's generation.
    pub generation: i64,
    /// The deadline.
    pub expires_at: OffsetDateTime,
    /// The SHA-256 of the access token.
    pub token_hash: [u8; 32],
}

/// Why an instance was not started again; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ReopenError {
    /// There is no such instance of this owner.
    #[error("there is no such instance")]
    Missing,
    /// Its status does not permit it.
    #[error(transparent)]
    Refused(#[from] InvalidTransition),
    /// Quota, port, owner, database: what keeps a launch, too.
    #[error(transparent)]
    Reserve(#[from] ReserveError),
}

impl From<StoreError> for ReopenError {
    fn from(error: StoreError) -> Self {
        Self::Reserve(ReserveError::Store(error))
    }
}

impl Instances<System<'_>> {
    /// Makes a row that has ended pending again, with its port and its event, unless its owner or its organisation has as
    /// much as the quotas permit. Of several that ask at once, one is told yes.
    #[tracing::instrument(
        name = "db.instance.reopen", skip_all,
        fields(instance.id = %reopening.id, port = %reopening.port), err(level = "debug")
    )]
    pub async fn reopen(&self, reopening: &Reopening, quotas: &Quotas) -> Result<Desired, ReopenError> {
        let mut transaction = self.db.pool.begin().await.during(NAME)?;
        lock_owner(&mut transaction, reopening.user, NAME).await?;
        let own = lock_organization(&mut transaction, reopening.organization, NAME).await?;
        hold_credential(&mut transaction, reopening.credential, NAME).await?;
        check(&mut transaction, reopening).await?;
        let (whose, wanted) = ((reopening.user, reopening.organization), reopening.takes.one_more());
        check_quotas(&mut transaction, whose, &own.over(quotas), wanted, NAME).await?;
        let desired = update(&mut transaction, reopening).await?;
        write_down(&mut transaction, reopening.entry.as_ref()).await?;
        transaction.commit().await.during(NAME)?;
        Ok(desired)
    }
}

/// Whether its standing permits the verb, under a lock that keeps it so.
async fn check(
    transaction: &mut Transaction<'_, Postgres>,
    reopening: &Reopening,
) -> Result<(), ReopenError> {
    let row = sqlx::query!(
        "select status, expires_at from mcp_instances
         where id = $1 and user_id = $2 and deleted_at is null for update",
        reopening.id.uuid(),
        reopening.user.uuid(),
    )
    .fetch_optional(&mut **transaction)
    .await
    .during(NAME)?
    .ok_or(ReopenError::Missing)?;
    let status = row.status.parse().map_err(|error: roadstead_model::era::UnknownWord| {
        StoreError::inconsistent(TABLE, reopening.id, error.to_string())
    })?;
    let standing = Standing::of(status, row.expires_at, reopening.at);
    standing.permits(reopening.verb)?;
    if standing.is_still_ending() {
        return Err(ReopenError::Refused(InvalidTransition { status, verb: reopening.verb }));
    }
    Ok(())
}

async fn update(
    transaction: &mut Transaction<'_, Postgres>,
    reopening: &Reopening,
) -> Result<Desired, ReopenError> {
    let actor = ActorColumns::from(&reopening.actor);
    let row = sqlx::query!(
        r#"with instance as (
             update mcp_instances
             set status = 'pending', node_id = $2, boot_id = $3, assigned_port = $4, type_version = $5,
                 generation = generation + 1, expires_at = coalesce($7, expires_at),
                 lifetime_s = coalesce($8, lifetime_s),
                 began_at = case when $7::timestamptz is null then began_at else $6 end,
                 deadline_set_at = case when $7::timestamptz is null then deadline_set_at else $6 end,
                 started_at = null, stopping_at = null, stop_reason = null, ended_at = null, error_message = null,
                 exit = null, process_id = null, process_started = null, shim_pid = null, shim_started = null,
                 spool_seq = 0, credential_version = $15, memory_mb = $16, cpu_percent = $17,
                 packages = $18::text[]
             where id = $1
             returning id, generation, expires_at, access_token_hash
           ), port as (
             insert into port_allocations (node_id, port, mcp_instance_id, allocated_at, is_available)
             select $2, $4, instance.id, $6, false from instance
             on conflict (node_id, port) do update
             set mcp_instance_id = excluded.mcp_instance_id, allocated_at = excluded.allocated_at,
                 released_at = null, last_health_check = null, quarantined_until = null, is_available = false,
                 released_by = null
             where port_allocations.is_available
             returning 1
           ), event as (
             insert into mcp_events (id, mcp_instance_id, at, event_type, event_data,
                                     user_id, api_key_id, ip_address, user_agent)
             select uuid_v7($6), instance.id, $6, $9, $10, $11, $12, $13::text::inet, $14 from instance
           )
           select generation, expires_at, access_token_hash, exists (select from port) as "leased!" from instance"#,
        reopening.id.uuid(),
        reopening.node.uuid(),
        reopening.boot.uuid(),
        i32::from(reopening.port.get()),
        reopening.type_version,
        reopening.at,
        reopening.life.map(|life| life.expires_at),
        reopening.life.map(|life| convert::seconds(life.lifetime)),
        reopening.event_type.as_str(),
        reopening.event_data,
        actor.user,
        actor.api_key,
        actor.ip_address,
        actor.user_agent,
        reopening.credential.map(|used| used.version),
        reopening.takes.memory_mb,
        reopening.takes.cpu_percent,
        &reopening.packages,
    )
    .fetch_one(&mut **transaction)
    .await
    .during(NAME);
    match row {
        Ok(row) if !row.leased => Err(ReserveError::PortHeld(reopening.port).into()),
        Ok(row) => Ok(Desired {
            generation: row.generation,
            expires_at: row.expires_at,
            token_hash: convert::hash(&row.access_token_hash)
                .map_err(|why| StoreError::inconsistent(TABLE, reopening.id, why))?,
        }),
        Err(StoreError::Duplicate { noun: "instance", field: "port" }) => {
            Err(ReserveError::PortHeld(reopening.port).into())
        }
        Err(error) => Err(error.into()),
    }
}
