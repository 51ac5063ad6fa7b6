//! `roadstead doctor`: tries each thing that the service relies on, with or without a running one, and says what is lost
//! without it and what to do. It changes nothing, and needs neither service nor database.

mod archive;
mod installation;
mod kernel;
mod machine;

use std::path::{Path, PathBuf};
use std::time::Duration;

use roadstead_cli::checks::Verdict;
use roadstead_cli::{Exit, checks};
use roadstead_model::{InstallationId, PortRange};

use crate::config::Config;
use crate::data_folder::DataFolder;

/// How long one look at the outside may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the checks look at.
pub(crate) struct Place {
    /// The data folder, if it exists.
    pub(crate) folder: Option<DataFolder>,
    /// Where it is, or would be.
    pub(crate) path: PathBuf,
    pub(crate) installation: Option<InstallationId>,
    /// The service's process, if one runs.
    pub(crate) service: Option<i32>,
    /// Where instances have their sockets.
    pub(crate) run_root: Option<PathBuf>,
}

/// `roadstead doctor`.
pub async fn doctor(config: &Config, json: bool, no_color: bool) -> anyhow::Result<Exit> {
    let place = Place::find(config)?;
    let mut checks = kernel::checks(place.service).await;
    let (database, ports) = installation::database(config, &place).await;
    checks.extend(machine::checks(config, &place, ports));
    checks.extend(installation::checks(config, &place));
    checks.extend(database);
    checks.extend(archive::check(config, &place).await);
    Ok(checks::show(&checks, json, no_color))
}

/// Says once which mechanisms of the kernel are absent: the start of a service is when an operator reads its log.
pub(crate) async fn log_absent() {
    for check in kernel::checks(None).await.into_iter().filter(|check| check.verdict != Verdict::Ok) {
        // The supervisor has said of each controller that it is missing.
        if check.id == kernel::CONTROL_GROUPS {
            continue;
        }
        let said = "a mechanism of this machine is absent; `roadstead doctor` shows all";
        if check.verdict == Verdict::Broken {
            tracing::error!(
                check = check.id,
                found = check.found,
                lost = check.lost,
                next = check.next,
                "{said}"
            );
        } else {
            // An ordinary user's machine lacks some, and works: nothing that has to be seen before anything else.
            tracing::info!(
                check = check.id,
                found = check.found,
                lost = check.lost,
                next = check.next,
                "{said}"
            );
        }
    }
}

impl Place {
    fn find(config: &Config) -> anyhow::Result<Self> {
        let path = DataFolder::choose(config.data_dir.as_deref())?;
        // Never made here: a look leaves nothing behind.
        let folder = if path.is_dir() { DataFolder::open(&path).ok() } else { None };
        let installation = folder.as_ref().and_then(|folder| {
            std::fs::read_to_string(folder.path().join("installation")).ok()?.trim().parse().ok()
        });
        let service = folder.as_ref().and_then(DataFolder::holder).and_then(|pid| i32::try_from(pid).ok());
        Ok(Self {
            folder,
            path,
            installation,
            service: service.filter(|pid| is_roadstead(*pid)),
            run_root: installation.map(|installation| crate::service::run_root(config, installation)),
        })
    }

    /// The data folder, or the nearest folder above that exists.
    fn nearest(&self) -> &Path {
        self.path.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/"))
    }
}

/// The number in the lock file may be another's by now.
fn is_roadstead(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim_end() == "roadstead")
}

/// The pool as the settings say, or as it is without any.
fn pool(settings: Option<&roadstead_accounts::Settings>) -> PortRange {
    settings.map_or_else(
        || {
            let nothing = std::collections::BTreeMap::new();
            roadstead_accounts::Settings::read(&nothing).expect("the defaults are settings").ports
        },
        |settings| settings.ports,
    )
}
