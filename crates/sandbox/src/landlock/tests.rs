use std::ffi::CString;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;
use crate::privilege::{self, Ids};
use crate::testing::one_behind;

/// A user that nobody has.
const STRANGER: u32 = 1_879_099_998;

/// Two instances' folders, open to everybody so that only the walls refuse.
struct Place {
    _folder: tempfile::TempDir,
    own: PathBuf,
    other: PathBuf,
    secret: PathBuf,
}

fn open_to_all(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    open_to_all(folder.path(), 0o755);
    let [own, other] = ["own", "other"].map(|name| folder.path().canonicalize().unwrap().join(name));
    for each in [&own, &other] {
        std::fs::create_dir(each).unwrap();
        open_to_all(each, 0o777);
    }
    let secret = other.join("secret");
    std::fs::write(&secret, "of another instance").unwrap();
    open_to_all(&secret, 0o666);
    Place { _folder: folder, own, other, secret }
}

fn c(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

/// Stands behind the rules, as root where the tests run as root, and as somebody else.
fn tried(rules: &Rules, attempt: &dyn Fn() -> libc::c_long) -> Vec<Errno> {
    let users = if nix::unistd::geteuid().is_root() { vec![None, Some(STRANGER)] } else { vec![None] };
    let one = |user: Option<u32>| {
        let ruleset = Ruleset::build(rules).unwrap().expect("this machine has Landlock");
        let walls = move || {
            if let Some(id) = user {
                privilege::become_user(Ids { uid: id, gid: id }).map_err(|e| e.source)?;
            }
            privilege::forbid_new_privileges().map_err(|e| e.source)?;
            ruleset.enter()
        };
        one_behind(walls, attempt)
    };
    users.into_iter().map(one).collect()
}

#[track_caller]
fn refused(rules: &Rules, attempt: &dyn Fn() -> libc::c_long) {
    for errno in tried(rules, attempt) {
        assert!(matches!(errno, Errno::EACCES | Errno::EPERM | Errno::EXDEV), "{errno}");
    }
}

#[track_caller]
fn allowed(rules: &Rules, attempt: &dyn Fn() -> libc::c_long) {
    for errno in tried(rules, attempt) {
        assert_eq!(errno, Errno::from_raw(0));
    }
}

#[expect(unsafe_code, reason = "the attempts are bare system calls in a forked child")]
fn open_it(path: &Path, flags: i32) -> impl Fn() -> libc::c_long {
    let path = c(path);
    // SAFETY: the string lives as long as the closure.
    move || unsafe { libc::open(path.as_ptr(), flags, 0o600) }.into()
}

#[expect(unsafe_code, reason = "the attempts are bare system calls in a forked child")]
fn rename_it(from: &Path, to: &Path) -> impl Fn() -> libc::c_long {
    let (from, to) = (c(from), c(to));
    // SAFETY: the strings live as long as the closure.
    move || unsafe { libc::rename(from.as_ptr(), to.as_ptr()) }.into()
}

#[test]
fn this_machine_has_landlock() {
    assert!(abi() >= 6, "the other tests need it");
}

#[test]
fn another_instances_folder_cannot_be_opened_however_it_is_called() {
    let place = place();
    let rules = Rules { write: vec![place.own.clone()], ..Rules::default() };
    symlink(&place.secret, place.own.join("link")).unwrap();
    let mine = place.own.join("mine");
    std::fs::write(&mine, "").unwrap();
    open_to_all(&mine, 0o666);
    allowed(&rules, &open_it(&mine, libc::O_RDWR | libc::O_TRUNC));
    for path in
        [place.secret.clone(), place.own.join("link"), place.own.join("../other/secret"), place.other.clone()]
    {
        refused(&rules, &open_it(&path, libc::O_RDONLY));
    }
    refused(&rules, &open_it(&place.other.join("new"), libc::O_WRONLY | libc::O_CREAT));
    refused(&rules, &open_it(&place.secret, libc::O_WRONLY | libc::O_TRUNC));
    std::fs::write(place.own.join("moved"), "").unwrap();
    refused(&rules, &rename_it(&place.own.join("moved"), &place.other.join("moved")));
    refused(&rules, &rename_it(&place.secret, &place.own.join("stolen")));
}

#[test]
fn what_is_for_reading_is_not_written_and_what_is_for_reading_only_is_not_executed() {
    let place = place();
    let program = place.other.join("true");
    std::fs::copy("/bin/true", &program).unwrap();
    open_to_all(&program, 0o755);
    let rules = Rules { read: vec![place.other.clone()], ..Rules::default() };
    allowed(&rules, &open_it(&place.secret, libc::O_RDONLY));
    refused(&rules, &open_it(&place.secret, libc::O_WRONLY));
    refused(&rules, &open_it(&place.other.join("new"), libc::O_WRONLY | libc::O_CREAT));
    refused(&rules, &run_it(&program));
    let rules = Rules { execute: vec![place.other.clone()], ..Rules::default() };
    allowed(&rules, &run_it(&program));
}

/// Executes in a child, and tells whether that was begun.
#[expect(unsafe_code, reason = "the attempts are bare system calls in a forked child")]
fn run_it(program: &Path) -> impl Fn() -> libc::c_long {
    let program = c(program);
    // SAFETY: the strings live through the calls; the child leaves at once.
    move || unsafe {
        let child = libc::fork();
        if child == 0 {
            let arguments = [program.as_ptr(), std::ptr::null()];
            libc::execv(program.as_ptr(), arguments.as_ptr());
            libc::_exit(Errno::last_raw());
        }
        let mut status = 0;
        libc::waitpid(child, &raw mut status, 0);
        *libc::__errno_location() = libc::WEXITSTATUS(status);
        if libc::WEXITSTATUS(status) == 0 { 0 } else { -1 }
    }
}

#[test]
fn the_machines_own_is_readable_but_not_its_secrets_or_other_peoples_folders() {
    let rules = Rules::default();
    for path in ["/etc/hosts", "/etc/ssl/certs", "/proc/self/status", "/usr/bin", "/dev/urandom"] {
        allowed(&rules, &open_it(Path::new(path), libc::O_RDONLY));
    }
    allowed(&rules, &open_it(Path::new("/dev/null"), libc::O_WRONLY));
    for path in ["/etc/shadow", "/etc/ssl/private", "/root", "/home", "/var/log", "/tmp", "/etc", "/dev", "/"]
    {
        refused(&rules, &open_it(Path::new(path), libc::O_RDONLY));
    }
}

#[test]
fn a_path_that_became_a_link_since_opens_nothing() {
    let place = place();
    let package = place.own.join("package");
    symlink(&place.other, &package).unwrap();
    let rules = Rules { execute: vec![package.clone()], write: vec![package], ..Rules::default() };
    refused(&rules, &open_it(&place.secret, libc::O_RDONLY));
}

#[test]
fn nothing_outside_a_root_is_opened_by_a_link_or_by_going_up() {
    let place = place();
    symlink(&place.other, place.own.join("link")).unwrap();
    symlink("inside", place.own.join("within")).unwrap();
    std::fs::create_dir(place.own.join("inside")).unwrap();
    for below in ["link", "link/secret", "../other", "inside/../../other", "/etc"] {
        assert_eq!(open_beneath(&place.own, Path::new(below)).unwrap_err(), Errno::EXDEV, "{below}");
    }
    for below in ["", "inside", "within", "within/../inside"] {
        open_beneath(&place.own, Path::new(below)).unwrap();
    }
}

#[test]
fn a_grant_holds_for_what_was_opened_not_for_what_takes_its_name() {
    let place = place();
    let [kept, project] = ["kept", "project"].map(|name| place.own.join(name));
    std::fs::create_dir(&project).unwrap();
    std::fs::write(project.join("file"), "").unwrap();
    for path in [&project, &project.join("file")] {
        open_to_all(path, 0o777);
    }
    let file = open_beneath(&place.own, Path::new("project")).unwrap();
    std::fs::rename(&project, &kept).unwrap();
    symlink(&place.other, &project).unwrap();
    let rules = Rules { granted: vec![Granted { file, write: false }], ..Rules::default() };
    refused(&rules, &open_it(&project.join("secret"), libc::O_RDONLY));
    allowed(&rules, &open_it(&kept.join("file"), libc::O_RDONLY));
    refused(&rules, &open_it(&kept.join("file"), libc::O_WRONLY));
    let file = open_beneath(&place.own, Path::new("kept")).unwrap();
    let rules = Rules { granted: vec![Granted { file, write: true }], ..Rules::default() };
    allowed(&rules, &open_it(&kept.join("file"), libc::O_WRONLY));
}

#[expect(unsafe_code, reason = "the attempts are bare system calls in a forked child")]
fn on_port(
    port: u16,
    call: unsafe extern "C" fn(i32, *const libc::sockaddr, u32) -> i32,
) -> impl Fn() -> libc::c_long {
    move || {
        let address = libc::sockaddr_in {
            sin_family: libc::AF_INET.unsigned_abs().try_into().unwrap(),
            sin_port: port.to_be(),
            sin_addr: libc::in_addr { s_addr: u32::from(std::net::Ipv4Addr::LOCALHOST).to_be() },
            sin_zero: [0; 8],
        };
        let size = size_of_val(&address).try_into().unwrap();
        // SAFETY: the address lives through the call, and has the size that is told.
        unsafe { call(libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0), (&raw const address).cast(), size) }
            .into()
    }
}

#[test]
fn ports_off_the_list_are_neither_reached_nor_taken() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    refused(&Rules::default(), &on_port(port, libc::connect));
    allowed(&Rules { connect: vec![port], ..Rules::default() }, &on_port(port, libc::connect));
    for port in [0, free] {
        refused(&Rules { connect: vec![port], ..Rules::default() }, &on_port(port, libc::bind));
    }
    allowed(&Rules { bind: vec![free], ..Rules::default() }, &on_port(free, libc::bind));
}

#[test]
#[expect(unsafe_code, reason = "the attempts are bare system calls in a forked child")]
fn no_process_outside_is_signalled() {
    let parent = nix::unistd::getpid().as_raw();
    // SAFETY: the signal is none.
    refused(&Rules::default(), &|| unsafe { libc::kill(parent, 0) }.into());
}
