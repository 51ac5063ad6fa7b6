//! Configuration: the one place that reads the environment. Read whole, with every mistake at once, before
//! anything binds or starts.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use roadstead_model::host;
use roadstead_orchestrator::Witness;
use secrecy::SecretString;

/// Where we listen unless told otherwise: this machine alone.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:8700";

/// How long calls under way may take to finish, in seconds, unless told otherwise.
pub const DEFAULT_DRAIN_S: u32 = 30;
/// The longest that may be asked for: a call takes no longer than its session's patience, an hour as it comes.
pub const LONGEST_DRAIN_S: i64 = 3600;

/// What the command line says; each option can come from the environment instead.
#[derive(Debug, Clone, clap::Args)]
pub struct ServiceArgs {
    /// Address to listen on
    #[arg(long, value_name = "ADDRESS", env = "ROADSTEAD_LISTEN", default_value = DEFAULT_LISTEN)]
    pub listen: SocketAddr,

    /// What access URLs begin with, if a proxy stands in front [default: http://ADDRESS]
    #[arg(long, value_name = "URL", env = "ROADSTEAD_PUBLIC_URL")]
    pub public_url: Option<String>,

    /// Let pages of this origin ask, such as `https://app.example.com`; may be given several times
    #[arg(
        long = "allow-origin",
        value_name = "ORIGIN",
        env = "ROADSTEAD_ALLOWED_ORIGINS",
        value_delimiter = ','
    )]
    pub allowed_origins: Vec<String>,

    /// A program of yours that looks at what a type's servers offer, beside the built-in checks (docs/registry.md)
    #[arg(long, value_name = "PROGRAM", env = "ROADSTEAD_SCANNER")]
    pub scanner: Option<PathBuf>,

    /// Do not reap: `roadstead reaper`, in a process of its own, does
    #[arg(long, env = "ROADSTEAD_NO_REAPER")]
    pub no_reaper: bool,

    /// Log filter, such as `info` or `warn,roadstead=debug` [default: info for serve, else warn]
    #[arg(long, value_name = "FILTER", env = "ROADSTEAD_LOG")]
    pub log: Option<String>,

    /// Log lines as JSON
    #[arg(long, env = "ROADSTEAD_LOG_JSON")]
    pub log_json: bool,

    /// How long calls under way may take to finish after SIGTERM
    #[arg(long, value_name = "SECONDS", env = "ROADSTEAD_DRAIN", default_value_t = DEFAULT_DRAIN_S)]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=LONGEST_DRAIN_S))]
    pub drain: u32,
}

/// What the command line says of the log to a command that serves nobody.
#[derive(Debug, Clone, clap::Args)]
pub struct LogArgs {
    /// Log filter, such as `info` or `warn,roadstead=debug` [default: info]
    #[arg(long, value_name = "FILTER", env = "ROADSTEAD_LOG")]
    pub log: Option<String>,

    /// Log lines as JSON
    #[arg(long, env = "ROADSTEAD_LOG_JSON")]
    pub log_json: bool,
}

impl From<LogArgs> for ServiceArgs {
    fn from(LogArgs { log, log_json }: LogArgs) -> Self {
        Self { log, log_json, ..Self::default() }
    }
}

impl Default for ServiceArgs {
    fn default() -> Self {
        let listen = DEFAULT_LISTEN.parse().expect("it is an address");
        let drain = DEFAULT_DRAIN_S;
        let allowed_origins = Vec::new();
        Self {
            listen,
            public_url: None,
            allowed_origins,
            scanner: None,
            no_reaper: false,
            log: None,
            log_json: false,
            drain,
        }
    }
}

/// Everything that a start needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where state is kept, if it was said.
    pub data_dir: Option<PathBuf>,
    /// Where to listen.
    pub listen: SocketAddr,
    /// What access URLs begin with; no slash at the end.
    pub public_url: Option<String>,
    /// Whose pages may ask, beside our own: scheme, host and port.
    pub allowed_origins: Vec<String>,
    /// What looks at the tools of a type, beside ourselves.
    pub scanner: Option<PathBuf>,
    /// Whether the service reaps as well, when nobody else does.
    pub reaps: bool,
    /// The log filter, if it was said.
    pub log: Option<String>,
    /// Log lines as JSON.
    pub log_json: bool,
    /// How long calls under way may take to finish when the service leaves.
    pub drain: Duration,
    /// Take the place of a service that runs.
    pub replace: bool,
    /// The names of the sockets that a service manager passed to us.
    pub listen_names: Vec<String>,
    /// Somebody else's PostgreSQL: the service's role, and the role that owns the tables.
    pub database: Option<DatabaseUrls>,
    /// The key ring, if it comes from the environment.
    pub master_key: Option<SecretString>,
    /// Where `serve` writes the first key.
    pub bootstrap_key_file: Option<PathBuf>,
    /// The user's runtime folder.
    pub runtime_dir: Option<PathBuf>,
    /// PATH, to find PostgreSQL's programs.
    pub search_path: Option<OsString>,
    /// What package managers are told of this machine.
    pub package_environment: std::collections::BTreeMap<String, String>,
    /// Where PostgreSQL is fetched from if the machine has none; empty turns fetching off.
    pub postgres_releases: Option<String>,
    /// Where the private database's write-ahead log is archived, if it was said; else what was said before holds.
    pub archive: Option<ArchiveWish>,
    /// After how many seconds at most, if it was said.
    pub archive_timeout_s: Option<u32>,
    /// Hears of each step of an instance's life, beside the metrics: for programs that are made of this one.
    pub witness: Option<Arc<dyn Witness>>,
}

/// What was said of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArchiveWish {
    /// Nothing is archived any more.
    Off,
    /// To the installation's own folder in this one.
    To(PathBuf),
}

/// How to connect to somebody else's PostgreSQL.
#[derive(Clone)]
pub struct DatabaseUrls {
    /// For the service.
    pub service: SecretString,
    /// For migrations.
    pub owner: SecretString,
}

impl std::fmt::Debug for DatabaseUrls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DatabaseUrls")
    }
}

/// What is wrong with the configuration, all of it.
#[derive(Debug, thiserror::Error)]
#[error("the configuration is wrong:\n  {}", .0.join("\n  "))]
pub struct ConfigError(Vec<String>);

/// The environment's variables, or a test's.
pub trait Environment {
    /// A variable's value; empty is the same as absent.
    fn get(&self, name: &str) -> Option<OsString>;

    /// The value of a variable that holds a secret, which is there no longer afterwards.
    fn take(&self, name: &str) -> Option<OsString> {
        self.get(name)
    }
}

/// The process's own environment.
#[derive(Debug, Clone, Copy)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    fn get(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name).filter(|value| !value.is_empty())
    }

    fn take(&self, name: &str) -> Option<OsString> {
        roadstead_sandbox::environment::take(name).filter(|value| !value.is_empty())
    }
}

/// Where the private database's write-ahead log is archived.
pub const ARCHIVE: &str = "ROADSTEAD_ARCHIVE";
/// After how many seconds at most.
pub const ARCHIVE_TIMEOUT: &str = "ROADSTEAD_ARCHIVE_TIMEOUT";
/// What a minute without archiving costs is bearable, and a file a minute as well.
pub const DEFAULT_ARCHIVE_TIMEOUT_S: u32 = 60;
/// Shorter, each file would be mostly empty; longer than a day, it would be no promise.
const ARCHIVE_TIMEOUTS: std::ops::RangeInclusive<u32> = 1..=86_400;

/// The variables that hold secrets. They are taken, so that neither the system nor a child shows them.
pub const MASTER_KEY: &str = "ROADSTEAD_MASTER_KEY";
/// How the service connects to somebody else's PostgreSQL.
pub const DATABASE_URL: &str = "DATABASE_URL";
/// How the owner of the tables connects to it.
pub const OWNER_DATABASE_URL: &str = "ROADSTEAD_OWNER_DATABASE_URL";

impl Config {
    /// Joins the command line and the environment. Called before there are threads: secrets are taken out of the process's
    /// own environment.
    pub fn read(
        args: &ServiceArgs,
        data_dir: Option<PathBuf>,
        environment: &dyn Environment,
    ) -> Result<Self, ConfigError> {
        let mut mistakes = Vec::new();
        let public_url = args.public_url.as_ref().and_then(|url| {
            let trimmed = url.trim_end_matches('/');
            let good = trimmed.starts_with("http://") || trimmed.starts_with("https://");
            if !good || trimmed.contains(['?', '#', ' ', '@']) {
                mistakes
                    .push(format!("ROADSTEAD_PUBLIC_URL ({url}) must be an http or https URL without query"));
            }
            good.then(|| trimmed.to_owned())
        });
        check_origins(&args.allowed_origins, &mut mistakes);
        check_scanner(args.scanner.as_deref(), &mut mistakes);
        let mut secret = |name: &str| -> Option<SecretString> {
            if let Ok(text) = environment.take(name)?.into_string() {
                Some(SecretString::from(text))
            } else {
                mistakes.push(format!("{name} is not UTF-8"));
                None
            }
        };
        let master_key = secret(MASTER_KEY);
        let service = secret(DATABASE_URL);
        let owner = secret(OWNER_DATABASE_URL);
        if owner.is_some() && service.is_none() {
            mistakes.push("ROADSTEAD_OWNER_DATABASE_URL is set, but DATABASE_URL is not".to_owned());
        }
        let (archive, archive_timeout_s) = archive(environment, service.is_some(), &mut mistakes);
        if let Some(log) = &args.log
            && tracing_subscriber::EnvFilter::try_new(log).is_err()
        {
            mistakes.push(format!("ROADSTEAD_LOG ({log}) is not a log filter such as `info`"));
        }
        if !mistakes.is_empty() {
            return Err(ConfigError(mistakes));
        }
        Ok(Self {
            data_dir,
            listen: args.listen,
            public_url,
            allowed_origins: args.allowed_origins.clone(),
            scanner: args.scanner.clone(),
            reaps: !args.no_reaper,
            log: args.log.clone(),
            log_json: args.log_json,
            drain: Duration::from_secs(args.drain.into()),
            replace: false,
            listen_names: listen_names(environment),
            database: service
                .map(|service| DatabaseUrls { owner: owner.unwrap_or_else(|| service.clone()), service }),
            master_key,
            bootstrap_key_file: environment.get("ROADSTEAD_BOOTSTRAP_KEY_FILE").map(PathBuf::from),
            runtime_dir: environment.get("XDG_RUNTIME_DIR").map(PathBuf::from),
            search_path: environment.get("PATH"),
            package_environment: crate::packages::variables(environment),
            postgres_releases: match environment.get("ROADSTEAD_POSTGRES_RELEASES_URL") {
                None => Some(crate::postgres::RELEASES_URL.to_owned()),
                Some(url) if url == "off" => None,
                Some(url) => url.into_string().ok(),
            },
            archive,
            archive_timeout_s,
            witness: None,
        })
    }
}

fn check_origins(origins: &[String], mistakes: &mut Vec<String>) {
    for origin in origins {
        let whole = host::origin_of(origin).map(|(scheme, authority)| format!("{scheme}://{authority}"));
        if whole.is_none_or(|whole| !origin.starts_with(&whole) || origin.matches('/').count() != 2) {
            mistakes.push(format!(
                "ROADSTEAD_ALLOWED_ORIGINS ({origin}) must be scheme, host and port, as in https://app.example.com"
            ));
        }
    }
}

fn check_scanner(scanner: Option<&Path>, mistakes: &mut Vec<String>) {
    if let Some(scanner) = scanner.filter(|scanner| !(scanner.is_absolute() && scanner.is_file())) {
        let path = scanner.display();
        mistakes.push(format!("ROADSTEAD_SCANNER ({path}) must be the absolute path of a program"));
    }
}

/// The names of the sockets that a service manager passes.
fn listen_names(environment: &dyn Environment) -> Vec<String> {
    let names = environment.get("LISTEN_FDNAMES");
    names.map(|names| names.to_string_lossy().split(':').map(ToOwned::to_owned).collect()).unwrap_or_default()
}

/// What is said of the archive.
fn archive(
    environment: &dyn Environment,
    is_foreign: bool,
    mistakes: &mut Vec<String>,
) -> (Option<ArchiveWish>, Option<u32>) {
    let folder = environment
        .get(ARCHIVE)
        .map(|value| if value == "off" { ArchiveWish::Off } else { ArchiveWish::To(PathBuf::from(value)) });
    if let Some(ArchiveWish::To(folder)) = &folder {
        if !folder.is_absolute() {
            mistakes.push(format!("{ARCHIVE} ({}) must be an absolute path, or `off`", folder.display()));
        }
        if is_foreign {
            mistakes.push(format!(
                "{ARCHIVE} is for the private database; where DATABASE_URL is set, archive with that server's own settings"
            ));
        }
    }
    let timeout = environment.get(ARCHIVE_TIMEOUT).and_then(|value| {
        let seconds = value.to_str().and_then(|text| text.parse().ok());
        let seconds = seconds.filter(|seconds| ARCHIVE_TIMEOUTS.contains(seconds));
        if seconds.is_none() {
            let (from, to) = (ARCHIVE_TIMEOUTS.start(), ARCHIVE_TIMEOUTS.end());
            mistakes.push(format!("{ARCHIVE_TIMEOUT} must be a number of seconds from {from} to {to}"));
        }
        seconds
    });
    (folder, timeout)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    struct Given(BTreeMap<&'static str, &'static str>);

    impl Environment for Given {
        fn get(&self, name: &str) -> Option<OsString> {
            self.0.get(name).map(OsString::from)
        }
    }

    #[test]
    fn every_mistake_is_reported_together() {
        let args = ServiceArgs {
            public_url: Some("ftp://x".to_owned()),
            log: Some("a=b=c".to_owned()),
            ..ServiceArgs::default()
        };
        let environment = Given([("ROADSTEAD_OWNER_DATABASE_URL", "postgres://x")].into());
        let error = Config::read(&args, None, &environment).unwrap_err().to_string();
        for name in ["ROADSTEAD_PUBLIC_URL", "ROADSTEAD_OWNER_DATABASE_URL", "ROADSTEAD_LOG"] {
            assert!(error.contains(name), "{name} in {error}");
        }
    }

    #[test]
    fn an_archive_is_a_whole_path_for_the_private_database() {
        let wrong =
            Given([(ARCHIVE, "wal"), (ARCHIVE_TIMEOUT, "0"), ("DATABASE_URL", "postgres://x")].into());
        let error = Config::read(&ServiceArgs::default(), None, &wrong).unwrap_err().to_string();
        for part in ["absolute", "private database", ARCHIVE_TIMEOUT] {
            assert!(error.contains(part), "{part} in {error}");
        }
        let off = Given([(ARCHIVE, "off"), ("DATABASE_URL", "postgres://x")].into());
        let config = Config::read(&ServiceArgs::default(), None, &off).unwrap();
        assert_eq!((config.archive, config.archive_timeout_s), (Some(ArchiveWish::Off), None));
    }

    #[test]
    fn one_database_url_serves_both_roles() {
        let environment = Given([("DATABASE_URL", "postgres://canary@x")].into());
        let config = Config::read(&ServiceArgs::default(), None, &environment).unwrap();
        assert!(config.database.is_some());
        assert!(!format!("{config:?}").contains("canary"));
    }
}
