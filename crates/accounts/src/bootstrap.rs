//! The first start: a platform admin and one key of all scopes.

use roadstead_crypto::PlainToken;

use crate::users::NewUser;
use crate::{Accounts, AccountsError};

/// The first platform admin's address until somebody changes it.
const ADMIN_EMAIL: &str = "admin@localhost";

impl Accounts {
    /// Makes the first platform admin and their key, unless there is an admin already. The key is the one `given`,
    /// or a new one, which is given once.
    pub async fn bootstrap(&self, given: Option<PlainToken>) -> Result<Option<PlainToken>, AccountsError> {
        if self.store().users().any_admin_exists().await? {
            return Ok(None);
        }
        let new =
            NewUser { email: ADMIN_EMAIL.to_owned(), name: "Platform admin".to_owned(), is_admin: true };
        let admin = self.insert_user(new).await?;
        let key = self.insert_key(admin.id, "first key".to_owned(), given).await?;
        Ok(Some(key))
    }

    /// Makes another key of all scopes for the first platform admin: for a profile that was lost.
    pub async fn another_admin_key(&self) -> Result<PlainToken, AccountsError> {
        let admin = self.store().users().by_email(ADMIN_EMAIL).await?;
        let admin = admin.ok_or(AccountsError::NotFound { what: "platform admin" })?;
        self.insert_key(admin.id, "profile key".to_owned(), None).await
    }
}
