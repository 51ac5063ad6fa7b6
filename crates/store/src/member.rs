//! Members of organisations: roles, and invitations that were not answered yet.

use roadstead_model::{Audited, Care, MemberId, MemberStatus, OrganizationId, Role, UserId};
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::Db;
use crate::error::During;
use crate::page::one_more;
use crate::{Cursor, Page, PageRequest, StoreError};

const TABLE: &str = "org_members";

/// An invitation to write down.
#[derive(Debug, Clone)]
pub struct NewInvitation {
    /// The membership's id.
    pub id: MemberId,
    /// To what.
    pub organization: OrganizationId,
    /// Whom.
    pub user: UserId,
    /// What they are to be.
    pub role: Role,
    /// Who invites them.
    pub invited_by: UserId,
    /// The SHA-256 of its token.
    pub hash: [u8; 32],
    /// When the token stops working.
    pub expires_at: OffsetDateTime,
    /// Now.
    pub at: OffsetDateTime,
}

/// A membership, with what is shown of its user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRow {
    /// Its id.
    pub id: MemberId,
    /// Of what.
    pub organization: OrganizationId,
    /// Who.
    pub user: UserId,
    /// The user's address.
    pub email: String,
    /// What to call them.
    pub name: String,
    /// What they are.
    pub role: Role,
    /// Whether they take part.
    pub status: MemberStatus,
    /// Who invited them.
    pub invited_by: Option<UserId>,
    /// When they were invited.
    pub invited_at: Option<OffsetDateTime>,
    /// When they answered.
    pub accepted_at: Option<OffsetDateTime>,
    /// When the invitation's token stops working.
    pub invite_expires_at: Option<OffsetDateTime>,
    /// Counts the changes, from 1.
    pub version: i32,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it was changed last.
    pub updated_at: OffsetDateTime,
}

impl Audited for MemberRow {
    fn fields(&self) -> Vec<(&'static str, Value, Care)> {
        vec![
            ("role", json!(self.role.as_str()), Care::Plain),
            ("status", json!(self.status.as_str()), Care::Plain),
        ]
    }
}

impl MemberRow {
    const fn cursor(&self) -> Cursor {
        Cursor { at: self.created_at, id: self.id.uuid() }
    }
}

/// A membership as its own user sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembershipRow {
    /// Of what.
    pub organization: OrganizationId,
    /// Its name.
    pub name: String,
    /// Its short name.
    pub slug: String,
    /// What the user is there.
    pub role: Role,
    /// Whether they take part.
    pub status: MemberStatus,
    /// Since when.
    pub created_at: OffsetDateTime,
}

struct Record {
    id: Uuid,
    organization_id: Uuid,
    user_id: Uuid,
    email: String,
    name: String,
    role: String,
    status: String,
    invited_by: Option<Uuid>,
    invited_at: Option<OffsetDateTime>,
    accepted_at: Option<OffsetDateTime>,
    invite_expires_at: Option<OffsetDateTime>,
    version: i32,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl TryFrom<Record> for MemberRow {
    type Error = StoreError;

    fn try_from(record: Record) -> Result<Self, StoreError> {
        let wrong = |error: roadstead_model::era::UnknownWord| {
            StoreError::inconsistent(TABLE, record.id, error.to_string())
        };
        Ok(Self {
            id: MemberId::from_uuid(record.id),
            organization: OrganizationId::from_uuid(record.organization_id),
            user: UserId::from_uuid(record.user_id),
            email: record.email,
            name: record.name,
            role: record.role.parse().map_err(wrong)?,
            status: record.status.parse().map_err(wrong)?,
            invited_by: record.invited_by.map(UserId::from_uuid),
            invited_at: record.invited_at,
            accepted_at: record.accepted_at,
            invite_expires_at: record.invite_expires_at,
            version: record.version,
            created_at: record.created_at,
            updated_at: record.updated_at,
        })
    }
}

/// Memberships of users who are not deleted; `$tail` goes on with the condition.
macro_rules! select {
    ($tail:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Record,
            "select m.id, m.organization_id, m.user_id, u.email, u.name, m.role, m.status, m.invited_by, m.invited_at,
                    m.accepted_at, m.invite_expires_at, m.version, m.created_at, m.updated_at
             from org_members m join users u on u.id = m.user_id
             where u.deleted_at is null " + $tail
            $(, $argument)*
        )
    };
}

/// The members' rows.
#[derive(Debug, Clone, Copy)]
pub struct Members<D> {
    pub(crate) db: D,
}

impl<D: Db> Members<D> {
    /// Writes an invitation down; one that was not answered yet is replaced, with its token. False when they are a member.
    #[tracing::instrument(name = "db.member.invite", skip_all, fields(organization.id = %new.organization), err(level = "debug"))]
    pub async fn invite(&mut self, new: &NewInvitation) -> Result<bool, StoreError> {
        const NAME: &str = "db.member.invite";
        let mut connection = self.db.connection().await.during(NAME)?;
        let done = sqlx::query!(
            "insert into org_members as m (id, organization_id, user_id, role, status, invited_by, invited_at, invite_hash,
                                           invite_expires_at, created_at, updated_at)
             values ($1, $2, $3, $4, 'invited', $5, $8, $6, $7, $8, $8)
             on conflict on constraint org_members_once do update
             set role = excluded.role, invited_by = excluded.invited_by, invited_at = excluded.invited_at,
                 invite_hash = excluded.invite_hash, invite_expires_at = excluded.invite_expires_at, version = m.version + 1
             where m.status = 'invited'",
            new.id.uuid(),
            new.organization.uuid(),
            new.user.uuid(),
            new.role.as_str(),
            new.invited_by.uuid(),
            &new.hash[..],
            new.expires_at,
            new.at,
        )
        .execute(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        Ok(done.rows_affected() == 1)
    }

    /// The membership of a user in an organisation.
    #[tracing::instrument(name = "db.member.get", skip_all, fields(organization.id = %organization, user.id = %user), err(level = "debug"))]
    pub async fn get(
        &mut self,
        organization: OrganizationId,
        user: UserId,
    ) -> Result<Option<MemberRow>, StoreError> {
        const NAME: &str = "db.member.get";
        let mut connection = self.db.connection().await.during(NAME)?;
        let record =
            select!("and m.organization_id = $1 and m.user_id = $2", organization.uuid(), user.uuid())
                .fetch_optional(&mut *connection)
                .await
                .during(NAME)?;
        connection.done().await.during(NAME)?;
        record.map(MemberRow::try_from).transpose()
    }

    /// Members of an organisation, and who is invited, oldest first.
    #[tracing::instrument(name = "db.member.list", skip_all, fields(organization.id = %organization), err(level = "debug"))]
    pub async fn list(
        &mut self,
        organization: OrganizationId,
        page: PageRequest,
    ) -> Result<Page<MemberRow>, StoreError> {
        const NAME: &str = "db.member.list";
        let mut connection = self.db.connection().await.during(NAME)?;
        let records = select!(
            "and m.organization_id = $1 and ($2::timestamptz is null or (m.created_at, m.id) > ($2, $3::uuid))
             order by m.created_at, m.id limit $4",
            organization.uuid(),
            page.after.map(|cursor| cursor.at),
            page.after.map(|cursor| cursor.id),
            one_more(page.limit),
        )
        .fetch_all(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        let rows = records.into_iter().map(MemberRow::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::cut(rows, page.limit, MemberRow::cursor))
    }

    /// The memberships of a user, oldest first. There are few: a list is whole.
    #[tracing::instrument(name = "db.member.of_user", skip_all, fields(user.id = %user), err(level = "debug"))]
    pub async fn of_user(&mut self, user: UserId) -> Result<Vec<MembershipRow>, StoreError> {
        const NAME: &str = "db.member.of_user";
        let mut connection = self.db.connection().await.during(NAME)?;
        let rows = sqlx::query!(
            "select m.organization_id, o.name, o.slug, m.role, m.status, m.created_at
             from org_members m join organizations o on o.id = m.organization_id and o.deleted_at is null
             where m.user_id = $1 order by m.created_at, m.id",
            user.uuid(),
        )
        .fetch_all(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        let memberships = rows.into_iter().map(|row| {
            let wrong = |error: roadstead_model::era::UnknownWord| {
                StoreError::inconsistent(TABLE, user, error.to_string())
            };
            Ok(MembershipRow {
                organization: OrganizationId::from_uuid(row.organization_id),
                name: row.name,
                slug: row.slug,
                role: row.role.parse().map_err(wrong)?,
                status: row.status.parse().map_err(wrong)?,
                created_at: row.created_at,
            })
        });
        memberships.collect()
    }

    /// A membership, held until the transaction ends.
    #[tracing::instrument(name = "db.member.lock", skip_all, fields(organization.id = %organization, user.id = %user), err(level = "debug"))]
    pub async fn lock(
        &mut self,
        organization: OrganizationId,
        user: UserId,
    ) -> Result<Option<MemberRow>, StoreError> {
        const NAME: &str = "db.member.lock";
        let mut connection = self.db.connection().await.during(NAME)?;
        let record = select!(
            "and m.organization_id = $1 and m.user_id = $2 for update of m",
            organization.uuid(),
            user.uuid()
        )
        .fetch_optional(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        record.map(MemberRow::try_from).transpose()
    }

    /// Writes role and status of one that is held; answers with its new version.
    #[tracing::instrument(name = "db.member.save", skip_all, fields(member.id = %row.id), err(level = "debug"))]
    pub async fn save(&mut self, row: &MemberRow) -> Result<i32, StoreError> {
        const NAME: &str = "db.member.save";
        let mut connection = self.db.connection().await.during(NAME)?;
        let version = sqlx::query_scalar!(
            "update org_members set role = $2, status = $3, version = version + 1 where id = $1 returning version",
            row.id.uuid(),
            row.role.as_str(),
            row.status.as_str(),
        )
        .fetch_one(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        Ok(version)
    }

    /// Answers the invitation of a hash, if it is this user's, still open, and of an organisation that may act.
    #[tracing::instrument(name = "db.member.accept", skip_all, fields(user.id = %user), err(level = "debug"))]
    pub async fn accept(
        &mut self,
        hash: &[u8; 32],
        user: UserId,
        at: OffsetDateTime,
    ) -> Result<Option<OrganizationId>, StoreError> {
        const NAME: &str = "db.member.accept";
        let mut connection = self.db.connection().await.during(NAME)?;
        let found = sqlx::query_scalar!(
            "update org_members m
             set status = 'active', accepted_at = $3, invite_hash = null, invite_expires_at = null, version = m.version + 1
             from organizations o
             where m.invite_hash = $1 and m.user_id = $2 and m.status = 'invited' and m.invite_expires_at > $3
               and o.id = m.organization_id and o.status = 'active' and o.deleted_at is null
             returning m.organization_id",
            &hash[..],
            user.uuid(),
            at,
        )
        .fetch_optional(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        Ok(found.map(OrganizationId::from_uuid))
    }

    /// Ends a membership, and revokes the user's keys that act in the organisation.
    #[tracing::instrument(name = "db.member.remove", skip_all, fields(member.id = %row.id), err(level = "debug"))]
    pub async fn remove(&mut self, row: &MemberRow, at: OffsetDateTime) -> Result<(), StoreError> {
        const NAME: &str = "db.member.remove";
        let mut connection = self.db.connection().await.during(NAME)?;
        sqlx::query!(
            "with keys as (
               update api_keys set is_active = false, revoked_at = $4, revoke_reason = 'the membership has ended'
               where organization_id = $2 and user_id = $3 and is_active
             )
             delete from org_members where id = $1",
            row.id.uuid(),
            row.organization.uuid(),
            row.user.uuid(),
            at,
        )
        .execute(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)
    }

    /// Whether an organisation has another active owner, who may act at all.
    #[tracing::instrument(name = "db.member.another_owner", skip_all, fields(organization.id = %organization), err(level = "debug"))]
    pub async fn another_owner(
        &mut self,
        organization: OrganizationId,
        user: UserId,
    ) -> Result<bool, StoreError> {
        const NAME: &str = "db.member.another_owner";
        let mut connection = self.db.connection().await.during(NAME)?;
        let found = sqlx::query_scalar!(
            r#"select exists (
                 select from org_members m join users u on u.id = m.user_id and u.deleted_at is null
                 where m.organization_id = $1 and m.user_id <> $2 and m.role = 'owner' and m.status = 'active') as "found!""#,
            organization.uuid(),
            user.uuid(),
        )
        .fetch_one(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        Ok(found)
    }

    /// The organisations of several members, by their short names, that have no other active owner than this user.
    #[tracing::instrument(name = "db.member.depending_on", skip_all, fields(user.id = %user), err(level = "debug"))]
    pub async fn depending_on(&mut self, user: UserId) -> Result<Vec<String>, StoreError> {
        const NAME: &str = "db.member.depending_on";
        let mut connection = self.db.connection().await.during(NAME)?;
        let slugs = sqlx::query_scalar!(
            "select o.slug from organizations o join org_members mine on mine.organization_id = o.id and mine.user_id = $1
             where o.deleted_at is null and mine.role = 'owner' and mine.status = 'active'
               and exists (select from org_members m join users u on u.id = m.user_id and u.deleted_at is null
                           where m.organization_id = o.id and m.user_id <> $1)
               and not exists (select from org_members m join users u on u.id = m.user_id and u.is_active
                               where m.organization_id = o.id and m.user_id <> $1 and m.role = 'owner' and m.status = 'active')
             order by o.slug",
            user.uuid(),
        )
        .fetch_all(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        Ok(slugs)
    }
}
