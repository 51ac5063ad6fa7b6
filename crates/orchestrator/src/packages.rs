//! The installed packages of this machine: what is there, who needs it, and what may go.
//!
//! ```text
//! needed   a type's definition names it, or an instance lives that was launched with it
//! unneeded ─► packages.keep_unused_days after it was needed last ─► cleaned away (clean.rs)
//! ```
//! What is about to be needed is held by whoever is about to need it: an import until its type is written down
//! (import.rs), a launch until its row is (launch/made_of.rs).

mod clean;
mod versions;

use std::collections::BTreeMap;

use roadstead_access::AdminPermit;
use roadstead_accounts::AccountsError;
use roadstead_model::TypeId;
use roadstead_packages::{InstallError, Stored};
use roadstead_store::{Definition, StoreError};
use serde_json::Value;
use time::OffsetDateTime;

use crate::parts::{Inner, Orchestrator};
pub use clean::{CleanRequest, Cleaned};
pub use versions::TypeVersion;

/// A package of the store, and why it stays.
#[derive(Debug, Clone)]
pub struct PackageReport {
    /// What was installed.
    pub stored: Stored,
    /// When.
    pub installed_at: OffsetDateTime,
    /// When it was needed last; none when it is now.
    pub unneeded_since: Option<OffsetDateTime>,
    /// The types that name it: id and name.
    pub types: Vec<(TypeId, String)>,
    /// The instances that live of it.
    pub live: u64,
    /// Why it stays; none when it goes with the next cleaning.
    pub kept: Option<Kept>,
    /// When it may go by itself, if nothing needs it until then.
    pub goes_at: Option<OffsetDateTime>,
}

/// Why a package stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// A type's definition names it.
    Type,
    /// Instances live that were launched with it.
    Instances,
    /// Instances live of which nobody knows what they were launched with.
    Unknown,
    /// It was needed not long ago: the way back to it takes no time.
    Recent,
    /// A launch or an import uses it this moment.
    InUse,
    /// Its files could not be removed.
    Failed,
}

impl Kept {
    /// One word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Instances => "instances",
            Self::Unknown => "unknown_instances",
            Self::Recent => "recent",
            Self::InUse => "in_use",
            Self::Failed => "failed",
        }
    }
}

/// Who needs what, as rows say it at one moment.
#[derive(Debug, Default)]
struct Needs {
    types: BTreeMap<String, Vec<(TypeId, String)>>,
    live: BTreeMap<String, u64>,
    /// Whether instances live that do not say what they were launched with.
    has_unknown: bool,
}

impl Needs {
    /// Who needs a package.
    fn of(&self, place: &str) -> Option<Kept> {
        if self.types.contains_key(place) {
            Some(Kept::Type)
        } else if self.live.contains_key(place) {
            Some(Kept::Instances)
        } else {
            self.has_unknown.then_some(Kept::Unknown)
        }
    }
}

impl Orchestrator {
    /// Every installed package.
    pub async fn packages(&self, _permit: &AdminPermit) -> Result<Vec<PackageReport>, AccountsError> {
        self.0.package_reports().await
    }
}

impl Inner {
    /// Every package with who needs it. Types are read before instances: a type that was just moved away from a package leaves
    /// instances of it behind, and none that begins after it was read.
    async fn package_needs(&self) -> Result<(Needs, Vec<Definition>), StoreError> {
        let definitions = self.store().packages().definitions().await?;
        let live = self.store().packages().live().await?;
        let mut types: BTreeMap<String, Vec<(TypeId, String)>> = BTreeMap::new();
        for definition in &definitions {
            for place in self.places_in(&definition.spec) {
                types.entry(place).or_default().push((definition.id, definition.name.clone()));
            }
        }
        let has_unknown = !live.unsaid.is_empty();
        Ok((Needs { types, live: live.by_place, has_unknown }, definitions))
    }

    async fn package_reports(&self) -> Result<Vec<PackageReport>, AccountsError> {
        let packages = self.parts.packages.clone();
        let read = move || {
            let with_times = |stored: Stored| {
                let (installed, used) = (packages.installed_at(&stored), packages.used_at(&stored));
                (stored, installed, used)
            };
            packages.all().into_iter().map(with_times).collect::<Vec<_>>()
        };
        let all = blocking(read).await;
        let (needs, _) = self.package_needs().await.map_err(AccountsError::Store)?;
        let (now, grace) = (self.now(), self.settings().keep_packages);
        let mut reports: Vec<_> = all
            .into_iter()
            .map(|(stored, installed, used)| {
                let needed = needs.of(&stored.place);
                let installed_at = installed.map_or(now, OffsetDateTime::from);
                // What nobody has looked at yet begins its time now.
                let used_at = used.map_or(now, OffsetDateTime::from).max(installed_at);
                let goes_at = needed.is_none().then(|| used_at + grace);
                let recent = goes_at.is_some_and(|at| at > now).then_some(Kept::Recent);
                PackageReport {
                    installed_at,
                    unneeded_since: needed.is_none().then_some(used_at),
                    types: needs.types.get(&stored.place).cloned().unwrap_or_default(),
                    live: needs.live.get(&stored.place).copied().unwrap_or_default(),
                    kept: needed.or(recent),
                    goes_at,
                    stored,
                }
            })
            .collect();
        reports.sort_by(|a, b| a.stored.place.cmp(&b.stored.place));
        Ok(reports)
    }

    /// The places of the packages that a definition names, anywhere in it.
    pub(crate) fn places_in(&self, spec: &Value) -> Vec<String> {
        let mut texts = Vec::new();
        collect(spec, &mut texts);
        self.parts.packages.places_in(texts).into_iter().collect()
    }

    /// Says that packages are needed now, so that their time begins when they are not any more.
    pub(crate) fn mark_packages<'a>(&self, places: impl IntoIterator<Item = &'a str>) {
        let now = self.now().into();
        for place in places {
            if let Err(error) = self.parts.packages.mark_used(place, now) {
                tell(place, &error);
            }
        }
    }
}

fn tell(place: &str, error: &InstallError) {
    tracing::warn!(
        package = place,
        error = error as &dyn std::error::Error,
        "a package could not be looked after"
    );
}

fn collect<'a>(value: &'a Value, texts: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => texts.push(text),
        Value::Array(items) => items.iter().for_each(|item| collect(item, texts)),
        Value::Object(map) => {
            for (name, item) in map {
                texts.push(name);
                collect(item, texts);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Work of the disk, beside the tasks that wait for others.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_texts_of_a_definition_are_looked_at() {
        let spec = json!({"args": ["a", {"b": "c"}], "env": {"PATH": "d"}, "n": 1, "z": null});
        let mut texts = Vec::new();
        collect(&spec, &mut texts);
        texts.sort_unstable();
        assert_eq!(texts, ["PATH", "a", "args", "b", "c", "d", "env", "n", "z"]);
    }

    #[test]
    fn what_a_type_or_an_instance_needs_stays_and_so_does_all_while_one_is_unknown() {
        let mut needs = Needs::default();
        assert_eq!(needs.of("a"), None);
        needs.live.insert("a".to_owned(), 1);
        needs.types.insert("b".to_owned(), Vec::new());
        assert_eq!(
            (needs.of("a"), needs.of("b"), needs.of("c")),
            (Some(Kept::Instances), Some(Kept::Type), None)
        );
        needs.has_unknown = true;
        assert_eq!(needs.of("c"), Some(Kept::Unknown));
    }
}
