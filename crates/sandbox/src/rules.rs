//! Which files and folders a server needs beyond its own: what every program of a machine reads, and where the program that
//! it runs is installed. Looks at files, changes nothing.

use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

/// Programs and libraries of the machine, open to everybody on it.
pub(crate) const PROGRAMS: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
    "/gnu/store",
    "/home/linuxbrew/.linuxbrew",
];

/// What C libraries, TLS libraries and language runtimes read: names, certificates, the shape of the machine. Not all of
/// `/etc`, where other services keep passwords, and nothing of other people.
pub(crate) const FACTS: &[&str] = &[
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/ssl/cert.pem",
    "/etc/pki/tls",
    "/etc/pki/ca-trust",
    "/etc/crypto-policies",
    "/etc/ca-certificates",
    "/etc/ca-certificates.conf",
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/passwd",
    "/etc/group",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld.so.preload",
    "/etc/alternatives",
    "/etc/mime.types",
    "/etc/fonts",
    "/etc/os-release",
    "/etc/python3",
    "/etc/gitconfig",
    "/etc/npmrc",
    "/etc/pip.conf",
    "/etc/uv",
    "/var/lib/ca-certificates",
    "/proc",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
    "/sys/kernel/mm/transparent_hugepage",
];

/// Where services that look up names leave what they found; `/etc/resolv.conf` may lead here.
pub(crate) const RESOLVERS: &[&str] = &["/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager"];

/// Where a machine without `/usr/bin` has its programs: a link into its store.
pub(crate) const LINKED_PROGRAMS: &str = "/run/current-system";

/// Devices that are nobody's.
pub(crate) const DEVICES: &[&str] =
    &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

/// Links from one to the next that are followed; the kernel follows more.
const MAX_LINKS: usize = 16;
/// Interpreters of interpreters; the kernel allows four.
const MAX_INTERPRETERS: usize = 4;
/// The first line of a script that the kernel reads.
const SCRIPT_LINE_BYTES: usize = 256;
/// Files that mark the folder of a whole project.
const PROJECT_FILES: [&str; 2] = ["package.json", "pyproject.toml"];

/// Where a program is installed: what has to be readable for it to run, at each link that leads to it, and the same for the
/// interpreter that a script names. No place contains one of the `closed` folders.
pub fn installation(program: &Path, closed: &[PathBuf]) -> Vec<PathBuf> {
    let mut places = Vec::new();
    let mut next = Some(program.to_owned());
    for _ in 0..=MAX_INTERPRETERS {
        let Some(program) = next.take() else { break };
        let Some(file) = follow(&program, closed, &mut places) else { break };
        next = interpreter(&file);
    }
    places
}

/// Adds the place of each link on the way, and answers with the file at the end.
fn follow(program: &Path, closed: &[PathBuf], places: &mut Vec<PathBuf>) -> Option<PathBuf> {
    let mut at = program.to_owned();
    for _ in 0..MAX_LINKS {
        let name = at.file_name()?;
        let here = at.parent()?.canonicalize().ok()?.join(name);
        let kind = here.symlink_metadata().ok()?.file_type();
        let place = place_of(&here, closed, has_project);
        if !places.contains(&place) {
            places.push(place);
        }
        if !kind.is_symlink() {
            return Some(here);
        }
        at = here.parent()?.join(here.read_link().ok()?);
    }
    None
}

fn has_project(folder: &Path) -> bool {
    PROJECT_FILES.iter().any(|name| folder.join(name).is_file())
}

/// The folder that one file of an installation stands for; the file itself where none is known to belong to it alone.
fn place_of(file: &Path, closed: &[PathBuf], is_project: impl Fn(&Path) -> bool) -> PathBuf {
    let may = |folder: &&Path| !is_shared(folder) && !closed.iter().any(|each| each.starts_with(folder));
    let mut above = file.ancestors().skip(1);
    let modules = file.ancestors().filter(|folder| folder.ends_with("node_modules")).last();
    if let Some(modules) = modules.filter(|folder| may(folder)) {
        return modules.to_owned();
    }
    let in_bin = above.next().filter(|folder| folder.ends_with("bin")).and_then(Path::parent);
    if let Some(prefix) = in_bin.filter(|folder| may(folder)) {
        return prefix.to_owned();
    }
    let project = file.ancestors().skip(1).take_while(may).find(|folder| is_project(folder));
    project.unwrap_or(file).to_owned()
}

/// Folders that hold more than one thing: a person's, and those of the machine.
fn is_shared(folder: &Path) -> bool {
    let parts: Vec<&[u8]> = folder
        .components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.as_bytes()),
            _ => None,
        })
        .collect();
    let in_home = match parts.as_slice() {
        [] | [_] => return true,
        [b"home", _, rest @ ..] | [b"root", rest @ ..] => rest,
        _ => return false,
    };
    // `.local`, `.cargo`, `.config`: programs lie there beside keys. A folder of Python's says what it is.
    match in_home {
        [] => true,
        [name] => name.starts_with(b".") && !folder.join("pyvenv.cfg").is_file(),
        _ => false,
    }
}

/// The interpreter that the first line of a script names.
fn interpreter(file: &Path) -> Option<PathBuf> {
    let mut line = Vec::new();
    std::fs::File::open(file).ok()?.take(SCRIPT_LINE_BYTES as u64).read_to_end(&mut line).ok()?;
    let line = line.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let path = line.trim_ascii().split(u8::is_ascii_whitespace).next()?;
    let path = Path::new(std::ffi::OsStr::from_bytes(path));
    path.is_absolute().then(|| path.to_owned())
}

#[cfg(test)]
mod tests;
