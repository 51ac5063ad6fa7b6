//! A type in the making: slots, config keys, templates, and notes on what was decided.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::hidden::{cleaned, hidden, shown};
use super::json::Problems;
use super::{Install, PackageRef, Proposal, Registry, Source, naming};
use crate::names::{is_code_name, is_one_line, is_reserved_name, is_variable_name};
use crate::problem::Problem;
use crate::spec::{Author, ResourceLimits, Slot, SlotKind, TypeSpec};
use crate::template::escape;

/// Longest label of a slot or type, in characters; the type's own rule.
const MAX_LABEL: usize = 100;
/// Longest explanation that is kept, in characters.
const MAX_EXPLANATION: usize = 500;
/// Longest default.
const MAX_DEFAULT: usize = 2048;
/// Longest text of a stranger's in a note.
const MAX_SHOWN: usize = 200;
/// Where a package's program is, while it is checked whether the rest is sound.
pub(super) const ANY_PROGRAM: &str = "/program";

/// A piece of a template. Only what is not `Text` is a placeholder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    Slot(String),
    Key(String),
    Port,
}

/// The template of some pieces: their texts stand for themselves, whatever they hold.
pub(super) fn written(pieces: &[Piece]) -> Result<String, &'static str> {
    let (mut whole, mut plain) = (String::new(), String::new());
    for piece in pieces {
        let placeholder = match piece {
            Piece::Text(text) => {
                plain.push_str(text);
                continue;
            }
            Piece::Slot(name) => format!("${{credential.{name}}}"),
            Piece::Key(name) => format!("${{config.{name}}}"),
            Piece::Port => "${port}".to_owned(),
        };
        if plain.ends_with('$') {
            return Err(
                "has a `$` right before a value that is filled in, which no template of ours can say",
            );
        }
        whole.push_str(&escape(&plain));
        plain.clear();
        whole.push_str(&placeholder);
    }
    whole.push_str(&escape(&plain));
    Ok(whole)
}

/// What kind of value is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Format {
    #[default]
    Text,
    Number,
    Boolean,
    FilePath,
}

/// A value that a document asks a person for.
#[derive(Debug, Clone, Default)]
pub(super) struct Ask<'a> {
    /// Where the document asks.
    pub(super) path: &'a str,
    /// Its name there.
    pub(super) name: &'a str,
    pub(super) description: Option<&'a str>,
    pub(super) required: bool,
    pub(super) format: Format,
    pub(super) default: Option<&'a str>,
    pub(super) choices: &'a [&'a str],
    pub(super) example: Option<&'a str>,
}

pub(super) struct Draft {
    pub(super) spec: TypeSpec,
    pub(super) problems: Problems,
    notes: Vec<String>,
    approvals: Vec<String>,
    properties: Map<String, Value>,
    required: Vec<String>,
    names: BTreeSet<String>,
}

impl Draft {
    /// A type of this name, which must be well formed, and this label, which is made to fit.
    pub(super) fn new(name: &str, label: &str) -> Self {
        let mut draft = Self {
            spec: blank(name),
            problems: Problems::default(),
            notes: Vec::new(),
            approvals: Vec::new(),
            properties: Map::new(),
            required: Vec::new(),
            names: BTreeSet::new(),
        };
        let label = draft.label(label, "the title");
        draft.spec.display_name = if label.is_empty() { name.to_owned() } else { label };
        draft
    }

    pub(super) fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    pub(super) fn needs_approval(&mut self, what: impl Into<String>) {
        self.approvals.push(what.into());
    }

    pub(super) fn note_version(&mut self, package: &PackageRef) {
        if !package.is_pinned() {
            self.note("names no exact version: the newest is taken when it is installed, which nobody has looked at");
        }
        if package.registry() == Registry::Cargo {
            self.note("is a package of crates.io: it is compiled when it is installed, which runs its build scripts");
        }
    }

    /// One line for people.
    fn label(&mut self, text: &str, what: &str) -> String {
        let (label, hidden) = cleaned(&text.replace(['\n', '\r', '\t'], " "), MAX_LABEL);
        if hidden {
            self.note(format!("{what} holds characters that nobody sees; they were left out"));
        }
        label
    }

    /// Some lines for people.
    pub(super) fn explanation(&mut self, text: &str, what: &str) -> Option<String> {
        let (clean, hidden) = cleaned(&text.replace('\r', ""), MAX_EXPLANATION);
        if hidden {
            self.note(format!("{what} holds characters that nobody sees; they were left out"));
        }
        (!clean.is_empty()).then_some(clean)
    }

    fn free_name(&mut self, wanted: &str) -> String {
        let first = naming::key_name(wanted);
        let mut name = first.clone();
        let mut number = 2;
        while !self.names.insert(name.clone()) {
            name = naming::numbered(&first, '_', number);
            number += 1;
        }
        name
    }

    /// A secret that each user gives. Whatever default it has is not kept.
    pub(super) fn slot(&mut self, ask: &Ask<'_>) -> Piece {
        let name = self.free_name(ask.name);
        let label = self.label(ask.name, ask.path);
        let pattern = ask.choices.iter().map(|choice| regex::escape(choice)).collect::<Vec<_>>().join("|");
        let slot = Slot {
            name: name.clone(),
            label: if label.is_empty() { name.clone() } else { label },
            description: ask.description.and_then(|text| self.explanation(text, ask.path)),
            secret: true,
            required: ask.required,
            pattern: (!pattern.is_empty()).then_some(pattern),
            kind: if ask.format == Format::Number { SlotKind::Number } else { SlotKind::Text },
        };
        self.spec.credential_slots.push(slot);
        if ask.default.is_some() {
            self.note(format!(
                "{}: the value that the document gives for this secret was not kept",
                ask.path
            ));
        }
        Piece::Slot(name)
    }

    /// A value of the configuration.
    pub(super) fn key(&mut self, ask: &Ask<'_>) -> Piece {
        let name = self.free_name(ask.name);
        let mut schema = Map::new();
        let kind = match ask.format {
            Format::Text | Format::FilePath => "string",
            Format::Number => "number",
            Format::Boolean => "boolean",
        };
        schema.insert("type".to_owned(), json!(kind));
        if ask.format == Format::FilePath {
            schema.insert("format".to_owned(), json!("path"));
        }
        if let Some(text) = ask.description.and_then(|text| self.explanation(text, ask.path)) {
            schema.insert("description".to_owned(), json!(text));
        }
        if let Some(example) = ask.example.and_then(|text| self.explanation(text, ask.path)) {
            schema.insert("examples".to_owned(), json!([example]));
        }
        if !ask.choices.is_empty() {
            let choices: Vec<Value> =
                ask.choices.iter().filter_map(|choice| self.value(ask, choice)).collect();
            schema.insert("enum".to_owned(), json!(choices));
        }
        let kept = ask.default.filter(|_| self.keeps_default(ask));
        if let Some(value) = kept.and_then(|default| self.value(ask, default)) {
            self.spec.config_template.insert(name.clone(), value);
        } else if ask.required {
            self.required.push(name.clone());
        }
        self.properties.insert(name.clone(), Value::Object(schema));
        Piece::Key(name)
    }

    fn keeps_default(&mut self, ask: &Ask<'_>) -> bool {
        if ask.default.is_some_and(|default| !ask.choices.is_empty() && !ask.choices.contains(&default)) {
            self.problems.report(ask.path, "has a default that is none of its choices");
        }
        if ask.format == Format::FilePath && ask.default.is_some() {
            self.note(format!("{}: the default of a path was not kept: each launch names its own", ask.path));
            return false;
        }
        true
    }

    /// A text of a document as the JSON that its format means.
    fn value(&mut self, ask: &Ask<'_>, text: &str) -> Option<Value> {
        if text.len() > MAX_DEFAULT || !is_one_line(text) {
            self.problems.report(ask.path, format!("must be one line of at most {MAX_DEFAULT} bytes"));
            return None;
        }
        self.note_hidden(ask.path, text);
        let read = match ask.format {
            Format::Text | Format::FilePath => Some(json!(text)),
            Format::Number => serde_json::from_str::<serde_json::Number>(text).ok().map(Value::Number),
            Format::Boolean => text.parse::<bool>().ok().map(Value::Bool),
        };
        if read.is_none() {
            self.problems.report(ask.path, "has a value that is not of its format");
        }
        read
    }

    /// Sets a variable, if it may be.
    pub(super) fn set_variable(&mut self, path: &str, name: &str, pieces: &[Piece]) {
        if is_reserved_name(name) {
            self.problems.report(path, "is set for every server and cannot be changed");
            return;
        }
        if !is_variable_name(name) {
            let rule =
                "must be named with a capital letter or underscore, then capitals, digits and underscores";
            self.problems.report(path, rule);
            return;
        }
        if is_code_name(name) {
            self.needs_approval(format!("{path}: the variable {name} can make the program run other code"));
        }
        let Some(template) = self.template(path, pieces) else { return };
        if self.spec.env.insert(name.to_owned(), template).is_some() {
            self.problems.report(path, "names a variable that is set twice");
        }
    }

    /// Sets a header, if it may be.
    pub(super) fn set_header(&mut self, path: &str, name: &str, pieces: &[Piece]) {
        let same = self.spec.headers.keys().any(|other| other.eq_ignore_ascii_case(name));
        match crate::address::check_header_name(name) {
            Err(message) => self.problems.report(path, message),
            Ok(()) if same => self.problems.report(path, "names a header that is set twice"),
            Ok(()) => {
                if let Some(template) = self.template(path, pieces) {
                    self.spec.headers.insert(name.to_owned(), template);
                }
            }
        }
    }

    /// The template of some pieces, each of whose texts is one line.
    pub(super) fn template(&mut self, path: &str, pieces: &[Piece]) -> Option<String> {
        let one_line = pieces.iter().all(|piece| !matches!(piece, Piece::Text(text) if !is_one_line(text)));
        if !one_line {
            self.problems.report(path, "must be one line without control characters");
            return None;
        }
        for piece in pieces {
            if let Piece::Text(text) = piece {
                self.note_hidden(path, text);
            }
        }
        written(pieces).map_err(|message| self.problems.report(path, message)).ok()
    }

    /// Values are kept as they are, so whoever looks at them must be told what cannot be seen.
    fn note_hidden(&mut self, path: &str, text: &str) {
        if text.chars().any(|c| hidden(c).is_some()) {
            self.note(format!("{path}: holds characters that nobody sees: {}", in_note(text)));
        }
    }

    /// Whether a header is written by the bridge itself, so that a document need not be refused for it.
    pub(super) fn is_own_header(name: &str) -> bool {
        http::HeaderName::from_bytes(name.as_bytes()).is_ok()
            && crate::address::check_header_name(name).is_err()
    }

    fn close(&mut self) {
        if !self.properties.is_empty() {
            self.required.sort_unstable();
            self.spec.config_schema = Some(json!({
                "type": "object",
                "additionalProperties": false,
                "properties": std::mem::take(&mut self.properties),
                "required": std::mem::take(&mut self.required),
            }));
        }
    }

    /// The proposal, without asking whether it is sound: for what is made of names alone.
    pub(super) fn into_proposal(mut self, source: Source, install: Option<Install>) -> Proposal {
        self.close();
        Proposal { source, spec: self.spec, install, notes: self.notes, needs_approval: self.approvals }
    }

    /// The proposal, if everything that was read is sound.
    pub(super) fn finish(
        mut self,
        source: Source,
        install: Option<Install>,
    ) -> Result<Proposal, Vec<Problem>> {
        self.close();
        let mut whole = self.spec.clone();
        let is_bare = whole.program.as_deref().is_some_and(|program| !program.contains('/'));
        if install.is_some() || is_bare {
            whole.program = Some(ANY_PROGRAM.to_owned());
        }
        whole.args.splice(0..0, install.iter().flat_map(|install| install.runtime_args.clone()));
        for problem in whole.validate(Author::Admin).err().unwrap_or_default() {
            self.problems.report(format!("spec.{}", problem.field), problem.message);
        }
        if self.problems.is_empty() {
            Ok(self.into_proposal(source, install))
        } else {
            Err(self.problems.into_list())
        }
    }
}

/// A stranger's text as a note may hold it.
pub(super) fn in_note(text: &str) -> String {
    format!("`{}`", shown(text, MAX_SHOWN))
}

/// A type of which nothing is known but its name.
fn blank(name: &str) -> TypeSpec {
    let restart = roadstead_model::RestartFields::default();
    TypeSpec {
        package: None,
        name: name.to_owned(),
        display_name: name.to_owned(),
        description: None,
        icon_url: None,
        version: None,
        program: None,
        args: Vec::new(),
        env: std::collections::BTreeMap::new(),
        working_dir: None,
        credential_slots: Vec::new(),
        validation: None,
        login: None,
        config_schema: None,
        config_template: Map::new(),
        required_scopes: Vec::new(),
        resource_limits: ResourceLimits::default(),
        max_duration_minutes: crate::spec::default_max_duration_minutes(),
        era: roadstead_model::Era::default(),
        ready_timeout_s: crate::spec::default_ready_timeout_s(),
        idle_limit_s: None,
        restart: roadstead_model::RestartMode::default(),
        max_restarts: restart.max_restarts,
        restart_window_s: restart.restart_window_s,
        transport: roadstead_model::Transport::Stdio,
        url: None,
        headers: std::collections::BTreeMap::new(),
        session_mode: roadstead_model::SessionMode::default(),
        call_timeout_s: None,
        call_timeout_max_s: None,
        rate_limit_per_minute: crate::spec::default_rate_limit_per_minute(),
        allowed_roles: Vec::new(),
        era_bridge: true,
        replay_initialize: false,
        allow_private: false,
        allow_any_interface: false,
        size: None,
        confinement: crate::confinement::TypeConfinement::default(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::template::{Part, Placeholder, Template};

    fn piece() -> impl Strategy<Value = Piece> {
        prop_oneof![
            r"(\$|\{|\}|credential\.a|port|é|x){0,6}".prop_map(Piece::Text),
            Just(Piece::Slot("token".to_owned())),
            Just(Piece::Key("level".to_owned())),
            Just(Piece::Port),
        ]
    }

    fn expected(pieces: &[Piece]) -> Vec<Part> {
        let mut parts: Vec<Part> = Vec::new();
        for piece in pieces {
            match (piece, parts.last_mut()) {
                (Piece::Text(text), _) if text.is_empty() => {}
                (Piece::Text(text), Some(Part::Text(before))) => before.push_str(text),
                (Piece::Text(text), _) => parts.push(Part::Text(text.clone())),
                (Piece::Slot(name), _) => {
                    parts.push(Part::Placeholder(Placeholder::Credential(name.clone())));
                }
                (Piece::Key(name), _) => parts.push(Part::Placeholder(Placeholder::Config(name.clone()))),
                (Piece::Port, _) => parts.push(Part::Placeholder(Placeholder::Port)),
            }
        }
        parts
    }

    proptest! {
        #[test]
        fn a_template_holds_the_placeholders_that_were_asked_for_and_no_others(pieces in prop::collection::vec(piece(), 0..8)) {
            if let Ok(template) = written(&pieces) {
                prop_assert_eq!(Template::parse(&template).unwrap().parts, expected(&pieces));
            }
        }
    }

    #[test]
    fn a_dollar_before_a_placeholder_is_refused_and_anything_else_is_written() {
        let text = |text: &str| Piece::Text(text.to_owned());
        assert!(written(&[text("a$"), Piece::Port]).is_err());
        assert!(written(&[text("$"), text(""), Piece::Port]).is_err());
        assert_eq!(written(&[text("$"), text("{port}"), Piece::Port]).unwrap(), "$${port}${port}");
    }
}
