//! What the machine has enough of: descriptors, processes, ports, disk, and interpreters for servers.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use nix::sys::resource::{Resource, getrlimit};
use nix::sys::statvfs::statvfs;
use roadstead_cli::checks::Check;
use roadstead_model::PortRange;

use super::Place;
use crate::config::Config;

/// What the service needs open without any instance, callers included.
const BASE_FILES: u64 = 256;
/// What one instance takes of the service's descriptors: its control socket and process handle, and callers' ways to it.
const FILES_PER_INSTANCE: u64 = 8;
/// Processes of one instance besides what its server starts: shim, init, server and its threads.
const PROCESSES_PER_INSTANCE: u64 = 16;
/// Less free space than this, and log lines and a private database fill it within days.
const LEAST_BYTES: u64 = 1024 * 1024 * 1024;
/// Less than this, and the database cannot write.
const BROKEN_BYTES: u64 = 64 * 1024 * 1024;
/// Fewer files than this cannot be made any more: a package of Node alone has thousands.
const LEAST_INODES: u64 = 50_000;
/// Interpreters and runners that server types start with, and how to get each.
const RUNTIMES: [(&str, &str); 5] = [
    ("node", "install Node.js 22 or later (20 works, and starts servers slower)"),
    ("npx", "install Node.js 20 or later, with npm"),
    ("python3", "install Python 3.10 or later"),
    ("uv", "install uv (https://docs.astral.sh/uv)"),
    ("uvx", "install uv (https://docs.astral.sh/uv)"),
];
const RUNTIME_IDS: [&str; 5] = ["runtime-node", "runtime-npx", "runtime-python", "runtime-uv", "runtime-uvx"];

pub(super) fn checks(config: &Config, place: &Place, pool: PortRange) -> Vec<Check> {
    let instances = u64::from(pool.last().get() - pool.first().get()) + 1;
    let mut checks = vec![open_files(instances), processes(instances), ports(place, pool), core_dumps()];
    checks.extend(disk(place));
    checks.extend(runtimes(config.search_path.as_deref()));
    checks
}

fn open_files(instances: u64) -> Check {
    const ID: &str = "open-files";
    let needed = BASE_FILES + FILES_PER_INSTANCE * instances;
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((_, hard)) if hard >= needed => {
            Check::ok(ID, format!("{hard} may be open; {needed} are enough for {instances} instances"))
        }
        Ok((_, hard)) => Check::warning(
            ID,
            format!("only {hard} may be open; {instances} instances need {needed}"),
            "callers wait or are turned away when all are in use",
            format!("raise the hard limit (`ulimit -Hn`, LimitNOFILE={needed} in the unit)"),
        ),
        Err(error) => unreadable(ID, &error),
    }
}

fn processes(instances: u64) -> Check {
    const ID: &str = "processes";
    let needed = PROCESSES_PER_INSTANCE * instances;
    match getrlimit(Resource::RLIMIT_NPROC) {
        // It does not hold for root, and each instance's user has the limit for itself.
        _ if nix::unistd::geteuid().is_root() => Check::ok(ID, "no limit for root"),
        Ok((soft, _)) if soft >= needed => {
            Check::ok(ID, format!("{soft} may run; {needed} are enough for {instances} instances"))
        }
        Ok((soft, _)) => Check::warning(
            ID,
            format!("only {soft} may run; {instances} instances need about {needed}"),
            "launches fail when the limit is reached",
            format!("raise the limit (`ulimit -u`, LimitNPROC={needed} in the unit)"),
        ),
        Err(error) => unreadable(ID, &error),
    }
}

fn ports(place: &Place, pool: PortRange) -> Check {
    const ID: &str = "ports";
    let ours = place.run_root.as_deref().map(roadstead_supervisor::ports_held).unwrap_or_default();
    let (first, last) = (pool.first().get(), pool.last().get());
    let is_taken = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_err();
    let foreign: Vec<u16> = (first..=last).filter(|port| !ours.contains(port)).filter(is_taken).collect();
    let all = usize::from(last - first) + 1;
    let free = all - foreign.len() - ours.iter().filter(|port| (first..=last).contains(port)).count();
    let found = format!(
        "{first}–{last}: {free} free, {} with instances, {} held by others",
        ours.len(),
        foreign.len()
    );
    let next = "`roadstead` keeps off those; end the programs, or move the pool (settings port.range_start, port.range_end)";
    match foreign.len() {
        0 => Check::ok(ID, found),
        held if held == all => Check::broken(ID, found, "no instance can be launched", next),
        _ => Check::warning(ID, found, "fewer instances can live at one time", next),
    }
}

fn disk(place: &Place) -> Vec<Check> {
    let path = place.nearest();
    let about = match statvfs(path) {
        Ok(about) => about,
        Err(error) => return vec![unreadable("disk-space", &error)],
    };
    let free = about.blocks_available() * about.fragment_size();
    let found = format!("{} MiB free below {}", free / 1024 / 1024, path.display());
    let next = "make room, or move the data folder (--data-dir)";
    let space = if free < BROKEN_BYTES {
        Check::broken("disk-space", found, "the database and the spools of instances cannot be written", next)
    } else if free < LEAST_BYTES {
        Check::warning("disk-space", found, "log lines, usage and a database of ours soon fill it", next)
    } else {
        Check::ok("disk-space", found)
    };
    let inodes = about.files_available();
    // Some file systems make them as they go, and count none.
    let inodes = if about.files() > 0 && inodes < LEAST_INODES {
        Check::warning(
            "disk-inodes",
            format!("{inodes} files can be made"),
            "packages of servers cannot be unpacked",
            next,
        )
    } else {
        Check::ok(
            "disk-inodes",
            if about.files() > 0 { format!("{inodes} files can be made") } else { "not limited".to_owned() },
        )
    };
    vec![space, inodes]
}

fn core_dumps() -> Check {
    const ID: &str = "core-dumps";
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    if pattern.starts_with('|') {
        // The handler is asked whatever the limit says.
        return Check::warning(
            ID,
            format!(
                "crashes are handed to {}",
                pattern.trim_start_matches('|').split(' ').next().unwrap_or("a program").trim()
            ),
            "what a crashing server had in memory, credentials included, may be kept by it; the service and its shims are never dumped",
            "tell the handler not to keep dumps of servers, or set kernel.core_pattern to a plain name",
        );
    }
    Check::ok(ID, "none: servers have a limit of 0, the service and its shims cannot be dumped")
}

fn runtimes(search_path: Option<&OsStr>) -> Vec<Check> {
    let check =
        |(id, (name, next)): (&'static str, (&'static str, &'static str))| match find(search_path, name) {
            Some(path) => Check::ok(id, path.display().to_string()),
            None => Check::warning(
                id,
                format!("{name} is not in PATH"),
                "server types that start with it cannot be launched",
                next,
            ),
        };
    RUNTIME_IDS.into_iter().zip(RUNTIMES).map(check).collect()
}

fn find(search_path: Option<&OsStr>, name: &str) -> Option<PathBuf> {
    let is_program = |path: &PathBuf| {
        std::fs::metadata(path).is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
    };
    std::env::split_paths(search_path?).map(|folder| folder.join(name)).find(is_program)
}

fn unreadable(id: &'static str, error: &dyn std::error::Error) -> Check {
    Check::warning(
        id,
        format!("could not be looked at: {error}"),
        "nobody knows",
        "see why the system refuses",
    )
}
