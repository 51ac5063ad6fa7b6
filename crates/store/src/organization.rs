//! Organisations: what people share, each with members and projects.

use roadstead_model::{Audited, Care, OrganizationId, OrganizationStatus, ProjectId, UserId, View};
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::Db;
use crate::error::During;
use crate::page::one_more;
use crate::{Cursor, Page, PageRequest, StoreError};

const TABLE: &str = "organizations";

/// An organisation to make, with its first project and its owner.
#[derive(Debug, Clone)]
pub struct NewOrganization {
    /// The organisation's id.
    pub id: OrganizationId,
    /// For people.
    pub name: String,
    /// Unique: for programs and addresses.
    pub slug: String,
    /// The first project's id.
    pub project: ProjectId,
    /// Who owns it.
    pub owner: UserId,
    /// Now.
    pub at: OffsetDateTime,
}

/// An organisation that is not deleted.
#[derive(Debug, Clone, PartialEq)]
pub struct OrganizationRow {
    /// The organisation's id.
    pub id: OrganizationId,
    /// For people.
    pub name: String,
    /// Unique: for programs and addresses.
    pub slug: String,
    /// Where bills go.
    pub billing_email: Option<String>,
    /// Whom its members ask.
    pub support_email: Option<String>,
    /// The domains of the addresses that members may have; none for any.
    pub allowed_email_domains: Vec<String>,
    /// Its own settings, a JSON object.
    pub settings: Value,
    /// Its own quotas, a JSON object; what is not in it is the platform's.
    pub quotas: Value,
    /// Whether it may act.
    pub status: OrganizationStatus,
    /// The one user whose own it is.
    pub personal_of: Option<UserId>,
    /// Counts the changes, from 1.
    pub version: i32,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it was changed last.
    pub updated_at: OffsetDateTime,
}

impl Audited for OrganizationRow {
    fn fields(&self) -> Vec<(&'static str, Value, Care)> {
        vec![
            ("name", json!(self.name), self.care()),
            ("slug", json!(self.slug), Care::Plain),
            ("billing_email", json!(self.billing_email), Care::Masked),
            ("support_email", json!(self.support_email), Care::Masked),
            ("allowed_email_domains", json!(self.allowed_email_domains), Care::Plain),
            ("settings", self.settings.clone(), Care::Plain),
            ("quotas", self.quotas.clone(), Care::Plain),
            ("status", json!(self.status.as_str()), Care::Plain),
        ]
    }
}

impl OrganizationRow {
    /// A personal organisation is called like its person.
    const fn care(&self) -> Care {
        if self.personal_of.is_some() { Care::Masked } else { Care::Plain }
    }

    const fn cursor(&self) -> Cursor {
        Cursor { at: self.created_at, id: self.id.uuid() }
    }
}

struct Record {
    id: Uuid,
    name: String,
    slug: String,
    billing_email: Option<String>,
    support_email: Option<String>,
    allowed_email_domains: Vec<String>,
    settings: Value,
    quotas: Value,
    status: String,
    personal_of: Option<Uuid>,
    version: i32,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl TryFrom<Record> for OrganizationRow {
    type Error = StoreError;

    fn try_from(record: Record) -> Result<Self, StoreError> {
        let status = record.status.parse().map_err(|error: roadstead_model::era::UnknownWord| {
            StoreError::inconsistent(TABLE, record.id, error.to_string())
        })?;
        Ok(Self {
            id: OrganizationId::from_uuid(record.id),
            name: record.name,
            slug: record.slug,
            billing_email: record.billing_email,
            support_email: record.support_email,
            allowed_email_domains: record.allowed_email_domains,
            settings: record.settings,
            quotas: record.quotas,
            status,
            personal_of: record.personal_of.map(UserId::from_uuid),
            version: record.version,
            created_at: record.created_at,
            updated_at: record.updated_at,
        })
    }
}

/// Organisations that are not deleted; `$tail` goes on with the condition.
macro_rules! select {
    ($tail:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Record,
            "select o.id, o.name, o.slug, o.billing_email, o.support_email, o.allowed_email_domains, o.settings, o.quotas,
                    o.status, o.personal_of, o.version, o.created_at, o.updated_at
             from organizations o where o.deleted_at is null " + $tail
            $(, $argument)*
        )
    };
}

/// The organisations' rows.
#[derive(Debug, Clone, Copy)]
pub struct Organizations<D> {
    pub(crate) db: D,
}

impl<D: Db> Organizations<D> {
    /// Makes an organisation with a first project and an owner, all or nothing.
    #[tracing::instrument(name = "db.organization.create", skip_all, fields(organization.id = %new.id), err(level = "debug"))]
    pub async fn create(&mut self, new: &NewOrganization) -> Result<(), StoreError> {
        const NAME: &str = "db.organization.create";
        let mut connection = self.db.connection().await.during(NAME)?;
        sqlx::query!(
            "with organization as (
               insert into organizations (id, name, slug, created_at, updated_at) values ($1, $2, $3, $6, $6)
             ), project as (
               insert into projects (id, organization_id, name, slug, created_at, updated_at)
               values ($4, $1, 'Default', 'default', $6, $6)
             )
             insert into org_members (id, organization_id, user_id, role, accepted_at, created_at, updated_at)
             values (uuid_v7($6), $1, $5, 'owner', $6, $6, $6)",
            new.id.uuid(),
            new.name,
            new.slug,
            new.project.uuid(),
            new.owner.uuid(),
            new.at,
        )
        .execute(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)
    }

    /// An organisation: one that `member` takes part in, or any.
    #[tracing::instrument(name = "db.organization.get", skip_all, fields(organization.id = %id), err(level = "debug"))]
    pub async fn get(
        &mut self,
        id: OrganizationId,
        member: Option<UserId>,
    ) -> Result<Option<OrganizationRow>, StoreError> {
        const NAME: &str = "db.organization.get";
        let mut connection = self.db.connection().await.during(NAME)?;
        let record = select!(
            "and o.id = $1 and ($2::uuid is null or exists (
               select from org_members m where m.organization_id = o.id and m.user_id = $2 and m.status = 'active'))",
            id.uuid(),
            member.map(UserId::uuid),
        )
        .fetch_optional(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        record.map(OrganizationRow::try_from).transpose()
    }

    /// Organisations that `member` takes part in, or all, oldest first.
    #[tracing::instrument(name = "db.organization.list", skip_all, err(level = "debug"))]
    pub async fn list(
        &mut self,
        member: Option<UserId>,
        page: PageRequest,
    ) -> Result<Page<OrganizationRow>, StoreError> {
        const NAME: &str = "db.organization.list";
        let mut connection = self.db.connection().await.during(NAME)?;
        let records = select!(
            "and ($1::uuid is null or exists (
               select from org_members m where m.organization_id = o.id and m.user_id = $1 and m.status = 'active'))
             and ($2::timestamptz is null or (o.created_at, o.id) > ($2, $3::uuid))
             order by o.created_at, o.id limit $4",
            member.map(UserId::uuid),
            page.after.map(|cursor| cursor.at),
            page.after.map(|cursor| cursor.id),
            one_more(page.limit),
        )
        .fetch_all(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        let rows = records.into_iter().map(OrganizationRow::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::cut(rows, page.limit, OrganizationRow::cursor))
    }

    /// An organisation in view, held until the transaction ends: whoever else would change it waits.
    #[tracing::instrument(name = "db.organization.lock", skip_all, fields(organization.id = %id), err(level = "debug"))]
    pub async fn lock(
        &mut self,
        id: OrganizationId,
        view: View,
    ) -> Result<Option<OrganizationRow>, StoreError> {
        const NAME: &str = "db.organization.lock";
        let mut connection = self.db.connection().await.during(NAME)?;
        let record = select!(
            "and o.id = $1 and ($2::uuid is null or o.id = $2) for no key update of o",
            id.uuid(),
            view.within().map(OrganizationId::uuid),
        )
        .fetch_optional(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        record.map(OrganizationRow::try_from).transpose()
    }

    /// Writes what may be changed of one that is held; answers with its new version.
    #[tracing::instrument(name = "db.organization.save", skip_all, fields(organization.id = %row.id), err(level = "debug"))]
    pub async fn save(&mut self, row: &OrganizationRow) -> Result<i32, StoreError> {
        const NAME: &str = "db.organization.save";
        let mut connection = self.db.connection().await.during(NAME)?;
        let version = sqlx::query_scalar!(
            "update organizations set name = $2, slug = $3, billing_email = $4, support_email = $5, allowed_email_domains = $6,
                    settings = $7, quotas = $8, status = $9, version = version + 1
             where id = $1 returning version",
            row.id.uuid(),
            row.name,
            row.slug,
            row.billing_email,
            row.support_email,
            &row.allowed_email_domains,
            row.settings,
            row.quotas,
            row.status.as_str(),
        )
        .fetch_one(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        Ok(version)
    }

    /// Soft-deletes an organisation and revokes every key that acts in it. Its short name is free again. False when there was none.
    #[tracing::instrument(name = "db.organization.delete", skip_all, fields(organization.id = %id), err(level = "debug"))]
    pub async fn delete(&mut self, id: OrganizationId, at: OffsetDateTime) -> Result<bool, StoreError> {
        const NAME: &str = "db.organization.delete";
        let mut connection = self.db.connection().await.during(NAME)?;
        let done = sqlx::query!(
            "with keys as (
               update api_keys set is_active = false, revoked_at = $2, revoke_reason = 'the organisation was deleted'
               where organization_id = $1 and is_active
             )
             update organizations set deleted_at = $2, version = version + 1, slug = 'deleted-' || id::text
             where id = $1 and deleted_at is null",
            id.uuid(),
            at,
        )
        .execute(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        Ok(done.rows_affected() == 1)
    }
}
