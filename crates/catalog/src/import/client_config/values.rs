//! Values of a client's configuration: what is filled in, what is a secret, what is a default.

use std::collections::BTreeMap;

use super::super::draft::{Ask, Draft, Piece};
use super::super::json::{Object, Problems, quoted};
use super::super::secrets::{is_scheme, is_secret_name, is_secret_value};

/// How the names of what only an editor knows begin.
const EDITORS: [&str; 9] = [
    "workspaceFolder",
    "userHome",
    "cwd",
    "pathSeparator",
    "/",
    "file",
    "relativeFile",
    "command:",
    "config:",
];

/// What a configuration says of a value that its client asks for.
#[derive(Debug, Default)]
pub(super) struct Declared<'a> {
    description: Option<&'a str>,
    default: Option<&'a str>,
    options: Vec<&'a str>,
    /// It says itself that it is no secret.
    open: bool,
    /// It says itself that it is one.
    password: bool,
}

/// The inputs of VS Code, by their ids.
pub(super) fn declared<'a>(root: &Object<'a>, problems: &mut Problems) -> BTreeMap<&'a str, Declared<'a>> {
    let mut found = BTreeMap::new();
    for input in root.objects("inputs", problems) {
        let Some(id) = input.required_text("id", problems) else { continue };
        let is_choice = input.text("type", problems) == Some("pickString");
        let says_no = input.map.get("password") == Some(&serde_json::Value::Bool(false));
        let declared = Declared {
            description: input.text("description", problems),
            default: input.text("default", problems),
            options: if is_choice { input.texts("options", problems) } else { Vec::new() },
            open: is_choice || says_no,
            password: input.flag("password", problems),
        };
        if found.insert(id, declared).is_some() {
            problems.report(input.at("id"), "is the id of another input too");
        }
    }
    found
}

/// A part of a value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    Text(&'a str),
    /// `${input:ID}`
    Input(&'a str),
    /// `${VAR}`, `${env:VAR}`, `${VAR:-DEFAULT}`
    Variable(&'a str, Option<&'a str>),
    /// `${workspaceFolder}` and the like.
    Editor(&'a str),
}

/// The parts of a value. What is in `${…}` and means nothing to any client is text.
pub(super) fn split(value: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let (mut plain, mut from) = (0, 0);
    while let Some(open) = value[from..].find("${").map(|at| from + at) {
        let Some(length) = value[open + 2..].find('}') else { break };
        let part = meant(&value[open + 2..open + 2 + length]);
        from = open + 2;
        if let Some(part) = part {
            if open > plain {
                parts.push(Part::Text(&value[plain..open]));
            }
            parts.push(part);
            from = open + length + 3;
            plain = from;
        }
    }
    if plain < value.len() {
        parts.push(Part::Text(&value[plain..]));
    }
    parts
}

fn meant(inside: &str) -> Option<Part<'_>> {
    let is_name = |name: &str| {
        let rest = name.strip_prefix(|c: char| c.is_ascii_alphabetic() || c == '_');
        rest.is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
    };
    if let Some(id) = inside.strip_prefix("input:") {
        return (!id.is_empty()).then_some(Part::Input(id));
    }
    if EDITORS.iter().any(|start| inside.starts_with(start)) {
        return Some(Part::Editor(inside));
    }
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let name = name.strip_prefix("env:").unwrap_or(name);
    is_name(name).then_some(Part::Variable(name, default))
}

/// Fills the values of one entry; what is named twice becomes one slot.
pub(super) struct Values<'a> {
    pub(super) declared: &'a BTreeMap<&'a str, Declared<'a>>,
    known: BTreeMap<String, Piece>,
    /// The values that were kept as defaults, by where they stand.
    pub(super) kept: Vec<String>,
}

impl<'a> Values<'a> {
    pub(super) const fn new(declared: &'a BTreeMap<&'a str, Declared<'a>>) -> Self {
        Self { declared, known: BTreeMap::new(), kept: Vec::new() }
    }

    /// The value of a variable or a header: a slot if it may be a secret, else a default of the configuration.
    pub(super) fn named(&mut self, path: &str, name: &str, value: &str, draft: &mut Draft) -> Vec<Piece> {
        let parts = split(value);
        let literal = |part: &Part<'_>| match part {
            Part::Text(text) => Some((*text).to_owned()),
            _ => None,
        };
        let texts: Vec<String> = parts.iter().filter_map(literal).collect();
        let is_plain = texts.len() == parts.len();
        let hides = texts.iter().any(|text| is_secret_value(text));
        if is_plain && !hides && !is_secret_name(name) {
            self.kept.push(path.to_owned());
            return vec![draft.key(&Ask { path, name, default: Some(value), ..Ask::default() })];
        }
        let harmless = |text: &String| is_scheme(text) || text.chars().all(|c| !c.is_alphanumeric());
        let only_schemes = texts.iter().all(harmless);
        if is_plain || hides || (is_secret_name(name) && !only_schemes) {
            return whole(path, name, value, draft);
        }
        parts.iter().filter_map(|part| self.part(path, part, draft)).collect()
    }

    /// A part of the value of a variable or a header.
    fn part(&mut self, path: &str, part: &Part<'_>, draft: &mut Draft) -> Option<Piece> {
        match part {
            Part::Text(text) => Some(Piece::Text((*text).to_owned())),
            Part::Editor(name) => {
                report_editor(path, name, draft);
                None
            }
            Part::Input(id) => {
                Some(self.once(&format!("input:{id}"), |values| values.input(path, id, draft)))
            }
            Part::Variable(name, default) => Some(self.once(&format!("env:{name}"), |_| {
                let secret =
                    is_secret_name(name) || default.is_none() || default.is_some_and(is_secret_value);
                let ask =
                    Ask { path, name, default: *default, required: default.is_none(), ..Ask::default() };
                if secret { draft.slot(&ask) } else { draft.key(&ask) }
            })),
        }
    }

    fn once(&mut self, key: &str, make: impl FnOnce(&mut Self) -> Piece) -> Piece {
        if let Some(piece) = self.known.get(key) {
            return piece.clone();
        }
        let piece = make(self);
        self.known.insert(key.to_owned(), piece.clone());
        piece
    }

    fn input(&self, path: &str, id: &str, draft: &mut Draft) -> Piece {
        let none = Declared::default();
        let declared = self.declared.get(id).unwrap_or(&none);
        let ask = ask(path, id, declared);
        if declared.open && !is_secret_name(id) && !ask.default.is_some_and(is_secret_value) {
            draft.key(&ask)
        } else {
            draft.slot(&Ask { choices: &[], ..ask })
        }
    }

    /// An argument, or an address: nothing that may be a secret, in no form.
    pub(super) fn open(&mut self, path: &str, value: &str, draft: &mut Draft) -> Option<Vec<Piece>> {
        let mut pieces = Vec::new();
        for part in split(value) {
            let piece = match part {
                Part::Text(text) if is_secret_value(text) => return refuse_secret(path, draft),
                Part::Text(text) => Piece::Text(text.to_owned()),
                Part::Editor(name) => {
                    report_editor(path, name, draft);
                    return None;
                }
                Part::Input(id) => {
                    let none = Declared::default();
                    let declared = self.declared.get(id).unwrap_or(&none);
                    if declared.password
                        || is_secret_name(id)
                        || declared.default.is_some_and(is_secret_value)
                    {
                        return refuse_secret(path, draft);
                    }
                    self.once(&format!("open input:{id}"), |_| draft.key(&ask(path, id, declared)))
                }
                Part::Variable(name, default) => {
                    if is_secret_name(name) || default.is_some_and(is_secret_value) {
                        return refuse_secret(path, draft);
                    }
                    let ask = Ask { path, name, default, required: true, ..Ask::default() };
                    self.once(&format!("open env:{name}"), |_| draft.key(&ask))
                }
            };
            pieces.push(piece);
        }
        Some(pieces)
    }
}

/// A secret in place of a whole value, but for the word that says how it is sent.
fn whole(path: &str, name: &str, value: &str, draft: &mut Draft) -> Vec<Piece> {
    let ask = Ask { path, name, required: true, ..Ask::default() };
    let slot = draft.slot(&ask);
    draft.note(format!("{path}: became a credential; its value was not kept"));
    let scheme =
        value.split_inclusive(' ').next().filter(|first| first.len() < value.len() && is_scheme(first));
    scheme.map(|scheme| Piece::Text(scheme.to_owned())).into_iter().chain([slot]).collect()
}

fn ask<'a>(path: &'a str, id: &'a str, declared: &'a Declared<'_>) -> Ask<'a> {
    Ask {
        path,
        name: id,
        description: declared.description,
        required: true,
        default: declared.default,
        choices: &declared.options,
        ..Ask::default()
    }
}

pub(super) fn refuse_secret<T>(path: &str, draft: &mut Draft) -> Option<T> {
    let rule = "looks like a secret, and arguments and addresses can be read by others; give it to the server in a variable \
                or a header";
    draft.problems.report(path, rule);
    None
}

fn report_editor(path: &str, name: &str, draft: &mut Draft) {
    let message = format!(
        "holds {}, which only an editor knows; write out what is meant",
        quoted(&format!("${{{name}}}"))
    );
    draft.problems.report(path, message);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_clients_fill_in_is_told_from_text() {
        use Part::{Editor, Input, Text, Variable};
        assert_eq!(split("Bearer ${input:t}"), [Text("Bearer "), Input("t")]);
        assert_eq!(
            split("${A}${env:B}-${C:-d}"),
            [Variable("A", None), Variable("B", None), Text("-"), Variable("C", Some("d"))]
        );
        assert_eq!(split("${workspaceFolder}/a"), [Editor("workspaceFolder"), Text("/a")]);
        for text in ["${credential.x}", "${config.y}", "$A", "${", "${}", "${a b}", "${1}", "{a}", "$${a-b}"]
        {
            assert_eq!(split(text), [Text(text)], "{text}");
        }
        assert_eq!(split("${a b${C}"), [Text("${a b"), Variable("C", None)]);
    }

    proptest! {
        #[test]
        fn nothing_of_a_value_is_lost(text in r"(\$|\{|\}|\$\{A\}|input:|x|é|:-){0,16}") {
            let whole: String = split(&text).iter().map(|part| match part {
                Part::Text(text) => (*text).to_owned(),
                Part::Input(id) => format!("${{input:{id}}}"),
                Part::Editor(name) | Part::Variable(name, None) => format!("${{{name}}}"),
                Part::Variable(name, Some(default)) => format!("${{{name}:-{default}}}"),
            }).collect();
            prop_assert_eq!(whole, text);
        }
    }
}
