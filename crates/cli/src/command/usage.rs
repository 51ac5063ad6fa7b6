//! `usage …`.

use clap::{Args, ValueEnum};
use roadstead_model::UsageStatus;

use crate::arguments::Since;

pub(crate) const USAGE_EXAMPLES: &str = "\
Examples:
  roadstead usage
  roadstead usage --by day --since 7d
  roadstead usage --instance work --status error --by call
  roadstead usage --since 24h --json | jq 'map(.calls) | add'

What was said in a call is never kept: only its name, outcome, time and sizes.";

/// `usage`.
#[derive(Debug, Args)]
pub struct Usage {
    /// Only calls through this instance: its id, the beginning of its id, or its name
    #[arg(long, value_name = "ID")]
    pub instance: Option<String>,
    /// Only calls through instances of this server type
    #[arg(long = "type", value_name = "TYPE")]
    pub server_type: Option<String>,
    /// Only calls of this tool or prompt
    #[arg(long, value_name = "NAME")]
    pub tool: Option<String>,
    /// Only calls that ended so: success, error, timeout, cancelled, blocked
    #[arg(long)]
    pub status: Option<UsageStatus>,
    /// Only calls after this moment, or from this long ago on: 24h, 2026-01-31T12:00:00Z
    #[arg(long, value_name = "WHEN")]
    pub since: Option<Since>,
    /// Only calls before this moment, or until this long ago
    #[arg(long, value_name = "WHEN")]
    pub until: Option<Since>,
    /// Add calls up by this, or show them one by one
    #[arg(long, value_enum, default_value_t = By::Tool)]
    pub by: By,
    /// With --by call: the last N calls [default: 100]
    #[arg(long, short = 'n', value_name = "N")]
    pub tail: Option<usize>,
}

/// What calls are added up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// What was called
    Tool,
    /// The day, in UTC
    Day,
    /// The instance
    Instance,
    /// Nothing: each call by itself
    Call,
}

impl By {
    /// As the API takes it.
    pub(crate) const fn summary(self) -> Option<&'static str> {
        match self {
            Self::Tool => Some("tool"),
            Self::Day => Some("day"),
            Self::Instance => Some("instance"),
            Self::Call => None,
        }
    }
}
