//! The versions of a type's package that are on the disk: the way to each takes no time.

use roadstead_access::AdminPermit;
use roadstead_accounts::AccountsError;
use roadstead_accounts::types::spec_of;
use time::OffsetDateTime;

use super::PackageReport;
use crate::import::manager_word;
use crate::parts::Orchestrator;

/// A version of a type's package.
#[derive(Debug, Clone)]
pub struct TypeVersion {
    /// Exactly which.
    pub version: String,
    /// SHA-256 over all of its files, in hex.
    pub digest: String,
    /// When it was installed.
    pub installed_at: OffsetDateTime,
    /// Whether the type launches it.
    pub is_current: bool,
    /// The instances that live of it.
    pub live: u64,
    /// When it may go by itself; none while it is needed.
    pub goes_at: Option<OffsetDateTime>,
}

impl Orchestrator {
    /// The versions of a type's package that are installed, the newest installation first; none where the type is of no
    /// package.
    pub async fn type_versions(
        &self,
        permit: &AdminPermit,
        named: &str,
    ) -> Result<Vec<TypeVersion>, AccountsError> {
        let row = self.0.parts.accounts.type_for_change(permit, named).await?;
        let Some(used) = spec_of(&row)?.package else { return Ok(Vec::new()) };
        let is_of_it = |report: &PackageReport| {
            let stored = &report.stored;
            manager_word(stored.manager) == used.manager
                && stored.name == used.name
                && stored.extras == used.extras
                && stored.scripts == used.scripts
        };
        let reports = self.0.package_reports().await?.into_iter().filter(is_of_it);
        let mut versions: Vec<_> = reports
            .map(|report| TypeVersion {
                is_current: report.stored.tree.to_str() == Some(&used.tree),
                version: report.stored.installed.version,
                digest: report.stored.installed.digest,
                installed_at: report.installed_at,
                live: report.live,
                goes_at: report.goes_at,
            })
            .collect();
        versions.sort_by_key(|version| std::cmp::Reverse(version.installed_at));
        Ok(versions)
    }
}
