//! Projects: what instances, credentials and keys of an organisation belong to.

use roadstead_model::{Audited, Care, OrganizationId, ProjectId, ProjectStatus, View};
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::Db;
use crate::error::During;
use crate::page::one_more;
use crate::{Cursor, Page, PageRequest, StoreError};

const TABLE: &str = "projects";

/// A project that is not deleted.
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectRow {
    /// The project's id.
    pub id: ProjectId,
    /// The organisation that it belongs to.
    pub organization: OrganizationId,
    /// For people.
    pub name: String,
    /// Unique within the organisation.
    pub slug: String,
    /// What it is for.
    pub description: String,
    /// Its own settings, a JSON object.
    pub settings: Value,
    /// Its own quotas, a JSON object.
    pub quotas: Value,
    /// What it permits.
    pub status: ProjectStatus,
    /// Counts the changes, from 1.
    pub version: i32,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it was changed last.
    pub updated_at: OffsetDateTime,
}

impl Audited for ProjectRow {
    fn fields(&self) -> Vec<(&'static str, Value, Care)> {
        vec![
            ("name", json!(self.name), Care::Plain),
            ("slug", json!(self.slug), Care::Plain),
            ("description", json!(self.description), Care::Plain),
            ("settings", self.settings.clone(), Care::Plain),
            ("quotas", self.quotas.clone(), Care::Plain),
            ("status", json!(self.status.as_str()), Care::Plain),
        ]
    }
}

impl ProjectRow {
    /// Requests in a minute to the project, where its quotas say so.
    pub fn requests_per_minute(&self) -> Option<u32> {
        let number = self.quotas.get("max_requests_per_minute")?.as_u64()?;
        Some(u32::try_from(number).unwrap_or(u32::MAX))
    }

    const fn cursor(&self) -> Cursor {
        Cursor { at: self.created_at, id: self.id.uuid() }
    }
}

struct Record {
    id: Uuid,
    organization_id: Uuid,
    name: String,
    slug: String,
    description: String,
    settings: Value,
    quotas: Value,
    status: String,
    version: i32,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl TryFrom<Record> for ProjectRow {
    type Error = StoreError;

    fn try_from(record: Record) -> Result<Self, StoreError> {
        let status = record.status.parse().map_err(|error: roadstead_model::era::UnknownWord| {
            StoreError::inconsistent(TABLE, record.id, error.to_string())
        })?;
        Ok(Self {
            id: ProjectId::from_uuid(record.id),
            organization: OrganizationId::from_uuid(record.organization_id),
            name: record.name,
            slug: record.slug,
            description: record.description,
            settings: record.settings,
            quotas: record.quotas,
            status,
            version: record.version,
            created_at: record.created_at,
            updated_at: record.updated_at,
        })
    }
}

/// Projects that are not deleted; `$tail` goes on with the condition.
macro_rules! select {
    ($tail:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Record,
            "select id, organization_id, name, slug, description, settings, quotas, status, version, created_at, updated_at
             from projects where deleted_at is null " + $tail
            $(, $argument)*
        )
    };
}

/// The projects' rows.
#[derive(Debug, Clone, Copy)]
pub struct Projects<D> {
    pub(crate) db: D,
}

impl<D: Db> Projects<D> {
    /// Makes a project, as its row is to be.
    #[tracing::instrument(name = "db.project.create", skip_all, fields(project.id = %row.id), err(level = "debug"))]
    pub async fn create(&mut self, row: &ProjectRow) -> Result<(), StoreError> {
        const NAME: &str = "db.project.create";
        let mut connection = self.db.connection().await.during(NAME)?;
        sqlx::query!(
            "insert into projects (id, organization_id, name, slug, description, settings, quotas, status, created_at, updated_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)",
            row.id.uuid(),
            row.organization.uuid(),
            row.name,
            row.slug,
            row.description,
            row.settings,
            row.quotas,
            row.status.as_str(),
            row.created_at,
        )
        .execute(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)
    }

    /// A project: of this organisation, or of any.
    #[tracing::instrument(name = "db.project.get", skip_all, fields(project.id = %id), err(level = "debug"))]
    pub async fn get(
        &mut self,
        id: ProjectId,
        within: Option<OrganizationId>,
    ) -> Result<Option<ProjectRow>, StoreError> {
        const NAME: &str = "db.project.get";
        let mut connection = self.db.connection().await.during(NAME)?;
        let record = select!(
            "and id = $1 and ($2::uuid is null or organization_id = $2)",
            id.uuid(),
            within.map(OrganizationId::uuid),
        )
        .fetch_optional(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        record.map(ProjectRow::try_from).transpose()
    }

    /// Projects of an organisation, or all, oldest first.
    #[tracing::instrument(name = "db.project.list", skip_all, err(level = "debug"))]
    pub async fn list(
        &mut self,
        within: Option<OrganizationId>,
        page: PageRequest,
    ) -> Result<Page<ProjectRow>, StoreError> {
        const NAME: &str = "db.project.list";
        let mut connection = self.db.connection().await.during(NAME)?;
        let records = select!(
            "and ($1::uuid is null or organization_id = $1)
             and ($2::timestamptz is null or (created_at, id) > ($2, $3::uuid))
             order by created_at, id limit $4",
            within.map(OrganizationId::uuid),
            page.after.map(|cursor| cursor.at),
            page.after.map(|cursor| cursor.id),
            one_more(page.limit),
        )
        .fetch_all(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        let rows = records.into_iter().map(ProjectRow::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::cut(rows, page.limit, ProjectRow::cursor))
    }

    /// A project in view, held until the transaction ends: whoever else would change it waits.
    #[tracing::instrument(name = "db.project.lock", skip_all, fields(project.id = %id), err(level = "debug"))]
    pub async fn lock(&mut self, id: ProjectId, view: View) -> Result<Option<ProjectRow>, StoreError> {
        const NAME: &str = "db.project.lock";
        let mut connection = self.db.connection().await.during(NAME)?;
        let record = select!(
            "and id = $1 and ($2::uuid is null or organization_id = $2) for no key update",
            id.uuid(),
            view.within().map(OrganizationId::uuid),
        )
        .fetch_optional(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        record.map(ProjectRow::try_from).transpose()
    }

    /// Writes what may be changed of one that is held; answers with its new version.
    #[tracing::instrument(name = "db.project.save", skip_all, fields(project.id = %row.id), err(level = "debug"))]
    pub async fn save(&mut self, row: &ProjectRow) -> Result<i32, StoreError> {
        const NAME: &str = "db.project.save";
        let mut connection = self.db.connection().await.during(NAME)?;
        let version = sqlx::query_scalar!(
            "update projects set name = $2, slug = $3, description = $4, settings = $5, quotas = $6, status = $7,
                    version = version + 1
             where id = $1 returning version",
            row.id.uuid(),
            row.name,
            row.slug,
            row.description,
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
}
