//! What a process may do, given up step by step.

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{Gid, Uid};

/// The user and the only group that a process becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ids {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// A privilege could not be given up.
#[derive(Debug, thiserror::Error)]
#[error("could not {step}")]
pub struct PrivilegeError {
    /// What was tried.
    pub step: &'static str,
    /// What the kernel said.
    #[source]
    pub source: Errno,
}

impl PrivilegeError {
    pub(crate) fn at(step: &'static str) -> impl Fn(Errno) -> Self {
        move |source| Self { step, source }
    }
}

/// Becomes another user with one group and no supplementary ones. Clears the parent-death signal.
pub fn become_user(ids: Ids) -> Result<(), PrivilegeError> {
    let (uid, gid) = (Uid::from_raw(ids.uid), Gid::from_raw(ids.gid));
    nix::unistd::setgroups(&[]).map_err(PrivilegeError::at("leave the supplementary groups"))?;
    nix::unistd::setresgid(gid, gid, gid).map_err(PrivilegeError::at("change the group"))?;
    nix::unistd::setresuid(uid, uid, uid).map_err(PrivilegeError::at("change the user"))
}

/// Empties the bounding set, as far as it may: without the capability to do so there is nothing to gain from
/// it either. Comes before a change of user, which takes that capability away.
#[expect(unsafe_code, reason = "prctl has no safe form for this operation")]
pub fn empty_bounding_set() {
    for capability in 0..=63_u64 {
        // SAFETY: the call takes integers alone and touches no memory of ours.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) } != 0 {
            // EPERM: none of them can be dropped. EINVAL: past the last one that this kernel has.
            return;
        }
    }
}

/// Drops every capability from the sets that a process holds itself.
#[expect(unsafe_code, reason = "prctl has no safe form for this operation")]
pub fn drop_capabilities() -> Result<(), PrivilegeError> {
    // SAFETY: the call takes integers alone and touches no memory of ours.
    unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) };
    let refused = |_| PrivilegeError { step: "drop the capabilities", source: Errno::EPERM };
    caps::clear(None, caps::CapSet::Inheritable).map_err(refused)?;
    caps::clear(None, caps::CapSet::Permitted).map_err(refused)
}

/// No program that is executed from now on gives more rights than this process has.
pub fn forbid_new_privileges() -> Result<(), PrivilegeError> {
    prctl::set_no_new_privs().map_err(PrivilegeError::at("forbid new privileges"))
}

/// Others of the same user can neither trace this process nor read its memory or environment.
pub fn hide_memory() -> Result<(), PrivilegeError> {
    prctl::set_dumpable(false).map_err(PrivilegeError::at("make the process unreadable"))
}

/// A crash writes nothing to disk, for this process and its children.
pub fn forbid_core_dumps() -> Result<(), PrivilegeError> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(PrivilegeError::at("forbid core dumps"))
}

/// Closes whatever was inherited beyond the three standard streams. For the first line of a process alone.
#[expect(unsafe_code, reason = "closing descriptors by number; the process owns none yet")]
pub fn close_inherited_descriptors() {
    // SAFETY: called first thing in `main`, or in a child that never uses what its parent's frames own: nothing
    // that this process will touch holds a descriptor above 2 yet.
    unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, 0_u32) };
}

/// Marks every descriptor above the standard streams to be closed by the next program: whoever is started by a process that
/// calls this first inherits nothing that the process itself inherited.
#[expect(unsafe_code, reason = "close_range has no safe form")]
pub fn close_descriptors_on_exec() -> Result<(), Errno> {
    // SAFETY: only sets a flag on descriptors; none is closed while this program runs.
    let result = unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    Errno::result(result).map(drop)
}

/// Unpredictable bytes from the kernel.
#[expect(unsafe_code, reason = "getrandom has no safe form here")]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // SAFETY: the pointer and the length are those of a buffer that lives through the call.
    let written = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), N, 0) };
    assert_eq!(usize::try_from(written), Ok(N), "up to 256 bytes are given whole once the kernel has booted");
    bytes
}
