//! The first step of a launch: the row, its port and its event, within the owner's quota, all or nothing.

use std::time::Duration;

use roadstead_model::{
    Actor, Amounts, BootId, CredentialId, InstanceId, NewAudit, NodeId, OrganizationId, Port, ProjectId,
    QuotaReached, Quotas, TypeId, UserId,
};
use serde_json::Value;
use sqlx::{Postgres, Transaction};
use time::OffsetDateTime;

use super::Instances;
use super::quota::{check_quotas, lock_organization};
use crate::convert::{self, ActorColumns};
use crate::db::System;
use crate::error::During;
use crate::{SealedSlot, StoreError};

const NAME: &str = "db.instance.reserve";

/// A credential whose values were read for a launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsedCredential {
    /// The credential.
    pub id: CredentialId,
    /// The version of the values that were read.
    pub version: i32,
}

/// What one instance may take of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Takes {
    /// Memory.
    pub memory_mb: i32,
    /// Processor time, in hundredths of a processor.
    pub cpu_percent: i32,
}

impl Takes {
    /// One more instance of this size.
    pub(super) fn one_more(self) -> Amounts {
        let positive = |value: i32| u64::try_from(value).unwrap_or_default();
        let (memory_mb, cpu_percent) = (positive(self.memory_mb), positive(self.cpu_percent));
        Amounts { instances: 1, memory_mb, cpu_percent }
    }
}

/// An instance to reserve.
#[derive(Debug, Clone)]
pub struct NewInstance {
    /// The instance's id.
    pub id: InstanceId,
    /// Whose it is.
    pub user: UserId,
    /// What it belongs to.
    pub organization: OrganizationId,
    /// What it belongs to.
    pub project: ProjectId,
    /// What it is a copy of.
    pub type_id: TypeId,
    /// The type's version.
    pub type_version: i32,
    /// The installed packages that it needs.
    pub packages: Vec<String>,
    /// The credential it is launched with.
    pub credential: Option<UsedCredential>,
    /// Where it will run.
    pub node: NodeId,
    /// That machine's boot.
    pub boot: BootId,
    /// What its owner calls it.
    pub name: String,
    /// Its configuration, a JSON object.
    pub config: Value,
    /// The SHA-256 of its access token.
    pub token_hash: [u8; 32],
    /// The end of its access token.
    pub token_hint: String,
    /// The port that the pool leased.
    pub port: Port,
    /// Sealed values that came with the launch.
    pub secrets: Vec<SealedSlot>,
    /// How long it is to live.
    pub lifetime: Duration,
    /// Its deadline.
    pub expires_at: OffsetDateTime,
    /// The idle limit that is asked for, in seconds; none for its type's.
    pub idle_limit_s: Option<i32>,
    /// Whether each use moves the deadline on.
    pub keep: bool,
    /// Whether it is started again by itself when the machine was.
    pub autostart: bool,
    /// Now.
    pub at: OffsetDateTime,
    /// What it may take.
    pub takes: Takes,
    /// Who launches it.
    pub actor: Actor,
    /// The particulars of its `created` event, a JSON object without secrets.
    pub event_data: Value,
    /// What the audit log says of it, in the same transaction; none where nobody asked.
    pub entry: Option<NewAudit>,
}

/// Why nothing was reserved.
#[derive(Debug, thiserror::Error)]
pub enum ReserveError {
    /// The owner or the organisation has as much as they may.
    #[error(transparent)]
    QuotaReached(QuotaReached),
    /// Another live row holds the port.
    #[error("port {0} is held by another live instance")]
    PortHeld(Port),
    /// The credential was replaced, switched off or deleted since its values were read.
    #[error("the credential has changed since it was read")]
    CredentialChanged,
    /// There is no such owner, or they are inactive.
    #[error("the owner does not exist or is inactive")]
    NoOwner,
    /// Anything else.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Instances<System<'_>> {
    /// Inserts the pending row, its sealed values, its port and its `created` event, unless the owner or the organisation
    /// has as much as the quotas permit; an organisation may have numbers of its own.
    #[tracing::instrument(
        name = "db.instance.reserve", skip_all,
        fields(instance.id = %new.id, user.id = %new.user, port = %new.port), err(level = "debug")
    )]
    pub async fn reserve(&self, new: &NewInstance, quotas: &Quotas) -> Result<(), ReserveError> {
        let mut transaction = self.db.pool.begin().await.during(NAME)?;
        lock_owner(&mut transaction, new.user, NAME).await?;
        let own = lock_organization(&mut transaction, new.organization, NAME).await?;
        hold_credential(&mut transaction, new.credential, NAME).await?;
        let wanted = new.takes.one_more();
        check_quotas(&mut transaction, (new.user, new.organization), &own.over(quotas), wanted, NAME).await?;
        insert(&mut transaction, new).await?;
        write_down(&mut transaction, new.entry.as_ref()).await?;
        transaction.commit().await.during(NAME)?;
        Ok(())
    }
}

/// What the audit log says, in the transaction of what it says it of.
pub(super) async fn write_down(
    transaction: &mut Transaction<'_, Postgres>,
    entry: Option<&NewAudit>,
) -> Result<(), StoreError> {
    match entry {
        Some(entry) => crate::Audit { db: crate::Within { connection: transaction } }.append(entry).await,
        None => Ok(()),
    }
}

/// A statement of its own: who waits here for another launch of the same owner then counts that launch too.
/// `no key update` lets rows that merely refer to the owner be written meanwhile.
pub(super) async fn lock_owner(
    transaction: &mut Transaction<'_, Postgres>,
    owner: UserId,
    name: &'static str,
) -> Result<(), ReserveError> {
    let found = sqlx::query_scalar!(
        r#"select 1 as "one!" from users where id = $1 and is_active and deleted_at is null for no key update"#,
        owner.uuid(),
    )
    .fetch_optional(&mut **transaction)
    .await
    .during(name)?;
    found.map(drop).ok_or(ReserveError::NoOwner)
}

/// The values that were read are still those of the credential, and stay so until the row is written. `share`, because a
/// `key share` would let them be replaced: a replacement waits for this row, and then finds it among the holders.
pub(super) async fn hold_credential(
    transaction: &mut Transaction<'_, Postgres>,
    used: Option<UsedCredential>,
    name: &'static str,
) -> Result<(), ReserveError> {
    let Some(used) = used else { return Ok(()) };
    let found = sqlx::query_scalar!(
        r#"select 1 as "one!" from credentials
           where id = $1 and version = $2 and is_active and deleted_at is null for share"#,
        used.id.uuid(),
        used.version,
    )
    .fetch_optional(&mut **transaction)
    .await
    .during(name)?;
    found.map(drop).ok_or(ReserveError::CredentialChanged)
}

async fn insert(transaction: &mut Transaction<'_, Postgres>, new: &NewInstance) -> Result<(), ReserveError> {
    let actor = ActorColumns::from(&new.actor);
    let (slots, sealed): (Vec<String>, Vec<Vec<u8>>) =
        new.secrets.iter().map(|one| (one.slot.clone(), one.sealed.clone())).unzip();
    let inserted = sqlx::query!(
        r#"with instance as (
             insert into mcp_instances (
               id, user_id, organization_id, project_id, mcp_type_id, type_version, credential_id, node_id, boot_id,
               name, status, config, access_token_hash, token_hint, assigned_port, expires_at, created_at, updated_at,
               began_at, deadline_set_at, lifetime_s, keep, idle_limit_s, autostart, credential_version,
               memory_mb, cpu_percent, packages)
             select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'pending', $11, $12, $13, $14, $15, $16, $16,
                    $16, $16, $24, $25, $26, $27, $28, $29, $30, $31::text[]
             returning id
           ), secrets as (
             insert into instance_secrets (instance_id, slot, sealed)
             select instance.id, s.slot, s.sealed
             from instance, unnest($17::text[], $18::bytea[]) as s (slot, sealed)
           ), port as (
             insert into port_allocations (node_id, port, mcp_instance_id, allocated_at, is_available)
             select $8, $14, instance.id, $16, false from instance
             on conflict (node_id, port) do update
             set mcp_instance_id = excluded.mcp_instance_id, allocated_at = excluded.allocated_at,
                 released_at = null, last_health_check = null, quarantined_until = null, is_available = false,
                 released_by = null
             where port_allocations.is_available
             returning 1
           ), event as (
             insert into mcp_events (id, mcp_instance_id, at, event_type, event_data,
                                     user_id, api_key_id, ip_address, user_agent)
             select uuid_v7($16), instance.id, $16, 'created', $19, $20, $21, $22::text::inet, $23 from instance
           )
           select exists (select from port) as "leased!""#,
        new.id.uuid(),
        new.user.uuid(),
        new.organization.uuid(),
        new.project.uuid(),
        new.type_id.uuid(),
        new.type_version,
        new.credential.map(|used| used.id.uuid()),
        new.node.uuid(),
        new.boot.uuid(),
        new.name,
        new.config,
        &new.token_hash[..],
        new.token_hint,
        i32::from(new.port.get()),
        new.expires_at,
        new.at,
        &slots,
        &sealed,
        new.event_data,
        actor.user,
        actor.api_key,
        actor.ip_address,
        actor.user_agent,
        convert::seconds(new.lifetime),
        new.keep,
        new.idle_limit_s,
        new.autostart,
        new.credential.map(|used| used.version),
        new.takes.memory_mb,
        new.takes.cpu_percent,
        &new.packages,
    )
    .fetch_one(&mut **transaction)
    .await
    .during(NAME);
    outcome(inserted.map(|row| row.leased), new.port)
}

/// What came of it: whether the row has its port.
fn outcome(leased: Result<bool, StoreError>, port: Port) -> Result<(), ReserveError> {
    match leased {
        Ok(true) => Ok(()),
        Ok(false) | Err(StoreError::Duplicate { noun: "instance", field: "port" }) => {
            Err(ReserveError::PortHeld(port))
        }
        Err(error) => Err(error.into()),
    }
}
