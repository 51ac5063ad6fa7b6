//! Projects of organisations.

use roadstead_access::Permit;
use roadstead_model::{Changes, OrganizationId, ProjectId, ProjectStatus};
use roadstead_store::{Page, PageRequest, ProjectRow};
use serde_json::{Map, Value};

use crate::organizations::{PROJECT_QUOTAS, checked_quotas, entry, expect, set, slug_of};
use crate::{Accounts, AccountsError};

/// A project to be.
#[derive(Debug)]
pub struct NewProject {
    /// The organisation; none for the caller's.
    pub organization: Option<OrganizationId>,
    /// For people.
    pub name: String,
    /// Unique within the organisation; none for one made of the name.
    pub slug: Option<String>,
    /// What it is for.
    pub description: String,
    /// Its own settings.
    pub settings: Map<String, Value>,
    /// Its own quotas; none for the usual ones.
    pub quotas: Option<Map<String, Value>>,
}

/// What is to become different of a project. What is none stays.
#[derive(Debug, Default)]
pub struct ProjectPatch {
    /// For people.
    pub name: Option<String>,
    /// Unique within the organisation.
    pub slug: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Its own settings, all of them.
    pub settings: Option<Map<String, Value>>,
    /// Its own quotas, all of them.
    pub quotas: Option<Map<String, Value>>,
    /// What it permits.
    pub status: Option<ProjectStatus>,
}

/// Requests in a minute of a project that names no other number.
const USUAL_REQUESTS_PER_MINUTE: u64 = 100;

impl Accounts {
    /// The projects of the caller's organisation, or of one or all where they see everything.
    pub async fn projects(
        &self,
        permit: &Permit,
        organization: Option<OrganizationId>,
        page: PageRequest,
    ) -> Result<Page<ProjectRow>, AccountsError> {
        let within = match (permit.view().within(), organization) {
            (Some(own), Some(other)) if own != other => return Err(ORGANIZATION),
            (own, asked) => asked.or(own),
        };
        Ok(self.store().seen_by(permit.view()).projects().list(within, page).await?)
    }

    /// One of them.
    pub async fn project(&self, permit: &Permit, id: ProjectId) -> Result<ProjectRow, AccountsError> {
        let view = permit.view();
        self.store().seen_by(view).projects().get(id, view.within()).await?.ok_or(MISSING)
    }

    /// Makes a project.
    pub async fn create_project(
        &self,
        permit: &Permit,
        new: NewProject,
    ) -> Result<ProjectRow, AccountsError> {
        let view = permit.view();
        let organization = new.organization.unwrap_or(view.organization);
        if view.within().is_some_and(|own| own != organization) {
            return Err(ORGANIZATION);
        }
        let quotas = new.quotas.unwrap_or_else(|| {
            let usual = ("max_requests_per_minute".to_owned(), USUAL_REQUESTS_PER_MINUTE.into());
            Map::from_iter([usual])
        });
        let quotas = checked_quotas(quotas, PROJECT_QUOTAS)?;
        let id = ProjectId::new(&*self.0.clock, &mut *self.0.randomness.lock());
        let at = self.now();
        let row = ProjectRow {
            id,
            organization,
            slug: new.slug.unwrap_or_else(|| slug_of(&new.name, &id.to_string())),
            name: new.name,
            description: new.description,
            settings: Value::Object(new.settings),
            quotas,
            status: ProjectStatus::Active,
            version: 1,
            created_at: at,
            updated_at: at,
        };
        let mut change = self.store().change(view).await?;
        // Held, so that it is not deleted meanwhile.
        change.organizations().lock(organization, view).await?.ok_or(ORGANIZATION)?;
        change.projects().create(&row).await?;
        change.commit(&entry(permit, organization, &id, Changes::created(&row), at)).await?;
        Ok(row)
    }

    /// Changes a project; pauses, archives and wakes it, too.
    pub async fn patch_project(
        &self,
        permit: &Permit,
        id: ProjectId,
        expected: Option<i32>,
        patch: ProjectPatch,
    ) -> Result<ProjectRow, AccountsError> {
        let quotas = patch.quotas.map(|quotas| checked_quotas(quotas, PROJECT_QUOTAS)).transpose()?;
        let mut change = self.store().change(permit.view()).await?;
        let before = change.projects().lock(id, permit.view()).await?.ok_or(MISSING)?;
        expect(expected, before.version)?;
        let mut after = before.clone();
        let ProjectPatch { name, slug, description, settings, quotas: _, status } = patch;
        set(&mut after.name, name);
        set(&mut after.slug, slug);
        set(&mut after.description, description);
        set(&mut after.settings, settings.map(Value::Object));
        set(&mut after.quotas, quotas);
        set(&mut after.status, status);
        if after == before {
            change.nothing_changed().await?;
            return Ok(before);
        }
        change.projects().save(&after).await?;
        let saved = change.projects().lock(id, permit.view()).await?.ok_or(MISSING)?;
        let changes = Changes::between(&before, &saved);
        change.commit(&entry(permit, saved.organization, &id, changes, self.now())).await?;
        Ok(saved)
    }
}

const MISSING: AccountsError = AccountsError::NotFound { what: "project" };
const ORGANIZATION: AccountsError = AccountsError::NotFound { what: "organisation" };
