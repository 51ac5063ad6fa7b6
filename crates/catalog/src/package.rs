//! The installed package that a type's program belongs to.

use serde::{Deserialize, Serialize};

/// Which package, exactly, and where it lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageUse {
    /// `npm`, `pypi` or `cargo`.
    pub manager: String,
    /// In the registry's spelling.
    pub name: String,
    /// Optional parts of a Python package.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extras: Vec<String>,
    /// Exactly which version.
    pub version: String,
    /// The package's own hash, as its registry tells it.
    pub integrity: String,
    /// SHA-256 over all of its files, in hex.
    pub digest: String,
    /// Where its files are.
    pub tree: String,
    /// Which of its programs.
    pub entry: String,
    /// Whether its own scripts ran at installation.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub scripts: bool,
}
