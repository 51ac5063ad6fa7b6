//! Everything that is kept of one person, for themselves. No secret is in it: nobody can read those back.

use roadstead_access::Permit;
use roadstead_store::{ApiKeyRow, MembershipRow, PersonRow};

use crate::{Accounts, AccountsError, Credential};

/// What is exported at once: few rows, however much one has used.
#[derive(Debug)]
pub struct Exported {
    /// The account.
    pub person: PersonRow,
    /// Where they take part.
    pub memberships: Vec<MembershipRow>,
    /// Their keys, without the keys.
    pub keys: Vec<ApiKeyRow>,
    /// Their credentials, without the values.
    pub credentials: Vec<Credential>,
}

impl Accounts {
    /// What is kept of the caller, in all organisations.
    pub async fn export(&self, permit: &Permit) -> Result<Exported, AccountsError> {
        let (person, memberships) =
            (self.person(permit, permit.user()).await?, self.memberships(permit).await?);
        // As the service: a caller's view ends with the organisation that the key acts in.
        let keys = self.store().api_keys().of_user(permit.user()).await?;
        let lead = self.settings_in_force().await?.remind_before;
        let credentials = self.store().credentials().list(permit.user(), None).await?;
        let credentials = credentials.into_iter().map(|row| self.seen(row, lead)).collect();
        Ok(Exported { person, memberships, keys, credentials })
    }
}
