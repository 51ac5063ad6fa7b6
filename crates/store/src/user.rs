//! Users, each with an organisation and a project of their own.

use roadstead_model::{OrganizationId, ProjectId, UserId, UserStatus};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::StoreError;
use crate::db::{Db, System};
use crate::error::During;

/// A user to create, with the ids of the personal organisation and project that come along.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// The user's id.
    pub id: UserId,
    /// Unique among users that are not deleted, whatever its case.
    pub email: String,
    /// What to call them.
    pub name: String,
    /// Whether they administer the platform.
    pub is_admin: bool,
    /// Whether they may act at once, or were invited.
    pub status: UserStatus,
    /// The personal organisation's id.
    pub organization: OrganizationId,
    /// The personal project's id.
    pub project: ProjectId,
    /// Now.
    pub at: OffsetDateTime,
}

/// A user who is not deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRow {
    /// The user's id.
    pub id: UserId,
    /// The address they are known by.
    pub email: String,
    /// What to call them.
    pub name: String,
    /// Whether they may do anything at all.
    pub is_active: bool,
    /// Whether they administer the platform.
    pub is_admin: bool,
    /// What new things of theirs belong to.
    pub default_organization: OrganizationId,
    /// What new things of theirs belong to.
    pub default_project: ProjectId,
    /// When they were created.
    pub created_at: OffsetDateTime,
    /// When they were changed last.
    pub updated_at: OffsetDateTime,
}

struct Record {
    id: Uuid,
    email: String,
    name: String,
    is_active: bool,
    is_admin: bool,
    default_organization_id: Uuid,
    default_project_id: Uuid,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl From<Record> for UserRow {
    fn from(record: Record) -> Self {
        Self {
            id: UserId::from_uuid(record.id),
            email: record.email,
            name: record.name,
            is_active: record.is_active,
            is_admin: record.is_admin,
            default_organization: OrganizationId::from_uuid(record.default_organization_id),
            default_project: ProjectId::from_uuid(record.default_project_id),
            created_at: record.created_at,
            updated_at: record.updated_at,
        }
    }
}

/// The users' rows.
#[derive(Debug, Clone, Copy)]
pub struct Users<D> {
    pub(crate) db: D,
}

impl<D: Db> Users<D> {
    /// Creates a user with a personal organisation and project, all or nothing. The project has no rate of its own: the
    /// user's holds.
    #[tracing::instrument(name = "db.user.create", skip_all, fields(user.id = %new.id), err(level = "debug"))]
    pub async fn create(&mut self, new: &NewUser) -> Result<(), StoreError> {
        const NAME: &str = "db.user.create";
        let mut connection = self.db.connection().await.during(NAME)?;
        sqlx::query!(
            "with organization as (
               insert into organizations (id, name, slug, personal_of, created_at, updated_at)
               values ($2, $4, 'personal-' || $1::uuid::text, $1, $6, $6)
             ), member as (
               insert into org_members (id, organization_id, user_id, role, accepted_at, created_at, updated_at)
               values (uuid_v7($6), $2, $1, 'owner', $6, $6, $6)
             ), project as (
               insert into projects (id, organization_id, name, slug, quotas, created_at, updated_at)
               values ($3, $2, 'Default', 'default', '{}', $6, $6)
             )
             insert into users (id, email, name, is_admin, default_organization_id, default_project_id, status, is_active,
                                created_at, updated_at)
             values ($1, $5, $4, $7, $2, $3, $8, $8 = 'active', $6, $6)",
            new.id.uuid(),
            new.organization.uuid(),
            new.project.uuid(),
            new.name,
            new.email,
            new.at,
            new.is_admin,
            new.status.as_str(),
        )
        .execute(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)
    }
}

impl Users<System<'_>> {
    /// The user of an id.
    #[tracing::instrument(name = "db.user.get", skip_all, fields(user.id = %id), err(level = "debug"))]
    pub async fn get(&self, id: UserId) -> Result<Option<UserRow>, StoreError> {
        let record = sqlx::query_as!(
            Record,
            "select id, email, name, is_active, is_admin, default_organization_id, default_project_id,
                    created_at, updated_at
             from users where id = $1 and deleted_at is null",
            id.uuid(),
        )
        .fetch_optional(self.db.pool)
        .await
        .during("db.user.get")?;
        Ok(record.map(UserRow::from))
    }

    /// The user of an address, whatever its case.
    #[tracing::instrument(name = "db.user.by_email", skip_all, err(level = "debug"))]
    pub async fn by_email(&self, email: &str) -> Result<Option<UserRow>, StoreError> {
        let record = sqlx::query_as!(
            Record,
            "select id, email, name, is_active, is_admin, default_organization_id, default_project_id,
                    created_at, updated_at
             from users where lower(email) = lower($1) and deleted_at is null",
            email,
        )
        .fetch_optional(self.db.pool)
        .await
        .during("db.user.by_email")?;
        Ok(record.map(UserRow::from))
    }

    /// Whether anybody administers the platform: if not, the first start makes one.
    #[tracing::instrument(name = "db.user.any_admin_exists", skip_all, err(level = "debug"))]
    pub async fn any_admin_exists(&self) -> Result<bool, StoreError> {
        sqlx::query_scalar!(
            r#"select exists (select from users where is_admin and is_active and deleted_at is null) as "any!""#
        )
        .fetch_one(self.db.pool)
        .await
        .during("db.user.any_admin_exists")
    }

    /// How many users there are.
    #[tracing::instrument(name = "db.user.count", skip_all, err(level = "debug"))]
    pub async fn count(&self) -> Result<u64, StoreError> {
        let count = sqlx::query_scalar!(r#"select count(*) as "count!" from users where deleted_at is null"#)
            .fetch_one(self.db.pool)
            .await
            .during("db.user.count")?;
        Ok(u64::try_from(count).unwrap_or(0))
    }
}
