//! Runs a package manager: nothing of our environment, its words as progress, the last of them in an error.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, mpsc};

use nix::sys::signal::Signal;

use crate::file;
use crate::request::{Error, Request};
use crate::{say, watch};

/// Lines that an error quotes.
const QUOTED_LINES: usize = 12;
/// The longest line that is read as one.
const MAX_LINE_BYTES: u64 = 16 * 1024;

/// What is said of an archive that is not the one whose hash the registry tells.
pub(crate) const OTHER_HASH: &str = "an archive has another hash than the registry tells";
/// What is said where the disk is full.
const FULL: &[&str] = &["ENOSPC", "No space left on device"];
/// What is said of a file that is longer than the limit.
const TOO_LONG: &[&str] = &["EFBIG", "File too large"];

/// What npm says of its own log.
const OWN_LOG: &str = "A complete log of this run can be found in";

/// How a package manager ended.
pub(crate) struct Ended {
    pub(crate) is_well: bool,
    /// The end of what it said.
    pub(crate) said: String,
    /// The most bytes that one file may have.
    max_bytes: u64,
    /// Whether the kernel ended it because a file had more.
    was_too_long: bool,
}

impl Ended {
    /// Why it came to nothing, where the package manager itself says nothing that tells more.
    pub(crate) fn failed(self, manager: &'static str, package: String) -> Error {
        if self.said_any(FULL) {
            return Error::DiskFull { package };
        }
        if self.was_too_long || self.said_any(TOO_LONG) {
            return Error::TooLarge { what: format!("a file of it has more than {} bytes", self.max_bytes) };
        }
        Error::Failed { manager, package, said: self.said }
    }

    /// Whether one of these was said.
    pub(crate) fn said_any(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.said.contains(word))
    }
}

/// Where a package manager keeps what is not the package: taken away at the end.
pub(crate) const HOME: &str = ".home";

/// Runs it in the request's folder until it ends.
#[expect(clippy::disallowed_methods, reason = "the one place that starts package managers")]
pub(crate) fn run(
    request: &Request,
    step: &str,
    program: &Path,
    args: &[&str],
    more: &[(&str, &str)],
) -> Result<Ended, Error> {
    let home = request.folder.join(HOME);
    let temporary = home.join("tmp");
    file::make_folder(&temporary)?;
    let path = program.parent().map_or_else(String::new, |folder| format!("{}:", folder.display()));
    let mut child = Command::new(program)
        .args(args)
        .env_clear()
        .envs(&request.environment)
        .env("PATH", format!("{path}/usr/local/bin:/usr/bin:/bin"))
        .env("HOME", &home)
        .env("TMPDIR", &temporary)
        .env("LANG", "C.UTF-8")
        .envs(more.iter().copied())
        .current_dir(&request.folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| Error::File { what: format!("could not start {}", program.display()), source })?;
    let said = Mutex::new(VecDeque::with_capacity(QUOTED_LINES));
    let (out, errors) = (child.stdout.take(), child.stderr.take());
    let killed_before = memory_kills(&request.groups);
    let (end, ended) = mpsc::channel();
    let status = std::thread::scope(|scope| {
        scope.spawn(|| out.map(|out| hear(out, step, &said)));
        scope.spawn(|| errors.map(|errors| hear(errors, step, &said)));
        scope.spawn(move || watch::growth(request, &ended));
        let status = child.wait();
        drop(end);
        status
    });
    let status = status.map_err(|source| Error::File {
        what: format!("could not wait for {}", program.display()),
        source,
    })?;
    if !status.success() && memory_kills(&request.groups) > killed_before {
        let what = format!("it needed more than {} bytes of memory", request.max_memory_bytes);
        return Err(Error::TooLarge { what });
    }
    let said = Vec::from(said.into_inner().unwrap_or_default()).join("; ");
    let was_too_long = status.signal() == Some(Signal::SIGXFSZ as i32);
    Ok(Ended { is_well: status.success(), said, max_bytes: request.max_bytes, was_too_long })
}

/// How often the kernel ended a process of these control groups because their memory was used up.
fn memory_kills(groups: &[PathBuf]) -> u64 {
    let of = |group: &PathBuf| {
        // Of version 2 and of version 1.
        let files = ["memory.events", "memory.oom_control"];
        let text = files.iter().find_map(|name| std::fs::read_to_string(group.join(name)).ok())?;
        text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse::<u64>().ok())
    };
    groups.iter().filter_map(of).sum()
}

fn hear(from: impl Read, step: &str, said: &Mutex<VecDeque<String>>) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    loop {
        line.clear();
        match from.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = say::plain(&String::from_utf8_lossy(&line));
        if text.is_empty() {
            continue;
        }
        say::progress(step, &text);
        // The file it names goes with the folder.
        if text.contains(OWN_LOG) {
            continue;
        }
        if let Ok(mut said) = said.lock() {
            if said.len() == QUOTED_LINES {
                said.pop_front();
            }
            said.push_back(text);
        }
    }
}
