//! Server types: what may be launched. Their definition is a document that this crate does not read.

use roadstead_model::{Audited, Care, Era, OrganizationId, ProjectId, TypeId, TypeStatus, UserId};
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::{Db, System};
use crate::error::During;
use crate::page::one_more;
use crate::{Page, StoreError};

const TABLE: &str = "mcp_types";

/// A server type to create.
#[derive(Debug, Clone)]
pub struct NewType {
    /// The type's id.
    pub id: TypeId,
    /// Unique: what a launch names.
    pub name: String,
    /// All else.
    pub definition: TypeChange,
    /// The project that it is for; none for everybody's.
    pub project: Option<ProjectId>,
    /// Who registered it; none when it came with us.
    pub registered_by: Option<UserId>,
    /// What was decided about it.
    pub status: TypeStatus,
    /// Whether it comes with us.
    pub is_bundled: bool,
    /// Now.
    pub at: OffsetDateTime,
}

/// What may be changed of a server type: all of it but its name.
#[derive(Debug, Clone, PartialEq)]
pub struct TypeChange {
    /// The name that people see.
    pub display_name: String,
    /// What it does, in a sentence or two.
    pub description: String,
    /// A picture of it.
    pub icon_url: Option<String>,
    /// The program that is run; a remote server has none.
    pub program: Option<String>,
    /// The whole definition, a JSON object.
    pub spec: Value,
    /// What a launch's configuration is merged over, a JSON object.
    pub config_template: Value,
    /// What a credential must be allowed to do at the service behind it.
    pub required_scopes: Vec<String>,
    /// Limits of each instance, a JSON object.
    pub resource_limits: Value,
    /// The longest lifetime of an instance, in minutes.
    pub max_duration_minutes: i32,
    /// The protocol eras that it speaks.
    pub era: Era,
}

/// A server type.
#[derive(Debug, Clone, PartialEq)]
pub struct TypeRow {
    /// The type's id.
    pub id: TypeId,
    /// What a launch names.
    pub name: String,
    /// All that may be changed.
    pub definition: TypeChange,
    /// The project that it is for; none for everybody's.
    pub project: Option<ProjectId>,
    /// Counts the changes, from 1.
    pub version: i32,
    /// The era that an instance of this version was found to speak, where the type itself names none.
    pub probed: Option<Probed>,
    /// What was decided about it.
    pub status: TypeStatus,
    /// Why; empty where nobody said.
    pub status_reason: String,
    /// The definition as it came with us; none of a type that did not. Another than the row's was edited since.
    pub bundled: Option<Value>,
    /// Who registered it.
    pub registered_by: Option<UserId>,
    /// When it was created.
    pub created_at: OffsetDateTime,
    /// When it was changed last.
    pub updated_at: OffsetDateTime,
}

/// An era that was found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probed {
    /// Never `Auto`.
    pub era: Era,
    /// When.
    pub at: OffsetDateTime,
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypeUpdate {
    /// It was made; the type has this version now.
    Updated {
        /// The new version.
        version: i32,
    },
    /// Somebody else changed the type since.
    Stale {
        /// The version that the type has.
        version: i32,
    },
    /// There is no such type.
    Missing,
}

impl Audited for TypeRow {
    fn fields(&self) -> Vec<(&'static str, Value, Care)> {
        // A definition holds no secret: that is what credential slots are for.
        vec![
            ("name", json!(self.name), Care::Plain),
            ("definition", self.definition.spec.clone(), Care::Plain),
            ("project_id", json!(self.project.map(|project| project.to_string())), Care::Plain),
            ("status", json!(self.status.as_str()), Care::Plain),
            ("status_reason", json!(self.status_reason), Care::Plain),
        ]
    }
}

struct Record {
    id: Uuid,
    name: String,
    display_name: String,
    description: String,
    icon_url: Option<String>,
    program: Option<String>,
    spec: Value,
    config_template: Value,
    required_scopes: Value,
    resource_limits: Value,
    max_duration_minutes: i32,
    era: String,
    probed_era: Option<String>,
    probed_at: Option<OffsetDateTime>,
    version: i32,
    status: String,
    status_reason: String,
    bundled: Option<Value>,
    registered_by: Option<Uuid>,
    project_id: Option<Uuid>,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl TryFrom<Record> for TypeRow {
    type Error = StoreError;

    fn try_from(record: Record) -> Result<Self, StoreError> {
        let id = record.id;
        let wrong = |why: String| StoreError::inconsistent(TABLE, id, why);
        let word = |era: &str| {
            era.parse::<Era>().map_err(|error: roadstead_model::era::UnknownWord| wrong(error.to_string()))
        };
        let probed = match (&record.probed_era, record.probed_at) {
            (Some(era), Some(at)) => Some(Probed { era: word(era)?, at }),
            _ => None,
        };
        Ok(Self {
            id: TypeId::from_uuid(id),
            name: record.name,
            definition: TypeChange {
                display_name: record.display_name,
                description: record.description,
                icon_url: record.icon_url,
                program: record.program,
                spec: record.spec,
                config_template: record.config_template,
                required_scopes: serde_json::from_value(record.required_scopes)
                    .map_err(|_| wrong("required_scopes is no list of words".to_owned()))?,
                resource_limits: record.resource_limits,
                max_duration_minutes: record.max_duration_minutes,
                era: word(&record.era)?,
            },
            project: record.project_id.map(ProjectId::from_uuid),
            version: record.version,
            probed,
            status: record
                .status
                .parse()
                .map_err(|error: roadstead_model::era::UnknownWord| wrong(error.to_string()))?,
            status_reason: record.status_reason,
            bundled: record.bundled,
            registered_by: record.registered_by.map(UserId::from_uuid),
            created_at: record.created_at,
            updated_at: record.updated_at,
        })
    }
}

/// The server types' rows.
#[derive(Debug, Clone, Copy)]
pub struct Types<D> {
    pub(crate) db: D,
}

impl<D: Db> Types<D> {
    /// Creates a type, at version 1.
    #[tracing::instrument(name = "db.type.create", skip_all, fields(type.name = %new.name), err(level = "debug"))]
    pub async fn create(&mut self, new: &NewType) -> Result<(), StoreError> {
        const NAME: &str = "db.type.create";
        let mut connection = self.db.connection().await.during(NAME)?;
        let definition = &new.definition;
        sqlx::query!(
            "insert into mcp_types (id, name, display_name, description, icon_url, program, spec, config_template,
                                    required_scopes, resource_limits, max_duration_minutes, era, registered_by,
                                    project_id, created_at, updated_at, status, is_active, bundled)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $15, $14, $14, $16, $16 = 'approved', $17)",
            new.id.uuid(),
            new.name,
            definition.display_name,
            definition.description,
            definition.icon_url,
            definition.program,
            definition.spec,
            definition.config_template,
            Value::from(definition.required_scopes.clone()),
            definition.resource_limits,
            definition.max_duration_minutes,
            definition.era.as_str(),
            new.registered_by.map(UserId::uuid),
            new.at,
            new.project.map(ProjectId::uuid),
            new.status.as_str(),
            new.is_bundled.then_some(&definition.spec),
        )
        .execute(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)
    }

    /// The type of an id, whatever its status.
    #[tracing::instrument(name = "db.type.get", skip_all, fields(type.id = %id), err(level = "debug"))]
    pub async fn get(&mut self, id: TypeId) -> Result<Option<TypeRow>, StoreError> {
        const NAME: &str = "db.type.get";
        let mut connection = self.db.connection().await.during(NAME)?;
        let record = sqlx::query_as!(
            Record,
            "select id, name, display_name, description, icon_url, program, spec, config_template, required_scopes,
                    resource_limits, max_duration_minutes, era, probed_era, probed_at, version, status,
                    status_reason, bundled, registered_by, project_id, created_at, updated_at
             from mcp_types where id = $1",
            id.uuid(),
        )
        .fetch_optional(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        record.map(TypeRow::try_from).transpose()
    }

    /// The types of a name, whatever their status: the project's own first, then everybody's, then those of other projects. At
    /// most three, which is enough to know whether one is meant.
    #[tracing::instrument(name = "db.type.by_name", skip_all, fields(type.name = %name), err(level = "debug"))]
    pub async fn by_name(
        &mut self,
        name: &str,
        project: Option<ProjectId>,
    ) -> Result<Vec<TypeRow>, StoreError> {
        const NAME: &str = "db.type.by_name";
        let mut connection = self.db.connection().await.during(NAME)?;
        let records = sqlx::query_as!(
            Record,
            "select id, name, display_name, description, icon_url, program, spec, config_template, required_scopes,
                    resource_limits, max_duration_minutes, era, probed_era, probed_at, version, status,
                    status_reason, bundled, registered_by, project_id, created_at, updated_at
             from mcp_types where name = $1
             order by (project_id is not distinct from $2) desc, (project_id is null) desc, id limit 3",
            name,
            project.map(ProjectId::uuid),
        )
        .fetch_all(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        records.into_iter().map(TypeRow::try_from).collect()
    }

    /// Types, by name and then by id: those for everybody and for projects of this organisation, or all; of one status, or of any; those
    /// after `after`, at most `limit`.
    #[tracing::instrument(name = "db.type.list", skip_all, err(level = "debug"))]
    pub async fn list(
        &mut self,
        status: Option<TypeStatus>,
        within: Option<OrganizationId>,
        after: Option<&(String, TypeId)>,
        limit: u32,
    ) -> Result<Page<TypeRow, (String, TypeId)>, StoreError> {
        const NAME: &str = "db.type.list";
        let mut connection = self.db.connection().await.during(NAME)?;
        let records = sqlx::query_as!(
            Record,
            "select id, name, display_name, description, icon_url, program, spec, config_template, required_scopes,
                    resource_limits, max_duration_minutes, era, probed_era, probed_at, version, status,
                    status_reason, bundled, registered_by, project_id, created_at, updated_at
             from mcp_types t
             where ($1::text is null or status = $1) and (name, id) > ($2, $5) and ($4::uuid is null or project_id is null or exists (
               select from projects p where p.id = t.project_id and p.organization_id = $4))
             order by name, id limit $3",
            status.map(TypeStatus::as_str),
            after.map(|(name, _)| name.as_str()).unwrap_or_default(),
            one_more(limit),
            within.map(OrganizationId::uuid),
            after.map_or(uuid::Uuid::nil(), |(_, id)| id.uuid()),
        )
        .fetch_all(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        let rows = records.into_iter().map(TypeRow::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::cut(rows, limit, |row| (row.name.clone(), row.id)))
    }

    /// Changes a type, if it still has the expected version; without one, whatever it has.
    #[tracing::instrument(name = "db.type.update", skip_all, fields(type.id = %id), err(level = "debug"))]
    pub async fn update(
        &mut self,
        id: TypeId,
        expected_version: Option<i32>,
        change: &TypeChange,
        project: Option<ProjectId>,
    ) -> Result<TypeUpdate, StoreError> {
        const NAME: &str = "db.type.update";
        let mut connection = self.db.connection().await.during(NAME)?;
        let updated = sqlx::query_scalar!(
            "update mcp_types
             set display_name = $3, description = $4, icon_url = $5, program = $6, spec = $7, config_template = $8,
                 required_scopes = $9, resource_limits = $10, max_duration_minutes = $11, era = $12, project_id = $13,
                 version = version + 1, probed_era = null, probed_at = null
             where id = $1 and ($2::integer is null or version = $2)
             returning version",
            id.uuid(),
            expected_version,
            change.display_name,
            change.description,
            change.icon_url,
            change.program,
            change.spec,
            change.config_template,
            Value::from(change.required_scopes.clone()),
            change.resource_limits,
            change.max_duration_minutes,
            change.era.as_str(),
            project.map(ProjectId::uuid),
        )
        .fetch_optional(&mut *connection)
        .await
        .during(NAME)?;
        if let Some(version) = updated {
            connection.done().await.during(NAME)?;
            return Ok(TypeUpdate::Updated { version });
        }
        let current = sqlx::query_scalar!("select version from mcp_types where id = $1", id.uuid())
            .fetch_optional(&mut *connection)
            .await
            .during(NAME)?;
        connection.done().await.during(NAME)?;
        Ok(current.map_or(TypeUpdate::Missing, |version| TypeUpdate::Stale { version }))
    }

    /// Notes that a type has the definition that comes with us.
    #[tracing::instrument(name = "db.type.set_bundled", skip_all, fields(type.id = %id), err(level = "debug"))]
    pub async fn set_bundled(&mut self, id: TypeId) -> Result<(), StoreError> {
        const NAME: &str = "db.type.set_bundled";
        let mut connection = self.db.connection().await.during(NAME)?;
        sqlx::query!("update mcp_types set bundled = spec where id = $1", id.uuid())
            .execute(&mut *connection)
            .await
            .during(NAME)?;
        connection.done().await.during(NAME)
    }

    /// Decides about a type, if it still has the expected version; without one, whatever it has. What runs goes on. The new
    /// version; none when there is no such type, or when somebody else changed it since.
    #[tracing::instrument(name = "db.type.decide", skip_all, fields(type.id = %id), err(level = "debug"))]
    pub async fn decide(
        &mut self,
        id: TypeId,
        expected_version: Option<i32>,
        status: TypeStatus,
        reason: &str,
    ) -> Result<Option<i32>, StoreError> {
        const NAME: &str = "db.type.decide";
        let mut connection = self.db.connection().await.during(NAME)?;
        // The definition stays: what was read of its servers is still what they offer.
        let version = sqlx::query_scalar!(
            r#"with decided as (
                 update mcp_types
                 set status = $3, status_reason = $4, is_active = ($3 = 'approved'), version = version + 1,
                     probed_era = null, probed_at = null
                 where id = $1 and ($2::integer is null or version = $2)
                 returning id, version
               ), kept as (
                 update mcp_type_manifests m set type_version = d.version
                 from decided d where m.type_id = d.id and m.type_version = d.version - 1
               )
               select version from decided"#,
            id.uuid(),
            expected_version,
            status.as_str(),
            reason,
        )
        .fetch_optional(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        Ok(version)
    }
}

impl Types<System<'_>> {
    /// Keeps the era that an instance of this version was found to speak. False when the type has changed since, or
    /// names its era itself.
    #[tracing::instrument(name = "db.type.remember_era", skip_all, fields(type.id = %id), err(level = "debug"))]
    pub async fn remember_era(&self, id: TypeId, version: i32, found: Probed) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "update mcp_types set probed_era = $3, probed_at = $4 where id = $1 and version = $2 and era = 'auto'",
            id.uuid(),
            version,
            found.era.as_str(),
            found.at,
        )
        .execute(self.db.pool)
        .await
        .during("db.type.remember_era")?;
        Ok(done.rows_affected() == 1)
    }
}
