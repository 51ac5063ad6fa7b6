//! One entry of a client's configuration.

use std::collections::BTreeMap;

use roadstead_model::Transport;

use super::super::draft::{Draft, Piece};
use super::super::hidden::shown;
use super::super::json::{MAX_SHOWN_NAME, Object, quoted};
use super::super::secrets::{in_query, is_scheme, is_secret_name, is_secret_value};
use super::super::{Install, Proposal, Source};
use super::command::{self, Run};
use super::values::{Declared, Values, refuse_secret};
use crate::problem::Problem;

const KNOWN: [&str; 13] = [
    "type",
    "transport",
    "command",
    "args",
    "env",
    "url",
    "serverUrl",
    "httpUrl",
    "headers",
    "cwd",
    "disabled",
    "envFile",
    "description",
];
/// A package that carries a client's messages to an address. Roadstead does that itself.
const BRIDGE: &str = "mcp-remote";

/// Reads an entry; the type's name is already chosen.
pub(super) fn read(
    name: &str,
    type_name: &str,
    object: &Object<'_>,
    declared: &BTreeMap<&str, Declared<'_>>,
) -> Result<Proposal, Vec<Problem>> {
    let mut entry =
        Entry { draft: Draft::new(type_name, name), object: object.clone(), values: Values::new(declared) };
    let install = entry.read();
    if !entry.values.kept.is_empty() {
        let kept = entry.values.kept.join(", ");
        entry.draft.note(format!("kept as defaults, which everybody who may see the type can read: {kept}"));
    }
    entry.draft.finish(Source::ClientConfig(shown(name, MAX_SHOWN_NAME)), install)
}

struct Entry<'a> {
    draft: Draft,
    object: Object<'a>,
    values: Values<'a>,
}

impl<'a> Entry<'a> {
    fn read(&mut self) -> Option<Install> {
        self.remarks();
        let problems = &mut self.draft.problems;
        let urls: Vec<(&str, &'a str)> = ["url", "serverUrl", "httpUrl"]
            .into_iter()
            .filter_map(|key| Some((key, self.object.text(key, problems)?)))
            .collect();
        let has_command = self.object.map.get("command").is_some_and(|command| !command.is_null());
        match (has_command, urls.as_slice()) {
            (true, []) => self.local(),
            (false, [(key, url)]) => {
                let path = self.object.at(key);
                let transport = self.transport(url);
                self.remote(&path, url, transport);
                self.headers();
                None
            }
            (false, []) => {
                let rule =
                    "has neither a command nor an address; a server of an editor's extension is not imported";
                self.draft.problems.report(&self.object.path, rule);
                None
            }
            _ => {
                self.draft.problems.report(&self.object.path, "has more than one command or address");
                None
            }
        }
    }

    fn remarks(&mut self) {
        let object = self.object.clone();
        if let Some(text) = object.text("description", &mut self.draft.problems) {
            self.draft.spec.description = self.draft.explanation(text, "the description");
        }
        if object.flag("disabled", &mut self.draft.problems) {
            self.draft.note("is switched off in the client");
        }
        if object.text("envFile", &mut self.draft.problems).is_some() {
            let path = object.at("envFile");
            self.draft.note(format!(
                "{path}: files of variables are not read: add what they hold as slots or defaults"
            ));
        }
        if let Some(note) = object.note_unknown(&KNOWN) {
            self.draft.note(note);
        }
    }

    /// A command with its arguments and variables. Zed once had all of them in `command`.
    fn local(&mut self) -> Option<Install> {
        let outer = self.object.clone();
        let (object, key) = match outer.map.get("command") {
            Some(serde_json::Value::Object(map)) => (Object { path: outer.at("command"), map }, "path"),
            _ => (outer.clone(), "command"),
        };
        if let Some(word) = outer.text("type", &mut self.draft.problems)
            && word != "stdio"
        {
            self.draft
                .problems
                .report(outer.at("type"), format!("is {}, and a command speaks stdio", quoted(word)));
        }
        let command = object.required_text(key, &mut self.draft.problems);
        let args = object.texts("args", &mut self.draft.problems);
        let run = command.and_then(|command| command::read(&object.path, command, &args, &mut self.draft));
        if let Some(folder) = outer.text("cwd", &mut self.draft.problems) {
            self.folder(&outer.at("cwd"), folder);
        }
        match run {
            Some(Run::Package { package, from, .. }) if package.name() == BRIDGE => {
                self.bridge(&object, &args, from);
                None
            }
            Some(Run::Package { package, runner, entry, from }) => {
                self.draft.note_version(&package);
                self.arguments(&object, &args, from);
                self.environment(&object);
                Some(Install { runtime: Some(runner.to_owned()), entry, ..Install::of(package) })
            }
            Some(Run::Program { program, from }) => {
                self.draft.spec.program = Some(program);
                self.arguments(&object, &args, from);
                self.environment(&object);
                None
            }
            None => {
                // What else is wrong is told at once.
                self.environment(&object);
                None
            }
        }
    }

    fn folder(&mut self, path: &str, folder: &str) {
        let pieces = self.values.open(path, folder, &mut self.draft);
        match pieces.as_deref() {
            Some([Piece::Text(folder)]) if folder.starts_with('/') => {
                self.draft.spec.working_dir = self.draft.template(path, &[Piece::Text(folder.clone())]);
                self.draft.needs_approval(format!("{path}: starts in a folder of this machine"));
            }
            Some(_) => self.draft.problems.report(path, "must be an absolute path"),
            None => {}
        }
    }

    fn arguments(&mut self, object: &Object<'_>, args: &[&str], from: usize) {
        let mut names_secret = false;
        for (index, arg) in args.iter().enumerate().skip(from) {
            let path = format!("{}[{index}]", object.at("args"));
            let (option, value) = arg.split_once('=').unwrap_or((arg, ""));
            let is_option = option.starts_with('-');
            let holds_secret = (is_option && !value.is_empty() && is_secret_name(option))
                || (!is_option && names_secret)
                || (!is_option && !value.is_empty() && is_secret_name(option) && !option.contains('/'));
            names_secret = is_option && value.is_empty() && is_secret_name(option);
            if holds_secret {
                refuse_secret::<()>(&path, &mut self.draft);
                continue;
            }
            let Some(pieces) = self.values.open(&path, arg, &mut self.draft) else { continue };
            if is_path(arg) {
                self.draft.note(format!(
                    "{path}: looks like a path; what a server reaches, the type or its configuration opens"
                ));
            }
            if let Some(template) = self.draft.template(&path, &pieces) {
                self.draft.spec.args.push(template);
            }
        }
    }

    fn environment(&mut self, object: &Object<'_>) {
        for (path, name, value) in self.pairs(object, "env") {
            let pieces = self.values.named(&path, name, &value, &mut self.draft);
            self.draft.set_variable(&path, name, &pieces);
        }
    }

    fn headers(&mut self) {
        let object = self.object.clone();
        for (path, name, value) in self.pairs(&object, "headers") {
            self.header(&path, name, &value);
        }
    }

    fn header(&mut self, path: &str, name: &str, value: &str) {
        if Draft::is_own_header(name) {
            self.draft.note(format!("{path}: left out: the bridge writes this header itself"));
            return;
        }
        let pieces = self.values.named(path, name, value, &mut self.draft);
        self.draft.set_header(path, name, &pieces);
    }

    /// Names and values of a map; numbers and switches are texts to a process.
    fn pairs<'b>(&mut self, object: &Object<'b>, key: &str) -> Vec<(String, &'b str, String)> {
        let problems = &mut self.draft.problems;
        let Some(map) = object.object(key, problems) else { return Vec::new() };
        if map.map.len() > super::super::MAX_ITEMS {
            problems.report(&map.path, format!("has more than {} entries", super::super::MAX_ITEMS));
            return Vec::new();
        }
        let mut pairs = Vec::new();
        for (name, value) in map.map {
            let path = map.at(name);
            match value {
                serde_json::Value::String(text) => pairs.push((path, name.as_str(), text.clone())),
                serde_json::Value::Number(_) | serde_json::Value::Bool(_) => {
                    pairs.push((path, name.as_str(), value.to_string()));
                }
                serde_json::Value::Null => {}
                _ => problems.report(path, "must be a text"),
            }
        }
        pairs
    }

    /// How an address is spoken to: as the entry says, or as addresses are usually made.
    fn transport(&mut self, url: &str) -> Transport {
        let problems = &mut self.draft.problems;
        let word = self.object.text("type", problems).or_else(|| self.object.text("transport", problems));
        match word {
            Some("sse") => Transport::Sse,
            Some("http" | "streamable-http" | "streamable_http" | "streamableHttp") => {
                Transport::StreamableHttp
            }
            Some(other) => {
                let message = format!("is {}; there are http, streamable-http and sse", quoted(other));
                problems.report(self.object.at("type"), message);
                Transport::StreamableHttp
            }
            None => {
                let usual = usual_transport(url);
                if usual == Transport::Sse {
                    self.draft.note(
                        "names no transport; its address ends with `/sse`, so it was taken to speak SSE",
                    );
                }
                usual
            }
        }
    }

    fn remote(&mut self, path: &str, url: &str, transport: Transport) {
        self.draft.spec.transport = transport;
        if in_query(url) || is_secret_value(url) {
            refuse_secret::<()>(path, &mut self.draft);
            return;
        }
        if let Some(pieces) = self.values.open(path, url, &mut self.draft) {
            self.draft.spec.url = self.draft.template(path, &pieces);
        }
    }

    /// A package that only carries messages to an address: the address itself is taken.
    fn bridge(&mut self, object: &Object<'_>, args: &[&str], from: usize) {
        let mut url = None;
        let mut transport = None;
        let mut at = from;
        while let Some(arg) = args.get(at) {
            let path = format!("{}[{at}]", object.at("args"));
            let next = args.get(at + 1).copied().unwrap_or_default();
            match *arg {
                "--header" => {
                    at += 1;
                    match next.split_once(':') {
                        Some((name, value)) => {
                            self.header(&path, name.trim(), &resolved(object, value.trim()));
                        }
                        None => self
                            .draft
                            .problems
                            .report(path, "must be followed by a header's name, a colon and its value"),
                    }
                }
                "--transport" => {
                    at += 1;
                    transport = next.starts_with("sse").then_some(Transport::Sse);
                }
                option if option.starts_with('-') => {
                    self.draft
                        .note(format!("{path}: left out: an option of a bridge that is not needed here"));
                }
                address if address.contains("://") && url.is_none() => url = Some((path, address)),
                _ => self
                    .draft
                    .note(format!("{path}: left out: it belongs to a bridge that is not needed here")),
            }
            at += 1;
        }
        match url {
            Some((path, url)) => {
                self.remote(&path, url, transport.unwrap_or_else(|| usual_transport(url)));
                self.draft.note("carries messages to an address, which is done here without it");
            }
            None => self.draft.problems.report(object.at("args"), "name no address"),
        }
    }
}

/// A header's value there may name one of the entry's own variables: what that one holds is taken, or of a secret the
/// word alone that says how it is sent.
fn resolved(object: &Object<'_>, value: &str) -> String {
    let variables = object.map.get("env").and_then(serde_json::Value::as_object);
    let Some(start) = value.find("${") else { return value.to_owned() };
    let (before, placeholder) = value.split_at(start);
    let Some(name) = placeholder[2..].strip_suffix('}') else { return value.to_owned() };
    let Some(own) = variables.and_then(|variables| variables.get(name)?.as_str()) else {
        return value.to_owned();
    };
    if is_secret_name(name) || is_secret_value(own) {
        let scheme =
            own.split_inclusive(' ').next().filter(|first| first.len() < own.len() && is_scheme(first));
        return format!("{before}{}{placeholder}", scheme.unwrap_or_default());
    }
    format!("{before}{own}")
}

/// How an address is usually spoken to.
fn usual_transport(url: &str) -> Transport {
    let path = url.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    if path.ends_with("/sse") { Transport::Sse } else { Transport::StreamableHttp }
}

fn is_path(arg: &str) -> bool {
    arg.starts_with(['/', '~', '.']) || arg.contains(":\\")
}
