//! Server types: defined by platform admins, validated whole, versioned.

use roadstead_access::{AdminPermit, TypeReadPermit};
use roadstead_catalog::{Author, TypeSpec};
use roadstead_model::TypeId;
use roadstead_store::{NewType, Page, TypeChange, TypeRow, TypeUpdate};
use serde_json::Value;

use crate::{Accounts, AccountsError};

impl Accounts {
    /// The types that may be launched, or all of them, by name.
    pub async fn types(
        &self,
        permit: &TypeReadPermit,
        only_active: bool,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<TypeRow, String>, AccountsError> {
        Ok(self.store().seen_by(permit.view()).types().list(only_active, after, limit).await?)
    }

    /// A type by id or name.
    pub async fn type_named(&self, permit: &TypeReadPermit, named: &str) -> Result<TypeRow, AccountsError> {
        let mut types = self.store().seen_by(permit.view()).types();
        let found = match named.parse::<TypeId>() {
            Ok(id) => types.get(id).await?,
            // The database takes no U+0000, so nothing is called so.
            Err(_) if named.contains('\0') => None,
            Err(_) => types.by_name(named).await?,
        };
        found.ok_or_else(|| AccountsError::TypeNotFound { name: named.to_owned() })
    }

    /// Defines a type.
    pub async fn create_type(&self, permit: &AdminPermit, spec: Value) -> Result<TypeRow, AccountsError> {
        let spec = validated(spec)?;
        let name = spec.name.clone();
        let new = NewType {
            id: TypeId::new(&*self.0.clock, &mut *self.0.randomness.lock()),
            name: name.clone(),
            definition: definition(&spec)?,
            registered_by: permit.actor().user,
            at: self.now(),
        };
        self.store().types().create(&new).await?;
        self.find_type(&name).await
    }

    /// Replaces a type's definition; its name stays.
    pub async fn update_type(
        &self,
        _permit: &AdminPermit,
        named: &str,
        expected: Option<i32>,
        spec: Value,
    ) -> Result<TypeRow, AccountsError> {
        let found = self.find_type(named).await?;
        let spec = validated(spec)?;
        if spec.name != found.name {
            let message = format!("cannot change; this type is {:?}", found.name);
            return Err(AccountsError::Invalid(vec![("name".to_owned(), message)]));
        }
        match self.store().types().update(found.id, expected, &definition(&spec)?).await? {
            TypeUpdate::Updated { .. } => self.find_type(&found.name).await,
            TypeUpdate::Stale { .. } => {
                Err(AccountsError::StaleVersion { expected: expected.unwrap_or_default() })
            }
            TypeUpdate::Missing => Err(AccountsError::TypeNotFound { name: named.to_owned() }),
        }
    }

    /// Takes a type out of what may be launched.
    pub async fn disable_type(&self, _permit: &AdminPermit, named: &str) -> Result<TypeRow, AccountsError> {
        let found = self.find_type(named).await?;
        self.store().types().disable(found.id).await?;
        self.find_type(&found.name).await
    }

    /// Inserts the types that come with the product, unless a type of the name exists: an admin's edit stays.
    pub async fn insert_bundled(&self, manifests: &[&str]) -> Result<(), AccountsError> {
        for manifest in manifests {
            let spec = roadstead_catalog::parse_manifest(manifest)
                .map_err(|error| AccountsError::Invalid(vec![("manifest".to_owned(), error.to_string())]))?;
            if self.store().types().by_name(&spec.name).await?.is_some() {
                continue;
            }
            let new = NewType {
                id: TypeId::new(&*self.0.clock, &mut *self.0.randomness.lock()),
                name: spec.name.clone(),
                definition: definition(&spec)?,
                registered_by: None,
                at: self.now(),
            };
            self.store().types().create(&new).await?;
        }
        Ok(())
    }

    async fn find_type(&self, named: &str) -> Result<TypeRow, AccountsError> {
        let found = match named.parse::<TypeId>() {
            Ok(id) => self.store().types().get(id).await?,
            // The database takes no U+0000, so nothing is called so.
            Err(_) if named.contains('\0') => None,
            Err(_) => self.store().types().by_name(named).await?,
        };
        found.ok_or_else(|| AccountsError::TypeNotFound { name: named.to_owned() })
    }
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
    let spec: TypeSpec = serde_json::from_value(spec)
        .map_err(|error| AccountsError::Invalid(vec![("type".to_owned(), error.to_string())]))?;
    match spec.validate(Author::Admin) {
        Ok(()) => Ok(spec),
        Err(problems) => {
            let pairs = problems.into_iter().map(|problem| (problem.field, problem.message)).collect();
            Err(AccountsError::Invalid(pairs))
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
