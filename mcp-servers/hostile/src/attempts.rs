//! The attempts, by name, in the order in which they are told.

use serde_json::{Value, json};

use crate::outcome::Outcome;
use crate::target::Target;
use crate::{files, kernel, limits, network, processes, rights, sockets};

/// What an attempt is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Reaching what is another's.
    Isolation,
    /// Taking more than one's share.
    Limit,
    /// What nobody promises to refuse.
    Open,
}

/// How one is made.
#[derive(Debug, Clone, Copy)]
enum How {
    With(fn(&Target) -> Outcome),
    Inherited,
}

/// One attempt.
#[derive(Debug)]
pub struct Attempt {
    name: &'static str,
    /// For people: what it tries.
    tries: &'static str,
    kind: Kind,
    how: How,
}

impl Attempt {
    /// Makes it.
    pub fn make(&self, target: &Target, inherited: &[i32]) -> Outcome {
        match self.how {
            How::With(attempt) => attempt(target),
            How::Inherited => processes::inherited_descriptors(inherited),
        }
    }
}

const fn isolation(name: &'static str, tries: &'static str, attempt: fn(&Target) -> Outcome) -> Attempt {
    Attempt { name, tries, kind: Kind::Isolation, how: How::With(attempt) }
}

const fn limit(name: &'static str, tries: &'static str, attempt: fn(&Target) -> Outcome) -> Attempt {
    Attempt { name, tries, kind: Kind::Limit, how: How::With(attempt) }
}

const fn open(name: &'static str, tries: &'static str, attempt: fn(&Target) -> Outcome) -> Attempt {
    Attempt { name, tries, kind: Kind::Open, how: How::With(attempt) }
}

/// The one with this name.
pub fn named(name: &str) -> Option<&'static Attempt> {
    ATTEMPTS.iter().find(|attempt| attempt.name == name)
}

/// All of them, in order.
pub fn listed() -> Value {
    let told = |attempt: &Attempt| {
        let kind = match attempt.kind {
            Kind::Isolation => "isolation",
            Kind::Limit => "limit",
            Kind::Open => "open",
        };
        json!({"name": attempt.name, "tries": attempt.tries, "kind": kind})
    };
    json!({"attempts": ATTEMPTS.iter().map(told).collect::<Vec<_>>()})
}

const ATTEMPTS: &[Attempt] = &[
    isolation("neighbour-environ", "read a neighbour's environment in `/proc`", processes::environ),
    isolation("neighbour-mem", "read a neighbour's memory by `/proc/PID/mem`", processes::mem),
    isolation("neighbour-maps", "read a neighbour's memory map", processes::maps),
    isolation("neighbour-fd", "open a neighbour's descriptors by `/proc/PID/fd`", processes::fd),
    isolation("neighbour-root", "enter `/proc/PID/root` and `/proc/PID/cwd`", processes::root),
    isolation("process-vm-read", "`process_vm_readv` on a neighbour", processes::vm_read),
    isolation("process-vm-write", "`process_vm_writev` on a neighbour", processes::vm_write),
    isolation("ptrace", "attach to a neighbour, and seize it", processes::ptrace),
    isolation(
        "steal-descriptor",
        "take a neighbour's descriptor by `pidfd_getfd`",
        processes::steal_descriptor,
    ),
    isolation(
        "kill-neighbour",
        "`kill`, `tgkill`, `rt_sigqueueinfo` on a neighbour",
        processes::kill_neighbour,
    ),
    isolation("kill-everybody", "`kill(-1)`", processes::kill_everybody),
    isolation("pidfd-signal", "signal a neighbour by a process descriptor", processes::pidfd_signal),
    isolation(
        "signal-by-descriptor",
        "have the kernel signal another process (`F_SETOWN`)",
        processes::signal_by_descriptor,
    ),
    isolation("kill-keepers", "signal the own shim and init", processes::kill_keepers),
    isolation("kill-service", "signal the service", processes::kill_service),
    isolation("limit-neighbour", "`prlimit` on a neighbour", processes::limit_neighbour),
    isolation("limit-service", "`prlimit` on the service", processes::limit_service),
    isolation("renice-neighbour", "change a neighbour's priority and scheduler", processes::renice),
    isolation("pin-neighbour", "choose a neighbour's processors", processes::pin),
    isolation(
        "keepers-secrets",
        "read environment and memory of the own shim and init",
        processes::keepers_secrets,
    ),
    isolation("service-secrets", "read environment and memory of the service", processes::service_secrets),
    Attempt {
        name: "inherited-descriptors",
        tries: "use descriptors that were left open",
        kind: Kind::Isolation,
        how: How::Inherited,
    },
    isolation(
        "outlive",
        "fork twice, leave the session and ignore signals, to live on after a stop",
        processes::outlive,
    ),
    isolation("outlive-killed-shim", "the same, when the shim is killed", processes::outlive),
    isolation("abstract-socket", "connect to another program's abstract socket", sockets::abstract_socket),
    isolation("path-socket", "connect to a socket file in a neighbour's folder", sockets::path_socket),
    isolation("control-socket", "command a neighbour's shim", sockets::control),
    isolation(
        "gateway-socket",
        "call a neighbour through its shim's socket, without a token",
        sockets::gateway,
    ),
    isolation("database-socket", "enter the service's database by its socket", sockets::database),
    isolation("api-port", "use the REST API without a key", network::api),
    isolation("pool-port", "call a neighbour's port without a token", network::pool),
    isolation("closed-tcp-port", "connect to a TCP port that its type does not allow", network::closed_port),
    isolation("bind-pool-port", "listen on a free port of the pool", network::bind_pool),
    isolation("bind-any-port", "listen on any port", network::bind_any),
    isolation("listen-unbound", "listen without an address", network::listen_unbound),
    isolation("mptcp", "connect by MPTCP", network::mptcp),
    isolation("fast-open", "connect by sending (`MSG_FASTOPEN`)", network::fast_open),
    isolation("rare-protocols", "sockets of SCTP, SMC, DCCP, UDP-Lite", network::rare_protocols),
    isolation("raw-socket", "raw and packet sockets, to sniff and forge", network::raw),
    isolation("rare-families", "sockets of vsock, AF_ALG, Bluetooth, TIPC, CAN", network::rare_families),
    isolation("socket-diag", "list the machine's sockets by netlink", network::socket_diag),
    isolation("neighbour-folder-read", "list a neighbour's folder, read a file", files::read),
    isolation(
        "neighbour-folder-write",
        "create, change, remove, rename in a neighbour's folder",
        files::write,
    ),
    isolation("neighbour-folder-marks", "mode, times and attributes of a neighbour's file", files::marks),
    isolation("neighbour-folder-watch", "watch a neighbour's folder", files::watch),
    isolation("tmp-of-others", "read a neighbour's file in `/tmp`", files::tmp),
    isolation("shm-of-others", "read a neighbour's file in `/dev/shm`", files::shm),
    isolation("package-write", "change what its own program was installed with", files::package),
    isolation("symlink-out", "a symbolic link to a neighbour's file", files::symlink_out),
    isolation("dotdot-out", "`..` to a neighbour's file", files::dotdot_out),
    isolation("hardlink-in", "a hard link to a neighbour's file", files::hardlink_in),
    isolation(
        "granted-root-escape",
        "swap a granted folder for a link that leads out",
        files::granted_escape,
    ),
    isolation(
        "read-only-grant-write",
        "change a folder that was granted for reading",
        files::read_only_write,
    ),
    isolation("service-files", "read the service's master key, profile and passwords", files::secrets),
    isolation("machine-secrets", "read `/etc/shadow` and `/root`", files::machine_secrets),
    isolation("ssh-key", "read a private key in somebody's home", files::private_key),
    isolation("file-handle", "open a neighbour's file by its handle", files::handle),
    isolation("setuid-program", "run a program that is marked to run as root", rights::setuid_program),
    isolation("capability", "`capset`, ambient capabilities, `setuid(0)`", rights::capability),
    isolation("user-namespace", "a user namespace by `unshare`, `clone`, `clone3`", rights::user_namespace),
    isolation("other-namespace", "enter a neighbour's namespaces", rights::other_namespace),
    isolation("mount", "`mount`, `open_tree`, `pivot_root`, `chroot`", rights::mount),
    isolation("device", "make and open devices", rights::device),
    isolation("terminal-inject", "type into a terminal", rights::terminal),
    isolation("escape-cgroup", "leave the own control group", rights::escape_cgroup),
    isolation("keyring", "keep a key in the user's keyring", kernel::keyring),
    isolation("bpf", "make a BPF map", kernel::bpf),
    isolation("perf", "count a program's events", kernel::perf),
    isolation("io-uring", "system calls through a ring", kernel::io_uring),
    isolation("userfaultfd", "handle page faults", kernel::userfaultfd),
    isolation("x32-call", "system calls by their x32 numbers", kernel::x32),
    isolation("int80-call", "system calls of 32-bit programs", kernel::int80),
    isolation("sysv-memory", "attach to another program's shared memory", kernel::sysv_memory),
    isolation("posix-queue", "read another program's message queue", kernel::posix_queue),
    isolation("kernel-module", "load and remove kernel modules", kernel::module),
    isolation("kexec-reboot", "`kexec_load`, `reboot`", kernel::reboot),
    isolation("clock", "set the clock", kernel::clock),
    isolation("swap-hostname", "`swapon`, `sethostname`", kernel::swap_hostname),
    isolation("kernel-settings", "open `core_pattern`, sysctls and sysrq for writing", kernel::settings),
    isolation("kernel-log", "read the kernel's log", kernel::log),
    isolation("core-dump", "raise the limit on cores and dump one", kernel::core_dump),
    limit("fork-bomb", "processes until no more are given", limits::fork_bomb),
    limit("memory-balloon", "memory until it is refused or the program is killed", limits::balloon),
    limit("memory-balloon-shared", "the same with memory that processes share", limits::shared_balloon),
    limit("cpu-burner", "two busy processes; thousandths of a processor that they got", limits::cpu_burner),
    limit("descriptor-hoarder", "descriptors until no more are given", limits::descriptors),
    limit("big-file", "one file, in megabytes, until it may not grow", limits::big_file),
    limit("disk-filler", "many files, in megabytes", limits::disk_filler),
    limit("log-flood", "log lines without a pause, in megabytes", limits::log_flood),
    limit("output-flood", "an answer without an end, in megabytes", limits::output_flood),
    open("udp", "send to any UDP port", network::udp),
    open(
        "allowed-port",
        "connect to a service of this machine on a port that its type allows",
        network::allowed_port,
    ),
    open(
        "home-socket",
        "connect to a socket that the service's user keeps at home (an agent's)",
        sockets::home_socket,
    ),
    open("names-in-proc", "read other processes' names and command lines", processes::names),
];
