//! Seals everything anew after a rotation of the master key has begun, batch after batch, beside all else.

use std::sync::Arc;
use std::time::Duration;

use roadstead_accounts::{Accounts, AccountsError, Turn};
use roadstead_metrics::{Metrics, Work};
use tokio_util::sync::CancellationToken;

use crate::tasks::{run, timed};

/// The pause between two batches: whoever else wants the database comes first.
const BREATH: Duration = Duration::from_millis(2);
/// The pause before what others were changing is gone over again.
const BUSY_PAUSE: Duration = Duration::from_secs(1);
/// The pause before a database that failed is asked again.
const RETRY_PAUSE: Duration = Duration::from_secs(2);
/// The pause before values that did not open are tried again: somebody has to bring their key back.
const STUCK_PAUSE: Duration = Duration::from_mins(5);

/// Rotates whenever there is something to, until `soft` is cancelled.
pub async fn rotate(accounts: Accounts, metrics: Arc<Metrics>, soft: CancellationToken) {
    let mut pause = None;
    loop {
        tokio::select! {
            () = accounts.rotation_wanted() => {}
            () = wait(pause) => {}
            () = soft.cancelled() => return,
        }
        pause = None;
        let work = async {
            pause = match pass(&accounts, &metrics).await {
                Ok(pause) => pause,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the rotation of the master key could not go on; trying again"
                    );
                    Some(RETRY_PAUSE)
                }
            };
        };
        if run(&soft, Box::pin(work)).await.is_none() {
            return;
        }
    }
}

async fn wait(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
    }
}

/// Goes over everything once; when to do so again.
async fn pass(accounts: &Accounts, metrics: &Metrics) -> Result<Option<Duration>, AccountsError> {
    let Some(mut rotating) = accounts.rotating().await? else { return Ok(None) };
    loop {
        match timed(metrics, Work::Rotation, rotating.batch()).await? {
            Turn::More => tokio::time::sleep(BREATH).await,
            Turn::Finished { done } => {
                tracing::info!(done, "the rotation of the master key is finished");
                let context = serde_json::json!({ "values": done });
                let name = "everything is sealed with the newest master key";
                accounts.tell_system("master_key.rotated", "info", name, context).await;
                return Ok(None);
            }
            Turn::Left { failed: 0 } => return Ok(Some(BUSY_PAUSE)),
            Turn::Left { failed } => {
                tracing::error!(
                    failed,
                    "the rotation of the master key cannot be finished: sealed values do not open; \
                    `roadstead master-key status` names them"
                );
                return Ok(Some(STUCK_PAUSE));
            }
        }
    }
}
