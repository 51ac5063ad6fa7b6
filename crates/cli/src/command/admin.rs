//! The commands on types, credentials and the master key.

use clap::{Args, Subcommand};

use super::Span;
use super::review::{ReviewCommand, Status};

/// `types …`.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum TypesCommand {
    /// List server types: those that may be launched, unless it is said otherwise
    #[command(
        after_help = "Examples:\n  roadstead types list\n  roadstead types list --status pending\n  roadstead types list --all --json"
    )]
    List {
        /// Of every status
        #[arg(long, conflicts_with = "status")]
        all: bool,
        /// Of this one
        #[arg(long)]
        status: Option<Status>,
    },
    /// Show a server type: its program, credential slots, configuration and limits
    #[command(after_help = "Examples:\n  roadstead types show echo")]
    Show {
        /// The type's name or id
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Create a server type from a JSON or TOML file (administrators)
    #[command(
        after_help = "Examples:\n  roadstead types create my-server.toml\n  generate-type | roadstead types create -"
    )]
    Create {
        /// A file that ends in .json or .toml, or - for JSON on standard input
        file: std::path::PathBuf,
    },
    /// Make a server type of a package or of somebody's description of a server (administrators)
    #[command(after_help = "\
Examples:
  roadstead types add npm:@modelcontextprotocol/server-everything
  roadstead types add pypi:mcp-server-time@2026.1.26 --name time
  roadstead types add npm:@modelcontextprotocol/server-memory --env 'MEMORY_FILE_PATH=${dir}/memory.jsonl'
  roadstead types add npm:@modelcontextprotocol/server-github --secret GITHUB_PERSONAL_ACCESS_TOKEN
  roadstead types add pypi:excel-mcp-server --arg streamable-http --arg --port --arg '${port}' --http 'http://127.0.0.1:${port}/mcp'
  roadstead types add cargo:some-mcp-server@1.2.3 --scripts
  roadstead types add server.json --dry-run
  roadstead types add ~/.cursor/mcp.json --server github
  roadstead types add https://registry.example.com/v0.1/servers/io.example%2Ftime/versions/latest

The package is installed once, confined, without its own scripts; launches execute its program directly.")]
    Add(Box<AddType>),
    /// List the versions of a type's package that are installed: the way to each takes no time (administrators)
    #[command(
        after_help = "Examples:\n  roadstead types versions time\n  roadstead types versions time --json"
    )]
    Versions {
        /// The type's name or id
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Change the version of a type's package: forward, or back (administrators)
    #[command(after_help = "\
Examples:
  roadstead types upgrade time
  roadstead types upgrade time --to 2026.1.26

What runs goes on with what it was launched with. A version that is still installed takes no time.")]
    Upgrade {
        /// The type's name or id
        #[arg(value_name = "NAME")]
        name: String,
        /// Exactly which version; the newest without
        #[arg(long, value_name = "VERSION")]
        to: Option<String>,
    },
    /// What is decided about types, and what their servers offer
    #[command(flatten)]
    Review(ReviewCommand),
    /// Disable a server type: no more launches, what runs goes on (administrators)
    #[command(after_help = "Examples:\n  roadstead types disable my-server")]
    Disable {
        /// The type's name or id
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// What to make a type of.
#[derive(Debug, Args)]
pub struct AddType {
    /// npm:NAME, pypi:NAME or cargo:NAME, with @VERSION; a file with a server.json or a client's mcpServers; or its address
    #[arg(value_name = "SOURCE")]
    pub source: String,
    /// What the type is called
    #[arg(long)]
    pub name: Option<String>,
    /// What people read
    #[arg(long, value_name = "TITLE")]
    pub display_name: Option<String>,
    /// Which server of the file, where it describes several
    #[arg(long, value_name = "NAME")]
    pub server: Option<String>,
    /// Which of the package's programs, where it brings several
    #[arg(long, value_name = "PROGRAM")]
    pub entry: Option<String>,
    /// What the source does not say.
    #[command(flatten)]
    pub additions: Additions,
    /// Let the packages run their own scripts at installation, confined
    #[arg(long)]
    pub scripts: bool,
    /// Say yes to what an administrator has to look at
    #[arg(long)]
    pub yes: bool,
    /// Tell what would be made, and make nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// What an administrator knows of a server beyond its description.
#[derive(Debug, Args)]
pub struct Additions {
    /// An argument for the program; may be given several times
    #[arg(long = "arg", value_name = "ARG", allow_hyphen_values = true)]
    pub args: Vec<String>,
    /// A variable for the program, as NAME=VALUE; may be given several times
    #[arg(long = "env", value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// A variable that holds a secret of each user; may be given several times
    #[arg(long = "secret", value_name = "NAME")]
    pub secrets: Vec<String>,
    /// A variable that holds the path of a file with a secret of each user; may be given several times
    #[arg(long = "secret-file", value_name = "NAME")]
    pub secret_files: Vec<String>,
    /// It speaks Streamable HTTP itself, at this address, with ${port} for its port
    #[arg(long = "http", value_name = "URL")]
    pub http: Option<String>,
    /// It speaks HTTP+SSE itself, at this address of its event stream
    #[arg(long = "sse", value_name = "URL", conflicts_with = "http")]
    pub sse: Option<String>,
    /// Let it listen on more than the loopback address, where others reach it without a token
    #[arg(long)]
    pub any_interface: bool,
}

/// `credentials …`.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum CredentialsCommand {
    /// List credentials: names and hints, never values
    #[command(after_help = "Examples:\n  roadstead credentials list")]
    List,
    /// Store a credential for a server type; its secrets are asked for, or read from standard input
    #[command(after_help = "\
Examples:
  roadstead credentials add github --name my-github
  pass show github | roadstead credentials add github --name my-github
  roadstead credentials add gmail --name mine --from-stdin service_account < key.json
  roadstead credentials add github --name short --expires-in 90d
  roadstead credentials add gmail --name mine --login

With --login you log in with your browser, if the type says how: the id and the secret of your own OAuth client are asked
for, the refresh token comes from the login.

From a pipe, one secret takes all of it; several take a line each, in the order of the type's slots.
With --from-stdin the named slot takes all of standard input, and the others are asked for on the terminal.")]
    Add {
        /// The server type's name
        #[arg(value_name = "TYPE")]
        server_type: String,
        /// A name to call the credential by
        #[arg(long)]
        name: String,
        /// The slot that takes all of standard input
        #[arg(long, value_name = "SLOT")]
        from_stdin: Option<String>,
        /// Whether it comes from a login
        #[command(flatten)]
        login: ByLogin,
        /// When it stops working
        #[command(flatten)]
        end: End,
    },
    /// Show a credential: hints, its end, and what its service said of it
    #[command(after_help = "Examples:\n  roadstead credentials show my-github")]
    Show {
        /// Its id or name
        #[arg(value_name = "ID|NAME")]
        credential: String,
    },
    /// Replace all secrets of a credential, and restart the instances that hold it
    #[command(after_help = "\
Examples:
  roadstead credentials replace my-github
  pass show github | roadstead credentials replace my-github --expires-in 90d
  roadstead credentials replace my-gmail --login

Secrets are taken as `credentials add` takes them. Instances that have ended take the new ones at their next start.")]
    Replace {
        /// Its id or name
        #[arg(value_name = "ID|NAME")]
        credential: String,
        /// The slot that takes all of standard input
        #[arg(long, value_name = "SLOT")]
        from_stdin: Option<String>,
        /// Whether they come from a login
        #[command(flatten)]
        login: ByLogin,
        /// When it stops working
        #[command(flatten)]
        end: End,
    },
    /// Change a credential's name or its end; its secrets stay, and nothing is restarted
    #[command(after_help = "\
Examples:
  roadstead credentials change my-github --rename work
  roadstead credentials change my-github --expires-in 90d
  roadstead credentials change my-github --never-expires")]
    Change {
        /// Its id or name
        #[arg(value_name = "ID|NAME")]
        credential: String,
        /// Another name
        #[arg(long, value_name = "NAME")]
        rename: Option<String>,
        /// When it stops working
        #[command(flatten)]
        end: End,
        /// It does not expire any more
        #[arg(long, conflicts_with_all = ["expires_in", "expires_at"])]
        never_expires: bool,
    },
    /// Ask the service that a credential is for whether it takes it
    #[command(after_help = "\
Examples:
  roadstead credentials validate my-github
  roadstead credentials validate my-github --json | jq -r .validation

The answer is valid, invalid or unknown. How to ask is said by the server type.")]
    Validate {
        /// Its id or name
        #[arg(value_name = "ID|NAME")]
        credential: String,
    },
    /// Show who uses a credential, and what happened to it
    #[command(
        after_help = "Examples:\n  roadstead credentials usage my-github\n  roadstead credentials usage my-github --json | jq -r '.instances[].id'"
    )]
    Usage {
        /// Its id or name
        #[arg(value_name = "ID|NAME")]
        credential: String,
    },
    /// Delete a credential
    #[command(
        visible_alias = "rm",
        after_help = "Examples:\n  roadstead credentials delete my-github\n  roadstead credentials delete my-github --force    stops the instances that hold it"
    )]
    Delete {
        /// Its id or name
        #[arg(value_name = "ID|NAME")]
        credential: String,
        /// Stop the instances that hold it
        #[arg(long)]
        force: bool,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// A login that gives a credential.
#[derive(Debug, Args)]
pub struct ByLogin {
    /// Log in with a browser, which gives the refresh token
    #[arg(long)]
    pub login: bool,
    /// Print the address of the login alone, and open no browser
    #[arg(long, requires = "login")]
    pub no_browser: bool,
    /// How long to wait for the login
    #[arg(long, value_name = "DURATION", default_value = "5m", requires = "login")]
    pub login_timeout: Span,
}

/// When a credential stops working.
#[derive(Debug, Args)]
pub struct End {
    /// It stops working so long from now: 12h, 90d
    #[arg(long, value_name = "DURATION", conflicts_with = "expires_at")]
    pub expires_in: Option<Span>,
    /// It stops working at this moment: 2030-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    pub expires_at: Option<String>,
}

/// `master-key …`.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum MasterKeyCommand {
    /// Show the master keys, what needs each, and how far a rotation is
    #[command(
        after_help = "Examples:\n  roadstead master-key status\n  roadstead master-key status --json | jq .rotation"
    )]
    Status,
    /// Make a new master key and seal everything with it, while everything goes on
    #[command(
        after_help = "Examples:\n  roadstead master-key rotate\n  roadstead master-key rotate --no-wait"
    )]
    Rotate {
        /// Do not wait until everything is sealed with the new key
        #[arg(long)]
        no_wait: bool,
    },
    /// Take a master key out of use that nothing needs any more
    #[command(after_help = "Examples:\n  roadstead master-key retire 0a1b2c3d --yes")]
    Retire {
        /// The key's id, as `master-key status` shows it
        #[arg(value_name = "ID")]
        key: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}
