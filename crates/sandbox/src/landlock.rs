//! The walls of files, TCP ports, signals and abstract sockets, as a ruleset of Landlock.
//!
//! A ruleset is built before a server is started, where memory may be asked for and files opened; the child enters it by one
//! bare system call. It is built anew for each start, because a rule holds for a file, not for its name: what an update
//! has replaced since would be closed.

use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use ::landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, NetPort, PathBeneath, Ruleset as NewRuleset,
    RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, RulesetError, Scope,
};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::Mode;

use crate::rules;

/// The newest version whose rights are handled. An older kernel handles what it knows.
const NEWEST: ABI = ABI::V9;
/// Flag of the call that asks for the version.
const VERSION_FLAG: libc::c_int = 1;

/// What the servers of an instance may reach beside what every program may.
#[derive(Debug, Default)]
pub struct Rules {
    /// Folders and files to read.
    pub read: Vec<PathBuf>,
    /// Those from which programs are executed, too.
    pub execute: Vec<PathBuf>,
    /// Those that are theirs to change.
    pub write: Vec<PathBuf>,
    /// What was opened for them, however it is called by now.
    pub granted: Vec<Granted>,
    /// TCP ports to connect to.
    pub connect: Vec<u16>,
    /// TCP ports to listen on.
    pub bind: Vec<u16>,
}

/// A file or folder that was opened within a root.
#[derive(Debug)]
pub struct Granted {
    /// It.
    pub file: OwnedFd,
    /// Whether it may be changed.
    pub write: bool,
}

/// A ruleset could not be built.
#[derive(Debug, thiserror::Error)]
pub enum LandlockError {
    /// The kernel refused a part of it.
    #[error("the rules of files and ports could not be built")]
    Build(#[from] RulesetError),
    /// The kernel knows Landlock and makes no ruleset.
    #[error("the kernel made no ruleset")]
    None,
}

/// Rules that can be entered.
#[derive(Debug)]
pub struct Ruleset(OwnedFd);

/// The version of Landlock that this kernel has; zero where it has none, or has it turned off.
#[expect(unsafe_code, reason = "landlock_create_ruleset has no safe form that only asks")]
pub fn abi() -> u8 {
    // SAFETY: with this flag the call takes no memory.
    let version = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<libc::c_void>(),
            0_usize,
            VERSION_FLAG,
        )
    };
    u8::try_from(version).unwrap_or(0)
}

/// Opens what lies below a root without ever leaving it: a link or `..` that leads out is an error. What is put there later
/// under this name is something else.
pub fn open_beneath(root: &Path, below: &Path) -> Result<OwnedFd, Errno> {
    let root = open(root, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    if below.as_os_str().is_empty() {
        return Ok(root);
    }
    let beneath = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    openat2(root.as_fd(), below, opening().resolve(beneath))
}

/// Opens a path on which there is no link: one that was resolved already, and that nobody may redirect since.
pub(crate) fn open_exactly(path: &Path) -> Result<OwnedFd, Errno> {
    openat2(AT_FDCWD, path, opening().resolve(ResolveFlag::RESOLVE_NO_SYMLINKS))
}

fn opening() -> OpenHow {
    OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
}

impl Ruleset {
    /// Builds the rules, or none where the kernel has no Landlock. The paths of `rules` have been resolved: a link in one of
    /// them was put there since, and closes it. What does not exist is passed over.
    pub fn build(rules: &Rules) -> Result<Option<Self>, LandlockError> {
        if abi() == 0 {
            return Ok(None);
        }
        let (read, run) = (AccessFs::ReadFile | AccessFs::ReadDir, AccessFs::from_read(NEWEST));
        let everything = AccessFs::from_all(NEWEST);
        let device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev;
        let mut building = NewRuleset::default()
            .handle_access(everything)?
            .handle_access(AccessNet::from_all(NEWEST))?
            .scope(Scope::from_all(NEWEST))?
            .create()?;
        for (paths, access) in
            [(rules::PROGRAMS, run), (rules::FACTS, read), (rules::RESOLVERS, read), (rules::DEVICES, device)]
        {
            building = add(building, paths.iter().map(|path| follow(Path::new(path))), access)?;
        }
        for (paths, access) in [(&rules.read, read), (&rules.execute, run), (&rules.write, everything)] {
            building = add(building, paths.iter().map(|path| open_exactly(path)), access)?;
        }
        for Granted { file, write } in &rules.granted {
            let access = if *write { everything & !AccessFs::Execute } else { read };
            building = building.add_rule(PathBeneath::new(file.as_fd(), access))?;
        }
        let connect = rules.connect.iter().map(|port| (port, AccessNet::ConnectTcp));
        let bind = rules.bind.iter().map(|port| (port, AccessNet::BindTcp));
        for (port, access) in connect.chain(bind) {
            building = building.add_rule(NetPort::new(*port, access))?;
        }
        let descriptor: Option<OwnedFd> = building.into();
        descriptor.map(|descriptor| Some(Self(descriptor))).ok_or(LandlockError::None)
    }

    /// Restricts the calling thread and all that comes of it. Needs the promise of no new privileges. Allocates nothing: fit
    /// for a child between fork and exec.
    #[expect(unsafe_code, reason = "the safe form allocates, and closes the descriptor")]
    pub(crate) fn enter(&self) -> Result<(), Errno> {
        // SAFETY: the call takes two numbers.
        let result = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, self.0.as_raw_fd(), 0) };
        Errno::result(result).map(drop)
    }
}

/// A path of the machine's own, whose links are its administrator's.
fn follow(path: &Path) -> Result<OwnedFd, Errno> {
    open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())
}

fn add(
    building: RulesetCreated,
    files: impl Iterator<Item = Result<OwnedFd, Errno>>,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    files.flatten().try_fold(building, |building, file| building.add_rule(PathBeneath::new(file, access)))
}

#[cfg(test)]
mod tests;
