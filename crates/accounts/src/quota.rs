//! How many credentials and keys one user may have.

use roadstead_model::{QuotaItem, QuotaOf, QuotaReached, UserId};
use tokio::sync::MutexGuard;

use crate::{Accounts, AccountsError};

/// While this is held, nobody else in this process makes a credential or a key: both are rare, and what was counted stays so
/// until the row is there.
pub(crate) type OneAtATime<'a> = MutexGuard<'a, ()>;

impl Accounts {
    /// Whether a user may have one more credential.
    pub(crate) async fn room_for_credential(&self, owner: UserId) -> Result<OneAtATime<'_>, AccountsError> {
        let alone = self.0.making.lock().await;
        let limit = self.settings_in_force().await?.quotas.credentials_per_user;
        let used = self.store().credentials().list(owner, None).await?.len();
        one_more(QuotaItem::Credentials, used, limit)?;
        Ok(alone)
    }

    /// Whether a user may have one more key. Those that were revoked or have expired do not count.
    pub(crate) async fn room_for_key(&self, owner: UserId) -> Result<OneAtATime<'_>, AccountsError> {
        let alone = self.0.making.lock().await;
        let limit = self.settings_in_force().await?.quotas.api_keys_per_user;
        let used = self.store().api_keys().count_active(owner, self.now()).await?;
        one_more(QuotaItem::ApiKeys, used, limit)?;
        Ok(alone)
    }
}

fn one_more(item: QuotaItem, used: usize, limit: u32) -> Result<(), AccountsError> {
    let (used, limit) = (u64::try_from(used).unwrap_or(u64::MAX), u64::from(limit));
    if used < limit {
        return Ok(());
    }
    Err(AccountsError::QuotaReached(QuotaReached { of: QuotaOf::User, item, used, wanted: 1, limit }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_fits_and_the_next_does_not() {
        assert!(one_more(QuotaItem::ApiKeys, 19, 20).is_ok());
        let error = one_more(QuotaItem::ApiKeys, 20, 20).unwrap_err();
        assert!(error.to_string().contains("20 active API keys"), "{error}");
    }
}
