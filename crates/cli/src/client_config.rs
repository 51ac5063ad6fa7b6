//! The configuration that makes an MCP client use an instance: each client's own format, with the URL and the token.

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use crate::globals::is_loopback;

/// The environment variable that holds the token where a client can read one.
const VARIABLE: &str = "ROADSTEAD_TOKEN";
/// What stands where a client can read no variable and no token was given.
const PLACEHOLDER: &str = "PASTE_THE_ACCESS_TOKEN_HERE";
/// The question by which VS Code asks for the token.
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

    /// The file that takes the configuration.
    pub const fn path_hint(self) -> &'static str {
        match self {
            Self::ClaudeDesktop => "claude_desktop_config.json (Settings, Developer, Edit Config)",
            Self::ClaudeCode => ".mcp.json in the project's folder",
            Self::Vscode => ".vscode/mcp.json in the workspace",
            Self::Cursor => "~/.cursor/mcp.json, or .cursor/mcp.json in the project's folder",
            Self::Windsurf => "~/.codeium/windsurf/mcp_config.json",
            Self::GeminiCli => "~/.gemini/settings.json, or .gemini/settings.json in the project's folder",
            Self::Codex => "~/.codex/config.toml",
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

    /// How a bearer header is written when the token is not known.
    fn open_bearer(self) -> String {
        match self {
            Self::ClaudeDesktop => format!("Bearer {PLACEHOLDER}"),
            Self::Vscode => format!("Bearer ${{input:{INPUT}}}"),
            Self::Cursor | Self::Windsurf => format!("Bearer ${{env:{VARIABLE}}}"),
            Self::ClaudeCode | Self::GeminiCli | Self::Codex | Self::Generic => {
                format!("Bearer ${{{VARIABLE}}}")
            }
        }
    }

    /// How the token gets in when the configuration does not hold it.
    fn token_advice(self) -> String {
        match self {
            Self::ClaudeDesktop => format!("replace {PLACEHOLDER} by the access token"),
            Self::Vscode => "the client asks for the access token when it starts the server".to_owned(),
            Self::Generic => format!(
                "set the environment variable {VARIABLE} to the access token, or write it in where the client reads none"
            ),
            _ => format!(
                "set the environment variable {VARIABLE} to the access token before the client starts"
            ),
        }
    }
}

/// A client's configuration for one instance.
#[derive(Debug)]
pub struct Configuration {
    /// What goes into the client's file.
    pub content: String,
    /// What to do about the token, when the content does not hold it.
    pub advice: Option<String>,
}

/// Writes a client's configuration for an access URL.
pub fn configuration(client: Client, name: &str, url: &str, token: Option<&SecretString>) -> Configuration {
    let bearer = match token {
        Some(token) => format!("Bearer {}", token.expose_secret()),
        None => client.open_bearer(),
    };
    let content = match client {
        Client::Codex => codex(name, url, token.map(|_| bearer.as_str())),
        Client::ClaudeDesktop => pretty(&servers("mcpServers", name, remote(url, &bearer))),
        Client::ClaudeCode => pretty(&servers("mcpServers", name, typed(url, &bearer))),
        Client::Vscode => pretty(&vscode(name, url, &bearer, token.is_none())),
        Client::Windsurf => pretty(&servers("mcpServers", name, headed("serverUrl", url, &bearer))),
        Client::GeminiCli => pretty(&servers("mcpServers", name, headed("httpUrl", url, &bearer))),
        Client::Cursor | Client::Generic => pretty(&servers("mcpServers", name, headed("url", url, &bearer))),
    };
    Configuration { content, advice: token.is_none().then(|| client.token_advice()) }
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

fn servers(key: &str, name: &str, server: Value) -> Value {
    let named = Map::from_iter([(name.to_owned(), server)]);
    Value::Object(Map::from_iter([(key.to_owned(), Value::Object(named))]))
}

fn headed(key: &str, url: &str, bearer: &str) -> Value {
    json!({ key: url, "headers": { "Authorization": bearer } })
}

fn typed(url: &str, bearer: &str) -> Value {
    json!({ "type": "http", "url": url, "headers": { "Authorization": bearer } })
}

fn vscode(name: &str, url: &str, bearer: &str, ask: bool) -> Value {
    let mut whole = servers("servers", name, typed(url, bearer));
    if ask {
        whole["inputs"] = json!([{
            "type": "promptString",
            "id": INPUT,
            "description": format!("Access token of {name}"),
            "password": true,
        }]);
    }
    whole
}

/// The program in between takes the header from a variable, because a space in an argument is lost on some systems.
fn remote(url: &str, bearer: &str) -> Value {
    let mut args = vec!["-y", "mcp-remote", url, "--header", "Authorization:${AUTH_HEADER}"];
    let unprotected = |url: &reqwest::Url| url.scheme() == "http" && !is_loopback(url);
    if reqwest::Url::parse(url).is_ok_and(|url| unprotected(&url)) {
        args.push("--allow-http");
    }
    json!({ "command": "npx", "args": args, "env": { "AUTH_HEADER": bearer } })
}

fn codex(name: &str, url: &str, bearer: Option<&str>) -> String {
    let mut server = toml::Table::new();
    server.insert("url".to_owned(), url.into());
    if let Some(bearer) = bearer {
        let header = toml::Table::from_iter([("Authorization".to_owned(), bearer.into())]);
        server.insert("http_headers".to_owned(), header.into());
    } else {
        server.insert("bearer_token_env_var".to_owned(), VARIABLE.into());
    }
    let named = toml::Table::from_iter([(name.to_owned(), server.into())]);
    let whole = toml::Table::from_iter([("mcp_servers".to_owned(), toml::Value::from(named))]);
    whole.to_string().trim_end().to_owned()
}

fn pretty(value: &Value) -> String {
    format!("{value:#}")
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    const URL: &str = "http://127.0.0.1:8700/i/0199/mcp";

    fn document(client: Client, token: Option<&str>) -> Value {
        let token = token.map(SecretString::from);
        let content = configuration(client, "work", URL, token.as_ref()).content;
        match client.format() {
            "toml" => toml::from_str(&content).unwrap(),
            _ => serde_json::from_str(&content).unwrap(),
        }
    }

    #[test]
    fn the_words_are_those_of_the_command_line() {
        for client in Client::value_variants() {
            assert_eq!(client.to_possible_value().unwrap().get_name(), client.word());
        }
    }

    #[test]
    fn every_configuration_holds_the_url_and_a_given_token() {
        for client in Client::value_variants() {
            let text = document(*client, Some("rsi_canary")).to_string();
            assert!(text.contains(URL) && text.contains("Bearer rsi_canary"), "{client:?}: {text}");
            assert!(!text.contains(VARIABLE) && !text.contains(INPUT), "{client:?}: {text}");
        }
    }

    #[test]
    fn without_a_token_each_client_gets_it_in_its_own_way() {
        let header = |client: Client, path: &str| document(client, None).pointer(path).unwrap().clone();
        let in_header = "/mcpServers/work/headers/Authorization";
        assert_eq!(header(Client::ClaudeCode, in_header), "Bearer ${ROADSTEAD_TOKEN}");
        assert_eq!(header(Client::GeminiCli, in_header), "Bearer ${ROADSTEAD_TOKEN}");
        assert_eq!(header(Client::Cursor, in_header), "Bearer ${env:ROADSTEAD_TOKEN}");
        assert_eq!(header(Client::Windsurf, in_header), "Bearer ${env:ROADSTEAD_TOKEN}");
        assert_eq!(
            header(Client::Vscode, "/servers/work/headers/Authorization"),
            "Bearer ${input:roadstead-token}"
        );
        assert_eq!(header(Client::Vscode, "/inputs/0/id"), "roadstead-token");
        assert_eq!(header(Client::Codex, "/mcp_servers/work/bearer_token_env_var"), "ROADSTEAD_TOKEN");
        for client in Client::value_variants() {
            assert!(configuration(*client, "work", URL, None).advice.is_some(), "{client:?}");
        }
    }

    #[test]
    fn the_url_stands_where_each_client_looks() {
        for (client, path) in [
            (Client::ClaudeDesktop, "/mcpServers/work/args/2"),
            (Client::ClaudeCode, "/mcpServers/work/url"),
            (Client::Vscode, "/servers/work/url"),
            (Client::Cursor, "/mcpServers/work/url"),
            (Client::Windsurf, "/mcpServers/work/serverUrl"),
            (Client::GeminiCli, "/mcpServers/work/httpUrl"),
            (Client::Codex, "/mcp_servers/work/url"),
            (Client::Generic, "/mcpServers/work/url"),
        ] {
            assert_eq!(document(client, None).pointer(path).unwrap(), URL, "{client:?}");
        }
        assert_eq!(document(Client::ClaudeCode, None)["mcpServers"]["work"]["type"], "http");
    }

    #[test]
    fn a_plain_address_of_another_machine_needs_permission_of_the_program_in_between() {
        let content = |url| configuration(Client::ClaudeDesktop, "w", url, None).content;
        assert!(!content(URL).contains("--allow-http"));
        assert!(!content("https://host/i/1/mcp").contains("--allow-http"));
        assert!(content("http://host/i/1/mcp").contains("--allow-http"));
    }

    #[test]
    fn names_are_made_such_that_every_client_takes_them() {
        assert_eq!(server_name("my server, größe"), "my-server--gr--e");
        assert_eq!(server_name("日本"), "roadstead");
        assert_eq!(server_name("work_1-a"), "work_1-a");
    }
}
