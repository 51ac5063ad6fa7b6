//! The commands that use an instance as an MCP client does.

use std::path::PathBuf;

use clap::Args;

use super::{JsonObject, KeyValue, Span};
use crate::client_config::{Client, server_name};

pub(super) const CLIENT_CONFIG_EXAMPLES: &str = "\
Examples:
  roadstead client-config work
  roadstead client-config work --client claude-code --write
  roadstead client-config work --client vscode --write --project
  roadstead client-config work --client cursor --write --rotate-token
  roadstead client-config work --client codex --write --file ./config.toml --dry-run

Without --write the configuration is printed. With it, it is laid into the client's own file, beside what is there: the
user's file, that of the project in the current folder with --project, or the one that --file names. The old file is kept
beside the new one.

Without --token-stdin or --rotate-token the configuration holds no token: it refers to an environment variable, or the
client asks, or it says what to fill in.";

pub(super) const TOOLS_EXAMPLES: &str = "\
Examples:
  ROADSTEAD_TOKEN=rsi_... roadstead tools work
  roadstead tools https://host/i/0199.../mcp --token-stdin < token.txt";

pub(super) const CALL_EXAMPLES: &str = "\
Examples:
  export ROADSTEAD_TOKEN=rsi_...
  roadstead call work echo --arg text=hello
  roadstead call work add --args-json '{\"a\": 2, \"b\": 3}' --json

The access token is taken from the environment variable ROADSTEAD_TOKEN, or from standard input with --token-stdin.";

/// `client-config`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "switches of a command line, each with a name of its own")]
pub struct ClientConfig {
    /// The instance: its id, the beginning of its id, or its name
    #[arg(value_name = "ID")]
    pub instance: String,
    /// The MCP client
    #[arg(long, value_enum, default_value_t = Client::Generic)]
    pub client: Client,
    /// Read the access token from standard input and write it into the configuration
    #[arg(long, conflicts_with = "rotate_token")]
    pub token_stdin: bool,
    /// Make a new access token, which ends the old one, and write it into the configuration
    #[arg(long)]
    pub rotate_token: bool,
    /// The environment variable that the client takes the token from [default: ROADSTEAD_TOKEN_ and the server's name]
    #[arg(long, value_name = "NAME", value_parser = variable, conflicts_with_all = ["token_stdin", "rotate_token"])]
    pub token_env: Option<String>,
    /// The name that the client shows [default: the instance's name]
    #[arg(long, value_name = "NAME", value_parser = shown_name)]
    pub server_name: Option<String>,
    /// Lay the configuration into the client's own file
    #[arg(long)]
    pub write: bool,
    /// Which file, instead of the user's
    #[arg(long, value_name = "PATH", requires = "write")]
    pub file: Option<PathBuf>,
    /// The file of the project in the current folder, instead of the user's
    #[arg(long, requires = "write", conflicts_with = "file")]
    pub project: bool,
    /// Take the place of another server of the same name
    #[arg(long, requires = "write")]
    pub replace: bool,
    /// Tell what would be written, and write nothing
    #[arg(long, requires = "write")]
    pub dry_run: bool,
}

fn variable(name: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if begins && name.chars().all(good) {
        Ok(name.to_owned())
    } else {
        Err("is no name of a variable".to_owned())
    }
}

fn shown_name(name: &str) -> Result<String, String> {
    if name == server_name(name) {
        Ok(name.to_owned())
    } else {
        Err("takes letters, digits, hyphens and underscores".to_owned())
    }
}

/// `tools`.
#[derive(Debug, Args)]
pub struct Tools {
    /// The instance: its id, the beginning of its id, its name, or any URL that speaks MCP
    #[arg(value_name = "ID|URL")]
    pub instance: String,
    /// Read the access token from standard input instead of ROADSTEAD_TOKEN
    #[arg(long)]
    pub token_stdin: bool,
}

/// `call`.
#[derive(Debug, Args)]
pub struct Call {
    /// The instance: its id, the beginning of its id, its name, or any URL that speaks MCP
    #[arg(value_name = "ID|URL")]
    pub instance: String,
    /// The tool's name
    pub tool: String,
    /// An argument of the tool; text where the tool asks for text, else JSON where it reads as JSON
    #[arg(long, value_name = "KEY=VALUE")]
    pub arg: Vec<KeyValue>,
    /// The arguments as one JSON object; --arg is laid over it
    #[arg(long, value_name = "JSON")]
    pub args_json: Option<JsonObject>,
    /// Read the access token from standard input instead of ROADSTEAD_TOKEN
    #[arg(long)]
    pub token_stdin: bool,
    /// How long to wait for the answer
    #[arg(long, value_name = "DURATION", default_value = "2m")]
    pub timeout: Span,
}
