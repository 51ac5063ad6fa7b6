//! The commands on installed packages.

use clap::Subcommand;

/// What the help of `packages` shows.
pub const PACKAGES_EXAMPLES: &str = "\
Examples:
  roadstead packages                       what is installed, who needs it, and what would go
  roadstead packages clean                 only looks
  roadstead packages clean --yes
  roadstead packages clean --all-unused --yes

By itself, what nothing has needed for the days of the setting packages.keep_unused_days goes every day at 02:00 UTC.";

/// `packages …`.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum PackagesCommand {
    /// List installed packages: their size, who needs them, and why they stay
    #[command(after_help = "Examples:\n  roadstead packages list\n  roadstead packages list --json")]
    List,
    /// Remove packages that nothing needs; without --yes only look
    #[command(after_help = "\
Examples:
  roadstead packages clean
  roadstead packages clean --yes
  roadstead packages clean --all-unused --yes

What a type names, what an instance was launched with and what is in use this moment always stays.")]
    Clean {
        /// Tell what would go, and remove nothing
        #[arg(long, conflicts_with = "yes")]
        dry_run: bool,
        /// Also what was needed not long ago: the way back to it then takes a new installation
        #[arg(long)]
        all_unused: bool,
        /// Remove it
        #[arg(long, short)]
        yes: bool,
    },
}
