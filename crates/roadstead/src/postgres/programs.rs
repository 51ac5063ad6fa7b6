//! Which PostgreSQL to run: from PATH, from the packaged versions, or from an earlier download.
//!
//! A candidate counts only when its programs run, as the user who will run them, and agree on their version: then
//! their libraries are there and belong together.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::account::Account;

/// The oldest major version that our SQL is tested with.
pub(super) const MIN_MAJOR: u32 = 14;
/// Those that we run; a client-only package has neither.
const NAMES: [&str; 2] = ["postgres", "initdb"];
/// Those that write and read backups.
const BACKUP_NAMES: [&str; 2] = ["pg_dump", "pg_restore"];
/// A program that does not even say its version by then hangs.
const VERSION_LIMIT: Duration = Duration::from_secs(10);

/// A folder of programs that run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Programs {
    pub(super) folder: PathBuf,
    pub(super) major: u32,
}

/// Where to look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places<'a> {
    /// The value of PATH.
    pub(super) search_path: Option<&'a OsStr>,
    /// One folder per packaged major version, each with a `bin`.
    pub(super) system: &'a Path,
    /// One folder per downloaded version, each with a `bin`.
    pub(super) downloaded: &'a Path,
}

impl Programs {
    /// The first candidate that runs and fits: any supported version, or the one that a cluster was made with.
    pub(super) async fn find(places: Places<'_>, account: &Account, required: Option<u32>) -> Option<Self> {
        for folder in places.candidates(NAMES) {
            if let Some(found) = Self::inspect(folder, account).await
                && found.fits(required)
            {
                return Some(found);
            }
        }
        None
    }

    /// The programs for backups of a server: of its own version if they are there, else the oldest of the newer ones.
    pub(super) async fn for_backups(places: Places<'_>, account: &Account, server: u32) -> Option<Self> {
        let mut fitting = Vec::new();
        for folder in places.candidates(BACKUP_NAMES) {
            if let Some(found) = Self::inspect_all(folder, account, BACKUP_NAMES).await {
                fitting.push(found);
            }
        }
        fitting.into_iter().filter(|found| found.major >= server).min_by_key(|found| found.major)
    }

    /// What a folder holds, if all its programs run and agree.
    pub(super) async fn inspect(folder: PathBuf, account: &Account) -> Option<Self> {
        Self::inspect_all(folder, account, NAMES).await
    }

    async fn inspect_all(folder: PathBuf, account: &Account, names: [&str; 2]) -> Option<Self> {
        let mut versions = Vec::with_capacity(names.len());
        for name in names {
            versions.push(version_of(&folder.join(name), account).await?);
        }
        let major = major_of(&versions[0])?;
        versions.iter().all(|version| *version == versions[0]).then_some(Self { folder, major })
    }

    fn fits(&self, required: Option<u32>) -> bool {
        required.map_or(self.major >= MIN_MAJOR, |required| self.major == required)
    }

    pub(super) fn initdb(&self) -> PathBuf {
        self.folder.join("initdb")
    }

    pub(super) fn postgres(&self) -> PathBuf {
        self.folder.join("postgres")
    }
}

impl Places<'_> {
    /// Folders that hold all these programs, in the order of preference.
    fn candidates(&self, names: [&'static str; 2]) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let entries = self.search_path.map(std::env::split_paths).into_iter().flatten();
        let on_path = entries.flat_map(|entry| linked_folders(entry, names));
        let packaged = versions_in(self.system).into_iter().chain(versions_in(self.downloaded));
        for folder in on_path.chain(packaged.map(|version| version.join("bin"))) {
            if !found.contains(&folder) && names.iter().all(|name| folder.join(name).is_file()) {
                found.push(folder);
            }
        }
        found
    }
}

/// The folders where the programs of a PATH entry really are: a link into a version's own folder is usual.
fn linked_folders(entry: PathBuf, names: [&'static str; 2]) -> impl Iterator<Item = PathBuf> {
    names.into_iter().filter_map(move |name| {
        let program = entry.join(name).canonicalize().ok()?;
        program.parent().map(Path::to_owned)
    })
}

/// The folders named after a version, highest first.
fn versions_in(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = folder.read_dir() else { return Vec::new() };
    let mut versions: Vec<(Vec<u32>, PathBuf)> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| Some((numbers_of(entry.file_name().to_str()?)?, entry.path())))
        .collect();
    versions.sort();
    versions.into_iter().rev().map(|(_, path)| path).collect()
}

fn numbers_of(name: &str) -> Option<Vec<u32>> {
    name.split('.').map(|part| part.parse().ok()).collect()
}

/// What a program says of its version, without its own name: `15.4 (Debian …)`.
async fn version_of(program: &Path, account: &Account) -> Option<String> {
    let run = account.command(program).arg("--version").output();
    let output = tokio::time::timeout(VERSION_LIMIT, run).await.ok()?.ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (_, version) = text.trim().split_once("(PostgreSQL) ")?;
    output.status.success().then(|| version.to_owned())
}

fn major_of(version: &str) -> Option<u32> {
    let digits = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    version[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn fake(folder: &Path, version: &str) {
        fs::create_dir_all(folder).unwrap();
        for name in NAMES {
            let file = folder.join(name);
            fs::write(&file, format!("#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    fn open_folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        folder
    }

    async fn find(path: &[&Path], system: &Path, required: Option<u32>) -> Option<Programs> {
        let path = std::env::join_paths(path).unwrap();
        let downloaded = system.join("none");
        let places = Places { search_path: Some(&path), system, downloaded: &downloaded };
        let account = Account::choose(Path::new("/nonexistent")).unwrap();
        Programs::find(places, &account, required).await
    }

    #[tokio::test]
    async fn links_on_the_path_lead_to_the_folder_where_the_programs_are() {
        let root = open_folder();
        let (real, links) = (root.path().join("lib/16/bin"), root.path().join("links"));
        fake(&real, "16.2 (Debian)");
        fs::create_dir(&links).unwrap();
        symlink(real.join("initdb"), links.join("initdb")).unwrap();
        let found = find(&[&links], &root.path().join("system"), None).await.unwrap();
        assert_eq!(found, Programs { folder: real.canonicalize().unwrap(), major: 16 });
    }

    #[tokio::test]
    async fn the_highest_packaged_version_wins_and_old_ones_do_not_count() {
        let root = open_folder();
        for (folder, version) in [("9.6", "9.6.1"), ("14", "14.1"), ("9", "9.0"), ("18", "18.0")] {
            fake(&root.path().join(folder).join("bin"), version);
        }
        assert_eq!(find(&[], root.path(), None).await.unwrap().major, 18);
        assert_eq!(find(&[], root.path(), Some(14)).await.unwrap().major, 14);
        fs::remove_dir_all(root.path().join("18")).unwrap();
        fs::remove_dir_all(root.path().join("14")).unwrap();
        assert_eq!(find(&[], root.path(), None).await, None);
    }

    #[tokio::test]
    async fn programs_of_two_versions_in_one_folder_do_not_count() {
        let root = open_folder();
        fake(&root.path().join("16/bin"), "16.2");
        fs::write(root.path().join("16/bin/initdb"), "#!/bin/sh\necho 'initdb (PostgreSQL) 15.1'\n").unwrap();
        assert_eq!(find(&[], root.path(), None).await, None);
    }

    #[tokio::test]
    async fn backups_are_written_by_programs_of_the_servers_version_or_the_next_newer_one() {
        let root = open_folder();
        for version in ["14", "16", "18"] {
            let folder = root.path().join(version).join("bin");
            fake(&folder, &format!("{version}.1"));
            for (own, name) in NAMES.into_iter().zip(BACKUP_NAMES) {
                let text = fs::read_to_string(folder.join(own)).unwrap().replace(own, name);
                fs::write(folder.join(name), text).unwrap();
                fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
        let downloaded = root.path().join("none");
        let places = Places { search_path: None, system: root.path(), downloaded: &downloaded };
        let account = Account::choose(Path::new("/nonexistent")).unwrap();
        for (server, found) in [(14, Some(14)), (15, Some(16)), (18, Some(18)), (19, None)] {
            let chosen = Programs::for_backups(places, &account, server).await;
            assert_eq!(chosen.map(|programs| programs.major), found, "{server}");
        }
    }

    #[test]
    fn the_major_version_is_read_from_releases_and_previews() {
        assert_eq!(major_of("15.18 (Debian 15.18-0)"), Some(15));
        assert_eq!(major_of("18beta1"), Some(18));
        assert_eq!(major_of("devel"), None);
    }
}
