//! API keys: made, listed, revoked. A key itself exists in the answer that makes it and nowhere else.

use std::time::Duration;

use roadstead_access::KeyPermit;
use roadstead_crypto::{PlainToken, TokenKind};
use roadstead_model::{ApiKeyId, Scopes, UserId};
use roadstead_store::{ApiKeyRow, NewApiKey};

use crate::{Accounts, AccountsError};

/// A key that has ended before it is shown opens nothing.
const SHORTEST_LIFETIME: Duration = Duration::from_secs(1);
/// Ten years: longer is as good as without an end, and times stay within the calendar.
const LONGEST_LIFETIME: Duration = Duration::from_hours(3_650 * 24);

/// A key to be.
#[derive(Debug)]
pub struct NewKey {
    /// For people.
    pub name: String,
    /// At most those of the key that makes it.
    pub scopes: Scopes,
    /// When it ends by itself.
    pub expires_in: Option<Duration>,
    /// For whom; another user only by a platform admin.
    pub user: Option<UserId>,
}

impl Accounts {
    /// Makes a key; the second part is shown once.
    pub async fn create_key(
        &self,
        permit: &KeyPermit,
        new: NewKey,
    ) -> Result<(ApiKeyRow, PlainToken), AccountsError> {
        if !permit.grantable().covers(&new.scopes) {
            return Err(AccountsError::ScopesNotGrantable);
        }
        if new.expires_in.is_some_and(|lifetime| !(SHORTEST_LIFETIME..=LONGEST_LIFETIME).contains(&lifetime))
        {
            let message = "must be between 1s and 3650d".to_owned();
            return Err(AccountsError::Invalid(vec![("expires_in".to_owned(), message)]));
        }
        let user = new.user.unwrap_or_else(|| permit.user());
        if permit.view().owner().is_some_and(|own| own != user) {
            return Err(AccountsError::NotFound { what: "user" });
        }
        let _one_at_a_time = self.room_for_key(user).await?;
        self.insert_key(user, new.name, new.scopes, new.expires_in, None).await
    }

    pub(crate) async fn insert_key(
        &self,
        user: UserId,
        name: String,
        scopes: Scopes,
        expires_in: Option<Duration>,
        given: Option<PlainToken>,
    ) -> Result<(ApiKeyRow, PlainToken), AccountsError> {
        let at = self.now();
        let (id, token) = {
            let mut rng = self.0.randomness.lock();
            let id = ApiKeyId::new(&*self.0.clock, &mut *rng);
            (id, given.unwrap_or_else(|| PlainToken::generate(TokenKind::ApiKey, &mut *rng)))
        };
        let row = NewApiKey {
            id,
            user,
            organization: None,
            project: None,
            created_by: user,
            name,
            prefix: TokenKind::ApiKey.prefix().to_owned(),
            hash: *token.hash().as_bytes(),
            hint: token.hint(),
            scopes,
            expires_at: expires_in.map(|duration| at + duration),
            at,
        };
        self.store().api_keys().create(&row).await?;
        let row = self.store().api_keys().get(id, Some(user)).await?;
        Ok((row.ok_or(AccountsError::NotFound { what: "API key" })?, token))
    }

    /// The keys of the user who acts.
    pub async fn keys(&self, permit: &KeyPermit) -> Result<Vec<ApiKeyRow>, AccountsError> {
        Ok(self.store().api_keys().list(permit.user()).await?)
    }

    /// Revokes a key at once.
    pub async fn revoke_key(
        &self,
        permit: &KeyPermit,
        id: ApiKeyId,
        reason: Option<&str>,
    ) -> Result<(), AccountsError> {
        let revoked = self.store().api_keys().revoke(id, permit.view(), reason, self.now()).await?;
        if revoked { Ok(()) } else { Err(AccountsError::NotFound { what: "API key" }) }
    }
}
