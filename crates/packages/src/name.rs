//! Which package is wanted: names and versions as their registries allow them, and nothing that a program could take for an
//! option or a path.

use std::fmt;

use roadstead_installer::Manager;

/// The longest name, as npm has it.
const MAX_NAME_BYTES: usize = 214;
const MAX_VERSION_BYTES: usize = 128;
const MAX_EXTRAS: usize = 16;

/// A package of a registry, and exactly which version; the newest, if none is named.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Package {
    manager: Manager,
    name: String,
    extras: Vec<String>,
    version: Option<String>,
}

/// Why something is the name of no package.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The name.
    #[error("{0:?} is no name of a package there")]
    Name(String),
    /// The version.
    #[error("{0:?} is no exact version, like 1.2.3; ranges, tags, addresses and paths are not taken")]
    Version(String),
    /// An extra.
    #[error("{0:?} is no extra of a Python package")]
    Extra(String),
}

impl Package {
    /// A package by its parts.
    pub fn new(
        manager: Manager,
        name: &str,
        extras: Vec<String>,
        version: Option<String>,
    ) -> Result<Self, NameError> {
        let is_name = name.len() <= MAX_NAME_BYTES
            && match manager {
                Manager::Npm => is_npm_name(name),
                Manager::Pypi => is_word(name, b"-_."),
                Manager::Cargo => is_word(name, b"-_") && name.as_bytes()[0].is_ascii_alphabetic(),
            };
        if !is_name {
            return Err(NameError::Name(name.to_owned()));
        }
        let is_extra = |extra: &&String| !(manager == Manager::Pypi && is_word(extra, b"-_."));
        if let Some(extra) = extras.iter().find(is_extra).or_else(|| extras.get(MAX_EXTRAS)) {
            return Err(NameError::Extra(extra.clone()));
        }
        if let Some(version) = version.as_ref().filter(|version| !is_version(version)) {
            return Err(NameError::Version(version.clone()));
        }
        let mut extras = extras;
        extras.sort_unstable();
        extras.dedup();
        Ok(Self { manager, name: name.to_owned(), extras, version })
    }

    /// Whose it is.
    pub const fn manager(&self) -> Manager {
        self.manager
    }

    /// In the registry's spelling.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Optional parts, in order.
    pub fn extras(&self) -> &[String] {
        &self.extras
    }

    /// Exactly which version.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// The name of its folder: a slash would be another.
    pub(crate) fn folder(&self) -> String {
        let extras =
            if self.extras.is_empty() { String::new() } else { format!("[{}]", self.extras.join(",")) };
        format!("{}{extras}", self.name.replace('/', "+"))
    }
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", word(self.manager), self.name)?;
        if !self.extras.is_empty() {
            write!(f, "[{}]", self.extras.join(","))?;
        }
        match &self.version {
            Some(version) => write!(f, "@{version}"),
            None => Ok(()),
        }
    }
}

/// A registry's word, as in `npm:NAME`.
pub(crate) const fn word(manager: Manager) -> &'static str {
    match manager {
        Manager::Npm => "npm",
        Manager::Pypi => "pypi",
        Manager::Cargo => "cargo",
    }
}

fn is_npm_name(name: &str) -> bool {
    let is_part = |part: &str| {
        is_word(part, b"-_.~")
            && part.bytes().all(|byte| !byte.is_ascii_uppercase())
            && !part.starts_with('_')
    };
    match name.strip_prefix('@') {
        Some(scoped) => scoped.split_once('/').is_some_and(|(scope, name)| is_part(scope) && is_part(name)),
        None => is_part(name) && name != "node_modules",
    }
}

/// Letters, digits and some more, beginning with a letter or a digit.
fn is_word(text: &str, more: &[u8]) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
}

pub(crate) fn is_version(version: &str) -> bool {
    version.len() <= MAX_VERSION_BYTES
        && version.starts_with(|c: char| c.is_ascii_digit())
        && version.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-+_!".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(manager: Manager, name: &str, version: Option<&str>) -> Result<Package, NameError> {
        Package::new(manager, name, Vec::new(), version.map(str::to_owned))
    }

    #[test]
    fn names_are_those_of_the_registries() {
        for (manager, name) in [
            (Manager::Npm, "@modelcontextprotocol/server-everything"),
            (Manager::Npm, "semver"),
            (Manager::Pypi, "mcp-server-time"),
            (Manager::Pypi, "Zope.interface"),
            (Manager::Cargo, "ripgrep"),
        ] {
            assert_eq!(new(manager, name, Some("1.2.3-rc.1+b")).unwrap().name(), name);
        }
    }

    #[test]
    fn what_could_be_an_option_a_path_or_a_command_is_refused() {
        for name in [
            "",
            "-g",
            "--prefix=/",
            "../x",
            "a/b",
            "@a",
            "@/b",
            "@a/../b",
            "a b",
            "a;b",
            "a|b",
            "$(a)",
            "a@1",
            "a\n",
            "/a",
            "git+https://host/a",
            "file:a",
            ".a",
            "node_modules/../..",
            "é",
            "@A/b",
            "a\0",
        ] {
            for manager in [Manager::Npm, Manager::Pypi, Manager::Cargo] {
                assert!(new(manager, name, None).is_err(), "{manager:?} {name:?}");
            }
        }
        for version in [
            "",
            "latest",
            "^1.0.0",
            ">=1",
            "1.x || 2",
            "-1",
            "../1",
            "1 --global",
            "1;x",
            "https://host/a.tgz",
        ] {
            assert!(new(Manager::Npm, "a", Some(version)).is_err(), "{version:?}");
        }
        assert!(Package::new(Manager::Npm, "a", vec!["b".to_owned()], None).is_err());
        assert!(Package::new(Manager::Pypi, "a", vec!["b]; x".to_owned()], None).is_err());
    }
}
