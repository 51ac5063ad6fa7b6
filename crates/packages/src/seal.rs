//! Makes what was installed nobody's to change: the service's own, readable and executable for everybody.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, lchown};
use std::path::Path;

const EXECUTABLE_BITS: u32 = 0o111;
const FOLDER: u32 = 0o555;
const PROGRAM: u32 = 0o555;
const FILE: u32 = 0o444;
/// A folder that can be emptied again.
const OPEN: u32 = 0o755;

/// Seals everything below a folder, the folder itself last. Links stay what they are: the installer let none lead out.
pub(crate) fn seal(path: &Path, owner: Option<u32>) -> io::Result<()> {
    let meta = fs::symlink_metadata(path)?;
    if let Some(owner) = owner {
        lchown(path, Some(owner), Some(owner))?;
    }
    if meta.file_type().is_symlink() {
        return Ok(());
    }
    if meta.is_dir() {
        for entry in fs::read_dir(path)? {
            seal(&entry?.path(), owner)?;
        }
        return fs::set_permissions(path, Permissions::from_mode(FOLDER));
    }
    let mode = if meta.permissions().mode() & EXECUTABLE_BITS == 0 { FILE } else { PROGRAM };
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// Removes what was sealed.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !meta.is_dir() {
        return fs::remove_file(path);
    }
    // Root needs no permission; everybody else gives it to themselves.
    fs::set_permissions(path, Permissions::from_mode(OPEN))?;
    for entry in fs::read_dir(path)? {
        remove(&entry?.path())?;
    }
    fs::remove_dir(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_is_sealed_is_nobodys_to_change_and_can_be_removed() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        fs::create_dir_all(tree.join("a")).unwrap();
        fs::write(tree.join("a/file"), "text").unwrap();
        fs::write(tree.join("a/program"), "text").unwrap();
        fs::set_permissions(tree.join("a/program"), Permissions::from_mode(0o700)).unwrap();
        symlink("file", tree.join("a/link")).unwrap();
        seal(&tree, None).unwrap();
        let mode = |path: &str| fs::metadata(tree.join(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("a/file"), mode("a/program"), mode("a")), (FILE, PROGRAM, FOLDER));
        remove(&tree).unwrap();
        assert!(!tree.exists());
        remove(&tree).unwrap();
    }
}
