//! The commands that use an instance as an MCP client does.

use clap::Args;

use super::{JsonObject, KeyValue, Span};
use crate::client_config::Client;

pub(super) const CLIENT_CONFIG_EXAMPLES: &str = "\
Examples:
  roadstead client-config work
  roadstead client-config work --client vscode > .vscode/mcp.json
  roadstead rotate-token work --json | jq -r .access_token | roadstead client-config work --client cursor --token-stdin

Without --token-stdin the configuration refers to the environment variable ROADSTEAD_TOKEN where the client can read
one, and says what to fill in where it cannot.";

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
pub struct ClientConfig {
    /// The instance: its id, the beginning of its id, or its name
    #[arg(value_name = "ID")]
    pub instance: String,
    /// The MCP client
    #[arg(long, value_enum, default_value_t = Client::Generic)]
    pub client: Client,
    /// Read the access token from standard input and write it into the configuration
    #[arg(long)]
    pub token_stdin: bool,
    /// The name that the client shows [default: the instance's name]
    #[arg(long)]
    pub server_name: Option<String>,
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
