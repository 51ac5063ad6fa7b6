//! Limits that hold for all servers of an instance together, where the machine has control groups.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use nix::sys::stat::Mode;
use roadstead_control::{LifecycleStep, Outcome, ServerEnd};

use crate::again::at_most;
use crate::support::{Place, eventually};

const MEBIBYTE: u64 = 1024 * 1024;

/// The instance's groups that a process is in, as folders below the kernel's mount; none where the machine has none.
fn groups_of(pid: i32) -> Vec<String> {
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let ours = groups.lines().filter_map(|line| line.rsplit_once(':').map(|(_, path)| path.to_owned()));
    ours.filter(|path| path.contains("/roadstead-")).collect()
}

fn folders_named(path: &str) -> Vec<PathBuf> {
    let controllers = ["memory", "cpu", "pids", ".", "unified"];
    let folders = controllers.map(|name| PathBuf::from(format!("/sys/fs/cgroup/{name}{path}")));
    folders.into_iter().filter(|folder| folder.exists()).collect()
}

#[tokio::test]
async fn a_server_that_eats_all_memory_ends_and_the_record_says_why() {
    let place = Place::new();
    let told = place.work().join("told");
    nix::unistd::mkfifo(&told, Mode::from_bits_truncate(0o600)).unwrap();
    std::fs::set_permissions(&told, Permissions::from_mode(0o666)).unwrap();
    let mut specification = place.specification(&["--eat-when-told", told.to_str().unwrap()]);
    specification.limits.memory_bytes = Some(64 * MEBIBYTE);
    specification.restart = at_most(1);
    let mut launched = place.launch(specification).await;
    let groups = groups_of(launched.ready.server.pid);
    if groups.is_empty() {
        eprintln!("this machine has no control groups for us: memory is not limited here");
        launched.shim.control().kill();
        launched.exited().await;
        return;
    }
    std::fs::write(&told, "now").unwrap();
    let LifecycleStep::Restarted { ended, .. } = launched.step().await.step;
    assert_eq!(ended, Some(ServerEnd::OutOfMemory));
    std::fs::write(&told, "again").unwrap();
    let record = launched.exited().await.0;
    assert_eq!((record.outcome, record.server_end), (Outcome::CrashLoop, Some(ServerEnd::OutOfMemory)));
    let message = record.failure.unwrap().message;
    assert!(message.ends_with("its last end was out of memory"), "{message}");
    for group in groups {
        eventually("the group is removed", || folders_named(&group).is_empty());
    }
}

#[tokio::test]
async fn a_server_cannot_have_more_processes_than_its_limit() {
    let place = Place::new();
    let facts = place.work().join("forked");
    let mut specification = place.specification(&["--fork-until-refused", facts.to_str().unwrap()]);
    specification.limits.processes = Some(12);
    let mut launched = place.launch(specification).await;
    let forked: u64 = std::fs::read_to_string(&facts).unwrap().trim().parse().unwrap();
    assert!(forked < 12, "{forked} children beside the server");
    launched.shim.control().kill();
    launched.exited().await;
}
