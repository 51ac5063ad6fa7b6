//! One control group for each instance, so that its limits hold for all its processes together.
//!
//! Version 2 is used where its controllers are ours to hand on, version 1 where only that exists. What cannot be limited is named
//! once at the start; an instance runs nevertheless.
//!
//! ```text
//! <our own group>/roadstead-<installation>/<instance>      memory, cpu, pids
//! ```

mod place;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use roadstead_control::Limits;
use roadstead_model::{InstallationId, InstanceId};

use place::Place;

/// How long the kernel may take to let go of a group whose processes have ended.
const REMOVE_PATIENCE: Duration = Duration::from_secs(2);
/// Rest between two attempts.
const REMOVE_REST: Duration = Duration::from_millis(5);
/// Thousandths of a processor that a server has at least until it is ready: a start is short, and somebody waits for it. Two whole
/// ones, because Node compiles on threads beside the one that runs. As many start at one time as `launches.at_once` says.
const STARTING_MILLIS: u32 = 2000;

/// What can be limited for all processes of an instance together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Controller {
    /// Bytes of memory.
    Memory,
    /// Parts of a processor.
    Cpu,
    /// Processes and threads.
    Pids,
}

impl Controller {
    pub(crate) const ALL: [Self; 3] = [Self::Memory, Self::Cpu, Self::Pids];

    /// The kernel's name of it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Pids => "pids",
        }
    }
}

/// Where groups can be made.
#[derive(Debug, Default)]
pub(crate) struct Cgroups {
    places: Vec<Place>,
}

/// One folder of an instance's group, and what is limited there.
#[derive(Debug)]
pub(crate) struct GroupPart<'a> {
    pub(crate) folder: PathBuf,
    pub(crate) is_v2: bool,
    pub(crate) controllers: &'a [Controller],
}

/// The folders of one instance's group. Empty where none could be made.
#[derive(Debug, Default)]
pub(crate) struct Group {
    folders: Vec<PathBuf>,
    /// Where more of the processor is given than the limit until the server is ready, and the limit.
    generous: Vec<Generous>,
}

/// A folder that gives its processes more of the processor than their limit, for the time being.
#[derive(Debug)]
struct Generous {
    folder: PathBuf,
    is_v2: bool,
    millis: u32,
}

/// What no group would limit for instances of a process, found without changing any group but for one that is made and removed.
pub(crate) fn look(process: Option<i32>) -> Vec<Controller> {
    Cgroups { places: place::look(process) }.missing()
}

/// The folders of the groups in which this process's memory is counted, and whether they are of version 2.
pub(crate) fn of_own_memory() -> Vec<(PathBuf, bool)> {
    place::of_own_memory()
}

impl Cgroups {
    /// Looks once what this machine lets us limit.
    pub(crate) fn find() -> Self {
        let places = place::find();
        let found = Self { places };
        for controller in found.missing() {
            tracing::warn!(controller = controller.as_str(), "no control group limits this for an instance");
        }
        found
    }

    /// What cannot be limited.
    pub(crate) fn missing(&self) -> Vec<Controller> {
        let has = |wanted| self.places.iter().any(|place| place.controllers.contains(&wanted));
        Controller::ALL.into_iter().filter(|controller| !has(*controller)).collect()
    }

    /// Makes the group of an instance with its limits in force, but for the processor's: that one comes with `settle`.
    pub(crate) fn create(
        &self,
        installation: InstallationId,
        instance: InstanceId,
        limits: &Limits,
    ) -> io::Result<Group> {
        let limit = limits.cpu_millis.filter(|millis| *millis < STARTING_MILLIS);
        let Some(millis) = limit else {
            return self.create_named(installation, &instance.to_string(), limits);
        };
        let starting = Limits { cpu_millis: Some(STARTING_MILLIS), ..*limits };
        let mut group = self.create_named(installation, &instance.to_string(), &starting)?;
        let with_cpu = self.places.iter().zip(&group.folders);
        let with_cpu = with_cpu.filter(|(place, _)| place.controllers.contains(&Controller::Cpu));
        group.generous = with_cpu
            .map(|(place, folder)| Generous { folder: folder.clone(), is_v2: place.is_v2, millis })
            .collect();
        Ok(group)
    }

    /// Makes a group with its limits in force.
    pub(crate) fn create_named(
        &self,
        installation: InstallationId,
        name: &str,
        limits: &Limits,
    ) -> io::Result<Group> {
        let mut group = Group::default();
        for place in &self.places {
            let folder = match place.make(installation, name) {
                // A process that ends has just removed the installation's own group, which was empty.
                Err(error) if error.kind() == io::ErrorKind::NotFound => place.make(installation, name)?,
                made => made?,
            };
            group.folders.push(folder.clone());
            place.limit(&folder, limits)?;
        }
        Ok(group)
    }

    /// Where the group of an instance is, or would be.
    pub(crate) fn of(&self, installation: InstallationId, instance: InstanceId) -> Vec<GroupPart<'_>> {
        let name = instance.to_string();
        let part = |place| Place::part(place, installation, &name);
        self.places.iter().map(part).collect()
    }

    /// The group that an earlier run made for an instance; empty where there is none.
    pub(crate) fn existing(&self, installation: InstallationId, instance: InstanceId) -> Group {
        let folder = |place: &Place| place.installation_folder(installation).join(instance.to_string());
        let folders = self.places.iter().map(folder).filter(|folder| folder.is_dir()).collect();
        Group { folders, generous: Vec::new() }
    }

    /// Removes the groups that earlier runs of this installation left. The kernel keeps those with processes.
    pub(crate) fn sweep(&self, installation: InstallationId) {
        for place in &self.places {
            let Ok(groups) = std::fs::read_dir(place.installation_folder(installation)) else { continue };
            for group in groups.flatten().filter(|entry| entry.path().is_dir()) {
                // In use, or gone by now: neither is for us to mend.
                let _ = std::fs::remove_dir(group.path());
            }
        }
    }

    /// Removes the group of an installation that has no instance left. The kernel keeps one with others in it.
    pub(crate) fn leave(&self, installation: InstallationId) {
        for place in &self.places {
            let _ = std::fs::remove_dir(place.installation_folder(installation));
        }
    }
}

impl Group {
    /// What whoever belongs to it has to enter.
    pub(crate) fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// The server is ready: from now on its limit of the processor holds.
    pub(crate) fn settle(&mut self) {
        for part in self.generous.drain(..) {
            if let Err(error) = place::limit_cpu(&part.folder, part.is_v2, part.millis) {
                // Gone with its processes, perhaps; otherwise it has two whole processors and no more.
                tracing::warn!(folder = %part.folder.display(), %error, "the limit of the processor was not set");
            }
        }
    }

    /// Removes it, once its processes have ended.
    pub(crate) async fn remove(mut self) {
        let until = tokio::time::Instant::now() + REMOVE_PATIENCE;
        loop {
            self.folders.retain(|folder| !removed(folder));
            if self.folders.is_empty() {
                return;
            }
            if tokio::time::Instant::now() >= until {
                // Dropped below: the next start sweeps.
                return tracing::warn!(folders = ?self.folders, "a control group could not be removed");
            }
            tokio::time::sleep(REMOVE_REST).await;
        }
    }
}

impl Drop for Group {
    /// A group that was never used.
    fn drop(&mut self) {
        for folder in &self.folders {
            let _ = std::fs::remove_dir(folder);
        }
    }
}

fn removed(folder: &Path) -> bool {
    match std::fs::remove_dir(folder) {
        Ok(()) => true,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_the_processor_holds_once_the_server_is_ready() {
        for (is_v2, name) in [(true, "cpu.max"), (false, "cpu.cfs_quota_us")] {
            let base = tempfile::tempdir().expect("a folder");
            let cgroups = Cgroups { places: vec![Place::in_folder(base.path(), is_v2)] };
            let id = "01980000-0000-7000-8000-000000000001";
            let (installation, instance) = (id.parse().expect("an id"), id.parse().expect("an id"));
            let limits = Limits { cpu_millis: Some(250), ..Limits::default() };
            let mut group = cgroups.create(installation, instance, &limits).expect("folders are made");
            let quota = |group: &Group| {
                let text = std::fs::read_to_string(group.folders()[0].join(name)).expect("it is written");
                text.split_whitespace().next().map(str::to_owned)
            };
            assert_eq!(quota(&group).as_deref(), Some("200000"), "two whole processors for the start");
            group.settle();
            assert_eq!(quota(&group).as_deref(), Some("25000"));
        }
    }

    #[test]
    fn an_installation_that_is_left_with_no_instance_keeps_no_group() {
        let base = tempfile::tempdir().expect("a folder");
        let cgroups = Cgroups { places: vec![Place::in_folder(base.path(), false)] };
        let installation = "01980000-0000-7000-8000-000000000001".parse().expect("an id");
        let there = || std::fs::read_dir(base.path()).expect("a folder").count();
        for name in ["one", "after it was left"] {
            let group = cgroups.create_named(installation, name, &Limits::default()).expect("it is made");
            cgroups.leave(installation);
            assert_eq!(there(), 1, "it has an instance");
            drop(group);
            cgroups.leave(installation);
            assert_eq!(there(), 0);
        }
    }
}
