//! Taking instances over after a restart of our own: whoever has a live row gets an owner at once, which finds out what became
//! of its shim and acts on it. Callers of an instance that lives notice nothing of it.
//!
//! ```text
//! row ──► ownership, port, route ──► look: folder, shim, row ──► decide ─┬─ adopt ──► driver
//!                                      ▲──────── wait ──────────────────┤
//!                                                                       └─ end the shim, end the row
//! ```

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use roadstead_accounts::{ExposeSecret as _, KeyId};
use roadstead_control::{ControlSecret, ProcessId, Status, StopReason};
use roadstead_gateway::RouteLease;
use roadstead_metrics::{AdoptionOutcome, OrphanKind};
use roadstead_model::reconcile::{self, Adoption, Decision, Row, Seen, ShimStatus, Streak};
use roadstead_model::{Actor, InstanceId, InstanceStatus};
use roadstead_port_allocator::PortLease;
use roadstead_store::{InstanceRow, InstanceState, StoreError};
use roadstead_supervisor::{Contact, Found, ShimControl, SurvivorError};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::driver::{Driver, shim_hash};
use crate::end::End;
use crate::live::{Ownership, Request};
use crate::parts::Inner;

/// Rest between two looks at a shim that is just starting, or did not answer.
const LOOK_REST: Duration = Duration::from_secs(1);
/// Looks with that rest between them; later ones are further apart.
const QUICK_LOOKS: u32 = 5;
/// Rest between later looks.
const LONG_REST: Duration = Duration::from_secs(30);
/// Rest before processes that did not go are ended again.
const END_AGAIN: Duration = Duration::from_secs(10);
/// How long a shim that is ended gets to leave by itself.
const END_PATIENCE: Duration = Duration::from_secs(3);

/// The secret for a new shim of an instance, and the master key that it was made from.
pub(crate) fn newest_secret(inner: &Inner, instance: InstanceId) -> (KeyId, ControlSecret) {
    let mut secrets = secrets(inner, instance);
    secrets.swap_remove(0)
}

fn secrets(inner: &Inner, instance: InstanceId) -> Vec<(KeyId, ControlSecret)> {
    let derived = inner.parts.accounts.control_secrets(instance);
    derived.iter().map(|(key, secret)| (*key, ControlSecret::new(*secret.expose_secret()))).collect()
}

/// What a shim has proved: with the secret that it knows, how it is.
struct Proof {
    key: KeyId,
    secret: ControlSecret,
    status: Box<Status>,
}

/// The owner of an instance until it is known what became of it.
pub(crate) struct Adopting {
    inner: Arc<Inner>,
    instance: InstanceId,
    found: Option<Found>,
    ownership: Ownership,
    lease: PortLease,
    route: Option<RouteLease>,
    began: Instant,
}

impl Inner {
    /// Takes a live row in charge; `None` when somebody answers for it, or its port is leased to another one.
    pub(crate) fn take_charge(self: &Arc<Self>, row: &InstanceRow, found: Option<Found>) -> Option<Adopting> {
        let ownership = self.live.claim(row.id)?;
        let lease = self.ports.adopt(row.port()?).ok()?;
        let lives = found.as_ref().is_some_and(|found| found.is_bound() && found.is_alive());
        let is_open = matches!(row.state, InstanceState::Running { stopping: None, .. });
        // Before its shim was asked: the way leads to it or nowhere, and the shim alone judges who may come.
        let route = (lives && is_open && row.expires_at > self.now()).then(|| self.route_to(row.id));
        Some(Adopting {
            inner: Arc::clone(self),
            instance: row.id,
            found,
            ownership,
            lease,
            route,
            began: Instant::now(),
        })
    }
}

impl Adopting {
    /// Looks until it is clear what became of the instance.
    pub(crate) async fn run(mut self) {
        let mut streak = Streak::default();
        for look in 1_u32.. {
            let (decision, proof, row);
            (decision, streak, proof, row) = match self.look(streak).await {
                Ok(seen) => seen,
                Err(error) => {
                    tracing::warn!(instance.id = %self.instance, error = &error as &dyn std::error::Error,
                        "what became of an instance waits for the database");
                    (Decision::Wait, streak, None, None)
                }
            };
            let Some(this) = self.act(decision, proof, row).await else { return };
            self = this;
            let rest = if look <= QUICK_LOOKS { LOOK_REST } else { LONG_REST };
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                request = self.ownership.requests.recv() => {
                    if let Some(Request::Stop { reason, actor }) = request {
                        return self.end_unheard(reason, actor).await;
                    }
                    // Dropping any other answers that it could not be done.
                }
            }
            let node = self.inner.parts.node;
            self.found = self.inner.parts.supervisor.look_at(self.instance, node.installation, node.boot);
        }
    }

    /// The folder first, then the shim, the row last: a row is written before its process exists.
    async fn look(
        &self,
        streak: Streak,
    ) -> Result<(Decision, Streak, Option<Proof>, Option<InstanceRow>), StoreError> {
        let folder = self.found.as_ref().map_or(reconcile::Folder::Nothing, Found::seen);
        let keys = secrets(&self.inner, self.instance);
        let contact = match &self.found {
            Some(found) if found.is_bound() && found.is_alive() => {
                let secrets: Vec<ControlSecret> = keys.iter().map(|(_, secret)| secret.clone()).collect();
                Some(self.inner.parts.supervisor.contact(found, &secrets).await)
            }
            _ => None,
        };
        let row = self.inner.store().instances().get(self.instance, None).await?;
        let (contact, proof) = match contact {
            None => (reconcile::Contact::NotTried, None),
            Some(Contact::Refused) => (reconcile::Contact::Refused, None),
            Some(Contact::Silent) => (reconcile::Contact::Silent, None),
            Some(Contact::Proved { secret: nth, status }) => {
                let told = status.status.parse().unwrap_or(ShimStatus::Running);
                let generation = status.generation;
                let proof = keys.into_iter().nth(nth).map(|(key, secret)| Proof { key, secret, status });
                (reconcile::Contact::Proved { status: told, generation }, proof)
            }
        };
        let seen = Seen { row: self.seen_row(row.as_ref()), folder, contact };
        let (decision, streak) = reconcile::decide(&seen, streak);
        tracing::debug!(instance.id = %self.instance, ?seen, ?decision, "looked at an instance of an earlier run");
        Ok((decision, streak, proof, row))
    }

    fn seen_row(&self, row: Option<&InstanceRow>) -> Row {
        row.map_or(Row::Nothing, |row| {
            let generation = row.generation.unsigned_abs();
            Row::of(row.status(), generation, row.expires_at, row.began_at, self.inner.now())
        })
    }

    /// Does what was decided; itself again when nothing is clear yet.
    async fn act(self, decision: Decision, proof: Option<Proof>, row: Option<InstanceRow>) -> Option<Self> {
        match (decision, proof, row) {
            (Decision::Adopt { how, push }, Some(proof), Some(row)) => {
                return self.adopt(how, push, proof, &row).await;
            }
            (Decision::Adopt { .. } | Decision::Wait | Decision::RefuseStart, ..) => {
                return Some(self);
            }
            (Decision::EndRow { status, message }, _, row) => {
                let mut end = End::unrecorded(status, message, self.inner.now());
                end.after_reboot(row.as_ref(), self.inner.parts.node.boot);
                self.finish(&end, &Actor::SYSTEM).await;
            }
            (Decision::StoreRecord, _, row) => {
                let lost =
                    || End::unrecorded(InstanceStatus::Disconnected, "its shim is gone", self.inner.now());
                let record = self.found.as_ref().and_then(Found::record);
                let mut end = record.as_ref().map_or_else(lost, End::of);
                if end.status != InstanceStatus::Error {
                    end.after_reboot(row.as_ref(), self.inner.parts.node.boot);
                }
                if let Some(message) = row.as_ref().and_then(crate::end::over) {
                    end.was_over(message);
                }
                self.finish(&end, &Actor::SYSTEM).await;
            }
            (Decision::EndShim { reason }, _, row) => {
                let is_due = row.is_some_and(|row| row.expires_at <= self.inner.now());
                let status = if is_due { InstanceStatus::Expired } else { InstanceStatus::Disconnected };
                let end = End::unrecorded(status, &reason.to_string(), self.inner.now());
                self.finish(&end, &Actor::SYSTEM).await;
            }
            (Decision::RemoveFolder | Decision::Leave, ..) => {
                if self.inner.reaper.keep_last_words(self.instance).await {
                    self.inner.remove_folders(self.instance);
                    self.inner.parts.metrics.adopted(AdoptionOutcome::Removed, self.began.elapsed());
                }
            }
        }
        None
    }

    async fn adopt(
        mut self,
        how: Adoption,
        push: Option<u64>,
        Proof { key, secret, status }: Proof,
        row: &InstanceRow,
    ) -> Option<Self> {
        let Some(found) = &self.found else { return Some(self) };
        let shim = match self.inner.parts.supervisor.adopt(found, secret) {
            Ok(Some(shim)) => shim,
            Ok(None) => return Some(self),
            Err(error) => {
                tracing::warn!(instance.id = %self.instance, error = &error as &dyn std::error::Error,
                    "a living shim could not be watched");
                return Some(self);
            }
        };
        let mut shim = shim;
        let control = shim.control();
        if !self.bring_up_to_date(&control, push, (key, &status), row).await {
            return Some(self);
        }
        match how {
            Adoption::Serve if self.route.is_none() => {
                self.route = Some(self.inner.route_to(self.instance));
            }
            Adoption::Serve => {}
            Adoption::Publish | Adoption::AwaitReady | Adoption::SeeOut | Adoption::Expire => {
                self.route = None;
            }
        }
        if how == Adoption::Expire {
            // Should it be ending by itself at this moment, it says so.
            let _ = control.stop(StopReason::Expired, self.inner.parts.limits.grace).await;
        }
        let inner = Arc::clone(&self.inner);
        let driver = Driver {
            inner: Arc::clone(&inner),
            instance: self.instance,
            control,
            events: shim.take_events(),
            ownership: self.ownership,
            lease: self.lease,
            route: self.route,
            deadline: row.expires_at,
            actor: Actor::SYSTEM,
            type_version: (row.type_id, row.type_version),
            server: status.server.unwrap_or(ProcessId { pid: 0, started: 0 }),
            is_ready: matches!(row.status(), InstanceStatus::Running),
            is_ending: matches!(how, Adoption::SeeOut | Adoption::Expire),
            restart: None,
            overtaken: None,
            over: crate::end::over(row),
            dropped_lines: 0,
        };
        inner.parts.metrics.adopted(AdoptionOutcome::Adopted, self.began.elapsed());
        driver.run().await;
        None
    }

    /// The row says that it was adopted, and the shim has the deadline and the token of the row.
    async fn bring_up_to_date(
        &self,
        control: &ShimControl,
        push: Option<u64>,
        (key, status): (KeyId, &Status),
        row: &InstanceRow,
    ) -> bool {
        let inner = &self.inner;
        let generation = push.unwrap_or(status.generation);
        let raised = i64::try_from(generation).unwrap_or(i64::MAX);
        let data = json!({ "pid": control.process().pid, "status": status.status });
        let instances = inner.store().instances();
        let marked = instances.mark_adopted(self.instance, raised, key.get(), &data, inner.now()).await;
        if let Err(error) = &marked {
            tracing::warn!(instance.id = %self.instance, error = error as &dyn std::error::Error,
                "that an instance was taken over could not be written");
        }
        if !matches!(marked, Ok(true)) {
            return false;
        }
        if push.is_none() {
            return true;
        }
        let remaining = Duration::try_from(row.expires_at - inner.now()).unwrap_or_default();
        control.set_deadline(generation, remaining).await.is_ok()
            && control.set_token(generation, shim_hash(&row.token_hash)).await.is_ok()
    }

    /// Somebody wants an instance ended whose shim does not listen to us: by signals, then.
    async fn end_unheard(self, reason: StopReason, actor: Actor) {
        let end = match reason {
            StopReason::Expired => {
                End::unrecorded(InstanceStatus::Expired, "its time was up", self.inner.now())
            }
            _ => End::unrecorded(
                InstanceStatus::Stopped,
                "its shim could not be asked and was ended",
                self.inner.now(),
            ),
        };
        self.finish(&end, &actor).await;
    }

    /// Ends what is left of the processes, then the row. As long as they do not go, the row stays live and the port leased:
    /// nobody else may be given what they still hold.
    async fn finish(mut self, end: &End, actor: &Actor) {
        self.route = None;
        if let Some(found) = &self.found {
            let attempt = || {
                let (supervisor, found) = (Arc::clone(&self.inner.parts.supervisor), found.clone());
                async move { supervisor.end(&[found], END_PATIENCE).await }
            };
            let gone = tokio::select! {
                gone = until_gone(self.instance, attempt, &self.inner.parts.stopping) => gone,
                never = refuse_all(&mut self.ownership.requests) => match never {},
            };
            match gone {
                Some(orphans) => self.inner.parts.metrics.orphans(OrphanKind::Process, orphans),
                // The row is still live: the next start finds it.
                None => return,
            }
        }
        self.inner.finish(self.instance, end, actor).await;
        self.inner.parts.metrics.adopted(AdoptionOutcome::Ended, self.began.elapsed());
        drop(self.lease);
        drop(self.ownership);
    }
}

/// Tries to end processes again and again, and answers how many of them nobody owned; none when the service stops before they
/// have gone.
async fn until_gone<F: Future<Output = Result<usize, SurvivorError>>>(
    instance: InstanceId,
    attempt: impl Fn() -> F,
    stopping: &CancellationToken,
) -> Option<usize> {
    loop {
        let error = match attempt().await {
            Ok(orphans) => return Some(orphans),
            Err(error) => error,
        };
        tracing::error!(instance.id = %instance, error = &error as &dyn std::error::Error,
            "processes of an instance did not go; its row and its port are kept, and it is tried again");
        tokio::select! {
            () = tokio::time::sleep(END_AGAIN) => {}
            () = stopping.cancelled() => return None,
        }
    }
}

/// Whoever asks for anything hears that it cannot be done: the request is dropped.
async fn refuse_all(requests: &mut mpsc::Receiver<Request>) -> Infallible {
    while requests.recv().await.is_some() {}
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn instance() -> InstanceId {
        "019a0000-0000-7000-8000-000000000000".parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn processes_that_do_not_go_keep_the_row_until_they_do() {
        let attempts = Cell::new(0);
        let attempt = || {
            attempts.set(attempts.get() + 1);
            let gone = attempts.get() == 3;
            std::future::ready(if gone { Ok(0) } else { Err(SurvivorError::StillThere { left: 1 }) })
        };
        let begun = tokio::time::Instant::now();
        assert_eq!(until_gone(instance(), attempt, &CancellationToken::new()).await, Some(0));
        assert_eq!(attempts.get(), 3);
        assert_eq!(begun.elapsed(), END_AGAIN * 2, "with a pause in between");
    }

    #[tokio::test]
    async fn a_service_that_stops_does_not_wait_for_processes_that_stay() {
        let stopping = CancellationToken::new();
        stopping.cancel();
        let attempt = || std::future::ready(Err(SurvivorError::StillThere { left: 1 }));
        assert_eq!(until_gone(instance(), attempt, &stopping).await, None);
    }
}
