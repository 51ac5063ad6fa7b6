//! A package of a `server.json`: what to install, and how its program is told what it needs.

use std::collections::BTreeMap;

use roadstead_model::Transport;

use super::super::draft::{Draft, Piece, in_note, written};
use super::super::json::{Object, Problems, quoted};
use super::super::reference::{PackageVersion, ReferenceError};
use super::input::{self, Input, Part, Place, split};
use super::{Install, is_streamable, remote};
use crate::import::{PackageRef, Registry};
use crate::problem::Problem;

/// Where each registry is.
const USUAL_URLS: [(Registry, &[&str]); 3] = [
    (Registry::Npm, &["https://registry.npmjs.org", "https://registry.npmjs.com"]),
    (Registry::Pypi, &["https://pypi.org", "https://pypi.org/simple", "https://files.pythonhosted.org"]),
    (Registry::Cargo, &["https://crates.io", "https://index.crates.io", "https://static.crates.io"]),
];
/// Options of runners that only keep them from asking.
const EMPTY_OPTIONS: [&str; 4] = ["-y", "--yes", "-q", "--quiet"];

const KNOWN: [&str; 14] = [
    "registryType",
    "registryName",
    "registryBaseUrl",
    "identifier",
    "name",
    "version",
    "runtimeHint",
    "transport",
    "fileSha256",
    "runtimeArguments",
    "packageArguments",
    "environmentVariables",
    "postInstallInstructions",
    "_meta",
];

/// The registry of a package, or why nothing is installed from it.
pub(super) fn registry(package: &Object<'_>, problems: &mut Problems) -> Result<Registry, Problem> {
    let first = package.text("registryType", problems);
    let word = first.or_else(|| package.text("registryName", problems)).unwrap_or_default();
    let why = match word {
        "npm" | "pypi" | "cargo" => return Ok(Registry::from_word(word).unwrap_or(Registry::Npm)),
        "crates" | "crates.io" => return Ok(Registry::Cargo),
        "oci" | "docker" => {
            "is a container image, and servers run here as plain processes: take another package of this \
                             server, or install its program and define the type by hand"
        }
        "nuget" => {
            "is a .NET package, which is not installed here: install its program and define the type by hand"
        }
        "mcpb" => {
            "is a bundle to download (.mcpb), which is not installed here: take another package of this server, or \
                   install its program and define the type by hand"
        }
        "" => "is required: npm, pypi or cargo",
        _ => "is no registry that packages are installed from here: there are npm, pypi and cargo",
    };
    Err(Problem::new(package.at("registryType"), why))
}

/// The word of a package's transport; the first documents had none.
pub(super) fn transport_word<'a>(package: &Object<'a>, problems: &mut Problems) -> &'a str {
    package
        .object("transport", problems)
        .and_then(|transport| transport.text("type", problems))
        .unwrap_or("stdio")
}

/// Reads a package into the draft.
pub(super) fn read(package: &Object<'_>, draft: &mut Draft) -> Option<Install> {
    let mut install = match registry(package, &mut draft.problems) {
        Ok(registry) => reference(package, registry, draft).map(Install::of),
        Err(problem) => {
            draft.problems.report(problem.field, problem.message);
            None
        }
    };
    if let Some(install) = &mut install {
        draft.note_version(&install.package);
        origin(package, install, draft);
    }
    let mut inputs = Inputs { port: Port::of(package, &mut draft.problems), filled: BTreeMap::new() };
    let runtime = runtime(package, &mut draft.problems);
    let runtime_args = inputs.runtime_arguments(package, runtime, draft);
    if let Some(install) = &mut install {
        install.runtime = runtime.map(str::to_owned);
        install.runtime_args = runtime_args;
    }
    draft.spec.args = inputs.arguments(package, "packageArguments", draft);
    inputs.environment(package, draft);
    inputs.transport(package, draft);
    if package.find("postInstallInstructions", &mut draft.problems).is_some() {
        draft.note(format!(
            "{}: has instructions for after the installation; nobody follows them here",
            package.path
        ));
    }
    if let Some(note) = package.note_unknown(&KNOWN) {
        draft.note(note);
    }
    install
}

/// The word for the program that runs the package.
fn runtime<'a>(package: &Object<'a>, problems: &mut Problems) -> Option<&'a str> {
    let word = package.text("runtimeHint", problems)?;
    let sound = (1..=50).contains(&word.len())
        && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if !sound {
        problems.report(package.at("runtimeHint"), "must be the name of a program, such as `npx` or `node`");
    }
    sound.then_some(word)
}

fn reference(package: &Object<'_>, registry: Registry, draft: &mut Draft) -> Option<PackageRef> {
    let problems = &mut draft.problems;
    let field = if package.map.contains_key("identifier") { "identifier" } else { "name" };
    let identifier =
        package.text(field, problems).or_else(|| package.required_text("identifier", problems))?;
    let read = PackageRef::parse_in(registry, identifier);
    let named = read.map_err(|error| problems.report(package.at(field), error.to_string())).ok()?;
    let Some(version) = package.text("version", problems) else { return Some(named) };
    let inside = named.version().cloned();
    let refused = |error: &ReferenceError, problems: &mut Problems| {
        problems.report(package.at("version"), error.to_string());
    };
    match named.with_version(Some(version)) {
        Err(error) => refused(&error, problems),
        Ok(package) if package.version() == Some(&PackageVersion::Latest) => {
            refused(&ReferenceError::Version("a document must say what it describes"), problems);
        }
        Ok(same) if inside.is_some() && inside.as_ref() != same.version() => {
            problems.report(package.at("version"), "differs from the version in the identifier");
        }
        Ok(package) => return Some(package),
    }
    None
}

/// Where it is fetched from, and what it must hash to.
fn origin(package: &Object<'_>, install: &mut Install, draft: &mut Draft) {
    if let Some(hash) = package.text("fileSha256", &mut draft.problems) {
        if hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            install.expected_sha256 = Some(hash.to_owned());
        } else {
            draft.problems.report(package.at("fileSha256"), "must be 64 small hexadecimal digits");
        }
    }
    let Some(url) = package.text("registryBaseUrl", &mut draft.problems) else { return };
    let registry = install.package.registry();
    let usual = USUAL_URLS
        .iter()
        .find(|(of, _)| *of == registry)
        .is_some_and(|(_, urls)| urls.contains(&url.trim_end_matches('/')));
    if usual {
        return;
    }
    let path = package.at("registryBaseUrl");
    if !url.starts_with("https://") || crate::address::check(url).is_err() {
        draft.problems.report(path, "must be an https address");
        return;
    }
    draft
        .needs_approval(format!("{path}: is fetched from {}, which is not the usual registry", in_note(url)));
    install.registry_url = Some(url.to_owned());
}

/// How a server that speaks HTTP is told its port.
enum Port {
    /// It is not: it speaks over its standard streams.
    None,
    /// By the input of this name.
    Named(String),
    /// By the input that holds this number as it comes.
    Number(String),
}

impl Port {
    fn of(package: &Object<'_>, problems: &mut Problems) -> Self {
        let Some(transport) = package.object("transport", problems) else { return Self::None };
        let Some(url) = transport.text("url", &mut Problems::default()) else { return Self::None };
        let authority =
            url.split_once("://").map_or("", |(_, rest)| rest.split(['/', '?']).next().unwrap_or_default());
        match authority.rsplit_once(':').map(|(_, port)| port) {
            Some(port) => match split(port).as_slice() {
                [Part::Name(name)] => Self::Named(bare(name).to_owned()),
                [Part::Text(number)] => Self::Number((*number).to_owned()),
                _ => Self::None,
            },
            None => Self::None,
        }
    }

    fn is_told_by(&self, name: &str, input: &Input<'_>) -> bool {
        match self {
            Self::None => false,
            Self::Named(wanted) => wanted == bare(name),
            Self::Number(number) => {
                let value = input.value.or(input.default);
                value == Some(number) && name.to_ascii_lowercase().contains("port")
            }
        }
    }
}

fn bare(name: &str) -> &str {
    name.trim_start_matches('-')
}

struct Inputs {
    port: Port,
    /// What each input that stands alone became, by its name: an address may hold it again.
    filled: BTreeMap<String, Piece>,
}

impl Inputs {
    fn pieces(
        &mut self,
        name: &str,
        input: &Input<'_>,
        place: Place,
        draft: &mut Draft,
    ) -> Option<Vec<Piece>> {
        let pieces = if self.port.is_told_by(name, input) {
            vec![Piece::Port]
        } else {
            input.pieces(name, place, draft)?
        };
        if let [only @ (Piece::Text(_) | Piece::Key(_) | Piece::Port)] = pieces.as_slice() {
            self.filled.insert(bare(name).to_owned(), only.clone());
        }
        Some(pieces)
    }

    fn environment(&mut self, package: &Object<'_>, draft: &mut Draft) {
        for object in package.objects("environmentVariables", &mut draft.problems) {
            input::note_unknown(&object, draft);
            let input = input::read(&object, &mut draft.problems);
            let Some(name) = object.required_text("name", &mut draft.problems) else { continue };
            if let Some(pieces) = self.pieces(name, &input, Place::Variable, draft) {
                draft.set_variable(&object.at("name"), name, &pieces);
            }
        }
    }

    fn arguments(&mut self, package: &Object<'_>, field: &str, draft: &mut Draft) -> Vec<String> {
        let objects = package.objects(field, &mut draft.problems);
        let mut args: Vec<String> = Vec::new();
        let mut left_out = None;
        for object in &objects {
            input::note_unknown(object, draft);
            if object.flag("isRepeated", &mut draft.problems) {
                draft.note(format!("{}: may be given several times; it is given once here", object.path));
            }
            let kind = object.required_text("type", &mut draft.problems);
            match kind {
                Some("named") => args.extend(self.named(object, draft)),
                Some("positional") => match self.positional(object, draft) {
                    Some(arg) => {
                        if let Some(path) = left_out.take() {
                            let rule =
                                "is optional and has no default, but a later argument's place depends on it";
                            draft.problems.report(path, rule);
                        }
                        args.push(arg);
                    }
                    None => left_out = Some(object.path.clone()),
                },
                Some(_) => draft.problems.report(object.at("type"), "must be `positional` or `named`"),
                None => {}
            }
        }
        args
    }

    fn positional(&mut self, object: &Object<'_>, draft: &mut Draft) -> Option<String> {
        let input = input::read(object, &mut draft.problems);
        let hint = object.text("valueHint", &mut draft.problems);
        if hint.is_none() && input.value.is_none() && input.default.is_none() {
            draft.problems.report(&object.path, "must have a `value` or a `valueHint`");
            return None;
        }
        let pieces = self.pieces(hint.unwrap_or("argument"), &input, Place::Argument, draft)?;
        draft.template(&object.path, &pieces)
    }

    /// An option and its value are two arguments, as clients pass them; with a `=` at the end of its name, they are one.
    fn named(&mut self, object: &Object<'_>, draft: &mut Draft) -> Vec<String> {
        let input = input::read(object, &mut draft.problems);
        let Some(name) = object.required_text("name", &mut draft.problems) else { return Vec::new() };
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic()) {
            draft.problems.report(object.at("name"), "must be visible ASCII without spaces");
            return Vec::new();
        }
        let option = Piece::Text(name.to_owned());
        if input.is_bare() {
            return draft.template(&object.path, &[option]).into_iter().collect();
        }
        let Some(pieces) = self.pieces(name, &input, Place::Argument, draft) else { return Vec::new() };
        let parts = if name.ends_with('=') {
            vec![std::iter::once(option).chain(pieces).collect()]
        } else {
            vec![vec![option], pieces]
        };
        parts.iter().filter_map(|pieces| draft.template(&object.path, pieces)).collect()
    }

    /// What the program that runs the package is given: code of its own, as far as anybody can tell.
    fn runtime_arguments(
        &mut self,
        package: &Object<'_>,
        runtime: Option<&str>,
        draft: &mut Draft,
    ) -> Vec<String> {
        let mut args = self.arguments(package, "runtimeArguments", draft);
        let is_runner = matches!(runtime, Some("npx" | "uvx" | "bunx" | "pnpx" | "pipx"));
        if is_runner {
            args.retain(|arg| !EMPTY_OPTIONS.contains(&arg.as_str()));
        }
        let runtime = runtime.map_or_else(|| "the program that runs the package".to_owned(), in_note);
        for arg in &args {
            let what = format!("{}: {runtime} is given {}", package.at("runtimeArguments"), in_note(arg));
            draft.needs_approval(what);
        }
        args
    }

    fn transport(&self, package: &Object<'_>, draft: &mut Draft) {
        let Some(transport) = package.object("transport", &mut draft.problems) else {
            draft.note(format!("{}: names no transport; it was taken to be stdio", package.path));
            return;
        };
        let word = transport.required_text("type", &mut draft.problems).unwrap_or("stdio");
        draft.spec.transport = match word {
            "stdio" => return,
            "sse" => Transport::Sse,
            word if is_streamable(word) => Transport::StreamableHttp,
            other => {
                let message = format!("is {}; there are stdio, streamable-http and sse", quoted(other));
                draft.problems.report(transport.at("type"), message);
                return;
            }
        };
        if let Some(url) = transport.required_text("url", &mut draft.problems) {
            self.address(&transport, url, draft);
        }
        remote::headers(&transport, draft);
    }

    /// The address at which a program of this machine answers, with the port that is chosen at launch.
    fn address(&self, transport: &Object<'_>, url: &str, draft: &mut Draft) {
        let path = transport.at("url");
        if !self.filled.values().any(|piece| *piece == Piece::Port) {
            let rule = "holds a port that no argument and no variable tells the server; every instance here has another one";
            draft.problems.report(path, rule);
            return;
        }
        let (start, rest) = url.split_once("://").unwrap_or(("", url));
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, below) = rest.split_at(end);
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        let mut pieces = vec![Piece::Text(format!("{start}://{host}:")), Piece::Port];
        for part in split(below) {
            match part {
                Part::Text(text) => pieces.push(Piece::Text(text.to_owned())),
                Part::Name(name) => {
                    if let Some(piece) = self.filled.get(bare(name)) {
                        pieces.push(piece.clone());
                    } else {
                        let message = format!(
                            "names {}, which is none of the package's inputs, or a secret",
                            quoted(name)
                        );
                        draft.problems.report(&path, message);
                    }
                }
            }
        }
        match written(&pieces) {
            Ok(template) => draft.spec.url = Some(template),
            Err(message) => draft.problems.report(path, message),
        }
    }
}
