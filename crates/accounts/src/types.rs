//! Server types: defined by platform admins, validated whole, versioned.

use roadstead_access::{AdminPermit, Permit, TypeReadPermit};
use roadstead_catalog::{Author, TypeSpec};
use roadstead_model::{Actor, Changes, NewAudit, ProjectId, TypeId, TypeStatus};
use roadstead_store::{Db, NewType, Page, TypeChange, TypeRow, TypeUpdate, Types};
use serde_json::Value;

use crate::{Accounts, AccountsError};

mod of_project;
mod review;
mod tool_rules;

pub use review::{Decision, Manifest, Offered, ToolSet};

/// What somebody who makes a type says of its approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Begin {
    /// As the settings say: approved, or waiting for it.
    #[default]
    AsSet,
    /// They approve it.
    Approved,
    /// They still work at it.
    Draft,
}

impl Accounts {
    /// The types of one status, or all of them, by name, as far as they are there for the caller.
    pub async fn types(
        &self,
        permit: &TypeReadPermit,
        status: Option<TypeStatus>,
        after: Option<&(String, TypeId)>,
        limit: u32,
    ) -> Result<Page<TypeRow, (String, TypeId)>, AccountsError> {
        let view = permit.view();
        Ok(self.store().seen_by(view).types().list(status, view.within(), after, limit).await?)
    }

    /// The approved types that are for everybody, by name: what a public registry shows.
    pub async fn types_for_anybody(
        &self,
        after: Option<&(String, TypeId)>,
        limit: u32,
    ) -> Result<Page<TypeRow, (String, TypeId)>, AccountsError> {
        let mut page = self.store().types().list(Some(TypeStatus::Approved), None, after, limit).await?;
        page.items.retain(|row| row.project.is_none());
        Ok(page)
    }

    /// A type by id or name, if it is there for the caller.
    pub async fn type_named(&self, permit: &TypeReadPermit, named: &str) -> Result<TypeRow, AccountsError> {
        let seen = self.store().seen_by(permit.view());
        let found = find(&mut seen.types(), named, permit.project()).await?;
        let (Some(within), Some(project)) = (permit.view().within(), found.project) else { return Ok(found) };
        match seen.projects().get(project, Some(within)).await? {
            Some(_) => Ok(found),
            None => Err(unknown(named)),
        }
    }

    /// A type by id or name, for a platform admin who would change it.
    pub async fn type_for_change(&self, permit: &AdminPermit, named: &str) -> Result<TypeRow, AccountsError> {
        find(&mut self.store().seen_by(permit.view()).types(), named, permit.project()).await
    }

    /// Defines a type, for everybody or for one project.
    pub async fn create_type(
        &self,
        permit: &AdminPermit,
        spec: Value,
        project: Option<ProjectId>,
        begin: Begin,
    ) -> Result<TypeRow, AccountsError> {
        let spec = validated(spec)?;
        let status = self.first_status(begin, project).await?;
        self.insert_type(permit, &spec, project, status).await
    }

    async fn insert_type(
        &self,
        permit: &Permit,
        spec: &TypeSpec,
        project: Option<ProjectId>,
        status: TypeStatus,
    ) -> Result<TypeRow, AccountsError> {
        let new = NewType {
            id: TypeId::new(&*self.0.clock, &mut *self.0.randomness.lock()),
            name: spec.name.clone(),
            definition: definition(spec)?,
            project,
            registered_by: permit.actor().user,
            status,
            is_bundled: false,
            at: self.now(),
        };
        // As the service: what was decided about types is the platform's.
        let mut change = self.store().system_change().await?;
        change.types().create(&new).await?;
        let made = the(&mut change.types(), new.id).await?;
        let review = self.review(&made, permit.actor(), new.at);
        change.type_reviews().append(&review).await?;
        change.commit(&permit.entry(&new.id, Changes::created(&made), new.at)).await?;
        Ok(made)
    }

    /// Replaces a type's definition; its name stays. Its project stays, too, unless another is named, or none.
    pub async fn update_type(
        &self,
        permit: &AdminPermit,
        named: &str,
        expected: Option<i32>,
        spec: Value,
        project: Option<Option<ProjectId>>,
    ) -> Result<TypeRow, AccountsError> {
        let mut change = self.store().change(permit.view()).await?;
        let before = find(&mut change.types(), named, permit.project()).await?;
        let spec = validated_beside(spec, Some(&before))?;
        if spec.name != before.name {
            let message = format!("cannot change; this type is {:?}", before.name);
            return Err(AccountsError::Invalid(vec![("name".to_owned(), message)]));
        }
        let project = project.unwrap_or(before.project);
        match change.types().update(before.id, expected, &definition(&spec)?, project).await? {
            TypeUpdate::Updated { .. } => {
                let after = the(&mut change.types(), before.id).await?;
                let changes = Changes::between(&before, &after);
                change.commit(&permit.entry(&before.id, changes, self.now())).await?;
                Ok(after)
            }
            TypeUpdate::Stale { .. } => {
                Err(AccountsError::StaleVersion { expected: expected.unwrap_or_default() })
            }
            TypeUpdate::Missing => Err(unknown(named)),
        }
    }

    /// Inserts the types that come with the product, and brings those that nobody edited up to the definition that comes with
    /// this release: an admin's edit stays, and so does an admin's decision.
    pub async fn insert_bundled(&self, manifests: &[&str]) -> Result<(), AccountsError> {
        for manifest in manifests {
            let spec = roadstead_catalog::parse_manifest(manifest)
                .map_err(|error| AccountsError::Invalid(vec![("manifest".to_owned(), error.to_string())]))?;
            let found = self.store().types().by_name(&spec.name, None).await?;
            match found.into_iter().find(|row| row.project.is_none()) {
                None => self.insert_one_bundled(&spec).await?,
                Some(row) => self.renew_bundled(&row, &spec).await?,
            }
        }
        Ok(())
    }

    async fn insert_one_bundled(&self, spec: &TypeSpec) -> Result<(), AccountsError> {
        let new = NewType {
            id: TypeId::new(&*self.0.clock, &mut *self.0.randomness.lock()),
            name: spec.name.clone(),
            definition: definition(spec)?,
            project: None,
            registered_by: None,
            status: TypeStatus::Approved,
            is_bundled: true,
            at: self.now(),
        };
        let mut change = self.store().system_change().await?;
        change.types().create(&new).await?;
        let made = the(&mut change.types(), new.id).await?;
        change.type_reviews().append(&self.review(&made, &Actor::SYSTEM, new.at)).await?;
        let mut entry = NewAudit::by_system("type.create", new.at);
        entry.resource_id = Some(new.id.to_string());
        entry.changes = Changes::created(&made);
        change.commit(&entry).await?;
        Ok(())
    }

    async fn renew_bundled(&self, row: &TypeRow, spec: &TypeSpec) -> Result<(), AccountsError> {
        let new = definition(spec)?;
        let is_edited = row.bundled.as_ref() != Some(&row.definition.spec);
        if is_edited || row.definition == new {
            return Ok(());
        }
        let mut change = self.store().system_change().await?;
        match change.types().update(row.id, Some(row.version), &new, row.project).await? {
            TypeUpdate::Updated { .. } => change.types().set_bundled(row.id).await?,
            // Somebody edits it right now.
            TypeUpdate::Stale { .. } | TypeUpdate::Missing => return Ok(change.nothing_changed().await?),
        }
        let after = the(&mut change.types(), row.id).await?;
        let mut entry = NewAudit::by_system("type.update", self.now());
        entry.resource_id = Some(row.id.to_string());
        entry.changes = Changes::between(row, &after);
        change.commit(&entry).await?;
        Ok(())
    }
}

/// A type by its id, or by its name as it is meant in a project: the project's own, else everybody's, else the only one.
async fn find<D: Db>(
    types: &mut Types<D>,
    named: &str,
    project: ProjectId,
) -> Result<TypeRow, AccountsError> {
    if let Ok(id) = named.parse::<TypeId>() {
        return types.get(id).await?.ok_or_else(|| unknown(named));
    }
    // The database takes no U+0000, so nothing is called so.
    let found = if named.contains('\0') { Vec::new() } else { types.by_name(named, Some(project)).await? };
    let is_meant = |row: &TypeRow| row.project.is_none_or(|of| of == project);
    if found.len() > 1 && !is_meant(&found[0]) {
        return Err(AccountsError::AmbiguousType { name: named.to_owned() });
    }
    found.into_iter().next().ok_or_else(|| unknown(named))
}

/// The type of an id that is there.
async fn the<D: Db>(types: &mut Types<D>, id: TypeId) -> Result<TypeRow, AccountsError> {
    types.get(id).await?.ok_or_else(|| unknown(&id.to_string()))
}

fn unknown(named: &str) -> AccountsError {
    AccountsError::TypeNotFound { name: named.to_owned() }
}

/// The definition in a row.
pub fn spec_of(row: &TypeRow) -> Result<TypeSpec, AccountsError> {
    serde_json::from_value(row.definition.spec.clone()).map_err(|error| {
        AccountsError::Invalid(vec![(
            "type".to_owned(),
            format!("the stored definition cannot be read: {error}"),
        )])
    })
}

fn validated(spec: Value) -> Result<TypeSpec, AccountsError> {
    validated_beside(spec, None)
}

/// A definition that is sound; the program that comes with us may stay what it is, although nobody else may name one so.
fn validated_beside(spec: Value, before: Option<&TypeRow>) -> Result<TypeSpec, AccountsError> {
    let spec: TypeSpec = serde_json::from_value(spec)
        .map_err(|error| AccountsError::Invalid(vec![("type".to_owned(), error.to_string())]))?;
    match spec.validate(Author::Admin) {
        Ok(()) => Ok(spec),
        Err(problems) => {
            let ours = before.filter(|before| before.bundled.is_some());
            let stays = ours.is_some_and(|before| before.definition.program == spec.program);
            let told = problems.into_iter().filter(|problem| !(stays && problem.field == "program"));
            let pairs: Vec<_> = told.map(|problem| (problem.field, problem.message)).collect();
            if pairs.is_empty() { Ok(spec) } else { Err(AccountsError::Invalid(pairs)) }
        }
    }
}

fn definition(spec: &TypeSpec) -> Result<TypeChange, AccountsError> {
    let json = |value: serde_json::Result<Value>| {
        value.map_err(|error| AccountsError::Invalid(vec![("type".to_owned(), error.to_string())]))
    };
    Ok(TypeChange {
        display_name: spec.display_name.clone(),
        description: spec.description.clone().unwrap_or_default(),
        icon_url: spec.icon_url.clone(),
        program: spec.program.clone(),
        spec: json(serde_json::to_value(spec))?,
        config_template: json(serde_json::to_value(&spec.config_template))?,
        required_scopes: spec.required_scopes.clone(),
        resource_limits: json(serde_json::to_value(spec.limits()))?,
        max_duration_minutes: i32::try_from(spec.max_duration_minutes).unwrap_or(i32::MAX),
        era: spec.era,
    })
}
