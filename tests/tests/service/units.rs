//! The units of systemd, held against systemd itself where it is: without mistakes, and as closed as they are said to be.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Exposure, times ten, that no unit may reach: 10.0 is a unit without a line about it.
const EXPOSURE: u32 = 55;
/// What a hardened unit must never have, because instances are started below it, and how it would show.
const HARMFUL: [&str; 6] = [
    "MemoryDenyWriteExecute=yes",
    "PrivateTmp=yes",
    "ProtectProc=",
    "ProcSubset=",
    "ProtectKernelLogs=yes",
    "ProtectKernelTunables=yes",
];

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the workspace").join("deploy")
}

fn units() -> Vec<(String, String)> {
    let entries = std::fs::read_dir(deploy()).expect("the folder can be read");
    let services = entries.map(|entry| entry.expect("an entry").path());
    let services = services.filter(|path| path.extension().is_some_and(|kind| kind == "service"));
    let read = |path: PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).expect("a plain name").to_owned();
        (name, std::fs::read_to_string(path).expect("a text"))
    };
    services.map(read).collect()
}

#[expect(clippy::disallowed_methods, reason = "asks systemd about a unit")]
fn analyze(arguments: &[&str], unit: &Path) -> Option<Output> {
    Command::new("systemd-analyze").args(arguments).arg(unit).env("SYSTEMD_COLORS", "0").output().ok()
}

#[test]
fn systemd_finds_the_units_sound_and_closed() {
    let folder = tempfile::tempdir().expect("a folder");
    let units = units();
    assert_eq!(units.len(), 2, "the service and its reaper");
    for (name, text) in units {
        // The program is not installed where the tests run.
        let path = folder.path().join(&name);
        std::fs::write(&path, text.replace("/usr/local/bin/roadstead", "/bin/true")).expect("written");
        let Some(verified) = analyze(&["verify", "--man=no"], &path) else {
            eprintln!("systemd-analyze is not here: the units were not verified");
            return;
        };
        let said = String::from_utf8_lossy(&verified.stderr);
        // An older systemd does not know every key, and leaves such a one out.
        let wrong: Vec<&str> = said.lines().filter(|line| !line.contains("'DelegateSubgroup'")).collect();
        assert!(verified.status.success() && wrong.is_empty(), "{name}: {wrong:?}");
        let threshold = format!("--threshold={EXPOSURE}");
        let judged =
            analyze(&["security", "--offline=true", "--no-pager", &threshold], &path).expect("it is here");
        let said = String::from_utf8_lossy(&judged.stderr);
        if said.contains("unrecognized option") {
            eprintln!("this systemd-analyze cannot judge a unit that is not installed: {said}");
            return;
        }
        let verdict = String::from_utf8_lossy(&judged.stdout);
        assert!(judged.status.success(), "{name}: {}", verdict.lines().last().unwrap_or(&said));
    }
}

#[test]
fn the_service_takes_nothing_away_that_instances_need() {
    let units = units();
    let (_, service) =
        units.iter().find(|(name, _)| name == "roadstead.service").expect("the service's unit");
    let set: Vec<&str> = service.lines().filter(|line| !line.starts_with('#')).collect();
    for harmful in HARMFUL {
        assert!(!set.iter().any(|line| line.starts_with(harmful)), "{harmful} breaks instances");
    }
    let namespaces = set.iter().find_map(|line| line.strip_prefix("RestrictNamespaces=")).expect("it is set");
    for needed in ["user", "pid", "mnt", "ipc"] {
        assert!(namespaces.split(' ').any(|each| each == needed), "instances need a namespace: {needed}");
    }
    let denied = set
        .iter()
        .find_map(|line| line.strip_prefix("SystemCallFilter=~"))
        .expect("a list of what is denied");
    for needed in ["@mount", "@privileged", "@resources", "@sandbox"] {
        assert!(!denied.split(' ').any(|each| each == needed), "instances need {needed}");
    }
}
