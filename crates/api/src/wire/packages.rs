//! Installed packages in JSON.

use roadstead_orchestrator::{Cleaned, Kept, PackageReport};
use serde::{Deserialize, Serialize};

use super::rfc3339;

/// An installed package.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Package {
    /// `npm`, `pypi` or `cargo`.
    #[schema(example = "npm")]
    pub manager: &'static str,
    /// In the registry's spelling.
    #[schema(example = "@modelcontextprotocol/server-everything")]
    pub name: String,
    /// Optional parts of a Python package.
    pub extras: Vec<String>,
    /// Exactly which version.
    #[schema(example = "2026.7.4")]
    pub version: String,
    /// Whether its own scripts ran at installation.
    pub scripts: bool,
    /// The package's own hash, as its registry tells it.
    pub integrity: String,
    /// SHA-256 over all of its files, in hex.
    pub digest: String,
    /// All files together, with those of the packages that it needs.
    pub bytes: u64,
    /// How many files and folders.
    pub files: u64,
    /// When it was installed, RFC 3339.
    pub installed_at: String,
    /// The types that name it.
    pub types: Vec<TypeName>,
    /// Instances that live of it, of everybody.
    pub live_instances: u64,
    /// Whether the next cleaning removes it.
    pub removable: bool,
    /// Why it stays: `type`, `instances`, `unknown_instances` (some live that were launched by a service which did not write
    /// down with what), `recent`, `in_use` (a launch or an import uses it this moment) or `failed`; null when it does not.
    pub kept_because: Option<&'static str>,
    /// When it was needed last, RFC 3339; null when it is now.
    pub unneeded_since: Option<String>,
    /// When it may go by itself, RFC 3339; null while it is needed.
    pub removable_at: Option<String>,
}

/// A type by its names.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct TypeName {
    /// Its id.
    pub id: String,
    /// What a launch names.
    #[schema(example = "time")]
    pub name: String,
}

/// What is to be removed.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CleanBody {
    /// Only look: true unless you say false.
    pub dry_run: Option<bool>,
    /// Also what was needed not long ago.
    pub all_unused: Option<bool>,
}

/// What went, or would.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct CleanedPackages {
    /// Whether it was only looked at.
    pub dry_run: bool,
    /// What went, or would.
    pub removed: Vec<Package>,
    /// All its files together.
    pub bytes: u64,
    /// What was to go and stayed, each with why.
    pub skipped: Vec<Package>,
    /// How many stay.
    pub left: usize,
}

/// An installed version of a type's package.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct TypeVersion {
    /// Exactly which.
    #[schema(example = "2026.7.4")]
    pub version: String,
    /// SHA-256 over all of its files, in hex.
    pub digest: String,
    /// When it was installed, RFC 3339.
    pub installed_at: String,
    /// Whether launches use it.
    pub is_current: bool,
    /// Instances that live of it, of everybody.
    pub live_instances: u64,
    /// When it may go by itself, RFC 3339; null while it is needed.
    pub removable_at: Option<String>,
}

impl Package {
    pub(crate) fn new(report: PackageReport) -> Self {
        let (manager, stored) = (report.stored.manager_word(), report.stored);
        Self {
            manager,
            name: stored.name,
            extras: stored.extras,
            version: stored.installed.version,
            scripts: stored.scripts,
            integrity: stored.installed.integrity,
            digest: stored.installed.digest,
            bytes: stored.installed.bytes,
            files: stored.installed.files,
            installed_at: rfc3339(report.installed_at),
            types: report.types.into_iter().map(|(id, name)| TypeName { id: id.to_string(), name }).collect(),
            live_instances: report.live,
            removable: report.kept.is_none(),
            kept_because: report.kept.map(Kept::as_str),
            unneeded_since: report.unneeded_since.map(rfc3339),
            removable_at: report.goes_at.map(rfc3339),
        }
    }
}

impl CleanedPackages {
    pub(crate) fn new(dry_run: bool, cleaned: Cleaned) -> Self {
        Self {
            dry_run,
            bytes: cleaned.removed.iter().map(|report| report.stored.installed.bytes).sum(),
            removed: cleaned.removed.into_iter().map(Package::new).collect(),
            skipped: cleaned.skipped.into_iter().map(Package::new).collect(),
            left: cleaned.left,
        }
    }
}

impl TypeVersion {
    pub(crate) fn new(version: roadstead_orchestrator::TypeVersion) -> Self {
        Self {
            version: version.version,
            digest: version.digest,
            installed_at: rfc3339(version.installed_at),
            is_current: version.is_current,
            live_instances: version.live,
            removable_at: version.goes_at.map(rfc3339),
        }
    }
}
