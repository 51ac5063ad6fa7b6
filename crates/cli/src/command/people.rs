//! The commands on users, organisations, members, projects and one's own account.

use clap::{Args, Subcommand};
use roadstead_model::{ProjectStatus, Role, TypeStatus};

/// `users …`.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum UsersCommand {
    /// List users (administrators)
    #[command(
        after_help = "Examples:\n  roadstead users list\n  roadstead users list --search ada\n  roadstead users list --deleted --json"
    )]
    List {
        /// Only with words of the name or the address that begin so
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        /// Those that wait to be erased, instead
        #[arg(long)]
        deleted: bool,
    },
    /// Create a user (administrators)
    #[command(
        after_help = "Examples:\n  roadstead users create ada@example.org --name 'Ada Lovelace'\n  roadstead users create root@example.org --name Root --admin"
    )]
    Create {
        /// The user's address
        email: String,
        /// The user's name
        #[arg(long)]
        name: String,
        /// May administer the platform
        #[arg(long)]
        admin: bool,
    },
    /// Show a user (administrators)
    #[command(after_help = "Examples:\n  roadstead users show ada@example.org")]
    Show(OneUser),
    /// Suspend a user: their keys open nothing until they are reinstated (administrators)
    #[command(
        after_help = "Examples:\n  roadstead users suspend ada@example.org --reason 'left the project' --stop-instances"
    )]
    Suspend {
        /// Whom
        #[command(flatten)]
        user: OneUser,
        /// Why
        #[arg(long)]
        reason: Option<String>,
        /// End what runs, too
        #[arg(long)]
        stop_instances: bool,
    },
    /// Let a user act again who was suspended, deleted or invited (administrators)
    #[command(after_help = "Examples:\n  roadstead users reinstate ada@example.org")]
    Reinstate(OneUser),
    /// Delete a user: ended at once, erased days later (administrators)
    #[command(visible_alias = "rm", after_help = "Examples:\n  roadstead users delete ada@example.org --yes")]
    Delete {
        /// Whom
        #[command(flatten)]
        user: OneUser,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// A user.
#[derive(Debug, Args)]
pub struct OneUser {
    /// The user's id, address or name
    #[arg(value_name = "USER")]
    pub user: String,
}

/// `orgs …`.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum OrgsCommand {
    /// List organisations
    #[command(after_help = "Examples:\n  roadstead orgs list\n  roadstead orgs list --json | jq -r '.[].id'")]
    List,
    /// Show an organisation
    #[command(after_help = "Examples:\n  roadstead orgs show engines")]
    Show(OneOrg),
    /// Make an organisation, which you own
    #[command(
        after_help = "Examples:\n  roadstead orgs create 'Analytical Engines'\n  roadstead orgs create Engines --slug engines"
    )]
    Create {
        /// Its name
        name: String,
        /// A short name for programs; made of the name without
        #[arg(long)]
        slug: Option<String>,
    },
    /// Leave an organisation; what runs for you there ends
    #[command(after_help = "Examples:\n  roadstead orgs leave engines --yes")]
    Leave {
        /// Which
        #[command(flatten)]
        org: OneOrg,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Suspend an organisation: no key that acts in it opens anything (administrators)
    #[command(after_help = "Examples:\n  roadstead orgs suspend engines")]
    Suspend(OneOrg),
    /// Let an organisation act again (administrators)
    #[command(after_help = "Examples:\n  roadstead orgs reinstate engines")]
    Reinstate(OneOrg),
    /// Delete an organisation; what runs in it ends
    #[command(visible_alias = "rm", after_help = "Examples:\n  roadstead orgs delete engines --yes")]
    Delete {
        /// Which
        #[command(flatten)]
        org: OneOrg,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// An organisation.
#[derive(Debug, Args)]
pub struct OneOrg {
    /// The organisation: its id, the beginning of its id, its name or its short name
    #[arg(value_name = "ORG")]
    pub org: String,
}

/// `members …`.
#[derive(Debug, Args)]
pub struct Members {
    /// The organisation; the one that the key acts in otherwise
    #[arg(long, value_name = "ORG", global = true)]
    pub org: Option<String>,
    /// What to do; without it, list
    #[command(subcommand)]
    pub command: Option<MembersCommand>,
}

/// What is done with members.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum MembersCommand {
    /// List members, and who is invited
    #[command(after_help = "Examples:\n  roadstead members list\n  roadstead members list --org engines")]
    List,
    /// Invite somebody; the token is printed once, and no mail is sent
    #[command(
        after_help = "Examples:\n  roadstead members invite ada@example.org --role admin\n  roadstead members invite ada@example.org --json | jq -r .token"
    )]
    Invite {
        /// Their address
        email: String,
        /// What they are to be: owner, admin, member or viewer
        #[arg(long, default_value = "member")]
        role: Role,
    },
    /// Accept an invitation; its token is asked for, or read from standard input
    #[command(after_help = "Examples:\n  roadstead members accept\n  roadstead members accept < token.txt")]
    Accept,
    /// Give a member another role
    #[command(after_help = "Examples:\n  roadstead members role ada@example.org admin")]
    Role {
        /// Whom
        #[command(flatten)]
        user: OneUser,
        /// owner, admin, member or viewer
        role: Role,
    },
    /// Suspend a member of the organisation
    #[command(after_help = "Examples:\n  roadstead members suspend ada@example.org")]
    Suspend(OneUser),
    /// Let a member take part again
    #[command(after_help = "Examples:\n  roadstead members reinstate ada@example.org")]
    Reinstate(OneUser),
    /// Remove a member, or withdraw an invitation; what runs for them in the organisation ends
    #[command(
        visible_alias = "rm",
        after_help = "Examples:\n  roadstead members remove ada@example.org --yes"
    )]
    Remove {
        /// Whom
        #[command(flatten)]
        user: OneUser,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// `projects …`.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum ProjectsCommand {
    /// List projects of the organisation that the key acts in
    #[command(after_help = "Examples:\n  roadstead projects list")]
    List,
    /// Make a project
    #[command(after_help = "Examples:\n  roadstead projects create Weather --description 'Forecasts'")]
    Create {
        /// Its name
        name: String,
        /// A short name for programs; made of the name without
        #[arg(long)]
        slug: Option<String>,
        /// What it is for
        #[arg(long)]
        description: Option<String>,
    },
    /// Pause a project (nothing new is started), archive it (it is only looked at) or make it active again
    #[command(
        after_help = "Examples:\n  roadstead projects set weather paused\n  roadstead projects set weather active"
    )]
    Set {
        /// The project: its id, the beginning of its id, its name or its short name
        #[arg(value_name = "PROJECT")]
        project: String,
        /// active, paused or archived
        status: ProjectStatus,
    },
    /// Define a server elsewhere for a project; one of a member's waits until an owner or admin approves it
    #[command(
        after_help = "A header's value may hold ${credential.SLOT}; each such slot becomes a secret that users give.\n\n\
        Examples:\n  roadstead projects add-type weather notes https://mcp.example.com/mcp\n  \
        roadstead projects add-type weather notes https://mcp.example.com/mcp --header 'Authorization=Bearer ${credential.token}'"
    )]
    AddType {
        /// The project: its id, the beginning of its id, its name or its short name
        #[arg(value_name = "PROJECT")]
        project: String,
        /// What to call the type: small letters, digits and hyphens
        #[arg(value_name = "NAME")]
        name: String,
        /// Where the server answers
        // Another name than that of the option for the service's own.
        #[arg(value_name = "URL")]
        address: String,
        /// It speaks HTTP with SSE as in 2024-11-05
        #[arg(long)]
        sse: bool,
        /// What every request carries, as NAME=VALUE; may be given several times
        #[arg(long = "header", value_name = "NAME=VALUE")]
        headers: Vec<String>,
        /// What people read; the name without
        #[arg(long)]
        display_name: Option<String>,
    },
    /// Approve, reject or end a project's type without a program (owners and admins)
    #[command(after_help = "Examples:\n  roadstead projects decide-type weather notes approved\n  \
        roadstead projects decide-type weather notes rejected --reason 'not ours'")]
    DecideType {
        /// The project: its id, the beginning of its id, its name or its short name
        #[arg(value_name = "PROJECT")]
        project: String,
        /// The type's name or id
        #[arg(value_name = "TYPE")]
        named: String,
        /// approved, rejected, deprecated, or pending to submit it
        status: TypeStatus,
        /// Why
        #[arg(long)]
        reason: Option<String>,
    },
}

/// `account …`.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum AccountCommand {
    /// Show who you are, what your key permits, and where you take part
    #[command(
        after_help = "Examples:\n  roadstead account show\n  roadstead account show --json | jq .memberships"
    )]
    Show,
    /// Change your account
    #[command(
        after_help = "Examples:\n  roadstead account change --name 'Ada Lovelace' --timezone Europe/London"
    )]
    Change {
        /// What to call you
        #[arg(long)]
        name: Option<String>,
        /// An IANA time zone
        #[arg(long)]
        timezone: Option<String>,
        /// A language, such as en-US
        #[arg(long)]
        locale: Option<String>,
    },
    /// Print everything that is kept of you, as JSON lines; no secret is in it
    #[command(after_help = "Examples:\n  roadstead account export > account.jsonl")]
    Export,
    /// Delete your account: keys and instances end at once, and all of it is erased days later
    #[command(after_help = "Examples:\n  roadstead account delete --yes")]
    Delete {
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// Examples of `orgs`.
pub const ORGS_EXAMPLES: &str = "\
Examples:
  roadstead orgs
  roadstead orgs create 'Analytical Engines'
  roadstead orgs show engines";

/// Examples of `members`.
pub const MEMBERS_EXAMPLES: &str = "\
Examples:
  roadstead members
  roadstead members invite ada@example.org --role admin
  roadstead members accept
  roadstead members role ada@example.org viewer --org engines";

/// Examples of `projects`.
pub const PROJECTS_EXAMPLES: &str = "\
Examples:
  roadstead projects
  roadstead projects create Weather
  roadstead projects set weather paused";

/// Examples of `account`.
pub const ACCOUNT_EXAMPLES: &str = "\
Examples:
  roadstead account
  roadstead account change --timezone Europe/London
  roadstead account export > account.jsonl";
