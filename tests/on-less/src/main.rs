//! Becomes the service, on a machine that has less than this one: what is taken away answers as it does where it does
//! not exist. Tests start it in the place of the service, as root; the service itself knows of no such thing.
#![expect(unsafe_code, reason = "a filter of system calls has no safe form here")]

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

/// Names what the machine lacks, with commas: `landlock`, `namespaces`, `cgroups`.
const LACKS: &str = "ROADSTEAD_TEST_LACKS";
/// The user that the service runs as, by number; without it, the one that it is.
const USER: &str = "ROADSTEAD_TEST_USER";

fn main() -> anyhow::Result<()> {
    let lacks = variable(LACKS);
    let lacks: Vec<&str> = lacks.as_deref().unwrap_or_default().split(',').collect();
    if lacks.contains(&"cgroups") {
        hide_control_groups()?;
    }
    let (landlock, namespaces) = (lacks.contains(&"landlock"), lacks.contains(&"namespaces"));
    if landlock || namespaces {
        enter(&filter(landlock, namespaces))?;
    }
    if let Some(user) = variable(USER) {
        become_user(user.parse().context("the user is a number")?)?;
    }
    let own = std::env::current_exe().context("this program knows where it lies")?;
    Err(service(&own.with_file_name("roadstead")).exec()).context("could not become the service")
}

#[expect(clippy::disallowed_methods, reason = "tests speak to this program by its environment")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[expect(clippy::disallowed_methods, reason = "it becomes another program")]
fn service(program: &std::path::Path) -> Command {
    let mut command = Command::new(program);
    command.args(std::env::args_os().skip(1)).env_remove(LACKS).env_remove(USER);
    command
}

/// A view of the machine's files without the hierarchies of control groups.
fn hide_control_groups() -> anyhow::Result<()> {
    let nothing = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS).context("a view of one's own")?;
    mount(nothing, "/", nothing, MsFlags::MS_PRIVATE | MsFlags::MS_REC, nothing).context("a private view")?;
    // None at all is what is wanted.
    while umount2("/sys/fs/cgroup", MntFlags::MNT_DETACH).is_ok() {}
    Ok(())
}

/// Like a login: the user, a group of its own number, and no other.
fn become_user(id: u32) -> anyhow::Result<()> {
    let (user, group) = (Uid::from_raw(id), Gid::from_raw(id));
    setgroups(&[]).context("no groups")?;
    setresgid(group, group, group).context("the group")?;
    setresuid(user, user, user).context("the user")
}

#[expect(clippy::cast_possible_truncation, reason = "the codes of this machine are small")]
const fn instruction(code: u32, jump_true: u8, jump_false: u8, operand: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: jump_true, jf: jump_false, k: operand }
}

/// Where a call's number and the lower half of its first argument are.
const NUMBER: u32 = 0;
const FIRST_ARGUMENT: u32 = 16;

const fn load(offset: u32) -> libc::sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset)
}

const fn answer(action: u32) -> libc::sock_filter {
    instruction(libc::BPF_RET | libc::BPF_K, 0, 0, action)
}

const fn refuse(errno: i32) -> libc::sock_filter {
    answer(libc::SECCOMP_RET_ERRNO | errno.cast_unsigned())
}

/// Calls that answer as they do where they are not there.
fn filter(without_landlock: bool, without_namespaces: bool) -> Vec<libc::sock_filter> {
    let is = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let has = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
    let call = |number: libc::c_long| u32::try_from(number).expect("numbers of calls are small");
    let mut program = vec![load(NUMBER)];
    let mut refused = Vec::new();
    if without_landlock {
        let all = [
            libc::SYS_landlock_create_ruleset,
            libc::SYS_landlock_add_rule,
            libc::SYS_landlock_restrict_self,
        ];
        refused.extend(all.map(|number| (number, libc::ENOSYS)));
    }
    if without_namespaces {
        refused.extend([(libc::SYS_unshare, libc::EPERM), (libc::SYS_clone3, libc::ENOSYS)]);
    }
    for (number, errno) in refused {
        program.extend([instruction(is, 0, 1, call(number)), refuse(errno)]);
    }
    if without_namespaces {
        let own = (libc::CLONE_NEWUSER | libc::CLONE_NEWPID | libc::CLONE_NEWNS).cast_unsigned();
        program.extend([
            instruction(is, 0, 3, call(libc::SYS_clone)),
            load(FIRST_ARGUMENT),
            instruction(has, 0, 1, own),
            refuse(libc::EPERM),
        ]);
    }
    program.push(answer(libc::SECCOMP_RET_ALLOW));
    program
}

/// Puts a filter into force for this process and all that come of it.
fn enter(program: &[libc::sock_filter]) -> anyhow::Result<()> {
    let length = u16::try_from(program.len()).context("a filter is short")?;
    let described = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
    // SAFETY: the kernel reads the program, which lives through the call and whose length is told. As root, a filter needs
    // no promise to gain no rights.
    let entered =
        unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const described) };
    ensure!(entered == 0, "a filter of system calls was refused: {}", std::io::Error::last_os_error());
    Ok(())
}
