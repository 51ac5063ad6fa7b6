//! The steps of an instance's life that are recorded, and who caused them.

use serde::{Deserialize, Serialize};

use crate::era::UnknownWord;
use crate::{ApiKeyId, UserId};

macro_rules! event_types {
    ($($(#[$doc:meta])* $name:ident = $word:literal),+ $(,)?) => {
        /// What happened to an instance.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum EventType {
            $($(#[$doc])* $name,)+
        }

        impl EventType {
            /// All of them, in the order of a life.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The word used in rows and JSON.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }
        }
    };
}

event_types! {
    /// The row was written.
    Created = "created",
    /// The server was ready.
    Started = "started",
    /// Started again after it was lost, same id, URL and token.
    Restored = "restored",
    /// Given a new deadline after it expired.
    Renewed = "renewed",
    /// Its deadline was moved.
    Extended = "extended",
    /// Its time is up soon.
    Expiring = "expiring",
    /// Its server was ended, or had ended, and was started again.
    Restarted = "restarted",
    /// It was asked to leave and left.
    Stopped = "stopped",
    /// Its server is gone and nobody asked.
    Disconnected = "disconnected",
    /// Its time was up.
    Expired = "expired",
    /// It was deleted.
    Deleted = "deleted",
    /// It never became ready, or its crash loop was ended.
    Error = "error",
    /// What was left of it was removed.
    Reaped = "reaped",
    /// A living shim was taken over after a restart of ours.
    Adopted = "adopted",
    /// Its access token was replaced.
    TokenRotated = "token_rotated",
    /// Its access token was taken back, and none was given instead.
    TokenRevoked = "token_revoked",
    /// The credential that it holds was replaced.
    CredentialReplaced = "credential_replaced",
    /// The credential that it holds expires soon.
    CredentialExpiring = "credential_expiring",
    /// It came near one of its limits, or was refused more.
    LimitReached = "limit_reached",
}

impl std::str::FromStr for EventType {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .iter()
            .copied()
            .find(|event| event.as_str() == word)
            .ok_or_else(|| UnknownWord { noun: "event type", word: word.to_owned() })
    }
}

/// Who caused an event or a change: a person through a key, or the system itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The acting user; none when the system acted.
    pub user: Option<UserId>,
    /// The key that was used.
    pub api_key: Option<ApiKeyId>,
    /// The user for whom the key's owner acted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<UserId>,
    /// The caller's address.
    pub ip_address: Option<std::net::IpAddr>,
    /// The caller's `User-Agent`, cut to a limit.
    pub user_agent: Option<String>,
    /// The id of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl Actor {
    /// The system itself.
    pub const SYSTEM: Self = Self {
        user: None,
        api_key: None,
        on_behalf_of: None,
        ip_address: None,
        user_agent: None,
        request_id: None,
    };
}
