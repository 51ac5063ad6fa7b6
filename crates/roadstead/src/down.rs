//! Commands that look at or end what runs in a data folder, from outside: `down`, `status`, `reset`.

use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use roadstead_model::InstallationId;

use crate::config::Config;
use crate::data_folder::{DataFolder, DataFolderError, DataFolderLock};
use crate::database::private_cluster;
use crate::postgres::{Status as DatabaseStatus, StopMode};

/// How long a service may take to end before `down` says that it does not.
const DOWN_PATIENCE: Duration = Duration::from_mins(1);
/// The pause between two looks at the lock.
const LOOK: Duration = Duration::from_millis(50);
/// What survivors of a killed service get to leave by themselves.
const SURVIVOR_PATIENCE: Duration = Duration::from_secs(15);

/// What `status` shows.
#[derive(Debug, serde::Serialize)]
struct Status {
    data_folder: PathBuf,
    service: &'static str,
    service_process: Option<u32>,
    url: Option<String>,
    database: String,
    profile: Option<PathBuf>,
}

/// An existing data folder, or nothing to do.
fn existing(config: &Config) -> anyhow::Result<Option<DataFolder>> {
    let path = DataFolder::choose(config.data_dir.as_deref())?;
    if path.is_dir() { Ok(Some(DataFolder::open(&path)?)) } else { Ok(None) }
}

pub(crate) fn installation(folder: &DataFolder) -> Option<InstallationId> {
    crate::data_folder::known_installation(folder.path())
}

/// Who holds the folder.
pub(crate) fn holder(folder: &DataFolder) -> anyhow::Result<Result<DataFolderLock, Option<u32>>> {
    match folder.lock() {
        Ok(lock) => Ok(Ok(lock)),
        Err(DataFolderError::InUse { holder, .. }) => Ok(Err(holder)),
        Err(error) => Err(error.into()),
    }
}

/// `roadstead down`.
pub async fn down(config: &Config, instances: bool) -> anyhow::Result<()> {
    let Some(folder) = existing(config)? else {
        println!("Nothing runs: there is no data folder yet.");
        return Ok(());
    };
    let was_running = match holder(&folder)? {
        Ok(_lock) => false,
        Err(None) => bail!("the data folder is in use, and its holder is not known; end it by hand"),
        Err(Some(pid)) => {
            // A service takes Ctrl-C as "end everything" and SIGTERM as "leave everything".
            let signal = if instances { Signal::SIGINT } else { Signal::SIGTERM };
            let target = Pid::from_raw(i32::try_from(pid).context("the holder's number is none")?);
            kill(target, signal).with_context(|| format!("could not signal the service (process {pid})"))?;
            wait_free(&folder, pid).await?;
            true
        }
    };
    if instances {
        let lock = folder.lock()?;
        end_survivors(config, &folder).await?;
        drop(lock);
        println!("The service, its instances and its database have ended.");
    } else if was_running {
        println!(
            "The service has ended; instances and database go on (`roadstead down --instances` ends them)."
        );
    } else {
        println!("The service does not run (`roadstead down --instances` ends what it may have left).");
    }
    Ok(())
}

async fn wait_free(folder: &DataFolder, pid: u32) -> anyhow::Result<()> {
    let waited = tokio::time::timeout(DOWN_PATIENCE, async {
        // It is free before the process has ended, which may still finish calls under way.
        while holder(folder)?.is_err() {
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    });
    waited
        .await
        .unwrap_or_else(|_| bail!("the service (process {pid}) was told to end, and has not within a minute"))
}

/// Ends instances and database that a service left, without the database's help: the next start reads how
/// each ended from its record.
async fn end_survivors(config: &Config, folder: &DataFolder) -> anyhow::Result<()> {
    let Some(installation) = installation(folder) else { return Ok(()) };
    crate::service::end_survivors(config, installation, SURVIVOR_PATIENCE).await?;
    private_cluster(config, folder.path(), installation).stop(StopMode::Fast).await?;
    for sockets in crate::service::socket_folders(config, installation) {
        // One that is not empty keeps what the next start has to read.
        let _ = std::fs::remove_dir(sockets);
    }
    let _ = std::fs::remove_file(crate::handover::socket(config, installation));
    Ok(())
}

/// `roadstead status`.
pub fn status(config: &Config, json: bool) -> anyhow::Result<bool> {
    let path = DataFolder::choose(config.data_dir.as_deref())?;
    let mut shown = Status {
        data_folder: path,
        service: "stopped",
        service_process: None,
        url: None,
        database: "absent".to_owned(),
        profile: None,
    };
    if let Some(folder) = existing(config)? {
        if let Err(pid) = holder(&folder)? {
            shown.service = "running";
            shown.service_process = pid;
        }
        let profile = folder.path().join(crate::profile::PROFILE_FILE);
        if let Ok(known) = roadstead_cli::Profile::read(&profile) {
            shown.url = Some(known.url);
            shown.profile = Some(profile);
        }
        if config.database.is_some() {
            "by DATABASE_URL".clone_into(&mut shown.database);
        } else if let Some(installation) = installation(&folder) {
            shown.database = match private_cluster(config, folder.path(), installation).status()? {
                DatabaseStatus::Absent => "absent".to_owned(),
                DatabaseStatus::Stopped => "stopped".to_owned(),
                DatabaseStatus::Running { pid, .. } => format!("running (process {pid})"),
            };
        }
    }
    let running = shown.service == "running";
    if json {
        println!("{}", serde_json::to_string_pretty(&shown)?);
        return Ok(running);
    }
    let process = shown.service_process.map(|pid| format!(" (process {pid})")).unwrap_or_default();
    println!("Service      {}{process}", shown.service);
    println!("Database     {}", shown.database);
    println!("Data folder  {}", shown.data_folder.display());
    if let Some(url) = &shown.url {
        println!("URL          {url}");
    }
    println!();
    println!("{}", if running { "Next: roadstead ps" } else { "Next: roadstead up" });
    Ok(running)
}

/// `roadstead reset`.
pub async fn reset(config: &Config, yes: bool) -> anyhow::Result<()> {
    let Some(folder) = existing(config)? else {
        println!("Nothing to delete: there is no data folder.");
        return Ok(());
    };
    anyhow::ensure!(
        folder.path().join("installation").is_file(),
        "{} is not a data folder of roadstead; nothing was deleted",
        folder.path().display()
    );
    let question =
        format!("Delete {} with database, master key and every credential?", folder.path().display());
    if !yes && !confirmed(&question)? {
        bail!("nothing was deleted; `roadstead reset --yes` does not ask");
    }
    down(config, true).await?;
    if let Some(installation) = installation(&folder) {
        private_cluster(config, folder.path(), installation).reset().await?;
        let _ = std::fs::remove_dir_all(crate::service::run_root(config, installation));
    }
    std::fs::remove_dir_all(folder.path())
        .with_context(|| format!("could not delete {}", folder.path().display()))?;
    println!("Deleted {}.", folder.path().display());
    Ok(())
}

/// Asks on the terminal; no where there is none.
pub(crate) fn confirmed(question: &str) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    print!("{question} [y/N] ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
