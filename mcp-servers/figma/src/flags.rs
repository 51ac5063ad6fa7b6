//! The command line. The token is never on it.

use std::time::Duration;

use clap::{ArgAction, Parser};
use roadstead_server_kit::Limits;

/// An MCP server for Figma, on stdin and stdout.
///
/// FIGMA_TOKEN holds a personal access token, or FIGMA_OAUTH_TOKEN an OAuth access token; FIGMA_TOKEN_FILE and
/// FIGMA_OAUTH_TOKEN_FILE name files that do.
#[derive(Debug, Parser)]
#[command(name = "roadstead-figma", version)]
pub struct Flags {
    /// Where Figma's API is.
    #[arg(long, env = "FIGMA_API_URL", default_value = "https://api.figma.com")]
    pub api_url: String,

    /// Offer only the tools that change nothing.
    #[arg(long, env = "FIGMA_READ_ONLY", action = ArgAction::Set, num_args = 0..=1, default_value_t = false, default_missing_value = "true")]
    pub read_only: bool,

    /// How often a request is tried again when that may help.
    #[arg(long, env = "FIGMA_RETRIES", default_value_t = 3, value_parser = clap::value_parser!(u8).range(0..=10))]
    pub retries: u8,

    /// Milliseconds before the first retry; each further wait is about twice as long.
    #[arg(long, env = "FIGMA_RETRY_WAIT_MS", default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub retry_wait_ms: u64,

    /// Seconds after which one try of a request is given up.
    #[arg(long, env = "FIGMA_TIMEOUT_S", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub timeout_s: u64,
}

impl Flags {
    /// How long requests may take. Large files take Figma its time.
    pub fn limits(&self) -> Limits {
        let attempt = Duration::from_secs(self.timeout_s);
        let usual = Limits::default();
        Limits {
            attempt,
            whole: usual.whole.max(attempt * 2),
            retries: self.retries.into(),
            first_wait: Duration::from_millis(self.retry_wait_ms),
            ..usual
        }
    }
}
