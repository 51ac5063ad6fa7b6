//! What a credential is good for: by its switch, by its end, and by what its service said of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::era::UnknownWord;

/// Whether a credential can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialStatus {
    /// It can.
    Active,
    /// It can, and its end is near.
    Expiring,
    /// Its time is up.
    Expired,
    /// It was switched off.
    Disabled,
}

impl CredentialStatus {
    /// What it is now, of one whose end counts as near from `lead` before it on.
    pub fn of(
        is_active: bool,
        expires_at: Option<OffsetDateTime>,
        lead: Duration,
        now: OffsetDateTime,
    ) -> Self {
        match expires_at {
            _ if !is_active => Self::Disabled,
            Some(end) if end <= now => Self::Expired,
            Some(end) if end - now <= lead => Self::Expiring,
            Some(_) | None => Self::Active,
        }
    }

    /// Whether a server may be started with it.
    pub const fn may_be_used(self) -> bool {
        matches!(self, Self::Active | Self::Expiring)
    }

    /// The word used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expiring => "expiring",
            Self::Expired => "expired",
            Self::Disabled => "disabled",
        }
    }
}

/// What the service that a credential is for said when it was tried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Validity {
    /// It takes it.
    Valid,
    /// It refuses it.
    Invalid,
    /// It said neither, or could not be asked.
    Unknown,
}

impl Validity {
    /// The word used in rows and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Invalid => "invalid",
            Self::Unknown => "unknown",
        }
    }
}

impl std::str::FromStr for Validity {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        [Self::Valid, Self::Invalid, Self::Unknown]
            .into_iter()
            .find(|validity| validity.as_str() == word)
            .ok_or_else(|| UnknownWord { noun: "validity", word: word.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;
    const WEEK: Duration = Duration::from_hours(7 * 24);

    fn of(end_in: i64) -> CredentialStatus {
        CredentialStatus::of(true, Some(NOW + time::Duration::seconds(end_in)), WEEK, NOW)
    }

    #[test]
    fn its_end_decides_and_the_last_second_is_over() {
        assert_eq!(of(-1), CredentialStatus::Expired);
        assert_eq!(of(0), CredentialStatus::Expired);
        assert_eq!(of(1), CredentialStatus::Expiring);
        assert_eq!(of(7 * 86_400), CredentialStatus::Expiring);
        assert_eq!(of(7 * 86_400 + 1), CredentialStatus::Active);
        assert_eq!(CredentialStatus::of(true, None, WEEK, NOW), CredentialStatus::Active);
    }

    #[test]
    fn what_is_switched_off_is_so_whatever_its_end() {
        for end in [None, Some(NOW), Some(NOW + time::Duration::DAY)] {
            let status = CredentialStatus::of(false, end, WEEK, NOW);
            assert_eq!(status, CredentialStatus::Disabled);
            assert!(!status.may_be_used());
        }
    }

    #[test]
    fn without_a_lead_nothing_is_near() {
        let soon = Some(NOW + time::Duration::SECOND);
        assert_eq!(CredentialStatus::of(true, soon, Duration::ZERO, NOW), CredentialStatus::Active);
    }

    #[test]
    fn words_of_validity_are_read_back() {
        for validity in [Validity::Valid, Validity::Invalid, Validity::Unknown] {
            assert_eq!(validity.as_str().parse::<Validity>().unwrap(), validity);
        }
        assert!("perhaps".parse::<Validity>().is_err());
    }
}
