//! A type written as TOML, as the bundled servers ship it.

use serde_json::Value;

use crate::spec::TypeSpec;

/// How the TOML parser hands a date to a format that has none.
const DATE_KEY: &str = "$__toml_private_datetime";

/// Why a text is no manifest. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct ManifestError {
    /// Where it begins.
    pub line: usize,
    /// Where in the line.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

/// Reads a manifest. Whether the type is sound is asked next, with `TypeSpec::validate`.
pub fn parse_manifest(text: &str) -> Result<TypeSpec, ManifestError> {
    let mut spec: TypeSpec = toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let (line, column) = place(text, start);
        ManifestError { line, column, message: error.message().to_owned() }
    })?;
    spec.config_template.values_mut().for_each(dates_to_text);
    if let Some(schema) = &mut spec.config_schema {
        dates_to_text(schema);
    }
    Ok(spec)
}

fn place(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// JSON has no dates: what TOML reads as one becomes the text it was written as.
fn dates_to_text(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(date)) = object.get(DATE_KEY) {
                *value = Value::String(date.clone());
            } else {
                object.values_mut().for_each(dates_to_text);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(dates_to_text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::spec::Author;

    const GOOD: &str = r#"
name = "github"
display_name = "GitHub"
description = """
Issues,
pull requests."""
program = "/usr/libexec/mcp-github"
args = ["--stdio"]
era = "dual"
config_template = { api = "https://api.github.com", since = 2024-01-02, pages = [1, 2] }

[env]
GITHUB_TOKEN = "${credential.token}"

[[credential_slots]]
name = "token"
label = "Personal access token"
pattern = 'gh[pous]_[A-Za-z0-9]{36}'

[resource_limits]
memory_mb = 64

[config_schema]
type = "object"
additionalProperties = false

[config_schema.properties]
api = { type = "string" }
since = { type = "string" }
pages = { type = "array", items = { type = "integer" } }
"#;

    #[test]
    fn a_manifest_becomes_a_sound_type() {
        let spec = parse_manifest(GOOD).unwrap();
        assert_eq!(spec.validate(Author::User), Ok(()));
        assert_eq!(spec.name, "github");
        assert_eq!(spec.resource_limits.memory_mb, 64);
        assert_eq!(spec.resource_limits.open_files, 1024);
        assert_eq!(spec.config_template["since"], json!("2024-01-02"));
        assert_eq!(spec.config_template["pages"], json!([1, 2]));
        assert_eq!(spec.slot("token").unwrap().label, "Personal access token");
    }

    #[track_caller]
    fn mistake(text: &str, line: usize, column: usize, words: &str) {
        let error = parse_manifest(text).unwrap_err();
        assert_eq!((error.line, error.column), (line, column), "{error}");
        assert!(error.message.contains(words), "{error}");
    }

    #[test]
    fn mistakes_are_reported_with_line_and_column() {
        mistake("name = \"a\"\ndisplay_name = \n", 2, 16, "");
        mistake("name = \"a\"\nshell = true\n", 2, 1, "shell");
        mistake("name = \"a\"\n\n  era = \"ancient\"\n", 3, 9, "ancient");
        mistake("description = \"é\" x", 1, 19, "");
        mistake("name = \"a\"\nname = \"b\"", 2, 1, "duplicate");
        mistake("name = 7", 1, 8, "invalid type");
    }

    #[test]
    fn a_missing_field_is_named() {
        let error = parse_manifest("name = \"a\"\nprogram = \"/a\"").unwrap_err();
        assert!(error.to_string().contains("display_name"), "{error}");
    }

    #[test]
    fn no_text_makes_the_reader_panic() {
        for text in ["", "\u{feff}", "\0", "é = 'é", "[[[", "a = \"\\u0000\"", "name = \"\u{1f600}"] {
            assert!(parse_manifest(text).is_err(), "{text:?}");
        }
    }
}
