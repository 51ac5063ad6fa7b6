//! The sealer of the audit log: a chore of whoever holds the reaper's lease. Should two machines seal at once, the database
//! lets one of them.

use std::time::Duration;

use roadstead_store::{Store, StoreError};
use tokio_util::sync::CancellationToken;

use crate::reap::{Lease, Reaper};

/// How often it looks for what was committed: an entry has its link, and an event its number, soon after.
const TICK: Duration = Duration::from_millis(250);

/// Seals while the lease is held, until `soft` is cancelled.
pub async fn keep_sealing(reaper: &Reaper, lease: &Lease, soft: &CancellationToken) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut fails = false;
    loop {
        tokio::select! {
            biased;
            () = soft.cancelled() => return,
            _ = ticks.tick() => {}
        }
        if !lease.is_held() {
            continue;
        }
        let Some(done) = soft.run_until_cancelled(seal(reaper.store())).await else { return };
        let failed = done.is_err();
        match done {
            // Once: the next tick is the retry.
            Err(error) if !fails => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the audit log could not be sealed");
            }
            Ok(()) if fails => tracing::info!("the audit log is sealed again"),
            _ => {}
        }
        fails = failed;
    }
}

async fn seal(store: &Store) -> Result<(), StoreError> {
    while store.audit().seal().await?.is_some_and(|sealed| sealed.more) {}
    Ok(())
}
