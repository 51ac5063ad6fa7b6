//! What the command line may say: the commands over the REST API, with their help.

pub mod admin;
pub mod audit;
pub mod keys;
pub mod many;
pub mod packages;
pub mod people;
pub mod retention;
pub mod review;
pub mod settings;
pub mod usage;
pub mod use_it;

use clap::{Args, Subcommand};
use clap_complete::Shell;
use roadstead_model::{LogLevel, LogSource};

pub use crate::arguments::{JsonObject, KeyValue, Since, Span};
use admin::{CredentialsCommand, MasterKeyCommand, TypesCommand};
use keys::KeysCommand;
use many::{Bulk, LogsCommand, Patch, Sort, Which};
use packages::PackagesCommand;
use people::{AccountCommand, Members, OrgsCommand, ProjectsCommand, UsersCommand};
use retention::RetentionCommand;
use settings::SettingsCommand;
use usage::Usage;
use use_it::{Call, ClientConfig, Tools};

/// The commands over the REST API.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum ClientCommand {
    /// Launch an instance of a server type and print its URL and access token
    #[command(after_help = LAUNCH_EXAMPLES)]
    Launch(Launch),
    /// List instances: those that live, or all
    #[command(visible_alias = "list", after_help = PS_EXAMPLES)]
    Ps(Ps),
    /// Show one instance
    #[command(after_help = "Examples:\n  roadstead show work\n  roadstead show 0199 --json")]
    Show(One),
    /// Show what an instance's server said, and what was said about it
    #[command(after_help = LOGS_EXAMPLES)]
    Logs(Logs),
    /// Show the steps of an instance's life, or everything that happens
    #[command(after_help = audit::EVENTS_EXAMPLES)]
    Events(audit::Events),
    /// Show who changed what or was refused, export it, and verify that nobody has altered it
    #[command(after_help = audit::AUDIT_EXAMPLES)]
    Audit {
        /// What to do; without it, list
        #[command(subcommand)]
        command: Option<audit::AuditCommand>,
    },
    /// Show what instances take: processor, memory, processes, files
    #[command(after_help = STATS_EXAMPLES)]
    Stats(Stats),
    /// Show what calls cost: how many, how they ended, how long, how big
    #[command(after_help = usage::USAGE_EXAMPLES)]
    Usage(Usage),
    /// Ask instances to leave; their rows and logs stay
    #[command(after_help = "Examples:\n  roadstead stop work\n  roadstead stop work 0199")]
    Stop(Several),
    /// Change what an instance is called, or how its next start is configured
    #[command(after_help = many::PATCH_EXAMPLES)]
    Patch(Patch),
    /// Stop, expire or delete many instances: first what it would do, with --yes done
    #[command(after_help = many::BULK_EXAMPLES)]
    Bulk(Bulk),
    /// Move an instance's deadline on
    #[command(after_help = EXTEND_EXAMPLES)]
    Extend(Extend),
    /// End the processes of running instances and start them afresh; URL, token and deadline stay
    #[command(after_help = RESTART_EXAMPLES)]
    Restart(Again),
    /// Start instances again that were lost, stopped or failed; URL, token and deadline stay
    #[command(after_help = RESTORE_EXAMPLES)]
    Restore(Again),
    /// Start instances again whose time was up, with a new deadline; URL and token stay
    #[command(after_help = RENEW_EXAMPLES)]
    Renew(Renew),
    /// End instances now, as their deadline would
    #[command(after_help = "Examples:\n  roadstead expire work")]
    Expire(Several),
    /// Stop instances and remove them from the lists
    #[command(
        visible_alias = "rm",
        after_help = "Examples:\n  roadstead delete work\n  roadstead rm --yes work 0199"
    )]
    Delete(Delete),
    /// Replace an instance's access token; the old one ends at once
    #[command(
        after_help = "Examples:\n  roadstead rotate-token work\n  roadstead rotate-token work --json | jq -r .access_token"
    )]
    RotateToken(One),
    /// Take an instance's access token back; nothing opens it until rotate-token makes another
    #[command(
        after_help = "Examples:\n  roadstead revoke-token work\n  roadstead revoke-token work --json | jq -r .generation"
    )]
    RevokeToken(One),
    /// List, show, create and disable server types
    #[command(after_help = TYPES_EXAMPLES)]
    Types {
        /// What to do; without it, list
        #[command(subcommand)]
        command: Option<TypesCommand>,
    },
    /// List, add, replace, try out and delete credentials: the secrets that servers get
    #[command(visible_alias = "creds", after_help = CREDENTIALS_EXAMPLES)]
    Credentials {
        /// What to do; without it, list
        #[command(subcommand)]
        command: Option<CredentialsCommand>,
    },
    /// List, create, suspend and delete users (administrators)
    #[command(
        after_help = "Examples:\n  roadstead users\n  roadstead users create ada@example.org --name Ada"
    )]
    Users {
        /// What to do; without it, list
        #[command(subcommand)]
        command: Option<UsersCommand>,
    },
    /// List, make, leave and delete organisations
    #[command(visible_alias = "organizations", after_help = people::ORGS_EXAMPLES)]
    Orgs {
        /// What to do; without it, list
        #[command(subcommand)]
        command: Option<OrgsCommand>,
    },
    /// List, invite, change and remove members of an organisation, and accept invitations
    #[command(after_help = people::MEMBERS_EXAMPLES)]
    Members(Members),
    /// List, make, pause and archive projects
    #[command(after_help = people::PROJECTS_EXAMPLES)]
    Projects {
        /// What to do; without it, list
        #[command(subcommand)]
        command: Option<ProjectsCommand>,
    },
    /// Show, change, export and delete your own account
    #[command(after_help = people::ACCOUNT_EXAMPLES)]
    Account {
        /// What to do; without it, show
        #[command(subcommand)]
        command: Option<AccountCommand>,
    },
    /// List, create, change, replace and revoke API keys, and show what they were used for
    #[command(after_help = KEYS_EXAMPLES)]
    Keys {
        /// What to do; without it, list
        #[command(subcommand)]
        command: Option<KeysCommand>,
    },
    /// List and change settings, and show who changed them (administrators)
    #[command(
        after_help = "Examples:\n  roadstead settings\n  roadstead settings set launches.enabled false --reason 'maintenance'\n  roadstead settings history launches.enabled"
    )]
    Settings {
        /// What to do; without it, list
        #[command(subcommand)]
        command: Option<SettingsCommand>,
    },
    /// List installed packages, and remove those that nothing needs (administrators)
    #[command(after_help = packages::PACKAGES_EXAMPLES)]
    Packages {
        /// What to do; without it, list
        #[command(subcommand)]
        command: Option<PackagesCommand>,
    },
    /// Show and change what is kept for how long, and remove what is old (administrators)
    #[command(after_help = retention::RETENTION_EXAMPLES)]
    Retention {
        /// What to do; without it, list
        #[command(subcommand)]
        command: Option<RetentionCommand>,
    },
    /// Show, rotate and retire the master key, which seals all secrets at rest (administrators)
    #[command(after_help = MASTER_KEY_EXAMPLES)]
    MasterKey {
        /// What to do; without it, status
        #[command(subcommand)]
        command: Option<MasterKeyCommand>,
    },
    /// Print the configuration that makes an MCP client use an instance
    #[command(after_help = use_it::CLIENT_CONFIG_EXAMPLES)]
    ClientConfig(ClientConfig),
    /// List the tools of an instance, as an MCP client
    #[command(after_help = use_it::TOOLS_EXAMPLES)]
    Tools(Tools),
    /// Call a tool of an instance, as an MCP client
    #[command(after_help = use_it::CALL_EXAMPLES)]
    Call(Call),
    /// Print a shell's completion script
    #[command(
        after_help = "Examples:\n  roadstead completion bash > ~/.local/share/bash-completion/completions/roadstead\n  roadstead completion zsh > \"${fpath[1]}/_roadstead\""
    )]
    Completion {
        /// The shell
        shell: Shell,
    },
}

const LAUNCH_EXAMPLES: &str = "\
Examples:
  roadstead launch echo
  roadstead launch github --name work --credential my-github --expires-in 8h
  roadstead launch echo --expires-in 30m --keep       lives on while it is used
  roadstead launch echo --expires-in 7d --autostart   comes back after a reboot
  roadstead launch filesystem --config root=/srv/files --config read_only=true
  roadstead launch github --secret token < token.txt
  TOKEN=$(roadstead launch echo --json | jq -r .access_token)

The access token is printed once; `roadstead rotate-token` makes another.";

const PS_EXAMPLES: &str = "\
Examples:
  roadstead ps
  roadstead ps --all --type github
  roadstead ps --status expired,error --sort ends
  roadstead ps --all --named work --since 24h
  roadstead ps --status expired --json | jq -r '.[].id'";

const LOGS_EXAMPLES: &str = "\
Examples:
  roadstead logs work
  roadstead logs work -f
  roadstead logs work --level warn --since 1h
  roadstead logs work --tail 20 --json
  roadstead logs search 'connection refused' --since 24h
  roadstead logs export work --format csv --to work.csv";

const EXTEND_EXAMPLES: &str = "\
Examples:
  roadstead extend work 30m              30 minutes more than it has
  roadstead extend work 2h --from-now    2 hours from now, whatever it has";

const RESTART_EXAMPLES: &str = "\
Examples:
  roadstead restart work
  roadstead restart work 0199 --no-wait

Clients notice that their session is gone and initialise again.";

const RESTORE_EXAMPLES: &str = "\
Examples:
  roadstead restore work
  roadstead restore 0199 --json | jq -r '.[].access_url'
  roadstead ps --status disconnected --json | jq -r '.[].id' | xargs roadstead restore";

const RENEW_EXAMPLES: &str = "\
Examples:
  roadstead renew work
  roadstead renew work --expires-in 8h";

const TYPES_EXAMPLES: &str = "\
Examples:
  roadstead types
  roadstead types show github
  roadstead types create my-server.toml
  roadstead types disable my-server";

const CREDENTIALS_EXAMPLES: &str = "\
Examples:
  roadstead credentials
  roadstead credentials add github --name my-github
  pass show github | roadstead credentials add github --name my-github
  roadstead credentials add gmail --name mine --from-stdin service_account < key.json
  roadstead credentials add github --name short --expires-in 90d
  roadstead credentials replace my-github           restarts the instances that hold it
  roadstead credentials validate my-github
  roadstead credentials usage my-github
  roadstead credentials delete my-github

Secrets are read from a prompt without echo or from standard input, never from an argument.";

const KEYS_EXAMPLES: &str = "\
Examples:
  roadstead keys
  roadstead keys create ci --scope instances:launch --scope instances:read --expires-in 30d
  roadstead keys usage ci
  roadstead keys rotate ci --grace 24h
  roadstead keys revoke ci --reason 'left the machine room'";

const MASTER_KEY_EXAMPLES: &str = "\
Examples:
  roadstead master-key
  roadstead master-key rotate
  roadstead master-key retire 0a1b2c3d

Back up the key file before and after a rotation: what it seals opens with no other.";

/// One instance.
#[derive(Debug, Args)]
pub struct One {
    /// The instance: its id, the beginning of its id, or its name
    #[arg(value_name = "ID")]
    pub instance: String,
}

/// Several instances.
#[derive(Debug, Args)]
pub struct Several {
    /// The instances: ids, beginnings of ids, or names
    #[arg(value_name = "ID", required = true)]
    pub instances: Vec<String>,
}

const STATS_EXAMPLES: &str = "\
Examples:
  roadstead stats
  roadstead stats work -w
  roadstead stats --json | jq 'map(.pss_bytes) | add'

The service looks every ten seconds. What it cannot know is empty, null in JSON, with a note.";

/// `stats`.
#[derive(Debug, Args)]
pub struct Stats {
    /// Only these: ids, beginnings of ids, or names; all that live otherwise
    #[arg(value_name = "ID")]
    pub instances: Vec<String>,
    /// Show it again and again, until Ctrl-C
    #[arg(long, short)]
    pub watch: bool,
}

/// `launch`.
#[derive(Debug, Args)]
pub struct Launch {
    /// The server type's name (`roadstead types` lists them)
    #[arg(value_name = "TYPE")]
    pub server_type: String,
    /// A name to call the instance by
    #[arg(long)]
    pub name: Option<String>,
    /// The stored credential to use: its id or name
    #[arg(long, value_name = "ID|NAME", conflicts_with = "secret")]
    pub credential: Option<String>,
    /// Give a secret for this launch only: it is asked for, or read from standard input, one line for each
    #[arg(long, value_name = "SLOT")]
    pub secret: Vec<String>,
    /// A configuration value; JSON where it reads as JSON, else text
    #[arg(long, value_name = "KEY=VALUE")]
    pub config: Vec<KeyValue>,
    /// The configuration as one JSON object; --config is laid over it
    #[arg(long, value_name = "JSON")]
    pub config_json: Option<JsonObject>,
    /// How long it may live: 90s, 15m, 1h, 7d
    #[arg(long, value_name = "DURATION")]
    pub expires_in: Option<Span>,
    /// End it after so long without a request; at most what its type allows
    #[arg(long, value_name = "DURATION")]
    pub idle_limit: Option<Span>,
    /// Each use moves the deadline on, as far as the type allows
    #[arg(long)]
    pub keep: bool,
    /// Start it again by itself after a reboot of the machine, if it has time left
    #[arg(long)]
    pub autostart: bool,
    /// Do not wait until the server is ready
    #[arg(long)]
    pub no_wait: bool,
}

/// `ps`.
#[derive(Debug, Args)]
pub struct Ps {
    /// Those that have ended, too
    #[arg(long, short)]
    pub all: bool,
    /// Which
    #[command(flatten)]
    pub which: Which,
    /// What they are sorted by
    #[arg(long, value_enum)]
    pub sort: Option<Sort>,
}

/// `logs`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Logs {
    /// What else to do with lines; without it, show those of one instance
    #[command(subcommand)]
    pub command: Option<LogsCommand>,
    /// The instance: its id, the beginning of its id, or its name
    #[arg(value_name = "ID", required = true)]
    pub instance: Option<String>,
    /// Go on as lines arrive
    #[arg(long, short)]
    pub follow: bool,
    /// At least this level: debug, info, warn, error
    #[arg(long)]
    pub level: Option<LogLevel>,
    /// Only what this one said: process, system, api
    #[arg(long)]
    pub source: Option<LogSource>,
    /// Only lines after this moment, or from this long ago on: 10m, 2026-01-31T12:00:00Z
    #[arg(long, value_name = "WHEN")]
    pub since: Option<Since>,
    /// Only lines that contain this text
    #[arg(long, value_name = "TEXT")]
    pub grep: Option<String>,
    /// The last N lines [default: 100, or all with --since]
    #[arg(long, short = 'n', value_name = "N")]
    pub tail: Option<usize>,
}

/// `extend`.
#[derive(Debug, Args)]
pub struct Extend {
    /// The instance: its id, the beginning of its id, or its name
    #[arg(value_name = "ID")]
    pub instance: String,
    /// How much longer: 90s, 15m, 1h, 7d
    pub duration: Span,
    /// Count from now instead of from the present deadline
    #[arg(long)]
    pub from_now: bool,
}

/// `restart` and `restore`.
#[derive(Debug, Args)]
pub struct Again {
    /// The instances: ids, beginnings of ids, or names
    #[arg(value_name = "ID", required = true)]
    pub instances: Vec<String>,
    /// Do not wait until the server is ready
    #[arg(long)]
    pub no_wait: bool,
}

/// `renew`.
#[derive(Debug, Args)]
pub struct Renew {
    /// The instances: ids, beginnings of ids, or names
    #[arg(value_name = "ID", required = true)]
    pub instances: Vec<String>,
    /// How long they may live from now on: 90s, 15m, 1h, 7d
    #[arg(long, value_name = "DURATION")]
    pub expires_in: Option<Span>,
    /// Do not wait until the server is ready
    #[arg(long)]
    pub no_wait: bool,
}

/// `delete`.
#[derive(Debug, Args)]
pub struct Delete {
    /// The instances: ids, beginnings of ids, or names
    #[arg(value_name = "ID", required = true)]
    pub instances: Vec<String>,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::globals::GlobalArgs;

    #[derive(Debug, Parser)]
    #[command(name = "roadstead")]
    struct Program {
        #[command(flatten)]
        global: GlobalArgs,
        #[command(subcommand)]
        command: ClientCommand,
    }

    fn parse(line: &str) -> Result<Program, clap::Error> {
        Program::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_description_is_sound() {
        Program::command().debug_assert();
    }

    #[test]
    fn no_argument_of_a_command_is_taken_for_a_global_one() {
        fn check(command: &clap::Command, global: &[String]) {
            for argument in command.get_arguments().filter(|argument| !argument.is_global_set()) {
                let id = argument.get_id().to_string();
                assert!(!global.contains(&id), "{} {id}", command.get_name());
            }
            command.get_subcommands().for_each(|inner| check(inner, global));
        }
        let program = Program::command();
        let global: Vec<String> = program.get_arguments().map(|one| one.get_id().to_string()).collect();
        program.get_subcommands().for_each(|command| check(command, &global));
    }

    #[test]
    fn every_command_has_examples() {
        for command in Program::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Examples:\n  "), "{}", command.get_name());
        }
    }

    #[test]
    fn a_launch_is_read_whole() {
        let line = "roadstead launch fs --name w --credential c --config root=/srv --config n=3 \
                    --config-json {\"n\":2} --expires-in 90m --keep --autostart --no-wait --json";
        let program = parse(line).unwrap();
        let ClientCommand::Launch(launch) = program.command else { panic!("not a launch") };
        assert!(program.global.json);
        assert!(launch.no_wait && launch.keep && launch.autostart);
        assert_eq!(launch.expires_in.unwrap().text(), "90m");
        assert_eq!(launch.config.len(), 2);
        assert_eq!(launch.config_json.unwrap().0["n"], 2);
    }

    #[test]
    fn bad_durations_levels_and_statuses_are_refused() {
        for line in [
            "roadstead extend x -5m",
            "roadstead extend x 0s",
            "roadstead launch echo --expires-in soon",
            "roadstead logs x --level loud",
            "roadstead ps --status sleeping",
            "roadstead stop",
            "roadstead keys create ci --scope everything",
            "roadstead logs",
            "roadstead bulk dance work",
            "roadstead ps --sort colour",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn there_is_no_argument_that_takes_a_secret() {
        for line in [
            "roadstead launch echo --secret token=canary --secret-value canary",
            "roadstead credentials add echo --name n --value canary",
            "roadstead credentials add echo --name n canary",
            "roadstead call x echo --token canary",
            "roadstead --api-key canary ps",
            "roadstead client-config x --token canary",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn aliases_and_bare_groups_work() {
        assert!(matches!(parse("roadstead rm x --yes").unwrap().command, ClientCommand::Delete(_)));
        let logs = parse("roadstead logs work -f").unwrap().command;
        assert!(matches!(logs, ClientCommand::Logs(Logs { command: None, follow: true, .. })));
        let search = parse("roadstead logs search text").unwrap().command;
        assert!(matches!(search, ClientCommand::Logs(Logs { command: Some(LogsCommand::Search(_)), .. })));
        let types = parse("roadstead types").unwrap().command;
        assert!(matches!(types, ClientCommand::Types { command: None }));
    }
}
