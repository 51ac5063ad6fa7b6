//! The instances that hold a credential: restarted when its values are replaced, stopped when it has to go.
//!
//! ```text
//! replace:  values and version in one transaction ─► holders of an older version restarted, here and now
//!           a launch that read the old values finds another version as it writes its row, and reads again
//!           a restart under way reads them when the old server is gone; should it have been too late, it is repeated
//! delete:   refused while held, under a lock that a launch waits for; by force: switched off ─► holders stopped ─► deleted
//! ```
//! Whoever replaces a credential may be killed in between: what every row says of its version is compared again and again.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use roadstead_access::CredentialPermit;
use roadstead_accounts::{AccountsError, ChangedCredential, Credential, DeletedCredential};
use roadstead_control::StopReason;
use roadstead_model::{Actor, CredentialId, InstanceId, InstanceStatus};
use roadstead_store::StoreError;
use time::OffsetDateTime;

use crate::error::{ChangeError, DeleteCredentialError, StartAgainError};
use crate::launch::{Asker, Wait};
use crate::parts::Orchestrator;

/// Instances that are restarted, or stopped, at one time.
const AT_ONCE: usize = 8;
/// How long one that starts, or is restarted by somebody else, is waited for.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long one is waited for that nobody answers for at the moment.
const OWNER_PATIENCE: Duration = Duration::from_secs(3);
/// How often one that cannot be restarted yet is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Instances with replaced values that are seen to at one time.
const BATCH: u32 = 100;

/// A credential that was changed, and what became of those that hold it.
#[derive(Debug)]
pub struct ReplacedCredential {
    /// The credential.
    pub credential: Credential,
    /// These run with the new values.
    pub restarted: Vec<InstanceId>,
    /// These could not be restarted, and why.
    pub failed: Vec<(InstanceId, StartAgainError)>,
}

/// What became of one holder.
enum Renewed {
    Restarted,
    /// It has ended; its next start takes the new values.
    Ended,
    Failed(StartAgainError),
}

impl Orchestrator {
    /// Changes a credential; when its values are replaced, the instances that run with the old ones are restarted. The
    /// caller sees to it that the work goes on if nobody waits for it.
    pub async fn replace_credential(
        &self,
        permit: CredentialPermit,
        id: CredentialId,
        changed: ChangedCredential,
    ) -> Result<ReplacedCredential, AccountsError> {
        let has_values = changed.values.is_some();
        let credential = self.0.parts.accounts.change_credential(&permit, id, changed).await?;
        let (mut restarted, mut failed) = (Vec::new(), Vec::new());
        if has_values {
            let version = credential.row.version;
            let holders = self.0.store().credentials().holders(id).await?;
            let live = holders.into_iter().filter(|one| one.status.is_live() && one.version < version);
            let actor = permit.actor();
            let renewals = stream::iter(live.map(|one| one.id))
                .map(|holder| async move { (holder, self.renew_holder(holder, version, actor).await) });
            let renewals: Vec<_> = renewals.buffered(AT_ONCE).collect().await;
            for (holder, outcome) in renewals {
                match outcome {
                    Renewed::Restarted => restarted.push(holder),
                    Renewed::Ended => {}
                    Renewed::Failed(error) => failed.push((holder, error)),
                }
            }
        }
        Ok(ReplacedCredential { credential, restarted, failed })
    }

    /// Restarts one instance, unless it has the values of this version already. One that starts is waited for, and so is one
    /// that somebody else restarts: either may have read the values before.
    async fn renew_holder(&self, id: InstanceId, version: i32, actor: &Actor) -> Renewed {
        let began = self.0.now();
        loop {
            match self.0.store().credentials().held_version(id).await {
                Ok(None) => return Renewed::Ended,
                Ok(Some(held)) if held >= version => return Renewed::Restarted,
                Ok(Some(_)) => {}
                Err(error) => return Renewed::Failed(ChangeError::Store(error).into()),
            }
            let asker = Asker { view: None, actor: actor.clone(), permit: None };
            let Err(error) = Box::pin(self.restart_now(asker, id, Wait::Ready)).await else {
                return Renewed::Restarted;
            };
            if !self.is_worth_waiting(id, &error, began) {
                return Renewed::Failed(error);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Whether an instance is on its way to readiness.
    fn is_starting(&self, id: InstanceId) -> bool {
        self.0.live.find(id).is_some_and(|handle| handle.is_restarting())
    }

    /// Whether a restart that was refused can succeed soon.
    fn is_worth_waiting(&self, id: InstanceId, error: &StartAgainError, began: OffsetDateTime) -> bool {
        let is_on_its_way = match error {
            // It is pending, or has just ended: its row will tell.
            StartAgainError::Change(ChangeError::Refused(_)) => true,
            StartAgainError::Change(ChangeError::Unreachable { .. }) => self.is_starting(id),
            StartAgainError::Change(_) | StartAgainError::Launch(_) => return false,
        };
        let patience = if is_on_its_way { PATIENCE } else { OWNER_PATIENCE };
        self.0.now() - began < patience && !self.0.parts.stopping.is_cancelled()
    }

    /// Restarts what runs with values that were replaced: whoever replaced them did not get to it. Called again and again.
    pub(crate) async fn renew_stale(&self) -> Result<(), StoreError> {
        for (id, version) in self.0.store().credentials().stale(self.0.parts.node.node, BATCH).await? {
            if self.0.live.find(id).is_none() || self.is_starting(id) {
                continue;
            }
            let this = self.clone();
            self.0.parts.tasks.spawn(async move {
                let asker = Asker { view: None, actor: Actor::SYSTEM, permit: None };
                match Box::pin(this.restart_now(asker, id, Wait::Ready)).await {
                    Ok(_) => tracing::info!(instance.id = %id, version,
                        "an instance was restarted, because its credential had been replaced"),
                    Err(error) => tracing::info!(instance.id = %id, error = &error as &dyn std::error::Error,
                        "an instance whose credential was replaced could not be restarted"),
                }
            });
        }
        Ok(())
    }

    /// Deletes a credential, unless instances hold it; by force, those are stopped.
    pub async fn delete_credential(
        &self,
        permit: CredentialPermit,
        id: CredentialId,
        force: bool,
    ) -> Result<(), DeleteCredentialError> {
        let accounts = &self.0.parts.accounts;
        if !force {
            return match accounts.delete_credential(&permit, id).await? {
                DeletedCredential::Gone => Ok(()),
                DeletedCredential::Held(holders) => Err(DeleteCredentialError::InUse(holders)),
            };
        }
        // From here on no launch begins with it, so the holders only become fewer.
        accounts.switch_credential_off(&permit, id).await?;
        let holders = self.0.store().credentials().holders(id).await.map_err(AccountsError::from)?;
        let live = holders.into_iter().filter(|one| one.status != InstanceStatus::Disconnected);
        let ends = stream::iter(live).for_each_concurrent(AT_ONCE, |one| {
            self.ask_to_end(one.id, StopReason::Requested, permit.actor().clone())
        });
        ends.await;
        match accounts.delete_credential_of_the_lost(&permit, id).await? {
            DeletedCredential::Gone => Ok(()),
            DeletedCredential::Held(holders) => Err(DeleteCredentialError::InUse(holders)),
        }
    }
}
