//! Splits off the parent of all servers, as PID 1 of a PID namespace where allowed.
//!
//! The child is cloned straight into its namespaces and prepares itself; the caller stays outside them, so a
//! machine that refuses a namespace costs one short-lived child, and the next weaker attempt follows. When
//! PID 1 of a namespace ends, for whatever reason, the kernel ends everything in it: that is the guarantee
//! that no process group and no signal can give.
//!
//! The child stays a copy of this small program instead of executing it again: that halves what a launch costs
//! us, and the two share their memory. It may, because the caller holds no secret yet.

use std::io::Read as _;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, clone};
use nix::sys::signal::Signal;
use nix::unistd::{Pid, Uid};

use crate::hide::View;
use crate::privilege::{self, Ids, PrivilegeError};

/// Stack of the child for its whole life; only what is touched of it is memory.
const CHILD_STACK_BYTES: usize = 1024 * 1024;

/// Whether namespaces are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The strongest that the machine allows.
    Strongest,
    /// None.
    Nothing,
}

/// What keeps the tree together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// A PID namespace, made as root.
    PidNamespace,
    /// A PID namespace inside a user namespace.
    UserNamespace,
    /// Subreapers that walk the tree.
    Nothing,
}

impl Level {
    fn flags(self) -> CloneFlags {
        let pid = CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNS;
        match self {
            Self::PidNamespace => pid,
            Self::UserNamespace => pid | CloneFlags::CLONE_NEWUSER,
            Self::Nothing => CloneFlags::empty(),
        }
    }
}

/// What the child makes of itself besides.
#[derive(Debug, Clone, Copy, Default)]
pub struct Role<'a> {
    /// Who it becomes.
    pub ids: Option<Ids>,
    /// The control groups that it joins.
    pub groups: &'a [PathBuf],
    /// What it shows to those below it, where it has a mount namespace.
    pub view: Option<&'a View>,
}

/// The running init.
#[derive(Debug)]
pub struct Init {
    /// Its process id, as the caller sees it.
    pub pid: i32,
    /// What it is.
    pub level: Level,
    /// Whether it shows what was asked for, and no processes but its own.
    pub shows_view: bool,
    /// Why it has no namespace, or shows more than was asked for.
    pub lacking: Option<InitError>,
}

/// Why init could not be started, not even without a namespace.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The process could not be made.
    #[error("could not clone the process")]
    Clone(#[source] Errno),
    /// The child could not prepare itself.
    #[error("the cloned process could not {step}")]
    Prepare {
        /// What it tried.
        step: String,
        /// What the kernel said.
        #[source]
        source: Errno,
    },
}

/// Starts a child that becomes `main`, with `socket` as its standard input and no other descriptor but its
/// standard error. Must be called while the process has one thread and holds no secret: the child is a copy.
pub fn start_init(
    main: fn() -> u8,
    socket: BorrowedFd<'_>,
    role: Role<'_>,
    wanted: Wanted,
) -> Result<Init, InitError> {
    let mut lacking = None;
    if wanted == Wanted::Strongest {
        let level = strongest();
        match attempt(level, main, socket, role) {
            Ok(pid) => return Ok(Init { pid, level, shows_view: role.view.is_some(), lacking }),
            Err(error) => lacking = Some(error),
        }
        // A namespace that shows too much still holds the tree.
        let role = Role { view: None, ..role };
        if let Ok(pid) = attempt(level, main, socket, role) {
            return Ok(Init { pid, level, shows_view: false, lacking });
        }
    }
    let role = Role { view: None, ..role };
    let pid = attempt(Level::Nothing, main, socket, role)?;
    Ok(Init { pid, level: Level::Nothing, shows_view: false, lacking })
}

/// What is tried first.
pub(crate) fn strongest() -> Level {
    if Uid::effective().is_root() { Level::PidNamespace } else { Level::UserNamespace }
}

#[expect(unsafe_code, reason = "a clone into namespaces cannot be expressed otherwise")]
pub(crate) fn attempt(
    level: Level,
    main: fn() -> u8,
    socket: BorrowedFd<'_>,
    role: Role<'_>,
) -> Result<i32, InitError> {
    let (report, told) = nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(InitError::Clone)?;
    // Read before the clone: inside a new user namespace they are not ours any more until mapped.
    let own = Ids { uid: nix::unistd::geteuid().as_raw(), gid: nix::unistd::getegid().as_raw() };
    let mut stack = vec![0_u8; CHILD_STACK_BYTES];
    let child = Box::new(|| {
        if let Err(error) = prepare(level, socket, role, own) {
            let message = format!("{}\n{}", error.source as i32, error.step);
            // A parent that no longer listens is a parent that is gone.
            let _ = nix::unistd::write(&told, message.as_bytes());
            return 127;
        }
        privilege::close_inherited_descriptors();
        isize::from(main())
    });
    // SAFETY: without CLONE_VM and CLONE_FILES the child works on copies; this process has a single thread
    // (the caller's promise), so no lock is held by a thread that the child lacks. The child's stack is its own
    // copy of a live allocation, and it never returns to the frames below: what they own is closed by number.
    let pid = unsafe { clone(child, &mut stack, level.flags(), Some(libc::SIGCHLD)) };
    let pid = pid.map_err(InitError::Clone)?;
    drop(told);
    match outcome(report) {
        None => Ok(pid.as_raw()),
        Some(error) => {
            let _ = nix::sys::wait::waitpid(pid, None);
            Err(error)
        }
    }
}

/// The pipe closes without a word when the child is prepared, and carries the reason when it could not.
fn outcome(report: OwnedFd) -> Option<InitError> {
    let mut said = String::new();
    let read = std::fs::File::from(report).read_to_string(&mut said);
    if read.is_ok() && said.is_empty() {
        return None;
    }
    let (errno, step) = said.split_once('\n').unwrap_or(("0", "say what failed"));
    Some(InitError::Prepare {
        step: step.to_owned(),
        source: Errno::from_raw(errno.parse().unwrap_or_default()),
    })
}

fn prepare(level: Level, socket: BorrowedFd<'_>, role: Role<'_>, own: Ids) -> Result<(), PrivilegeError> {
    for group in role.groups {
        enter(group)?;
    }
    // A session of its own: what is sent to the caller's process group does not reach it.
    nix::unistd::setsid().map_err(PrivilegeError::at("make a session"))?;
    if level == Level::UserNamespace {
        map_own_user(own)?;
    }
    if level != Level::Nothing {
        let fresh = own_proc()?;
        if let Some(view) = role.view {
            fresh.map_err(PrivilegeError::at("mount a fresh /proc"))?;
            view.show(role.ids)?;
        }
    }
    privilege::empty_bounding_set();
    if let Some(ids) = role.ids {
        privilege::become_user(ids)?;
    }
    privilege::drop_capabilities()?;
    privilege::forbid_new_privileges()?;
    privilege::hide_memory()?;
    if level != Level::Nothing {
        // Without a namespace init must outlive the caller: it is then the one that ends the strays.
        die_with_parent()?;
    }
    take_streams(socket).map_err(PrivilegeError::at("arrange the standard streams"))
}

/// Joins a control group; everything that is started from now on is in it too.
fn enter(group: &Path) -> Result<(), PrivilegeError> {
    // Where the kernel lets a thread move by itself (version 1), this process, which has one, does: moving a whole process
    // waits for every processor to pass a quiet moment, some 20 ms.
    let thread = group.join("tasks");
    let list = if thread.exists() { thread } else { group.join("cgroup.procs") };
    // The number zero stands for whoever writes it, in every namespace.
    write(list, "0", "enter the control group")
}

/// Asks for SIGKILL when the parent (its thread that made this process) ends. Cleared by a change of user.
pub fn die_with_parent() -> Result<(), PrivilegeError> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)
        .map_err(PrivilegeError::at("ask for the parent-death signal"))
}

/// Inside a fresh user namespace: the user and group stay who they were.
pub(crate) fn map_own_user(own: Ids) -> Result<(), PrivilegeError> {
    nix::sys::prctl::set_dumpable(true).map_err(PrivilegeError::at("make the process readable"))?;
    write("/proc/self/setgroups", "deny", "give up setgroups")?;
    write("/proc/self/uid_map", &format!("{0} {0} 1", own.uid), "map the user")?;
    write("/proc/self/gid_map", &format!("{0} {0} 1", own.gid), "map the group")
}

fn write(path: impl AsRef<Path>, text: &str, step: &'static str) -> Result<(), PrivilegeError> {
    std::fs::write(path, text)
        .map_err(|e| PrivilegeError { step, source: e.raw_os_error().map_or(Errno::EIO, Errno::from_raw) })
}

/// A `/proc` that shows this namespace's processes and no others. Where a container masks parts of `/proc`
/// the kernel refuses a fresh one: the old one stays, the namespace still holds the tree. Whoever needs the fresh one looks.
fn own_proc() -> Result<Result<(), Errno>, PrivilegeError> {
    let nothing = None::<&str>;
    make_private()?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    Ok(mount(Some("proc"), "/proc", Some("proc"), flags, nothing))
}

/// What is mounted here stays here.
pub(crate) fn make_private() -> Result<(), PrivilegeError> {
    let nothing = None::<&str>;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)
        .map_err(PrivilegeError::at("make the mounts private"))
}

fn take_streams(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    let null = nix::fcntl::open("/dev/null", OFlag::O_RDWR, nix::sys::stat::Mode::empty())?;
    if socket.as_raw_fd() != 0 {
        nix::unistd::dup2_stdin(socket)?;
    }
    nix::unistd::dup2_stdout(&null)
}

/// Whether this process is the first of a PID namespace.
pub fn is_first_of_namespace() -> bool {
    Pid::this().as_raw() == 1
}
