//! Starting an instance again, with its id, URL and token: restore and renew after it has ended, restart while it runs.
//!
//! ```text
//! restore, renew:  ended ─► claim ─► plan from the row ─► Reserved ─► as a launch
//! restart:         plan from the row ─► driver: route closed, shim stops ─► Reserved ─► as a launch
//!                  the row stays that of a running instance; port and ownership go from hand to hand
//! ```
//! What is looked up and checked is so before anything changes: a secret that is gone leaves all as it was.

use std::sync::Arc;
use std::time::Duration;

use roadstead_access::InstancePermit;
use roadstead_accounts::AccountsError;
use roadstead_metrics::OrphanKind;
use roadstead_model::{
    Actor, Changes, InstanceId, InstanceStatus, NewAudit, OrganizationStatus, Step, UserId, Verb, View,
    expiry,
};
use roadstead_port_allocator::PortLease;
use roadstead_store::{InstanceRow, NewLife, Reopening};
use serde_json::json;
use time::OffsetDateTime;
use tokio::sync::oneshot;

use super::plan::gone;
use super::steps::Reserved;
use super::{Life, Plan, Wait, go_on, go_on_later};
use crate::change::entry;
use crate::end::End;
use crate::error::{ChangeError, LaunchError, StartAgainError};
use crate::live::{Ownership, Request, Restart};
use crate::parts::{Inner, Orchestrator};

/// How often one that waits for an instance's end looks whether somebody else has started it meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How long a shim of an ended instance gets to leave by itself, when the instance is started again.
const CLEAR_PATIENCE: Duration = Duration::from_secs(3);
/// The pause between two attempts to read a row from a database that does not answer.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Who wants an instance started again.
pub(crate) struct Asker {
    /// Whose instances they reach; none for everybody's.
    pub(crate) view: Option<View>,
    /// For the event.
    pub(crate) actor: Actor,
    /// Their permit, for the audit log; none of what the service does by itself, or as part of another change.
    pub(crate) permit: Option<InstancePermit>,
}

impl Asker {
    fn of(permit: &InstancePermit) -> Self {
        Self { view: Some(permit.view()), actor: permit.actor().clone(), permit: Some(permit.clone()) }
    }

    fn entry(&self, row: &InstanceRow, changes: Changes, at: OffsetDateTime) -> Option<NewAudit> {
        self.permit.as_ref().map(|permit| entry(permit, row, changes, at))
    }
}

impl Orchestrator {
    /// Starts an instance again that was lost, stopped or failed; it keeps its deadline. The work goes on if the
    /// caller stops waiting.
    pub async fn restore(
        &self,
        permit: InstancePermit,
        id: InstanceId,
        wait: Wait,
    ) -> Result<InstanceRow, StartAgainError> {
        let this = self.clone();
        self.detached(async move { this.start_again(Asker::of(&permit), id, Life::Same, wait).await }).await
    }

    /// Starts an instance again whose time was up, with a new deadline: `expires_in` from now, or the setting's.
    pub async fn renew(
        &self,
        permit: InstancePermit,
        id: InstanceId,
        expires_in: Option<Duration>,
        wait: Wait,
    ) -> Result<InstanceRow, StartAgainError> {
        let this = self.clone();
        self.detached(
            async move { this.start_again(Asker::of(&permit), id, Life::New(expires_in), wait).await },
        )
        .await
    }

    /// Ends the processes of a running instance and starts it afresh; it keeps its deadline.
    pub async fn restart(
        &self,
        permit: InstancePermit,
        id: InstanceId,
        wait: Wait,
    ) -> Result<InstanceRow, StartAgainError> {
        let this = self.clone();
        self.detached(async move { this.restart_now(Asker::of(&permit), id, wait).await }).await
    }

    async fn detached(
        &self,
        work: impl Future<Output = Result<InstanceRow, StartAgainError>> + Send + 'static,
    ) -> Result<InstanceRow, StartAgainError> {
        if self.0.parts.stopping.is_cancelled() {
            return Err(LaunchError::ShuttingDown.into());
        }
        let work = self.0.parts.tasks.spawn(tracing::Instrument::in_current_span(work));
        work.await.map_err(LaunchError::Panicked)?
    }

    pub(super) async fn start_again(
        &self,
        asker: Asker,
        id: InstanceId,
        life: Life,
        wait: Wait,
    ) -> Result<InstanceRow, StartAgainError> {
        if !self.0.settings().launches.enabled && asker.actor != Actor::SYSTEM {
            return Err(LaunchError::Disabled.into());
        }
        let verb = if life == Life::Same { Verb::Restore } else { Verb::Renew };
        self.check_place(&self.row(asker.view, id).await?).await?;
        let (row, ownership) = self.claim(asker.view, id, verb).await?;
        let plan = Plan::again(&self.0, &row, life).await?;
        let at = self.0.now();
        let life = match life {
            Life::Same => None,
            Life::New(_) => Some(NewLife { lifetime: plan.lifetime, expires_at: at + plan.lifetime }),
        };
        let changes = life.map_or_else(Changes::default, |life: NewLife| {
            let until = json!(life.expires_at.unix_timestamp());
            Changes::default().with("expires_at", Some(&json!(row.expires_at.unix_timestamp())), &until)
        });
        let reopening = Reopening {
            entry: asker.entry(&row, changes, at),
            id,
            user: row.user,
            organization: row.organization,
            takes: plan.takes(),
            verb,
            life,
            type_version: plan.type_version,
            packages: plan.made_of.places.clone(),
            credential: plan.credential,
            node: self.0.parts.node.node,
            boot: self.0.parts.node.boot,
            port: self.0.settings().ports.first(),
            at,
            event_type: verb.event(),
            event_data: json!({ "was": row.standing(at).status(), "type_version": plan.type_version,
                "autostart": asker.actor == Actor::SYSTEM }),
            actor: asker.actor,
        };
        // What the service starts by itself was counted before.
        let is_ours = reopening.actor == Actor::SYSTEM;
        let coming = if is_ours { self.0.admission.let_in_anyhow() } else { self.0.let_in()? };
        let reserved = Reserved::again(&self.0, ownership, plan, reopening).await;
        let reserved = reserved.inspect_err(|_| self.0.steps.given_up(id))?.enter(coming, row.user);
        match wait {
            Wait::None => go_on_later(&self.0, reserved),
            Wait::Ready => {
                if let Some(row) = go_on(Arc::clone(&self.0), reserved).await? {
                    return Ok(row);
                }
            }
        }
        Ok(self.row(asker.view, id).await?)
    }

    /// Whether anything may be started where an instance belongs: that need not be where its asker acts.
    async fn check_place(&self, row: &InstanceRow) -> Result<(), LaunchError> {
        let accounts = &self.0.parts.accounts;
        let standing = accounts.standing_of_project(row.project).await.map_err(|error| match error {
            AccountsError::Store(error) => LaunchError::Store(error),
            source => LaunchError::Secret { source },
        })?;
        match standing {
            Some((status, _)) if !status.permits_starts() => Err(LaunchError::ProjectNotActive { status }),
            Some((_, OrganizationStatus::Active)) => Ok(()),
            _ => Err(LaunchError::OrganizationNotActive),
        }
    }

    /// Becomes the owner of an instance that has ended, or says why it cannot be started again. Old processes are
    /// waited for; of several that ask at once, one goes on and the others hear that it is pending.
    async fn claim(
        &self,
        view: Option<View>,
        id: InstanceId,
        verb: Verb,
    ) -> Result<(InstanceRow, Ownership), StartAgainError> {
        let until = self.0.now() + self.0.parts.limits.longest_end();
        loop {
            self.row(view, id).await?.standing(self.0.now()).permits(verb)?;
            if let Some(ownership) = self.0.live.claim(id) {
                // Read again: what it said before may be over.
                let row = self.ended(view, id).await?;
                row.standing(self.0.now()).permits(verb)?;
                return Ok((row, ownership));
            }
            if self.0.now() >= until {
                return Err(ChangeError::Unreachable { instance: id }.into());
            }
            if let Some(handle) = self.0.live.find(id) {
                let _ = tokio::time::timeout(LOOK_AGAIN, handle.wait_ended()).await;
            }
        }
    }

    /// The row of an instance that nobody answers for; should it still say that it lives although its time is up, it
    /// is ended as the reaper would.
    async fn ended(&self, view: Option<View>, id: InstanceId) -> Result<InstanceRow, ChangeError> {
        let row = self.row(view, id).await?;
        let (now, node) = (self.0.now(), self.0.parts.node.node);
        let standing = row.standing(now);
        if !standing.is_still_ending() {
            // Its deadline has passed since it ended, and the reaper was not there yet: its events tell all the same.
            if standing.status() != row.status() {
                self.0.store().instances().expire_ended(node, now, Some(id), 1).await?;
            }
            // Who ended it may have left before its folders were removed, and what is made now is made afresh.
            self.clear(id).await?;
            return self.row(view, id).await;
        }
        self.clear_processes(id).await?;
        self.0.reaper.reap_one(id).await?;
        self.row(view, id).await
    }

    /// Ends what is left of an instance that nobody answers for, and removes its folders.
    async fn clear(&self, id: InstanceId) -> Result<(), ChangeError> {
        self.clear_processes(id).await?;
        self.0.reaper.store_last_words(id).await?;
        self.0.remove_folders(id);
        Ok(())
    }

    async fn clear_processes(&self, id: InstanceId) -> Result<(), ChangeError> {
        let (node, supervisor) = (self.0.parts.node, &self.0.parts.supervisor);
        let Some(found) = supervisor.look_at(id, node.installation, node.boot) else { return Ok(()) };
        match supervisor.end(std::slice::from_ref(&found), CLEAR_PATIENCE).await {
            Ok(orphans) => {
                self.0.parts.metrics.orphans(OrphanKind::Process, orphans);
                Ok(())
            }
            Err(error) => {
                tracing::error!(instance.id = %id, error = &error as &dyn std::error::Error,
                    "processes of an instance that is to be started again do not go");
                Err(ChangeError::Unreachable { instance: id })
            }
        }
    }

    pub(crate) async fn restart_now(
        &self,
        asker: Asker,
        id: InstanceId,
        wait: Wait,
    ) -> Result<InstanceRow, StartAgainError> {
        let row = self.row(asker.view, id).await?;
        row.standing(self.0.now()).permits(Verb::Restart)?;
        self.check_place(&row).await?;
        let plan = Plan::again(&self.0, &row, Life::Same).await?;
        let unreachable = || ChangeError::Unreachable { instance: id };
        let handle = self.0.live.find(id).ok_or_else(unreachable)?;
        // Ended half way, it may already be another one than its row said.
        let packages = &plan.made_of.places;
        self.0.store().packages().add(id, packages).await.map_err(LaunchError::Store)?;
        let (begun, begins) = oneshot::channel();
        let (done, is_done) = oneshot::channel();
        let under_way = self.0.parts.tasks.token();
        if let (Some(permit), Some(entry)) =
            (&asker.permit, asker.entry(&row, Changes::default(), self.0.now()))
        {
            self.write_down(permit, &entry).await.map_err(ChangeError::from)?;
        }
        let restart = Restart { plan, actor: asker.actor, begun, done, under_way };
        handle.requests.send(Request::Restart(Box::new(restart))).await.map_err(|_| unreachable())?;
        let outcome = match begins.await {
            Ok(()) if wait == Wait::None => return Ok(self.row(asker.view, id).await?),
            Ok(()) => is_done.await.ok(),
            Err(_) => None,
        };
        let row = self.row(asker.view, id).await?;
        match outcome {
            Some(Ok(())) => Ok(row),
            Some(Err(error)) => Err(error.into()),
            // It was ended instead, or somebody else restarts it.
            None => {
                row.standing(self.0.now()).permits(Verb::Restart)?;
                Err(unreachable().into())
            }
        }
    }
}

/// The second half of a restart: the old shim is gone, and what it was told by its row is told to the next.
pub(crate) async fn begin_again(
    inner: Arc<Inner>,
    instance: InstanceId,
    ownership: Ownership,
    lease: PortLease,
    restart: Restart,
) {
    let Restart { mut plan, actor, done, under_way: _until_the_end, .. } = restart;
    inner.took(instance, Step::ProcessesGone);
    // The next shim begins with an empty folder: what the last one could not hand over is stored first.
    if !inner.reaper.keep_last_words(instance).await {
        return;
    }
    inner.remove_folders(instance);
    let outcome = match row_of(&inner, instance).await {
        Some(row) if !expiry::is_due(row.expires_at, inner.now()) => {
            if let Err(error) = latest(&inner, &mut plan, row.user).await {
                let end = End::unrecorded(InstanceStatus::Error, &error.to_string(), inner.now());
                inner.finish(instance, &end, &actor).await;
                let _ = done.send(Err(error));
                return;
            }
            let reserved = Reserved::restarted(&inner, ownership, lease, plan, &row, actor);
            go_on(inner, reserved).await.map(drop)
        }
        // Nobody else ends the row: it has an owner to this moment.
        row => {
            let (status, message) = if row.is_some() {
                (InstanceStatus::Expired, "its time was up when it was restarted")
            } else {
                (InstanceStatus::Error, "its row could not be read when it was restarted")
            };
            inner.finish(instance, &End::unrecorded(status, message, inner.now()), &actor).await;
            return;
        }
    };
    // Whoever asked may have left; the row tells, too.
    let _ = done.send(outcome);
}

/// The credential's values as they are now, however long the database takes: replaced since the restart was planned, the
/// old ones would otherwise come back after whoever replaced them has seen to it that they are gone.
async fn latest(inner: &Inner, plan: &mut Plan, owner: UserId) -> Result<(), LaunchError> {
    loop {
        match plan.read_again(inner, owner).await {
            Err(LaunchError::Store(error))
                if error.is_unavailable() && !inner.parts.stopping.is_cancelled() =>
            {
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            done => return done.map_err(gone),
        }
    }
}

/// The row as it is now, however long the database takes; none when it is gone, or the service is told to end.
async fn row_of(inner: &Inner, instance: InstanceId) -> Option<InstanceRow> {
    loop {
        match inner.store().instances().get(instance, None).await {
            Ok(row) => return row,
            Err(error) if error.is_unavailable() && !inner.parts.stopping.is_cancelled() => {
                tracing::warn!(instance.id = %instance, error = &error as &dyn std::error::Error,
                    "the row of an instance that is restarted could not be read; trying again");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            Err(error) => {
                tracing::error!(instance.id = %instance, error = &error as &dyn std::error::Error,
                    "the row of an instance that is restarted could not be read");
                return None;
            }
        }
    }
}
