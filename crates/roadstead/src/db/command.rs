//! What `roadstead db` can be told to do.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use roadstead_model::InstanceId;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Looking after the database.
#[derive(Debug, Subcommand)]
pub enum DbCommand {
    /// Bring the tables up to date, or to a version
    #[command(after_help = "Examples:\n  roadstead db migrate\n  roadstead db migrate --to 3")]
    Migrate {
        /// The last migration to apply
        #[arg(long, value_name = "N")]
        to: Option<i64>,
    },
    /// Show every migration: applied or pending, when, and whether its text is the one that was applied
    #[command(visible_alias = "status", after_help = "Example:\n  roadstead db list --json")]
    List,
    /// Write a new pair of migrations from templates; in a source tree, no database needed
    #[command(
        after_help = "Example:\n  roadstead db create add_quotas     Writes migrations/00NN_add_quotas.up.sql and .down.sql\n\nThe rules for them are in docs/migrations.md."
    )]
    Create {
        /// What it is about: small letters, digits and `_`
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Look for what is not as it should be: history, constraints, indexes, months, row security
    #[command(after_help = "Example:\n  roadstead db validate\n\nEnds with 1 when something was found.")]
    Validate,
    /// Undo migrations, the newest alone or down to a version; the service must not run
    #[command(after_help = "Examples:\n  roadstead db rollback\n  roadstead db rollback --to 6 --yes")]
    Rollback {
        /// The last migration to keep; 0 undoes all [default: all but the newest]
        #[arg(long, value_name = "N")]
        to: Option<i64>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Show how much room the database takes
    #[command(after_help = "Example:\n  roadstead db size")]
    Size,
    /// Show how much room each table takes, the largest first
    #[command(after_help = "Example:\n  roadstead db table-sizes --json | jq '.[0]'")]
    TableSizes,
    /// Show how the database is doing: memory, transactions, dead rows
    #[command(after_help = "Example:\n  roadstead db stats")]
    Stats,
    /// Count what the tables hold, for the planner
    #[command(after_help = "Example:\n  roadstead db analyze")]
    Analyze,
    /// Clear dead rows away
    #[command(
        after_help = "Examples:\n  roadstead db vacuum          While everything goes on\n  roadstead db vacuum --full   Gives the room back to the disk; nobody may use a table meanwhile"
    )]
    Vacuum {
        /// Write every table anew, without the room of dead rows
        #[arg(long)]
        full: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Show who waits for whom
    #[command(after_help = "Example:\n  roadstead db locks")]
    Locks,
    /// Remove what the retention policies say is old; only says what would go unless --yes
    #[command(after_help = "Examples:
  roadstead db cleanup                             What the daily run would remove now
  roadstead db cleanup --yes
  roadstead db cleanup --table mcp_logs --days 90 --yes
  roadstead db cleanup --instance 0199c0de-… --days 3 --yes   The old log lines of one instance")]
    Cleanup(CleanupArgs),
    /// Write everything to one file, while everything goes on
    #[command(after_help = "Examples:
  roadstead db backup                      To backups/ in the data folder
  roadstead db backup --to /mnt/nightly --verify --keep 7
  roadstead db backup --with-keys --to /media/safe/all.tar
  roadstead db backup --base --keep 7      To the archive (ROADSTEAD_ARCHIVE), for `restore --at`

Without --with-keys the master key is not in it: keep a copy of the key file elsewhere, or no credential can be opened again.")]
    Backup(BackupArgs),
    /// Bring back what a backup holds, everything or the missing rows of one table; or the database of a moment
    #[command(after_help = "Examples:
  roadstead db restore roadstead-20260101-020000.tar
  roadstead --data-dir /srv/other db restore all.tar
  roadstead db restore nightly.tar --replace --yes
  roadstead db restore nightly.tar --table credentials   Says what is missing; with --yes it is put back
  roadstead db restore --at 2026-11-21T12:00:00Z         From the archive, the database as it was then
  roadstead --data-dir /srv/new db restore --at 2026-11-21T12:00:00Z --from /mnt/wal

The service must not run, except for --table. Everything is checked before anything is changed.")]
    Restore(RestoreArgs),
}

/// What to remove.
#[derive(Debug, Clone, Args)]
pub struct CleanupArgs {
    /// Keep so many days instead of the policy's, of tables at least as many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub days: Option<u32>,
    /// Only this table
    #[arg(long, value_name = "NAME")]
    pub table: Option<String>,
    /// Only the log lines of this instance
    #[arg(long, value_name = "ID", conflicts_with = "table")]
    pub instance: Option<InstanceId>,
    /// Remove it
    #[arg(long)]
    pub yes: bool,
}

/// What to back up, and where to.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
pub struct BackupArgs {
    /// The file to write, or an existing folder to put one into [default: `backups` in the data folder]
    #[arg(long, value_name = "PATH")]
    pub to: Option<PathBuf>,
    /// Compress the whole file with gzip, instead of the database in it
    #[arg(long)]
    pub gzip: bool,
    /// Afterwards, restore it into a database that is thrown away, and count
    #[arg(long)]
    pub verify: bool,
    /// Write a base backup to the archive instead: what `restore --at` begins with
    #[arg(long, conflicts_with_all = ["to", "gzip", "verify", "with_keys"])]
    pub base: bool,
    /// Afterwards, delete all but the newest N in that folder; of bases, what only they needed of the log as well
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep: Option<u32>,
    /// Put the master key into it: whoever has the file has every credential
    #[arg(long)]
    pub with_keys: bool,
}

/// What to restore, and how.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
pub struct RestoreArgs {
    /// The backup
    #[arg(value_name = "FILE", required_unless_present = "at", conflicts_with = "at")]
    pub file: Option<PathBuf>,
    /// The database as it was at this moment, from the archive of its write-ahead log, in the place of the present one
    #[arg(long, value_name = "MOMENT", value_parser = moment, conflicts_with_all = ["table", "replace"])]
    pub at: Option<OffsetDateTime>,
    /// The archive [default: the one that this data folder has]
    #[arg(long, value_name = "DIR", requires = "at")]
    pub from: Option<PathBuf>,
    /// Keep the cluster that was there, and say where
    #[arg(long, requires = "at")]
    pub keep_old: bool,
    /// Go back to the moment even if somebody had altered the audit log by then
    #[arg(long, requires = "at")]
    pub accept_broken_audit: bool,
    /// Only the rows of this table that are missing
    #[arg(long, value_name = "NAME", conflicts_with_all = ["replace", "same_installation"])]
    pub table: Option<String>,
    /// Put it in the place of what the database holds
    #[arg(long)]
    pub replace: bool,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Be the installation that the backup was made of: only where that one runs no more
    #[arg(long)]
    pub same_installation: bool,
}

/// A moment with its offset from UTC: without one, it would be another moment on another machine.
fn moment(text: &str) -> Result<OffsetDateTime, String> {
    OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| "write it as 2026-11-21T12:00:00Z or 2026-11-21T13:00:00+01:00".to_owned())
}
