//! The machines on which the attempts are made: this one, as root and as an ordinary user, and this one with less.

use std::path::{Path, PathBuf};

use nix::unistd::{User, chown};
use roadstead_test_support::app::{App, AppOptions, data_folder};
use serde_json::{Value, json};

/// Users that every machine has and that run nothing: what is signalled by all that a user has is nobody else's.
const IDLE_USERS: [&str; 6] = ["games", "news", "uucp", "lp", "irc", "list"];
/// How many ports a service has; no other test has them.
const PORTS: u16 = 20;

/// Who runs the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    Root,
    User,
    UserWithoutNamespaces,
}

/// A machine, and the heading of its column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Machine {
    pub(crate) who: Who,
    /// What it lacks, with commas.
    pub(crate) lacks: &'static str,
    /// The level that its instances reach.
    pub(crate) level: &'static str,
    pub(crate) column: &'static str,
    first_port: u16,
    /// Of its pool; nothing has it.
    pub(crate) last_port: u16,
}

const fn machine(
    who: Who,
    lacks: &'static str,
    level: &'static str,
    column: &'static str,
    first_port: u16,
) -> Machine {
    Machine { who, lacks, level, column, first_port, last_port: first_port + PORTS - 1 }
}

/// The machines, for each user the best one last.
pub(crate) const MACHINES: [Machine; 8] = [
    machine(Who::Root, "landlock", "basic", "basic", 22_100),
    machine(Who::Root, "cgroups", "strong", "strong", 22_120),
    machine(Who::Root, "namespaces", "full", "full, without namespaces", 22_240),
    machine(Who::Root, "", "full", "full", 22_140),
    machine(Who::User, "landlock", "basic", "basic", 22_160),
    machine(Who::User, "", "strong", "strong", 22_180),
    machine(Who::UserWithoutNamespaces, "landlock,namespaces", "basic", "basic", 22_200),
    machine(Who::UserWithoutNamespaces, "namespaces", "basic", "basic, with Landlock", 22_220),
];

/// A service on such a machine, and who it runs as.
pub(crate) struct Running {
    pub(crate) app: App,
    /// The user of the service.
    pub(crate) user: u32,
    _sockets: Sockets,
}

/// The folder below `/tmp` in which an ordinary user's service has its sockets; it goes after the service has ended.
struct Sockets(Option<PathBuf>);

impl Drop for Sockets {
    fn drop(&mut self) {
        if let Some(folder) = &self.0 {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

impl Machine {
    /// Whether it is the best one of its user: what has no walls is tried there.
    pub(crate) fn is_best(&self) -> bool {
        let last = MACHINES.iter().rfind(|other| other.who == self.who);
        last.is_some_and(|last| last.column == self.column)
    }

    /// Starts the service; this process is root's.
    pub(crate) async fn start(&self) -> Running {
        let user = match self.who {
            Who::Root => 0,
            Who::User | Who::UserWithoutNamespaces => idle_user(),
        };
        let data = data_folder();
        owned_by(data.path(), user);
        let name = if user == 0 { String::new() } else { user.to_string() };
        let environment = vec![
            ("ROADSTEAD_TEST_LACKS".to_owned(), self.lacks.to_owned()),
            ("ROADSTEAD_TEST_USER".to_owned(), name),
        ];
        let options = AppOptions {
            data: Some(data),
            program: "roadstead-on-less",
            environment,
            ..AppOptions::default()
        };
        let app = App::start_with(options).await;
        // In this order, the range is one after each step.
        for (key, port) in [("range_end", self.last_port), ("range_start", self.first_port)] {
            let set = app.ask("PUT", &format!("/settings/port.{key}"), Some(json!({"value": port}))).await;
            answered(&set, 200);
        }
        let sockets = (user != 0).then(|| PathBuf::from(format!("/tmp/roadstead-{user}")));
        Running { app, user, _sockets: Sockets(sockets) }
    }
}

pub(crate) fn owned_by(path: &Path, user: u32) {
    chown(path, Some(user.into()), Some(user.into())).expect("this process is root's");
}

fn idle_user() -> u32 {
    let busy: Vec<u32> = std::fs::read_dir("/proc")
        .expect("/proc can be read")
        .flatten()
        .filter_map(|entry| Some(std::os::unix::fs::MetadataExt::uid(&entry.metadata().ok()?)))
        .collect();
    let all = IDLE_USERS.iter().filter_map(|name| User::from_name(name).ok()?);
    let mut ids = all.map(|user| user.uid.as_raw());
    ids.find(|id| !busy.contains(id)).expect("a user of this machine that runs nothing")
}

/// A request that must be answered with this status.
#[track_caller]
pub(crate) fn answered(answer: &roadstead_test_support::Answer, status: u16) -> &Value {
    assert_eq!(answer.status, status, "{answer:?}");
    &answer.body
}
