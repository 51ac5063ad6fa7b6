//! Commands that look at many instances, or change them: filters of lists, `patch`, `bulk`, `logs search`, `logs export`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use roadstead_model::{InstanceStatus, LogLevel, LogSource};

use crate::arguments::{JsonObject, KeyValue, Since, Span};

pub(crate) const PATCH_EXAMPLES: &str = "\
Examples:
  roadstead patch work --name play
  roadstead patch work --config region=eu --config read_only=true
  roadstead patch work --config-json '{\"region\": \"eu\"}' --if-version 3

A configuration takes the place of the one before and holds from the next start on: `roadstead restart`.";

pub(crate) const BULK_EXAMPLES: &str = "\
Examples:
  roadstead bulk stop --type github                    says what it would do
  roadstead bulk stop --type github --yes              does it
  roadstead bulk delete --status expired,stopped --yes
  roadstead bulk expire work play 0199 --yes --json";

/// Which instances.
#[derive(Debug, Default, Args)]
pub struct Which {
    /// Only instances of this server type
    #[arg(long = "type", value_name = "TYPE")]
    pub server_type: Option<String>,
    /// Only instances of these statuses: pending, running, expired, disconnected, stopped, error
    #[arg(long, value_delimiter = ',', value_name = "STATUS")]
    pub status: Vec<InstanceStatus>,
    /// Only instances of this project
    #[arg(long, value_name = "ID")]
    pub project: Option<String>,
    /// Only instances of this user, for those who see others'
    #[arg(long, value_name = "ID")]
    pub owner: Option<String>,
    /// Only instances whose name contains this text
    #[arg(long, value_name = "TEXT")]
    pub named: Option<String>,
    /// Only instances created after this moment, or from this long ago on: 24h, 2026-01-31T12:00:00Z
    #[arg(long, value_name = "WHEN")]
    pub since: Option<Since>,
    /// Only instances created before this moment, or until this long ago
    #[arg(long, value_name = "WHEN")]
    pub until: Option<Since>,
    /// Only instances whose deadline comes within this time, or has passed
    #[arg(long, value_name = "DURATION")]
    pub expires_within: Option<Span>,
}

/// What a list is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    /// The newest first
    Newest,
    /// The oldest first
    Oldest,
    /// The next deadline first
    Ends,
    /// By status
    Status,
}

impl Sort {
    /// As the API takes it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Newest => "-created_at",
            Self::Oldest => "created_at",
            Self::Ends => "expires_at",
            Self::Status => "status",
        }
    }
}

/// `patch`.
#[derive(Debug, Args)]
pub struct Patch {
    /// The instance: its id, the beginning of its id, or its name
    #[arg(value_name = "ID")]
    pub instance: String,
    /// What to call it from now on
    #[arg(long)]
    pub name: Option<String>,
    /// A configuration value; JSON where it reads as JSON, else text
    #[arg(long, value_name = "KEY=VALUE")]
    pub config: Vec<KeyValue>,
    /// The configuration as one JSON object; --config is laid over it
    #[arg(long, value_name = "JSON")]
    pub config_json: Option<JsonObject>,
    /// Only if it still has this version (`roadstead show --json` tells it)
    #[arg(long, value_name = "N")]
    pub if_version: Option<i32>,
}

/// What `bulk` does to each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BulkVerb {
    /// Ask it to leave
    Stop,
    /// End it as its deadline would
    Expire,
    /// Stop it and remove it from the lists
    Delete,
}

impl BulkVerb {
    /// As the API takes it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Expire => "expire",
            Self::Delete => "delete",
        }
    }
}

/// `bulk`.
#[derive(Debug, Args)]
pub struct Bulk {
    /// What to do
    pub action: BulkVerb,
    /// The instances: ids, beginnings of ids, or names; without any, those that the options choose
    #[arg(value_name = "ID")]
    pub instances: Vec<String>,
    /// Which, where none are named
    #[command(flatten)]
    pub which: Which,
    /// Do it, instead of saying what it would do
    #[arg(long, short)]
    pub yes: bool,
}

/// `logs …`.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum LogsCommand {
    /// Search what all your instances said, newest first
    #[command(
        after_help = "Examples:\n  roadstead logs search 'connection refused'\n  roadstead logs search timeout --level warn --since 24h\n  roadstead logs search token --instance work -n 20 --json"
    )]
    Search(Search),
    /// Write an instance's lines to a file or to standard output
    #[command(
        after_help = "Examples:\n  roadstead logs export work --to work.jsonl\n  roadstead logs export work --format csv --since 7d > work.csv\n  roadstead logs export work --link"
    )]
    Export(Export),
}

/// `logs search`.
#[derive(Debug, Args)]
pub struct Search {
    /// The text, whatever its case
    pub text: String,
    /// Only of this instance: its id, the beginning of its id, or its name
    #[arg(long, value_name = "ID")]
    pub instance: Option<String>,
    /// At least this level: debug, info, warn, error
    #[arg(long)]
    pub level: Option<LogLevel>,
    /// Only what this one said: process, system, api
    #[arg(long)]
    pub source: Option<LogSource>,
    /// Only lines after this moment, or from this long ago on
    #[arg(long, value_name = "WHEN")]
    pub since: Option<Since>,
    /// Only lines before this moment, or until this long ago
    #[arg(long, value_name = "WHEN")]
    pub until: Option<Since>,
    /// At most N lines
    #[arg(long, short = 'n', value_name = "N", default_value_t = 100)]
    pub lines: usize,
}

/// How exported lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line
    Json,
    /// Comma-separated values
    Csv,
    /// As `roadstead logs` shows them
    Text,
}

impl LogFormat {
    /// As the API takes it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Text => "text",
        }
    }
}

/// `logs export`.
#[derive(Debug, Args)]
pub struct Export {
    /// The instance: its id, the beginning of its id, or its name
    #[arg(value_name = "ID")]
    pub instance: String,
    /// How lines are written
    #[arg(long, value_enum, default_value_t = LogFormat::Json)]
    pub format: LogFormat,
    /// At least this level: debug, info, warn, error
    #[arg(long)]
    pub level: Option<LogLevel>,
    /// Only what this one said: process, system, api
    #[arg(long)]
    pub source: Option<LogSource>,
    /// Only lines after this moment, or from this long ago on
    #[arg(long, value_name = "WHEN")]
    pub since: Option<Since>,
    /// Only lines before this moment, or until this long ago
    #[arg(long, value_name = "WHEN")]
    pub until: Option<Since>,
    /// The file to write; standard output otherwise
    #[arg(long, value_name = "FILE", conflicts_with = "link")]
    pub to: Option<PathBuf>,
    /// Only print the link, which needs no key and ends after an hour
    #[arg(long)]
    pub link: bool,
}
