//! Credentials that end soon say so, once, to those who hold them.

use roadstead_accounts::Settings;
use roadstead_store::StoreError;

use super::{BATCH, BATCH_PAUSE, Reaper};

impl Reaper {
    /// Batch after batch; how long ahead, a setting says.
    pub(super) async fn remind_of_credentials(&self) -> Result<(), StoreError> {
        // Settings that do not fit each other are said elsewhere.
        let Ok(settings) = Settings::read(&self.store().settings().all().await?) else { return Ok(()) };
        if settings.remind_before.is_zero() {
            return Ok(());
        }
        loop {
            let now = self.now();
            let until = now + settings.remind_before;
            let told = self.store().credentials().remind(until, now, BATCH).await?;
            if told > 0 {
                tracing::info!(credentials = told, "credentials end soon, and their instances were told");
            }
            if told < u64::from(BATCH) {
                return Ok(());
            }
            tokio::time::sleep(BATCH_PAUSE).await;
        }
    }
}
