//! What this kernel has of what confines a server, asked without changing anything.

/// Asks for the version of the rules instead of making any.
const CREATE_RULESET_VERSION: u32 = 1;
/// Asks whether an action is known.
const GET_ACTION_AVAIL: u32 = 2;
/// The action of a call that is refused with an error.
const RET_ERRNO: u32 = 0x0005_0000;

/// The version of Landlock's rules; 0 where it is not built in, was not started, or may not be used.
#[expect(unsafe_code, reason = "there is no safe call for it")]
pub fn landlock_abi() -> u8 {
    let nothing = std::ptr::null::<libc::c_void>();
    // SAFETY: asked for the version, the kernel reads no memory, and demands a null pointer of length zero.
    let version =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0_usize, CREATE_RULESET_VERSION) };
    u8::try_from(version.max(0)).unwrap_or(u8::MAX)
}

/// Whether system calls can be refused with an error.
#[expect(unsafe_code, reason = "there is no safe call for it")]
pub fn has_seccomp() -> bool {
    // SAFETY: the kernel reads one number, which lives through the call.
    let known =
        unsafe { libc::syscall(libc::SYS_seccomp, GET_ACTION_AVAIL, 0_u32, std::ptr::from_ref(&RET_ERRNO)) };
    known == 0
}

/// What versions of Landlock below a wanted one do not wall, for people.
pub fn landlock_lacks(abi: u8, wanted: u8) -> Vec<&'static str> {
    let came_with = [
        (1, "files"),
        (2, "moving files between folders"),
        (3, "truncating files"),
        (4, "TCP ports"),
        (5, "commands to devices"),
        (6, "signals and abstract sockets"),
    ];
    let missing = came_with.into_iter().filter(|(version, _)| *version > abi && *version <= wanted);
    missing.map(|(_, what)| what).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_version_lacks_is_what_came_later() {
        assert_eq!(landlock_lacks(6, 6), [""; 0]);
        assert_eq!(landlock_lacks(4, 6), ["commands to devices", "signals and abstract sockets"]);
        assert_eq!(landlock_lacks(0, 6).len(), 6);
    }

    #[test]
    fn the_kernel_says_what_its_own_list_says() {
        let started = std::fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
        if started.contains("landlock") {
            assert!(landlock_abi() > 0);
        }
        let actions = std::fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail").unwrap_or_default();
        assert_eq!(has_seccomp(), actions.contains("errno"), "{actions}");
    }
}
