//! Users: each with a personal organisation and project. Platform admins look after them; each changes what is their own.

use roadstead_access::{AdminPermit, Permit, RuleBroken};
use roadstead_model::{Changes, OrganizationId, ProjectId, UserId, UserStatus};
use roadstead_store::{
    Change, MembershipRow, Page, PageRequest, PeopleFilter, PersonRow, StoreError, UserRow,
};
use serde_json::{Map, Value};

use crate::organizations::{expect, set};
use crate::{Accounts, AccountsError};

/// A user to be.
#[derive(Debug)]
pub struct NewUser {
    /// Unique, without regard to case.
    pub email: String,
    /// For people.
    pub name: String,
    /// Whether the user is a platform admin.
    pub is_admin: bool,
}

/// What is to become different of a user. What is none stays; a none within empties the field.
#[derive(Debug, Default)]
pub struct PersonPatch {
    /// The address; by platform admins only.
    pub email: Option<String>,
    /// For people.
    pub name: Option<String>,
    /// A picture.
    pub avatar_url: Option<Option<String>>,
    /// An IANA name.
    pub timezone: Option<String>,
    /// As in BCP 47.
    pub locale: Option<String>,
    /// Whether they administer the platform; by platform admins only.
    pub is_admin: Option<bool>,
    /// What they chose, all of it.
    pub settings: Option<Map<String, Value>>,
    /// What platform admins note; by them only.
    pub metadata: Option<Map<String, Value>>,
}

impl Accounts {
    /// Creates a user.
    pub async fn create_user(&self, permit: &AdminPermit, new: NewUser) -> Result<PersonRow, AccountsError> {
        let row = self.row_of(new, UserStatus::Active);
        let mut change = self.store().change(permit.view()).await?;
        change.users().create(&row).await?;
        let made = change.users().person(row.id).await?.ok_or(MISSING)?;
        change.commit(&permit.entry(&row.id, Changes::created(&made), row.at)).await?;
        Ok(made)
    }

    /// A row with fresh ids.
    pub(crate) fn row_of(&self, new: NewUser, status: UserStatus) -> roadstead_store::NewUser {
        let (clock, mut rng) = (&*self.0.clock, self.0.randomness.lock());
        roadstead_store::NewUser {
            id: UserId::new(clock, &mut *rng),
            email: new.email,
            name: new.name,
            is_admin: new.is_admin,
            status,
            organization: OrganizationId::new(clock, &mut *rng),
            project: ProjectId::new(clock, &mut *rng),
            at: clock.now(),
        }
    }

    /// Users, for a platform admin.
    pub async fn users(
        &self,
        permit: &AdminPermit,
        filter: &PeopleFilter,
        page: PageRequest,
    ) -> Result<Page<PersonRow>, AccountsError> {
        Ok(self.store().seen_by(permit.view()).users().people(filter, page).await?)
    }

    /// One user: the caller, or for a platform admin anybody.
    pub async fn person(&self, permit: &Permit, id: UserId) -> Result<PersonRow, AccountsError> {
        own(permit, id)?;
        self.store().seen_by(permit.view()).users().person(id).await?.ok_or(MISSING)
    }

    /// The organisations that the caller takes part in or is invited to.
    pub async fn memberships(&self, permit: &Permit) -> Result<Vec<MembershipRow>, AccountsError> {
        Ok(self.store().seen_by(permit.view()).members().of_user(permit.user()).await?)
    }

    /// Changes what is said of a user: the caller's own, or for a platform admin anybody's.
    pub async fn patch_person(
        &self,
        permit: &Permit,
        id: UserId,
        expected: Option<i32>,
        patch: PersonPatch,
    ) -> Result<PersonRow, AccountsError> {
        self.change_person(permit, id, expected, |row| {
            let PersonPatch { email, name, avatar_url, timezone, locale, is_admin, settings, metadata } =
                patch;
            if row.deleted_at.is_some() {
                return Err(MISSING);
            }
            set(&mut row.email, email);
            set(&mut row.name, name);
            set(&mut row.avatar_url, avatar_url);
            set(&mut row.timezone, timezone);
            set(&mut row.locale, locale);
            set(&mut row.is_admin, is_admin);
            set(&mut row.settings, settings.map(Value::Object));
            set(&mut row.metadata, metadata.map(Value::Object));
            Ok(())
        })
        .await
    }

    /// Suspends a user: their keys open nothing until they are reinstated.
    pub async fn suspend_user(
        &self,
        permit: &AdminPermit,
        id: UserId,
        expected: Option<i32>,
        reason: Option<String>,
    ) -> Result<PersonRow, AccountsError> {
        self.change_person(permit, id, expected, |row| {
            if row.deleted_at.is_some() {
                return Err(MISSING);
            }
            row.status = UserStatus::Suspended;
            row.suspended_reason = reason;
            Ok(())
        })
        .await
    }

    /// Lets a user act again who was suspended, is deleted and not yet erased, or was invited.
    pub async fn reinstate_user(
        &self,
        permit: &AdminPermit,
        id: UserId,
        expected: Option<i32>,
    ) -> Result<PersonRow, AccountsError> {
        self.change_person(permit, id, expected, |row| {
            row.status = UserStatus::Active;
            (row.suspended_reason, row.deleted_at, row.erase_after) = (None, None, None);
            Ok(())
        })
        .await
    }

    pub(crate) async fn change_person(
        &self,
        permit: &Permit,
        id: UserId,
        expected: Option<i32>,
        apply: impl FnOnce(&mut PersonRow) -> Result<(), AccountsError> + Send,
    ) -> Result<PersonRow, AccountsError> {
        own(permit, id)?;
        let mut change = self.store().change(permit.view()).await?;
        let before = locked(&mut change, id, expected).await?;
        let mut after = before.clone();
        apply(&mut after)?;
        if after == before {
            change.nothing_changed().await?;
            return Ok(before);
        }
        keep_an_admin(&mut change, &before, &after).await?;
        change.users().save(&after).await?;
        let saved = change.users().person(id).await?.ok_or(MISSING)?;
        change.commit(&permit.entry(&id, Changes::between(&before, &saved), self.now())).await?;
        Ok(saved)
    }

    /// Makes a user by the service itself.
    pub(crate) async fn insert_user(&self, new: NewUser) -> Result<UserRow, AccountsError> {
        let row = self.row_of(new, UserStatus::Active);
        let mut change = self.store().system_change().await?;
        change.users().create(&row).await?;
        let mut entry = roadstead_model::NewAudit::by_system("user.create", row.at);
        entry.resource_id = Some(row.id.to_string());
        change.commit(&entry).await?;
        self.store().users().get(row.id).await?.ok_or(MISSING)
    }
}

pub(crate) const MISSING: AccountsError = AccountsError::NotFound { what: "user" };

/// Whose account a permit reaches.
pub(crate) fn own(permit: &Permit, id: UserId) -> Result<(), AccountsError> {
    if permit.view().owner().is_none_or(|owner| owner == id) { Ok(()) } else { Err(MISSING) }
}

pub(crate) async fn locked(
    change: &mut Change<'_>,
    id: UserId,
    expected: Option<i32>,
) -> Result<PersonRow, AccountsError> {
    let row = change.users().lock(id).await?.ok_or(MISSING)?;
    expect(expected, row.version)?;
    Ok(row)
}

/// A platform without an admin could never be changed again.
pub(crate) async fn keep_an_admin(
    change: &mut Change<'_>,
    before: &PersonRow,
    after: &PersonRow,
) -> Result<(), AccountsError> {
    let was = before.is_admin && before.is_active();
    let stays = after.is_admin && after.is_active();
    if !was || stays {
        return Ok(());
    }
    let another: Result<bool, StoreError> = change.users().another_admin(before.id).await;
    if another? { Ok(()) } else { Err(RuleBroken::LastAdmin.into()) }
}
