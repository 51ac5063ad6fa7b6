//! Changes of an instance that exists: stop, expire, extend, rotate or revoke the token, delete.
//!
//! A change is committed with a higher generation, pushed to the shim and acknowledged before it is answered.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use roadstead_access::{InstancePermit, Permit};
use roadstead_accounts::PlainToken;
use roadstead_control::StopReason;
use roadstead_crypto::TokenKind;
use roadstead_model::{Actor, Changes, Extension, InstanceId, InstanceStatus, NewAudit, Verb, expiry};
use roadstead_store::{InstanceRow, Leaving, NewToken, StoreError};
use serde_json::json;
use time::OffsetDateTime;
use tokio::sync::oneshot;

use crate::driver::shim_hash;
use crate::error::ChangeError;
use crate::launch::Launched;
use crate::live::Request;
use crate::parts::Orchestrator;

/// Instances of somebody who leaves that are ended at one time.
const ENDS_AT_ONCE: usize = 8;

impl Orchestrator {
    /// Stops an instance and waits until it has ended.
    pub async fn stop(&self, permit: InstancePermit, id: InstanceId) -> Result<InstanceRow, ChangeError> {
        self.end(permit, id, Verb::Stop, StopReason::Requested).await
    }

    /// Ends an instance as its deadline would, and waits until it has ended.
    pub async fn expire(&self, permit: InstancePermit, id: InstanceId) -> Result<InstanceRow, ChangeError> {
        self.end(permit, id, Verb::Expire, StopReason::Expired).await
    }

    /// Stops an instance if it lives, then deletes its row.
    pub async fn delete(&self, permit: InstancePermit, id: InstanceId) -> Result<(), ChangeError> {
        let row = self.get(&permit, id).await?;
        let this = self.clone();
        let actor = permit.actor().clone();
        let work = async move {
            if row.status().is_live() {
                this.ask_to_end(id, StopReason::Requested, actor.clone()).await;
            }
            let now = this.0.now();
            let mut change = this.0.store().system_change().await?;
            if change.instances().soft_delete(id, &actor, now).await? {
                change.commit(&entry(&permit, &row, Changes::default(), now)).await
            } else {
                // Somebody else was quicker: gone is what was wanted.
                change.nothing_changed().await
            }
        };
        Ok(self.0.parts.tasks.spawn(work).await.map_err(ChangeError::Panicked)??)
    }

    /// Moves a running instance's deadline.
    pub async fn extend(
        &self,
        permit: InstancePermit,
        id: InstanceId,
        extension: Extension,
    ) -> Result<InstanceRow, ChangeError> {
        let row = self.get(&permit, id).await?;
        row.standing(self.0.now()).permits(Verb::Extend)?;
        let expires_at = self.new_deadline(&row, extension).await?;
        let data = json!({ "from": row.expires_at.unix_timestamp(), "to": expires_at.unix_timestamp() });
        let now = self.0.now();
        let mut change = self.0.store().change(permit.view()).await?;
        let generation = change.instances().set_deadline(id, expires_at, permit.actor(), &data, now).await?;
        let generation = generation.ok_or(ended(Verb::Extend))?;
        let changes = Changes::default().with("expires_at", Some(&data["from"]), &data["to"]);
        change.commit(&entry(&permit, &row, changes, now)).await?;
        self.push(id, |done| Request::SetDeadline {
            generation: generation.unsigned_abs(),
            expires_at,
            done,
        })
        .await?;
        self.get(&permit, id).await
    }

    async fn new_deadline(
        &self,
        row: &InstanceRow,
        extension: Extension,
    ) -> Result<OffsetDateTime, ChangeError> {
        let now = self.0.now();
        let spec = self.0.store().types().get(row.type_id).await?;
        let minutes = spec.map_or(60, |spec| u64::from(spec.definition.max_duration_minutes.unsigned_abs()));
        let cap = Duration::from_secs(60 * minutes);
        expiry::extended(extension, row.expires_at, cap, now).map_err(|error| ChangeError::Invalid {
            field: extension.field(),
            message: format!("makes a lifetime that {error}"),
        })
    }

    /// Replaces a running instance's token; the old one is refused once this returns.
    pub async fn rotate_token(
        &self,
        permit: InstancePermit,
        id: InstanceId,
    ) -> Result<Launched, ChangeError> {
        let token = self.new_token();
        let instance = self.set_token(&permit, id, Verb::RotateToken, &token, &token.hint()).await?;
        Ok(Launched { instance, token, queued: None })
    }

    /// Takes a running instance's token back: once this returns, nothing opens it until it is given another one.
    pub async fn revoke_token(
        &self,
        permit: InstancePermit,
        id: InstanceId,
    ) -> Result<InstanceRow, ChangeError> {
        // A token all the same, which is forgotten here: row and shim need no other words for one that nobody has.
        let token = self.new_token();
        self.set_token(&permit, id, Verb::RevokeToken, &token, "").await
    }

    fn new_token(&self) -> PlainToken {
        PlainToken::generate(TokenKind::Access, &mut *self.0.parts.randomness.lock())
    }

    async fn set_token(
        &self,
        permit: &InstancePermit,
        id: InstanceId,
        verb: Verb,
        token: &PlainToken,
        hint: &str,
    ) -> Result<InstanceRow, ChangeError> {
        let row = self.get(permit, id).await?;
        row.standing(self.0.now()).permits(verb)?;
        let hash = *token.hash().as_bytes();
        let new = NewToken { hash: &hash, hint, event_type: verb.event() };
        let now = self.0.now();
        let mut change = self.0.store().change(permit.view()).await?;
        let generation = change.instances().set_token(id, new, permit.actor(), now).await?;
        let generation = generation.ok_or(ended(verb))?;
        let mut said = entry(permit, &row, Changes::default().masked("access_token"), now);
        said.sensitive = true;
        change.commit(&said).await?;
        let sha256 = shim_hash(&hash);
        self.push(id, |done| Request::SetToken { generation: generation.unsigned_abs(), sha256, done })
            .await?;
        self.get(permit, id).await
    }

    async fn end(
        &self,
        permit: InstancePermit,
        id: InstanceId,
        verb: Verb,
        reason: StopReason,
    ) -> Result<InstanceRow, ChangeError> {
        let row = self.get(&permit, id).await?;
        row.standing(self.0.now()).permits(verb)?;
        // Before it is asked: nothing ends on somebody's word that is not written down.
        self.write_down(&permit, &entry(&permit, &row, Changes::default(), self.0.now())).await?;
        let this = self.clone();
        let actor = permit.actor().clone();
        let work = async move { this.ask_to_end(id, reason, actor).await };
        self.0.parts.tasks.spawn(work).await.map_err(ChangeError::Panicked)?;
        self.get(&permit, id).await
    }

    /// An entry of its own, where what is asked for is done by another process, over time.
    pub(crate) async fn write_down(
        &self,
        permit: &InstancePermit,
        entry: &NewAudit,
    ) -> Result<(), StoreError> {
        self.0.store().change(permit.view()).await?.commit(entry).await
    }

    /// Asks an instance's owner to end it and waits until its row says so; without an owner, there is nothing to
    /// wait for: the reaper ends the row.
    pub(crate) async fn ask_to_end(&self, id: InstanceId, reason: StopReason, actor: Actor) {
        let Some(handle) = self.0.live.find(id) else { return };
        // A full queue means that others ask for the same.
        let _ = handle.requests.send(Request::Stop { reason, actor }).await;
        handle.wait_ended().await;
    }

    /// Ends everything that lives of whoever leaves, and waits until it has ended.
    pub async fn end_all_of(&self, permit: &Permit, leaving: Leaving) -> Result<(), ChangeError> {
        let actor = permit.actor().clone();
        let this = self.clone();
        let work = async move {
            let live = this.0.store().instances().live_of_leaving(leaving).await?;
            let ends = live.into_iter().map(|id| this.ask_to_end(id, StopReason::Requested, actor.clone()));
            // Each waits for its own processes: one after the other would be as slow as they are many.
            stream::iter(ends).buffer_unordered(ENDS_AT_ONCE).collect::<()>().await;
            Ok::<(), StoreError>(())
        };
        self.0.parts.tasks.spawn(work).await.map_err(ChangeError::Panicked)??;
        Ok(())
    }

    async fn push(
        &self,
        id: InstanceId,
        request: impl FnOnce(oneshot::Sender<bool>) -> Request,
    ) -> Result<(), ChangeError> {
        let unreachable = || ChangeError::Unreachable { instance: id };
        let handle = self.0.live.find(id).ok_or_else(unreachable)?;
        let (done, acknowledged) = oneshot::channel();
        handle.requests.send(request(done)).await.map_err(|_| unreachable())?;
        if acknowledged.await.unwrap_or(false) { Ok(()) } else { Err(unreachable()) }
    }
}

/// What the audit log says: in the chain of the organisation that the instance belongs to, whoever acts.
pub(crate) fn entry(
    permit: &InstancePermit,
    row: &InstanceRow,
    changes: Changes,
    at: OffsetDateTime,
) -> NewAudit {
    NewAudit {
        organization: Some(row.organization),
        project: Some(row.project),
        ..permit.entry(&row.id, changes, at)
    }
}

/// The row left `running` between two statements.
fn ended(verb: Verb) -> ChangeError {
    ChangeError::Refused(roadstead_model::InvalidTransition { status: InstanceStatus::Stopped, verb })
}
