//! What a mount namespace of its own shows to an instance: the machine, read-only; its own folders; nothing of anybody else.
//!
//! Landlock refuses to open a file, but not to change its mode or its times, to watch it, or to see that it is there. Two
//! instances of one user are therefore kept apart by names, too: what is empty here has nothing that could be named.
//!
//! ```text
//! copy what is kept ─► all mounts read-only ─► per path, outer ones first: an empty folder over what is hidden,
//!                                              what is kept back in its place ─► a place in memory for secrets
//! ```

use std::ffi::CString;
use std::fs::{self, DirBuilder};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};

use crate::landlock::open_beneath;
use crate::privilege::{Ids, PrivilegeError};
use crate::rules::{LINKED_PROGRAMS, RESOLVERS};

/// Folders that everybody on a machine writes into; an instance has its own, in memory.
const SHARED: [&str; 3] = ["/tmp", "/dev/shm", "/var/tmp"];
/// Where the machine's services have their sockets.
const SOCKETS: &str = "/run";
/// Memory for the names in an empty folder.
const EMPTY_BYTES: u64 = 64 * 1024;
/// Memory for secrets in files: a few keys and certificates.
const SECRETS_BYTES: u64 = 1024 * 1024;
/// Memory for what is written into the shared folders where no limit says more.
const SHARED_BYTES: u64 = 256 * 1024 * 1024;
/// The part of an instance's memory that each shared folder may take.
const SHARED_PART: u64 = 4;

/// What an instance's mount namespace shows. All paths are absolute and without links, but for the grants.
#[derive(Debug, Default)]
pub struct View {
    /// Folders in which nothing exists but what is kept.
    pub hidden: Vec<PathBuf>,
    /// Stays as it is.
    pub kept: Vec<PathBuf>,
    /// Stays, and can be written.
    pub writable: Vec<PathBuf>,
    /// Stays, opened without leaving its root; writable or not.
    pub granted: Vec<(PathBuf, PathBuf, bool)>,
    /// The folder for secrets, in memory, with nothing in it.
    pub secrets: Option<PathBuf>,
    /// Memory of the whole instance, if it is limited.
    pub memory_bytes: Option<u64>,
}

/// One change, at a path.
enum Change {
    Keep { copy: OwnedFd, is_folder: bool, closed: u64 },
    Link(PathBuf),
    Empty,
    Share,
}

impl View {
    /// The folders that processes of other instances write into as well, and that are an instance's own in its namespace.
    pub fn shared_folders() -> impl Iterator<Item = &'static Path> {
        SHARED.into_iter().map(Path::new)
    }

    /// Makes this process's mount namespace so. `ids` are the owner of the folder for secrets.
    pub(crate) fn show(&self, ids: Option<Ids>) -> Result<(), PrivilegeError> {
        let mut changes = self.changes()?;
        // Outer paths first; what is hidden at the very place of what is kept is hidden.
        changes.sort_by_key(|(path, change)| {
            (path.components().count(), !matches!(change, Change::Keep { .. } | Change::Link(_)))
        });
        if let Some(secrets) = self.secrets.as_ref().filter(|path| !self.hides(path)) {
            make_folders(secrets).map_err(PrivilegeError::at("make the folder for secrets"))?;
        }
        set_read_only(Path::new("/"), libc::AT_RECURSIVE)
            .map_err(PrivilegeError::at("make the mounts read-only"))?;
        let mut emptied = Vec::new();
        for (path, change) in &changes {
            if self.make(path, change)? && matches!(change, Change::Empty) {
                emptied.push(path);
            }
        }
        if let Some(secrets) = &self.secrets {
            make_folders(secrets).map_err(PrivilegeError::at("make the folder for secrets"))?;
            let owner = ids.map(|ids| format!(",uid={},gid={}", ids.uid, ids.gid)).unwrap_or_default();
            let options = format!("size={SECRETS_BYTES},mode=0700{owner}");
            put_memory(secrets, &options).map_err(PrivilegeError::at("mount the folder for secrets"))?;
        }
        let mut closed = emptied.into_iter().map(|path| set_read_only(path, 0));
        closed.try_for_each(|result| result).map_err(PrivilegeError::at("close an empty folder"))
    }

    fn changes(&self) -> Result<Vec<(PathBuf, Change)>, PrivilegeError> {
        let run = PathBuf::from(SOCKETS);
        let shared: Vec<PathBuf> =
            Self::shared_folders().filter_map(|path| path.canonicalize().ok()).collect();
        let mut changes = Vec::new();
        let machines = RESOLVERS.iter().copied().chain([LINKED_PROGRAMS]).map(PathBuf::from);
        for path in self.kept.iter().cloned().chain(machines).filter(|path| self.hides(path)) {
            changes.extend(keep(path, true)?);
        }
        for path in &self.writable {
            changes.extend(keep(path.clone(), false)?);
        }
        for (root, below, write) in &self.granted {
            // Whoever makes the rules of files says what became of it.
            let Ok(file) = open_beneath(root, below) else { continue };
            let path = path_of(file.as_fd()).map_err(PrivilegeError::at("name a granted folder"))?;
            if *write || self.hides(&path) {
                // People's files are data. Where they lie below a folder that is an instance's own, Landlock alone
                // would not say so.
                let closed = libc::MOUNT_ATTR_NOEXEC | if *write { 0 } else { libc::MOUNT_ATTR_RDONLY };
                changes.push((path, copy(file.as_fd(), closed)?));
            }
        }
        changes.extend(self.hidden.iter().cloned().chain([run]).map(|path| (path, Change::Empty)));
        changes.extend(shared.into_iter().map(|path| (path, Change::Share)));
        Ok(changes)
    }

    /// Whether something empty covers this path.
    fn hides(&self, path: &Path) -> bool {
        let mut machines = [Path::new(SOCKETS)].into_iter().chain(Self::shared_folders());
        machines.any(|folder| path.starts_with(folder))
            || self.hidden.iter().any(|folder| path.starts_with(folder))
    }

    /// Makes one change; false where there is nothing to be changed.
    fn make(&self, path: &Path, change: &Change) -> Result<bool, PrivilegeError> {
        let made = match change {
            // Not there, or hidden with a folder around it.
            Change::Empty | Change::Share if !path.is_dir() => return Ok(false),
            Change::Empty => put_memory(path, &format!("size={EMPTY_BYTES},mode=0755")),
            Change::Share => {
                let bytes = self.memory_bytes.map_or(SHARED_BYTES, |bytes| bytes / SHARED_PART);
                put_memory(path, &format!("size={bytes},mode=1777"))
            }
            Change::Link(to) => {
                let folders = path.parent().map_or(Ok(()), make_folders);
                folders.and_then(|()| symlink(to, path).map_err(|error| errno(&error)))
            }
            Change::Keep { copy, is_folder, closed } => {
                let place = if *is_folder { make_folders(path) } else { make_file(path) };
                place.and_then(|()| put(copy, path)).and_then(|()| match closed {
                    0 => Ok(()),
                    _ => close(path, *closed, libc::AT_RECURSIVE),
                })
            }
        };
        let step = match change {
            Change::Empty => "hide a folder",
            Change::Share => "mount a folder of its own over a shared one",
            Change::Keep { .. } | Change::Link(_) => "keep a folder in its place",
        };
        made.map(|()| true).map_err(PrivilegeError::at(step))
    }
}

/// A copy of what is mounted there, for a path that exists. A link is one again.
fn keep(path: PathBuf, read_only: bool) -> Result<Option<(PathBuf, Change)>, PrivilegeError> {
    let closed = if read_only { libc::MOUNT_ATTR_RDONLY } else { 0 };
    match crate::landlock::open_exactly(&path) {
        Ok(file) => Ok(Some((path, copy(file.as_fd(), closed)?))),
        Err(_) => Ok(fs::read_link(&path).ok().map(|to| (path, Change::Link(to)))),
    }
}

fn copy(file: BorrowedFd<'_>, closed: u64) -> Result<Change, PrivilegeError> {
    let at = PrivilegeError::at("copy the mount of a folder that is kept");
    let is_folder = nix::sys::stat::fstat(file).map_err(&at)?.st_mode & libc::S_IFMT == libc::S_IFDIR;
    let copy = copy_mount(file).map_err(&at)?;
    Ok(Change::Keep { copy, is_folder, closed })
}

/// The way to an open file, by the names that it has now.
fn path_of(file: BorrowedFd<'_>) -> Result<PathBuf, Errno> {
    fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).map_err(|error| errno(&error))
}

fn make_folders(path: &Path) -> Result<(), Errno> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(|error| errno(&error))
}

fn make_file(path: &Path) -> Result<(), Errno> {
    if path.exists() {
        return Ok(());
    }
    path.parent().map_or(Ok(()), make_folders)?;
    fs::write(path, "").map_err(|error| errno(&error))
}

fn errno(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

fn put_memory(path: &Path, options: &str) -> Result<(), Errno> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("none"), path, Some("tmpfs"), flags, Some(options))
}

/// Nothing below can be written through the mount that is there.
fn set_read_only(path: &Path, flags: libc::c_int) -> Result<(), Errno> {
    close(path, libc::MOUNT_ATTR_RDONLY, flags)
}

/// Gives the mount that is there attributes that take something away.
#[expect(unsafe_code, reason = "mount_setattr has no safe form")]
fn close(path: &Path, attributes: u64, flags: libc::c_int) -> Result<(), Errno> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    let attributes = libc::mount_attr { attr_set: attributes, attr_clr: 0, propagation: 0, userns_fd: 0 };
    // SAFETY: the kernel reads a string and a structure of the size given; both live through the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            flags,
            std::ptr::from_ref(&attributes),
            size_of::<libc::mount_attr>(),
        )
    };
    Errno::result(result).map(drop)
}

#[expect(unsafe_code, reason = "open_tree has no safe form")]
fn copy_mount(file: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let flags = libc::OPEN_TREE_CLONE
        | libc::OPEN_TREE_CLOEXEC
        | (libc::AT_EMPTY_PATH | libc::AT_RECURSIVE).unsigned_abs();
    // SAFETY: the kernel reads an empty string.
    let made = unsafe { libc::syscall(libc::SYS_open_tree, file.as_raw_fd(), c"".as_ptr(), flags) };
    let made = libc::c_int::try_from(Errno::result(made)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(made) })
}

#[expect(unsafe_code, reason = "move_mount has no safe form")]
fn put(copy: &OwnedFd, path: &Path) -> Result<(), Errno> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the kernel reads two strings that live through the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            copy.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::MOVE_MOUNT_F_EMPTY_PATH,
        )
    };
    Errno::result(result).map(drop)
}

#[cfg(test)]
mod tests;
