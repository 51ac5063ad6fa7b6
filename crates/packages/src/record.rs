//! What is written down of an installed package, beside its files.

use std::fmt;
use std::path::PathBuf;

use roadstead_installer::{Installed, Manager};
use serde::{Deserialize, Serialize};

use crate::name::{Package, word};

/// The file of it.
pub(crate) const FILE: &str = "record.json";
/// The folder of the files.
pub(crate) const TREE: &str = "tree";

/// A package in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Whose it is.
    pub manager: Manager,
    /// In the registry's spelling.
    pub name: String,
    /// Optional parts of a Python package.
    pub extras: Vec<String>,
    /// Whether its own scripts ran.
    pub scripts: bool,
    /// What came.
    pub installed: Installed,
    /// Where it lies in the store: a name of three parts.
    #[serde(skip)]
    pub place: String,
    /// Its files.
    #[serde(skip)]
    pub tree: PathBuf,
}

impl fmt::Display for Stored {
    /// As it would be asked for.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", word(self.manager), self.name)?;
        if !self.extras.is_empty() {
            write!(f, "[{}]", self.extras.join(","))?;
        }
        write!(f, "@{}", self.installed.version)
    }
}

impl Stored {
    /// Whose it is, as in `npm:NAME`.
    pub const fn manager_word(&self) -> &'static str {
        word(self.manager)
    }

    /// Whether this is what is wanted: a wish without a version is never met by what is there already.
    pub(crate) fn is(&self, package: &Package, scripts: bool) -> bool {
        self.manager == package.manager()
            && self.name == package.name()
            && self.extras == package.extras()
            && self.scripts == scripts
            && package.version() == Some(self.installed.version.as_str())
    }
}
