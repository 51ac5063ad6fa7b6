//! The command line. No secret is ever on it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser};
use roadstead_server_kit::Limits;

/// An MCP server for Gmail, on stdin and stdout.
///
/// GMAIL_CLIENT_ID, GMAIL_CLIENT_SECRET and GMAIL_REFRESH_TOKEN hold the login; each may be given as a file, in
/// GMAIL_CLIENT_ID_FILE and so on.
#[derive(Debug, Parser)]
#[command(name = "roadstead-gmail", version)]
pub struct Flags {
    /// Where the mailbox is in Gmail's API.
    #[arg(long, env = "GMAIL_API_URL", default_value = "https://gmail.googleapis.com/gmail/v1/users/me")]
    pub api_url: String,

    /// Where access tokens are given.
    #[arg(long, env = "GMAIL_TOKEN_URL", default_value = "https://oauth2.googleapis.com/token")]
    pub token_url: String,

    /// The folder for saved attachments. Without one, none are saved.
    #[arg(long, env = "GMAIL_FILES_DIR")]
    pub files_dir: Option<PathBuf>,

    /// Offer only the tools that change nothing.
    #[arg(long, env = "GMAIL_READ_ONLY", action = ArgAction::Set, num_args = 0..=1, default_value_t = false, default_missing_value = "true")]
    pub read_only: bool,

    /// How often a request is tried again when that may help.
    #[arg(long, env = "GMAIL_RETRIES", default_value_t = 4, value_parser = clap::value_parser!(u8).range(0..=10))]
    pub retries: u8,

    /// Milliseconds before the first retry; each further wait is about twice as long.
    #[arg(long, env = "GMAIL_RETRY_WAIT_MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub retry_wait_ms: u64,

    /// Seconds after which one try of a request is given up.
    #[arg(long, env = "GMAIL_TIMEOUT_S", default_value_t = 45, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub timeout_s: u64,
}

impl Flags {
    /// How long requests may take.
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
