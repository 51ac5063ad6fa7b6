//! Waiting for a condition instead of sleeping: a fast poll under a long maximum.

use std::time::{Duration, Instant};

/// The pause between two looks.
const LOOK: Duration = Duration::from_millis(10);

/// Looks until there is an answer; fails the test, naming what it waited for, when patience is over.
pub async fn wait_for<T>(what: &str, patience: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < patience, "waited {patience:?} for {what}");
        tokio::time::sleep(LOOK).await;
    }
}
