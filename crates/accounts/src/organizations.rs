//! Organisations: made by anybody, changed by their owners and admins, suspended by platform admins.

use roadstead_access::{Permit, RuleBroken};
use roadstead_model::json::whole;
use roadstead_model::{
    Changes, NewAudit, OrganizationId, OrganizationStatus, ProjectId, ProjectStatus, UserId, View,
};
use roadstead_store::{NewOrganization, OrganizationRow, Page, PageRequest};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use crate::{Accounts, AccountsError};

/// What an organisation's own quotas may say.
pub const ORGANIZATION_QUOTAS: &[&str] = &["max_instances", "max_memory_mb", "max_cpu_percent"];
/// What a project's own quotas may say.
pub const PROJECT_QUOTAS: &[&str] = &["max_requests_per_minute"];
/// The largest number that a quota may be.
const LARGEST_QUOTA: u64 = 1_000_000_000;

/// What is to become different of an organisation. What is none stays; a none within empties the field.
#[derive(Debug, Default)]
pub struct OrganizationPatch {
    /// For people.
    pub name: Option<String>,
    /// Unique: for programs and addresses.
    pub slug: Option<String>,
    /// Where bills go.
    pub billing_email: Option<Option<String>>,
    /// Whom its members ask.
    pub support_email: Option<Option<String>>,
    /// The domains of the addresses that members may have.
    pub allowed_email_domains: Option<Vec<String>>,
    /// Its own settings, all of them.
    pub settings: Option<Map<String, Value>>,
}

impl Accounts {
    /// The organisations that the caller takes part in, or all.
    pub async fn organizations(
        &self,
        permit: &Permit,
        page: PageRequest,
    ) -> Result<Page<OrganizationRow>, AccountsError> {
        let seen = self.store().seen_by(permit.view());
        Ok(seen.organizations().list(member(permit.view()), page).await?)
    }

    /// One of them.
    pub async fn organization(
        &self,
        permit: &Permit,
        id: OrganizationId,
    ) -> Result<OrganizationRow, AccountsError> {
        let seen = self.store().seen_by(permit.view());
        seen.organizations().get(id, member(permit.view())).await?.ok_or(MISSING)
    }

    /// Makes an organisation; whoever asks owns it. It begins with one project.
    pub async fn create_organization(
        &self,
        permit: &Permit,
        name: String,
        slug: Option<String>,
    ) -> Result<OrganizationRow, AccountsError> {
        let new = {
            let (clock, mut rng) = (&*self.0.clock, self.0.randomness.lock());
            let id = OrganizationId::new(clock, &mut *rng);
            NewOrganization {
                id,
                slug: slug.unwrap_or_else(|| slug_of(&name, &id.to_string())),
                name,
                project: ProjectId::new(clock, &mut *rng),
                owner: permit.user(),
                at: clock.now(),
            }
        };
        // As the service: whoever makes it is a member only afterwards.
        let mut change = self.store().system_change().await?;
        change.organizations().create(&new).await?;
        let made = change.organizations().get(new.id, None).await?.ok_or(MISSING)?;
        change.commit(&entry(permit, new.id, &new.id, Changes::created(&made), new.at)).await?;
        Ok(made)
    }

    /// Changes what members see of an organisation.
    pub async fn patch_organization(
        &self,
        permit: &Permit,
        id: OrganizationId,
        expected: Option<i32>,
        patch: OrganizationPatch,
    ) -> Result<OrganizationRow, AccountsError> {
        self.change_organization(permit, id, expected, |row| {
            let OrganizationPatch {
                name,
                slug,
                billing_email,
                support_email,
                allowed_email_domains,
                settings,
            } = patch;
            set(&mut row.name, name);
            set(&mut row.slug, slug);
            set(&mut row.billing_email, billing_email);
            set(&mut row.support_email, support_email);
            set(&mut row.allowed_email_domains, allowed_email_domains);
            set(&mut row.settings, settings.map(Value::Object));
            Ok(())
        })
        .await
    }

    /// Replaces an organisation's own quotas. What they do not name is the platform's.
    pub async fn set_organization_quotas(
        &self,
        permit: &Permit,
        id: OrganizationId,
        expected: Option<i32>,
        quotas: Map<String, Value>,
    ) -> Result<OrganizationRow, AccountsError> {
        let quotas = checked_quotas(quotas, ORGANIZATION_QUOTAS)?;
        self.change_organization(permit, id, expected, |row| {
            row.quotas = quotas;
            Ok(())
        })
        .await
    }

    /// Suspends an organisation, or lets it act again.
    pub async fn set_organization_status(
        &self,
        permit: &Permit,
        id: OrganizationId,
        expected: Option<i32>,
        status: OrganizationStatus,
    ) -> Result<OrganizationRow, AccountsError> {
        self.change_organization(permit, id, expected, |row| {
            row.status = status;
            Ok(())
        })
        .await
    }

    /// Whether an organisation may be deleted: whoever must end what runs in it asks before.
    pub async fn may_delete_organization(
        &self,
        permit: &Permit,
        id: OrganizationId,
        expected: Option<i32>,
    ) -> Result<(), AccountsError> {
        let mut change = self.store().change(permit.view()).await?;
        let row = change.organizations().lock(id, permit.view()).await?;
        change.nothing_changed().await?;
        deletable(row.as_ref().ok_or(MISSING)?, expected)
    }

    /// Soft-deletes an organisation and revokes the keys that act in it.
    pub async fn delete_organization(
        &self,
        permit: &Permit,
        id: OrganizationId,
        expected: Option<i32>,
    ) -> Result<(), AccountsError> {
        let at = self.now();
        let mut change = self.store().change(permit.view()).await?;
        let row = change.organizations().lock(id, permit.view()).await?.ok_or(MISSING)?;
        deletable(&row, expected)?;
        change.organizations().delete(id, at).await?;
        let changes = Changes::default().with("deleted", Some(&json!(false)), &json!(true));
        Ok(change.commit(&entry(permit, id, &id, changes, at)).await?)
    }

    async fn change_organization(
        &self,
        permit: &Permit,
        id: OrganizationId,
        expected: Option<i32>,
        apply: impl FnOnce(&mut OrganizationRow) -> Result<(), AccountsError> + Send,
    ) -> Result<OrganizationRow, AccountsError> {
        let mut change = self.store().change(permit.view()).await?;
        let before = change.organizations().lock(id, permit.view()).await?.ok_or(MISSING)?;
        expect(expected, before.version)?;
        let mut after = before.clone();
        apply(&mut after)?;
        if after == before {
            change.nothing_changed().await?;
            return Ok(before);
        }
        change.organizations().save(&after).await?;
        let saved = change.organizations().lock(id, permit.view()).await?.ok_or(MISSING)?;
        change.commit(&entry(permit, id, &id, Changes::between(&before, &saved), self.now())).await?;
        Ok(saved)
    }

    /// Whether what was begun for an instance's project may go on: what it permits now, and whether its organisation may act.
    pub async fn standing_of_project(
        &self,
        id: ProjectId,
    ) -> Result<Option<(ProjectStatus, OrganizationStatus)>, AccountsError> {
        let Some(project) = self.store().projects().get(id, None).await? else { return Ok(None) };
        let organization = self.store().organizations().get(project.organization, None).await?;
        Ok(organization.map(|organization| (project.status, organization.status)))
    }
}

const MISSING: AccountsError = AccountsError::NotFound { what: "organisation" };

fn deletable(row: &OrganizationRow, expected: Option<i32>) -> Result<(), AccountsError> {
    expect(expected, row.version)?;
    if row.personal_of.is_some() { Err(RuleBroken::PersonalOrganization.into()) } else { Ok(()) }
}

/// Whose organisations are seen: the caller's, unless they see everything.
fn member(view: View) -> Option<UserId> {
    view.within().map(|_| view.user)
}

/// The entry of a change in an organisation, which is in that one's chain whoever made it.
pub(crate) fn entry(
    permit: &Permit,
    organization: OrganizationId,
    resource: &dyn std::fmt::Display,
    changes: Changes,
    at: OffsetDateTime,
) -> NewAudit {
    let entry = permit.entry(resource, changes, at);
    let project = entry.project.filter(|_| organization == permit.organization());
    NewAudit { organization: Some(organization), project, ..entry }
}

/// Whether a row still has the version that was read.
pub(crate) fn expect(expected: Option<i32>, version: i32) -> Result<(), AccountsError> {
    match expected {
        Some(expected) if expected != version => Err(AccountsError::StaleVersion { expected }),
        _ => Ok(()),
    }
}

pub(crate) fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

/// Quotas that name what there is, in whole numbers.
pub(crate) fn checked_quotas(quotas: Map<String, Value>, known: &[&str]) -> Result<Value, AccountsError> {
    let mut checked = Map::new();
    let mut problem = |(name, value): (String, Value)| {
        let field = format!("quotas.{name}");
        if !known.contains(&name.as_str()) {
            return Some((field, format!("is not one of: {}", known.join(", "))));
        }
        let Some(number) = whole(&value).filter(|number| (1..=LARGEST_QUOTA).contains(number)) else {
            return Some((field, format!("must be a whole number from 1 to {LARGEST_QUOTA}")));
        };
        checked.insert(name, json!(number));
        None
    };
    let problems: Vec<_> = quotas.into_iter().filter_map(&mut problem).collect();
    if problems.is_empty() { Ok(Value::Object(checked)) } else { Err(AccountsError::Invalid(problems)) }
}

/// A short name made of a name: its letters and digits, and the end of an id, for names are not unique.
pub(crate) fn slug_of(name: &str, id: &str) -> String {
    let plain: String = name
        .to_lowercase()
        .chars()
        .map(|one| if one.is_ascii_alphanumeric() { one } else { '-' })
        .take(MAX_SLUG_STEM)
        .collect();
    let words: Vec<&str> = plain.split('-').filter(|word| !word.is_empty()).collect();
    let end: String = id.chars().filter(|one| *one != '-').collect();
    let end = end.get(end.len().saturating_sub(SLUG_END)..).unwrap_or_default();
    [words.as_slice(), &[end]].concat().join("-")
}

/// Characters of a name that become part of a short name.
const MAX_SLUG_STEM: usize = 40;
/// Characters of an id at the end of a short name: those that are random.
const SLUG_END: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_name_is_made_of_what_is_plain() {
        let id = "019a0000-0000-7000-8000-0000deadbeef";
        assert_eq!(slug_of("Ada & Söhne Ltd.", id), "ada-s-hne-ltd-deadbeef");
        assert_eq!(slug_of("…", id), "deadbeef");
    }

    #[test]
    fn quotas_are_known_whole_numbers() {
        let quotas = |json: Value| json.as_object().cloned().unwrap_or_default();
        let checked = checked_quotas(quotas(json!({"max_instances": 5.0})), ORGANIZATION_QUOTAS);
        assert_eq!(checked.ok(), Some(json!({"max_instances": 5})));
        let wrong = quotas(json!({"max_instances": -1, "colour": 3, "max_memory_mb": "many"}));
        let Err(AccountsError::Invalid(problems)) = checked_quotas(wrong, ORGANIZATION_QUOTAS) else {
            panic!("three of them are wrong")
        };
        assert_eq!(problems.len(), 3);
    }
}
