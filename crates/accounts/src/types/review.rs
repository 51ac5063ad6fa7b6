//! What is decided about server types, and what their servers offer: read by the service, accepted by an approval, compared ever
//! after.
//!
//! ```text
//! draft ── submit ──► pending ── approve ──► approved ── disable ──► deprecated
//!    └──── approve ───────────── reject ──► rejected         (submit or approve leads back from each)
//! ```

use std::collections::BTreeMap;

use roadstead_access::{AdminPermit, Permit, TypeReadPermit};
use roadstead_catalog::import::suspicion::Finding;
use roadstead_catalog::{Differences, Offer};
use roadstead_model::{Actor, Changes, NewAudit, ProjectId, ReviewId, RiskLevel, TypeId, TypeStatus};
use roadstead_store::{Cursor, Db, ManifestRow, Page, ReviewRow, ToolRow, TypeReviews, TypeRow};
use serde_json::json;
use time::OffsetDateTime;

use super::{Begin, find, the};
use crate::{Accounts, AccountsError};

/// Tools of other types with which the names of one are compared.
const MAX_OTHER_TOOLS: u32 = 5_000;
/// Characters of a reason, as the table takes them.
const MAX_REASON_CHARS: usize = 1_000;
/// Names that one message tells of.
const MAX_NAMES_TOLD: usize = 5;

/// What to decide about a type.
#[derive(Debug, Clone)]
pub struct Decision {
    /// What it is to be.
    pub status: TypeStatus,
    /// Why.
    pub reason: Option<String>,
    /// The version that was read.
    pub expected: Option<i32>,
    /// Whether grave findings were looked at, and are no reason against it.
    pub accept_findings: bool,
}

/// What the servers of a type offer, and what was thought of it.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// As it is kept.
    pub row: ManifestRow,
    /// How the tools differ from those that were approved; none where none were yet.
    pub differences: Option<Differences>,
    /// What platform admins said of tools.
    pub tools: Vec<ToolRow>,
}

/// What came of asking a type's servers.
#[derive(Debug, Clone)]
pub struct Offered {
    /// The type, which may have another status now.
    pub row: TypeRow,
    /// What they offer.
    pub manifest: Manifest,
}

/// What to say of a tool; what is not given stays.
#[derive(Debug, Clone, Default)]
pub struct ToolSet {
    /// How much harm it can do.
    pub risk: Option<RiskLevel>,
    /// What else there is to say.
    pub notes: Option<String>,
    /// Whether clients see it, and may call it.
    pub enabled: Option<bool>,
}

impl Accounts {
    /// The status that a new type begins with.
    pub(super) async fn first_status(
        &self,
        begin: Begin,
        project: Option<ProjectId>,
    ) -> Result<TypeStatus, AccountsError> {
        match begin {
            Begin::Approved => return Ok(TypeStatus::Approved),
            Begin::Draft => return Ok(TypeStatus::Draft),
            Begin::AsSet => {}
        }
        let waits = self.known_settings().types_wait || self.organization_asks(project).await?;
        Ok(if waits { TypeStatus::Pending } else { TypeStatus::Approved })
    }

    /// Whether the organisation of a project wants each of its types approved.
    async fn organization_asks(&self, project: Option<ProjectId>) -> Result<bool, AccountsError> {
        let Some(project) = project else { return Ok(false) };
        let store = self.store();
        // One that is missing is found out by whoever writes the row.
        let Some(project) = store.projects().get(project, None).await? else { return Ok(false) };
        let organization = store.organizations().get(project.organization, None).await?;
        Ok(organization.is_some_and(|one| one.settings["require_mcp_approval"] == json!(true)))
    }

    /// The decision that a type's row shows.
    pub(super) fn review(&self, row: &TypeRow, actor: &Actor, at: OffsetDateTime) -> ReviewRow {
        ReviewRow {
            id: ReviewId::new(&*self.0.clock, &mut *self.0.randomness.lock()),
            type_id: row.id,
            at,
            version: row.version,
            status: row.status,
            reason: row.status_reason.clone(),
            user: actor.user,
            api_key: actor.api_key,
        }
    }

    /// Decides about a type; instances that run go on. To decide what was decided already changes nothing.
    pub async fn decide_type(
        &self,
        permit: &AdminPermit,
        named: &str,
        decision: Decision,
    ) -> Result<TypeRow, AccountsError> {
        let before = find(&mut self.store().types(), named, permit.project()).await?;
        self.decide(permit, before.id, decision).await
    }

    pub(super) async fn decide(
        &self,
        permit: &Permit,
        id: TypeId,
        decision: Decision,
    ) -> Result<TypeRow, AccountsError> {
        let reason = reason(&decision)?;
        let at = self.now();
        let mut change = self.store().system_change().await?;
        let before = the(&mut change.types(), id).await?;
        if let Some(expected) = decision.expected.filter(|expected| *expected != before.version) {
            change.nothing_changed().await?;
            return Err(AccountsError::StaleVersion { expected });
        }
        possible(before.status, decision.status)?;
        let manifest = change.type_reviews().manifest(before.id).await?;
        let manifest = manifest.filter(|manifest| manifest.type_version == before.version);
        if decision.status == TypeStatus::Approved
            && let Some(manifest) = &manifest
        {
            looked_at(manifest, decision.accept_findings)?;
        }
        change
            .types()
            .decide(before.id, Some(before.version), decision.status, &reason)
            .await?
            .ok_or(AccountsError::StaleVersion { expected: before.version })?;
        let after = the(&mut change.types(), before.id).await?;
        change.type_reviews().append(&self.review(&after, permit.actor(), at)).await?;
        if decision.status == TypeStatus::Approved
            && let Some(manifest) = manifest
        {
            let hashes = json!(offer_of(&manifest)?.hashes());
            if !change.type_reviews().accept(before.id, &manifest.tools_hash, &hashes).await? {
                // Its servers were asked again meanwhile, and nobody has looked at that.
                change.nothing_changed().await?;
                return Err(AccountsError::StaleVersion { expected: before.version });
            }
        }
        change.commit(&permit.entry(&before.id, Changes::between(&before, &after), at)).await?;
        Ok(after)
    }

    /// What was decided about a type, the newest first.
    pub async fn type_history(
        &self,
        permit: &TypeReadPermit,
        named: &str,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<ReviewRow>, AccountsError> {
        let row = self.type_named(permit, named).await?;
        Ok(self.store().type_reviews().list(row.id, after, limit).await?)
    }

    /// What the servers of a type were found to offer.
    pub async fn type_manifest(
        &self,
        permit: &TypeReadPermit,
        named: &str,
    ) -> Result<(TypeRow, Manifest), AccountsError> {
        let row = self.type_named(permit, named).await?;
        let found = read(&mut self.store().type_reviews(), &row).await?;
        let found = found.ok_or(AccountsError::NotFound {
            what: "manifest: nobody has asked a server of this type what it offers; a platform admin does so with \
                   `POST /types/{id}/inspect`",
        })?;
        Ok((row, found))
    }

    /// Says what is thought of a tool.
    pub async fn set_tool(
        &self,
        permit: &AdminPermit,
        named: &str,
        tool: &str,
        set: ToolSet,
    ) -> Result<ToolRow, AccountsError> {
        let at = self.now();
        let mut change = self.store().system_change().await?;
        let row = find(&mut change.types(), named, permit.project()).await?;
        let manifest = change.type_reviews().manifest(row.id).await?;
        let offered = manifest.map(|manifest| offer_of(&manifest)).transpose()?.unwrap_or_default();
        if !offered.tools.iter().any(|one| one.name == tool) {
            return Err(AccountsError::NotFound { what: "tool in what the servers of this type offer" });
        }
        let known = change.type_reviews().tools(row.id).await?;
        let before = known.into_iter().find(|one| one.name == tool).unwrap_or_else(|| ToolRow {
            type_id: row.id,
            name: tool.to_owned(),
            risk: RiskLevel::default(),
            notes: String::new(),
            enabled: true,
        });
        let after = ToolRow {
            risk: set.risk.unwrap_or(before.risk),
            notes: set.notes.unwrap_or_else(|| before.notes.clone()),
            enabled: set.enabled.unwrap_or(before.enabled),
            ..before.clone()
        };
        change.type_reviews().set_tool(&after, at).await?;
        let changes = Changes::between(&before, &after).with("tool", None, &json!(tool));
        change.commit(&permit.entry(&row.id, changes, at)).await?;
        Ok(after)
    }

    /// Keeps what a type's servers were found to offer, with what a scanner said of it. What an approved type offers the first
    /// time is taken for approved; what differs from that later is told, and, if the setting says so, the type is launched no more
    /// until it is approved again.
    pub async fn keep_manifest(
        &self,
        row: &TypeRow,
        offered: Offer,
        scanned: Vec<Finding>,
    ) -> Result<Offered, AccountsError> {
        let offered = offered.sealed();
        let others = self.store().type_reviews().other_tools(row.id, MAX_OTHER_TOOLS).await?;
        let mut findings = offered.findings(&others);
        findings.extend(scanned);
        let is_approved = row.status == TypeStatus::Approved;
        let mut manifest = ManifestRow {
            type_id: row.id,
            type_version: row.version,
            read_at: self.now(),
            tools_hash: offered.tools_hash(),
            findings: json!(findings),
            // Where an approval took others before, those stay.
            accepted: is_approved.then(|| json!(offered.hashes())),
            content: json!(offered),
            differing: None,
        };
        manifest.accepted = self.store().type_reviews().keep_manifest(&manifest).await?;
        let differences = differences(&manifest, &offered);
        let changed = differences.as_ref().is_some_and(|found| !found.is_empty());
        let row = match differences.as_ref().filter(|_| changed && is_approved) {
            Some(found) => {
                let sets_aside = self.known_settings().refuses_changed_tools;
                self.tools_changed(row, found, sets_aside).await?
            }
            None => row.clone(),
        };
        let tools = self.store().type_reviews().tools(row.id).await?;
        Ok(Offered { manifest: Manifest { row: manifest, differences, tools }, row })
    }

    /// Tells of an approved type whose tools are others now, and sets it aside where that is wanted.
    pub(super) async fn tools_changed(
        &self,
        row: &TypeRow,
        found: &Differences,
        sets_aside: bool,
    ) -> Result<TypeRow, AccountsError> {
        let at = self.now();
        let context = json!({"type_id": row.id.to_string(), "type": row.name, "differences": found,
            "refused": sets_aside});
        let name = format!("the tools of {} are others than those that were approved", row.name);
        self.tell_system("type.tools_changed", "warning", name, context).await;
        if !sets_aside {
            return Ok(row.clone());
        }
        let reason = told(found);
        let mut change = self.store().system_change().await?;
        let decided = change.types().decide(row.id, Some(row.version), TypeStatus::Pending, &reason).await?;
        if decided.is_none() {
            change.nothing_changed().await?;
            return Err(AccountsError::StaleVersion { expected: row.version });
        }
        let after = the(&mut change.types(), row.id).await?;
        change.type_reviews().append(&self.review(&after, &Actor::SYSTEM, at)).await?;
        let mut entry = NewAudit::by_system("type.set_aside", at);
        entry.resource_id = Some(row.id.to_string());
        entry.changes = Changes::between(row, &after);
        change.commit(&entry).await?;
        Ok(after)
    }
}

fn reason(decision: &Decision) -> Result<String, AccountsError> {
    let reason = decision.reason.clone().unwrap_or_default();
    let wrong = |message: &str| Err(AccountsError::Invalid(vec![("reason".to_owned(), message.to_owned())]));
    if decision.status == TypeStatus::Rejected && reason.is_empty() {
        return wrong("is required: whoever made it has to know what to change");
    }
    if reason.chars().count() > MAX_REASON_CHARS || reason.contains('\0') {
        return wrong("has at most 1,000 characters, and no U+0000");
    }
    Ok(reason)
}

/// Whether one status may follow another.
fn possible(from: TypeStatus, to: TypeStatus) -> Result<(), AccountsError> {
    use TypeStatus::{Approved, Deprecated, Draft, Pending, Rejected};

    let may = match to {
        Pending => matches!(from, Draft | Rejected | Deprecated),
        // Once more is how tools are taken that are others now.
        Approved | Deprecated => true,
        Rejected => matches!(from, Draft | Pending),
        Draft => false,
    };
    if may { Ok(()) } else { Err(AccountsError::Undecidable { from, to }) }
}

/// Grave findings stop an approval until it says that they were looked at.
fn looked_at(manifest: &ManifestRow, accepted: bool) -> Result<(), AccountsError> {
    let grave: Vec<String> = manifest
        .findings
        .as_array()
        .into_iter()
        .flatten()
        .filter(|finding| finding["severity"] == json!("high"))
        .map(|finding| {
            let text = |key: &str| finding[key].as_str().unwrap_or_default();
            format!("{}, {}: {}", text("tool"), text("field"), text("excerpt"))
        })
        .collect();
    if accepted || grave.is_empty() { Ok(()) } else { Err(AccountsError::Suspicious(grave)) }
}

async fn read<D: Db>(reviews: &mut TypeReviews<D>, row: &TypeRow) -> Result<Option<Manifest>, AccountsError> {
    let Some(manifest) = reviews.manifest(row.id).await? else { return Ok(None) };
    let differences = differences(&manifest, &offer_of(&manifest)?);
    let tools = reviews.tools(row.id).await?;
    Ok(Some(Manifest { row: manifest, differences, tools }))
}

fn differences(manifest: &ManifestRow, offered: &Offer) -> Option<Differences> {
    let accepted: BTreeMap<String, String> = serde_json::from_value(manifest.accepted.clone()?).ok()?;
    Some(offered.differences(&accepted))
}

fn offer_of(manifest: &ManifestRow) -> Result<Offer, AccountsError> {
    serde_json::from_value::<Offer>(manifest.content.clone())
        .map_err(|error| AccountsError::Invalid(vec![("manifest".to_owned(), error.to_string())]))
}

/// Differences in a sentence.
fn told(found: &Differences) -> String {
    let part = |what: &str, names: &[String]| {
        let more = if names.len() > MAX_NAMES_TOLD { ", …" } else { "" };
        let shown = names.iter().take(MAX_NAMES_TOLD).map(|name| name.chars().take(64).collect::<String>());
        (!names.is_empty()).then(|| format!("{what}: {}{more}", shown.collect::<Vec<_>>().join(", ")))
    };
    let parts = [part("new", &found.added), part("changed", &found.changed), part("gone", &found.removed)];
    format!(
        "its tools are others than those that were approved; {}",
        parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
    )
}
