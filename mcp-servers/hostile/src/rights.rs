//! More rights than one was given: users, capabilities, namespaces, mounts, devices, control groups.
#![expect(unsafe_code, reason = "what is tried here has no safe form")]

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use crate::child::try_in_child;
use crate::files::c_path;
use crate::outcome::{Outcome, Tried, called, errno, tried};
use crate::target::Target;

/// The version of the structures of `capset` that has two words for each set.
const CAPABILITY_VERSION: u32 = 0x2008_0522;
const CAP_NET_BIND_SERVICE: libc::c_ulong = 10;
/// A flag of `open_tree`.
const OPEN_TREE_CLONE: libc::c_uint = 1;
/// The first disk that a virtual machine has.
const DISK: (u64, u64) = (254, 0);

/// A call's answer as the work of a child.
fn done(result: impl Into<i64>) -> Result<(), Errno> {
    called(result, "").map(drop)
}

pub fn setuid_program(target: &Target) -> Outcome {
    Outcome::any([("id -u", run_as_root(&target.setuid))])
}

#[expect(clippy::disallowed_methods, reason = "what a server starts is its own business")]
fn run_as_root(program: &Path) -> Tried {
    let output = Command::new(program).arg("-u").stdin(Stdio::null()).output();
    let output = output.map_err(|error| errno(&error))?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if said == "0" { Ok("runs as root".into()) } else { Err(Errno::EPERM) }
}

pub fn capability(_: &Target) -> Outcome {
    Outcome::any([
        ("setuid", try_in_child("is root", || nix::unistd::setuid(nix::unistd::Uid::from_raw(0)))),
        ("capset", try_in_child("has all", all_capabilities)),
        (
            "ambient",
            try_in_child("raised", || {
                // SAFETY: takes numbers alone.
                done(unsafe {
                    libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0)
                })
            }),
        ),
    ])
}

fn all_capabilities() -> Result<(), Errno> {
    let header = [CAPABILITY_VERSION, 0];
    let sets = [u32::MAX, u32::MAX, 0, 0x1ff, 0x1ff, 0];
    // SAFETY: the kernel reads two structures of this version, which live through the call.
    done(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) })
}

/// What a new user namespace must be good for: all rights within.
fn in_new_user() -> Result<(), Errno> {
    // SAFETY: takes a number.
    done(unsafe { libc::unshare(libc::CLONE_NEWUSER) })
}

/// A child in a new user namespace, by the older call or the newer one.
fn cloned(newer: bool) -> Tried {
    let flags = libc::CLONE_NEWUSER as u64;
    let args = [flags, 0, 0, 0, libc::SIGCHLD as u64, 0, 0, 0];
    // SAFETY: without a stack of its own the child goes on with a copy of this one, as after `fork`.
    let child = unsafe {
        if newer {
            libc::syscall(libc::SYS_clone3, args.as_ptr(), size_of_val(&args))
        } else {
            libc::syscall(libc::SYS_clone, flags | libc::SIGCHLD as u64, 0, 0, 0, 0)
        }
    };
    if child == 0 {
        // SAFETY: ends this process; nothing of it is used any more.
        unsafe { libc::_exit(0) }
    }
    let got = called(child, "process")?;
    let mut status = 0;
    // SAFETY: the status lives through the call.
    unsafe { libc::waitpid(i32::try_from(child).unwrap_or(-1), &raw mut status, 0) };
    Ok(got)
}

pub fn user_namespace(_: &Target) -> Outcome {
    Outcome::any([
        ("unshare", try_in_child("unshared", in_new_user)),
        ("clone", cloned(false)),
        ("clone3", cloned(true)),
    ])
}

fn entered(pid: i32, kind: &str) -> Tried {
    let file = File::open(format!("/proc/{pid}/ns/{kind}")).map_err(|error| errno(&error))?;
    try_in_child("entered", || {
        // SAFETY: takes two numbers.
        done(unsafe { libc::setns(file.as_raw_fd(), 0) })
    })
}

pub fn other_namespace(target: &Target) -> Outcome {
    let by_files =
        ["user", "mnt", "pid", "net", "ipc", "uts"].map(|kind| (kind, entered(target.neighbour, kind)));
    let by_process = try_in_child("entered", || {
        // SAFETY: these take numbers alone.
        unsafe {
            let pidfd = libc::syscall(libc::SYS_pidfd_open, target.neighbour, 0);
            done(pidfd)?;
            let kinds = libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWPID;
            done(libc::setns(i32::try_from(pidfd).unwrap_or(-1), kinds))
        }
    });
    Outcome::any(by_files.into_iter().chain([("pidfd", by_process)]))
}

pub fn mount(_: &Target) -> Outcome {
    let own = std::env::current_dir().unwrap_or_default();
    let point = own.join("mount-point");
    let _ = std::fs::create_dir(&point);
    let (point, own) = (c_path(&point), c_path(&own));
    let (tmpfs, empty) = (c"tmpfs", c"");
    // SAFETY: in each of these calls every text lives through it, and lengths are none.
    let ways: [(&'static str, Tried); 5] = unsafe {
        [
            (
                "mount",
                try_in_child("mounted", || {
                    done(libc::mount(
                        tmpfs.as_ptr(),
                        point.as_ptr(),
                        tmpfs.as_ptr(),
                        0,
                        empty.as_ptr().cast(),
                    ))
                }),
            ),
            (
                "open_tree",
                called(
                    libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, own.as_ptr(), OPEN_TREE_CLONE),
                    "cloned",
                ),
            ),
            ("fsopen", called(libc::syscall(libc::SYS_fsopen, tmpfs.as_ptr(), 0), "opened")),
            (
                "pivot_root",
                try_in_child("pivoted", || {
                    done(libc::syscall(libc::SYS_pivot_root, own.as_ptr(), point.as_ptr()))
                }),
            ),
            ("chroot", try_in_child("changed", || done(libc::chroot(own.as_ptr())))),
        ]
    };
    Outcome::any(ways)
}

pub fn device(_: &Target) -> Outcome {
    let node = std::env::current_dir().unwrap_or_default().join("disk");
    let made =
        mknod(&node, SFlag::S_IFBLK, Mode::S_IRWXU, makedev(DISK.0, DISK.1)).map(|()| "made".to_owned());
    let open =
        |path| ("open", tried(OpenOptions::new().read(true).open(path), move |_| format!("{path} opened")));
    let devices = ["/dev/mem", "/dev/kmsg", "/dev/vda", "/dev/sda", "/dev/kvm", "/dev/fuse"];
    Outcome::any([("mknod", made)].into_iter().chain(devices.map(open)))
}

pub fn terminal(_: &Target) -> Outcome {
    let letter = b'x';
    // SAFETY: the letter lives through the call.
    let typed = unsafe { called(libc::ioctl(0, libc::TIOCSTI, &raw const letter), "typed") };
    let open =
        |path| ("open", tried(OpenOptions::new().write(true).open(path), move |_| format!("{path} opened")));
    let terminals = ["/dev/tty", "/dev/console", "/dev/tty1", "/dev/vcs"];
    Outcome::any([("TIOCSTI", typed)].into_iter().chain(terminals.map(open)))
}

/// The hierarchies of control groups that a machine may have.
fn hierarchies() -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let below = std::fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    [root.to_owned()].into_iter().chain(below).filter(|path| path.join("cgroup.procs").exists()).collect()
}

pub fn escape_cgroup(_: &Target) -> Outcome {
    let all = hierarchies();
    if all.is_empty() {
        return Outcome::Absent("no control groups can be seen".into());
    }
    Outcome::any(all.into_iter().flat_map(|folder| {
        let enter = || {
            let mut file = OpenOptions::new().write(true).open(folder.join("cgroup.procs"))?;
            file.write_all(std::process::id().to_string().as_bytes())
        };
        let make = || std::fs::create_dir(folder.join("hostile"));
        [
            ("enter", tried(enter(), |()| "entered the root".into())),
            ("make", tried(make(), |()| "made".into())),
        ]
    }))
}
