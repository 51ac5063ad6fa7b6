use std::os::unix::fs::{PermissionsExt as _, chown};

use nix::sched::{CloneFlags, unshare};

use super::*;
use crate::namespace::{make_private, map_own_user};
use crate::privilege::{become_user, hide_memory};
use crate::testing::one_behind;

/// A user that nobody has.
const STRANGER: Ids = Ids { uid: 1_879_099_997, gid: 1_879_099_997 };

/// An installation's data, people's folders beside it, and what an instance is to see of them.
struct Place {
    _folders: [tempfile::TempDir; 2],
    data: PathBuf,
    people: PathBuf,
    view: View,
}

fn place() -> Place {
    // Below a folder that instances do not share, and beside the test, where nothing else is hidden.
    let beside = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let folders = [tempfile::tempdir_in("/tmp").unwrap(), tempfile::tempdir_in(beside).unwrap()];
    let [data, people] = [&folders[0], &folders[1]].map(|folder| folder.path().canonicalize().unwrap());
    for path in ["instances/own", "instances/other", "store/package"] {
        fs::create_dir_all(data.join(path)).unwrap();
    }
    for path in ["project", "reading", "private"] {
        fs::create_dir_all(people.join(path)).unwrap();
        fs::write(people.join(path).join("file"), "").unwrap();
    }
    fs::write(data.join("store/package/file"), "").unwrap();
    fs::write(data.join("key"), "").unwrap();
    symlink("package/file", data.join("store/link")).unwrap();
    symlink(people.join("private"), people.join("way-out")).unwrap();
    let granted = [("project", true), ("reading", false), ("way-out", true)]
        .map(|(below, write)| (people.clone(), below.into(), write));
    let view = View {
        hidden: vec![data.clone()],
        kept: vec![data.join("store/package"), data.join("store/link")],
        writable: vec![data.join("instances/own")],
        granted: granted.into(),
        secrets: Some(data.join("run/secrets")),
        memory_bytes: None,
    };
    for entry in [&data, &people].into_iter().flat_map(|path| walk(path)) {
        fs::set_permissions(&entry, fs::Permissions::from_mode(0o777)).unwrap();
        if nix::unistd::geteuid().is_root() {
            chown(&entry, Some(STRANGER.uid), Some(STRANGER.gid)).unwrap();
        }
    }
    Place { _folders: folders, data, people, view }
}

fn walk(path: &Path) -> Vec<PathBuf> {
    let below = fs::read_dir(path).into_iter().flatten().flatten();
    let kind = |entry: &fs::DirEntry| entry.file_type().unwrap();
    let mut all = vec![path.to_owned()];
    for entry in below.filter(|entry| !kind(entry).is_symlink()) {
        all.extend(if kind(&entry).is_dir() { walk(&entry.path()) } else { vec![entry.path()] });
    }
    all
}

/// Who makes the namespace: root, or the user itself in a user namespace.
fn enter(view: &View, as_root: bool) -> Result<(), Errno> {
    let is_root = nix::unistd::geteuid().is_root();
    let step = |error: PrivilegeError| error.source;
    if as_root {
        unshare(CloneFlags::CLONE_NEWNS)?;
    } else {
        let own = Ids { uid: nix::unistd::geteuid().as_raw(), gid: nix::unistd::getegid().as_raw() };
        if is_root {
            become_user(STRANGER).map_err(step)?;
        }
        nix::sys::prctl::set_dumpable(true)?;
        unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUSER)?;
        map_own_user(if is_root { STRANGER } else { own }).map_err(step)?;
    }
    make_private().map_err(step)?;
    view.show(as_root.then_some(STRANGER)).map_err(step)?;
    if as_root {
        become_user(STRANGER).map_err(step)?;
    }
    hide_memory().map_err(step)
}

fn tried(place: &Place, attempt: &dyn Fn() -> libc::c_long) -> Vec<Errno> {
    let ways = if nix::unistd::geteuid().is_root() { vec![true, false] } else { vec![false] };
    ways.into_iter().map(|as_root| one_behind(|| enter(&place.view, as_root), attempt)).collect()
}

#[track_caller]
fn says(place: &Place, errno: i32, attempt: &dyn Fn() -> libc::c_long) {
    for said in tried(place, attempt) {
        assert_eq!(said, Errno::from_raw(errno));
    }
}

fn c(path: impl AsRef<Path>) -> CString {
    CString::new(path.as_ref().as_os_str().as_bytes()).unwrap()
}

#[expect(unsafe_code, reason = "the attempts are bare system calls in a forked child")]
fn mark(path: impl AsRef<Path>) -> impl Fn() -> libc::c_long {
    let path = c(path);
    // SAFETY: the string lives as long as the closure.
    move || unsafe { libc::chmod(path.as_ptr(), 0o700) }.into()
}

#[expect(unsafe_code, reason = "the attempts are bare system calls in a forked child")]
fn make(path: impl AsRef<Path>) -> impl Fn() -> libc::c_long {
    let path = c(path);
    // SAFETY: the string lives as long as the closure.
    move || unsafe { libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CREAT, 0o600) }.into()
}

#[expect(unsafe_code, reason = "the attempts are bare system calls in a forked child")]
fn read(path: impl AsRef<Path>) -> impl Fn() -> libc::c_long {
    let path = c(path);
    // SAFETY: the string lives as long as the closure.
    move || unsafe { libc::open(path.as_ptr(), libc::O_RDONLY) }.into()
}

/// What is said of a place that is not the instance's own: it is closed, or does not exist where everybody writes.
fn unreachable(path: &Path) -> libc::c_int {
    let is_shared = View::shared_folders().any(|folder| path.starts_with(folder));
    if is_shared { libc::ENOENT } else { libc::EROFS }
}

#[test]
fn other_instances_and_our_own_data_do_not_exist() {
    let place = place();
    for path in ["instances/other", "key", "store/other"] {
        says(&place, libc::ENOENT, &mark(place.data.join(path)));
        says(&place, libc::ENOENT, &read(place.data.join(path)));
    }
    let shared = tempfile::NamedTempFile::new_in("/dev/shm").unwrap();
    says(&place, libc::ENOENT, &read(shared.path()));
}

#[test]
fn its_own_folder_is_where_it_was_and_a_package_can_be_read_only() {
    let place = place();
    says(&place, 0, &make(place.data.join("instances/own/new")));
    assert!(place.data.join("instances/own/new").exists(), "it is the same folder");
    says(&place, 0, &read(place.data.join("store/package/file")));
    says(&place, 0, &read(place.data.join("store/link")));
    says(&place, libc::EROFS, &make(place.data.join("store/package/new")));
    says(&place, libc::EROFS, &mark(place.data.join("store/package/file")));
}

#[test]
fn everything_else_keeps_its_marks() {
    let place = place();
    for path in ["private/file", "private"] {
        says(&place, unreachable(&place.people), &mark(place.people.join(path)));
    }
    says(&place, libc::EROFS, &mark(place.people.join("reading/file")));
    says(&place, libc::EROFS, &mark("/etc/hosts"));
    let program = std::env::current_exe().unwrap();
    says(&place, unreachable(&program), &mark(&program));
}

#[test]
fn granted_folders_can_be_changed_as_granted_and_a_way_out_is_none() {
    let place = place();
    says(&place, 0, &make(place.people.join("project/new")));
    says(&place, 0, &read(place.people.join("reading/file")));
    says(&place, libc::EROFS, &make(place.people.join("reading/new")));
    says(&place, unreachable(&place.people), &make(place.people.join("way-out/new")));
}

#[test]
fn shared_folders_and_the_folder_for_secrets_are_its_own() {
    let place = place();
    for folder in View::shared_folders() {
        let file = folder.join("roadstead-test-of-shared-folders");
        says(&place, 0, &make(&file));
        assert!(!file.exists());
    }
    says(&place, 0, &make(place.data.join("run/secrets/key")));
    assert!(!place.data.join("run").exists());
}

#[test]
fn a_folder_around_what_is_hidden_may_be_granted() {
    let mut place = place();
    place.view = View {
        hidden: vec![place.people.join("private")],
        writable: vec![place.people.clone()],
        ..View::default()
    };
    says(&place, 0, &make(place.people.join("new")));
    says(&place, libc::ENOENT, &read(place.people.join("private/file")));
    says(&place, libc::EROFS, &make(place.people.join("private/new")));
}
