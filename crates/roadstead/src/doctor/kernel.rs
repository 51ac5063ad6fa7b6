//! What the kernel lets us do with processes. The shim's own program tries it, in the calls that it will need.

use std::process::Stdio;

use roadstead_cli::checks::Check;
use roadstead_model::{ConfinementLevel, LEAST_LANDLOCK_ABI, Mechanisms};
use roadstead_supervisor::Controller;
use serde::Deserialize;

use super::PATIENCE;

/// The check of what limits all processes of an instance together.
pub(super) const CONTROL_GROUPS: &str = "control-groups";
/// The capability to look into any process.
const SYS_PTRACE: u64 = 1 << 19;

/// What `roadstead-shim --probe` prints.
#[derive(Debug, Deserialize)]
struct Probe {
    isolation: String,
    no_namespace: Option<String>,
    no_other_user: Option<String>,
    no_death_signal: Option<String>,
    no_subreaper: Option<String>,
    landlock_abi: u8,
    seccomp: bool,
    no_view: Option<String>,
}

pub(super) async fn checks(service: Option<i32>) -> Vec<Check> {
    let unlimited = roadstead_supervisor::unlimited(service);
    let mut checks = match probe().await {
        Ok(probe) => {
            let mut checks = of_probe(&probe);
            checks.extend([landlock(probe.landlock_abi), seccomp(&probe), mounts(&probe)]);
            checks.push(confinement(&probe, unlimited.is_empty()));
            checks
        }
        Err(error) => vec![Check::broken(
            "shim",
            format!("roadstead-shim does not run: {error:#}"),
            "no instance can be launched",
            "install roadstead-shim of the same version beside this program (`cargo build --release` builds all)",
        )],
    };
    checks.push(control_groups(&unlimited, service.is_some()));
    checks.push(proc_access());
    checks
}

async fn probe() -> anyhow::Result<Probe> {
    let program = crate::service::program_folder()?.join("roadstead-shim");
    let output = tokio::time::timeout(PATIENCE, run(&program)).await??;
    anyhow::ensure!(output.status.success(), "it ended with {}", output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}

#[expect(clippy::disallowed_methods, reason = "the one place that asks the shim's program what it can do")]
async fn run(program: &std::path::Path) -> std::io::Result<std::process::Output> {
    tokio::process::Command::new(program)
        .arg("--probe")
        .env_clear()
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
}

fn of_probe(probe: &Probe) -> Vec<Check> {
    let refused = |reason: &Option<String>| reason.clone().unwrap_or_default();
    let namespace = match probe.isolation.as_str() {
        "none" => Check::warning(
            "pid-namespace",
            refused(&probe.no_namespace),
            "what a server starts is found by walking processes; what left its session may outlive a crash of the shim \
             until the next start",
            "allow unprivileged user namespaces (`sysctl user.max_user_namespaces`, \
             `kernel.apparmor_restrict_unprivileged_userns=0`), or run as root",
        ),
        "user_namespace" => Check::ok("pid-namespace", "inside a user namespace"),
        _ => Check::ok("pid-namespace", "as root"),
    };
    let other_user = match &probe.no_other_user {
        Some(reason) => Check::broken(
            "user-switch",
            reason.clone(),
            "as root, an instance's server must become a user of its own; launches fail",
            "give the service CAP_SETUID and CAP_SETGID, or do not run it as root",
        ),
        None if nix::unistd::geteuid().is_root() => {
            Check::ok("user-switch", "each instance has a user of its own")
        }
        None => Check::warning(
            "user-switch",
            "this is not root",
            "all instances run as the service's user; only what confines a server keeps them apart",
            "run the service as root where users must not trust each other's servers",
        ),
    };
    let death_signal = match &probe.no_death_signal {
        Some(reason) => Check::warning(
            "parent-death-signal",
            reason.clone(),
            "an init whose shim was killed ends only when it notices",
            "run on a kernel or in a container that allows PR_SET_PDEATHSIG",
        ),
        None => Check::ok("parent-death-signal", "can be asked for"),
    };
    let subreaper = match &probe.no_subreaper {
        Some(reason) => Check::warning(
            "subreaper",
            reason.clone(),
            "daemons that a server leaves behind are found by their environment alone",
            "run on a kernel or in a container that allows PR_SET_CHILD_SUBREAPER",
        ),
        None => Check::ok("subreaper", "can be asked for"),
    };
    vec![Check::ok("shim", "roadstead-shim runs"), namespace, other_user, death_signal, subreaper]
}

/// What versions of Landlock do not wall that are older than the least that counts.
fn not_walled(abi: u8) -> Vec<&'static str> {
    let came_with = [
        (1, "files"),
        (2, "moving files between folders"),
        (3, "truncating files"),
        (4, "TCP ports"),
        (5, "commands to devices"),
        (6, "signals and abstract sockets"),
    ];
    let missing =
        came_with.into_iter().filter(|(version, _)| (abi + 1..=LEAST_LANDLOCK_ABI).contains(version));
    missing.map(|(_, what)| what).collect()
}

fn landlock(abi: u8) -> Check {
    const ID: &str = "landlock";
    let found = match abi {
        0 => "this kernel has no Landlock, or it was not started".to_owned(),
        abi => format!("ABI {abi}"),
    };
    let open = not_walled(abi);
    if open.is_empty() {
        return Check::ok(ID, found);
    }
    Check::warning(
        ID,
        format!("{found}; not walled: {}", open.join(", ")),
        "a server can reach there what others of its user can; its confinement is `basic` at most",
        "run a kernel from 6.12 on with Landlock among its security modules (`lsm=landlock,…`), and a container whose \
         seccomp profile allows it",
    )
}

fn seccomp(probe: &Probe) -> Check {
    const ID: &str = "seccomp";
    if probe.seccomp {
        return Check::ok(ID, "system calls can be refused");
    }
    Check::warning(
        ID,
        "system calls cannot be refused",
        "a server may make every system call of an ordinary program; its confinement is `none`",
        "run a kernel with CONFIG_SECCOMP_FILTER, and a container that allows it",
    )
}

fn mounts(probe: &Probe) -> Check {
    const ID: &str = "mounts";
    let Some(reason) = &probe.no_view else {
        return Check::ok(ID, "the folders of other instances can be hidden");
    };
    Check::warning(
        ID,
        reason.clone(),
        "other instances' folders exist for a server; without a user of its own, its confinement is `basic` at most",
        "allow unprivileged user namespaces and mounts in them, or run as root outside of a container",
    )
}

/// The level that instances reach here, judged as each instance is.
fn confinement(probe: &Probe, has_control_group: bool) -> Check {
    const ID: &str = "confinement";
    let mechanisms = Mechanisms {
        no_new_privileges: true,
        seccomp: probe.seccomp,
        landlock_abi: probe.landlock_abi,
        own_user: nix::unistd::geteuid().is_root() && probe.no_other_user.is_none(),
        namespace: probe.isolation != "none" && probe.no_view.is_none(),
        cgroup: has_control_group,
    };
    let level = mechanisms.level();
    let missing = |wanted| mechanisms.lacking(wanted).join(", ");
    match level {
        ConfinementLevel::Full => Check::ok(ID, "instances reach `full`"),
        ConfinementLevel::Strong => {
            let missing = missing(ConfinementLevel::Full);
            Check::ok(ID, format!("instances reach `strong`; for `full` is missing: {missing}"))
        }
        ConfinementLevel::Basic | ConfinementLevel::None => Check::warning(
            ID,
            format!(
                "instances reach `{level}`; for `strong` is missing: {}",
                missing(ConfinementLevel::Strong)
            ),
            "one server is not kept from the files, processes and ports of another",
            "see the checks of what is missing; types that demand more are not launched",
        ),
    }
}

fn control_groups(missing: &[Controller], is_running: bool) -> Check {
    let missing: Vec<&str> = missing.iter().copied().map(Controller::as_str).collect();
    let of = if is_running { "the running service" } else { "a service started from here" };
    if missing.is_empty() {
        return Check::ok(CONTROL_GROUPS, format!("memory, cpu and pids can be limited for {of}"));
    }
    Check::warning(
        CONTROL_GROUPS,
        format!("{of} cannot limit {} for an instance as a whole", missing.join(", ")),
        "an instance that takes too much memory or too many processes is ended at the next look instead of held back, and \
         takes what it can of the processors until then",
        "run the service by systemd with Delegate=yes, or as root",
    )
}

fn proc_access() -> Check {
    const ID: &str = "proc-access";
    let hidden = procfs::process::Process::myself().and_then(|own| own.mountinfo()).is_ok_and(|mounts| {
        mounts.0.iter().any(|mount| {
            let hidepid = mount.super_options.get("hidepid").and_then(Option::as_deref).unwrap_or("0");
            mount.mount_point == std::path::Path::new("/proc") && !["0", "off"].contains(&hidepid)
        })
    });
    let status = procfs::process::Process::myself().and_then(|own| own.status());
    let sees_all = status.is_ok_and(|status| status.capeff & SYS_PTRACE != 0);
    let next = "run the service as root, or with CAP_SYS_PTRACE";
    match (sees_all, hidden) {
        (true, _) => Check::ok(ID, "every process can be looked into"),
        (false, false) => Check::warning(
            ID,
            "processes that hide their memory, as shims do, cannot be looked into",
            "`roadstead stats` shows no PSS and no open files for them",
            next,
        ),
        (false, true) => Check::warning(
            ID,
            "/proc is mounted with hidepid, and others' processes cannot be seen",
            "`roadstead stats` shows nothing of instances that run as other users",
            next,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_of_landlock_lacks_what_came_later() {
        assert_eq!(not_walled(LEAST_LANDLOCK_ABI), [""; 0]);
        assert_eq!(not_walled(4), ["commands to devices", "signals and abstract sockets"]);
        assert_eq!(not_walled(0).len(), 6);
        assert!(not_walled(u8::MAX - 1).is_empty());
    }
}
