//! From a presented key to a caller.

use std::net::IpAddr;

use roadstead_access::{Caller, Means, OwnRates, ProjectStatus};
use roadstead_crypto::{PlainToken, TokenKind};
use roadstead_store::{KeyUse, StoreError};

use crate::Accounts;

/// Why a key opens nothing.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticationError {
    /// None was presented.
    #[error("this needs an API key in the header `Authorization: Bearer rs_…`")]
    Missing,
    /// No such key.
    #[error("this API key is not known; check that it was copied whole")]
    Unknown,
    /// Its time is up.
    #[error("this API key has expired; make a new one")]
    Expired,
    /// It was taken back.
    #[error("this API key was revoked; make a new one")]
    Revoked,
    /// Its user may not act.
    #[error("the user of this API key is not active; ask a platform admin")]
    UserInactive,
    /// What its user works in, or their place in it, was suspended.
    #[error("the {what} of this API key is suspended; ask one of its admins")]
    NotActive {
        /// Which of them.
        what: &'static str,
    },
    /// The database.
    #[error("the key could not be looked up")]
    Store(#[source] StoreError),
}

impl Accounts {
    /// Who presents this key? One query; that the key was used is noted by the caller of `note_uses`, in batches.
    pub async fn authenticate(
        &self,
        presented: Option<&str>,
        ip_address: Option<IpAddr>,
        user_agent: Option<String>,
    ) -> Result<Caller, AuthenticationError> {
        let presented = presented.ok_or(AuthenticationError::Missing)?;
        let token =
            PlainToken::parse(TokenKind::ApiKey, presented).map_err(|_| AuthenticationError::Unknown)?;
        let found = self
            .store()
            .api_keys()
            .by_hash(token.hash().as_bytes())
            .await
            .map_err(AuthenticationError::Store)?;
        let found = found.ok_or(AuthenticationError::Unknown)?;
        if found.key.revoked_at.is_some() || !found.key.is_active {
            return Err(AuthenticationError::Revoked);
        }
        let now = self.now();
        if found.key.expires_at.is_some_and(|end| end <= now) {
            return Err(AuthenticationError::Expired);
        }
        if !found.user.is_active {
            return Err(AuthenticationError::UserInactive);
        }
        if !found.place.organization_is_active {
            return Err(AuthenticationError::NotActive { what: "organisation" });
        }
        let role = found.place.role.ok_or(AuthenticationError::NotActive { what: "membership" })?;
        self.note_use(KeyUse { id: found.key.id, at: now, ip_address });
        Ok(Caller {
            user: found.user.id,
            organization: found.place.organization,
            project: found.place.project,
            project_status: ProjectStatus::from_word(&found.place.project_status),
            role,
            is_admin: found.user.is_admin,
            means: Means::Key(found.key.id),
            acting: None,
            scopes: found.key.scopes,
            rates: OwnRates { key: found.rates.key, project: found.rates.project },
            ip_address,
            user_agent,
            request_id: None,
        })
    }

    fn note_use(&self, usage: KeyUse) {
        let mut noted = self.0.uses.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        noted.insert(usage.id, usage);
    }

    /// Writes down which keys were used since the last time; called on the reaper's tick.
    pub async fn flush_uses(&self) -> Result<(), StoreError> {
        let uses: Vec<KeyUse> = {
            let mut uses = self.0.uses.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            std::mem::take(&mut *uses).into_values().collect()
        };
        if uses.is_empty() { Ok(()) } else { self.store().api_keys().touch_many(&uses).await }
    }
}
