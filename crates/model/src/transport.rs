//! How a server is spoken to, and who shares one.

use serde::{Deserialize, Serialize};

/// How the bridge reaches a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// Lines on the standard streams of its process.
    #[default]
    Stdio,
    /// Streamable HTTP, at a URL.
    StreamableHttp,
    /// HTTP+SSE of the revision 2024-11-05, at the URL of its event stream.
    Sse,
}

impl Transport {
    /// The word used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stdio => "stdio",
            Self::StreamableHttp => "streamable_http",
            Self::Sse => "sse",
        }
    }
}

impl std::str::FromStr for Transport {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        [Self::Stdio, Self::StreamableHttp, Self::Sse]
            .into_iter()
            .find(|each| each.as_str() == word)
            .ok_or(())
    }
}

/// What a legacy session has to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionMode {
    /// A conversation with the server of its own; over stdio, a process of its own.
    #[default]
    PerSession,
    /// Nothing: all sessions of an instance share one conversation with the server.
    Shared,
}
