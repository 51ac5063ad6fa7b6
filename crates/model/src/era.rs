//! Which family of protocol revisions a server speaks.

use serde::{Deserialize, Serialize};

/// The protocol eras of a server. `Legacy`: revisions with a handshake and sessions (2025-11-25 and older).
/// `Modern`: stateless revisions (2026-07-28 and later).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Era {
    /// Not known: found out by asking a fresh process.
    #[default]
    Auto,
    /// Handshake and sessions only.
    Legacy,
    /// Stateless only.
    Modern,
    /// Either, fixed per process by its first message.
    Dual,
}

impl Era {
    /// The word used in rows and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Legacy => "legacy",
            Self::Modern => "modern",
            Self::Dual => "dual",
        }
    }
}

impl std::str::FromStr for Era {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        [Self::Auto, Self::Legacy, Self::Modern, Self::Dual]
            .into_iter()
            .find(|era| era.as_str() == word)
            .ok_or_else(|| UnknownWord { noun: "era", word: word.to_owned() })
    }
}

/// A word that is none of a fixed list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is not a known {noun}")]
pub struct UnknownWord {
    /// What the word should have named.
    pub noun: &'static str,
    /// The word.
    pub word: String,
}
