//! What is done for the audit log from time to time, by the service: it has the keys that sign the day's anchors. And what
//! happened to the service is told by whoever is there from its start to its end.

use std::time::{Duration, Instant};

use roadstead_accounts::{Accounts, Lagging};
use serde_json::json;
use tokio_util::sync::CancellationToken;

/// How often: an anchor is made soon after the first change of a day.
const PERIOD: Duration = Duration::from_secs(30);

/// Looks after the log until `soft` is cancelled; tells of the start, of the end, and of a database that was away.
pub async fn look_after(accounts: Accounts, soft: CancellationToken) {
    let version = json!({ "version": env!("CARGO_PKG_VERSION"), "pid": std::process::id() });
    accounts.tell_system("service.started", "info", "the service has started", version.clone()).await;
    let (mut lagging, mut away) = (Lagging(false), None::<Instant>);
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = soft.cancelled() => break,
        }
        let Some(done) = soft.run_until_cancelled(accounts.look_after_audit(lagging)).await else { break };
        match done {
            Ok(now) => {
                lagging = now;
                if let Some(since) = away.take() {
                    let context = json!({ "away_s": since.elapsed().as_secs() });
                    accounts
                        .tell_system("database.back", "warning", "the database was away and is back", context)
                        .await;
                }
            }
            Err(error) => {
                away.get_or_insert_with(Instant::now);
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the audit log was not looked after; the next run is the retry"
                );
            }
        }
    }
    accounts.tell_system("service.stopped", "info", "the service stops", version).await;
}

/// Tells that tables were brought up to date, if any were.
pub async fn tell_migrations(accounts: &Accounts, applied: usize) {
    if applied > 0 {
        let context = json!({ "applied": applied });
        accounts
            .tell_system("migrations.applied", "info", "the tables were brought up to date", context)
            .await;
    }
}
