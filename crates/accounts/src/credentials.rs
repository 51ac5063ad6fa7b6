//! Credentials: sealed at once, each value bound to its owner, type, slot and row; opened only for a launch.

use std::collections::BTreeMap;

use roadstead_access::CredentialPermit;
use roadstead_catalog::TypeSpec;
use roadstead_crypto::{Binding, ExposeSecret, SecretString};
use roadstead_model::{CredentialId, OrganizationId, ProjectId, TypeId, UserId};
use roadstead_store::{CredentialRow, NewSlot};

use crate::{Accounts, AccountsError};

/// Characters of a value that its hint shows.
const HINT_CHARS: usize = 4;
/// A value this short shows nothing: its end would be most of it.
const MIN_CHARS_FOR_HINT: usize = 12;

/// A credential to be.
pub struct NewCredential {
    /// Which type it is for.
    pub type_name: String,
    /// Unique among the user's for that type.
    pub name: String,
    /// The secret values by slot.
    pub values: BTreeMap<String, SecretString>,
    /// The owner.
    pub user: UserId,
    /// Where it belongs.
    pub organization: OrganizationId,
    /// Where it belongs.
    pub project: ProjectId,
}

impl std::fmt::Debug for NewCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewCredential").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Accounts {
    /// Seals and stores a credential.
    pub async fn create_credential(
        &self,
        _permit: &CredentialPermit,
        new: NewCredential,
    ) -> Result<CredentialRow, AccountsError> {
        let found = self.store().types().by_name(&new.type_name).await?;
        let found = found.filter(|row| row.is_active);
        let found = found.ok_or_else(|| AccountsError::TypeNotFound { name: new.type_name.clone() })?;
        let spec: TypeSpec = crate::types::spec_of(&found)?;
        let problems = roadstead_catalog::check_credentials(&spec.credential_slots, &new.values);
        if !problems.is_empty() {
            // A launch calls `credentials` what is called `values` here.
            let named = |problem: roadstead_catalog::Problem| {
                (problem.field.replacen("credentials", "values", 1), problem.message)
            };
            return Err(AccountsError::Invalid(problems.into_iter().map(named).collect()));
        }
        let id = CredentialId::new(&*self.0.clock, &mut *self.0.randomness.lock());
        let slots: Vec<NewSlot> = new
            .values
            .iter()
            .map(|(slot, value)| NewSlot {
                slot: slot.clone(),
                sealed: self.seal_slot(new.user, found.id, slot, id.uuid_bytes(), value.expose_secret()),
                hint: hint_of(value.expose_secret()),
            })
            .collect();
        let row = roadstead_store::NewCredential {
            id,
            user: new.user,
            organization: new.organization,
            project: new.project,
            type_id: found.id,
            name: new.name,
            hint: slots.first().map(|slot| slot.hint.clone()).unwrap_or_default(),
            expires_at: None,
            slots,
            at: self.now(),
        };
        self.store().credentials().create(&row).await?;
        let row = self.store().credentials().get(id, Some(new.user)).await?;
        row.ok_or(AccountsError::NotFound { what: "credential" })
    }

    /// The caller's credentials.
    pub async fn credentials(&self, permit: &CredentialPermit) -> Result<Vec<CredentialRow>, AccountsError> {
        let Some(owner) = permit.visible().owner() else { return Ok(Vec::new()) };
        Ok(self.store().credentials().list(owner, None).await?)
    }

    /// Deletes a credential and destroys its sealed values.
    pub async fn delete_credential(
        &self,
        permit: &CredentialPermit,
        id: CredentialId,
    ) -> Result<(), AccountsError> {
        let deleted = self.store().credentials().delete(id, permit.visible().owner(), self.now()).await?;
        if deleted { Ok(()) } else { Err(AccountsError::NotFound { what: "credential" }) }
    }

    /// Seals one value for one row: `row` is the credential's or the instance's id.
    pub fn seal_slot(&self, owner: UserId, type_id: TypeId, slot: &str, row: &[u8], value: &str) -> Vec<u8> {
        let binding = Binding { owner: owner.uuid_bytes(), type_id: type_id.uuid_bytes(), slot, row };
        self.seal(&binding, value)
    }

    /// Opens one value of one row.
    pub fn open_slot(
        &self,
        owner: UserId,
        type_id: TypeId,
        slot: &str,
        row: &[u8],
        sealed: &[u8],
    ) -> Result<SecretString, AccountsError> {
        let binding = Binding { owner: owner.uuid_bytes(), type_id: type_id.uuid_bytes(), slot, row };
        let opened = self.open(&binding, sealed).and_then(|opened| roadstead_crypto::ring::text_of(&opened));
        opened.map_err(|source| AccountsError::Unsealable {
            row: format!("the slot {slot} of a credential"),
            source,
        })
    }
}

/// The end of a value, for its owner to tell one from another; nothing of a short one.
fn hint_of(value: &str) -> String {
    let count = value.chars().count();
    if count < MIN_CHARS_FOR_HINT {
        return "…".to_owned();
    }
    let end: String = value.chars().skip(count - HINT_CHARS).collect();
    format!("…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_shows_the_end_of_a_long_value_and_nothing_of_a_short_one() {
        assert_eq!(hint_of("ghp_0123456789abcdef"), "…cdef");
        assert_eq!(hint_of("hunter2"), "…");
    }
}
