//! What `roadstead db` can be told to do.

use clap::Subcommand;

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
}
