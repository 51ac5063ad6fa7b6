//! The command of an entry: a package by way of its runner, a program of this machine, or what is refused.

use super::super::draft::{Draft, in_note};
use super::super::json::quoted;
use crate::import::{PackageRef, Registry};

/// Programs that fetch a package and run it.
struct Runner {
    program: &'static str,
    /// What must follow its name.
    verbs: &'static [&'static str],
    registry: Registry,
    /// Options that name the package, so that what follows is one of its programs.
    package: &'static [&'static str],
    /// Options that change nothing once the package is installed.
    empty: &'static [&'static str],
    /// Such options with a value.
    valued: &'static [&'static str],
}

const NPX_EMPTY: &[&str] = &["-y", "--yes", "-q", "--quiet", "--prefer-online", "--prefer-offline", "--"];
const BUN_EMPTY: &[&str] = &["-y", "--bun", "--silent", "--verbose", "--"];
const PNPM_EMPTY: &[&str] = &["-y", "--yes", "-s", "--silent", "--"];
const UV_EMPTY: &[&str] = &[
    "-q",
    "--quiet",
    "-v",
    "--verbose",
    "-n",
    "--no-cache",
    "--isolated",
    "--refresh",
    "--no-progress",
    "-U",
    "--upgrade",
    "--",
];
const PIPX_EMPTY: &[&str] = &["-q", "--quiet", "-v", "--verbose", "--no-cache", "--"];

const RUNNERS: &[Runner] = &[
    npm("npx", &[], NPX_EMPTY),
    npm("npm", &["exec"], NPX_EMPTY),
    npm("npm", &["x"], NPX_EMPTY),
    npm("bunx", &[], BUN_EMPTY),
    npm("bun", &["x"], BUN_EMPTY),
    npm("pnpm", &["dlx"], PNPM_EMPTY),
    npm("pnpx", &[], PNPM_EMPTY),
    npm("yarn", &["dlx"], NPX_EMPTY),
    pypi("uvx", &[], &["--from"], UV_EMPTY),
    pypi("uv", &["tool", "run"], &["--from"], UV_EMPTY),
    pypi("pipx", &["run"], &["--spec"], PIPX_EMPTY),
];

const fn npm(
    program: &'static str,
    verbs: &'static [&'static str],
    empty: &'static [&'static str],
) -> Runner {
    Runner { program, verbs, registry: Registry::Npm, package: &["-p", "--package"], empty, valued: &[] }
}

const fn pypi(
    program: &'static str,
    verbs: &'static [&'static str],
    package: &'static [&'static str],
    empty: &'static [&'static str],
) -> Runner {
    Runner { program, verbs, registry: Registry::Pypi, package, empty, valued: &["--python", "-p"] }
}

const CONTAINERS: [&str; 4] = ["docker", "podman", "nerdctl", "container"];
const SHELLS: [&str; 14] = [
    "sh",
    "bash",
    "zsh",
    "dash",
    "ash",
    "ksh",
    "fish",
    "cmd",
    "powershell",
    "pwsh",
    "env",
    "sudo",
    "su",
    "wsl",
];

/// What a command means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Run {
    /// A package, and from where on the arguments are its own.
    Package { package: PackageRef, runner: &'static str, entry: Option<String>, from: usize },
    /// A program, by its absolute path or its bare name.
    Program { program: String, from: usize },
}

/// Reads a command; reports why it is refused.
pub(super) fn read(path: &str, command: &str, args: &[&str], draft: &mut Draft) -> Option<Run> {
    let field = format!("{path}.command");
    let name = bare_name(command);
    // Windows needs its shell to start a script; what the script is, stands after it.
    if name == "cmd" && args.first().is_some_and(|arg| arg.eq_ignore_ascii_case("/c")) && args.len() > 1 {
        let inner = bare_name(args[1]);
        if RUNNERS.iter().any(|runner| runner.program == inner) {
            return runner(path, &inner, args, 2, draft);
        }
    }
    if CONTAINERS.contains(&name.as_str()) {
        let rule = "runs a container, and servers run here as plain processes: name the package inside it, or install its \
                    program and define the type by hand";
        draft.problems.report(field, rule);
        return None;
    }
    if SHELLS.contains(&name.as_str()) {
        draft.problems.report(field, "runs a shell or another program; name the program itself");
        return None;
    }
    if RUNNERS.iter().any(|runner| {
        runner.program == name
            && runner.verbs.iter().zip(args).all(|(verb, arg)| verb == arg)
            && args.len() >= runner.verbs.len()
    }) {
        return runner(path, &name, args, 0, draft);
    }
    program(&field, command, draft)
}

fn program(field: &str, command: &str, draft: &mut Draft) -> Option<Run> {
    let is_bare = !command.is_empty()
        && command.len() <= 100
        && command.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && command.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+-".contains(&b));
    if !is_bare && !command.starts_with('/') {
        let rule = "must be the absolute path of a program or its bare name, without spaces, arguments and folders of Windows";
        draft.problems.report(field, rule);
        return None;
    }
    draft.needs_approval(format!("{field}: runs {} of this machine", in_note(command)));
    Some(Run::Program { program: command.to_owned(), from: 0 })
}

/// A program's name without its folder and the endings of Windows.
fn bare_name(command: &str) -> String {
    let name = command.rsplit(['/', '\\']).next().unwrap_or_default().to_ascii_lowercase();
    let endings = [".cmd", ".exe", ".bat", ".ps1"];
    endings.iter().find_map(|ending| name.strip_suffix(ending)).map(str::to_owned).unwrap_or(name)
}

/// Reads a runner's own arguments, up to the package or the package's program.
fn runner(path: &str, name: &str, args: &[&str], from: usize, draft: &mut Draft) -> Option<Run> {
    let fits = |runner: &&Runner| runner.program == name && args[from..].starts_with(runner.verbs);
    let Some(runner) = RUNNERS.iter().find(fits) else {
        draft.problems.report(format!("{path}.command"), "runs no package in a way that is known");
        return None;
    };
    let mut at = from + runner.verbs.len();
    let mut named: Option<(usize, &str)> = None;
    while let Some(arg) = args.get(at).filter(|arg| arg.starts_with('-')) {
        let field = format!("{path}.args[{at}]");
        let (option, value) =
            arg.split_once('=').map_or((*arg, None), |(option, value)| (option, Some(value)));
        if runner.empty.contains(arg) {
            at += 1;
        } else if runner.package.contains(&option) || runner.valued.contains(&option) {
            let given = value.or_else(|| args.get(at + 1).copied());
            let width = if value.is_some() { 1 } else { 2 };
            if runner.valued.contains(&option) {
                draft.note(format!("{field}: left out: which interpreter runs the package is chosen here"));
            } else if let (Some(given), None) = (given, named) {
                named = Some((at + width - 1, given));
            } else {
                draft.problems.report(field, "names no package, or a second one; one package is installed");
                return None;
            }
            at += width;
        } else {
            let message =
                format!("is an option of {} that is not taken over: {}", runner.program, quoted(option));
            draft.problems.report(field, message);
            return None;
        }
    }
    let Some(positional) = args.get(at) else {
        draft.problems.report(format!("{path}.args"), "names no package to run");
        return None;
    };
    let (spec_at, spec) = named.unwrap_or((at, positional));
    let package = package(runner.registry, spec);
    let package =
        package.map_err(|message| draft.problems.report(format!("{path}.args[{spec_at}]"), message)).ok()?;
    let entry = if named.is_some() { Some(entry(path, at, positional, draft)?) } else { None };
    let entry = entry.filter(|entry| entry != package.name());
    Some(Run::Package { package, runner: runner.program, entry, from: at + 1 })
}

/// A package as runners name it; `==` is how Python's tools say `@`.
fn package(registry: Registry, spec: &str) -> Result<PackageRef, String> {
    let plain = if registry == Registry::Pypi { spec.replacen("==", "@", 1) } else { spec.to_owned() };
    PackageRef::parse_in(registry, &plain).map_err(|error| error.to_string())
}

/// The name of one of a package's programs.
fn entry(path: &str, at: usize, name: &str, draft: &mut Draft) -> Option<String> {
    let sound = (1..=100).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if !sound {
        draft
            .problems
            .report(format!("{path}.args[{at}]"), "must be the name of one of the package's programs");
    }
    sound.then(|| name.to_owned())
}

#[cfg(test)]
mod tests;
