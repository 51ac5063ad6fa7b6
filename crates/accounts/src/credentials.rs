//! Credentials: sealed at once, each value bound to its owner, type, slot and row; opened only for a launch, and to ask
//! their service whether it takes them.

use std::collections::BTreeMap;

use roadstead_access::CredentialPermit;
use roadstead_catalog::TypeSpec;
use roadstead_crypto::{Binding, ExposeSecret, SecretString};
use roadstead_model::{
    Changes, CredentialId, CredentialStatus, InstanceId, NewAudit, OrganizationId, ProjectId, TypeId,
    TypeStatus, UserId, Validity,
};
use roadstead_store::{
    CredentialChange, CredentialEvent, CredentialRow, Cursor, Deletion, Holder, Holding, NewSlot, Page,
    TypeRow,
};
use serde_json::json;
use time::OffsetDateTime;

use crate::{Accounts, AccountsError};

/// Characters of a value that its hint shows.
const HINT_CHARS: usize = 4;
/// A value this short shows nothing: its end would be most of it.
const MIN_CHARS_FOR_HINT: usize = 12;
/// Events of a credential that are shown.
const EVENTS_SHOWN: u32 = 20;

/// A credential to be.
pub struct NewCredential {
    /// Which type it is for.
    pub type_name: String,
    /// Unique among the user's for that type.
    pub name: String,
    /// The secret values by slot.
    pub values: BTreeMap<String, SecretString>,
    /// When it stops working, if it does.
    pub expires_at: Option<OffsetDateTime>,
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

/// What is to become of a credential; what is none stays as it is.
#[derive(Default)]
pub struct ChangedCredential {
    /// Another name.
    pub name: Option<String>,
    /// Another end, or none any more.
    pub expires_at: Option<Option<OffsetDateTime>>,
    /// All of its secret values by slot.
    pub values: Option<BTreeMap<String, SecretString>>,
}

impl std::fmt::Debug for ChangedCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChangedCredential").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A credential as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The row.
    pub row: CredentialRow,
    /// Whether it can be used now.
    pub status: CredentialStatus,
}

/// Who uses a credential, and what happened to it.
#[derive(Debug, Clone, PartialEq)]
pub struct CredentialUsage {
    /// The credential.
    pub credential: Credential,
    /// The instances that hold it.
    pub holders: Vec<Holder>,
    /// What happened to it, newest first.
    pub events: Vec<CredentialEvent>,
}

/// What came of a deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeletedCredential {
    /// It is gone.
    Gone,
    /// These hold it; nothing was changed.
    Held(Vec<InstanceId>),
}

/// The values of a credential, for a launch or to ask its service about them.
pub struct OpenCredential {
    /// The row.
    pub row: CredentialRow,
    /// The secret values by slot; of the row's version, or of one that replaced it while they were read.
    pub values: BTreeMap<String, SecretString>,
}

impl std::fmt::Debug for OpenCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenCredential").field("row", &self.row).finish_non_exhaustive()
    }
}

impl Accounts {
    /// Seals and stores a credential.
    pub async fn create_credential(
        &self,
        permit: &CredentialPermit,
        new: NewCredential,
    ) -> Result<Credential, AccountsError> {
        let found = self.store().types().by_name(&new.type_name, Some(new.project)).await?;
        let is_meant = |row: &TypeRow| row.project.is_none_or(|of| of == new.project);
        let found = found.into_iter().find(is_meant).filter(|row| row.status == TypeStatus::Approved);
        let found = found.ok_or_else(|| AccountsError::TypeNotFound { name: new.type_name.clone() })?;
        check_values(&found, &new.values)?;
        self.check_end(new.expires_at)?;
        let _one_at_a_time = self.room_for_credential(new.user).await?;
        let id = CredentialId::new(&*self.0.clock, &mut *self.0.randomness.lock());
        let slots = self.seal_slots(new.user, found.id, id, &new.values);
        let row = roadstead_store::NewCredential {
            id,
            user: new.user,
            organization: new.organization,
            project: new.project,
            type_id: found.id,
            name: new.name,
            hint: slots.first().map(|slot| slot.hint.clone()).unwrap_or_default(),
            expires_at: new.expires_at,
            slots,
            actor: permit.actor().clone(),
            at: self.now(),
        };
        let changes = Changes::default()
            .with("type", None, &json!(found.name))
            .with("name", None, &json!(row.name))
            .with("slots", None, &json!(new.values.keys().collect::<Vec<_>>()))
            .masked("values");
        // As the service: row security looks for the credential of a value, and both are written by one statement.
        let mut change = self.store().system_change().await?;
        change.credentials().create(&row).await?;
        change.commit(&sensitive(permit.entry(&id, changes, row.at))).await?;
        self.credential(permit, id).await
    }

    /// Changes a credential of the caller: its values, all of them, or its name or its end alone. Whether instances have
    /// to be given the new values says the version, which counts the values alone.
    pub async fn change_credential(
        &self,
        permit: &CredentialPermit,
        id: CredentialId,
        changed: ChangedCredential,
    ) -> Result<Credential, AccountsError> {
        let before = self.credential_row(permit, id).await?;
        self.check_end(changed.expires_at.flatten())?;
        let slots = match &changed.values {
            None => None,
            Some(values) => {
                let found = self.store().types().get(before.type_id).await?;
                let found = found.ok_or(AccountsError::TypeNotFound { name: before.type_name.clone() })?;
                check_values(&found, values)?;
                Some(self.seal_slots(before.user, before.type_id, id, values))
            }
        };
        let change = CredentialChange {
            id,
            owner: before.user,
            name: changed.name,
            expires_at: changed.expires_at,
            slots,
            actor: permit.actor().clone(),
            at: self.now(),
        };
        let said = told(&before, &change);
        // As the service: instances that hold it are told, wherever their owner runs them.
        let mut transaction = self.store().system_change().await?;
        let done = transaction.credentials().change(&change).await?;
        done.ok_or(AccountsError::NotFound { what: "credential" })?;
        transaction.commit(&sensitive(permit.entry(&id, said, change.at))).await?;
        self.credential(permit, id).await
    }

    /// One credential of the caller.
    pub async fn credential(
        &self,
        permit: &CredentialPermit,
        id: CredentialId,
    ) -> Result<Credential, AccountsError> {
        let row = self.credential_row(permit, id).await?;
        let lead = self.settings_in_force().await?.remind_before;
        Ok(self.seen(row, lead))
    }

    async fn credential_row(
        &self,
        permit: &CredentialPermit,
        id: CredentialId,
    ) -> Result<CredentialRow, AccountsError> {
        let view = permit.view();
        let row = self.store().seen_by(view).credentials().get(id, view.owner()).await?;
        row.ok_or(AccountsError::NotFound { what: "credential" })
    }

    pub(crate) fn seen(&self, row: CredentialRow, lead: std::time::Duration) -> Credential {
        let status = CredentialStatus::of(row.is_active, row.expires_at, lead, self.now());
        Credential { row, status }
    }

    /// Who uses a credential of the caller, and what happened to it.
    pub async fn credential_usage(
        &self,
        permit: &CredentialPermit,
        id: CredentialId,
    ) -> Result<CredentialUsage, AccountsError> {
        let credential = self.credential(permit, id).await?;
        let seen = self.store().seen_by(permit.view());
        let holders = seen.credentials().holders(id).await?;
        let events = seen.credentials().events(id, EVENTS_SHOWN).await?;
        Ok(CredentialUsage { credential, holders, events })
    }

    fn check_end(&self, expires_at: Option<OffsetDateTime>) -> Result<(), AccountsError> {
        match expires_at {
            Some(end) if end <= self.now() => {
                let problem = ("expires_at".to_owned(), "must be in the future".to_owned());
                Err(AccountsError::Invalid(vec![problem]))
            }
            _ => Ok(()),
        }
    }

    fn seal_slots(
        &self,
        owner: UserId,
        type_id: TypeId,
        id: CredentialId,
        values: &BTreeMap<String, SecretString>,
    ) -> Vec<NewSlot> {
        let sealed = |(slot, value): (&String, &SecretString)| NewSlot {
            slot: slot.clone(),
            sealed: self.seal_slot(owner, type_id, slot, id.uuid_bytes(), value.expose_secret()),
            hint: hint_of(value.expose_secret()),
        };
        values.iter().map(sealed).collect()
    }

    /// The caller's credentials, oldest first.
    pub async fn credentials(
        &self,
        permit: &CredentialPermit,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<Credential>, AccountsError> {
        let lead = self.settings_in_force().await?.remind_before;
        let seen = self.store().seen_by(permit.view());
        let page = seen.credentials().page(permit.view(), after, limit).await?;
        let items = page.items.into_iter().map(|row| self.seen(row, lead)).collect();
        Ok(Page { items, next: page.next })
    }

    /// Deletes a credential and destroys its sealed values, unless instances hold it that live, or were lost.
    pub async fn delete_credential(
        &self,
        permit: &CredentialPermit,
        id: CredentialId,
    ) -> Result<DeletedCredential, AccountsError> {
        self.delete_unless(permit, id, Holding::LiveOrLost).await
    }

    /// The same, whether or not lost instances could still be restored with it.
    pub async fn delete_credential_of_the_lost(
        &self,
        permit: &CredentialPermit,
        id: CredentialId,
    ) -> Result<DeletedCredential, AccountsError> {
        self.delete_unless(permit, id, Holding::Live).await
    }

    async fn delete_unless(
        &self,
        permit: &CredentialPermit,
        id: CredentialId,
        holding: Holding,
    ) -> Result<DeletedCredential, AccountsError> {
        let owner = permit.view().owner();
        let now = self.now();
        // As the service: an instance that holds it is found wherever its owner runs it.
        let mut change = self.store().system_change().await?;
        match change.credentials().delete(id, owner, holding, permit.actor(), now).await? {
            Deletion::Done => {
                change.commit(&sensitive(permit.entry(&id, Changes::default(), now))).await?;
                Ok(DeletedCredential::Gone)
            }
            Deletion::Missing => Err(AccountsError::NotFound { what: "credential" }),
            Deletion::Held(holders) => Ok(DeletedCredential::Held(holders)),
        }
    }

    /// Switches a credential off: no launch begins with it any more.
    pub async fn switch_credential_off(
        &self,
        permit: &CredentialPermit,
        id: CredentialId,
    ) -> Result<(), AccountsError> {
        if !self.credential_row(permit, id).await?.is_active {
            return Ok(());
        }
        let mut change = self.store().system_change().await?;
        if !change.credentials().switch_off(id, permit.view().owner()).await? {
            change.nothing_changed().await?;
            return Err(AccountsError::NotFound { what: "credential" });
        }
        let changes = Changes::default().with("is_active", Some(&json!(true)), &json!(false));
        let entry = sensitive(permit.entry(&id, changes, self.now()));
        Ok(change.commit(&NewAudit { action: "credential.switch_off", ..entry }).await?)
    }

    /// Reads and opens a credential, whatever its status; none when there is none of this owner.
    pub async fn open_credential(
        &self,
        owner: UserId,
        id: CredentialId,
    ) -> Result<Option<OpenCredential>, AccountsError> {
        let Some(row) = self.store().credentials().get(id, Some(owner)).await? else { return Ok(None) };
        let mut values = BTreeMap::new();
        for slot in self.store().credentials().sealed_slots(id).await? {
            let opened = self.open_slot(owner, row.type_id, &slot.slot, id.uuid_bytes(), &slot.sealed)?;
            values.insert(slot.slot, opened);
        }
        Ok(Some(OpenCredential { row, values }))
    }

    /// Writes down what a credential's service said of the values of a version. False when they were replaced meanwhile.
    pub async fn credential_validated(
        &self,
        permit: &CredentialPermit,
        id: CredentialId,
        version: i32,
        validity: Validity,
    ) -> Result<bool, AccountsError> {
        let (actor, at) = (permit.actor(), self.now());
        let mut change = self.store().change(permit.view()).await?;
        if !change.credentials().validated(id, version, validity, actor, at).await? {
            change.nothing_changed().await?;
            return Ok(false);
        }
        let changes = Changes::default().with("validity", None, &json!(validity.as_str()));
        change.commit(&permit.entry(&id, changes, at)).await?;
        Ok(true)
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

/// Whether the values fit the type's slots.
fn check_values(found: &TypeRow, values: &BTreeMap<String, SecretString>) -> Result<(), AccountsError> {
    let spec: TypeSpec = crate::types::spec_of(found)?;
    let problems = roadstead_catalog::check_credentials(&spec.credential_slots, values);
    if problems.is_empty() {
        return Ok(());
    }
    // A launch calls `credentials` what is called `values` here.
    let named = |problem: roadstead_catalog::Problem| {
        (problem.field.replacen("credentials", "values", 1), problem.message)
    };
    Err(AccountsError::Invalid(problems.into_iter().map(named).collect()))
}

/// What of a credential is changed; of its values, that they are.
fn told(before: &CredentialRow, change: &CredentialChange) -> Changes {
    let mut changes = Changes::default();
    if let Some(name) = &change.name {
        changes = changes.with("name", Some(&json!(before.name)), &json!(name));
    }
    if let Some(end) = change.expires_at {
        let at = |end: Option<OffsetDateTime>| json!(end.map(OffsetDateTime::unix_timestamp));
        changes = changes.with("expires_at", Some(&at(before.expires_at)), &at(end));
    }
    if change.slots.is_some() { changes.masked("values") } else { changes }
}

fn sensitive(entry: NewAudit) -> NewAudit {
    NewAudit { sensitive: true, ..entry }
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
