//! The folders of the kernel in which groups can be made, and the words that each version has for a limit.

use std::io;
use std::path::{Path, PathBuf};

use procfs::process::Process;
use roadstead_control::Limits;
use roadstead_model::InstallationId;

use super::{Controller, GroupPart};

/// The kernel shares out processor time in periods of this length.
const CPU_PERIOD_US: u64 = 100_000;
/// Less than this of a period is refused by the kernel.
const SHORTEST_QUOTA_US: u64 = 1_000;
/// The group in which a process of version 2 has to stay that shares out its own group: one with processes cannot.
const OWN_GROUP: &str = "roadstead";

/// One folder in which groups can be made.
#[derive(Debug)]
pub(super) struct Place {
    base: PathBuf,
    pub(super) is_v2: bool,
    pub(super) controllers: Vec<Controller>,
}

/// Version 2 if it can do all, else what version 1 can.
pub(super) fn find() -> Vec<Place> {
    choose(None, |base, controllers| {
        if hand_on(base, controllers).is_err() {
            step_aside(base).ok()?;
            hand_on(base, controllers).ok()?;
        }
        Some(())
    })
}

/// The same for a process that may not be this one, without moving it or handing anything on.
pub(super) fn look(process: Option<i32>) -> Vec<Place> {
    choose(process, |base, _| {
        let file = base.join("cgroup.subtree_control");
        std::fs::OpenOptions::new().write(true).open(file).ok().map(drop)
    })
}

/// The folders of the groups in which this process's memory is counted, and whether they are of version 2.
pub(super) fn of_own_memory() -> Vec<(PathBuf, bool)> {
    let Some(own) = OwnGroups::read(None) else { return Vec::new() };
    let counts_memory = |controllers: &[String]| {
        controllers.is_empty() || controllers.iter().any(|name| name == Controller::Memory.as_str())
    };
    own.groups
        .into_iter()
        .filter(|(controllers, _)| counts_memory(controllers))
        .map(|(controllers, folder)| (folder, controllers.is_empty()))
        .collect()
}

fn choose(process: Option<i32>, hand_on: impl Fn(&Path, &[Controller]) -> Option<()>) -> Vec<Place> {
    let Some(own) = OwnGroups::read(process) else { return Vec::new() };
    match v2(&own, hand_on) {
        Some(place) if place.controllers.len() == Controller::ALL.len() => vec![place],
        two => {
            let mut places: Vec<Place> =
                Controller::ALL.into_iter().filter_map(|controller| v1(&own, controller)).collect();
            if places.is_empty() {
                places.extend(two);
            }
            places
        }
    }
}

/// Which groups this process is in, and where the kernel shows them.
struct OwnGroups {
    /// Controllers (none for version 2) and the folder of our own group.
    groups: Vec<(Vec<String>, PathBuf)>,
}

impl OwnGroups {
    fn read(process: Option<i32>) -> Option<Self> {
        let own = process.map_or_else(Process::myself, Process::new).ok()?;
        let mounts = Process::myself().ok()?.mountinfo().ok()?;
        let mut groups = Vec::new();
        for group in own.cgroups().ok()? {
            let mount = mounts.0.iter().find(|mount| {
                if group.controllers.iter().all(String::is_empty) {
                    mount.fs_type == "cgroup2"
                } else {
                    mount.fs_type == "cgroup"
                        && group.controllers.iter().all(|name| mount.super_options.contains_key(name))
                }
            });
            let Some(mount) = mount else { continue };
            // A mount of a part shows paths below that part; ours may lie outside what a container sees.
            let inside = group.pathname.strip_prefix(mount.root.trim_end_matches('/')).unwrap_or("");
            let folder = mount.mount_point.join(inside.trim_start_matches('/'));
            let controllers = group.controllers.into_iter().filter(|name| !name.is_empty()).collect();
            groups.push((controllers, folder));
        }
        Some(Self { groups })
    }
}

fn v1(own: &OwnGroups, controller: Controller) -> Option<Place> {
    let (_, base) = own
        .groups
        .iter()
        .find(|(controllers, _)| controllers.iter().any(|name| name == controller.as_str()))?;
    may_make_groups_in(base).then(|| Place {
        base: base.clone(),
        is_v2: false,
        controllers: vec![controller],
    })
}

fn v2(own: &OwnGroups, hand_on: impl Fn(&Path, &[Controller]) -> Option<()>) -> Option<Place> {
    let (_, group) = own.groups.iter().find(|(controllers, _)| controllers.is_empty())?;
    let base = match (group.file_name(), group.parent()) {
        (Some(name), Some(parent)) if name == OWN_GROUP => parent,
        _ => group,
    };
    let offered = std::fs::read_to_string(base.join("cgroup.controllers")).ok()?;
    let controllers: Vec<Controller> = Controller::ALL
        .into_iter()
        .filter(|controller| offered.split_whitespace().any(|name| name == controller.as_str()))
        .collect();
    if controllers.is_empty() || !may_make_groups_in(base) {
        return None;
    }
    hand_on(base, &controllers)?;
    Some(Place { base: base.to_owned(), is_v2: true, controllers })
}

/// Moves this process out of its group, if it is alone there.
fn step_aside(base: &Path) -> io::Result<()> {
    let own = std::process::id().to_string();
    let members = std::fs::read_to_string(base.join("cgroup.procs"))?;
    if members.split_whitespace().any(|member| member != own) {
        return Err(io::ErrorKind::ResourceBusy.into());
    }
    let aside = base.join(OWN_GROUP);
    make(&aside)?;
    std::fs::write(aside.join("cgroup.procs"), own)
}

fn hand_on(folder: &Path, controllers: &[Controller]) -> io::Result<()> {
    let words: Vec<String> = controllers.iter().map(|one| format!("+{}", one.as_str())).collect();
    std::fs::write(folder.join("cgroup.subtree_control"), words.join(" "))
}

/// Whether groups can be made, shown by making one.
fn may_make_groups_in(base: &Path) -> bool {
    let probe = base.join(format!("roadstead-probe-{}", std::process::id()));
    std::fs::create_dir(&probe).and_then(|()| std::fs::remove_dir(&probe)).is_ok()
}

fn make(folder: &Path) -> io::Result<()> {
    match std::fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

impl Place {
    /// A folder in the place of the kernel's, for the processor alone.
    #[cfg(test)]
    pub(super) fn in_folder(base: &Path, is_v2: bool) -> Self {
        Self { base: base.to_owned(), is_v2, controllers: vec![Controller::Cpu] }
    }

    pub(super) fn installation_folder(&self, installation: InstallationId) -> PathBuf {
        self.base.join(format!("roadstead-{installation}"))
    }

    /// The part of a group of that name.
    pub(super) fn part(&self, installation: InstallationId, name: &str) -> GroupPart<'_> {
        let folder = self.installation_folder(installation).join(name);
        GroupPart { folder, is_v2: self.is_v2, controllers: &self.controllers }
    }

    /// Makes the folder of a group, and that of its installation when it is missing.
    pub(super) fn make(&self, installation: InstallationId, name: &str) -> io::Result<PathBuf> {
        let parent = self.installation_folder(installation);
        make(&parent)?;
        if self.is_v2 {
            hand_on(&parent, &self.controllers)?;
        }
        let folder = parent.join(name);
        std::fs::create_dir(&folder)?;
        Ok(folder)
    }

    /// Puts the limits of this place's controllers in force.
    pub(super) fn limit(&self, folder: &Path, limits: &Limits) -> io::Result<()> {
        for controller in &self.controllers {
            match controller {
                Controller::Memory => self.limit_memory(folder, limits)?,
                Controller::Cpu => {
                    if let Some(millis) = limits.cpu_millis {
                        limit_cpu(folder, self.is_v2, millis)?;
                    }
                }
                Controller::Pids => {
                    if let Some(processes) = limits.processes {
                        // Init is counted too, and is nobody's server.
                        set(folder, "pids.max", &(processes + 1).to_string())?;
                    }
                }
            }
        }
        Ok(())
    }

    fn limit_memory(&self, folder: &Path, limits: &Limits) -> io::Result<()> {
        let Some(bytes) = limits.memory_bytes else { return Ok(()) };
        if self.is_v2 {
            set(folder, "memory.max", &bytes.to_string())?;
            return set_if_there(folder, "memory.swap.max", "0");
        }
        set(folder, "memory.limit_in_bytes", &bytes.to_string())?;
        // Memory and swap together: present only where the kernel counts swap.
        set_if_there(folder, "memory.memsw.limit_in_bytes", &bytes.to_string())
    }
}

/// Limits the processor for a group: thousandths of one.
pub(super) fn limit_cpu(folder: &Path, is_v2: bool, millis: u32) -> io::Result<()> {
    let quota = (u64::from(millis) * CPU_PERIOD_US / 1000).max(SHORTEST_QUOTA_US);
    if is_v2 {
        return set(folder, "cpu.max", &format!("{quota} {CPU_PERIOD_US}"));
    }
    set(folder, "cpu.cfs_period_us", &CPU_PERIOD_US.to_string())?;
    set(folder, "cpu.cfs_quota_us", &quota.to_string())
}

fn set(folder: &Path, name: &str, value: &str) -> io::Result<()> {
    std::fs::write(folder.join(name), value)
}

fn set_if_there(folder: &Path, name: &str, value: &str) -> io::Result<()> {
    match set(folder, name, value) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits { memory_bytes: Some(64 << 20), cpu_millis: Some(1), processes: Some(7), ..Limits::default() }
    }

    /// A folder in place of the kernel's; the swap limits are missing, as on many machines.
    fn written(is_v2: bool) -> impl Fn(&str) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let controllers = Controller::ALL.to_vec();
        let place = Place { base: folder.path().to_owned(), is_v2, controllers };
        place.limit(folder.path(), &limits()).expect("limits are written");
        move |name| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default()
    }

    #[test]
    fn version_2_is_told_in_its_own_words() {
        let read = written(true);
        assert_eq!(read("memory.max"), "67108864");
        assert_eq!(read("cpu.max"), "1000 100000", "a tiny share is raised to what the kernel takes");
        assert_eq!(read("pids.max"), "8");
    }

    #[test]
    fn version_1_is_told_in_its_own_words() {
        let read = written(false);
        assert_eq!(read("memory.limit_in_bytes"), "67108864");
        assert_eq!((read("cpu.cfs_quota_us"), read("cpu.cfs_period_us")), ("1000".into(), "100000".into()));
        assert_eq!(read("pids.max"), "8");
    }
}
