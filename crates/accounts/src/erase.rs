//! The end of an account: deleted at once, erased days later. Until then a platform admin can take it back.

use roadstead_access::{Permit, RuleBroken};
use roadstead_model::{Changes, UserId};
use roadstead_store::PersonRow;
use time::Duration;

use crate::users::{MISSING, keep_an_admin, locked, own};
use crate::{Accounts, AccountsError};

/// After how many days a deleted account is erased where the setting says nothing.
const ERASED_AFTER_DAYS: u32 = 30;
/// Where that is set.
const ERASE_AFTER_SETTING: &str = "accounts.erase_after_days";

impl Accounts {
    /// Whether an account may be deleted: whoever must end what runs for it asks before.
    pub async fn may_delete_account(
        &self,
        permit: &Permit,
        id: UserId,
        expected: Option<i32>,
    ) -> Result<(), AccountsError> {
        own(permit, id)?;
        let mut change = self.store().system_change().await?;
        let before = locked(&mut change, id, expected).await?;
        let checked = match self.deleted(&before).await {
            Ok(after) => keep_an_admin(&mut change, &before, &after).await,
            Err(error) => Err(error),
        };
        change.nothing_changed().await?;
        checked?;
        self.depended_on(id).await
    }

    /// Soft-deletes an account and revokes its keys.
    pub async fn delete_account(
        &self,
        permit: &Permit,
        id: UserId,
        expected: Option<i32>,
    ) -> Result<PersonRow, AccountsError> {
        own(permit, id)?;
        self.depended_on(id).await?;
        // As the service: the keys of other organisations are out of the caller's view, and are theirs all the same.
        let mut change = self.store().system_change().await?;
        let before = locked(&mut change, id, expected).await?;
        let after = self.deleted(&before).await?;
        keep_an_admin(&mut change, &before, &after).await?;
        change.users().save(&after).await?;
        let at = self.now();
        change.users().revoke_keys(id, "the account was deleted", at).await?;
        let saved = change.users().person(id).await?.ok_or(MISSING)?;
        change.commit(&permit.entry(&id, Changes::between(&before, &saved), at)).await?;
        Ok(saved)
    }

    /// An account as it is once it is deleted.
    async fn deleted(&self, before: &PersonRow) -> Result<PersonRow, AccountsError> {
        if before.deleted_at.is_some() {
            return Err(MISSING);
        }
        let settings = self.store().settings().all().await?;
        let days = settings.get(ERASE_AFTER_SETTING).and_then(serde_json::Value::as_u64);
        let days = days.and_then(|days| u32::try_from(days).ok()).unwrap_or(ERASED_AFTER_DAYS);
        let at = self.now();
        let erase_after = at.checked_add(Duration::days(days.into()));
        Ok(PersonRow { deleted_at: Some(at), erase_after, ..before.clone() })
    }

    async fn depended_on(&self, id: UserId) -> Result<(), AccountsError> {
        match self.store().members().depending_on(id).await?.into_iter().next() {
            Some(organization) => Err(RuleBroken::OwnsOrganization { organization }.into()),
            None => Ok(()),
        }
    }
}
