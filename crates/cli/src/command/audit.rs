//! `audit …` and `events`.

use clap::{Args, Subcommand, ValueEnum};

use crate::arguments::Since;

pub(crate) const AUDIT_EXAMPLES: &str = "\
Examples:
  roadstead audit
  roadstead audit list --action instance.stop --since 24h
  roadstead audit list --outcome refused --json | jq -r '.[].code'
  roadstead audit export --format csv --since 30d > audit.csv
  roadstead audit verify                       ends with 1 when something was altered";

pub(crate) const EVENTS_EXAMPLES: &str = "\
Examples:
  roadstead events work                        the steps of an instance's life
  roadstead events                             what happened lately, to all that you may see
  roadstead events --follow
  roadstead events --follow --after 4711 --json";

/// `audit …`.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// List entries, newest first
    #[command(after_help = "Examples:\n  roadstead audit list --resource instance --since 7d")]
    List {
        /// Which entries.
        #[command(flatten)]
        filter: AuditFilter,
        /// The last N entries
        #[arg(long, short = 'n', value_name = "N", default_value_t = 50)]
        tail: usize,
    },
    /// Write all entries to standard output, oldest first, one a line
    #[command(
        after_help = "Examples:\n  roadstead audit export > audit.jsonl\n  roadstead audit export --format csv"
    )]
    Export {
        /// Which entries.
        #[command(flatten)]
        filter: AuditFilter,
        /// What a line is
        #[arg(long, value_enum, default_value_t = AuditFormat::Json)]
        format: AuditFormat,
    },
    /// Read every entry and say what was altered or is gone; ends with 1 when something is
    #[command(
        after_help = "Examples:\n  roadstead audit verify\n  roadstead audit verify --json | jq .first"
    )]
    Verify {
        /// Only the chain of this organisation
        #[arg(long, value_name = "ID")]
        organization: Option<String>,
    },
}

/// Which entries are wanted.
#[derive(Debug, Args, Default)]
pub struct AuditFilter {
    /// Only what this user did, or what was done for them
    #[arg(long, value_name = "USER")]
    pub actor: Option<String>,
    /// Only this action, such as instance.stop
    #[arg(long, value_name = "ACTION")]
    pub action: Option<String>,
    /// Only about this: a kind, an id, or both as kind:id
    #[arg(long, value_name = "WHAT")]
    pub resource: Option<String>,
    /// Only with this outcome: done, refused, failed
    #[arg(long, value_name = "OUTCOME")]
    pub outcome: Option<String>,
    /// Only of this request
    #[arg(long, value_name = "ID")]
    pub request: Option<String>,
    /// Only after this moment, or from this long ago on: 24h, 2026-01-31T12:00:00Z
    #[arg(long, value_name = "WHEN")]
    pub since: Option<Since>,
    /// Only before this moment, or until this long ago
    #[arg(long, value_name = "WHEN")]
    pub until: Option<Since>,
}

/// What an export's line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AuditFormat {
    /// A JSON object
    Json,
    /// Comma-separated values
    Csv,
}

impl AuditFormat {
    /// As the API takes it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
        }
    }
}

/// `events`.
#[derive(Debug, Args)]
pub struct Events {
    /// Only the steps of this instance's life: its id, the beginning of its id, or its name
    #[arg(value_name = "ID", conflicts_with_all = ["follow", "after"])]
    pub instance: Option<String>,
    /// Go on with what happens from now on, or after --after
    #[arg(long, short)]
    pub follow: bool,
    /// Only what comes after this position; 0 for all that is kept
    #[arg(long, value_name = "POSITION")]
    pub after: Option<u64>,
}
