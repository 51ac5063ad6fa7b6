//! References to packages: `npm:@scope/name@1.2.3`, `pypi:name[extra]@1.2`, `cargo:name`.
//!
//! A reference names one package of one public registry, and one version of it or none. Ranges, addresses, repositories,
//! paths and options are refused: each is a way to get other code than the one that somebody looked at.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest reference.
pub const MAX_REFERENCE: usize = 512;
/// Longest name at npm, and more than any at PyPI.
const MAX_NAME: usize = 214;
/// Longest name at crates.io.
const MAX_CRATE_NAME: usize = 64;
/// Longest version.
const MAX_VERSION: usize = 100;
/// Extras of one package.
const MAX_EXTRAS: usize = 16;
/// What a shell would take for something else than a letter.
const SHELL: &[char] = &[
    '$', '`', ';', '|', '&', '<', '>', '(', ')', '{', '}', '"', '\'', '\\', '*', '?', '!', '#', '%', '^', '=',
];

/// Where a package comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Registry {
    /// registry.npmjs.org
    Npm,
    /// pypi.org
    Pypi,
    /// crates.io
    Cargo,
}

impl Registry {
    /// Its word in references and documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Npm => "npm",
            Self::Pypi => "pypi",
            Self::Cargo => "cargo",
        }
    }

    /// The registry of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Npm, Self::Pypi, Self::Cargo].into_iter().find(|registry| registry.as_str() == word)
    }
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which version of a package.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(into = "String")]
pub enum PackageVersion {
    /// This one.
    Exact(String),
    /// The one that the registry calls the latest when it is asked.
    Latest,
}

impl fmt::Display for PackageVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(version) => f.write_str(version),
            Self::Latest => f.write_str("latest"),
        }
    }
}

impl From<PackageVersion> for String {
    fn from(version: PackageVersion) -> Self {
        version.to_string()
    }
}

/// A package of a registry. Its name is well formed and, at PyPI, normalised.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct PackageRef {
    registry: Registry,
    name: String,
    extras: Vec<String>,
    version: Option<PackageVersion>,
}

/// Why a text is no reference to a package.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Nothing is that long.
    #[error("is longer than {MAX_REFERENCE} bytes")]
    TooLong,
    /// Nothing stands before the first colon that we know.
    #[error("must begin with `npm:`, `pypi:` or `cargo:`")]
    NoRegistry,
    /// An address, also of a repository.
    #[error("is an address or a repository; name a package of the registry")]
    Address,
    /// A file or a folder.
    #[error("is a path; name a package of the registry")]
    Path,
    /// A leading hyphen.
    #[error("begins with a hyphen, so it would be read as an option")]
    Option,
    /// Spaces, control characters and what a shell reads.
    #[error("must hold no spaces, control characters or characters that a shell reads")]
    Characters,
    /// Not well formed by the registry's rules.
    #[error("{0}")]
    Name(&'static str),
    /// An extra that is not well formed, too many, or extras of a package that has none.
    #[error("{0}")]
    Extras(&'static str),
    /// More than one version.
    #[error("names a range of versions; name one version after `@`, as in `@1.2.3`, or none")]
    Range,
    /// A word in place of a version.
    #[error("must name one exact version after `@`, or `latest`; {0}")]
    Version(&'static str),
}

const NPM_NAME: &str = "must be a name that npm takes: at most 214 small letters, digits, hyphens, dots and underscores, \
                        beginning with a letter or digit, with `@scope/` before it or not";
const PYPI_NAME: &str = "must be a name that PyPI takes: letters, digits, hyphens, dots and underscores, with a letter or digit \
                         at both ends";
const CRATE_NAME: &str =
    "must be a name that crates.io takes: a letter, then at most 63 letters, digits, hyphens and underscores";

impl PackageRef {
    /// Reads what follows the registry: a name, its extras, and a version after `@`.
    pub fn parse_in(registry: Registry, text: &str) -> Result<Self, ReferenceError> {
        if registry.as_str().len() + 1 + text.len() > MAX_REFERENCE {
            return Err(ReferenceError::TooLong);
        }
        // The first `@` may begin a scope.
        let at = text.char_indices().skip(1).find(|(_, c)| *c == '@').map(|(at, _)| at);
        let (name, version) = match at {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        let (name, extras) = split_extras(name)?;
        screen(registry, name)?;
        let extras = read_extras(registry, extras)?;
        let name = read_name(registry, name)?;
        let version = version.map(|version| read_version(registry, version)).transpose()?;
        Self { registry, name, extras, version }.within_limit()
    }

    /// The same package in a version, or in none.
    pub fn with_version(mut self, version: Option<&str>) -> Result<Self, ReferenceError> {
        self.version = version.map(|version| read_version(self.registry, version)).transpose()?;
        self.within_limit()
    }

    /// What is read can be written and read again, however long its normal form is.
    fn within_limit(self) -> Result<Self, ReferenceError> {
        if self.to_string().len() > MAX_REFERENCE { Err(ReferenceError::TooLong) } else { Ok(self) }
    }

    /// Where it comes from.
    pub const fn registry(&self) -> Registry {
        self.registry
    }

    /// Its name, with its scope.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which optional parts of it are meant, sorted.
    pub fn extras(&self) -> &[String] {
        &self.extras
    }

    /// Which version is meant; any, if none is named.
    pub const fn version(&self) -> Option<&PackageVersion> {
        self.version.as_ref()
    }

    /// Whether it names one version for good.
    pub const fn is_pinned(&self) -> bool {
        matches!(self.version, Some(PackageVersion::Exact(_)))
    }
}

impl FromStr for PackageRef {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.len() > MAX_REFERENCE {
            return Err(ReferenceError::TooLong);
        }
        let (word, rest) = text.split_once(':').ok_or(ReferenceError::NoRegistry)?;
        Self::parse_in(Registry::from_word(word).ok_or(ReferenceError::NoRegistry)?, rest)
    }
}

impl TryFrom<String> for PackageRef {
    type Error = ReferenceError;

    fn try_from(text: String) -> Result<Self, ReferenceError> {
        text.parse()
    }
}

impl From<PackageRef> for String {
    fn from(package: PackageRef) -> Self {
        package.to_string()
    }
}

impl fmt::Display for PackageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.registry, self.name)?;
        if !self.extras.is_empty() {
            write!(f, "[{}]", self.extras.join(","))?;
        }
        self.version.as_ref().map_or(Ok(()), |version| write!(f, "@{version}"))
    }
}

/// What is no name at all, told apart so that the message says what it is.
fn screen(registry: Registry, name: &str) -> Result<(), ReferenceError> {
    let scoped = registry == Registry::Npm && name.starts_with('@');
    let slashes = name.matches('/').count();
    if name.starts_with('-') {
        Err(ReferenceError::Option)
    } else if name.contains(':') || name.contains("git+") {
        Err(ReferenceError::Address)
    } else if name.starts_with(['/', '.', '~', '\\'])
        || name.contains("..")
        || name.contains('\\')
        || slashes > usize::from(scoped)
    {
        Err(ReferenceError::Path)
    } else if has_range(name) {
        Err(ReferenceError::Range)
    } else if !name.chars().all(|c| c.is_ascii_graphic()) || name.contains(SHELL) {
        Err(ReferenceError::Characters)
    } else {
        Ok(())
    }
}

/// `name==1.0`, `name>=1`, `name~=1`, as other tools write versions.
fn has_range(name: &str) -> bool {
    let plain = name.find(['=', '<', '>', '~', '^']);
    plain.is_some_and(|at| {
        at > 0 && name[at + 1..].starts_with(|c: char| c == '=' || c == ' ' || c.is_ascii_digit())
    })
}

fn split_extras(text: &str) -> Result<(&str, Option<&str>), ReferenceError> {
    match text.split_once('[') {
        None => Ok((text, None)),
        Some((name, rest)) => {
            let extras = rest
                .strip_suffix(']')
                .ok_or(ReferenceError::Extras("has extras without a `]` at their end"))?;
            Ok((name, Some(extras)))
        }
    }
}

fn read_extras(registry: Registry, extras: Option<&str>) -> Result<Vec<String>, ReferenceError> {
    let Some(extras) = extras else { return Ok(Vec::new()) };
    if registry != Registry::Pypi {
        return Err(ReferenceError::Extras("has extras, which only packages of PyPI have"));
    }
    let names: Vec<&str> = extras.split(',').collect();
    if names.len() > MAX_EXTRAS {
        return Err(ReferenceError::Extras("has too many extras"));
    }
    let read = |name: &str| pypi_name(name).ok_or(ReferenceError::Extras("has an extra that is no name"));
    let unique: BTreeSet<String> = names.into_iter().map(read).collect::<Result<_, _>>()?;
    Ok(unique.into_iter().collect())
}

fn read_name(registry: Registry, name: &str) -> Result<String, ReferenceError> {
    match registry {
        Registry::Npm => {
            let (scope, rest) = match name.strip_prefix('@') {
                None => (None, name),
                Some(scoped) => scoped
                    .split_once('/')
                    .map(|(scope, rest)| (Some(scope), rest))
                    .ok_or(ReferenceError::Name(NPM_NAME))?,
            };
            let is_reserved = scope.is_none() && matches!(rest, "node_modules" | "favicon.ico");
            let sound =
                scope.is_none_or(is_npm_part) && is_npm_part(rest) && name.len() <= MAX_NAME && !is_reserved;
            sound.then(|| name.to_owned()).ok_or(ReferenceError::Name(NPM_NAME))
        }
        Registry::Pypi => pypi_name(name).ok_or(ReferenceError::Name(PYPI_NAME)),
        Registry::Cargo => {
            let rest = name.strip_prefix(|c: char| c.is_ascii_alphabetic());
            let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            let sound = name.len() <= MAX_CRATE_NAME && rest.is_some_and(|rest| rest.bytes().all(plain));
            sound.then(|| name.to_owned()).ok_or(ReferenceError::Name(CRATE_NAME))
        }
    }
}

fn is_npm_part(part: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    part.bytes().next().is_some_and(plain)
        && part.bytes().all(|b| plain(b) || matches!(b, b'-' | b'.' | b'_'))
}

/// A name in the form of PEP 503: small letters, and one hyphen in place of hyphens, dots and underscores.
fn pypi_name(name: &str) -> Option<String> {
    let sound = !name.is_empty()
        && name.len() <= MAX_NAME
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric());
    sound.then(|| {
        let parts: Vec<&str> = name.split(['-', '.', '_']).filter(|part| !part.is_empty()).collect();
        parts.join("-").to_ascii_lowercase()
    })
}

fn read_version(registry: Registry, text: &str) -> Result<PackageVersion, ReferenceError> {
    let v_first = "without a `v` before it";
    if text == "latest" {
        return Ok(PackageVersion::Latest);
    }
    if text.contains(['/', ':', '#', '@', '\\']) {
        return Err(ReferenceError::Address);
    }
    let is_part = |part: &str| matches!(part, "x" | "X" | "*");
    if text.contains(['^', '~', '<', '>', '=', '*', ',', '|', ' ']) || text.split('.').any(is_part) {
        return Err(ReferenceError::Range);
    }
    if text.len() > MAX_VERSION || !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-+._!".contains(&b)) {
        return Err(ReferenceError::Version("a version is short, of letters, digits, dots and hyphens"));
    }
    let exact = match registry {
        Registry::Npm | Registry::Cargo => {
            let hint =
                if text.starts_with(['v', 'V']) { v_first } else { "it has three numbers, such as `1.2.3`" };
            semver::Version::parse(text).map_err(|_| ReferenceError::Version(hint))?.to_string()
        }
        Registry::Pypi => {
            let version = pep440_rs::Version::from_str(text);
            version
                .map_err(|_| {
                    ReferenceError::Version("it is written as PEP 440 says, such as `1.2` or `1.2rc1`")
                })?
                .to_string()
        }
    };
    // The normal form of a version may be longer than what was written.
    if exact.len() > MAX_VERSION {
        return Err(ReferenceError::Version("a version is short, of letters, digits, dots and hyphens"));
    }
    Ok(PackageVersion::Exact(exact))
}

#[cfg(test)]
mod tests;
