//! Which system calls are refused to a server, as one BPF program.
//!
//! A list of refusals, not of permissions: servers are other people's programs, and what a new C library calls must not break
//! them. Refused is what reaches past the process itself (other processes, namespaces, mounts, keys, IPC that no other wall
//! covers) or into parts of the kernel that no server needs. A refusal is EPERM, so that programs which can do without go on.
//! What Landlock or the mounts hold is not held here a second time.

use std::collections::BTreeMap;

use nix::errno::Errno;
use seccompiler::SeccompCmpArgLen::Dword;
use seccompiler::SeccompCmpOp::{Eq, MaskedEq, Ne};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    sock_filter,
};

/// Whether a server may take connections. Landlock decides on which ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listening {
    /// It may.
    Allowed,
    /// It speaks on its standard streams alone.
    Refused,
}

/// The rules cannot be made into a program: a mistake in this file.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// The rules contradict themselves.
    #[error("the filter of system calls could not be built")]
    Build(#[from] BackendError),
    /// What was built does not begin as it always has.
    #[error("the filter of system calls has an unknown shape")]
    Shape,
}

/// A program for the kernel, ready to be entered.
#[derive(Debug, Clone)]
pub struct Filter(BpfProgram);

/// Refused whatever the arguments are.
const REFUSED: &[libc::c_long] = &[
    // Other processes: their memory, descriptors and registers.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    // Mounts and namespaces: all that the walls are made of.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    OPEN_TREE_ATTR,
    libc::SYS_unshare,
    libc::SYS_setns,
    // Key rings of the user and the session, which know no namespaces.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // Large parts of the kernel that have given way before.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // The machine.
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    // Files by handle, past every folder; watching whole file systems.
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_lookup_dcookie,
    // IPC that Landlock does not know and that a user's processes share.
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_shmdt,
    libc::SYS_semget,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_semctl,
    libc::SYS_msgget,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_msgctl,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
];

/// Those that only this architecture has.
#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: &[libc::c_long] =
    &[libc::SYS_iopl, libc::SYS_ioperm, libc::SYS_modify_ldt, libc::SYS_uselib, libc::SYS__sysctl];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[libc::c_long] = &[];

/// The C library's headers are older than the call; the number is the same on every architecture.
const OPEN_TREE_ATTR: libc::c_long = 467;

/// The kinds of namespaces, as flags of `clone`. The one of time shares its bit with the exit signal there, and cannot be asked for.
const NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// Calls that name a process or user, and which of their arguments does: zero stands for the caller and is the only one allowed.
/// Not `sched_setaffinity`: thread libraries name their own threads.
const OF_ITSELF_ONLY: [(libc::c_long, u8); 6] = [
    (libc::SYS_prlimit64, 0),
    (libc::SYS_setpriority, 1),
    (libc::SYS_ioprio_set, 1),
    (libc::SYS_sched_setscheduler, 0),
    (libc::SYS_sched_setparam, 0),
    (libc::SYS_sched_setattr, 0),
];

/// Calls that send, and which of their arguments are the flags. A connection that is made by sending passes Landlock by.
const SENDING: [(libc::c_long, u8); 3] =
    [(libc::SYS_sendto, 3), (libc::SYS_sendmsg, 2), (libc::SYS_sendmmsg, 3)];

/// Asks which personality is in force.
const PERSONALITY_QUERY: u64 = 0xffff_ffff;
/// Where the kernel's compatible numbers with short pointers begin, for which a list by number would be blind.
#[cfg(target_arch = "x86_64")]
const X32_NUMBERS: u32 = 0x4000_0000;
/// Instructions that every program of the library begins with: load the architecture, compare, end a stranger.
const ARCHITECTURE_CHECK: usize = 3;

impl Filter {
    /// Builds the program.
    pub fn new(listening: Listening) -> Result<Self, FilterError> {
        let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
        for (call, argument) in OF_ITSELF_ONLY {
            rules.insert(call, vec![all_of(&[(argument, Ne, 0)])?]);
        }
        for (call, argument) in SENDING {
            rules.insert(call, vec![has_bit(argument, libc::MSG_FASTOPEN)?]);
        }
        let namespaces = NAMESPACES.iter().map(|flag| has_bit(0, *flag));
        rules.insert(libc::SYS_clone, namespaces.collect::<Result<_, _>>()?);
        rules.insert(libc::SYS_personality, vec![all_of(&[(0, Ne, 0), (0, Ne, PERSONALITY_QUERY)])?]);
        let into_terminals = [libc::TIOCSTI, libc::TIOCLINUX].map(|order| all_of(&[(1, Eq, order)]));
        rules.insert(libc::SYS_ioctl, into_terminals.into_iter().collect::<Result<_, _>>()?);
        rules.insert(libc::SYS_socket, sockets()?);
        let refusal = SeccompAction::Errno(Errno::EPERM as u32);
        let filter =
            SeccompFilter::new(rules, SeccompAction::Allow, refusal, std::env::consts::ARCH.try_into()?)?;
        let mut program = BpfProgram::try_from(filter)?;
        let listen = Some(libc::SYS_listen).filter(|_| listening == Listening::Refused);
        let refused: Vec<_> = REFUSED.iter().chain(REFUSED_HERE).copied().chain(listen).collect();
        refuse_first(&mut program, &refused)?;
        Ok(Self(program))
    }

    /// Whether this kernel has filters that refuse.
    #[expect(unsafe_code, reason = "seccomp has no safe form")]
    pub fn is_available() -> bool {
        let action = libc::SECCOMP_RET_ERRNO;
        // SAFETY: the kernel reads one number from a place that lives through the call.
        let known = unsafe {
            libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, std::ptr::from_ref(&action))
        };
        known == 0
    }

    /// Instructions.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has none; it always has some.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Refuses from now on, for the calling thread and all that comes of it. Needs the promise of no new privileges. Allocates
    /// nothing: fit for a child between fork and exec.
    #[expect(unsafe_code, reason = "seccomp has no safe form")]
    pub(crate) fn enter(&self) -> Result<(), Errno> {
        let program = libc::sock_fprog {
            len: u16::try_from(self.0.len()).map_err(|_| Errno::E2BIG)?,
            filter: self.0.as_ptr().cast_mut().cast(),
        };
        // SAFETY: the kernel copies the program, whose instructions have the layout that it defines, and changes nothing.
        let result = unsafe {
            libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, std::ptr::from_ref(&program))
        };
        Errno::result(result).map(drop)
    }
}

/// Only what ordinary programs use: unix sockets, TCP and UDP, and the routing table for the machine's own addresses.
/// Other protocols over the internet pass Landlock by; other families reach into the kernel.
fn sockets() -> Result<Vec<SeccompRule>, BackendError> {
    let number = |value: libc::c_int| u64::from(value.unsigned_abs());
    let (unix, netlink) = (number(libc::AF_UNIX), number(libc::AF_NETLINK));
    let internet = [number(libc::AF_INET), number(libc::AF_INET6)];
    let mut refused = vec![
        all_of(&[(0, Ne, unix), (0, Ne, netlink), (0, Ne, internet[0]), (0, Ne, internet[1])])?,
        all_of(&[(0, Eq, netlink), (2, Ne, number(libc::NETLINK_ROUTE))])?,
    ];
    let (stream, datagram) = (number(libc::SOCK_STREAM), number(libc::SOCK_DGRAM));
    let kind = |value| (1, MaskedEq(SOCKET_KIND), value);
    for family in internet {
        let of = (0, Eq, family);
        // Any kind but one and two: zero, three, and all that have a higher bit.
        for other in [kind(0), kind(3), (1, MaskedEq(4), 4), (1, MaskedEq(8), 8)] {
            refused.push(all_of(&[of.clone(), other])?);
        }
        for (kind, protocol) in [(kind(stream), libc::IPPROTO_TCP), (kind(datagram), libc::IPPROTO_UDP)] {
            refused.push(all_of(&[of.clone(), kind, (2, Ne, 0), (2, Ne, number(protocol))])?);
        }
    }
    Ok(refused)
}

/// The bits of a socket's kind; those above are flags.
const SOCKET_KIND: u64 = 0xf;

fn all_of(conditions: &[(u8, SeccompCmpOp, u64)]) -> Result<SeccompRule, BackendError> {
    let conditions = conditions.iter().cloned();
    SeccompRule::new(
        conditions
            .map(|(argument, compare, value)| SeccompCondition::new(argument, Dword, compare, value))
            .collect::<Result<_, _>>()?,
    )
}

fn has_bit(argument: u8, bit: libc::c_int) -> Result<SeccompRule, BackendError> {
    let bit = u64::from(bit.unsigned_abs());
    all_of(&[(argument, MaskedEq(bit), bit)])
}

/// Puts before the rules what needs none: calls that are refused whatever their arguments are, one instruction each, and calls
/// that the program says do not exist. `clone3` has its flags in memory, where no filter can read them; told that it does not
/// exist, C libraries use `clone`. The numbers of x32 name the same calls once more.
fn refuse_first(program: &mut BpfProgram, refused: &[libc::c_long]) -> Result<(), FilterError> {
    let ends_stranger = program.get(ARCHITECTURE_CHECK - 1);
    if ends_stranger.is_none_or(|last| last.code != RETURN) {
        return Err(FilterError::Shape);
    }
    let number = |call: libc::c_long| u32::try_from(call).map_err(|_| FilterError::Shape);
    let mut tests = Vec::with_capacity(refused.len() + 2);
    #[cfg(target_arch = "x86_64")]
    tests.push((JUMP_IF_AT_LEAST, X32_NUMBERS, Errno::ENOSYS));
    tests.push((JUMP_IF_EQUAL, number(libc::SYS_clone3)?, Errno::ENOSYS));
    for call in refused {
        tests.push((JUMP_IF_EQUAL, number(*call)?, Errno::EPERM));
    }
    // The number of the call is the first of what a filter is given.
    let mut first = vec![instruction(LOAD, 0)];
    for (place, (code, operand, says)) in tests.iter().enumerate() {
        // The tests that are left, the jump over the two answers, and the answer before this one.
        let to_answers = tests.len() - place + usize::from(*says == Errno::EPERM);
        let jump = u8::try_from(to_answers).map_err(|_| FilterError::Shape)?;
        first.push(sock_filter { jt: jump, ..instruction(*code, *operand) });
    }
    let answer = |errno: Errno| instruction(RETURN, libc::SECCOMP_RET_ERRNO | errno as u32);
    first.extend([instruction(JUMP, 2), answer(Errno::ENOSYS), answer(Errno::EPERM)]);
    // Jumps are relative, and none leads across this place.
    program.splice(ARCHITECTURE_CHECK..ARCHITECTURE_CHECK, first);
    Ok(())
}

const LOAD: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_IF_EQUAL: u16 = 0x15;
#[cfg(target_arch = "x86_64")]
const JUMP_IF_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;

const fn instruction(code: u16, k: u32) -> sock_filter {
    sock_filter { code, jt: 0, jf: 0, k }
}

#[cfg(test)]
mod tests;
