//! From a presented key to a caller.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use roadstead_access::{Caller, CallerLimits, Means, ProjectStatus};
use roadstead_crypto::{PlainToken, TokenKind};
use roadstead_model::{ApiKeyId, Role};
use roadstead_store::{ApiKeyRow, KeySettings, KeyWithUser, StoreError};
use time::OffsetDateTime;

use crate::Accounts;
use crate::key_use::Left;

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
    /// Its user, what they work in, or their place in it, was suspended.
    #[error("the {what} of this API key is not active; ask an admin")]
    NotActive {
        /// Which of them.
        what: &'static str,
    },
    /// It may not be used from there.
    #[error(
        "this API key may not be used from this address; ask its owner for the addresses that it may be used from"
    )]
    AddressNotAllowed {
        /// The key.
        key: ApiKeyId,
    },
    /// It was used as often as it may be.
    #[error(
        "this API key has made as many requests as it may in this {period}; ask again in the next, by UTC"
    )]
    LimitReached {
        /// The key.
        key: ApiKeyId,
        /// Of which time.
        period: &'static str,
        /// Until the next.
        wait: Duration,
    },
    /// The database.
    #[error("the key could not be looked up")]
    Store(#[source] StoreError),
}

/// What a key is presented for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To look: it waits for its turn among others who do.
    Look,
    /// To change something: it waits for nobody who only looks.
    Change,
}

impl AuthenticationError {
    /// The key that was known and refused for what it may, so that its owner sees it counted.
    pub const fn refused_key(&self) -> Option<ApiKeyId> {
        match self {
            Self::AddressNotAllowed { key } | Self::LimitReached { key, .. } => Some(*key),
            _ => None,
        }
    }
}

impl Accounts {
    /// Who presents this key, and for what? At most one query; what the key is used for is noted by whoever answers the request.
    pub async fn authenticate(
        &self,
        presented: Option<&str>,
        purpose: Purpose,
        ip_address: Option<IpAddr>,
        user_agent: Option<String>,
    ) -> Result<Caller, AuthenticationError> {
        let presented = presented.ok_or(AuthenticationError::Missing)?;
        let token =
            PlainToken::parse(TokenKind::ApiKey, presented).map_err(|_| AuthenticationError::Unknown)?;
        let now = self.now();
        let found = self.look_up(token.hash().as_bytes(), purpose, now).await?;
        still_opens(&found.key, now)?;
        if !may_come_from(&found.key.settings, ip_address) {
            return Err(AuthenticationError::AddressNotAllowed { key: found.key.id });
        }
        let role = may_act(&found)?;
        self.count_against_limits(&found, now)?;
        Ok(Caller {
            user: found.user.id,
            organization: found.place.organization,
            project: found.place.project,
            project_status: ProjectStatus::from_word(&found.place.project_status),
            role,
            is_admin: found.user.is_admin,
            means: Means::Key(found.key.id),
            acting: None,
            scopes: found.key.scopes.clone(),
            limits: CallerLimits {
                requests_per_minute: found.place.requests_per_minute,
                project_requests_per_minute: found.place.project_requests_per_minute,
            },
            ip_address,
            user_agent,
            request_id: None,
        })
    }

    async fn look_up(
        &self,
        hash: &[u8; 32],
        purpose: Purpose,
        now: OffsetDateTime,
    ) -> Result<Arc<KeyWithUser>, AuthenticationError> {
        let (changes, asked) = (self.store().changes(), Instant::now());
        if let Some(known) = self.0.known_keys.get(hash, changes, asked) {
            return Ok(known);
        }
        let found = match purpose {
            Purpose::Look => self.store().api_keys_of_readers().by_hash(hash, now).await,
            Purpose::Change => self.store().api_keys().by_hash(hash, now).await,
        };
        let found = found.map_err(AuthenticationError::Store)?.ok_or(AuthenticationError::Unknown)?;
        let found = Arc::new(found);
        // What a key with a limit was used for changes with every request.
        if limits_of(&found) == (None, None) {
            self.0.known_keys.put(*hash, Arc::clone(&found), changes, asked);
        }
        Ok(found)
    }

    fn count_against_limits(
        &self,
        found: &KeyWithUser,
        now: OffsetDateTime,
    ) -> Result<(), AuthenticationError> {
        let limits = limits_of(found);
        if limits == (None, None) {
            return Ok(());
        }
        match self.0.uses.count(found.key.id, limits, found.used, now) {
            Left::One => Ok(()),
            Left::NothingBefore(moment, period) => Err(AuthenticationError::LimitReached {
                key: found.key.id,
                period,
                wait: Duration::try_from(moment - now).unwrap_or_default(),
            }),
        }
    }
}

/// Requests of a day and of a month.
const fn limits_of(found: &KeyWithUser) -> (Option<u64>, Option<u64>) {
    (found.key.settings.daily_limit, found.key.settings.monthly_limit)
}

/// Whether the key has not come to its end: it was not revoked, its time is not up, and no other has taken its place.
fn still_opens(key: &ApiKeyRow, now: OffsetDateTime) -> Result<(), AuthenticationError> {
    let replaced = key.grace_until.is_some_and(|end| end <= now);
    if key.revoked_at.is_some() || !key.is_active || replaced {
        return Err(AuthenticationError::Revoked);
    }
    if key.expires_at.is_some_and(|end| end <= now) {
        return Err(AuthenticationError::Expired);
    }
    Ok(())
}

/// A key without a list may be used from anywhere; one with a list from nowhere that is not known.
fn may_come_from(settings: &KeySettings, ip_address: Option<IpAddr>) -> bool {
    let networks = &settings.allowed_ips;
    networks.is_empty()
        || ip_address.is_some_and(|address| networks.iter().any(|network| network.contains(&address)))
}

fn may_act(found: &KeyWithUser) -> Result<Role, AuthenticationError> {
    if !found.user.is_active {
        return Err(AuthenticationError::NotActive { what: "user" });
    }
    if !found.place.organization_is_active {
        return Err(AuthenticationError::NotActive { what: "organisation" });
    }
    found.place.role.ok_or(AuthenticationError::NotActive { what: "membership" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_of_both_kinds_let_in_what_lies_within() {
        let settings = KeySettings {
            allowed_ips: ["192.0.2.0/24", "2001:db8::/32"].map(|text| text.parse().unwrap()).to_vec(),
            ..KeySettings::default()
        };
        let from = |text: &str| may_come_from(&settings, Some(text.parse().unwrap()));
        assert!(from("192.0.2.7") && from("2001:db8::1"));
        assert!(!from("192.0.3.7") && !from("2001:db9::1") && !from("::1"));
        assert!(!may_come_from(&settings, None), "from nowhere that is known");
        assert!(may_come_from(&KeySettings::default(), None));
    }
}
