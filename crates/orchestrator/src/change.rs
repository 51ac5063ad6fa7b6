//! Changes of an instance that exists: stop, expire, extend, rotate or revoke the token, delete.
//!
//! A change is committed with a higher generation, pushed to the shim and acknowledged before it is answered.

use std::time::Duration;

use roadstead_access::InstancePermit;
use roadstead_accounts::PlainToken;
use roadstead_control::StopReason;
use roadstead_crypto::TokenKind;
use roadstead_model::{Actor, Extension, InstanceId, InstanceStatus, Verb, expiry};
use roadstead_store::{InstanceRow, NewToken};
use serde_json::json;
use time::OffsetDateTime;
use tokio::sync::oneshot;

use crate::driver::shim_hash;
use crate::error::ChangeError;
use crate::launch::Launched;
use crate::live::Request;
use crate::parts::Orchestrator;

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
            this.0.store().instances().soft_delete(id, &actor, this.0.now()).await
        };
        let deleted = self.0.parts.tasks.spawn(work).await.map_err(ChangeError::Panicked)??;
        // Somebody else was quicker: gone is what was wanted.
        let _ = deleted;
        Ok(())
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
        let generation = self
            .0
            .store()
            .instances()
            .set_deadline(id, expires_at, permit.actor(), &data, self.0.now())
            .await?;
        let generation = generation.ok_or(ended(Verb::Extend))?;
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
        let generation = self.0.store().instances().set_token(id, new, permit.actor(), now).await?;
        let generation = generation.ok_or(ended(verb))?;
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
        let this = self.clone();
        let actor = permit.actor().clone();
        let work = async move { this.ask_to_end(id, reason, actor).await };
        self.0.parts.tasks.spawn(work).await.map_err(ChangeError::Panicked)?;
        self.get(&permit, id).await
    }

    /// Asks an instance's owner to end it and waits until its row says so; without an owner, there is nothing to
    /// wait for: the reaper ends the row.
    pub(crate) async fn ask_to_end(&self, id: InstanceId, reason: StopReason, actor: Actor) {
        let Some(handle) = self.0.live.find(id) else { return };
        // A full queue means that others ask for the same.
        let _ = handle.requests.send(Request::Stop { reason, actor }).await;
        handle.wait_ended().await;
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

/// The row left `running` between two statements.
fn ended(verb: Verb) -> ChangeError {
    ChangeError::Refused(roadstead_model::InvalidTransition { status: InstanceStatus::Stopped, verb })
}
