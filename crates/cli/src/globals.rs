//! What holds for every command: which service, which key, how to print.

use std::net::IpAddr;
use std::path::PathBuf;

use reqwest::Url;
use secrecy::SecretString;

use crate::client_config::place::Homes;
use crate::failure::CliError;
use crate::profile::{Profile, ProfileError};

/// Where a service listens when nothing says otherwise.
pub const DEFAULT_URL: &str = "http://127.0.0.1:8700";

/// The options that every command takes.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct GlobalArgs {
    /// Profile file with the service's URL and the API key [default: profile.json in the data folder]
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "ROADSTEAD_PROFILE",
        help_heading = "Global options"
    )]
    pub profile: Option<PathBuf>,

    /// Base URL of the service, instead of the profile's (the key is read from ROADSTEAD_API_KEY or the profile)
    #[arg(long, global = true, value_name = "URL", env = "ROADSTEAD_URL", help_heading = "Global options")]
    pub url: Option<String>,

    /// Print JSON on standard output; messages and errors go to standard error
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
}

/// What the program found around it and passes on, since nothing here reads the environment.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Where the profile is unless the command line says otherwise.
    pub default_profile: PathBuf,
    /// `ROADSTEAD_API_KEY`.
    pub api_key: Option<SecretString>,
    /// `ROADSTEAD_TOKEN`: the access token for `call` and `tools`.
    pub token: Option<SecretString>,
    /// The user's folders, for the files of MCP clients.
    pub homes: Homes,
    /// `NO_COLOR` is set and not empty.
    pub no_color: bool,
    /// The whole command line's description, for shell completion.
    pub command: fn() -> clap::Command,
}

/// Everything that a command needs to know besides its own arguments.
#[derive(Debug, Clone)]
pub struct Globals {
    /// The profile file.
    pub profile: PathBuf,
    /// The service's URL, instead of the profile's.
    pub url: Option<String>,
    /// The API key, instead of the profile's.
    pub api_key: Option<SecretString>,
    /// The access token for `call` and `tools`.
    pub token: Option<SecretString>,
    /// Machine output on standard output.
    pub json: bool,
    /// The user's folders, for the files of MCP clients.
    pub homes: Homes,
    /// Never any colour.
    pub no_color: bool,
    /// The whole command line's description, for shell completion.
    pub command: fn() -> clap::Command,
}

impl Globals {
    /// Joins what was typed with what was found.
    pub fn new(args: GlobalArgs, around: Surroundings) -> Self {
        Self {
            profile: args.profile.unwrap_or(around.default_profile),
            url: args.url,
            api_key: around.api_key,
            token: around.token,
            json: args.json,
            homes: around.homes,
            no_color: around.no_color,
            command: around.command,
        }
    }

    /// Which service to ask with which key. The profile's key is only shown to the profile's own service.
    pub(crate) fn target(&self) -> Result<Target, CliError> {
        let named = self.url.as_deref().map(service_url).transpose()?;
        if let (Some(url), Some(key)) = (&named, &self.api_key) {
            return Ok(Target { url: url.clone(), key: key.clone() });
        }
        let profile = match Profile::read(&self.profile) {
            Ok(profile) => profile,
            Err(ProfileError::Missing { .. }) if self.api_key.is_some() => Profile {
                url: DEFAULT_URL.to_owned(),
                api_key: self.api_key.clone().unwrap_or_default(),
                data_dir: None,
            },
            Err(error) => return Err(error.into()),
        };
        let known = service_url(&profile.url)?;
        match (named, &self.api_key) {
            (Some(url), None) if !same_service(&url, &known) => {
                Err(CliError::ForeignService { asked: url.to_string(), known: known.to_string() })
            }
            (named, key) => {
                Ok(Target { url: named.unwrap_or(known), key: key.clone().unwrap_or(profile.api_key) })
            }
        }
    }
}

/// A service and the key to show it.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) url: Url,
    pub(crate) key: SecretString,
}

impl Target {
    /// The service that a profile names.
    pub(crate) fn of(profile: &Profile) -> Result<Self, CliError> {
        Ok(Self { url: service_url(&profile.url)?, key: profile.api_key.clone() })
    }
}

fn service_url(text: &str) -> Result<Url, CliError> {
    let bad = || CliError::BadUrl { url: text.to_owned() };
    let url = Url::parse(text).map_err(|_| bad())?;
    let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    if matches!(url.scheme(), "http" | "https") && url.has_host() && plain { Ok(url) } else { Err(bad()) }
}

/// Whether an address never leaves this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn same_service(one: &Url, other: &Url) -> bool {
    let same_host = one.host_str() == other.host_str() || (is_loopback(one) && is_loopback(other));
    same_host
        && one.port_or_known_default() == other.port_or_known_default()
        && one.scheme() == other.scheme()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn globals(profile: PathBuf, url: Option<&str>, key: Option<&str>) -> Globals {
        let around = Surroundings {
            default_profile: profile,
            api_key: key.map(SecretString::from),
            token: None,
            homes: Homes::default(),
            no_color: true,
            command: || clap::Command::new("roadstead"),
        };
        Globals::new(GlobalArgs { url: url.map(str::to_owned), ..GlobalArgs::default() }, around)
    }

    fn written() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profile.json");
        let profile =
            Profile { url: "http://127.0.0.1:8700".into(), api_key: "rs_canary".into(), data_dir: None };
        profile.write(&path).unwrap();
        (folder, path)
    }

    #[test]
    fn the_profile_names_the_service_and_the_key() {
        let (_folder, path) = written();
        let target = globals(path, None, None).target().unwrap();
        assert_eq!(target.url.as_str(), "http://127.0.0.1:8700/");
        assert_eq!(target.key.expose_secret(), "rs_canary");
    }

    #[test]
    fn the_profiles_key_is_not_sent_to_another_service() {
        let (_folder, path) = written();
        for url in ["https://elsewhere.example", "http://127.0.0.1:8701", "https://127.0.0.1:8700"] {
            let refused = globals(path.clone(), Some(url), None).target();
            assert!(matches!(refused, Err(CliError::ForeignService { .. })), "{url}");
        }
        assert!(globals(path.clone(), Some("http://localhost:8700"), None).target().is_ok());
        assert!(globals(path, Some("https://elsewhere.example"), Some("rs_other")).target().is_ok());
    }

    #[test]
    fn a_key_without_a_profile_asks_the_default_service() {
        let folder = tempfile::tempdir().unwrap();
        let target = globals(folder.path().join("none"), None, Some("rs_other")).target().unwrap();
        assert_eq!(target.url.as_str(), "http://127.0.0.1:8700/");
        assert_eq!(target.key.expose_secret(), "rs_other");
    }

    #[test]
    fn a_url_that_is_none_is_refused() {
        for url in ["8700", "ftp://x", "http://user:secret@x", "http://x/?key=1", "unix:/tmp/x"] {
            assert!(matches!(service_url(url), Err(CliError::BadUrl { .. })), "{url}");
        }
    }

    #[test]
    fn no_key_is_in_debug() {
        let shown = format!("{:?}", globals("none".into(), None, Some("rs_canary")));
        assert!(!shown.contains("canary"));
    }
}
