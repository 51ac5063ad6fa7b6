//! The commands on settings.

use clap::Subcommand;

/// `settings …`.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum SettingsCommand {
    /// List settings: their values, and what they were at first
    #[command(
        after_help = "Examples:\n  roadstead settings list\n  roadstead settings list launches\n  roadstead settings list --json | jq '.[] | select(.value != .default_value)'"
    )]
    List {
        /// Only those whose names begin so
        #[arg(value_name = "PREFIX")]
        prefix: Option<String>,
    },
    /// Change a setting; in force at once unless it says otherwise
    #[command(after_help = "\
Examples:
  roadstead settings set mcp.max_instances_per_user 20 --reason 'more people'
  roadstead settings set confinement.outbound_ports '[443, 8443]'
  pass show the-secret | roadstead settings set some.secret --from-stdin

The value of a sensitive setting is read from standard input, never from an argument.")]
    Set {
        /// Its name
        #[arg(value_name = "KEY")]
        key: String,
        /// Its value; JSON where it reads as JSON, else text
        #[arg(required_unless_present = "from_stdin", conflicts_with = "from_stdin")]
        value: Option<String>,
        /// Read the value from standard input, as text
        #[arg(long)]
        from_stdin: bool,
        /// Why, for the history
        #[arg(long)]
        reason: Option<String>,
    },
    /// Show who changed a setting, when, why, and from what to what
    #[command(after_help = "Examples:\n  roadstead settings history mcp.max_instances_per_user")]
    History {
        /// Its name
        #[arg(value_name = "KEY")]
        key: String,
        /// Changes at most
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
}
