//! Types that people of an organisation define for a project of theirs: servers elsewhere, without a program. An owner or admin of
//! the organisation decides about them; what runs on this machine is the platform admins' matter.

use roadstead_access::Permit;
use roadstead_catalog::{Author, TypeSpec};
use roadstead_model::{ProjectId, Role, TypeStatus};
use roadstead_store::TypeRow;
use serde_json::Value;

use super::Decision;
use super::{Begin, find, unknown};
use crate::{Accounts, AccountsError};

/// What only a platform admin says of a type: what runs here, with what, and what it reaches of this machine.
const ADMINS_FIELDS: &[&str] = &[
    "program",
    "args",
    "env",
    "working_dir",
    "package",
    "allow_private",
    "allow_any_interface",
    "confinement",
    "resource_limits",
    "size",
    "validation",
];

impl Accounts {
    /// Defines a type for a project. One of a member's waits for an approval; one of an owner's or admin's begins as any type does.
    pub async fn create_project_type(
        &self,
        permit: &Permit,
        project: ProjectId,
        spec: Value,
        begin: Begin,
    ) -> Result<TypeRow, AccountsError> {
        let project = self.project(permit, project).await?.id;
        let problems: Vec<_> = ADMINS_FIELDS
            .iter()
            .filter(|field| spec.get(**field).is_some_and(|value| !value.is_null()))
            .map(|field| ((*field).to_owned(), "is for platform admins to say".to_owned()))
            .collect();
        if !problems.is_empty() {
            return Err(AccountsError::Invalid(problems));
        }
        let spec: TypeSpec = serde_json::from_value(spec)
            .map_err(|error| AccountsError::Invalid(vec![("type".to_owned(), error.to_string())]))?;
        if let Err(problems) = spec.validate(Author::User) {
            let pairs = problems.into_iter().map(|problem| (problem.field, problem.message));
            return Err(AccountsError::Invalid(pairs.collect()));
        }
        let everybodys = self.store().types().by_name(&spec.name, None).await?;
        if everybodys.iter().any(|row| row.project.is_none()) {
            let message = "is the name of a type that is for everybody; give another".to_owned();
            return Err(AccountsError::Invalid(vec![("name".to_owned(), message)]));
        }
        let status = if begin == Begin::Draft {
            TypeStatus::Draft
        } else if permit.view().within().is_some() && permit.role() < Role::Admin {
            TypeStatus::Pending
        } else {
            self.first_status(begin, Some(project)).await?
        };
        self.insert_type(permit, &spec, Some(project), status).await
    }

    /// Decides about a project's type that has no program.
    pub async fn decide_project_type(
        &self,
        permit: &Permit,
        project: ProjectId,
        named: &str,
        decision: Decision,
    ) -> Result<TypeRow, AccountsError> {
        let project = self.project(permit, project).await?.id;
        let row = find(&mut self.store().types(), named, project).await?;
        if row.project != Some(project) {
            return Err(unknown(named));
        }
        if row.definition.program.is_some() {
            let message = "runs a program on this machine; a platform admin decides about it".to_owned();
            return Err(AccountsError::Invalid(vec![("type".to_owned(), message)]));
        }
        self.decide(permit, row.id, decision).await
    }
}
