//! `up`, `serve` and `quickstart`: a service in the foreground or in the background.

use std::convert::Infallible;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use roadstead_cli::{Profile, StepPrinter, quickstart};
use roadstead_orchestrator::RecoverStatus;
use sd_notify::NotifyState;
use secrecy::ExposeSecret as _;
use tokio_util::sync::CancellationToken;

use crate::config::{self, Config};
use crate::data_folder::{DataFolder, DataFolderError};
use crate::lifecycle::{Asked, Signals};
use crate::postgres::Step;
use crate::profile::PROFILE_FILE;
use crate::service::{Service, Stage, Survivors};

/// How long a service in the background may take to listen: a first start may fetch PostgreSQL.
const DETACH_PATIENCE: Duration = Duration::from_mins(10);
/// The pause between two looks at a service in the background.
const LOOK: Duration = Duration::from_millis(50);

/// `roadstead serve`.
pub async fn serve(config: &Config) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let service = Service::start(config, |stage| log_stage(&stage)).await?;
    tell(NotifyState::Ready);
    let staying = stay(service, &mut signals, |_| Survivors::Leave);
    tokio::select! {
        stayed = staying => stayed.map(drop),
        never = reassure() => match never {},
    }
}

/// Tells a service manager; without one there is nobody to tell.
pub(crate) fn tell(state: NotifyState<'_>) {
    let _ = sd_notify::notify(&[state]);
}

/// Tells a service manager again and again, twice as often as it wants to hear it, that we are not stuck; it starts us again
/// when we are, and instances do not notice.
pub(crate) async fn reassure() -> Infallible {
    let Some(patience) = sd_notify::watchdog_enabled() else { return std::future::pending().await };
    let mut ticks = tokio::time::interval(patience / 2);
    loop {
        ticks.tick().await;
        tell(NotifyState::Watchdog);
    }
}

/// `roadstead up`.
pub async fn up(config: &Config, steps: &mut dyn StepPrinter) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let service = Service::start(config, |stage| show_stage(&stage, steps)).await?;
    steps.say(&format!("Ready at {}  (docs: {}/docs)", service.url, service.url));
    let program = called_as();
    steps.say(&format!(
        "Next:\n  {program} types\n  {program} launch echo\n  {program} ps\nCtrl-C ends instances and database."
    ));
    until_asked(service, &mut signals, steps).await
}

/// `roadstead quickstart`: beside a running service, it uses that one.
pub async fn show(config: &Config, steps: &mut dyn StepPrinter) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let data_folder = DataFolder::choose(config.data_dir.as_deref())?;
    match Service::start(config, |stage| show_stage(&stage, steps)).await {
        Ok(service) => {
            let profile = Profile::read(&service.data_folder.join(PROFILE_FILE))?;
            let hurry = CancellationToken::new();
            let program = called_as();
            let shown = tokio::select! {
                shown = quickstart::show(&profile, &program, steps) => Some(shown),
                _ = signals.next() => None,
            };
            match shown {
                Some(Ok(_)) => {
                    steps.say("\nStays up until Ctrl-C, which ends instances and database.");
                    until_asked(service, &mut signals, steps).await
                }
                Some(Err(error)) => {
                    service.stop(Survivors::End, hurry).await?;
                    Err(error.into())
                }
                None => signals.during(&hurry.clone(), service.stop(Survivors::End, hurry)).await.map(drop),
            }
        }
        Err(error) if in_use(&error) => {
            steps.say("A service runs in this data folder already; using it.");
            let profile = Profile::read(&data_folder.join(PROFILE_FILE))?;
            quickstart::show(&profile, &called_as(), steps).await?;
            Ok(())
        }
        Err(error) => Err(error),
    }
}

fn in_use(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<DataFolderError>()
        .is_some_and(|error| matches!(error, DataFolderError::InUse { .. }))
}

async fn until_asked(
    service: Service,
    signals: &mut Signals,
    steps: &mut dyn StepPrinter,
) -> anyhow::Result<()> {
    let ended = stay(service, signals, |asked| match asked {
        Asked::Interrupt => Survivors::End,
        Asked::Terminate => Survivors::Leave,
    });
    let ended = ended.await?;
    if let Some(count) = ended {
        let plural = if count == 1 { "" } else { "s" };
        steps.say(&format!(
            "\nEnded {count} instance{plural} and the database. Your data is kept; `roadstead up` goes on."
        ));
    }
    Ok(())
}

/// Stays until a signal; answers how many instances ended, if any were to.
async fn stay(
    mut service: Service,
    signals: &mut Signals,
    meaning: impl Fn(Asked) -> Survivors,
) -> anyhow::Result<Option<usize>> {
    let (survivors, failure) = tokio::select! {
        asked = signals.next() => (meaning(asked), None),
        error = service.failed() => (Survivors::Leave, Some(error)),
    };
    tell(NotifyState::Stopping);
    tell(NotifyState::ExtendTimeoutUsec(service.longest_stop().as_micros().try_into().unwrap_or(u32::MAX)));
    let hurry = CancellationToken::new();
    let ended = signals.during(&hurry.clone(), service.stop(survivors, hurry)).await?;
    match failure {
        Some(error) => Err(error),
        None => Ok((survivors == Survivors::End).then_some(ended)),
    }
}

/// `roadstead up -d`: the same program again, in a session of its own.
pub async fn detach(
    config: &Config,
    arguments: &[String],
    steps: &mut dyn StepPrinter,
) -> anyhow::Result<()> {
    let folder = DataFolder::open(&DataFolder::choose(config.data_dir.as_deref())?)?;
    if let Err(error) = folder.lock().map(drop) {
        return Err(error.into());
    }
    let log_path = folder.path().join("roadstead.log");
    steps.begin("Starting in the background");
    let mut child = spawn_detached(config, arguments, &log_path)?;
    let profile_path = folder.path().join(PROFILE_FILE);
    let ready = tokio::time::timeout(DETACH_PATIENCE, async {
        loop {
            if let Some(status) = child.try_wait()? {
                bail!("the service ended at its start ({status}); {} says why", log_path.display());
            }
            // Who holds the folder is read, not tried: trying would take it from the one that is starting.
            if folder.holder() == Some(child.id())
                && let Ok(profile) = Profile::read(&profile_path)
                && quickstart::is_ready(&profile).await
            {
                return Ok(profile);
            }
            tokio::time::sleep(LOOK).await;
        }
    });
    let profile = ready.await.context("the service does not listen after ten minutes")??;
    let program = called_as();
    steps.done(&format!("Running in the background as process {}", child.id()));
    steps.say(&format!(
        "Ready at {}\nNext:\n  {program} ps\n  {program} launch echo\n  {program} down --instances",
        profile.url
    ));
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the one place that starts this program again")]
fn spawn_detached(
    config: &Config,
    arguments: &[String],
    log_path: &Path,
) -> anyhow::Result<std::process::Child> {
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(log_path)
        .with_context(|| format!("could not open {}", log_path.display()))?;
    let program = std::env::current_exe().context("this program cannot tell where it lies")?;
    // Taken out of our own environment when they were read; the child takes them out of its own.
    let database = config.database.as_ref();
    let secrets = [
        (config::MASTER_KEY, config.master_key.as_ref()),
        (config::DATABASE_URL, database.map(|urls| &urls.service)),
        (config::OWNER_DATABASE_URL, database.map(|urls| &urls.owner)),
    ];
    let secrets = secrets.into_iter().filter_map(|(name, value)| Some((name, value?.expose_secret())));
    std::process::Command::new(program)
        .args(arguments)
        .envs(secrets)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()
        .context("could not start in the background")
}

/// How this program was called, so that what is printed can be pasted.
fn called_as() -> String {
    std::env::args().next().unwrap_or_else(|| "roadstead".to_owned())
}

fn log_stage(stage: &Stage) {
    match stage {
        Stage::Database(Step::Downloading { .. }) => {}
        Stage::Listening(address) => tracing::info!(%address, "listening"),
        stage => tracing::info!(?stage, "starting"),
    }
}

fn show_stage(stage: &Stage, steps: &mut dyn StepPrinter) {
    match stage {
        Stage::Database(Step::Finding) => steps.begin("Looking for PostgreSQL"),
        Stage::Database(Step::Downloading { bytes, total }) => {
            steps.progress("Fetching PostgreSQL", *bytes, *total);
        }
        Stage::Database(Step::Initialising) => steps.begin("Making a private PostgreSQL cluster"),
        Stage::Database(Step::Starting) => steps.begin("Starting PostgreSQL"),
        Stage::Database(Step::Ready { reused: true }) => steps.done("PostgreSQL runs already; reusing it"),
        Stage::Database(Step::Ready { reused: false }) => {
            steps.done("PostgreSQL runs, on a socket of its own");
        }
        Stage::Migrated(0) => {}
        Stage::Migrated(count) => steps.done(&format!("Tables brought up to date ({count} migrations)")),
        Stage::Recovered(status) if *status == RecoverStatus::default() => {}
        Stage::Recovered(RecoverStatus { alive, lost, strangers }) => steps.done(&format!(
            "Taking over {alive} living instances of an earlier run ({lost} lost, {strangers} unclaimed)"
        )),
        Stage::Listening(address) => steps.done(&format!("Listening on {address}")),
    }
}
