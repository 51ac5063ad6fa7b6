//! What Node compiled of a package's modules, kept beside the package: a server that is started with it reads it instead of
//! compiling. Node writes it when a process ends by itself (from 22.1 on, `NODE_COMPILE_CACHE`), into one folder for each of its
//! versions and users: `v24.1.0-x64-0123abcd-1000`.
//!
//! It was written by a server, so nothing is believed of it but names and sizes. Only servers of the same package read it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use crate::seal;
use crate::store::{InstallError, PackageStore, Staged, failed};

/// Beside the package's tree.
const FOLDER: &str = "compiled";
/// The most modules that are kept.
const MAX_FILES: usize = 20_000;
/// The most that they may be together.
const MAX_BYTES: u64 = 128 * 1024 * 1024;
/// A module's file is named by a checksum.
const LONGEST_NAME: usize = 16;
/// A version's folder, without the user.
const LONGEST_VERSION: usize = 64;
const SHARED: u32 = 0o755;

/// What was compiled of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    /// The folder of all of it.
    pub folder: PathBuf,
    /// What stands in it: folders named for versions of Node, without a user.
    pub versions: Vec<String>,
}

impl PackageStore {
    /// What was compiled of a package; none, where nothing was.
    pub fn compiled(&self, place: &str) -> Option<Compiled> {
        let folder = self.path_of(place).join(FOLDER);
        let named = |entry: fs::DirEntry| entry.file_name().into_string().ok();
        let versions: Vec<String> = fs::read_dir(&folder).ok()?.flatten().filter_map(named).collect();
        (!versions.is_empty()).then_some(Compiled { folder, versions })
    }

    /// Keeps what a server of a package, which has ended, compiled as a user in the folder `made`; replaces what there was. False
    /// when it compiled nothing, or what it left cannot be that. The caller holds the package.
    pub fn keep_compiled(&self, place: &str, made: &Path, user: u32) -> Result<bool, InstallError> {
        let staged = Staged::new(self.staging_folder()?)?;
        if !copy_all(made, user, &staged.path).map_err(failed("keep what was compiled of a package"))? {
            return Ok(false);
        }
        for version in fs::read_dir(&staged.path).map_err(failed("seal what was compiled"))?.flatten() {
            seal::seal(&version.path(), self.owner()).map_err(failed("seal what was compiled"))?;
        }
        let kept = self.path_of(place).join(FOLDER);
        let former = Staged::new(self.staging_folder()?)?;
        match fs::rename(&kept, &former.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("replace what was compiled of a package")(error));
            }
            _ => {}
        }
        fs::rename(&staged.path, &kept).map_err(failed("keep what was compiled of a package"))?;
        Ok(true)
    }
}

/// Copies what looks like compiled modules; false when there is nothing, or too much. Links are followed nowhere.
fn copy_all(made: &Path, user: u32, kept: &Path) -> io::Result<bool> {
    if !is_folder(made) {
        return Ok(false);
    }
    let suffix = format!("-{user}");
    let (mut files, mut bytes) = (0, 0);
    for entry in fs::read_dir(made)? {
        let entry = entry?;
        let name = entry.file_name().into_string().unwrap_or_default();
        let Some(version) = name.strip_suffix(&suffix).filter(|version| is_version(version)) else {
            continue;
        };
        if !is_folder(&entry.path()) {
            continue;
        }
        let target = kept.join(version);
        DirBuilder::new().mode(SHARED).create(&target)?;
        for module in fs::read_dir(entry.path())? {
            let module = module?;
            let name = module.file_name().into_string().unwrap_or_default();
            if !is_checksum(&name) {
                continue;
            }
            files += 1;
            bytes += copy(&module.path(), &target.join(name), MAX_BYTES - bytes)?;
            if files > MAX_FILES || bytes >= MAX_BYTES {
                return Ok(false);
            }
        }
    }
    Ok(files > 0)
}

/// Copies a file and answers its size, at most `most`: then it is not copied. Nothing of what is no file.
fn copy(from: &Path, to: &Path, most: u64) -> io::Result<u64> {
    // A pipe would be waited for, a link followed.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let Ok(from) = OpenOptions::new().read(true).custom_flags(flags.bits()).open(from) else { return Ok(0) };
    let meta = from.metadata()?;
    if !meta.is_file() {
        return Ok(0);
    }
    if meta.len() >= most {
        return Ok(most);
    }
    io::copy(&mut from.take(most), &mut File::create_new(to)?)
}

fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir())
}

fn is_version(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    name.starts_with('v') && name.len() <= LONGEST_VERSION && name.chars().all(is_plain)
}

fn is_checksum(name: &str) -> bool {
    !name.is_empty() && name.len() <= LONGEST_NAME && name.chars().all(|c| c.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn copied(made: &Path) -> (bool, Vec<String>) {
        let kept = tempfile::tempdir().unwrap();
        let any = copy_all(made, 1000, kept.path()).unwrap();
        let mut found = Vec::new();
        for version in fs::read_dir(kept.path()).unwrap().flatten() {
            for file in fs::read_dir(version.path()).unwrap().flatten() {
                let path = file.path();
                found.push(path.strip_prefix(kept.path()).unwrap().to_str().unwrap().to_owned());
            }
        }
        found.sort();
        (any, found)
    }

    #[test]
    fn modules_of_the_user_are_kept_under_the_version_alone() {
        let made = tempfile::tempdir().unwrap();
        for (folder, file) in [
            ("v24.1.0-x64-0a1b-1000", "00ff"),
            ("v24.1.0-x64-0a1b-1000", "b"),
            ("v24.1.0-x64-0a1b-1001", "01"),
            ("v22.9.0-arm64-ff-1000", "02"),
            ("else-1000", "03"),
        ] {
            let folder = made.path().join(folder);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(file), "code").unwrap();
        }
        let expected = ["v22.9.0-arm64-ff/02", "v24.1.0-x64-0a1b/00ff", "v24.1.0-x64-0a1b/b"];
        assert_eq!(copied(made.path()), (true, expected.map(str::to_owned).to_vec()));
    }

    #[test]
    fn what_leads_elsewhere_or_is_no_module_is_passed_over() {
        let made = tempfile::tempdir().unwrap();
        let folder = made.path().join("v24.1.0-x64-0a1b-1000");
        fs::create_dir(&folder).unwrap();
        symlink("/etc/passwd", folder.join("00")).unwrap();
        nix::unistd::mkfifo(&folder.join("01"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        fs::create_dir(folder.join("02")).unwrap();
        fs::write(folder.join("..name"), "code").unwrap();
        assert_eq!(copied(made.path()).1, Vec::<String>::new());
        let elsewhere = tempfile::tempdir().unwrap();
        let linked = elsewhere.path().join("linked");
        symlink(made.path(), &linked).unwrap();
        fs::write(folder.join("03"), "code").unwrap();
        assert_eq!(copied(&linked), (false, Vec::new()));
        assert_eq!(copied(&elsewhere.path().join("missing")), (false, Vec::new()));
        assert_eq!(copied(made.path()), (true, vec!["v24.1.0-x64-0a1b/03".to_owned()]));
    }

    #[test]
    fn too_much_is_not_kept() {
        let made = tempfile::tempdir().unwrap();
        let folder = made.path().join("v24.1.0-x64-0a1b-1000");
        fs::create_dir(&folder).unwrap();
        File::create(folder.join("00")).unwrap().set_len(MAX_BYTES + 1).unwrap();
        assert!(!copied(made.path()).0);
    }
}
