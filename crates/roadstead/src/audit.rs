//! What is done for the audit log from time to time, by the service: it has the keys that sign the day's anchors.

use std::time::Duration;

use roadstead_accounts::{Accounts, Lagging};
use tokio_util::sync::CancellationToken;

/// How often: an anchor is made soon after the first change of a day.
const PERIOD: Duration = Duration::from_secs(30);

/// Looks after the log until `soft` is cancelled.
pub async fn look_after(accounts: Accounts, soft: CancellationToken) {
    let mut lagging = Lagging(false);
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = soft.cancelled() => return,
        }
        let Some(done) = soft.run_until_cancelled(accounts.look_after_audit(lagging)).await else { return };
        match done {
            Ok(now) => lagging = now,
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the audit log was not looked after; the next run is the retry"
            ),
        }
    }
}
