//! The program `roadstead`: reads the command line, does one thing, and ends with a code that says how it went.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use roadstead::command::{Cli, Command};
use roadstead::config::{Config, ConfigError, Environment, ProcessEnvironment, ServiceArgs};
use roadstead::data_folder::DataFolder;
use roadstead::{db, doctor, down, profile, reaper, up};
use roadstead_cli::{
    Exit, Globals, Homes, PlainSteps, SecretString, StepPrinter, Surroundings, TerminalSteps,
};
use std::io::IsTerminal;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return roadstead_cli::refuse_arguments(&error).into(),
    };
    roadstead_sandbox::memory::give_back_promptly();
    protect();
    // Before there are threads, since it takes secrets out of the environment.
    let config = match config(&cli) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("error: {error}");
            return Exit::Config.into();
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime {
        Ok(runtime) => {
            let exit = runtime.block_on(run(cli, config));
            // Requests that were cut off must not hold the program.
            runtime.shutdown_timeout(std::time::Duration::from_millis(200));
            exit.into()
        }
        Err(error) => {
            eprintln!("error: could not start: {error}");
            Exit::Failed.into()
        }
    }
}

/// No core file and no debugger: this process holds the master key. And files enough for many callers.
fn protect() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    // Where the system refuses, the program still works; it is only less protected.
    let _ = nix::sys::prctl::set_dumpable(false);
    // What we were started with is not for the database; a listening socket that was passed to us stays open here.
    let _ = roadstead_sandbox::privilege::close_descriptors_on_exec();
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// What the command needs to know; nothing for those that only ask a service.
fn config(cli: &Cli) -> Result<Option<Config>, ConfigError> {
    let none = ServiceArgs::default();
    let (args, replace) = match &cli.command {
        Command::Client(_) => return Ok(None),
        Command::Quickstart(args) | Command::Up { service: args, .. } => (args.clone(), false),
        Command::Serve { replace, service } => (service.clone(), *replace),
        Command::Reaper(args) => (args.clone().into(), false),
        Command::Down { .. } | Command::Status | Command::Doctor | Command::Reset { .. } | Command::Db(_) => {
            (none, false)
        }
    };
    let mut config = Config::read(&args, cli.data_dir.clone(), &ProcessEnvironment)?;
    config.replace = replace;
    Ok(Some(config))
}

async fn run(cli: Cli, config: Option<Config>) -> Exit {
    let json = cli.globals.json;
    let Some(config) = config else {
        let Command::Client(command) = cli.command else {
            unreachable!("every other command has a configuration")
        };
        return client(command, cli.globals, cli.data_dir.as_deref()).await;
    };
    let outcome = match cli.command {
        Command::Client(_) => unreachable!("it has no configuration"),
        Command::Quickstart(_) => foreground(&config, "warn", printer(json), Foreground::Quickstart).await,
        Command::Up { detach: false, .. } => foreground(&config, "warn", printer(json), Foreground::Up).await,
        Command::Up { detach: true, service } => background(&config, &service, json).await,
        Command::Serve { .. } => foreground(&config, "info", printer(json), Foreground::Serve).await,
        Command::Reaper(_) => foreground(&config, "info", printer(json), Foreground::Reaper).await,
        Command::Down { instances } => down::down(&config, instances).await,
        Command::Status => match down::status(&config, json) {
            Ok(true) => Ok(()),
            Ok(false) => return Exit::Unavailable,
            Err(error) => Err(error),
        },
        Command::Doctor => match doctor::doctor(&config, json, no_color()).await {
            Ok(exit) => return exit,
            Err(error) => Err(error),
        },
        Command::Reset { yes } => down::reset(&config, yes).await,
        Command::Db(command) => match db::db(&config, command, json, no_color()).await {
            Ok(exit) => return exit,
            // Whoever read our output has read enough.
            Err(error) if db::was_read_enough(&error) => return Exit::Ok,
            Err(error) => Err(error),
        },
    };
    match outcome {
        Ok(()) => Exit::Ok,
        Err(error) => {
            eprintln!("error: {error:#}");
            exit_of(&error)
        }
    }
}

fn exit_of(error: &anyhow::Error) -> Exit {
    match error.downcast_ref::<db::Refused>() {
        Some(refused) => refused.exit,
        None if error.is::<ConfigError>() => Exit::Config,
        None => Exit::Failed,
    }
}

fn no_color() -> bool {
    ProcessEnvironment.get("NO_COLOR").is_some()
}

enum Foreground {
    Quickstart,
    Up,
    Serve,
    Reaper,
}

async fn foreground(
    config: &Config,
    log: &str,
    mut steps: Box<dyn StepPrinter>,
    what: Foreground,
) -> anyhow::Result<()> {
    begin_logging(config.log.as_deref().unwrap_or(log), config.log_json);
    match what {
        Foreground::Quickstart => up::show(config, &mut *steps).await,
        Foreground::Up => up::up(config, &mut *steps).await,
        Foreground::Serve => up::serve(config).await,
        Foreground::Reaper => reaper::daemon(config).await,
    }
}

async fn background(config: &Config, args: &ServiceArgs, json: bool) -> anyhow::Result<()> {
    let mut arguments = vec!["up".to_owned(), "--listen".to_owned(), args.listen.to_string()];
    arguments.extend(["--drain".to_owned(), args.drain.to_string()]);
    for (option, value) in [("--public-url", &args.public_url), ("--log", &args.log)] {
        if let Some(value) = value {
            arguments.extend([option.to_owned(), value.clone()]);
        }
    }
    for origin in &args.allowed_origins {
        arguments.extend(["--allow-origin".to_owned(), origin.clone()]);
    }
    if let Some(scanner) = &args.scanner {
        arguments.extend(["--scanner".to_owned(), scanner.display().to_string()]);
    }
    if args.no_reaper {
        arguments.push("--no-reaper".to_owned());
    }
    if let Some(folder) = &config.data_dir {
        arguments.extend(["--data-dir".to_owned(), folder.display().to_string()]);
    }
    up::detach(config, &arguments, &mut *printer(json)).await
}

async fn client(
    command: roadstead_cli::ClientCommand,
    globals: roadstead_cli::GlobalArgs,
    data_dir: Option<&std::path::Path>,
) -> Exit {
    let environment = ProcessEnvironment;
    let secret =
        |name: &str| environment.get(name).and_then(|value| value.into_string().ok()).map(SecretString::from);
    let data_folder = match DataFolder::choose(data_dir) {
        Ok(path) => path,
        Err(error) => {
            eprintln!("error: {error}");
            return Exit::Config;
        }
    };
    let around = Surroundings {
        default_profile: data_folder.join(profile::PROFILE_FILE),
        api_key: secret("ROADSTEAD_API_KEY"),
        token: secret("ROADSTEAD_TOKEN"),
        homes: homes(&environment),
        no_color: environment.get("NO_COLOR").is_some(),
        command: Cli::command,
    };
    roadstead_cli::run(command, &Globals::new(globals, around)).await
}

/// Where MCP clients keep their files.
fn homes(environment: &dyn Environment) -> Homes {
    let folder = |name: &str| environment.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    Homes {
        home: etcetera::home_dir().ok(),
        config: folder("XDG_CONFIG_HOME"),
        codex: folder("CODEX_HOME"),
        claude: folder("CLAUDE_CONFIG_DIR"),
    }
}

fn printer(json: bool) -> Box<dyn StepPrinter> {
    if !json && std::io::stdout().is_terminal() {
        Box::new(TerminalSteps::new())
    } else {
        Box::new(PlainSteps::new())
    }
}

/// What is no news, unless the filter itself speaks of it: what PostgreSQL remarks on statements of ours, such as the rollback of
/// what a caller hung up on, and each step of the client that asks servers what they offer.
const NO_REMARKS: [(&str, &str); 2] = [("sqlx", "sqlx::postgres::notice=error"), ("rmcp", "rmcp=warn")];

fn begin_logging(filter: &str, json: bool) {
    let quiet = NO_REMARKS.iter().filter(|(speaker, _)| !filter.contains(speaker)).map(|(_, quiet)| *quiet);
    let filter = std::iter::once(filter).chain(quiet).collect::<Vec<_>>().join(",");
    let filter = tracing_subscriber::EnvFilter::try_new(filter).unwrap_or_else(|_| "info".into());
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // A line that does not fit on a full disk is lost; telling so in the same place would end the task that spoke.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    if json { lines.json().init() } else { lines.init() }
}
