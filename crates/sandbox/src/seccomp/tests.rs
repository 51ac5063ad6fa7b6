use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output};

use libc::c_long;
use nix::errno::Errno;

use super::*;
use crate::privilege::forbid_new_privileges;
use crate::testing::one_behind;

fn enter(listening: Listening) -> impl FnOnce() -> Result<(), Errno> {
    let filter = Filter::new(listening).unwrap();
    move || {
        forbid_new_privileges().map_err(|e| e.source)?;
        filter.enter()
    }
}

/// One system call behind the filter.
#[expect(unsafe_code, reason = "the calls that are tried have no safe form")]
fn call(number: c_long, arguments: [c_long; 6]) -> Errno {
    let [first, second, third, fourth, fifth, last] = arguments;
    // SAFETY: in a child of its own, on numbers and null pointers.
    one_behind(enter(Listening::Refused), &|| unsafe {
        libc::syscall(number, first, second, third, fourth, fifth, last)
    })
}

fn with(first: &[c_long]) -> [c_long; 6] {
    std::array::from_fn(|n| first.get(n).copied().unwrap_or(0))
}

fn socket(family: i32, kind: i32, protocol: i32) -> Errno {
    call(libc::SYS_socket, with(&[family.into(), kind.into(), protocol.into()]))
}

#[test]
fn the_filter_is_small() {
    let length = Filter::new(Listening::Refused).unwrap().len();
    assert!(Filter::is_available());
    assert!(length < 400, "{length} instructions, and the kernel looks at each of them at every call");
}

#[test]
fn everything_on_the_list_is_refused_whatever_the_arguments() {
    // With these arguments the kernel would say something else, or do it.
    for number in REFUSED.iter().chain(REFUSED_HERE) {
        assert_eq!(call(*number, with(&[-1, -1, -1, -1, -1, -1])), Errno::EPERM, "call {number}");
    }
}

#[test]
fn namespaces_are_refused_and_threads_are_not() {
    for flag in NAMESPACES {
        let flags = c_long::from(flag | libc::SIGCHLD);
        assert_eq!(call(libc::SYS_clone, with(&[flags])), Errno::EPERM, "{flag:#x}");
    }
    assert_eq!(call(libc::SYS_clone3, with(&[0, 0])), Errno::ENOSYS);
}

#[test]
#[cfg(target_arch = "x86_64")]
fn the_other_numbers_of_the_same_calls_do_not_exist() {
    for number in [libc::SYS_ptrace, libc::SYS_getpid, libc::SYS_clone3] {
        assert_eq!(call(number | c_long::from(X32_NUMBERS), with(&[])), Errno::ENOSYS);
    }
}

#[test]
fn calls_on_processes_work_on_the_caller_alone() {
    for (number, argument) in OF_ITSELF_ONLY {
        let mut arguments = with(&[]);
        arguments[usize::from(argument)] = 1;
        assert_eq!(call(number, arguments), Errno::EPERM, "call {number}");
        assert_ne!(call(number, with(&[])), Errno::EPERM, "call {number} on itself");
    }
}

#[test]
fn sockets_of_ordinary_programs_open_and_no_others() {
    use libc::{AF_ALG, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_UNIX, AF_VSOCK, SOCK_CLOEXEC};
    use libc::{SOCK_DGRAM, SOCK_NONBLOCK, SOCK_RAW, SOCK_SEQPACKET, SOCK_STREAM};
    const MPTCP: i32 = 262;
    const SMC: i32 = 43;
    let flags = SOCK_CLOEXEC | SOCK_NONBLOCK;
    for (family, kind, protocol) in [
        (AF_UNIX, SOCK_STREAM, 0),
        (AF_UNIX, SOCK_SEQPACKET | flags, 0),
        (AF_INET, SOCK_STREAM, 0),
        (AF_INET, SOCK_STREAM | flags, libc::IPPROTO_TCP),
        (AF_INET, SOCK_DGRAM | flags, libc::IPPROTO_UDP),
        (AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, libc::NETLINK_ROUTE),
    ] {
        assert_eq!(socket(family, kind, protocol), Errno::from_raw(0), "{family} {kind:#x} {protocol}");
    }
    for (family, kind, protocol) in [
        (AF_INET, SOCK_STREAM, MPTCP),
        (AF_INET6, SOCK_STREAM | flags, MPTCP),
        (AF_INET, SOCK_STREAM, libc::IPPROTO_SCTP),
        (AF_INET, SOCK_SEQPACKET, libc::IPPROTO_SCTP),
        (AF_INET, 6, libc::IPPROTO_DCCP),
        (AF_INET, SOCK_RAW, libc::IPPROTO_ICMP),
        (AF_INET6, SOCK_RAW | flags, libc::IPPROTO_ICMPV6),
        (AF_INET, SOCK_DGRAM, libc::IPPROTO_ICMP),
        (AF_INET, 0, 0),
        (AF_INET, 10, 0),
        (SMC, SOCK_STREAM, 0),
        (AF_PACKET, SOCK_RAW, 0),
        (AF_VSOCK, SOCK_STREAM, 0),
        (AF_ALG, SOCK_SEQPACKET, 0),
        (AF_NETLINK, SOCK_RAW, libc::NETLINK_SOCK_DIAG),
        (AF_NETLINK, SOCK_RAW, libc::NETLINK_AUDIT),
    ] {
        assert_eq!(socket(family, kind, protocol), Errno::EPERM, "{family} {kind:#x} {protocol}");
    }
}

#[test]
fn no_connection_is_made_by_sending() {
    for (number, argument) in SENDING {
        let mut arguments = with(&[-1]);
        assert_eq!(call(number, arguments), Errno::EBADF, "call {number}");
        arguments[usize::from(argument)] = c_long::from(libc::MSG_FASTOPEN | libc::MSG_NOSIGNAL);
        assert_eq!(call(number, arguments), Errno::EPERM, "call {number}");
    }
}

#[test]
fn terminals_are_not_typed_into_and_stay_usable() {
    for (order, says) in [
        (libc::TIOCSTI, Errno::EPERM),
        (libc::TIOCLINUX, Errno::EPERM),
        (libc::TCGETS, Errno::EBADF),
        (libc::FIONREAD, Errno::EBADF),
    ] {
        assert_eq!(call(libc::SYS_ioctl, with(&[-1, c_long::try_from(order).unwrap()])), says);
    }
}

#[test]
fn the_personality_may_be_asked_for_and_not_changed() {
    const NO_RANDOM_LAYOUT: c_long = 0x004_0000;
    assert_eq!(call(libc::SYS_personality, with(&[NO_RANDOM_LAYOUT])), Errno::EPERM);
    assert_eq!(call(libc::SYS_personality, with(&[0xffff_ffff])), Errno::from_raw(0));
    assert_eq!(call(libc::SYS_personality, with(&[0])), Errno::from_raw(0));
}

#[test]
#[expect(unsafe_code, reason = "the calls that are tried have no safe form")]
fn who_may_take_connections_listens() {
    let listen = |listening| {
        // SAFETY: in a child of its own, on numbers.
        one_behind(enter(listening), &|| unsafe { libc::listen(-1, 1) }.into())
    };
    assert_eq!(listen(Listening::Refused), Errno::EPERM);
    assert_eq!(listen(Listening::Allowed), Errno::EBADF);
}

#[expect(unsafe_code, reason = "what only the child itself can do runs between fork and exec")]
#[expect(clippy::disallowed_methods, reason = "an ordinary program behind the filter, without the rest")]
fn run(program: &str, args: &[&str]) -> Option<Output> {
    let enter = Filter::new(Listening::Refused).unwrap();
    let mut command = Command::new(program);
    command.args(args);
    // SAFETY: two system calls on what exists already.
    unsafe {
        command.pre_exec(move || {
            forbid_new_privileges().map_err(|e| e.source)?;
            Ok(enter.enter()?)
        });
    }
    match command.output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("this machine has no {program}");
            None
        }
        output => Some(output.unwrap()),
    }
}

#[test]
fn ordinary_programs_run() {
    let python = "import threading, subprocess, socket, multiprocessing\n\
        t = threading.Thread(target=print, args=('thread',)); t.start(); t.join()\n\
        print(subprocess.run(['true']).returncode)\n\
        socket.getaddrinfo('localhost', 80)";
    let node = "new (require('worker_threads').Worker)('console.log(1)', {eval: true}).on('exit', () => \
        console.log(require('child_process').spawnSync('true').status))";
    for (program, args, says) in [
        ("/bin/sh", ["-c", "echo $(ls / | wc -l) | grep -c ."], "1\n"),
        ("python3", ["-c", python], "thread\n0\n"),
        ("node", ["-e", node], "1\n0\n"),
    ] {
        if let Some(output) = run(program, &args) {
            assert_eq!(String::from_utf8_lossy(&output.stdout), says, "{program}: {output:?}");
        }
    }
}
