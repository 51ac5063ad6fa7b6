//! `roadstead-github`: an MCP server for GitHub, on stdin and stdout.
//!
//! Tools come in groups (`tools/`), each over what GitHub answers, cut down to what a model has use for (`shapes/`).
//! What all servers of REST services share is in `roadstead-server-kit`.

mod advice;
mod arguments;
mod server;
mod shapes;
mod tools;

use std::process::ExitCode;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Parser};
use roadstead_server_kit::{Auth, BaseUrl, Client, Limits, Plain, StartError, environment, run};

use crate::server::Github;
use crate::tools::Toolset;

const TOKEN: &str = "GITHUB_TOKEN";

/// An MCP server for GitHub. The token comes in the environment: GITHUB_TOKEN, or GITHUB_TOKEN_FILE for the path of a
/// file that holds it.
#[derive(Debug, Parser)]
#[command(name = "roadstead-github", version, max_term_width = 100)]
struct Flags {
    /// Where the REST API is; https://HOST/api/v3 for GitHub Enterprise Server.
    #[arg(long, value_name = "URL", env = "GITHUB_API_URL", default_value = "https://api.github.com")]
    api_url: String,

    /// Whether that may be an address without TLS on another machine. The token can then be read on the way.
    #[arg(long, env = "GITHUB_ALLOW_HTTP", default_value = "false", default_missing_value = "true",
          num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_parser = BoolishValueParser::new())]
    allow_http: bool,

    /// Offer only tools that change nothing.
    #[arg(long, env = "GITHUB_READ_ONLY", default_value = "false", default_missing_value = "true",
          num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_parser = BoolishValueParser::new())]
    read_only: bool,

    /// The groups of tools that are offered, separated by commas.
    #[arg(
        long,
        value_name = "GROUPS",
        env = "GITHUB_TOOLSETS",
        value_delimiter = ',',
        default_value = "all"
    )]
    toolsets: Vec<Toolset>,

    /// How many seconds GitHub may take for one answer.
    #[arg(long, value_name = "SECONDS", env = "GITHUB_REQUEST_TIMEOUT_S", default_value_t = 45,
          value_parser = clap::value_parser!(u64).range(1..=600))]
    request_timeout_s: u64,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    run("roadstead-github", start(&flags))
}

fn start(flags: &Flags) -> Result<Github, StartError> {
    let plain = if flags.allow_http { Plain::Allowed } else { Plain::LoopbackOnly };
    let base = BaseUrl::parse(&flags.api_url, plain)?;
    let token = environment::secret(TOKEN)?.ok_or(StartError::Missing { name: TOKEN })?;
    let attempt = Duration::from_secs(flags.request_timeout_s);
    let usual = Limits::default();
    let client = Client::builder("GitHub", base)
        .auth(Auth::bearer(&token)?)
        .header("accept", "application/vnd.github+json")
        .header("x-github-api-version", "2022-11-28")
        .user_agent(concat!("roadstead-github/", env!("CARGO_PKG_VERSION")))
        .limits(Limits { attempt, whole: usual.whole.max(attempt * 2), ..usual })
        .explain(advice::explain)
        .build()?;
    Ok(Github::new(client, &flags.toolsets, flags.read_only))
}
