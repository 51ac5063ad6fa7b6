//! A file of somebody else's is replaced whole, with what it was beside it, or not touched.

use std::os::unix::fs::symlink;

use super::*;

const NOW: OffsetDateTime = time::macros::datetime!(2026-01-31 12:00 UTC);

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, text: &str, mode: u32) -> PathBuf {
        let path = self.0.path().join("mcp.json");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().mode() & 0o777
}

#[test]
fn the_old_file_stays_beside_the_new_one() {
    let folder = Folder::new();
    let path = folder.file("old", 0o640);
    let backup = ClientFile::read(&path).unwrap().replace("new", Holds::NoToken, NOW).unwrap().unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
    assert_eq!(std::fs::read_to_string(&backup).unwrap(), "old");
    assert_eq!((mode(&path), mode(&backup)), (0o640, 0o600));
    assert_eq!(folder.names(), ["mcp.json", "mcp.json.20260131T120000Z.bak"]);
    // A second one of the same second does not write over the first.
    let second = ClientFile::read(&path).unwrap().replace("newer", Holds::NoToken, NOW).unwrap().unwrap();
    assert_eq!(std::fs::read_to_string(&second).unwrap(), "new");
    assert_eq!(std::fs::read_to_string(&backup).unwrap(), "old");
}

#[test]
fn a_file_with_a_token_is_its_owners_alone() {
    let folder = Folder::new();
    let path = folder.file("old", 0o644);
    ClientFile::read(&path).unwrap().replace("token", Holds::Token, NOW).unwrap();
    assert_eq!(mode(&path), 0o600);
    let fresh = folder.0.path().join("deeper/mcp.json");
    let made = ClientFile::read(&fresh).unwrap().replace("token", Holds::Token, NOW).unwrap();
    assert_eq!((made, mode(&fresh)), (None, 0o600));
}

#[test]
fn what_is_no_file_of_text_is_refused() {
    let folder = Folder::new();
    let path = folder.file("old", 0o600);
    let place = |name: &str| folder.0.path().join(name);
    symlink(&path, place("link")).unwrap();
    symlink(place("nowhere"), place("dangling")).unwrap();
    std::fs::create_dir(place("folder")).unwrap();
    nix::unistd::mkfifo(&place("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::fs::write(place("bytes"), [0xff, 0xfe, 0x00]).unwrap();
    File::create(place("large")).unwrap().set_len(MAX_BYTES + 1).unwrap();
    let before = folder.names();
    assert!(matches!(ClientFile::read(&place("link")), Err(FileError::Link { .. })));
    assert!(matches!(ClientFile::read(&place("dangling")), Err(FileError::Link { .. })));
    assert!(matches!(ClientFile::read(&place("folder")), Err(FileError::NotAFile { .. })));
    assert!(matches!(ClientFile::read(&place("pipe")), Err(FileError::NotAFile { .. })));
    assert!(matches!(ClientFile::read(&place("bytes")), Err(FileError::NotText { .. })));
    assert!(matches!(ClientFile::read(&place("large")), Err(FileError::TooLarge { .. })));
    assert!(matches!(ClientFile::read(&path.join("below")), Err(FileError::System { .. })));
    assert_eq!(folder.names(), before);
}

#[test]
fn a_file_that_may_not_be_read_is_named() {
    let folder = Folder::new();
    let path = folder.file("old", 0o000);
    if nix::unistd::geteuid().is_root() {
        // Nothing is closed to root.
        assert!(ClientFile::read(&path).is_ok());
        return;
    }
    let error = ClientFile::read(&path).unwrap_err();
    assert!(error.to_string().contains("mcp.json"), "{error}");
}

#[test]
fn what_was_changed_meanwhile_is_not_written_over() {
    let folder = Folder::new();
    let path = folder.file("old", 0o600);
    let read = ClientFile::read(&path).unwrap();
    std::fs::write(&path, "somebody else's").unwrap();
    assert!(matches!(read.replace("ours", Holds::NoToken, NOW), Err(FileError::Changed { .. })));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "somebody else's");
    let gone = folder.0.path().join("new.json");
    let read = ClientFile::read(&gone).unwrap();
    std::fs::write(&gone, "somebody else's").unwrap();
    assert!(read.replace("ours", Holds::NoToken, NOW).is_err());
    assert_eq!(folder.names(), ["mcp.json", "new.json"]);
}

#[test]
fn a_file_keeps_its_owner() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let folder = Folder::new();
    let path = folder.file("old", 0o600);
    std::os::unix::fs::chown(&path, Some(4711), Some(4712)).unwrap();
    ClientFile::read(&path).unwrap().replace("new", Holds::NoToken, NOW).unwrap();
    let about = std::fs::metadata(&path).unwrap();
    assert_eq!((about.uid(), about.gid()), (4711, 4712));
}
