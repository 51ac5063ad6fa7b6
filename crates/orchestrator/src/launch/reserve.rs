//! What a launch writes and leases before anything runs: a port that is free for us and for the machine, and the row.

use std::net::{Ipv4Addr, TcpListener};

use roadstead_access::LaunchPermit;
use roadstead_accounts::{ExposeSecret, PlainToken};
use roadstead_model::{Changes, InstanceId, Port};
use roadstead_port_allocator::PortLease;
use roadstead_store::{NewInstance, ReserveError, SealedSlot};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::plan::Plan;
use super::quota::quotas;
use crate::error::LaunchError;
use crate::parts::Inner;

/// How often a launch tries again before it gives up, because the port that it chose or the credential that it read was
/// not what it had been a moment ago.
pub(super) const PORT_ATTEMPTS: usize = 16;

/// A row, and what came of writing it: it may have to be written otherwise.
pub(super) type Written = (NewInstance, Result<(), ReserveError>);

/// Writes the row once.
pub(super) async fn write(inner: &Inner, row: NewInstance) -> Written {
    let written = inner.store().instances().reserve(&row, &quotas(&inner.settings())).await;
    (row, written)
}

/// Goes on from a first attempt to write the row: leases ports until the database has one free, too, and reads the credential
/// until it is the one that it has.
pub(super) async fn until_written(
    inner: &Inner,
    (mut row, mut written): Written,
    plan: &mut Plan,
    mut lease: PortLease,
) -> Result<PortLease, LaunchError> {
    for attempt in 1.. {
        match written {
            Ok(()) => break,
            Err(ReserveError::PortHeld(_)) if attempt < PORT_ATTEMPTS => {
                lease = lease.taken_by_other().map_err(|full| exhausted(&full))?;
                row.port = lease.port();
            }
            Err(ReserveError::CredentialChanged) if attempt < PORT_ATTEMPTS => {
                plan.read_again(inner, row.user).await?;
                row.credential = plan.credential;
            }
            Err(error) => return Err(refused(inner, error)),
        }
        (row, written) = write(inner, row).await;
    }
    Ok(lease)
}

pub(super) fn refused(inner: &Inner, error: ReserveError) -> LaunchError {
    match error {
        ReserveError::QuotaReached(reached) => LaunchError::QuotaReached(reached),
        ReserveError::PortHeld(_) => {
            LaunchError::PortsExhausted { retry_after: inner.parts.limits.quarantine }
        }
        ReserveError::CredentialChanged => LaunchError::CredentialChanged,
        ReserveError::NoOwner => LaunchError::OwnerNotActive,
        ReserveError::Store(error) => LaunchError::Store(error),
    }
}

/// A leased port on which nothing of others listens, the wanted one if it can be had: who does listen has it
/// quarantined, and the next is taken.
pub(super) fn free_port(inner: &Inner, wanted: Option<Port>) -> Result<PortLease, LaunchError> {
    let mut lease = match wanted.and_then(|port| inner.ports.lease_again(port)) {
        Some(lease) => lease,
        None => inner.ports.lease().map_err(|full| exhausted(&full))?,
    };
    // Another service may have the same range, so each of them is asked.
    for _ in 0..inner.settings().ports.len() {
        // Only asked: the shim binds it for good, and fails the launch if somebody was quicker.
        let Err(error) = TcpListener::bind((Ipv4Addr::LOCALHOST, lease.port().get())) else {
            return Ok(lease);
        };
        // Without a descriptor to look with, every port would seem taken.
        if let Some(exhausted) = LaunchError::of_port(error) {
            return Err(exhausted);
        }
        tracing::warn!(port = %lease.port(), "something else listens on a port of the pool; it rests");
        lease = lease.taken_by_other().map_err(|full| exhausted(&full))?;
    }
    Err(LaunchError::PortsExhausted { retry_after: inner.parts.limits.quarantine })
}

pub(super) fn exhausted(full: &roadstead_port_allocator::Exhausted) -> LaunchError {
    LaunchError::PortsExhausted { retry_after: full.retry_after }
}

/// What the audit log says of a launch: the configuration may hold anything, so only that there is one.
fn launched(plan: &Plan, at: OffsetDateTime) -> Changes {
    let changes = Changes::default().with("type", None, &json!(plan.spec.name)).with(
        "expires_at",
        None,
        &json!((at + plan.lifetime).unix_timestamp()),
    );
    if plan.config.is_empty() { changes } else { changes.masked("config") }
}

pub(super) fn new_row(
    inner: &Inner,
    permit: &LaunchPermit,
    plan: &Plan,
    (instance, port): (InstanceId, Port),
    token: &PlainToken,
    at: OffsetDateTime,
) -> NewInstance {
    let seal = |slot: &String, value: &roadstead_accounts::SecretString| SealedSlot {
        slot: slot.clone(),
        sealed: inner.parts.accounts.seal_slot(
            permit.user(),
            plan.type_id,
            slot,
            instance.uuid_bytes(),
            value.expose_secret(),
        ),
    };
    let short: String = instance.uuid().simple().to_string().chars().skip(26).collect();
    NewInstance {
        id: instance,
        user: permit.user(),
        organization: permit.organization(),
        project: permit.project(),
        type_id: plan.type_id,
        type_version: plan.type_version,
        packages: plan.made_of.places.clone(),
        credential: plan.credential,
        node: inner.parts.node.node,
        boot: inner.parts.node.boot,
        name: plan.name.clone().unwrap_or_else(|| format!("{}-{short}", plan.spec.name)),
        config: Value::Object(plan.config.clone()),
        token_hash: *token.hash().as_bytes(),
        token_hint: token.hint(),
        port,
        secrets: if plan.inline {
            plan.values.iter().map(|(slot, value)| seal(slot, value)).collect()
        } else {
            vec![]
        },
        lifetime: plan.lifetime,
        expires_at: at + plan.lifetime,
        idle_limit_s: plan.idle_limit.and_then(|limit| i32::try_from(limit.as_secs()).ok()),
        keep: plan.keep,
        autostart: plan.autostart,
        at,
        takes: plan.takes(),
        actor: permit.actor().clone(),
        entry: Some(permit.entry(&instance, launched(plan, at), at)),
        event_data: json!({
            "program": plan.spec.program,
            "args": plan.spec.args,
            "url": plan.spec.url,
            "type_version": plan.type_version,
        }),
    }
}
