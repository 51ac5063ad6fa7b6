//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use roadstead_cli::{ClientCommand, GlobalArgs};

use crate::config::{LogArgs, ServiceArgs};
use crate::db::DbCommand;

/// What is said below the list of commands.
const AFTER: &str = "\
Examples:
  roadstead quickstart                 Start everything, launch a server, call one of its tools
  roadstead up                         Start everything; Ctrl-C ends it all
  roadstead up -d                      The same in the background
  roadstead launch echo --expires-in 1h
  roadstead ps

Exit codes: 0 done, 1 failed, 64 wrong usage, 66 not found, 69 service unavailable, 77 not permitted, 78 wrong configuration";

/// Runs MCP servers for people: each as a confined process of its own, behind an access URL, until its deadline.
#[derive(Debug, Parser)]
#[command(name = "roadstead", version, after_help = AFTER, arg_required_else_help = true)]
pub struct Cli {
    /// Data folder [default: /var/lib/roadstead as root, else ~/.local/share/roadstead]
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "ROADSTEAD_DATA_DIR",
        help_heading = "Global options"
    )]
    pub data_dir: Option<PathBuf>,

    /// What holds for every command.
    #[command(flatten)]
    pub globals: GlobalArgs,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start everything, launch a bundled server, call one of its tools, and stay until Ctrl-C
    #[command(
        after_help = "Example:\n  roadstead quickstart\n\nBeside a running `roadstead up`, it uses that one."
    )]
    Quickstart(ServiceArgs),

    /// Start the service with a database of its own; Ctrl-C ends instances and database
    #[command(
        after_help = "Examples:\n  roadstead up\n  roadstead up -d\n  roadstead up --listen 127.0.0.1:9000"
    )]
    Up {
        /// In the background; `roadstead down` ends it
        #[arg(short, long)]
        detach: bool,
        /// How to serve.
        #[command(flatten)]
        service: ServiceArgs,
    },

    /// Run the service for a service manager: SIGTERM leaves instances and database running
    #[command(after_help = "Examples:
  DATABASE_URL=postgres://… ROADSTEAD_BOOTSTRAP_KEY_FILE=/run/keys/first roadstead serve
  roadstead serve --replace    Upgrade without a service manager: no caller is refused")]
    Serve {
        /// Take the place of the service that runs in this data folder: it stops, and hands its listening socket over
        #[arg(long)]
        replace: bool,
        /// How to serve.
        #[command(flatten)]
        service: ServiceArgs,
    },

    /// Run the reaper in a process of its own: it ends what is past its deadline, whether the service runs or not
    #[command(
        after_help = "Examples:\n  roadstead serve --no-reaper &\n  roadstead reaper\n\nOne process reaps on a machine; others wait until it ends. SIGTERM ends it. It needs no master key."
    )]
    Reaper(LogArgs),

    /// Stop the service of this data folder
    #[command(
        after_help = "Examples:\n  roadstead down               Instances and database go on\n  roadstead down --instances   Everything ends"
    )]
    Down {
        /// End instances and the private database as well
        #[arg(long)]
        instances: bool,
    },

    /// Show what runs in this data folder
    #[command(after_help = "Example:\n  roadstead status --json")]
    Status,

    /// Stop everything and delete the data folder with all that is in it
    #[command(after_help = "Example:\n  roadstead reset --yes")]
    Reset {
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },

    /// Try what the service relies on, and say what is missing, what is lost by it, and what to do
    #[command(
        after_help = "Examples:\n  roadstead doctor\n  roadstead doctor --json | jq '.[] | select(.verdict != \"ok\")'\n\nEnds with 1 when something is broken; warnings are no failure. Needs no service."
    )]
    Doctor,

    /// Look after the database: migrations, sizes, locks, backups
    #[command(subcommand)]
    Db(DbCommand),

    /// Everything that is done through the REST API.
    #[command(flatten)]
    Client(ClientCommand),
}
