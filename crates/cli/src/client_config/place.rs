//! Where clients keep their configuration: a file of the user, and for some a file of a project.

use std::path::{Path, PathBuf};

use super::Client;

/// The user's folders, as the program found them.
#[derive(Debug, Clone, Default)]
pub struct Homes {
    /// The home folder.
    pub home: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`, if it is set.
    pub config: Option<PathBuf>,
    /// `CODEX_HOME`, if it is set.
    pub codex: Option<PathBuf>,
    /// `CLAUDE_CONFIG_DIR`, if it is set.
    pub claude: Option<PathBuf>,
}

/// A kind of system, as far as it decides where programs keep their files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// Linux and its kin.
    Linux,
    /// macOS.
    MacOs,
}

impl System {
    /// The one that this program was made for.
    pub const fn here() -> Self {
        if cfg!(target_os = "macos") { Self::MacOs } else { Self::Linux }
    }
}

impl Client {
    /// The user's own file; none where it cannot be known.
    pub fn user_file(self, homes: &Homes, system: System) -> Option<PathBuf> {
        let home = homes.home.as_deref();
        let below = |folder: Option<&Path>, path: &str| folder.map(|folder| folder.join(path));
        match self {
            Self::ClaudeDesktop => below(data(homes, system).as_deref(), "Claude/claude_desktop_config.json"),
            Self::ClaudeCode => below(homes.claude.as_deref().or(home), ".claude.json"),
            Self::Vscode => below(data(homes, system).as_deref(), "Code/User/mcp.json"),
            Self::Cursor => below(home, ".cursor/mcp.json"),
            Self::Windsurf => below(home, ".codeium/windsurf/mcp_config.json"),
            Self::GeminiCli => below(home, ".gemini/settings.json"),
            Self::Codex => match &homes.codex {
                Some(folder) => Some(folder.join("config.toml")),
                None => below(home, ".codex/config.toml"),
            },
            Self::Generic => None,
        }
    }

    /// The file of a project, from the project's folder; none where a client has none.
    pub const fn project_file(self) -> Option<&'static str> {
        match self {
            Self::ClaudeCode => Some(".mcp.json"),
            Self::Vscode => Some(".vscode/mcp.json"),
            Self::Cursor => Some(".cursor/mcp.json"),
            Self::GeminiCli => Some(".gemini/settings.json"),
            Self::Codex => Some(".codex/config.toml"),
            Self::ClaudeDesktop | Self::Windsurf | Self::Generic => None,
        }
    }
}

/// Where programs made with Electron keep what is a user's.
fn data(homes: &Homes, system: System) -> Option<PathBuf> {
    let home = homes.home.as_ref();
    match system {
        System::MacOs => home.map(|home| home.join("Library/Application Support")),
        System::Linux => homes.config.clone().or_else(|| home.map(|home| home.join(".config"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(client: Client, homes: &Homes, system: System) -> String {
        client.user_file(homes, system).unwrap().display().to_string()
    }

    #[test]
    fn each_client_has_its_file_on_each_system() {
        let homes = Homes { home: Some("/h".into()), ..Homes::default() };
        for (client, linux, mac) in [
            (
                Client::ClaudeDesktop,
                "/h/.config/Claude/claude_desktop_config.json",
                "/h/Library/Application Support/Claude/claude_desktop_config.json",
            ),
            (Client::ClaudeCode, "/h/.claude.json", "/h/.claude.json"),
            (
                Client::Vscode,
                "/h/.config/Code/User/mcp.json",
                "/h/Library/Application Support/Code/User/mcp.json",
            ),
            (Client::Cursor, "/h/.cursor/mcp.json", "/h/.cursor/mcp.json"),
            (
                Client::Windsurf,
                "/h/.codeium/windsurf/mcp_config.json",
                "/h/.codeium/windsurf/mcp_config.json",
            ),
            (Client::GeminiCli, "/h/.gemini/settings.json", "/h/.gemini/settings.json"),
            (Client::Codex, "/h/.codex/config.toml", "/h/.codex/config.toml"),
        ] {
            assert_eq!(shown(client, &homes, System::Linux), linux);
            assert_eq!(shown(client, &homes, System::MacOs), mac);
        }
        assert_eq!(Client::Generic.user_file(&homes, System::Linux), None);
    }

    #[test]
    fn what_the_environment_says_counts() {
        let homes = Homes {
            home: Some("/h".into()),
            config: Some("/c".into()),
            codex: Some("/x".into()),
            claude: Some("/a".into()),
        };
        assert_eq!(shown(Client::Vscode, &homes, System::Linux), "/c/Code/User/mcp.json");
        assert_eq!(shown(Client::Codex, &homes, System::Linux), "/x/config.toml");
        assert_eq!(shown(Client::ClaudeCode, &homes, System::Linux), "/a/.claude.json");
        assert_eq!(Client::Cursor.user_file(&Homes::default(), System::Linux), None);
    }
}
