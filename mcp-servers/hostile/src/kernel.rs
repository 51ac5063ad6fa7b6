//! What the kernel offers beside files, processes and sockets.
#![expect(unsafe_code, reason = "what is tried here has no safe form")]

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::signal::{Signal, raise};

use crate::child::{self, End, try_in_child};
use crate::files::c_path;
use crate::outcome::{Outcome, Tried, called, tried};
use crate::target::Target;

const USER_KEYRING: i32 = -4;
const KEYCTL_UNLINK: i32 = 9;
/// `BPF_MAP_CREATE`, and a map of the simplest kind with one entry of four bytes.
const BPF_MAP_CREATE: i32 = 0;
const BPF_MAP: [u32; 12] = [2, 4, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0];
/// A software event, counted in this program alone: type and size, then what is not counted.
const PERF_EVENT: [u64; 8] = [1 | 64 << 32, 0, 0, 0, 0, 1 | 1 << 5 | 1 << 6, 0, 0];
const RING_PARAMETERS: usize = 120;
const USER_MODE_ONLY: i32 = 1;
const X32: i64 = 0x4000_0000;
/// The magic numbers of `reboot`, and the command that does nothing but forbid a key combination.
const REBOOT: (u64, u64, u64) = (0xfee1_dead, 672_274_793, 0);
const READ_ALL: i32 = 3;

pub fn keyring(_: &Target) -> Outcome {
    // SAFETY: the texts and the payload live through the call, and its length is told.
    let key = unsafe {
        libc::syscall(
            libc::SYS_add_key,
            c"user".as_ptr(),
            c"roadstead-hostile".as_ptr(),
            b"x".as_ptr(),
            1,
            USER_KEYRING,
        )
    };
    let added = called(key, "key");
    if added.is_ok() {
        // SAFETY: takes numbers alone.
        unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_UNLINK, key, USER_KEYRING) };
    }
    Outcome::any([("add_key", added)])
}

pub fn bpf(_: &Target) -> Outcome {
    // SAFETY: the kernel reads the attributes, whose length is told.
    let made =
        unsafe { libc::syscall(libc::SYS_bpf, BPF_MAP_CREATE, BPF_MAP.as_ptr(), size_of_val(&BPF_MAP)) };
    Outcome::any([("map", called(made, "descriptor"))])
}

pub fn perf(_: &Target) -> Outcome {
    // SAFETY: the kernel reads the attributes, whose length is in them.
    let opened = unsafe { libc::syscall(libc::SYS_perf_event_open, PERF_EVENT.as_ptr(), 0, -1, -1, 0) };
    Outcome::any([("perf_event_open", called(opened, "descriptor"))])
}

pub fn io_uring(_: &Target) -> Outcome {
    let mut parameters = [0_u8; RING_PARAMETERS];
    // SAFETY: the kernel reads and writes the parameters, which are of its length.
    let made = unsafe { libc::syscall(libc::SYS_io_uring_setup, 4, parameters.as_mut_ptr()) };
    Outcome::any([("io_uring_setup", called(made, "descriptor"))])
}

pub fn userfaultfd(_: &Target) -> Outcome {
    // SAFETY: takes a number.
    let made = unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC | USER_MODE_ONLY) };
    Outcome::any([("userfaultfd", called(made, "descriptor"))])
}

pub fn x32(_: &Target) -> Outcome {
    if !cfg!(target_arch = "x86_64") {
        return Outcome::Absent("only x86-64 has them".into());
    }
    // SAFETY: asks for the own number.
    let answered = unsafe { libc::syscall(X32 | libc::SYS_getpid) };
    Outcome::any([("getpid", called(answered, "process"))])
}

#[cfg(target_arch = "x86_64")]
pub fn int80(_: &Target) -> Outcome {
    Outcome::any([(
        "getpid",
        try_in_child("answered", || {
            let mut number = 20_i64;
            // SAFETY: asks for the own number, by the entry of 32-bit programs; it takes no memory.
            unsafe {
                std::arch::asm!("int 0x80", inlateout("rax") number, out("r8") _, out("r9") _, out("r10") _, out("r11") _);
            }
            if number > 0 { Ok(()) } else { Err(Errno::ENOSYS) }
        }),
    )])
}

#[cfg(not(target_arch = "x86_64"))]
pub fn int80(_: &Target) -> Outcome {
    Outcome::Absent("only x86-64 has it".into())
}

pub fn sysv_memory(target: &Target) -> Outcome {
    let attach = || -> Tried {
        // SAFETY: these take numbers, and let the kernel choose an address.
        unsafe {
            let id = Errno::result(libc::shmget(target.key, 0, 0))?;
            let at = libc::shmat(id, std::ptr::null(), libc::SHM_RDONLY);
            if at.addr() == usize::MAX {
                return Err(Errno::last());
            }
            let first = *at.cast::<u8>();
            libc::shmdt(at);
            Ok(format!("read {first}"))
        }
    };
    Outcome::any([("shmat", attach())])
}

pub fn posix_queue(target: &Target) -> Outcome {
    let name = std::ffi::CString::new(target.queue.as_str()).unwrap_or_default();
    // SAFETY: the name lives through the call.
    let opened =
        unsafe { libc::syscall(libc::SYS_mq_open, name.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC, 0, 0) };
    Outcome::any([("mq_open", called(opened, "descriptor"))])
}

pub fn module(_: &Target) -> Outcome {
    let program = File::open(std::env::current_exe().unwrap_or_default());
    let number = program.as_ref().map_or(-1, AsRawFd::as_raw_fd);
    let image = [0x7f_u8, b'E', b'L', b'F', 0, 0, 0, 0];
    // SAFETY: images and texts live through the calls, and lengths are told.
    unsafe {
        Outcome::any([
            (
                "init_module",
                called(
                    libc::syscall(libc::SYS_init_module, image.as_ptr(), image.len(), c"".as_ptr()),
                    "loaded",
                ),
            ),
            (
                "finit_module",
                called(libc::syscall(libc::SYS_finit_module, number, c"".as_ptr(), 0), "loaded"),
            ),
            (
                "delete_module",
                called(
                    libc::syscall(libc::SYS_delete_module, c"no_such_module".as_ptr(), libc::O_NONBLOCK),
                    "removed",
                ),
            ),
        ])
    }
}

pub fn reboot(_: &Target) -> Outcome {
    let nothing = std::ptr::null::<u8>();
    // SAFETY: no segments are loaded; the command of `reboot` takes no memory.
    unsafe {
        Outcome::any([
            ("kexec_load", called(libc::syscall(libc::SYS_kexec_load, 0, 0, nothing, 0), "unloaded")),
            (
                "reboot",
                called(libc::syscall(libc::SYS_reboot, REBOOT.0, REBOOT.1, REBOOT.2, nothing), "done"),
            ),
        ])
    }
}

pub fn clock(_: &Target) -> Outcome {
    // SAFETY: all zeroes is a valid one.
    let mut now: libc::timespec = unsafe { std::mem::zeroed() };
    // SAFETY: `now` lives through the calls. The time that is set is the one that it is.
    let set = unsafe {
        libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut now);
        [
            ("clock_settime", called(libc::clock_settime(libc::CLOCK_REALTIME, &raw const now), "set")),
            ("settimeofday", {
                let day = libc::timeval { tv_sec: now.tv_sec, tv_usec: now.tv_nsec / 1000 };
                called(libc::settimeofday(&raw const day, std::ptr::null()), "set")
            }),
        ]
    };
    Outcome::any(set)
}

pub fn swap_hostname(_: &Target) -> Outcome {
    let file = std::env::current_dir().unwrap_or_default().join("swap");
    let _ = std::fs::write(&file, "not a swap file");
    let path = c_path(&file);
    let mut name = [0_u8; 64];
    // SAFETY: path and name live through the calls, and lengths are told. The name that is set is the one that it has.
    unsafe {
        libc::gethostname(name.as_mut_ptr().cast(), name.len() - 1);
        let length = name.iter().position(|byte| *byte == 0).unwrap_or_default();
        Outcome::any([
            ("swapon", called(libc::swapon(path.as_ptr(), 0), "on")),
            ("sethostname", called(libc::sethostname(name.as_ptr().cast(), length), "set")),
        ])
    }
}

pub fn settings(_: &Target) -> Outcome {
    let files = [
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/modprobe",
        "/proc/sys/vm/overcommit_memory",
        "/proc/sys/net/ipv4/ip_forward",
        "/proc/sysrq-trigger",
        "/sys/kernel/mm/transparent_hugepage/enabled",
    ];
    // Opening is the right; nothing is written.
    Outcome::any(
        files.map(|path| ("open", tried(OpenOptions::new().write(true).open(path), |_| path.to_owned()))),
    )
}

pub fn log(_: &Target) -> Outcome {
    let mut text = [0_u8; 1024];
    // SAFETY: the buffer lives through the call, and its length is told.
    let read = unsafe { libc::syscall(libc::SYS_syslog, READ_ALL, text.as_mut_ptr(), text.len()) };
    Outcome::any([("syslog", called(read, "bytes"))])
}

pub fn core_dump(_: &Target) -> Outcome {
    let raised = try_in_child("raised", || {
        let all = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
        // SAFETY: `all` lives through the call.
        called(unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const all) }, "").map(drop)
    });
    let dumped = child::start(|| raise(Signal::SIGABRT)).and_then(child::wait);
    let dumped = match dumped {
        Ok(End::Killed { core: true, .. }) => Ok("a core was written".to_owned()),
        Ok(_) => Err(Errno::EFBIG),
        Err(errno) => Err(errno),
    };
    Outcome::any([("setrlimit", raised), ("abort", dumped)])
}
