//! The lease that keeps the reaper one: renewed while its holder lives and the database answers, waited for by everybody
//! else. The database's clock judges it; the holder itself stops counting on it early.

use std::sync::Arc;
use std::time::Duration;

use roadstead_model::{Clock, NodeId, ReaperId};
use roadstead_store::{LeaseHolder, NewSystemEvent, Store};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Reaper;

/// After so long without a renewal a lease is free: its holder is dead, or cut off from the database.
const TERM: Duration = Duration::from_secs(10);
/// How often it is renewed, and how often those who wait for it look.
const RENEW: Duration = Duration::from_secs(2);
/// So long before the end of the term a holder that could not renew begins nothing new. What it has begun does no harm: each
/// row is ended under conditions of its own.
const MARGIN: Duration = Duration::from_secs(3);
/// How long giving it up may keep an end waiting; it runs out by itself.
const GIVE_UP_PATIENCE: Duration = Duration::from_secs(2);

/// Who asks for the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseKind {
    /// The service. It alone may hold its data folder's lock, so an earlier service is no more.
    Service,
    /// The reaper in a process of its own.
    Daemon,
}

/// The right to reap on this machine, held or waited for.
#[derive(Debug)]
pub struct Lease {
    store: Store,
    clock: Arc<dyn Clock>,
    node: NodeId,
    asks: LeaseHolder,
    held_until: watch::Sender<Option<Instant>>,
}

/// What came of the last attempt, so that only what is new is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Held,
    Waiting,
    Unknown,
}

impl Lease {
    /// Nothing is asked for before [`Lease::keep`].
    pub fn new(reaper: &Reaper, kind: LeaseKind, id: ReaperId) -> Self {
        let kind = match kind {
            LeaseKind::Service => "service",
            LeaseKind::Daemon => "daemon",
        };
        Self {
            store: reaper.store().clone(),
            clock: Arc::clone(&reaper.parts.clock),
            node: reaper.parts.node.node,
            asks: LeaseHolder { id: id.uuid(), kind, pid: std::process::id() },
            held_until: watch::Sender::new(None),
        }
    }

    /// Whether it may be counted on at this moment.
    pub fn is_held(&self) -> bool {
        self.held_until.borrow().is_some_and(|until| Instant::now() < until)
    }

    /// Takes it when it is free and renews it, until `soft` is cancelled.
    pub async fn keep(&self, soft: &CancellationToken) {
        let mut standing = None;
        loop {
            let new = tokio::select! {
                new = self.attempt() => new,
                () = soft.cancelled() => return,
            };
            if standing.replace(new) != Some(new) {
                self.tell(new).await;
            }
            tokio::select! {
                () = tokio::time::sleep(RENEW) => {}
                () = soft.cancelled() => return,
            }
        }
    }

    /// Gives it up, so that who waits need not wait for its end.
    pub async fn give_up(&self) {
        if self.held_until.send_replace(None).is_none() {
            return;
        }
        let leases = self.store.reaper_leases();
        // What could not be given up runs out.
        let _ = tokio::time::timeout(GIVE_UP_PATIENCE, leases.give_up(self.node, self.asks.id)).await;
    }

    async fn attempt(&self) -> Standing {
        // Before the question: the database counts from some moment after it.
        let asked = Instant::now();
        match self.store.reaper_leases().take(self.node, &self.asks, TERM).await {
            Ok(true) => {
                self.held_until.send_replace(Some(asked + TERM - MARGIN));
                Standing::Held
            }
            Ok(false) => {
                self.held_until.send_replace(None);
                Standing::Waiting
            }
            Err(error) => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "the reaper's lease was not renewed"
                );
                Standing::Unknown
            }
        }
    }

    /// For whoever looks after the service; not knowing it is no reason not to reap.
    async fn tell_taken(&self) {
        let event = NewSystemEvent {
            at: self.clock.now(),
            event_type: "reaper.lease_taken",
            name: "another process reaps on a machine".to_owned(),
            severity: "info",
            source: "reaper",
            context: json!({ "kind": self.asks.kind, "pid": self.asks.pid }),
            node: Some(self.node.uuid()),
        };
        if let Err(error) = self.store.system_events().append(&event).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "an event could not be written");
        }
    }

    async fn tell(&self, standing: Standing) {
        match standing {
            Standing::Held => {
                tracing::info!("this process reaps on this machine from now on");
                self.tell_taken().await;
            }
            Standing::Waiting => {
                let holder = self.store.reaper_leases().holder(self.node).await.ok().flatten();
                let (kind, pid) = holder.map_or((None, None), |row| (Some(row.kind), Some(row.pid)));
                tracing::info!(reaper.kind = kind, reaper.pid = pid, "another process reaps on this machine");
            }
            Standing::Unknown => {
                tracing::warn!("the database does not answer; nothing is reaped until it does");
            }
        }
    }
}
