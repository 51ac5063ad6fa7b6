//! The configuration that makes an MCP client use an instance: each client's own format, with the URL and the token.
//!
//! ```text
//! Entry ─ what a client is told of one server
//!   merge ─ laid into the text of the client's file, or into nothing, to be printed
//!   place ─ where that file is
//!   file  ─ read with suspicion, backed up, replaced whole
//! ```
//! What others wrote into the file stays as it is: their entries, their comments, their order.

pub mod file;
pub mod merge;
pub mod place;

use jsonc_parser::cst::CstInputValue as Json;
use secrecy::{ExposeSecret, SecretString};

use crate::globals::is_loopback;

/// What a variable that holds a token begins with.
const VARIABLE: &str = "ROADSTEAD_TOKEN";
/// What stands where a client can read no variable and no token was given.
const PLACEHOLDER: &str = "PASTE_THE_ACCESS_TOKEN_HERE";
/// What the question begins with by which VS Code asks for a token.
const INPUT: &str = "roadstead-token";

/// An MCP client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[non_exhaustive]
pub enum Client {
    /// Claude Desktop, through mcp-remote
    ClaudeDesktop,
    /// Claude Code
    ClaudeCode,
    /// Visual Studio Code
    Vscode,
    /// Cursor
    Cursor,
    /// Windsurf
    Windsurf,
    /// Gemini CLI
    GeminiCli,
    /// Codex
    Codex,
    /// Any client that reads mcpServers with url and headers
    Generic,
}

impl Client {
    /// The word for it on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::ClaudeDesktop => "claude-desktop",
            Self::ClaudeCode => "claude-code",
            Self::Vscode => "vscode",
            Self::Cursor => "cursor",
            Self::Windsurf => "windsurf",
            Self::GeminiCli => "gemini-cli",
            Self::Codex => "codex",
            Self::Generic => "generic",
        }
    }

    /// The file that takes the configuration, for a person to find.
    pub const fn path_hint(self) -> &'static str {
        match self {
            Self::ClaudeDesktop => "claude_desktop_config.json (Settings, Developer, Edit Config)",
            Self::ClaudeCode => "~/.claude.json, or .mcp.json in the project's folder",
            Self::Vscode => {
                "mcp.json of the user (MCP: Open User Configuration), or .vscode/mcp.json in the workspace"
            }
            Self::Cursor => "~/.cursor/mcp.json, or .cursor/mcp.json in the project's folder",
            Self::Windsurf => "~/.codeium/windsurf/mcp_config.json",
            Self::GeminiCli => "~/.gemini/settings.json, or .gemini/settings.json in the project's folder",
            Self::Codex => "~/.codex/config.toml, or .codex/config.toml in a trusted project's folder",
            Self::Generic => "the client's own configuration",
        }
    }

    /// The language of the configuration.
    pub const fn format(self) -> &'static str {
        match self {
            Self::Codex => "toml",
            _ => "json",
        }
    }

    /// Under which word the servers stand.
    const fn servers(self) -> &'static str {
        match self {
            Self::Vscode => "servers",
            Self::Codex => "mcp_servers",
            _ => "mcpServers",
        }
    }
}

/// How a client comes to the access token.
#[derive(Debug, Clone, Copy)]
pub enum Token<'a> {
    /// It stands in the configuration.
    Given(&'a SecretString),
    /// The client takes it from this variable of its environment, asks for it, or has it pasted in: whatever it can.
    Variable(&'a str),
}

/// What a client is told of one server.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Who is told.
    pub client: Client,
    /// What the client calls the server.
    pub name: &'a str,
    /// The access URL.
    pub url: &'a str,
    /// How it comes to the token.
    pub token: Token<'a>,
}

impl Entry<'_> {
    /// What to do about the token, when the configuration does not hold it.
    pub fn advice(&self) -> Option<String> {
        let Token::Variable(variable) = self.token else { return None };
        Some(match self.client {
            Client::ClaudeDesktop => format!("replace {PLACEHOLDER} by the access token"),
            Client::Vscode => "the client asks for the access token when it starts the server".to_owned(),
            Client::Generic => format!(
                "set the environment variable {variable} to the access token, or write it in where the client reads none"
            ),
            _ => format!(
                "set the environment variable {variable} to the access token before the client starts"
            ),
        })
    }

    /// The header that shows the token, or says where it comes from.
    fn bearer(&self) -> String {
        let source = match (self.token, self.client) {
            (Token::Given(token), _) => token.expose_secret().to_owned(),
            (Token::Variable(_), Client::ClaudeDesktop) => PLACEHOLDER.to_owned(),
            (Token::Variable(_), Client::Vscode) => format!("${{input:{}}}", self.input_id()),
            (Token::Variable(variable), Client::Cursor | Client::Windsurf) => format!("${{env:{variable}}}"),
            (Token::Variable(variable), _) => format!("${{{variable}}}"),
        };
        format!("Bearer {source}")
    }

    /// The fields of the entry, in the order in which people write them; for clients that read JSON.
    fn fields(&self) -> Vec<(String, Json)> {
        let headers = ("headers", object([("Authorization", self.bearer().into())]));
        let url = Json::from(self.url);
        let fields: Vec<(&str, Json)> = match self.client {
            Client::ClaudeDesktop => vec![
                ("command", "npx".into()),
                ("args", Json::Array(self.remote().into_iter().map(Json::from).collect())),
                ("env", object([("AUTH_HEADER", self.bearer().into())])),
            ],
            Client::ClaudeCode | Client::Vscode => vec![("type", "http".into()), ("url", url), headers],
            Client::Windsurf => vec![("serverUrl", url), headers],
            Client::GeminiCli => vec![("httpUrl", url), headers],
            Client::Cursor | Client::Codex | Client::Generic => vec![("url", url), headers],
        };
        fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// The arguments of the program in between, which takes the header from a variable: an argument is read by every user of
    /// the machine, and a space in one is lost on some systems.
    fn remote(&self) -> Vec<&str> {
        let mut args = vec!["-y", "mcp-remote", self.url, "--header", "Authorization:${AUTH_HEADER}"];
        let unprotected = |url: &reqwest::Url| url.scheme() == "http" && !is_loopback(url);
        if reqwest::Url::parse(self.url).is_ok_and(|url| unprotected(&url)) {
            args.push("--allow-http");
        }
        args
    }

    /// The question that VS Code asks: one for each server, since each has a token of its own.
    fn input(&self) -> Option<(String, Json)> {
        let asks = self.client == Client::Vscode && matches!(self.token, Token::Variable(_));
        asks.then(|| {
            let question = object([
                ("type", "promptString".into()),
                ("id", self.input_id().into()),
                ("description", format!("Access token of {}", self.name).into()),
                ("password", true.into()),
            ]);
            (self.input_id(), question)
        })
    }

    fn input_id(&self) -> String {
        format!("{INPUT}-{}", self.name)
    }

    /// What every access URL of the same service begins with.
    fn service(&self) -> &str {
        self.url.rfind("/i/").map_or(self.url, |at| &self.url[..at + "/i/".len()])
    }
}

fn object<const N: usize>(fields: [(&str, Json); N]) -> Json {
    Json::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// A name that every client takes: letters, digits, hyphens and underscores.
pub fn server_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '-' };
    let name: String = name.chars().map(plain).collect();
    match name.trim_matches('-') {
        "" => "roadstead".to_owned(),
        name => name.to_owned(),
    }
}

/// The variable for the token of a server: each has its own, since a client may use several.
pub fn variable_name(server: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("{VARIABLE}_{}", server.chars().map(plain).collect::<String>())
}

#[cfg(test)]
mod tests;
