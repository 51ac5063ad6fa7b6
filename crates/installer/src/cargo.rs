//! cargo: a program that is built here from its source, as its own lock file says.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::file;
use crate::request::{Error, Executable, Installed, Interpreter, Locked, Request};
use crate::run::{HOME, run};
use crate::say;

const MISSING: &[&str] = &["could not find `"];

#[derive(Deserialize)]
struct Record {
    installs: BTreeMap<String, Install>,
}

#[derive(Deserialize)]
struct Install {
    bins: Vec<String>,
}

#[derive(Deserialize)]
struct Lock {
    #[serde(default)]
    package: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    version: String,
    source: Option<String>,
    checksum: Option<String>,
}

pub(crate) fn install(request: &Request) -> Result<Installed, Error> {
    let Some(cargo) = &request.tools.cargo else {
        let how = "install it for the whole machine, for example: apt install cargo";
        return Err(request.tools.missing("cargo", "cargo", how));
    };
    let package = match &request.version {
        Some(version) => format!("{}@={version}", request.name),
        None => request.name.clone(),
    };
    if !request.scripts {
        let why = "cargo builds it here, and its build scripts run: an administrator has to allow scripts";
        return Err(refused(&package, why));
    }
    let home = request.folder.join(HOME);
    let (cargo_home, target) = (home.join("cargo"), home.join("target"));
    let texts = [&request.folder, &cargo_home, &target].map(|path| path.to_string_lossy().into_owned());
    let [root, cargo_home_text, target] = &texts;
    let args = ["install", "--locked", "--root", root, "--target-dir", target, "--", &package];
    say::progress("installing", &format!("cargo builds {package}"));
    let ended = run(request, "installing", cargo, &args, &[("CARGO_HOME", cargo_home_text)])?;
    if !ended.is_well {
        if ended.said_any(MISSING) {
            return Err(Error::NotFound { registry: "the registry of crates", package });
        }
        return Err(ended.failed("cargo", package));
    }
    let record: Record = file::json(&request.folder.join(".crates2.json"))?;
    let unknown = || refused(&package, "cargo does not tell what it installed");
    let (id, install) = record.installs.into_iter().next().ok_or_else(unknown)?;
    let version = id.split(' ').nth(1).ok_or_else(unknown)?.to_owned();
    let (packages, lock) = locked(&cargo_home, &request.name, &version)?;
    let integrity = archive_hash(&cargo_home, &request.name, &version)?;
    file::remove(&home)?;
    let executables = install.bins.into_iter().filter(|name| file::is_program_name(name));
    let executables: Vec<_> = executables
        .map(|name| Executable { path: Path::new("bin").join(&name), name, interpreter: Interpreter::None })
        .collect();
    if executables.is_empty() {
        return Err(Error::NoExecutable { package });
    }
    Ok(Installed {
        version,
        integrity,
        packages,
        lock,
        executables,
        unrun_scripts: Vec::new(),
        digest: String::new(),
        links: None,
        bytes: 0,
        files: 0,
    })
}

fn refused(package: &str, why: &str) -> Error {
    Error::Refused { package: package.to_owned(), why: why.to_owned() }
}

/// The lock file that came with the source.
fn locked(home: &Path, name: &str, version: &str) -> Result<(Vec<Locked>, String), Error> {
    let path = one_of(&home.join("registry/src"), &format!("{name}-{version}/Cargo.lock"))?;
    let text = file::read(&path)?;
    let lock: Lock =
        toml::from_str(&text).map_err(|error| refused(name, &format!("its lock file: {error}")))?;
    let mut packages = Vec::new();
    for entry in lock.package {
        // The package itself, and nothing else, has no source there.
        let Some(source) = entry.source else { continue };
        let Some(checksum) =
            entry.checksum.filter(|_| source.starts_with("registry+") || source.starts_with("sparse+"))
        else {
            return Err(refused(&entry.name, "it comes from a repository, not from the registry"));
        };
        let integrity = format!("sha256:{checksum}");
        packages.push(Locked { name: entry.name, version: entry.version, integrity });
    }
    packages.sort_unstable();
    Ok((packages, text))
}

fn archive_hash(home: &Path, name: &str, version: &str) -> Result<String, Error> {
    let path = one_of(&home.join("registry/cache"), &format!("{name}-{version}.crate"))?;
    let bytes = fs::read(&path).map_err(file::error("could not read the package's archive"))?;
    Ok(format!("sha256:{}", hex::encode(Sha256::digest(bytes))))
}

/// A file below the one folder that a registry has there.
fn one_of(folder: &Path, below: &str) -> Result<PathBuf, Error> {
    let failed = || file::error(format!("could not look into {}", folder.display()));
    for entry in fs::read_dir(folder).map_err(failed())? {
        let path = entry.map_err(failed())?.path().join(below);
        if path.exists() {
            return Ok(path);
        }
    }
    Err(failed()(std::io::ErrorKind::NotFound.into()))
}
