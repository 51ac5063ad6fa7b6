//! All that is said about users, deleted ones too: for whoever looks after people. What the service itself asks of one is in
//! [`crate::user`].

use std::net::IpAddr;

use roadstead_model::{Audited, Care, OrganizationId, ProjectId, UserId, UserStatus};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::{Db, Within};
use crate::error::During;
use crate::page::one_more;
use crate::user::Users;
use crate::{Cursor, Page, PageRequest, StoreError, convert};

const TABLE: &str = "users";

/// A user.
#[derive(Debug, Clone, PartialEq)]
pub struct PersonRow {
    /// The user's id.
    pub id: UserId,
    /// Unique among users that are not deleted, whatever its case.
    pub email: String,
    /// What to call them.
    pub name: String,
    /// A picture of them.
    pub avatar_url: Option<String>,
    /// Their time zone, by its IANA name.
    pub timezone: String,
    /// Their language, as in BCP 47.
    pub locale: String,
    /// Whether they may act, unless deleted.
    pub status: UserStatus,
    /// Why they were suspended.
    pub suspended_reason: Option<String>,
    /// Whether they administer the platform.
    pub is_admin: bool,
    /// What new things of theirs belong to.
    pub default_organization: OrganizationId,
    /// What new things of theirs belong to.
    pub default_project: ProjectId,
    /// What they chose, a JSON object.
    pub settings: Value,
    /// What platform admins note of them, a JSON object.
    pub metadata: Value,
    /// When they signed in last.
    pub last_login_at: Option<OffsetDateTime>,
    /// From where they signed in last.
    pub last_login_ip: Option<IpAddr>,
    /// Counts the changes, from 1.
    pub version: i32,
    /// When they were created.
    pub created_at: OffsetDateTime,
    /// When they were changed last.
    pub updated_at: OffsetDateTime,
    /// When the account was deleted.
    pub deleted_at: Option<OffsetDateTime>,
    /// When a deleted account is erased.
    pub erase_after: Option<OffsetDateTime>,
}

impl Audited for PersonRow {
    fn fields(&self) -> Vec<(&'static str, Value, Care)> {
        vec![
            ("email", json!(self.email), Care::Masked),
            ("name", json!(self.name), Care::Masked),
            ("avatar_url", json!(self.avatar_url), Care::Masked),
            ("timezone", json!(self.timezone), Care::Masked),
            ("locale", json!(self.locale), Care::Masked),
            ("status", json!(self.status.as_str()), Care::Plain),
            ("suspended_reason", json!(self.suspended_reason), Care::Masked),
            ("is_admin", json!(self.is_admin), Care::Plain),
            ("settings", self.settings.clone(), Care::Masked),
            ("metadata", self.metadata.clone(), Care::Masked),
            ("deleted", json!(self.deleted_at.is_some()), Care::Plain),
        ]
    }
}

impl PersonRow {
    /// Whether they may act.
    pub fn is_active(&self) -> bool {
        self.status == UserStatus::Active && self.deleted_at.is_none()
    }

    const fn cursor(&self) -> Cursor {
        Cursor { at: self.created_at, id: self.id.uuid() }
    }
}

/// Which users are wanted.
#[derive(Debug, Clone, Default)]
pub struct PeopleFilter {
    /// With words of the name or the address that begin so, or with this address.
    pub search: Option<String>,
    /// Of this status.
    pub status: Option<UserStatus>,
    /// Those that were deleted, instead of those that were not.
    pub deleted: bool,
}

struct Record {
    id: Uuid,
    email: String,
    name: String,
    avatar_url: Option<String>,
    timezone: String,
    locale: String,
    status: String,
    suspended_reason: Option<String>,
    is_admin: bool,
    default_organization_id: Uuid,
    default_project_id: Uuid,
    settings: Value,
    metadata: Value,
    last_login_at: Option<OffsetDateTime>,
    last_login_ip: Option<String>,
    version: i32,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
    deleted_at: Option<OffsetDateTime>,
    erase_after: Option<OffsetDateTime>,
}

impl TryFrom<Record> for PersonRow {
    type Error = StoreError;

    fn try_from(record: Record) -> Result<Self, StoreError> {
        let wrong = |why: String| StoreError::inconsistent(TABLE, record.id, why);
        let status = record.status.parse();
        Ok(Self {
            id: UserId::from_uuid(record.id),
            email: record.email,
            name: record.name,
            avatar_url: record.avatar_url,
            timezone: record.timezone,
            locale: record.locale,
            status: status.map_err(|error: roadstead_model::era::UnknownWord| wrong(error.to_string()))?,
            suspended_reason: record.suspended_reason,
            is_admin: record.is_admin,
            default_organization: OrganizationId::from_uuid(record.default_organization_id),
            default_project: ProjectId::from_uuid(record.default_project_id),
            settings: record.settings,
            metadata: record.metadata,
            last_login_at: record.last_login_at,
            last_login_ip: convert::address(record.last_login_ip.as_deref()).map_err(wrong)?,
            version: record.version,
            created_at: record.created_at,
            updated_at: record.updated_at,
            deleted_at: record.deleted_at,
            erase_after: record.erase_after,
        })
    }
}

/// Users, deleted ones too; `$tail` begins with the condition.
macro_rules! select {
    ($tail:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Record,
            "select id, email, name, avatar_url, timezone, locale, status, suspended_reason, is_admin, default_organization_id,
                    default_project_id, settings, metadata, last_login_at, host(last_login_ip) as last_login_ip, version,
                    created_at, updated_at, deleted_at, erase_after
             from users " + $tail
            $(, $argument)*
        )
    };
}

impl<D: Db> Users<D> {
    /// The user of an id, deleted or not.
    #[tracing::instrument(name = "db.user.person", skip_all, fields(user.id = %id), err(level = "debug"))]
    pub async fn person(&mut self, id: UserId) -> Result<Option<PersonRow>, StoreError> {
        const NAME: &str = "db.user.person";
        let mut connection = self.db.connection().await.during(NAME)?;
        let record =
            select!("where id = $1", id.uuid()).fetch_optional(&mut *connection).await.during(NAME)?;
        connection.done().await.during(NAME)?;
        record.map(PersonRow::try_from).transpose()
    }

    /// The users that a filter lets through, oldest first.
    #[tracing::instrument(name = "db.user.people", skip_all, err(level = "debug"))]
    pub async fn people(
        &mut self,
        filter: &PeopleFilter,
        page: PageRequest,
    ) -> Result<Page<PersonRow>, StoreError> {
        const NAME: &str = "db.user.people";
        let mut connection = self.db.connection().await.during(NAME)?;
        let records = select!(
            "where (deleted_at is not null) = $1 and ($2::text is null or status = $2)
             and ($3::text is null or to_tsvector('simple', name || ' ' || email) @@ to_tsquery('simple', $3)
                  or lower(email) = lower($4))
             and ($5::timestamptz is null or (created_at, id) > ($5, $6::uuid))
             order by created_at, id limit $7",
            filter.deleted,
            filter.status.map(UserStatus::as_str),
            filter.search.as_deref().map(prefixes),
            filter.search,
            page.after.map(|cursor| cursor.at),
            page.after.map(|cursor| cursor.id),
            one_more(page.limit),
        )
        .fetch_all(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        let rows = records.into_iter().map(PersonRow::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::cut(rows, page.limit, PersonRow::cursor))
    }

    /// A user, deleted or not, held until the transaction ends: whoever else would change them waits, and so does whoever would
    /// start something for them.
    #[tracing::instrument(name = "db.user.lock", skip_all, fields(user.id = %id), err(level = "debug"))]
    pub async fn lock(&mut self, id: UserId) -> Result<Option<PersonRow>, StoreError> {
        const NAME: &str = "db.user.lock";
        let mut connection = self.db.connection().await.during(NAME)?;
        let record = select!("where id = $1 for no key update", id.uuid())
            .fetch_optional(&mut *connection)
            .await
            .during(NAME)?;
        connection.done().await.during(NAME)?;
        record.map(PersonRow::try_from).transpose()
    }

    /// Writes what may be changed of one that is held; answers with the new version.
    #[tracing::instrument(name = "db.user.save", skip_all, fields(user.id = %row.id), err(level = "debug"))]
    pub async fn save(&mut self, row: &PersonRow) -> Result<i32, StoreError> {
        const NAME: &str = "db.user.save";
        let mut connection = self.db.connection().await.during(NAME)?;
        let version = sqlx::query_scalar!(
            "update users set email = $2, name = $3, avatar_url = $4, timezone = $5, locale = $6, status = $7,
                    suspended_reason = $8, is_admin = $9, settings = $10, metadata = $11, deleted_at = $12, erase_after = $13,
                    is_active = $14, version = version + 1
             where id = $1 returning version",
            row.id.uuid(),
            row.email,
            row.name,
            row.avatar_url,
            row.timezone,
            row.locale,
            row.status.as_str(),
            row.suspended_reason,
            row.is_admin,
            row.settings,
            row.metadata,
            row.deleted_at,
            row.erase_after,
            row.is_active(),
        )
        .fetch_one(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        Ok(version)
    }

    /// Revokes every key of a user.
    #[tracing::instrument(name = "db.user.revoke_keys", skip_all, fields(user.id = %id), err(level = "debug"))]
    pub async fn revoke_keys(
        &mut self,
        id: UserId,
        reason: &str,
        at: OffsetDateTime,
    ) -> Result<u64, StoreError> {
        const NAME: &str = "db.user.revoke_keys";
        let mut connection = self.db.connection().await.during(NAME)?;
        let done = sqlx::query!(
            "update api_keys set is_active = false, revoked_at = $3, revoke_reason = $2 where user_id = $1 and is_active",
            id.uuid(),
            reason,
            at,
        )
        .execute(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        Ok(done.rows_affected())
    }

    /// Whether somebody else administers the platform. All that do are held until the transaction ends: of two who would
    /// leave at once, one sees that the other does.
    #[tracing::instrument(name = "db.user.another_admin", skip_all, fields(user.id = %id), err(level = "debug"))]
    pub async fn another_admin(&mut self, id: UserId) -> Result<bool, StoreError> {
        const NAME: &str = "db.user.another_admin";
        let mut connection = self.db.connection().await.during(NAME)?;
        let admins = sqlx::query_scalar!(
            "select id from users where is_admin and is_active and deleted_at is null order by id for no key update",
        )
        .fetch_all(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        Ok(admins.into_iter().any(|admin| admin != id.uuid()))
    }

    /// Accounts whose time to be erased has come, the longest due first.
    #[tracing::instrument(name = "db.user.to_erase", skip_all, err(level = "debug"))]
    pub async fn to_erase(&mut self, now: OffsetDateTime, limit: u32) -> Result<Vec<UserId>, StoreError> {
        const NAME: &str = "db.user.to_erase";
        let mut connection = self.db.connection().await.during(NAME)?;
        let ids = sqlx::query_scalar!(
            "select id from users where erase_after <= $1 order by erase_after limit $2",
            now,
            i64::from(limit),
        )
        .fetch_all(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        Ok(ids.into_iter().map(UserId::from_uuid).collect())
    }
}

impl Users<Within<'_>> {
    /// Erases a deleted account whose time has come, with all that is the user's: instances and what they said, credentials,
    /// keys, memberships, and the organisations that nobody else is a member of. False when it is not due.
    #[tracing::instrument(name = "db.user.erase", skip_all, fields(user.id = %id), err(level = "debug"))]
    pub async fn erase(&mut self, id: UserId, now: OffsetDateTime) -> Result<bool, StoreError> {
        const NAME: &str = "db.user.erase";
        let mut connection = self.db.connection().await.during(NAME)?;
        let organizations = sqlx::query_scalar!(
            "select o.id from organizations o join org_members mine on mine.organization_id = o.id and mine.user_id = $1
             where not exists (select from org_members m where m.organization_id = o.id and m.user_id <> $1)",
            id.uuid(),
        )
        .fetch_all(&mut *connection)
        .await
        .during(NAME)?;
        let erased = sqlx::query!("delete from users where id = $1 and erase_after <= $2", id.uuid(), now)
            .execute(&mut *connection)
            .await
            .during(NAME)?;
        if erased.rows_affected() == 0 {
            return Ok(false);
        }
        for organization in organizations {
            remove_organization(&mut connection, organization, now).await?;
        }
        Ok(true)
    }
}

/// Removes an organisation without members. What somebody who left has done in it is theirs, and needs it: then it stays,
/// without a name.
async fn remove_organization(
    connection: &mut PgConnection,
    id: Uuid,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    const NAME: &str = "db.user.erase";
    let mut attempt = connection.begin().await.during(NAME)?;
    let projects = sqlx::query!("delete from projects where organization_id = $1", id);
    let removed = match projects.execute(&mut *attempt).await.during(NAME) {
        Ok(_) => {
            let organization = sqlx::query!("delete from organizations where id = $1", id);
            organization.execute(&mut *attempt).await.during(NAME)
        }
        Err(error) => Err(error),
    };
    match removed {
        Ok(_) => attempt.commit().await.during(NAME),
        Err(StoreError::Missing { .. } | StoreError::Refused { .. }) => {
            attempt.rollback().await.during(NAME)?;
            sqlx::query!(
                "update organizations set name = 'erased', slug = 'erased-' || id::text, billing_email = null,
                        support_email = null, deleted_at = coalesce(deleted_at, $2), version = version + 1
                 where id = $1",
                id,
                now,
            )
            .execute(connection)
            .await
            .during(NAME)
            .map(drop)
        }
        Err(error) => Err(error),
    }
}

/// A search for words that begin as these do. Each word is quoted: nothing in it is an operator.
fn prefixes(text: &str) -> String {
    let quoted = |word: &str| format!("'{}':*", word.replace('\\', "\\\\").replace('\'', "''"));
    text.split_whitespace().map(quoted).collect::<Vec<_>>().join(" & ")
}

#[cfg(test)]
mod tests {
    #[test]
    fn words_of_a_search_are_quoted() {
        assert_eq!(super::prefixes("ada  o'neil & |"), r"'ada':* & 'o''neil':* & '&':* & '|':*");
    }
}
