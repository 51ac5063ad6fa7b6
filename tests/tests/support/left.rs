//! What is left of instances on a machine, held against what the rows say.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use roadstead_model::instance::{HAPPENINGS, Next, VERBS};
use roadstead_model::{EventType, InstanceStatus};
use serde_json::Value;

/// The environment variable by which a server's process is known.
const MARK: &str = "ROADSTEAD_INSTANCE=";

/// Everything on the machine that belongs to instances of one data folder.
#[derive(Debug, Default)]
pub(crate) struct Left {
    /// Instances that have a run folder.
    folders: BTreeSet<String>,
    /// Instances whose server has a folder of its own.
    workplaces: BTreeSet<String>,
    /// Instances that have a control group.
    groups: BTreeSet<String>,
    /// Instances that have a shim or an init, with the processes.
    shims: Vec<(String, i32)>,
    /// Instances that have a server, with the processes.
    servers: Vec<(String, i32)>,
}

impl Left {
    pub(crate) fn look(data: &Path) -> Self {
        let installation = std::fs::read_to_string(data.join("installation")).unwrap_or_default();
        let installation = installation.trim().to_owned();
        let mut left = Self {
            workplaces: names_in(&data.join("instances")).into_iter().collect(),
            groups: groups(&installation),
            ..Self::default()
        };
        let root = run_root(&installation);
        for name in root.iter().flat_map(|root| names_in(root)) {
            let folder = root.as_ref().map(|root| root.join(&name)).unwrap_or_default();
            let note: Value = std::fs::read(folder.join("launch.json"))
                .ok()
                .and_then(|text| serde_json::from_slice(&text).ok())
                .unwrap_or_default();
            let id = note["instance"].as_str().unwrap_or(&name).to_owned();
            left.folders.insert(id);
        }
        left.find_processes(root.as_deref());
        left
    }

    fn find_processes(&mut self, root: Option<&Path>) {
        for entry in std::fs::read_dir("/proc").expect("/proc can be read").flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
                continue;
            };
            let log = std::fs::read_link(format!("/proc/{pid}/fd/2")).unwrap_or_default();
            if let Some(root) = root
                && let Ok(inside) = log.strip_prefix(root)
                && let Some(folder) = inside.components().next()
            {
                let name = folder.as_os_str().to_string_lossy().into_owned();
                self.shims.push((name, pid));
            }
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let mark =
                environment.split(|byte| *byte == 0).find_map(|each| each.strip_prefix(MARK.as_bytes()));
            if let Some(id) = mark {
                self.servers.push((String::from_utf8_lossy(id).into_owned(), pid));
            }
        }
    }

    /// What does not fit these rows, which are all that live; nothing when all is well.
    pub(crate) fn compared_with(&self, live: &[Value]) -> Vec<String> {
        let ids: BTreeSet<String> =
            live.iter().filter_map(|row| row["id"].as_str()).map(ToOwned::to_owned).collect();
        let tails: BTreeSet<String> = ids.iter().map(|id| tail(id)).collect();
        let mut wrong = Vec::new();
        for (what, found) in [
            ("run folder", &self.folders),
            ("server's folder", &self.workplaces),
            ("control group", &self.groups),
        ] {
            let strange = found.difference(&ids);
            wrong.extend(strange.map(|id| format!("a {what} is left of {id}, which does not live")));
        }
        for (folder, pid) in &self.shims {
            if !tails.contains(folder) {
                wrong.push(format!("process {pid} of a shim in {folder}, which is no live instance's"));
            }
        }
        let all_known: BTreeSet<&String> =
            self.folders.iter().chain(&self.workplaces).chain(&self.groups).chain(&ids).collect();
        for (id, pid) in &self.servers {
            // Servers of other tests on this machine are not ours to judge.
            if all_known.contains(id) && !ids.contains(id) {
                wrong.push(format!("server {pid} of {id}, which does not live"));
            }
        }
        for row in live {
            let id = row["id"].as_str().unwrap_or_default();
            if row["status"] == "pending" {
                wrong.push(format!("{id} is still pending"));
            } else if !self.shims.iter().any(|(folder, _)| *folder == tail(id)) {
                wrong.push(format!("{id} is said to run and has no shim"));
            }
        }
        wrong
    }
}

/// The name of an instance's run folder.
fn tail(id: &str) -> String {
    let digits: String = id.chars().filter(|c| *c != '-').collect();
    digits.get(20..).unwrap_or_default().to_owned()
}

fn names_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Where shims of an installation have their folders: named after the end of its id.
fn run_root(installation: &str) -> Option<PathBuf> {
    let digits: String = installation.chars().filter(|c| *c != '-').collect();
    let own = format!("/tmp/roadstead-{}", nix::unistd::geteuid());
    ["/run/roadstead", own.as_str()].iter().find_map(|parent| {
        let found = names_in(Path::new(parent)).into_iter().find(|name| {
            name.strip_prefix("run-").is_some_and(|end| !end.is_empty() && digits.ends_with(end))
        });
        found.map(|name| Path::new(parent).join(name))
    })
}

/// The instances of an installation that have a control group, of whatever version.
fn groups(installation: &str) -> BTreeSet<String> {
    let name = format!("roadstead-{installation}");
    let mut found = BTreeSet::new();
    let mut folders = vec![(PathBuf::from("/sys/fs/cgroup"), 0)];
    while let Some((folder, depth)) = folders.pop() {
        for child in names_in(&folder) {
            let path = folder.join(&child);
            if child == name {
                found.extend(names_in(&path).into_iter().filter(|id| path.join(id).is_dir()));
            } else if depth < 4 && path.is_dir() {
                folders.push((path, depth + 1));
            }
        }
    }
    found
}

/// Whether an instance's events tell one whole life that leads to the status of its row, by the rules of the life cycle.
pub(crate) fn life_is_whole(events: &[String], status: &str) -> Result<(), String> {
    let told = |why: &str| format!("{events:?} do not tell the life of an instance that is {status}: {why}");
    let Some(("created", later)) = events.split_first().map(|(first, later)| (first.as_str(), later)) else {
        return Err(told("it must begin with its creation"));
    };
    let lines: Vec<_> = VERBS
        .iter()
        .map(|line| (line.event, line.from, line.to))
        .chain(HAPPENINGS.iter().map(|line| (line.event, line.from, line.to)))
        .collect();
    let changes = |event: &&String| {
        lines.iter().any(|(kind, _, next)| kind.as_str() == event.as_str() && *next != Next::Stays)
    };
    let mut now = InstanceStatus::Pending;
    // An end has the time at which the shim saw it. What changes no status may have been done before anybody heard of it.
    for event in later.iter().filter(changes) {
        let fits =
            |line: &&(EventType, &[InstanceStatus], Next)| line.0.as_str() == event && line.1.contains(&now);
        match lines.iter().find(fits) {
            Some((_, _, Next::Becomes(next))) => now = *next,
            Some((_, _, Next::Stays)) => {}
            Some((_, _, Next::Gone)) | None => return Err(told(&format!("{event} may not follow {now}"))),
        }
    }
    if now.as_str() == status { Ok(()) } else { Err(told(&format!("they lead to {now}"))) }
}
