//! Real packages of real registries, installed by the real installer, confined as in service.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use roadstead_packages::{InstallError, Interpreter, Manager, Progress, Stored, Tools, Wanted, find_tools};

use crate::room::{Room, is_root, nothing_is_left, room_with, variable, wanted};

async fn installed(room: &Room, wanted: &Wanted) -> (Stored, Vec<Progress>) {
    let heard = Mutex::new(Vec::new());
    let stored = room.store.install(wanted, |progress| heard.lock().unwrap().push(progress)).await;
    let (stored, _hold) = stored.unwrap_or_else(|error| panic!("{error}: {error:?}"));
    (stored, heard.into_inner().unwrap())
}

#[expect(clippy::disallowed_methods, reason = "what was installed is run as a shim would run it, in short")]
fn output(program: &Path, args: &[&str]) -> String {
    let mut command = std::process::Command::new(program);
    let output = command.args(args).env_clear().env("PATH", "/usr/bin:/bin").output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn runs(stored: &Stored, tools: &Tools, name: &str, args: &[&str]) -> String {
    let found = stored.installed.executables.iter().find(|one| one.name == name).unwrap();
    let path = stored.tree.join(&found.path);
    let path = path.to_str().unwrap();
    match found.interpreter {
        Interpreter::Node => output(tools.node.as_ref().unwrap(), &[&[path], args].concat()),
        Interpreter::Python => output(tools.python.as_ref().unwrap(), &[&["-I", "-S", path], args].concat()),
        Interpreter::None => output(Path::new(path), args),
    }
}

fn everything_is_sealed(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let meta = entry.path().symlink_metadata().unwrap();
        if meta.is_symlink() {
            continue;
        }
        assert_eq!(meta.permissions().mode() & 0o222, 0, "{} can be changed", entry.path().display());
        if meta.is_dir() {
            everything_is_sealed(&entry.path());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_of_npm_is_installed_once_sealed_and_runs() {
    let room = room_with(|_| {});
    let wanted = wanted(Manager::Npm, "semver", Some("7.7.3"));
    let (one, two) = tokio::join!(installed(&room, &wanted), installed(&room, &wanted));
    assert_eq!(one.0, two.0);
    let heard = [&one.1, &two.1].map(Vec::len);
    assert!(
        heard.contains(&0) && heard.iter().sum::<usize>() > 1,
        "one installs, the other waits: {heard:?}"
    );
    let stored = one.0;
    assert_eq!(stored.installed.version, "7.7.3");
    assert!(stored.installed.integrity.starts_with("sha512-"), "{}", stored.installed.integrity);
    assert_eq!(stored.installed.packages.len(), 1);
    assert!(stored.installed.lock.contains("sha512-"));
    everything_is_sealed(&stored.tree);
    let tools = find_tools(&format!("{}:/usr/bin", variable("PATH").unwrap_or_default()), is_root());
    assert_eq!(runs(&stored, &tools, "semver", &["1.2.3", "-r", "^1.0.0"]).trim(), "1.2.3");
    nothing_is_left(&room);
    // Found again by another who opens the store, and by its digest when the newest is asked for.
    let names: Vec<_> = room.store.all().into_iter().map(|stored| stored.name).collect();
    assert_eq!(names, ["semver"]);
    let claim = room.store.claim(stored).unwrap().unwrap();
    room.store.take_out(claim).unwrap().remove().unwrap();
    assert!(room.store.all().is_empty());
    nothing_is_left(&room);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_of_pypi_is_installed_as_wheels_and_runs_alone() {
    let room = room_with(|_| {});
    let (stored, heard) = installed(&room, &wanted(Manager::Pypi, "shortuuid", Some("1.0.13"))).await;
    assert!(!heard.is_empty());
    assert_eq!(stored.installed.version, "1.0.13");
    assert!(stored.installed.integrity.starts_with("sha256:"), "{}", stored.installed.integrity);
    everything_is_sealed(&stored.tree);
    let tools = find_tools(&format!("{}:/usr/bin", variable("PATH").unwrap_or_default()), is_root());
    let said = runs(&stored, &tools, "shortuuid", &[]);
    assert_eq!(said.trim().len(), 22, "{said}");
    nothing_is_left(&room);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_said_to_be_missing() {
    let room = room_with(|_| {});
    for wanted in [
        wanted(Manager::Npm, "semver", Some("99.99.99")),
        wanted(Manager::Pypi, "shortuuid", Some("99.99.99")),
    ] {
        let error = room.store.install(&wanted, |_| {}).await.unwrap_err();
        let InstallError::Refused { code, message } = error else { panic!("{error:?}") };
        assert_eq!(code, "not_found", "{message}");
        assert!(message.contains("99.99.99"), "{message}");
    }
    nothing_is_left(&room);
    assert!(room.store.all().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_size_time_and_scripts_are_kept() {
    let small = room_with(|config| config.max_files = 5);
    let semver = wanted(Manager::Npm, "semver", Some("7.7.3"));
    let error = small.store.install(&semver, |_| {}).await.unwrap_err();
    assert!(matches!(&error, InstallError::Refused { code, .. } if code == "too_large"), "{error:?}");
    nothing_is_left(&small);

    let hasty = room_with(|config| config.budget = Duration::from_millis(1));
    let error = hasty.store.install(&semver, |_| {}).await.unwrap_err();
    assert!(matches!(error, InstallError::Installer(_)), "{error:?}");
    nothing_is_left(&hasty);

    for (closed, words) in [(None, "not installed"), (Some("/closed/bin/node"), "lies at /closed/bin/node")] {
        let closed = closed.map(|path| ("node".to_owned(), path.into())).into_iter().collect();
        let room = room_with(|config| config.tools = Tools { closed, ..Tools::default() });
        let error = room.store.install(&semver, |_| {}).await.unwrap_err();
        let InstallError::Refused { code, message } = error else { panic!("{error:?}") };
        assert_eq!(code, "missing_tool");
        assert!(message.contains(words), "{message}");
    }
}
