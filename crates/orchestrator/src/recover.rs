//! After a restart of our own: every live row gets an owner again, and shims that no row claims are found.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use roadstead_metrics::OrphanKind;
use roadstead_model::reconcile::{self, Contact, Decision, Row, Seen};
use roadstead_model::{InstanceId, expiry};
use roadstead_store::{InstanceRow, StoreError};
use roadstead_supervisor::{Found, SurvivorError};

use crate::parts::Orchestrator;

/// How long a shim that no row claims gets to leave by itself.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a start found.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct RecoverStatus {
    /// Shims that live and belong to a live row.
    pub alive: usize,
    /// Live rows whose shim is gone.
    pub lost: usize,
    /// Shims that no live row claims.
    pub strangers: usize,
}

/// Why a start cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The processes.
    #[error("what an earlier run left could not be looked at")]
    Survivors(#[from] SurvivorError),
    /// The database.
    #[error("the rows of an earlier run could not be read or written")]
    Store(#[from] StoreError),
}

impl Orchestrator {
    /// Gives every live row an owner, which finds out by itself what became of its shim; callers of those that live are let
    /// through at once. Called before anything is launched; takes no longer for many instances than reading their rows and
    /// folders does.
    pub async fn recover(&self) -> Result<RecoverStatus, RecoverError> {
        let node = self.0.parts.node;
        let workplaces = crate::workplace::all(&self.0.parts.workplaces);
        let found = self.0.parts.supervisor.survey(node.installation, node.boot, true)?;
        let rows = self.0.store().instances().live_of_node(node.node).await?;
        let mut found: HashMap<InstanceId, Found> =
            found.into_iter().map(|each| (each.instance, each)).collect();
        let mut status = RecoverStatus::default();
        for row in &rows {
            let folder = found.remove(&row.id);
            let lives = folder.as_ref().is_some_and(Found::is_alive);
            *(if lives { &mut status.alive } else { &mut status.lost }) += 1;
            self.take_charge(row, folder);
        }
        let of_another_boot = rows.iter().filter(|row| row.boot != node.boot).map(|row| row.id).collect();
        let this = self.clone();
        self.0.parts.tasks.spawn(async move { this.autostart(of_another_boot).await });
        status.strangers = found.values().filter(|each| each.is_alive()).count();
        let strangers: Vec<Found> = found.into_values().collect();
        let this = self.clone();
        self.0.own(async move {
            this.consider_strangers(strangers).await;
            this.sweep(workplaces, &rows);
        });
        self.rest_released().await?;
        Ok(status)
    }

    /// Looks for live rows without an owner and for shims without a live row.
    pub(crate) async fn compare(&self) -> Result<(), RecoverError> {
        let node = self.0.parts.node;
        let this = self.clone();
        let survey = move || this.0.parts.supervisor.survey(node.installation, node.boot, false);
        // The folders first, the rows second: a row is written before its process exists.
        let workplaces = crate::workplace::all(&self.0.parts.workplaces);
        let found = match tokio::task::spawn_blocking(survey).await {
            Ok(found) => found?,
            Err(_) => return Ok(()),
        };
        let mut found: HashMap<InstanceId, Found> =
            found.into_iter().map(|each| (each.instance, each)).collect();
        let rows = self.0.store().instances().live_of_node(node.node).await?;
        for row in &rows {
            let folder = found.remove(&row.id);
            if self.0.live.find(row.id).is_none() {
                self.take_charge(row, folder);
            }
        }
        found.retain(|instance, _| self.0.live.find(*instance).is_none());
        self.consider_strangers(found.into_values().collect()).await;
        self.sweep(workplaces, &rows);
        Ok(())
    }

    /// Removes servers' folders that belong to no live row, and to no shim that is still looked at: an end whose word from the
    /// database was lost leaves one behind.
    fn sweep(&self, workplaces: Vec<InstanceId>, live: &[InstanceRow]) {
        let live: HashSet<InstanceId> = live.iter().map(|row| row.id).collect();
        let is_free = |id: &InstanceId| {
            !live.contains(id) && self.0.live.find(*id).is_none() && !self.strangers().contains_key(id)
        };
        for instance in workplaces.into_iter().filter(is_free) {
            tracing::info!(instance.id = %instance, "a server's folder was left over");
            crate::workplace::remove(&self.0.parts.workplaces, instance);
        }
    }

    fn take_charge(&self, row: &InstanceRow, found: Option<Found>) {
        if found.is_none() && expiry::is_due(row.expires_at, self.0.now()) {
            // There is nothing to find out: the reaper ends many of those at a time.
            return;
        }
        if let Some(adopting) = self.0.take_charge(row, found) {
            self.0.own(adopting.run());
        } else {
            tracing::warn!(instance.id = %row.id, "an instance was not taken over: its port belongs to another one");
        }
    }

    /// Shims without a live row: they are ended when they are seen so again, and what they said last is stored.
    async fn consider_strangers(&self, found: Vec<Found>) {
        let seen: HashSet<InstanceId> = found.iter().map(|each| each.instance).collect();
        self.strangers().retain(|instance, _| seen.contains(instance));
        for each in found {
            if let Err(error) = self.consider(&each).await {
                tracing::warn!(instance.id = %each.instance, error = &error as &dyn std::error::Error,
                    "a shim that no live row claims could not be dealt with; the next look tries again");
            }
        }
    }

    async fn consider(&self, found: &Found) -> Result<(), RecoverError> {
        let instance = found.instance;
        let row = self.0.store().instances().get(instance, None).await?;
        let is_known = row.is_some();
        let row = match row {
            None => Row::Nothing,
            Some(row) if row.status().is_live() => return Ok(()),
            Some(_) => Row::Ended,
        };
        let streak = self.strangers().get(&instance).copied().unwrap_or_default();
        let seen = Seen { row, folder: found.seen(), contact: Contact::NotTried };
        let (decision, streak) = reconcile::decide(&seen, streak);
        tracing::debug!(instance.id = %instance, ?seen, ?decision, "looked at what no live row claims");
        match decision {
            Decision::EndShim { reason } => {
                tracing::warn!(instance.id = %instance, %reason, "a living shim is ended");
                let metrics = &self.0.parts.metrics;
                metrics.orphans(OrphanKind::Shim, usize::from(found.is_alive()));
                let orphans = self.0.parts.supervisor.end(std::slice::from_ref(found), PATIENCE).await?;
                metrics.orphans(OrphanKind::Process, orphans);
            }
            Decision::RemoveFolder => {}
            _ => {
                self.strangers().insert(instance, streak);
                return Ok(());
            }
        }
        if is_known {
            self.0.store_spool(found).await?;
        }
        self.strangers().remove(&instance);
        self.0.remove_folders(instance);
        Ok(())
    }

    fn strangers(&self) -> std::sync::MutexGuard<'_, HashMap<InstanceId, reconcile::Streak>> {
        self.0.strangers.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
