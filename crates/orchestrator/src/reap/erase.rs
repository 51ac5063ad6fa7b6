//! Accounts that were deleted days ago, and are erased with all that is theirs.

use roadstead_model::{NewAudit, UserId};
use roadstead_store::StoreError;

use super::Reaper;

/// Accounts that one run erases: each takes what its user has ever done with it.
const ERASED_AT_ONCE: u32 = 20;

impl Reaper {
    /// Erases accounts whose time has come. One that cannot be is tried again with the next run, and holds up no other.
    pub(super) async fn erase_accounts(&self) -> Result<(), StoreError> {
        for id in self.store().users().to_erase(self.now(), ERASED_AT_ONCE).await? {
            match self.erase(id).await {
                Ok(()) => tracing::info!(user.id = %id, "a deleted account was erased"),
                Err(error) if error.is_unavailable() => return Err(error),
                Err(error) => {
                    tracing::error!(user.id = %id, error = &error as &dyn std::error::Error,
                        "a deleted account could not be erased; it is tried again");
                }
            }
        }
        Ok(())
    }

    async fn erase(&self, id: UserId) -> Result<(), StoreError> {
        let mut change = self.store().system_change().await?;
        if !change.users().erase(id, self.now()).await? {
            return change.nothing_changed().await;
        }
        // The id is all that stays of them.
        let mut entry = NewAudit::by_system("account.erase", self.now());
        entry.resource_id = Some(id.to_string());
        change.commit(&entry).await
    }
}
