//! Files and folders of others.
#![expect(unsafe_code, reason = "what is tried here has no safe form")]

use std::ffi::CString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{Read as _, Write as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

use crate::outcome::{Outcome, Tried, called, tried};
use crate::target::Target;

/// The largest handle that the kernel makes.
const HANDLE_BYTES: u32 = 128;

pub fn text_of(path: &Path) -> Tried {
    tried(fs::read_to_string(path), |text| format!("{} bytes", text.len()))
}

/// The path as system calls take it.
pub fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap_or_default()
}

/// The own folder.
fn own(name: &str) -> PathBuf {
    std::env::current_dir().unwrap_or_default().join(name)
}

fn fresh_own(name: &str) -> PathBuf {
    let path = own(name);
    let _ = fs::remove_file(&path);
    path
}

fn create(path: &Path) -> Tried {
    tried(File::create(path).and_then(|mut file| file.write_all(b"hostile")), |()| "created".into())
}

pub fn read(target: &Target) -> Outcome {
    let listed = tried(fs::read_dir(&target.folder), |entries| format!("{} names", entries.count()));
    Outcome::any([("list", listed), ("read", text_of(&target.folder.join("private")))])
}

pub fn write(target: &Target) -> Outcome {
    let at = |name: &str| target.folder.join(name);
    let mine = own("mine");
    let _ = fs::write(&mine, "hostile");
    let truncate = OpenOptions::new().write(true).truncate(true).open(at("private"));
    Outcome::any([
        ("create", create(&at("planted"))),
        ("truncate", tried(truncate, |_| "emptied".into())),
        ("unlink", tried(fs::remove_file(at("private")), |()| "removed".into())),
        ("rename", tried(fs::rename(&mine, at("moved")), |()| "moved in".into())),
        ("mkdir", tried(fs::create_dir(at("made")), |()| "made".into())),
    ])
}

pub fn marks(target: &Target) -> Outcome {
    let path = target.folder.join("private");
    let c_path = c_path(&path);
    let times = [libc::timespec { tv_sec: 1, tv_nsec: 0 }; 2];
    // SAFETY: path and times live through the call.
    let utime = unsafe { libc::utimensat(libc::AT_FDCWD, c_path.as_ptr(), times.as_ptr(), 0) };
    let utime = called(utime, "times set");
    // SAFETY: path, name and value live through the call, and the length is the value's.
    let attribute =
        unsafe { libc::setxattr(c_path.as_ptr(), c"user.hostile".as_ptr(), c"x".as_ptr().cast(), 1, 0) };
    let attribute = called(attribute, "attribute set");
    let mode = tried(fs::set_permissions(&path, Permissions::from_mode(0o666)), |()| "mode set".into());
    Outcome::any([("utimensat", utime), ("setxattr", attribute), ("chmod", mode)])
}

pub fn watch(target: &Target) -> Outcome {
    let folder = c_path(&target.folder);
    // SAFETY: makes a descriptor, without pointers.
    let descriptor = unsafe { libc::inotify_init1(libc::IN_CLOEXEC) };
    if descriptor < 0 {
        return Outcome::Refused(Errno::last(), "inotify_init1".into());
    }
    // SAFETY: nobody else has this descriptor.
    let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
    // SAFETY: the path lives through the call.
    let watched =
        unsafe { libc::inotify_add_watch(descriptor.as_raw_fd(), folder.as_ptr(), libc::IN_ALL_EVENTS) };
    let watched = called(watched, "watch");
    let stat = tried(fs::metadata(target.folder.join("private")), |it| format!("{} bytes long", it.len()));
    Outcome::any([("inotify", watched), ("stat", stat)])
}

pub fn tmp(target: &Target) -> Outcome {
    Outcome::of(text_of(&target.tmp_file))
}

pub fn shm(target: &Target) -> Outcome {
    Outcome::of(text_of(&target.shm_file))
}

pub fn package(target: &Target) -> Outcome {
    let planted = target.package.join("planted");
    let appended = OpenOptions::new().append(true).open(target.package.join("package.json"));
    Outcome::any([
        ("create", create(&planted)),
        ("append", tried(appended.and_then(|mut it| it.write_all(b" ")), |()| "appended".into())),
    ])
}

pub fn symlink_out(target: &Target) -> Outcome {
    let link = fresh_own("link-out");
    if let Err(error) = symlink(target.folder.join("private"), &link) {
        return Outcome::of(Err(crate::outcome::errno(&error)));
    }
    let folder = fresh_own("folder-out");
    let through = symlink(&target.folder, &folder).and_then(|()| fs::read_to_string(folder.join("private")));
    Outcome::any([
        ("link to a file", text_of(&link)),
        ("link to a folder", tried(through, |text| format!("{} bytes", text.len()))),
    ])
}

pub fn dotdot_out(target: &Target) -> Outcome {
    let name = target.folder.file_name().unwrap_or_default();
    let path = own("..").join(name).join("private");
    let up = || -> Result<String, Errno> {
        let folder = File::open(own(".")).map_err(|error| crate::outcome::errno(&error))?;
        let parent = openat(&folder, "..", OFlag::O_PATH | OFlag::O_DIRECTORY, Mode::empty())?;
        let below = Path::new(name).join("private");
        let mut file = File::from(openat(&parent, &below, OFlag::O_RDONLY, Mode::empty())?);
        let mut text = String::new();
        tried(file.read_to_string(&mut text), |bytes| format!("{bytes} bytes"))
    };
    // One that shows nobody but oneself is no way out.
    let listed = fs::read_dir(own("..")).map(|entries| entries.flatten().any(|it| it.file_name() == *name));
    let listed = listed_it(listed.map_err(|error| crate::outcome::errno(&error)));
    Outcome::any([("path", text_of(&path)), ("openat", up()), ("list", listed)])
}

fn listed_it(listed: Result<bool, Errno>) -> Tried {
    match listed {
        Ok(true) => Ok("the neighbour is listed".into()),
        Ok(false) => Err(Errno::ENOENT),
        Err(errno) => Err(errno),
    }
}

pub fn hardlink_in(target: &Target) -> Outcome {
    let link = fresh_own("hard-in");
    let linked = fs::hard_link(target.folder.join("private"), &link);
    let outside = fresh_own("hard-outside");
    let other = fs::hard_link(target.outside.join("secret"), &outside);
    let read = |linked: std::io::Result<()>, link: &Path| match tried(linked, |()| String::new()) {
        Ok(_) => text_of(link),
        Err(errno) => Err(errno),
    };
    Outcome::any([("neighbour", read(linked, &link)), ("outside", read(other, &outside))])
}

pub fn granted_escape(target: &Target) -> Outcome {
    let sub = target.project.join("sub");
    let moved = tried(fs::rename(&sub, target.project.join("sub-moved")), |()| String::new());
    let swapped = moved.and_then(|_| tried(symlink(&target.outside, &sub), |()| String::new()));
    if let Err(errno) = swapped {
        return Outcome::Refused(errno, "the granted folder itself could not be changed".into());
    }
    let up = target.project.join("..").join(target.outside.file_name().unwrap_or_default()).join("secret");
    Outcome::any([("swapped", text_of(&sub.join("secret"))), ("dotdot", text_of(&up))])
}

pub fn read_only_write(target: &Target) -> Outcome {
    if let Err(errno) = text_of(&target.reading.join("book")) {
        // What cannot even be read proves nothing.
        return Outcome::Absent(format!("it is not open for reading either: {errno:?}"));
    }
    let appended = OpenOptions::new().append(true).open(target.reading.join("book"));
    Outcome::any([
        ("create", create(&target.reading.join("planted"))),
        ("append", tried(appended, |_| "opened".into())),
        ("unlink", tried(fs::remove_file(target.reading.join("book")), |()| "removed".into())),
    ])
}

pub fn secrets(target: &Target) -> Outcome {
    Outcome::any(target.secrets.iter().map(|path| {
        ("open", tried(fs::read(path), |bytes| format!("{}: {} bytes", path.display(), bytes.len())))
    }))
}

pub fn machine_secrets(_: &Target) -> Outcome {
    let root = tried(fs::read_dir("/root"), |entries| format!("{} names", entries.count()));
    Outcome::any([("shadow", text_of(Path::new("/etc/shadow"))), ("root", root)])
}

pub fn private_key(target: &Target) -> Outcome {
    Outcome::of(text_of(&target.private_key))
}

/// A handle as the kernel writes it.
#[repr(C)]
struct Handle {
    bytes: u32,
    kind: i32,
    data: [u8; HANDLE_BYTES as usize],
}

pub fn handle(target: &Target) -> Outcome {
    let path = c_path(&target.folder.join("private"));
    let mut handle = Handle { bytes: HANDLE_BYTES, kind: 0, data: [0; HANDLE_BYTES as usize] };
    let mut mount = 0_i32;
    // SAFETY: path, handle and mount live through the call, and the handle says how long it is.
    let named = unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            libc::AT_FDCWD,
            path.as_ptr(),
            &raw mut handle,
            &raw mut mount,
            0,
        )
    };
    if let Err(errno) = called(named, "named") {
        return Outcome::Refused(errno, "name_to_handle_at".into());
    }
    let folder = match File::open(own(".")) {
        Ok(folder) => folder,
        Err(error) => return Outcome::of(Err(crate::outcome::errno(&error))),
    };
    // SAFETY: the handle lives through the call, and the descriptor is open.
    let opened = unsafe {
        libc::syscall(
            libc::SYS_open_by_handle_at,
            folder.as_raw_fd(),
            &raw mut handle,
            libc::O_RDONLY | libc::O_CLOEXEC,
        )
    };
    Outcome::any([("open_by_handle_at", called(opened, "opened"))])
}
