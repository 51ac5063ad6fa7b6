//! The commands on retention: what is kept for how long.

use clap::Subcommand;

/// What the help of `retention` shows.
pub const RETENTION_EXAMPLES: &str = "\
Examples:
  roadstead retention                          what is kept for how long
  roadstead retention preview mcp_logs         what would go now
  roadstead retention set mcp_logs --days 14 --archive true
  roadstead retention run                      only looks, and notes what would go
  roadstead retention run mcp_logs --yes
  roadstead retention history --limit 20

By itself, what is old goes every day at 02:00 UTC.";

/// `retention …`.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum RetentionCommand {
    /// List what is kept for how long
    List,
    /// Change how long a table's rows are kept; in force from the next run on
    #[command(
        after_help = "Examples:\n  roadstead retention set mcp_logs --days 14\n  roadstead retention set mcp_usage --active false"
    )]
    Set {
        /// The table
        #[arg(value_name = "TABLE")]
        table: String,
        /// Keep for so many days
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=36_500))]
        days: Option<u32>,
        /// Whether anything is removed
        #[arg(long, value_name = "true|false")]
        active: Option<bool>,
        /// Whether a month is written to a file before it goes
        #[arg(long, value_name = "true|false", required_unless_present_any = ["days", "active"])]
        archive: Option<bool>,
    },
    /// Show what would go now
    #[command(after_help = "Examples:\n  roadstead retention preview mcp_logs")]
    Preview {
        /// The table
        #[arg(value_name = "TABLE")]
        table: String,
    },
    /// Remove what is old; without --yes only look
    #[command(after_help = "Examples:\n  roadstead retention run\n  roadstead retention run mcp_logs --yes")]
    Run {
        /// One table; without it, all
        #[arg(value_name = "TABLE")]
        table: Option<String>,
        /// Remove it
        #[arg(long, short)]
        yes: bool,
    },
    /// List what was removed when
    #[command(after_help = "Examples:\n  roadstead retention history mcp_logs --json")]
    History {
        /// One table; without it, all
        #[arg(value_name = "TABLE")]
        table: Option<String>,
        /// Runs at most
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
}
