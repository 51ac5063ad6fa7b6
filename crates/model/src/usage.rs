//! The words of usage facts: what was called, by which kind of session, and what became of it.

use serde::{Deserialize, Serialize};

use crate::era::UnknownWord;

/// Requests that leave a usage fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum UsageMethod {
    /// A tool was called.
    #[serde(rename = "tools/call")]
    CallTool,
    /// A resource was read.
    #[serde(rename = "resources/read")]
    ReadResource,
    /// A prompt was got.
    #[serde(rename = "prompts/get")]
    GetPrompt,
}

impl UsageMethod {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::CallTool, Self::ReadResource, Self::GetPrompt];

    /// The word used in rows and JSON: the method's own name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CallTool => "tools/call",
            Self::ReadResource => "resources/read",
            Self::GetPrompt => "prompts/get",
        }
    }
}

impl std::str::FromStr for UsageMethod {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|method| method.as_str() == word)
            .ok_or_else(|| UnknownWord { noun: "counted method", word: word.to_owned() })
    }
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UsageStatus {
    /// With a result.
    Success,
    /// With an error, or with a tool's result that says of itself that it is one.
    Error,
    /// Not in time.
    Timeout,
    /// Nobody wanted the answer any more.
    Cancelled,
    /// A policy refused it.
    Blocked,
}

impl UsageStatus {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Success, Self::Error, Self::Timeout, Self::Cancelled, Self::Blocked];

    /// The word used in rows and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Error => "error",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::Blocked => "blocked",
        }
    }
}

impl std::str::FromStr for UsageStatus {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == word)
            .ok_or_else(|| UnknownWord { noun: "outcome of a call", word: word.to_owned() })
    }
}

/// The protocol era that the caller spoke, whatever its server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionEra {
    /// With a session.
    Legacy,
    /// Stateless.
    Modern,
}

impl SessionEra {
    /// The word used in rows and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Modern => "modern",
        }
    }
}

impl std::str::FromStr for SessionEra {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        [Self::Legacy, Self::Modern]
            .into_iter()
            .find(|era| era.as_str() == word)
            .ok_or_else(|| UnknownWord { noun: "session era", word: word.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_as_it_is_written() {
        for method in UsageMethod::ALL {
            assert_eq!(method.as_str().parse(), Ok(method));
            assert_eq!(serde_json::to_value(method).unwrap(), method.as_str());
        }
        for status in UsageStatus::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        for era in [SessionEra::Legacy, SessionEra::Modern] {
            assert_eq!(era.as_str().parse(), Ok(era));
            assert_eq!(serde_json::to_value(era).unwrap(), era.as_str());
        }
        assert!("tools/list".parse::<UsageMethod>().is_err());
    }
}
