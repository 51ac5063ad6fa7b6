//! The commands that decide about server types, and ask their servers what they offer.

use clap::{Args, Subcommand, ValueEnum};

use crate::arguments::KeyValue;

/// What was decided about a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Status {
    /// Somebody works at it
    Draft,
    /// It waits for an approval
    Pending,
    /// It may be launched
    Approved,
    /// An administrator said no
    Rejected,
    /// It was approved, and is launched no more
    Deprecated,
}

/// How much harm a tool can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Risk {
    /// Nothing that would have to be undone
    Low,
    /// What can be undone
    Medium,
    /// What others see, or is hard to undo
    High,
    /// What must never happen by mistake
    Critical,
}

/// `types …`, as far as it is about approval.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum ReviewCommand {
    /// Show what a type's servers offer: tools, resources and prompts, without starting one
    #[command(
        after_help = "Examples:\n  roadstead types tools github\n  roadstead types tools github --json"
    )]
    Tools {
        /// The type's name or id
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Start a server, ask it what it offers, end it, and keep the answer (administrators)
    #[command(after_help = "\
Examples:
  roadstead types inspect time
  roadstead types inspect github --credential my-github
  roadstead types inspect notes --config root=/srv/notes

What is suspicious is told, and how the tools differ from those that were approved.")]
    Inspect(InspectType),
    /// Approve a type: it may be launched, and its tools are taken for the right ones (administrators)
    #[command(
        after_help = "Examples:\n  roadstead types approve time\n  roadstead types approve notes --reason 'read its source' --accept-findings"
    )]
    Approve {
        /// The type's name or id
        #[arg(value_name = "NAME")]
        name: String,
        /// Why, for the history
        #[arg(long)]
        reason: Option<String>,
        /// The findings were looked at, and are no reason against it
        #[arg(long)]
        accept_findings: bool,
    },
    /// Reject a type that waits for its approval (administrators)
    #[command(
        after_help = "Examples:\n  roadstead types reject notes --reason 'reads the whole home folder'"
    )]
    Reject {
        /// The type's name or id
        #[arg(value_name = "NAME")]
        name: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Ask for a type's approval (administrators)
    #[command(after_help = "Examples:\n  roadstead types submit notes")]
    Submit {
        /// The type's name or id
        #[arg(value_name = "NAME")]
        name: String,
        /// Why, for the history
        #[arg(long)]
        reason: Option<String>,
    },
    /// List what was decided about a type: who, when and why
    #[command(after_help = "Examples:\n  roadstead types history github")]
    History {
        /// The type's name or id
        #[arg(value_name = "NAME")]
        name: String,
        /// At most so many
        #[arg(long, default_value_t = 50, value_name = "N")]
        limit: usize,
    },
    /// Say how much harm a tool can do (administrators)
    #[command(
        after_help = "Examples:\n  roadstead types risk github delete_file high --notes 'commits to the default branch'"
    )]
    Risk {
        /// The type's name or id
        #[arg(value_name = "NAME")]
        name: String,
        /// The tool's name
        #[arg(value_name = "TOOL")]
        tool: String,
        /// How much
        #[arg(value_name = "LEVEL")]
        level: Risk,
        /// What else there is to say
        #[arg(long)]
        notes: Option<String>,
    },
    /// Hide a tool from all clients, and refuse its calls (administrators)
    #[command(after_help = "Instances that run keep what they began with until they are restarted.\n\n\
        Examples:\n  roadstead types disable-tool github delete_file")]
    DisableTool {
        /// The type's name or id
        #[arg(value_name = "NAME")]
        name: String,
        /// The tool's name
        #[arg(value_name = "TOOL")]
        tool: String,
    },
    /// Show a tool to clients again (administrators)
    #[command(after_help = "Examples:\n  roadstead types enable-tool github delete_file")]
    EnableTool {
        /// The type's name or id
        #[arg(value_name = "NAME")]
        name: String,
        /// The tool's name
        #[arg(value_name = "TOOL")]
        tool: String,
    },
}

/// What to ask a type's server with.
#[derive(Debug, Args)]
pub struct InspectType {
    /// The type's name or id
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The stored credential to use: its id or name
    #[arg(long, value_name = "ID|NAME", conflicts_with = "secret")]
    pub credential: Option<String>,
    /// Give a secret for this once: it is asked for, or read from standard input, one line for each
    #[arg(long, value_name = "SLOT")]
    pub secret: Vec<String>,
    /// A configuration value; JSON where it reads as JSON, else text
    #[arg(long, value_name = "KEY=VALUE")]
    pub config: Vec<KeyValue>,
}
