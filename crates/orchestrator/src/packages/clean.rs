//! Cleaning the package store.
//!
//! ```text
//! unneeded, and its time is over ─► claimed: nobody can begin to use it ─► asked again who needs it
//!     ─► written down ─► out of its place, in one step ─► files removed
//! ```
//! Asked only before the claim, somebody could move a type back to a package between the question and its end; asked only
//! after it, everything that is used would be claimed, and launches would wait. The entry comes before the deed, which no
//! transaction can hold: that something was to go and did not is seen in the list; that it went unwritten would not be.

use roadstead_access::AdminPermit;
use roadstead_accounts::AccountsError;
use roadstead_model::{Audited, Care, Changes, NewAudit, Operation, retention};
use roadstead_packages::{Claim, InstallError, Outgoing, PackageStore};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{Kept, PackageReport, blocking, tell};
use crate::parts::{Inner, Orchestrator};

/// What is to be cleaned away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CleanRequest {
    /// Whether to tell what would go, and remove nothing.
    pub dry_run: bool,
    /// Whether what was needed not long ago goes, too.
    pub all_unused: bool,
}

/// What went, or would.
#[derive(Debug)]
pub struct Cleaned {
    /// Packages that went.
    pub removed: Vec<PackageReport>,
    /// Packages that were to go, and stayed.
    pub skipped: Vec<PackageReport>,
    /// How many are there still.
    pub left: usize,
}

struct Going(Value);

impl Audited for Going {
    fn fields(&self) -> Vec<(&'static str, Value, Care)> {
        vec![("removed", self.0.clone(), Care::Plain)]
    }
}

impl Orchestrator {
    /// Removes packages that nothing needs.
    pub async fn clean_packages(
        &self,
        permit: &AdminPermit,
        request: CleanRequest,
    ) -> Result<Cleaned, AccountsError> {
        self.0.clean_packages(Some(permit), request).await
    }

    /// Keeps in mind what is needed, and cleans once a day.
    pub async fn look_after_packages(&self) -> Result<(), AccountsError> {
        self.0.say_what_lives().await?;
        self.0.note_what_is_needed().await?;
        let (now, packages) = (self.0.now(), &self.0.parts.packages);
        let last = packages.cleaned_at().map(OffsetDateTime::from);
        if retention::is_due(last, now) {
            self.0.clean_packages(None, CleanRequest::default()).await?;
            packages.mark_cleaned(now.into()).unwrap_or_else(|error| tell(".cleaned", &error));
        }
        Ok(())
    }
}

impl Inner {
    /// Instances that were launched by a service which did not write down with what: known where their type is still the same.
    async fn say_what_lives(&self) -> Result<(), AccountsError> {
        let unsaid = self.store().packages().live().await?.unsaid;
        if unsaid.is_empty() {
            return Ok(());
        }
        for definition in self.store().packages().definitions().await? {
            if unsaid.contains(&(definition.id, definition.version)) {
                let places = self.places_in(&definition.spec);
                self.store().packages().say(definition.id, definition.version, &places).await?;
            }
        }
        Ok(())
    }

    async fn note_what_is_needed(&self) -> Result<(), AccountsError> {
        let reports = self.package_reports().await?;
        let packages = self.parts.packages.clone();
        let is_to_be_marked = |report: &&PackageReport| {
            report.unneeded_since.is_none() || packages.used_at(&report.stored).is_none()
        };
        self.mark_packages(reports.iter().filter(is_to_be_marked).map(|report| report.stored.place.as_str()));
        Ok(())
    }

    async fn clean_packages(
        &self,
        permit: Option<&AdminPermit>,
        request: CleanRequest,
    ) -> Result<Cleaned, AccountsError> {
        let (going, staying): (Vec<_>, Vec<_>) =
            self.package_reports().await?.into_iter().partition(|report| match report.kept {
                None => true,
                Some(why) => why == Kept::Recent && request.all_unused,
            });
        let mut left = staying.len();
        if request.dry_run {
            return Ok(Cleaned { removed: going, skipped: Vec::new(), left });
        }
        let (claimed, mut skipped) = self.claimed(going).await?;
        let mut removed = Vec::with_capacity(claimed.len());
        // That somebody asked is written down, too, where there turned out to be nothing.
        if !claimed.is_empty() || permit.is_some() {
            self.write_clean(permit, &claimed).await?;
            let packages = self.parts.packages.clone();
            for (report, gone) in blocking(move || take_away(&packages, claimed)).await {
                if gone { removed.push(report) } else { skipped.push(report) }
            }
        }
        left += skipped.len();
        self.tell_cleaned(&removed, &skipped).await;
        Ok(Cleaned { removed, skipped, left })
    }

    /// Those that nobody can begin to use, and nobody needs.
    async fn claimed(
        &self,
        going: Vec<PackageReport>,
    ) -> Result<(Vec<(PackageReport, Claim)>, Vec<PackageReport>), AccountsError> {
        let packages = self.parts.packages.clone();
        let asked = blocking(move || {
            let claim = |report: PackageReport| {
                let claim = packages.claim(report.stored.clone());
                (report, claim)
            };
            going.into_iter().map(claim).collect::<Vec<_>>()
        })
        .await;
        // Whoever used one before it was claimed has written down by now that it is needed.
        let (needs, _) = self.package_needs().await?;
        let (mut claimed, mut skipped) = (Vec::new(), Vec::new());
        for (mut report, claim) in asked {
            let why = match claim {
                Ok(Some(claim)) => match needs.of(&report.stored.place) {
                    None => {
                        claimed.push((report, claim));
                        continue;
                    }
                    Some(why) => why,
                },
                Ok(None) => Kept::InUse,
                Err(error) => {
                    tell(&report.stored.place, &error);
                    Kept::Failed
                }
            };
            report.kept = Some(why);
            skipped.push(report);
        }
        Ok((claimed, skipped))
    }

    async fn write_clean(
        &self,
        permit: Option<&AdminPermit>,
        claimed: &[(PackageReport, Claim)],
    ) -> Result<(), AccountsError> {
        let names: Vec<_> = claimed.iter().map(|(report, _)| named(report)).collect();
        let (changes, now) = (Changes::created(&Going(json!(names))), self.now());
        let entry = match permit {
            Some(permit) => permit.entry(&"packages", changes, now),
            None => NewAudit { changes, ..NewAudit::by_system(Operation::PackagesClean.action(), now) },
        };
        Ok(self.store().system_change().await?.commit(&entry).await?)
    }

    async fn tell_cleaned(&self, removed: &[PackageReport], skipped: &[PackageReport]) {
        let has_failed = skipped.iter().any(|report| report.kept == Some(Kept::Failed));
        if removed.is_empty() && !has_failed {
            return;
        }
        let bytes: u64 = removed.iter().map(|report| report.stored.installed.bytes).sum();
        let named = |reports: &[PackageReport]| reports.iter().map(named).collect::<Vec<_>>();
        let context = json!({ "removed": named(removed), "bytes": bytes, "stayed": named(skipped) });
        let (severity, name) = if has_failed {
            ("warning", "installed packages could not be removed")
        } else {
            ("info", "installed packages that nothing needs were removed")
        };
        tracing::info!(
            removed = removed.len(),
            bytes,
            stayed = skipped.len(),
            "installed packages were cleaned"
        );
        self.parts.accounts.tell_system("packages.cleaned", severity, name, context).await;
    }
}

fn named(report: &PackageReport) -> Value {
    let stored = &report.stored;
    json!({ "package": stored.to_string(), "digest": stored.installed.digest, "bytes": stored.installed.bytes })
}

/// First all out of their places, which lets whoever waits go on; then their files.
fn take_away(packages: &PackageStore, claimed: Vec<(PackageReport, Claim)>) -> Vec<(PackageReport, bool)> {
    let out = |(report, claim): (PackageReport, Claim)| (report, packages.take_out(claim));
    let out: Vec<(PackageReport, Result<Outgoing, InstallError>)> = claimed.into_iter().map(out).collect();
    let done = |(mut report, outgoing): (PackageReport, Result<Outgoing, InstallError>)| match outgoing {
        Ok(outgoing) => {
            // Out of its place it is gone, whether or not all of its files are.
            if let Err(error) = outgoing.remove() {
                tell(&report.stored.place, &error);
            }
            (report, true)
        }
        Err(error) => {
            tell(&report.stored.place, &error);
            report.kept = Some(Kept::Failed);
            (report, false)
        }
    };
    out.into_iter().map(done).collect()
}
