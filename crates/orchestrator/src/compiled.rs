//! What Node compiled of a package's modules: made by the server that is only asked what its type offers, kept beside the package,
//! and lent to every server that is started of it. Node reads it from 22.1 on, and knows nothing of it before. A server that was
//! given a secret leaves nothing: what it writes, those of other users could read.

use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::{MutexGuard, PoisonError};

use roadstead_model::InstanceId;
use roadstead_packages::InstallError;

use crate::parts::Inner;

/// Where Node is told to look (its documentation: module compile cache).
pub(crate) const VARIABLE: &str = "NODE_COMPILE_CACHE";
/// In an instance's own folder.
const FOLDER: &str = ".node-compile-cache";
/// Of packages that Node runs, the store's first folder.
const OF_NPM: &str = "npm/";
/// The server may look into it, and change nothing.
const MODE: u32 = 0o755;

/// What a server has of it.
pub(crate) struct Lent {
    /// For the variable.
    pub(crate) folder: PathBuf,
    /// What it must be able to read.
    pub(crate) read: Option<PathBuf>,
}

/// The instances whose servers compile for those that come later, each with its package and the user that it runs as.
pub(crate) type Compiling = std::collections::HashMap<InstanceId, (String, u32)>;

/// The one package of npm that a launch is made of; none where it is of several.
pub(crate) fn of_npm(places: &[String]) -> Option<&str> {
    let mut of_npm = places.iter().filter(|place| place.starts_with(OF_NPM));
    of_npm.next().filter(|_| of_npm.next().is_none()).map(String::as_str)
}

impl Inner {
    /// What was compiled of a package, as the user of the instance in the folder `own` finds it; a server that compiles for others
    /// gets nothing but the place for it.
    pub(crate) fn lend_compiled(
        &self,
        place: &str,
        own: &Path,
        user: Option<u32>,
        is_for_others: bool,
    ) -> Option<Lent> {
        let folder = own.join(FOLDER);
        if is_for_others {
            return Some(Lent { folder, read: None });
        }
        let compiled = self.parts.packages.compiled(place)?;
        let user = user.unwrap_or_else(own_user);
        let linked = DirBuilder::new().mode(MODE).create(&folder).and_then(|()| {
            compiled.versions.iter().try_for_each(|version| {
                symlink(compiled.folder.join(version), folder.join(format!("{version}-{user}")))
            })
        });
        match linked {
            Ok(()) => Some(Lent { folder, read: Some(compiled.folder) }),
            Err(error) => {
                tracing::warn!(
                    package = place,
                    error = &error as &dyn std::error::Error,
                    "what was compiled of a package could not be lent to a server, which compiles it again"
                );
                None
            }
        }
    }

    /// From now until it ends, what an instance's server compiles is to be kept.
    pub(crate) fn begin_to_compile(&self, instance: InstanceId, places: &[String], user: Option<u32>) {
        if let Some(place) = of_npm(places) {
            self.compiling().insert(instance, (place.to_owned(), user.unwrap_or_else(own_user)));
        }
    }

    /// Nothing of it is to be kept any more.
    pub(crate) fn compile_no_more(&self, instance: InstanceId) {
        self.compiling().remove(&instance);
    }

    fn compiling(&self) -> MutexGuard<'_, Compiling> {
        self.compiling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what an instance's server has compiled, if that is wanted. Its processes are gone, its folder is there.
    pub(crate) async fn keep_compiled(&self, instance: InstanceId) {
        let Some((place, user)) = self.compiling().remove(&instance) else { return };
        let made = self.parts.workplaces.join(instance.to_string()).join(FOLDER);
        let store = self.parts.packages.clone();
        let kept = async {
            let Some(hold) = store.hold(&place).await? else { return Ok(false) };
            let (store, place) = (store.clone(), place.clone());
            let kept = move || (store.keep_compiled(&place, &made, user), hold).0;
            let kept = tokio::task::spawn_blocking(kept).await;
            kept.map_err(|error| InstallError::Store {
                what: "keep what was compiled",
                source: error.into(),
            })?
        };
        match kept.await {
            Ok(true) => {
                tracing::info!(package = place, "what Node compiled of a package is kept for the next start");
            }
            Ok(false) => {}
            Err(error) => tracing::warn!(
                package = place,
                error = &error as &dyn std::error::Error,
                "what Node compiled of a package could not be kept: servers compile it at each start"
            ),
        }
    }
}

fn own_user() -> u32 {
    nix::unistd::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_package_of_npm_is_meant_beside_others() {
        let places = |places: &[&str]| {
            of_npm(&places.iter().map(|&p| p.to_owned()).collect::<Vec<_>>()).map(str::to_owned)
        };
        assert_eq!(places(&["pypi/a/1-0", "npm/b/1-0"]).as_deref(), Some("npm/b/1-0"));
        assert_eq!(places(&["npm/a/1-0", "npm/b/1-0"]), None);
        assert_eq!(places(&["pypi/a/1-0"]), None);
    }
}
