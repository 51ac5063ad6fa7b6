//! Clears away what is old, once a day, by whoever holds the reaper's lease: in the service, or in the reaper's own process.

use std::time::Duration;

use roadstead_accounts::Cleaner;
use roadstead_orchestrator::Lease;
use tokio_util::sync::CancellationToken;

use crate::tasks::run;

/// The folder in the data folder that months are written to before they go.
pub const FOLDER: &str = "archive";
/// How often it is looked whether it is time: a day that was missed is caught up with this soon after a start.
const LOOK: Duration = Duration::from_mins(1);

/// Looks whether it is time, and does it, until `soft` is cancelled.
pub async fn daily(cleaner: &Cleaner, lease: &Lease, soft: &CancellationToken) {
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = soft.cancelled() => return,
            _ = ticks.tick() => {}
        }
        if !lease.is_held() {
            continue;
        }
        let work = async {
            let wanted = || lease.is_held() && !soft.is_cancelled();
            if let Err(error) = cleaner.daily(wanted).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "what is old could not be cleared away; the next look is the retry"
                );
            }
        };
        if run(soft, Box::pin(work)).await.is_none() {
            return;
        }
    }
}
