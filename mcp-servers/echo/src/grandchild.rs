//! The process that stays behind: a grandchild in a session of its own, the way daemons make themselves.
//!
//! ```text
//! echo ──► this program as `parent`: setsid, starts the grandchild, ends ──► this program as `grandchild`
//! ```
//! Each step is a fresh start of this program, never a bare fork, so nothing of ours runs in a half-copied process.

use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use nix::sys::signal::{SigSet, Signal};

use crate::flags::GrandchildRole;

/// A grandchild that nobody finds must not live for ever on the machine of whoever tried this.
const GRANDCHILD_LIFETIME: Duration = Duration::from_hours(1);

/// Leaves a grandchild behind; returns when it lives and its process id is on stderr.
pub fn leave_one(holds_pipes: bool) -> anyhow::Result<()> {
    let mut parent = this_program(GrandchildRole::Parent)?;
    if holds_pipes {
        parent.arg("--fork-grandchild").arg("--grandchild-holds-pipes");
    } else {
        parent.stdin(Stdio::null()).stdout(Stdio::null());
    }
    let status = parent.status().context("could not start the grandchild's parent")?;
    ensure!(status.success(), "the grandchild's parent failed: {status}");
    Ok(())
}

/// Plays one of the two generations.
pub fn play(role: GrandchildRole, holds_pipes: bool) -> ExitCode {
    let played = match role {
        GrandchildRole::Parent => be_parent(holds_pipes),
        GrandchildRole::Grandchild => be_grandchild(),
    };
    match played {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn be_parent(holds_pipes: bool) -> anyhow::Result<()> {
    nix::unistd::setsid().context("could not start a session")?;
    // Inherited, so that there is no moment at which the grandchild could be ended before it blocks the signal.
    block_sigterm()?;
    let mut grandchild = this_program(GrandchildRole::Grandchild)?;
    if !holds_pipes {
        grandchild.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    }
    let grandchild = grandchild.spawn().context("could not start the grandchild")?;
    eprintln!("echo: grandchild {}", grandchild.id());
    Ok(())
}

fn be_grandchild() -> anyhow::Result<()> {
    block_sigterm()?;
    std::thread::sleep(GRANDCHILD_LIFETIME);
    Ok(())
}

/// Before any other thread exists, so that none is left to take the signal.
pub fn block_sigterm() -> anyhow::Result<()> {
    SigSet::from(Signal::SIGTERM).thread_block().context("could not block SIGTERM")
}

/// This program again, as one of the generations.
#[expect(clippy::disallowed_methods, reason = "the one place that starts a process: this program again")]
pub fn this_program(role: GrandchildRole) -> anyhow::Result<Command> {
    let program = std::env::current_exe().context("could not find this program")?;
    let mut command = Command::new(program);
    command.arg(match role {
        GrandchildRole::Parent => "--grandchild-role=parent",
        GrandchildRole::Grandchild => "--grandchild-role=grandchild",
    });
    Ok(command)
}
