//! A store of its own for each test, and how this machine reaches registries.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use roadstead_packages::{Manager, Package, PackageStore, StoreConfig, Wanted, find_tools};
use roadstead_test_support::registry::Registry;

/// Nobody of this machine.
const USER: u32 = 165_000;
/// How the registries are reached is this machine's.
const ENVIRONMENT: &[&str] = &[
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "NODE_EXTRA_CA_CERTS",
    "PIP_CERT",
    "PIP_INDEX_URL",
    "npm_config_registry",
];

#[expect(
    clippy::disallowed_methods,
    reason = "the machine's own settings, which a service reads from its configuration"
)]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

pub struct Room {
    pub folder: tempfile::TempDir,
    pub store: PackageStore,
    pub root: PathBuf,
    config: StoreConfig,
}

impl Room {
    /// Opened once more, as by another process.
    pub fn another(&self) -> PackageStore {
        PackageStore::open(self.config.clone()).unwrap()
    }
}

pub fn room_with(change: impl FnOnce(&mut StoreConfig)) -> Room {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let root = folder.path().join("packages");
    let names = ENVIRONMENT.iter().filter_map(|name| Some(((*name).to_owned(), variable(name)?)));
    let path = variable("PATH").unwrap_or_default();
    let mut config = StoreConfig {
        folder: root.clone(),
        installer: installer(),
        user: is_root().then_some(USER),
        owner: is_root().then_some(0),
        tools: find_tools(&format!("{path}:/usr/bin"), is_root()),
        environment: names.collect::<BTreeMap<_, _>>(),
        ports: vec![80, 443],
        budget: Duration::from_mins(5),
        max_bytes: 256 << 20,
        max_files: 20_000,
        groups: None,
        max_memory_bytes: 0,
    };
    change(&mut config);
    Room { folder, store: PackageStore::open(config.clone()).unwrap(), root, config }
}

/// One that knows no registry but this.
pub fn room_of(registry: &Registry, change: impl FnOnce(&mut StoreConfig)) -> Room {
    room_with(|config| {
        config.environment = registry.environment();
        config.ports = vec![registry.port()];
        change(config);
    })
}

/// Built beside this test's own program.
pub fn installer() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let program = own.parent().and_then(Path::parent).unwrap().join("roadstead-installer");
    assert!(program.exists(), "{} is missing: cargo build --workspace makes it", program.display());
    program
}

pub fn wanted(manager: Manager, name: &str, version: Option<&str>) -> Wanted {
    let package = Package::new(manager, name, Vec::new(), version.map(str::to_owned)).unwrap();
    Wanted { package, scripts: false }
}

pub fn nothing_is_left(room: &Room) {
    let left: Vec<_> = std::fs::read_dir(room.root.join(".staging")).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}
