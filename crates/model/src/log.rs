//! Levels and sources of log lines.

use serde::{Deserialize, Serialize};

use crate::era::UnknownWord;

/// How bad a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// For whoever debugs the server.
    Debug,
    /// Ordinary.
    Info,
    /// Worth a look.
    Warn,
    /// Something failed.
    Error,
}

impl LogLevel {
    /// The word used in rows and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    /// The level that a line states at its start (`ERROR …`, `[warn] …`, `{"level":"error"}`), else `Info`.
    /// What a server writes to its standard error is not an error by itself.
    pub fn stated_by(line: &str) -> Self {
        let head: String = line.chars().take(64).collect::<String>().to_ascii_lowercase();
        let words = head.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        for word in words.take(8) {
            match word {
                "debug" | "trace" => return Self::Debug,
                "info" | "notice" => return Self::Info,
                "warn" | "warning" => return Self::Warn,
                "error" | "err" | "fatal" | "critical" | "panic" | "panicked" => return Self::Error,
                _ => {}
            }
        }
        Self::Info
    }
}

impl std::str::FromStr for LogLevel {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        [Self::Debug, Self::Info, Self::Warn, Self::Error]
            .into_iter()
            .find(|level| level.as_str() == word)
            .ok_or_else(|| UnknownWord { noun: "log level", word: word.to_owned() })
    }
}

/// Who said a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogSource {
    /// The server process.
    Process,
    /// Roadstead or the shim.
    System,
    /// The REST API.
    Api,
}

impl LogSource {
    /// The word used in rows and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::System => "system",
            Self::Api => "api",
        }
    }
}

impl std::str::FromStr for LogSource {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        [Self::Process, Self::System, Self::Api]
            .into_iter()
            .find(|source| source.as_str() == word)
            .ok_or_else(|| UnknownWord { noun: "log source", word: word.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_states_no_level_is_info() {
        assert_eq!(LogLevel::stated_by("Starting default (STDIO) server..."), LogLevel::Info);
        assert_eq!(LogLevel::stated_by(""), LogLevel::Info);
    }

    #[test]
    fn stated_levels_are_heard() {
        assert_eq!(LogLevel::stated_by("[WARN] low disk"), LogLevel::Warn);
        assert_eq!(LogLevel::stated_by("{\"level\":\"error\",\"msg\":\"x\"}"), LogLevel::Error);
        assert_eq!(LogLevel::stated_by("2026-01-01T00:00:00Z DEBUG hi"), LogLevel::Debug);
    }
}
