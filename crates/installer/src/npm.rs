//! npm: one package and what it needs, below `node_modules`, as its lock file tells.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::file;
use crate::request::{Error, Executable, Installed, Interpreter, Locked, Request};
use crate::run::{HOME, OTHER_HASH, run};
use crate::say;

const MODULES: &str = "node_modules";
const LOCK: &str = "package-lock.json";
/// What npm says of a package or a version that is not there.
const MISSING: &[&str] = &["E404", "ETARGET", "No matching version"];
/// What npm says of what it was told not to fetch, since it does not come from the registry.
const ELSEWHERE: &[&str] = &["EALLOWGIT", "EALLOWREMOTE", "EALLOWFILE", "EALLOWDIRECTORY"];
/// What npm says of an archive that is not the one whose hash the registry tells.
const FORGED: &[&str] = &["EINTEGRITY"];
/// Whether to fetch what does not come from the registry. An npm that does not know one of these passes it over; what it fetched
/// then is found in its lock file.
const FROM_REGISTRY_ALONE: &[(&str, &str)] = &[
    ("npm_config_allow_git", "none"),
    ("npm_config_allow_remote", "none"),
    ("npm_config_allow_file", "none"),
    ("npm_config_allow_directory", "none"),
];
/// What the first line of a script for Node names.
const NODE_LINE: &str = "node";

#[derive(Deserialize)]
struct Lock {
    packages: BTreeMap<String, Entry>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Entry {
    name: Option<String>,
    version: Option<String>,
    resolved: Option<String>,
    integrity: Option<String>,
    link: bool,
    in_bundle: bool,
    has_install_script: bool,
    dependencies: BTreeMap<String, String>,
    optional_dependencies: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Package {
    #[serde(default)]
    bin: Option<Bin>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Bin {
    One(PathBuf),
    Many(BTreeMap<String, PathBuf>),
}

pub(crate) fn install(request: &Request) -> Result<Installed, Error> {
    let (Some(node), Some(npm)) = (&request.tools.node, &request.tools.npm) else {
        let how = "install it for the whole machine, for example: apt install nodejs npm";
        return Err(request.tools.missing("node", "Node.js with npm", how));
    };
    let package = match &request.version {
        Some(version) => format!("{}@{version}", request.name),
        None => request.name.clone(),
    };
    file::write(
        &request.folder.join("package.json"),
        "{\"private\":true,\"name\":\"installed\",\"version\":\"0.0.0\"}\n",
    )?;
    let npm = npm.to_string_lossy();
    let cache = request.folder.join(HOME).join("npm");
    let cache = cache.to_string_lossy();
    let scripts = if request.scripts { "--ignore-scripts=false" } else { "--ignore-scripts" };
    let args = [
        &*npm,
        "install",
        scripts,
        "--no-audit",
        "--no-fund",
        "--no-update-notifier",
        "--save-exact",
        "--omit=dev",
        "--package-lock=true",
        "--loglevel=http",
        "--cache",
        &*cache,
        "--",
        &package,
    ];
    say::progress("installing", &format!("npm installs {package}"));
    let ended = run(request, "installing", node, &args, FROM_REGISTRY_ALONE)?;
    if !ended.is_well {
        if ended.said_any(MISSING) {
            return Err(Error::NotFound { registry: "the npm registry", package });
        }
        if ended.said_any(ELSEWHERE) {
            let why = "what it needs does not come from the registry: a repository, an address or a folder";
            return Err(refused(&package, &format!("{why} ({})", ended.said)));
        }
        if ended.said_any(FORGED) {
            return Err(refused(&package, &format!("{OTHER_HASH} ({})", ended.said)));
        }
        return Err(ended.failed("npm", package));
    }
    file::remove(&request.folder.join(HOME))?;
    let text = file::read(&request.folder.join(LOCK))?;
    let lock: Lock = file::json(&request.folder.join(LOCK))?;
    let (packages, unrun) = locked(&lock)?;
    let own = lock.packages.get(&format!("{MODULES}/{}", request.name));
    let (Some(version), Some(integrity)) =
        own.map_or((None, None), |own| (own.version.clone(), own.integrity.clone()))
    else {
        return Err(refused(&package, "the lock file does not tell what was installed under its name"));
    };
    Ok(Installed {
        version,
        integrity,
        packages,
        lock: text,
        executables: executables(&request.folder, &request.name)?,
        unrun_scripts: if request.scripts { Vec::new() } else { unrun },
        digest: String::new(),
        links: None,
        bytes: 0,
        files: 0,
    })
}

fn refused(package: &str, why: &str) -> Error {
    Error::Refused { package: package.to_owned(), why: why.to_owned() }
}

/// Every package of the lock file with its hash, and those that wanted to run something.
fn locked(lock: &Lock) -> Result<(Vec<Locked>, Vec<String>), Error> {
    let (mut packages, mut unrun) = (Vec::new(), Vec::new());
    for (place, entry) in &lock.packages {
        let Some((_, name)) = place.rsplit_once(&format!("{MODULES}/")) else { continue };
        let name = entry.name.as_deref().unwrap_or(name);
        let version = entry.version.as_deref().unwrap_or_default();
        if entry.link {
            return Err(refused(name, "it is a link to a folder, and does not come from the registry"));
        }
        if let Some(resolved) = &entry.resolved
            && !resolved.starts_with("https://")
            && !resolved.starts_with("http://")
        {
            return Err(refused(
                name,
                "it is of a repository or a file, and does not come from the registry",
            ));
        }
        // An address leads to an archive with a hash like any other: what was asked for tells them apart.
        let needs = entry.dependencies.iter().chain(&entry.optional_dependencies);
        if let Some((needed, from)) = needs.into_iter().find(|(_, from)| !is_of_registry(from)) {
            let why = format!("{name} wants it from {from:?}, and it does not come from the registry");
            return Err(refused(needed, &say::plain(&why)));
        }
        if entry.has_install_script {
            unrun.push(format!("{name}@{version}"));
        }
        // What a package carries within itself is covered by that package's hash.
        if entry.in_bundle {
            continue;
        }
        let Some(integrity) = &entry.integrity else {
            return Err(refused(name, "it has no hash: it does not come from the registry"));
        };
        packages.push(Locked {
            name: name.to_owned(),
            version: version.to_owned(),
            integrity: integrity.clone(),
        });
    }
    packages.sort_unstable();
    packages.dedup();
    Ok((packages, unrun))
}

/// Whether a dependency is asked for by a range of versions or a tag, and not by where it lies.
fn is_of_registry(wanted: &str) -> bool {
    let wanted = wanted.strip_prefix("npm:@").or_else(|| wanted.strip_prefix("npm:")).unwrap_or(wanted);
    // Of another name with a scope, one slash is the name's.
    let (name, version) = wanted.rsplit_once('@').unwrap_or(("", wanted));
    !version.contains([':', '/']) && !name.contains(':') && name.matches('/').count() <= 1
}

fn executables(folder: &Path, name: &str) -> Result<Vec<Executable>, Error> {
    let below = Path::new(MODULES).join(name);
    let package: Package = file::json(&folder.join(&below).join("package.json"))?;
    let short = name.rsplit('/').next().unwrap_or(name);
    let named = match package.bin {
        Some(Bin::One(path)) => vec![(short.to_owned(), path)],
        Some(Bin::Many(many)) => many.into_iter().collect(),
        None => Vec::new(),
    };
    let mut executables = Vec::new();
    // A name that is more than one would be a trap for whoever types it; npm itself changes such names.
    for (name, path) in named.into_iter().filter(|(name, _)| file::is_program_name(name)) {
        if !file::is_below(&path) {
            return Err(refused(&name, "its package.json names a program outside the package"));
        }
        let path = below.join(path);
        // A program that the package names and does not have is nobody's mistake but its own.
        let Ok(text) = file::read(&folder.join(&path)) else {
            executables.push(Executable { name, path, interpreter: Interpreter::None });
            continue;
        };
        let first = text.lines().next().unwrap_or_default();
        let interpreter = if first.starts_with("#!") && !first.contains(NODE_LINE) {
            Interpreter::None
        } else {
            Interpreter::Node
        };
        executables.push(Executable { name, path, interpreter });
    }
    if executables.is_empty() {
        return Err(Error::NoExecutable { package: name.to_owned() });
    }
    Ok(executables)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(text: &str) -> Result<(Vec<Locked>, Vec<String>), Error> {
        locked(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn a_lock_file_names_every_package_with_its_hash() {
        let (packages, unrun) = lock(
            r#"{"packages": {"": {"dependencies": {"a": "1.0.0"}},
                "node_modules/a": {"version": "1.0.0", "resolved": "https://r/a.tgz", "integrity": "sha512-A"},
                "node_modules/a/node_modules/@s/b": {"version": "2.0.0", "integrity": "sha512-B", "hasInstallScript": true},
                "node_modules/a/node_modules/c": {"version": "3.0.0", "inBundle": true}}}"#,
        )
        .unwrap();
        let names: Vec<_> = packages.iter().map(|one| (one.name.as_str(), one.integrity.as_str())).collect();
        assert_eq!(names, [("@s/b", "sha512-B"), ("a", "sha512-A")]);
        assert_eq!(unrun, ["@s/b@2.0.0"]);
    }

    #[test]
    fn a_dependency_by_its_place_is_told_from_one_by_its_version() {
        for of_registry in
            ["^1.2.3", "1.x || >=2", "latest", "*", "", "npm:other@1.0.0", "npm:@s/other@^2", "npm:other"]
        {
            assert!(is_of_registry(of_registry), "{of_registry}");
        }
        for other in [
            "file:../a",
            "link:a",
            "../a",
            "git+ssh://git@host/a.git",
            "git://host/a",
            "https://host/a.tgz",
            "http://user@host/a.tgz",
            "github:b/a",
            "b/a",
            "b/a#1",
            "workspace:*",
        ] {
            assert!(!is_of_registry(other), "{other}");
        }
    }

    #[test]
    fn what_does_not_come_from_the_registry_is_refused() {
        for entry in [
            r#"{"version": "1.0.0", "resolved": "git+ssh://git@host/a.git#1", "integrity": "sha512-A"}"#,
            r#"{"version": "1.0.0", "resolved": "file:../a", "integrity": "sha512-A"}"#,
            r#"{"resolved": "../a", "link": true}"#,
            r#"{"version": "1.0.0", "resolved": "https://host/a.tgz"}"#,
            r#"{"version": "1.0.0", "resolved": "https://r/b.tgz", "integrity": "sha512-B", "dependencies": {"a": "https://host/a.tgz"}}"#,
            r#"{"version": "1.0.0", "resolved": "https://r/b.tgz", "integrity": "sha512-B", "optionalDependencies": {"a": "b/a"}}"#,
        ] {
            let error = lock(&format!(r#"{{"packages": {{"node_modules/a": {entry}}}}}"#)).unwrap_err();
            assert!(matches!(error, Error::Refused { ref package, .. } if package == "a"), "{entry}");
        }
    }

    #[test]
    fn programs_outside_the_package_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let package = folder.path().join("node_modules/a");
        std::fs::create_dir_all(&package).unwrap();
        for path in ["../../../etc/passwd", "/bin/sh"] {
            std::fs::write(package.join("package.json"), format!(r#"{{"bin": {{"a": "{path}"}}}}"#)).unwrap();
            assert!(matches!(executables(folder.path(), "a"), Err(Error::Refused { .. })), "{path}");
        }
        std::fs::write(package.join("package.json"), r#"{"bin": "./run.js"}"#).unwrap();
        std::fs::write(package.join("run.js"), "#!/usr/bin/env node\n").unwrap();
        let found = executables(folder.path(), "a").unwrap();
        assert_eq!((found[0].name.as_str(), found[0].interpreter), ("a", Interpreter::Node));
        std::fs::write(package.join("package.json"), "{}").unwrap();
        assert!(matches!(executables(folder.path(), "a"), Err(Error::NoExecutable { .. })));
    }
}
