//! Users: each with a personal organisation and project.

use roadstead_access::{AdminPermit, Caller};
use roadstead_model::{OrganizationId, ProjectId, UserId};
use roadstead_store::{Page, PageRequest, UserRow};

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

impl Accounts {
    /// Creates a user.
    pub async fn create_user(&self, _permit: &AdminPermit, new: NewUser) -> Result<UserRow, AccountsError> {
        self.insert_user(new).await
    }

    pub(crate) async fn insert_user(&self, new: NewUser) -> Result<UserRow, AccountsError> {
        let row = {
            let clock = &*self.0.clock;
            let mut rng = self.0.randomness.lock();
            roadstead_store::NewUser {
                id: UserId::new(clock, &mut *rng),
                email: new.email,
                name: new.name,
                is_admin: new.is_admin,
                organization: OrganizationId::new(clock, &mut *rng),
                project: ProjectId::new(clock, &mut *rng),
                at: clock.now(),
            }
        };
        self.store().users().create(&row).await?;
        self.store().users().get(row.id).await?.ok_or(AccountsError::NotFound { what: "user" })
    }

    /// Users, for a platform admin.
    pub async fn users(
        &self,
        _permit: &AdminPermit,
        page: PageRequest,
    ) -> Result<Page<UserRow>, AccountsError> {
        Ok(self.store().users().list(page).await?)
    }

    /// The caller's own row.
    pub async fn user_of(&self, caller: &Caller) -> Result<UserRow, AccountsError> {
        self.store().users().get(caller.user).await?.ok_or(AccountsError::NotFound { what: "user" })
    }
}
