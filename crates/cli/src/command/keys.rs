//! The commands on API keys.

use clap::{Args, Subcommand};
use roadstead_model::Scope;

use super::Span;

/// `keys …`.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum KeysCommand {
    /// List API keys; owners and admins see those of their organisation's members
    #[command(
        after_help = "Examples:\n  roadstead keys list\n  roadstead keys list --active\n  roadstead keys list --json | jq -r '.[].usage_count'"
    )]
    List {
        /// Only those that open something
        #[arg(long)]
        active: bool,
    },
    /// Create an API key; it is printed once
    #[command(after_help = "\
Examples:
  roadstead keys create ci --scope instances:launch --scope instances:read --expires-in 30d
  roadstead keys create office --scope instances:read --allow 192.0.2.0/24 --allow 2001:db8::/32
  roadstead keys create trial --scope instances:launch --daily-limit 1000 --per-minute 60")]
    Create {
        /// A name to call the key by
        name: String,
        /// A permission of the key: instances:read, instances:launch, instances:write, types:read, types:write,
        /// credentials:read, credentials:write, users:read, users:write, users:act, api-keys:read, api-keys:write,
        /// settings:read, settings:write, organizations:read, organizations:write, projects:read, projects:write,
        /// usage:read, audit:read, events:read, database:admin
        #[arg(long, required = true, value_name = "SCOPE")]
        scope: Vec<Scope>,
        /// How long it is good for
        #[arg(long, value_name = "DURATION")]
        expires_in: Option<Span>,
        /// From where and how often it may be used
        #[command(flatten)]
        limits: Limits,
        /// The id of the project that it acts in, instead of yours
        #[arg(long, value_name = "ID")]
        project: Option<String>,
        /// The id of the user whose key it becomes, instead of yours (administrators)
        #[arg(long, value_name = "ID")]
        user: Option<String>,
    },
    /// Show an API key: scopes, limits, where it was used last
    #[command(after_help = "Examples:\n  roadstead keys show ci\n  roadstead keys show ci --json")]
    Show {
        /// Its id or name
        #[arg(value_name = "ID|NAME")]
        key: String,
    },
    /// Change an API key's name, its end, and from where and how often it may be used
    #[command(after_help = "\
Examples:
  roadstead keys patch ci --rename build --daily-limit 5000
  roadstead keys patch ci --allow 192.0.2.0/24
  roadstead keys patch ci --no-limits --never-expires")]
    Patch {
        /// Its id or name
        #[arg(value_name = "ID|NAME")]
        key: String,
        /// Another name
        #[arg(long, value_name = "NAME")]
        rename: Option<String>,
        /// How long it is good for, from now
        #[arg(long, value_name = "DURATION")]
        expires_in: Option<Span>,
        /// It does not end by itself any more
        #[arg(long, conflicts_with = "expires_in")]
        never_expires: bool,
        /// From where and how often it may be used; networks take the place of those there were
        #[command(flatten)]
        limits: Limits,
        /// It may be used from anywhere
        #[arg(long, conflicts_with = "allow")]
        from_anywhere: bool,
        /// It has no limits of its own any more
        #[arg(long, conflicts_with_all = ["per_minute", "daily_limit", "monthly_limit"])]
        no_limits: bool,
    },
    /// Replace an API key by a new one with the same settings; it is printed once
    #[command(
        after_help = "Examples:\n  roadstead keys rotate ci\n  roadstead keys rotate ci --grace 24h      the old one works for a day more"
    )]
    Rotate {
        /// Its id or name
        #[arg(value_name = "ID|NAME")]
        key: String,
        /// How long the old one works as well, at most 7d
        #[arg(long, value_name = "DURATION")]
        grace: Option<Span>,
    },
    /// Show what an API key was used for, a line a day
    #[command(
        after_help = "Examples:\n  roadstead keys usage ci\n  roadstead keys usage ci --days 7\n  roadstead keys usage ci --detail --limit 50"
    )]
    Usage {
        /// Its id or name
        #[arg(value_name = "ID|NAME")]
        key: String,
        /// So many days up to today
        #[arg(long, default_value_t = 31, value_parser = clap::value_parser!(u32).range(1..=366))]
        days: u32,
        /// Requests instead of days, newest first
        #[arg(long)]
        detail: bool,
        /// Requests at most
        #[arg(long, default_value_t = 100, requires = "detail")]
        limit: usize,
    },
    /// Revoke an API key at once
    #[command(after_help = "Examples:\n  roadstead keys revoke ci --reason 'no longer used'")]
    Revoke {
        /// Its id or name
        #[arg(value_name = "ID|NAME")]
        key: String,
        /// Why
        #[arg(long)]
        reason: Option<String>,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// From where and how often a key may be used.
#[derive(Debug, Args)]
pub struct Limits {
    /// A network or an address that it may be used from; several times for several
    #[arg(long, value_name = "NETWORK")]
    pub allow: Vec<String>,
    /// Requests in a minute
    #[arg(long, value_name = "COUNT")]
    pub per_minute: Option<u32>,
    /// Requests of a day, by UTC
    #[arg(long, value_name = "COUNT")]
    pub daily_limit: Option<u64>,
    /// Requests of a month, by UTC
    #[arg(long, value_name = "COUNT")]
    pub monthly_limit: Option<u64>,
}
