//! The package store of this installation: where it is, with which of the machine's programs, and how it reaches registries.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use roadstead_model::limits;
use roadstead_orchestrator::Orchestrator;
use roadstead_packages::{ErrandGroups, PackageStore, StoreConfig, find_tools};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Environment};
use crate::data_folder::make_folder;

/// What a package manager is told of this machine: the way out of it, whom to trust, and which registries to ask. Whatever
/// holds a password is a secret of the machine, and there is none among what these are for, but for addresses of proxies and
/// registries, which may: a package's scripts would see them, where an administrator lets them run.
const VARIABLES: &[&str] = &[
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "https_proxy",
    "http_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "PIP_CERT",
    "PIP_INDEX_URL",
    "npm_config_registry",
    "CARGO_HTTP_CAINFO",
];
/// Registries answer there.
const HTTPS: u16 = 443;
/// How often it is looked which packages are needed: as exactly is known when one was needed last.
const LOOK: Duration = Duration::from_hours(1);
/// Where nothing says where programs are.
const USUAL_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Those of them that are set.
pub(crate) fn variables(environment: &dyn Environment) -> BTreeMap<String, String> {
    let set = |name: &&str| Some(((*name).to_owned(), environment.get(name)?.into_string().ok()?));
    VARIABLES.iter().filter_map(set).collect()
}

/// Opens the store in a data folder.
pub(crate) fn store(
    config: &Config,
    data_folder: &Path,
    programs: &Path,
    groups: ErrandGroups,
) -> anyhow::Result<PackageStore> {
    let is_root = nix::unistd::geteuid().is_root();
    let folder = data_folder.join("packages");
    make_folder(&folder, 0o755).with_context(|| format!("could not make {}", folder.display()))?;
    let path = config.search_path.as_ref().and_then(|path| path.to_str()).unwrap_or(USUAL_PATH);
    let config = StoreConfig {
        folder,
        installer: programs.join("roadstead-installer"),
        user: roadstead_orchestrator::installer_user(),
        owner: is_root.then_some(0),
        tools: find_tools(&format!("{path}:{USUAL_PATH}"), is_root),
        ports: ports(&config.package_environment),
        environment: config.package_environment.clone(),
        budget: limits::INSTALL_BUDGET,
        max_bytes: limits::MAX_PACKAGE_BYTES,
        max_files: limits::MAX_PACKAGE_FILES,
        groups: Some(groups),
        max_memory_bytes: limits::MAX_INSTALL_MEMORY_BYTES,
    };
    PackageStore::open(config).context("the package store could not be opened")
}

/// Keeps in mind which packages are needed, and cleans the store once a day, until `soft` is cancelled. By the service that
/// holds the data folder, whoever reaps: the store is that folder's, and a reaper of its own may run beside another service.
pub(crate) async fn look_after(orchestrator: Orchestrator, soft: CancellationToken) {
    crate::tasks::every(LOOK, &soft, || async {
        if let Err(error) = orchestrator.look_after_packages().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "installed packages were not looked after; the next look is the retry"
            );
        }
    })
    .await;
}

/// HTTPS, and the ports of proxies and registries that are named.
fn ports(environment: &BTreeMap<String, String>) -> Vec<u16> {
    let mut ports = vec![HTTPS];
    for url in environment.values().filter(|value| value.contains("://")) {
        let Ok(uri) = url.parse::<http::Uri>() else { continue };
        let usual = if uri.scheme_str() == Some("http") { 80 } else { HTTPS };
        let port = uri.port_u16().unwrap_or(usual);
        if !ports.contains(&port) {
            ports.push(port);
        }
    }
    ports
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ways_to_proxies_and_registries_are_open_and_no_other() {
        let environment = [
            ("HTTPS_PROXY", "http://user:pass@proxy.example:3128"),
            ("npm_config_registry", "https://npm.example/registry/"),
            ("PIP_INDEX_URL", "http://pypi.example/simple"),
            ("NO_PROXY", "localhost"),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let mut found = ports(&environment);
        found.sort_unstable();
        assert_eq!(found, [80, 443, 3128]);
        assert_eq!(ports(&BTreeMap::new()), [443]);
    }
}
