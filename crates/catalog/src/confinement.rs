//! What a type may reach of the machine, how much of it, and which folders of people a configuration names.

use roadstead_model::ConfinementLevel;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::problem::Problem;
use crate::spec::ResourceLimits;

/// Folders and files that one configuration may name.
const MAX_PATHS: usize = 64;
/// Longest path.
const MAX_PATH_BYTES: usize = 1024;

/// What the walls around a type's servers leave open, beyond what every program needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TypeConfinement {
    /// No walls at all: the level is `none`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub off: bool,
    /// The level below which it is not launched; the setting may demand more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<ConfinementLevel>,
    /// Files and folders of the machine that it may read and execute from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub read_paths: Vec<String>,
    /// Files and folders of the machine that it may change, too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub write_paths: Vec<String>,
    /// TCP ports that it may connect to; the setting's, if none are named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outbound_ports: Option<Vec<u16>>,
    /// Whether a server on its standard streams may accept connections: browsers, sign-in helpers.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub listen: bool,
}

impl TypeConfinement {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Limits by one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Size {
    /// A small native program.
    S,
    /// A server in Node or Python with a few sessions.
    M,
    /// A browser, or an index in memory.
    L,
}

impl Size {
    /// What it stands for.
    pub fn limits(self) -> ResourceLimits {
        let (memory_mb, cpu, processes) = match self {
            Self::S => (256, 0.25, 64),
            Self::M => (1024, 0.5, 256),
            Self::L => (4096, 2.0, 1024),
        };
        ResourceLimits { memory_mb, cpu, processes, ..ResourceLimits::default() }
    }
}

/// A path of a person's files that a configuration names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigPath {
    /// Where it stands, like `config.root`.
    pub field: String,
    /// The path.
    pub path: String,
    /// Whether the schema asks for it to be changed.
    pub write: bool,
}

/// The paths in a merged configuration, as its schema marks them: strings, or items of lists, with `"format": "path"`,
/// and `"x-access": "read-write"` for those that are changed. Reports what is no path.
pub fn config_paths(
    schema: Option<&Value>,
    config: &Map<String, Value>,
) -> Result<Vec<ConfigPath>, Vec<Problem>> {
    let mut found = Found::default();
    if let Some(schema) = schema {
        found.look_through(schema, config, "config");
    }
    if found.paths.len() > MAX_PATHS {
        found.problems.push(Problem::new("config", format!("names more than {MAX_PATHS} paths")));
    }
    if found.problems.is_empty() { Ok(found.paths) } else { Err(found.problems) }
}

#[derive(Default)]
struct Found {
    paths: Vec<ConfigPath>,
    problems: Vec<Problem>,
}

impl Found {
    fn look_through(&mut self, schema: &Value, config: &Map<String, Value>, field: &str) {
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
        for (key, value) in config {
            if let Some(schema) = properties.get(key) {
                self.look_at(schema, value, &format!("{field}.{key}"));
            }
        }
    }

    fn look_at(&mut self, schema: &Value, value: &Value, field: &str) {
        match value {
            Value::String(path) if schema.get("format") == Some(&Value::from("path")) => {
                self.take(schema, path, field);
            }
            Value::Array(items) => {
                let Some(schema) = schema.get("items") else { return };
                for (index, item) in items.iter().enumerate() {
                    self.look_at(schema, item, &format!("{field}[{index}]"));
                }
            }
            Value::Object(object) => self.look_through(schema, object, field),
            _ => {}
        }
    }

    fn take(&mut self, schema: &Value, path: &str, field: &str) {
        match absolute(path) {
            Ok(()) => self.paths.push(ConfigPath {
                field: field.to_owned(),
                path: path.to_owned(),
                write: schema.get("x-access") == Some(&Value::from("read-write")),
            }),
            Err(message) => self.problems.push(Problem::new(field, message)),
        }
    }
}

/// Whether a text is the absolute path of something less than the whole machine.
pub(crate) fn absolute(path: &str) -> Result<(), &'static str> {
    if !path.starts_with('/') || path.bytes().all(|byte| byte == b'/') {
        return Err("must be an absolute path of a file or a folder, not of the whole machine");
    }
    if path.split('/').any(|part| part == ".." || part == ".") {
        return Err("must not contain `.` or `..`");
    }
    if path.len() > MAX_PATH_BYTES || path.contains(char::is_control) || path.contains("${") {
        return Err("must be one line without placeholders, of at most 1024 bytes");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn paths(schema: &Value, config: &Value) -> Result<Vec<ConfigPath>, Vec<Problem>> {
        config_paths(Some(schema), config.as_object().unwrap())
    }

    #[test]
    fn paths_are_found_where_the_schema_marks_them_and_nowhere_else() {
        let path = json!({"type": "string", "format": "path"});
        let changed = json!({"type": "string", "format": "path", "x-access": "read-write"});
        let schema = json!({"properties": {
            "root": path,
            "out": changed,
            "roots": {"type": "array", "items": changed},
            "deep": {"type": "object", "properties": {"below": path}},
            "name": {"type": "string"},
        }});
        let config = json!({
            "root": "/a", "out": "/b/c", "roots": ["/d", "/e"], "deep": {"below": "/f"}, "name": "/g", "other": "/h",
        });
        let found = paths(&schema, &config).unwrap();
        let mut told: Vec<_> =
            found.iter().map(|it| (it.field.as_str(), it.path.as_str(), it.write)).collect();
        told.sort_unstable();
        assert_eq!(
            told,
            [
                ("config.deep.below", "/f", false),
                ("config.out", "/b/c", true),
                ("config.root", "/a", false),
                ("config.roots[0]", "/d", true),
                ("config.roots[1]", "/e", true),
            ]
        );
        assert_eq!(config_paths(None, config.as_object().unwrap()).unwrap(), []);
    }

    #[test]
    fn what_is_no_absolute_path_is_refused_by_its_place() {
        let schema = json!({"properties": {"root": {"format": "path"}}});
        for wrong in ["a", "", "/", "//", "/a/../b", "/a/./b", "/a\n", "~/x", "/a/${dir}"] {
            let problems = paths(&schema, &json!({"root": wrong})).unwrap_err();
            assert_eq!(problems[0].field, "config.root", "{wrong:?}");
        }
    }
}
