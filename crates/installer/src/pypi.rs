//! pip: wheels below `site`, and for each program that a package names a few lines that start it from wherever the folder is.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::file;
use crate::request::{Error, Executable, Installed, Interpreter, Locked, Request};
use crate::run::{Ended, HOME, OTHER_HASH, run};
use crate::say;

const SITE: &str = "site";
const PROGRAMS: &str = "run";
const REPORT: &str = "pip-report.json";
/// What pip says of a package or a version that is not there, or only as source.
const MISSING: &[&str] = &["No matching distribution found", "Could not find a version"];

/// What pip says of an archive that is not the one whose hash the index tells.
const FORGED: &[&str] = &["DO NOT MATCH THE HASHES"];
/// What pip says of what it could not fetch from elsewhere.
const ELSEWHERE: &[&str] = &["git clone", "Cannot find command 'git'", "file:///"];

#[derive(Deserialize)]
struct Report {
    install: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    /// Whether an address was asked for, not the index.
    #[serde(default)]
    is_direct: bool,
    download_info: Download,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Download {
    url: String,
    archive_info: Option<Archive>,
}

#[derive(Deserialize)]
struct Archive {
    #[serde(default)]
    hashes: std::collections::BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    version: String,
}

pub(crate) fn install(request: &Request) -> Result<Installed, Error> {
    let Some(python) = &request.tools.python else {
        let how = "install it for the whole machine, for example: apt install python3 python3-pip";
        return Err(request.tools.missing("python3", "Python with pip", how));
    };
    let extras =
        if request.extras.is_empty() { String::new() } else { format!("[{}]", request.extras.join(",")) };
    let version = request.version.as_ref().map_or_else(String::new, |version| format!("=={version}"));
    let package = format!("{}{extras}{version}", request.name);
    let mut args = vec![
        "-I",
        "-m",
        "pip",
        "install",
        "--target",
        SITE,
        "--report",
        REPORT,
        "--no-compile",
        "--no-input",
        "--no-cache-dir",
        "--disable-pip-version-check",
        "--no-warn-script-location",
        "--progress-bar",
        "off",
    ];
    if !request.scripts {
        // A wheel is unpacked; anything else is built, which is to run what it says.
        args.extend(["--only-binary", ":all:"]);
    }
    args.extend(["--", &package]);
    say::progress("installing", &format!("pip installs {package}"));
    let ended = run(request, "installing", python, &args, &[])?;
    if !ended.is_well {
        return Err(failed(request, ended, package));
    }
    let text = file::read(&request.folder.join(REPORT))?;
    let report: Report = file::json(&request.folder.join(REPORT))?;
    let packages = locked(&report)?;
    let own = normalised(&request.name);
    let Some(own) = packages.iter().find(|one| normalised(&one.name) == own).cloned() else {
        return Err(refused(&package, "pip does not tell what it installed under its name"));
    };
    let executables = executables(&request.folder, &own)?;
    compile(request, python)?;
    file::remove(&request.folder.join(HOME))?;
    // What pip put there starts only where it was installed.
    file::remove(&request.folder.join(SITE).join("bin"))?;
    let unrun_scripts = Vec::new();
    Ok(Installed {
        version: own.version,
        integrity: own.integrity,
        packages,
        lock: text,
        executables,
        unrun_scripts,
        digest: String::new(),
        links: None,
        bytes: 0,
        files: 0,
    })
}

/// Why pip came to nothing.
fn failed(request: &Request, ended: Ended, package: String) -> Error {
    if ended.said_any(MISSING) {
        let registry = if request.scripts {
            "the Python package index"
        } else {
            "the Python package index, as a wheel,"
        };
        return Error::NotFound { registry, package };
    }
    if ended.said_any(FORGED) {
        return refused(&package, &format!("{OTHER_HASH} ({})", ended.said));
    }
    if ended.said_any(ELSEWHERE) {
        let why = "what it needs does not come from the index: a repository, an address or a folder";
        return refused(&package, &format!("{why} ({})", ended.said));
    }
    ended.failed("pip", package)
}

/// Nothing can be written there later, and to read source anew at each start takes most of it. Bound to no time of a file, so
/// that the same package is the same bytes.
fn compile(request: &Request, python: &Path) -> Result<(), Error> {
    say::progress("compiling", "compiling Python modules");
    let args = ["-I", "-m", "compileall", "-q", "-j1", "--invalidation-mode", "unchecked-hash", SITE];
    // A module for another version of the language does not compile, and is not imported either.
    run(request, "compiling", python, &args, &[]).map(drop)
}

fn refused(package: &str, why: &str) -> Error {
    Error::Refused { package: package.to_owned(), why: why.to_owned() }
}

fn locked(report: &Report) -> Result<Vec<Locked>, Error> {
    let mut packages = Vec::new();
    for item in &report.install {
        let (name, version) = (&item.metadata.name, &item.metadata.version);
        if item.is_direct || item.download_info.url.starts_with("git+") {
            let why = format!("it does not come from the index, but from {}", item.download_info.url);
            return Err(refused(name, &say::plain(&why)));
        }
        let hash = item.download_info.archive_info.as_ref().and_then(|archive| archive.hashes.get("sha256"));
        let Some(hash) = hash else {
            return Err(refused(
                name,
                "it has no hash: it does not come from the index, but from a repository or a folder",
            ));
        };
        packages.push(Locked {
            name: name.clone(),
            version: version.clone(),
            integrity: format!("sha256:{hash}"),
        });
    }
    packages.sort_unstable();
    Ok(packages)
}

/// A name as the index compares it.
fn normalised(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '-' | '_' | '.' if out.ends_with('-') => {}
            '-' | '_' | '.' => out.push('-'),
            other => out.extend(other.to_lowercase()),
        }
    }
    out
}

fn executables(folder: &Path, own: &Locked) -> Result<Vec<Executable>, Error> {
    let none = || Error::NoExecutable { package: own.name.clone() };
    let info = info_of(folder, own)?.ok_or_else(none)?;
    let points = info.join("entry_points.txt");
    if !points.exists() {
        return Err(none());
    }
    file::make_folder(&folder.join(PROGRAMS))?;
    let mut executables = Vec::new();
    for (name, module, function) in scripts(&file::read(&points)?) {
        let path = PathBuf::from(PROGRAMS).join(format!("{name}.py"));
        file::write(&folder.join(&path), &starter(name, module, function))?;
        executables.push(Executable { name: name.to_owned(), path, interpreter: Interpreter::Python });
    }
    if executables.is_empty() { Err(none()) } else { Ok(executables) }
}

/// The folder in which a wheel tells of itself.
fn info_of(folder: &Path, own: &Locked) -> Result<Option<PathBuf>, Error> {
    let site = folder.join(SITE);
    let wanted = normalised(&own.name);
    for entry in fs::read_dir(&site).map_err(file::error("could not look into what pip installed"))? {
        let path = entry.map_err(file::error("could not look into what pip installed"))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some((name, _)) = name.strip_suffix(".dist-info").and_then(|name| name.split_once('-'))
            && normalised(name) == wanted
        {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// The programs in a wheel's entry points: name, module and what is called in it. What is no plain name is left out.
fn scripts(text: &str) -> Vec<(&str, &str, &str)> {
    let mut found = Vec::new();
    let mut is_ours = false;
    for line in text.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            is_ours = section.trim_end_matches(']').trim() == "console_scripts";
            continue;
        }
        let Some((name, target)) = line.split_once('=').filter(|_| is_ours) else { continue };
        let target = target.split('[').next().unwrap_or_default();
        let Some((module, function)) = target.split_once(':') else { continue };
        let (name, module, function) = (name.trim(), module.trim(), function.trim());
        if file::is_program_name(name) && is_dotted(module) && is_dotted(function) {
            found.push((name, module, function));
        }
    }
    found
}

fn is_dotted(text: &str) -> bool {
    text.split('.').all(|part| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    })
}

/// Runs with `-I -S`: neither the machine's other packages nor anybody's environment decides what is imported.
fn starter(name: &str, module: &str, function: &str) -> String {
    let first = function.split('.').next().unwrap_or(function);
    format!(
        "import os\nimport site\nimport sys\n\n\
         site.addsitedir(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), \"{SITE}\"))\n\
         sys.argv[0] = \"{name}\"\n\n\
         from {module} import {first}  # noqa: E402\n\n\
         if __name__ == \"__main__\":\n    sys.exit({function}())\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_read_and_nothing_but_names_is_written_into_a_starter() {
        let text = "[gui_scripts]\ng = a:b\n\n[console_scripts]\nmcp-server-time = mcp_server_time:main\n\
                    run = pkg.cli:App.run [extra]\nbad = os;system:x\nalso = a:b(); import os\n../up = a:b\n--flag = a:b\n";
        assert_eq!(
            scripts(text),
            [("mcp-server-time", "mcp_server_time", "main"), ("run", "pkg.cli", "App.run")]
        );
        let starter = starter("run", "pkg.cli", "App.run");
        assert!(starter.contains("from pkg.cli import App "), "{starter}");
        assert!(starter.contains("sys.exit(App.run())"), "{starter}");
    }

    #[test]
    fn names_are_compared_as_the_index_does() {
        assert_eq!(normalised("Mcp_Server..Time"), "mcp-server-time");
    }

    #[test]
    fn what_has_no_hash_is_refused() {
        let report = |info: &str| -> Report {
            let text = format!(
                r#"{{"install": [{{"download_info": {info}, "metadata": {{"name": "a", "version": "1"}}}}]}}"#
            );
            serde_json::from_str(&text).unwrap()
        };
        let good = report(r#"{"url": "https://host/a.whl", "archive_info": {"hashes": {"sha256": "00"}}}"#);
        assert_eq!(locked(&good).unwrap()[0].integrity, "sha256:00");
        for bad in [
            r#"{"url": "git+https://host/a", "vcs_info": {"vcs": "git"}}"#,
            r#"{"url": "file:///a", "dir_info": {}}"#,
            r#"{"url": "https://host/a.whl", "archive_info": {}}"#,
        ] {
            assert!(locked(&report(bad)).is_err(), "{bad}");
        }
        let mut direct = good;
        direct.install[0].is_direct = true;
        assert!(locked(&direct).is_err(), "an address that has a hash is no index");
    }
}
