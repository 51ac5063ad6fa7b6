//! An instance's status, and which verb may follow which status. One table, here.
//!
//! ```text
//! launch ─► pending ─► running ─► expired | disconnected | stopped | error
//!              └──► error | expired | stopped
//! ```
//! A stopping instance is still `running`, with `stopping_at` set. Delete is possible from every status.

use serde::{Deserialize, Serialize};

use crate::era::UnknownWord;

/// Where an instance is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InstanceStatus {
    /// The row exists, the server is not ready yet.
    Pending,
    /// The server is ready and reachable.
    Running,
    /// Its time was up.
    Expired,
    /// The server is gone and nobody asked for it.
    Disconnected,
    /// It was asked to leave; the row stays.
    Stopped,
    /// It never became ready, or its crash loop was ended.
    Error,
}

impl InstanceStatus {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Running, Self::Expired, Self::Disconnected, Self::Stopped, Self::Error];

    /// The word used in rows and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Expired => "expired",
            Self::Disconnected => "disconnected",
            Self::Stopped => "stopped",
            Self::Error => "error",
        }
    }

    /// Whether the instance holds a port and counts against its owner's quota.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Pending | Self::Running)
    }

    /// Whether a verb may follow this status; the refusal names both.
    pub const fn permits(self, verb: Verb) -> Result<(), InvalidTransition> {
        let allowed = match verb {
            Verb::Delete => true,
            Verb::Stop | Verb::Expire => self.is_live(),
            Verb::Extend | Verb::RotateToken => matches!(self, Self::Running),
        };
        if allowed { Ok(()) } else { Err(InvalidTransition { status: self, verb }) }
    }
}

impl std::fmt::Display for InstanceStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for InstanceStatus {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == word)
            .ok_or_else(|| UnknownWord { noun: "status", word: word.to_owned() })
    }
}

/// What may be asked of an instance that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Ask it to leave; the row stays.
    Stop,
    /// End it now exactly as its deadline would.
    Expire,
    /// Move its deadline.
    Extend,
    /// Replace its access token.
    RotateToken,
    /// Stop it and soft-delete the row.
    Delete,
}

impl std::fmt::Display for Verb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Stop => "stop",
            Self::Expire => "expire",
            Self::Extend => "extend",
            Self::RotateToken => "rotate the token of",
            Self::Delete => "delete",
        })
    }
}

/// A verb was asked of an instance whose status does not permit it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot {verb} an instance that is {status}")]
pub struct InvalidTransition {
    /// What the instance is.
    pub status: InstanceStatus,
    /// What was asked.
    pub verb: Verb,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delete_follows_every_status_and_extend_only_running() {
        for status in InstanceStatus::ALL {
            assert!(status.permits(Verb::Delete).is_ok());
            assert_eq!(status.permits(Verb::Extend).is_ok(), status == InstanceStatus::Running);
            assert_eq!(status.permits(Verb::Stop).is_ok(), status.is_live());
        }
    }

    #[test]
    fn a_refusal_names_the_status() {
        let refusal = InstanceStatus::Expired.permits(Verb::Stop).unwrap_err();
        assert_eq!(refusal.to_string(), "cannot stop an instance that is expired");
    }

    #[test]
    fn words_round_trip() {
        for status in InstanceStatus::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
        }
    }
}
