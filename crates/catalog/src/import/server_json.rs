//! The `server.json` of the official MCP registry: of the schema 2025-12-11, and of those before it.
//!
//! A document may offer several packages and addresses. The first of these that it has is proposed, unless the caller
//! names another: a package of npm or PyPI on its standard streams, one of crates.io, the same over HTTP, an address with
//! Streamable HTTP, an address with SSE.

mod input;
mod package;
mod remote;

#[cfg(test)]
use serde_json::Value;

use super::draft::{Draft, in_note};
use super::json::{self, Object, Problems};
use super::{Install, Proposal, Registry, Source, naming};
use crate::problem::Problem;

/// The schemas that are known, by the date in their address.
const SCHEMAS: [&str; 6] =
    ["2025-07-09", "2025-09-16", "2025-09-29", "2025-10-11", "2025-10-17", "2025-12-11"];
/// How the address of a schema begins.
const SCHEMA_START: &str = "https://static.modelcontextprotocol.io/schemas/";
/// Longest name of a server, by the schema.
const MAX_NAME: usize = 200;
/// Where a registry says what became of a server.
const OFFICIAL_META: &str = "io.modelcontextprotocol.registry/official";

const KNOWN: [&str; 13] = [
    "$schema",
    "name",
    "title",
    "description",
    "version",
    "versionDetail",
    "websiteUrl",
    "repository",
    "icons",
    "packages",
    "remotes",
    "status",
    "_meta",
];

/// Which of the packages and addresses of a document is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pick {
    /// The first by the documented preference.
    #[default]
    Preferred,
    /// The first package of this registry.
    Registry(Registry),
    /// The package at this place, counted from 0.
    Package(usize),
    /// The address at this place, counted from 0.
    Remote(usize),
}

/// Reads a `server.json`, or a registry's answer with one in it.
pub fn parse_server_json(text: &str, pick: Pick) -> Result<Proposal, Vec<Problem>> {
    let value = json::parse(text).map_err(|problem| vec![problem])?;
    let root = Object::root(&value).map_err(|problem| vec![problem])?;
    let mut problems = Problems::default();
    // A registry answers with the document in `server` and what it says of it beside that.
    let server = match (root.map.contains_key("name"), root.object("server", &mut Problems::default())) {
        (false, Some(server)) => server,
        _ => root.clone(),
    };
    let name = name(&server, &mut problems);
    let mut draft = Draft::new(&naming::of_server(name), title(&server, name, &mut problems));
    draft.problems = problems;
    head(&server, &mut draft);
    status(&root, &server, &mut draft);
    let mut unread = Problems::default();
    let packages = server.objects("packages", &mut draft.problems);
    let remotes = server.objects("remotes", &mut draft.problems);
    let install = match choose(pick, &packages, &remotes, &mut unread) {
        Ok(Chosen::Package(package)) => {
            note_others(&packages, &remotes, &package.path, &mut draft);
            package::read(&package, &mut draft)
        }
        Ok(Chosen::Remote(remote)) => {
            note_others(&packages, &remotes, &remote.path, &mut draft);
            remote::read(&remote, &mut draft);
            None
        }
        Err(wrong) => {
            for problem in wrong {
                draft.problems.report(problem.field, problem.message);
            }
            None
        }
    };
    draft.finish(Source::ServerJson(name.to_owned()), install)
}

fn name<'a>(server: &Object<'a>, problems: &mut Problems) -> &'a str {
    let Some(name) = server.required_text("name", problems) else { return "" };
    let plain = |text: &str, more: &[u8]| {
        let ends = |c: char| c.is_ascii_alphanumeric();
        text.bytes().all(|b| b.is_ascii_alphanumeric() || more.contains(&b))
            && text.starts_with(ends)
            && text.ends_with(ends)
    };
    let sound = name.len() <= MAX_NAME
        && !name.contains("..")
        && name.split_once('/').is_some_and(|(space, last)| plain(space, b".-") && plain(last, b"._-"));
    if !sound {
        let rule = "must be a name in reverse DNS with one slash, such as `io.github.user/weather`";
        problems.report(server.at("name"), rule);
        return "";
    }
    name
}

fn title<'a>(server: &Object<'a>, name: &'a str, problems: &mut Problems) -> &'a str {
    let last = name.split_once('/').map_or(name, |(_, last)| last);
    server.text("title", problems).filter(|title| !title.trim().is_empty()).unwrap_or(last)
}

/// What people read, and which schema the document says it follows.
fn head(server: &Object<'_>, draft: &mut Draft) {
    if let Some(text) = server.required_text("description", &mut draft.problems) {
        draft.spec.description = draft.explanation(text, "the description");
    }
    version(server, draft);
    for icon in server.objects("icons", &mut draft.problems) {
        let source = icon.text("src", &mut draft.problems);
        let usable = |url: &&str| url.starts_with("https://") && url.len() <= 255;
        if let (None, Some(url)) = (&draft.spec.icon_url, source.filter(usable)) {
            draft.spec.icon_url = Some(url.to_owned());
        }
    }
    match server.text("$schema", &mut draft.problems) {
        None => draft.note("names no $schema; it was read as the newest that is known"),
        Some(schema) => {
            let date = schema.strip_prefix(SCHEMA_START).and_then(|rest| rest.split('/').next());
            if !date.is_some_and(|date| SCHEMAS.contains(&date)) {
                draft.note(format!(
                    "follows a schema that is not known, {}; it was read as {}",
                    in_note(schema),
                    SCHEMAS[5]
                ));
            }
        }
    }
    for (field, key) in [("websiteUrl", ""), ("repository", "url")] {
        let found = if key.is_empty() {
            server.text(field, &mut draft.problems)
        } else {
            server.object(field, &mut draft.problems).and_then(|object| object.text(key, &mut draft.problems))
        };
        if let Some(url) = found {
            draft.note(format!("{field}: {}", in_note(url)));
        }
    }
    if let Some(note) = server.note_unknown(&KNOWN) {
        draft.note(note);
    }
}

fn version(server: &Object<'_>, draft: &mut Draft) {
    let first = server.object("versionDetail", &mut Problems::default());
    let version = match first {
        Some(detail) => detail.required_text("version", &mut draft.problems),
        None => server.required_text("version", &mut draft.problems),
    };
    let Some(version) = version else { return };
    let plain = version.bytes().all(|b| b.is_ascii_graphic());
    let range = version.contains(['^', '~', '<', '>', '=', '*', '|']) || version == "latest";
    if !plain || range || version.is_empty() || version.len() > 100 {
        draft
            .problems
            .report(server.at("version"), "must be one version, not a range, in at most 100 characters");
    } else {
        draft.spec.version = Some(version.to_owned());
    }
}

/// Whether the server was withdrawn: its publisher may say so, or the registry.
fn status(root: &Object<'_>, server: &Object<'_>, draft: &mut Draft) {
    let mut found: Vec<(String, &str)> = Vec::new();
    for object in [root, server] {
        let meta = object.object("_meta", &mut draft.problems);
        let official = meta.and_then(|meta| meta.object(OFFICIAL_META, &mut draft.problems));
        for place in official.iter().chain([object]) {
            if let Some(status) = place.text("status", &mut draft.problems) {
                found.push((place.at("status"), status));
            }
        }
    }
    found.dedup();
    for (path, status) in found {
        match status {
            "active" => {}
            "deleted" => draft.problems.report(path, "says that the server was withdrawn from the registry"),
            other => draft.note(format!("{path}: the server is called {}", in_note(other))),
        }
    }
}

enum Chosen<'a> {
    Package(Object<'a>),
    Remote(Object<'a>),
}

fn choose<'a>(
    pick: Pick,
    packages: &[Object<'a>],
    remotes: &[Object<'a>],
    unread: &mut Problems,
) -> Result<Chosen<'a>, Vec<Problem>> {
    let nothing = |path: &str, message: &str| Err(vec![Problem::new(path, message)]);
    match pick {
        Pick::Package(place) => match packages.get(place) {
            Some(package) => Ok(Chosen::Package(package.clone())),
            None => nothing("packages", "has no package at the place that was named"),
        },
        Pick::Remote(place) => match remotes.get(place) {
            Some(remote) => Ok(Chosen::Remote(remote.clone())),
            None => nothing("remotes", "has no address at the place that was named"),
        },
        Pick::Registry(registry) => {
            match packages.iter().find(|package| package::registry(package, unread).ok() == Some(registry)) {
                Some(package) => Ok(Chosen::Package(package.clone())),
                None => nothing("packages", &format!("has no package of {registry}")),
            }
        }
        Pick::Preferred => preferred(packages, remotes, unread),
    }
}

fn preferred<'a>(
    packages: &[Object<'a>],
    remotes: &[Object<'a>],
    unread: &mut Problems,
) -> Result<Chosen<'a>, Vec<Problem>> {
    let package_rank = |package: &Object<'a>, unread: &mut Problems| {
        let registry = package::registry(package, unread).ok()?;
        let over_http = package::transport_word(package, unread) != "stdio";
        Some((over_http, registry == Registry::Cargo))
    };
    let ranked = packages.iter().filter_map(|package| Some((package_rank(package, unread)?, package)));
    if let Some((_, package)) = ranked.min_by_key(|(rank, _)| *rank) {
        return Ok(Chosen::Package(package.clone()));
    }
    if let Some(remote) =
        remotes.iter().min_by_key(|remote| remote::transport_word(remote, unread) == Some("sse"))
    {
        return Ok(Chosen::Remote(remote.clone()));
    }
    let mut problems: Vec<Problem> =
        packages.iter().filter_map(|package| package::registry(package, unread).err()).collect();
    if problems.is_empty() {
        problems.push(Problem::new("packages", "has nothing to run: there are neither packages nor remotes"));
    }
    Err(problems)
}

fn note_others(packages: &[Object<'_>], remotes: &[Object<'_>], chosen: &str, draft: &mut Draft) {
    let others: Vec<&str> = packages
        .iter()
        .chain(remotes)
        .map(|object| object.path.as_str())
        .filter(|path| *path != chosen)
        .collect();
    if !others.is_empty() {
        draft.note(format!("{chosen} was taken; the document also offers {}", others.join(", ")));
    }
}

/// What a document's word for a transport means.
fn is_streamable(word: &str) -> bool {
    matches!(word, "streamable-http" | "streamable_http" | "http")
}

/// A document that is sound, for tests of its parts.
#[cfg(test)]
fn with_package(package: &Value) -> String {
    serde_json::json!({
        "$schema": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
        "name": "io.github.acme/thing",
        "description": "A thing",
        "version": "1.0.0",
        "packages": [package],
    })
    .to_string()
}

#[cfg(test)]
mod tests;
