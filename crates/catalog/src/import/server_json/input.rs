//! Inputs of a `server.json`: fixed values, values with variables in them, and values that a person is asked for.

use std::collections::BTreeMap;

use super::super::draft::{Ask, Draft, Format, Piece};
use super::super::json::{Object, Problems, quoted};
use super::super::secrets::{is_secret_name, is_secret_value};

/// Fields that inputs have; arguments and variables have a few more.
const KNOWN: [&str; 14] = [
    "type",
    "name",
    "valueHint",
    "isRepeated",
    "description",
    "isRequired",
    "isSecret",
    "format",
    "value",
    "default",
    "choices",
    "placeholder",
    "variables",
    "title",
];

/// One input, read.
#[derive(Debug, Default)]
pub(super) struct Input<'a> {
    pub(super) path: String,
    description: Option<&'a str>,
    pub(super) required: bool,
    pub(super) secret: bool,
    format: Format,
    has_format: bool,
    pub(super) value: Option<&'a str>,
    pub(super) default: Option<&'a str>,
    choices: Vec<&'a str>,
    placeholder: Option<&'a str>,
    variables: BTreeMap<&'a str, Input<'a>>,
}

/// Where a value goes. A secret may go into a variable or a header only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Variable,
    Header,
    Argument,
    Address,
}

impl Place {
    const fn takes_secrets(self) -> bool {
        matches!(self, Self::Variable | Self::Header)
    }

    /// Whether a value that is not given leaves the whole thing out, instead of making a launch fail.
    const fn may_be_absent(self) -> bool {
        matches!(self, Self::Variable | Self::Header)
    }
}

pub(super) fn read<'a>(object: &Object<'a>, problems: &mut Problems) -> Input<'a> {
    let mut input = plain(object, problems);
    if let Some(variables) = object.object("variables", problems) {
        input.variables = variables
            .entries(problems)
            .into_iter()
            .map(|(name, variable)| (name, plain(&variable, problems)))
            .collect();
    }
    input
}

/// The variables of an address, by name.
pub(super) fn variables<'a>(object: &Object<'a>, problems: &mut Problems) -> BTreeMap<&'a str, Input<'a>> {
    read(object, problems).variables
}

fn plain<'a>(object: &Object<'a>, problems: &mut Problems) -> Input<'a> {
    let word = object.text("format", problems);
    let format = match word {
        None | Some("string") => Format::Text,
        Some("number") => Format::Number,
        Some("boolean") => Format::Boolean,
        Some("filepath" | "file_path") => Format::FilePath,
        Some(other) => {
            let message = format!("is {}; there are string, number, boolean and filepath", quoted(other));
            problems.report(object.at("format"), message);
            Format::Text
        }
    };
    Input {
        path: object.path.clone(),
        description: object.text("description", problems),
        required: object.flag("isRequired", problems),
        secret: object.flag("isSecret", problems),
        format,
        has_format: word.is_some(),
        value: object.text("value", problems).filter(|text| !text.is_empty()),
        default: object.text("default", problems).filter(|text| !text.is_empty()),
        choices: object.texts("choices", problems),
        placeholder: object.text("placeholder", problems),
        variables: BTreeMap::new(),
    }
}

pub(super) fn note_unknown(object: &Object<'_>, draft: &mut Draft) {
    if let Some(note) = object.note_unknown(&KNOWN) {
        draft.note(note);
    }
}

impl<'a> Input<'a> {
    /// Whether a document says nothing of it but its name.
    pub(super) fn is_bare(&self) -> bool {
        let empty = self.value.is_none() && self.default.is_none() && self.description.is_none();
        empty && !self.required && !self.secret && !self.has_format && self.choices.is_empty()
    }

    /// What it becomes; nothing, if it is left out.
    pub(super) fn pieces(&self, name: &str, place: Place, draft: &mut Draft) -> Option<Vec<Piece>> {
        match self.value {
            None => self.asked(name, place, self, draft).map(|piece| vec![piece]),
            Some(value) if self.hides(name, value) => {
                draft.note(format!(
                    "{}: the secret that the document gives was not kept: each user gives one",
                    self.path
                ));
                let ask = Input { value: None, default: None, variables: BTreeMap::new(), ..self.shallow() };
                ask.asked(name, place, self, draft).map(|piece| vec![piece])
            }
            Some(value) => self.filled(name, value, place, draft),
        }
    }

    /// Whether a fixed value is a secret that was written into the document.
    fn hides(&self, name: &str, value: &str) -> bool {
        let holds_variables = split(value).iter().any(|part| matches!(part, Part::Name(_)));
        (self.secret && !holds_variables) || (is_secret_name(name) && is_secret_value(value))
    }

    fn shallow(&self) -> Input<'a> {
        Input { path: self.path.clone(), choices: self.choices.clone(), variables: BTreeMap::new(), ..*self }
    }

    /// A value with names in braces: those that are declared are filled in, the rest stays as it is.
    fn filled(&self, name: &str, value: &str, place: Place, draft: &mut Draft) -> Option<Vec<Piece>> {
        let mut known: BTreeMap<&str, Piece> = BTreeMap::new();
        let mut pieces = Vec::new();
        for part in split(value) {
            let piece = match part {
                Part::Text(text) => Piece::Text(text.to_owned()),
                // Whoever is asked for it twice gives it once.
                Part::Name(variable) => match known.get(variable) {
                    Some(piece) => piece.clone(),
                    None => self.variable(name, variable, place, draft)?,
                },
            };
            if let Part::Name(variable) = part {
                known.insert(variable, piece.clone());
            }
            pieces.push(piece);
        }
        Some(pieces)
    }

    /// A name in braces in the value of the input `name`.
    fn variable(&self, name: &str, variable: &str, place: Place, draft: &mut Draft) -> Option<Piece> {
        if let Some(declared) = self.variables.get(variable) {
            return match declared.value {
                Some(fixed) if !declared.secret => Some(Piece::Text(fixed.to_owned())),
                _ => declared.asked(variable, place, self, draft),
            };
        }
        // By the letter a secret would be sent with its braces, which no service takes.
        if self.secret || (place.takes_secrets() && is_secret_name(name)) {
            let quoted = quoted(variable);
            let path = &self.path;
            draft.note(format!(
                "{path}: {quoted} is not declared; it was taken for a secret that each user gives"
            ));
            let secret =
                Input { path: path.clone(), secret: true, required: self.required, ..Input::default() };
            return secret.asked(variable, place, self, draft);
        }
        Some(Piece::Text(format!("{{{variable}}}")))
    }

    /// Asks for it: as a secret, or as a value of the configuration. `whole` is the input that it is a part of, or itself.
    fn asked(&self, name: &str, place: Place, whole: &Input<'_>, draft: &mut Draft) -> Option<Piece> {
        let looks_secret = is_secret_name(name) && self.choices.is_empty() && self.format == Format::Text;
        let secret = self.secret || whole.secret || looks_secret;
        let can_be_absent = !self.required && !whole.required;
        let ask = Ask {
            path: &self.path,
            name,
            description: self.description.or(whole.description),
            required: !can_be_absent,
            format: self.format,
            default: self.default,
            choices: &self.choices,
            example: self.placeholder,
        };
        if secret && !place.takes_secrets() {
            if can_be_absent && place == Place::Argument {
                draft.note(format!(
                    "{}: left out: it is an optional secret, and no argument may hold one",
                    self.path
                ));
            } else {
                let rule = "is a secret as an argument or in an address, where others can read it; only variables and \
                            headers may hold one";
                draft.problems.report(&self.path, rule);
            }
            return None;
        }
        if secret {
            if !self.secret && !whole.secret {
                draft.note(format!(
                    "{}: is not called a secret, but its name says so; it was taken for one",
                    self.path
                ));
            }
            return Some(draft.slot(&ask));
        }
        if can_be_absent && self.default.is_none() && !place.may_be_absent() {
            draft.note(format!("{}: left out: it is optional and has no default", self.path));
            return None;
        }
        Some(draft.key(&Ask { required: ask.required || !place.may_be_absent(), ..ask }))
    }
}

/// A part of a value: text, or a name that stood in braces.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    Text(&'a str),
    Name(&'a str),
}

/// The parts of a value. A name is a letter or underscore, then letters, digits, underscores, hyphens and dots.
pub(super) fn split(value: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let (mut plain, mut from) = (0, 0);
    while let Some(open) = value[from..].find('{').map(|at| from + at) {
        let inside = &value[open + 1..];
        let end = inside.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')));
        let name = end.filter(|end| inside[*end..].starts_with('}')).map(|end| &inside[..end]);
        from = open + 1;
        if let Some(name) =
            name.filter(|name| name.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '-')))
        {
            if open > plain {
                parts.push(Part::Text(&value[plain..open]));
            }
            parts.push(Part::Name(name));
            from = open + name.len() + 2;
            plain = from;
        }
    }
    if plain < value.len() {
        parts.push(Part::Text(&value[plain..]));
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_in_braces_are_found_and_nothing_else() {
        use Part::{Name, Text};
        assert_eq!(split("Bearer {token}"), [Text("Bearer "), Name("token")]);
        assert_eq!(split("{a}{--b}c"), [Name("a"), Name("--b"), Text("c")]);
        assert_eq!(split("${credential.x}"), [Text("$"), Name("credential.x")]);
        for plain in ["{", "}", "{}", "{a", "{1}", "{a b}", "{{", "a}{"] {
            assert_eq!(split(plain), [Text(plain)], "{plain}");
        }
        assert_eq!(split("{{a}}"), [Text("{"), Name("a"), Text("}")]);
        assert_eq!(split(""), []);
    }

    proptest! {
        #[test]
        fn the_parts_make_the_whole_again(text in r"(\{|\}|\$|a|-|1|é){0,20}") {
            let whole: String = split(&text).iter().map(|part| match part {
                Part::Text(text) => (*text).to_owned(),
                Part::Name(name) => format!("{{{name}}}"),
            }).collect();
            prop_assert_eq!(whole, text);
        }
    }
}
