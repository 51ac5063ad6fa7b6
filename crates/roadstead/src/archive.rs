//! Whether the write-ahead log reaches its archive: told in the service's log, and by `roadstead doctor`.

use std::time::Duration;

use roadstead_store::PgConnectOptions;
use tokio_util::sync::CancellationToken;

use crate::postgres::Archive;

/// How often it is looked at.
const PERIOD: Duration = Duration::from_mins(1);

/// Says when nothing is archived any more, why, and when it goes on; until `soft` is cancelled.
pub async fn watch(archive: Archive, server: PgConnectOptions, soft: CancellationToken) {
    let mut told = None;
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = soft.cancelled() => return,
        }
        let Some(problem) = soft.run_until_cancelled(problem(&archive, &server)).await else { return };
        match (&told, &problem) {
            (before, Some(now)) if before.as_ref() != Some(now) => tracing::error!(
                problem = now,
                folder = %archive.folder.display(),
                "nothing is archived; the database keeps its log until it can be, and needs room for it"
            ),
            (Some(_), None) => {
                tracing::info!(folder = %archive.folder.display(), "the log is archived again");
            }
            _ => {}
        }
        told = problem;
    }
}

/// What is wrong, if something is.
pub(crate) async fn problem(archive: &Archive, server: &PgConnectOptions) -> Option<String> {
    if let Some(problem) = archive.problem() {
        return Some(problem);
    }
    match Archive::look(server).await {
        Ok(found) => {
            found.failing.map(|(name, _)| format!("{name} could not be archived; see postgres/server.log"))
        }
        // Who watches over the database says so.
        Err(_) => None,
    }
}
