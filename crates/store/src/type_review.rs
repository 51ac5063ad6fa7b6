//! What was decided about server types, what their servers were found to offer, and what is thought of their tools.

use roadstead_model::{ApiKeyId, Audited, Care, ReviewId, RiskLevel, TypeId, TypeStatus, UserId};
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::Db;
use crate::error::During;
use crate::page::one_more;
use crate::{Cursor, Order, Page, StoreError};

const REVIEWS: &str = "mcp_type_reviews";
const TOOLS: &str = "mcp_tools";

/// A decision about a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewRow {
    /// Its own id.
    pub id: ReviewId,
    /// Of which type.
    pub type_id: TypeId,
    /// When.
    pub at: OffsetDateTime,
    /// The version that the type had from then on.
    pub version: i32,
    /// What was decided.
    pub status: TypeStatus,
    /// Why; empty where nobody said.
    pub reason: String,
    /// Who decided; none when the service did.
    pub user: Option<UserId>,
    /// With which key.
    pub api_key: Option<ApiKeyId>,
}

/// What the servers of a type offer.
#[derive(Debug, Clone, PartialEq)]
pub struct ManifestRow {
    /// Of which type.
    pub type_id: TypeId,
    /// Of which version of it.
    pub type_version: i32,
    /// When they were asked.
    pub read_at: OffsetDateTime,
    /// What they said: server, tools with their hashes, resources, prompts.
    pub content: Value,
    /// The hash of all tools together.
    pub tools_hash: String,
    /// What looked suspicious, a list.
    pub findings: Value,
    /// Names and hashes of the tools that an approval took; none before there was one.
    pub accepted: Option<Value>,
    /// Which tools clients were told of since that are others than those.
    pub differing: Option<Value>,
}

/// What a platform admin thinks of a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolRow {
    /// Of which type.
    pub type_id: TypeId,
    /// Its name.
    pub name: String,
    /// How much harm it can do.
    pub risk: RiskLevel,
    /// What else there is to say.
    pub notes: String,
    /// Whether clients see it, and may call it.
    pub enabled: bool,
}

/// What a launch has to know of a type's tools.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ToolRulesRow {
    /// Names and hashes of the tools that an approval took; none before there was one.
    pub accepted: Option<Value>,
    /// Names of the tools that are disabled.
    pub disabled: Vec<String>,
}

impl Audited for ToolRow {
    fn fields(&self) -> Vec<(&'static str, Value, Care)> {
        vec![
            ("tool", json!(self.name), Care::Plain),
            ("risk_level", json!(self.risk.as_str()), Care::Plain),
            ("notes", json!(self.notes), Care::Plain),
            ("enabled", json!(self.enabled), Care::Plain),
        ]
    }
}

struct ReviewRecord {
    id: Uuid,
    type_id: Uuid,
    at: OffsetDateTime,
    version: i32,
    status: String,
    reason: String,
    user_id: Option<Uuid>,
    api_key_id: Option<Uuid>,
}

impl TryFrom<ReviewRecord> for ReviewRow {
    type Error = StoreError;

    fn try_from(record: ReviewRecord) -> Result<Self, StoreError> {
        let status = record.status.parse().map_err(|error: roadstead_model::era::UnknownWord| {
            StoreError::inconsistent(REVIEWS, record.id, error.to_string())
        })?;
        Ok(Self {
            id: ReviewId::from_uuid(record.id),
            type_id: TypeId::from_uuid(record.type_id),
            at: record.at,
            version: record.version,
            status,
            reason: record.reason,
            user: record.user_id.map(UserId::from_uuid),
            api_key: record.api_key_id.map(ApiKeyId::from_uuid),
        })
    }
}

/// The rows of reviews, manifests and tools.
#[derive(Debug, Clone, Copy)]
pub struct TypeReviews<D> {
    pub(crate) db: D,
}

impl<D: Db> TypeReviews<D> {
    /// Writes a decision down.
    #[tracing::instrument(name = "db.type_review.append", skip_all, err(level = "debug"))]
    pub async fn append(&mut self, review: &ReviewRow) -> Result<(), StoreError> {
        const NAME: &str = "db.type_review.append";
        let mut connection = self.db.connection().await.during(NAME)?;
        sqlx::query!(
            "insert into mcp_type_reviews (id, type_id, at, version, status, reason, user_id, api_key_id)
             values ($1, $2, $3, $4, $5, $6, $7, $8)",
            review.id.uuid(),
            review.type_id.uuid(),
            review.at,
            review.version,
            review.status.as_str(),
            review.reason,
            review.user.map(UserId::uuid),
            review.api_key.map(ApiKeyId::uuid),
        )
        .execute(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)
    }

    /// What was decided about a type, the newest first.
    #[tracing::instrument(name = "db.type_review.list", skip_all, err(level = "debug"))]
    pub async fn list(
        &mut self,
        id: TypeId,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<ReviewRow>, StoreError> {
        const NAME: &str = "db.type_review.list";
        let mut connection = self.db.connection().await.during(NAME)?;
        let place = after.unwrap_or_else(|| Cursor::end(Order::Descending));
        let records = sqlx::query_as!(
            ReviewRecord,
            "select id, type_id, at, version, status, reason, user_id, api_key_id from mcp_type_reviews
             where type_id = $1 and (at, id) < ($2, $3)
             order by at desc, id desc limit $4",
            id.uuid(),
            place.at,
            place.id,
            one_more(limit),
        )
        .fetch_all(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        let rows = records.into_iter().map(ReviewRow::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::cut(rows, limit, |row| Cursor { at: row.at, id: row.id.uuid() }))
    }

    /// What a launch has to know of a type's tools.
    #[tracing::instrument(name = "db.tool.rules", skip_all, fields(type.id = %id), err(level = "debug"))]
    pub async fn tool_rules(&mut self, id: TypeId) -> Result<ToolRulesRow, StoreError> {
        const NAME: &str = "db.tool.rules";
        let mut connection = self.db.connection().await.during(NAME)?;
        let row = sqlx::query!(
            r#"select (select accepted from mcp_type_manifests where type_id = $1) as accepted,
                      array(select name from mcp_tools where type_id = $1 and not enabled) as "disabled!""#,
            id.uuid(),
        )
        .fetch_one(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        Ok(ToolRulesRow { accepted: row.accepted, disabled: row.disabled })
    }

    /// Keeps which tools clients were told of that are others than the approved ones; whether these were not known to be.
    #[tracing::instrument(name = "db.type_manifest.differ", skip_all, fields(type.id = %id), err(level = "debug"))]
    pub async fn keep_differing(&mut self, id: TypeId, differing: &Value) -> Result<bool, StoreError> {
        const NAME: &str = "db.type_manifest.differ";
        let mut connection = self.db.connection().await.during(NAME)?;
        let done = sqlx::query!(
            "update mcp_type_manifests set differing = $2
             where type_id = $1 and (differing is null or not differing @> $2)",
            id.uuid(),
            differing,
        )
        .execute(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        Ok(done.rows_affected() == 1)
    }

    /// What the servers of a type were found to offer last.
    #[tracing::instrument(name = "db.type_manifest.get", skip_all, fields(type.id = %id), err(level = "debug"))]
    pub async fn manifest(&mut self, id: TypeId) -> Result<Option<ManifestRow>, StoreError> {
        const NAME: &str = "db.type_manifest.get";
        let mut connection = self.db.connection().await.during(NAME)?;
        let found = sqlx::query!(
            "select type_version, read_at, content, tools_hash, findings, accepted, differing from mcp_type_manifests
             where type_id = $1",
            id.uuid(),
        )
        .fetch_optional(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        Ok(found.map(|row| ManifestRow {
            type_id: id,
            type_version: row.type_version,
            read_at: row.read_at,
            content: row.content,
            tools_hash: row.tools_hash,
            findings: row.findings,
            accepted: row.accepted,
            differing: row.differing,
        }))
    }

    /// Keeps what the servers of a type offer, in the place of what they offered before. What an approval took stays: the row's
    /// `accepted` counts only where there was none. Answers with what is accepted now.
    #[tracing::instrument(name = "db.type_manifest.keep", skip_all, err(level = "debug"))]
    pub async fn keep_manifest(&mut self, row: &ManifestRow) -> Result<Option<Value>, StoreError> {
        const NAME: &str = "db.type_manifest.keep";
        let mut connection = self.db.connection().await.during(NAME)?;
        let accepted = sqlx::query_scalar!(
            "insert into mcp_type_manifests as kept (type_id, type_version, read_at, content, tools_hash, findings, accepted)
             values ($1, $2, $3, $4, $5, $6, $7)
             on conflict (type_id) do update
             set type_version = excluded.type_version, read_at = excluded.read_at, content = excluded.content,
                 tools_hash = excluded.tools_hash, findings = excluded.findings, differing = null,
                 accepted = coalesce(kept.accepted, excluded.accepted)
             returning accepted",
            row.type_id.uuid(),
            row.type_version,
            row.read_at,
            row.content,
            row.tools_hash,
            row.findings,
            row.accepted,
        )
        .fetch_one(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        Ok(accepted)
    }

    /// Takes the tools of these hashes for the right ones, if they are still those that the servers were found to offer.
    #[tracing::instrument(name = "db.type_manifest.accept", skip_all, fields(type.id = %id), err(level = "debug"))]
    pub async fn accept(&mut self, id: TypeId, tools_hash: &str, hashes: &Value) -> Result<bool, StoreError> {
        const NAME: &str = "db.type_manifest.accept";
        let mut connection = self.db.connection().await.during(NAME)?;
        let done = sqlx::query!(
            "update mcp_type_manifests set accepted = $3, differing = null where type_id = $1 and tools_hash = $2",
            id.uuid(),
            tools_hash,
            hashes,
        )
        .execute(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        Ok(done.rows_affected() == 1)
    }

    /// The tools of every other type, with the type's name: at most `limit`.
    #[tracing::instrument(name = "db.type_manifest.other_tools", skip_all, err(level = "debug"))]
    pub async fn other_tools(&mut self, id: TypeId, limit: u32) -> Result<Vec<(String, String)>, StoreError> {
        const NAME: &str = "db.type_manifest.other_tools";
        let mut connection = self.db.connection().await.during(NAME)?;
        let rows = sqlx::query!(
            r#"select t.name as "server!", tool->>'name' as "tool!"
               from mcp_type_manifests m join mcp_types t on t.id = m.type_id,
                    jsonb_array_elements(m.content->'tools') as tool
               where m.type_id <> $1 and t.status = 'approved' and tool->>'name' is not null
               order by 1, 2 limit $2"#,
            id.uuid(),
            i64::from(limit),
        )
        .fetch_all(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        Ok(rows.into_iter().map(|row| (row.server, row.tool)).collect())
    }

    /// What is thought of the tools of a type, by name; those that nobody has said anything of are not there.
    #[tracing::instrument(name = "db.tool.list", skip_all, err(level = "debug"))]
    pub async fn tools(&mut self, id: TypeId) -> Result<Vec<ToolRow>, StoreError> {
        const NAME: &str = "db.tool.list";
        let mut connection = self.db.connection().await.during(NAME)?;
        let rows = sqlx::query!(
            "select name, risk_level, notes, enabled from mcp_tools where type_id = $1 order by name",
            id.uuid()
        )
        .fetch_all(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        rows.into_iter()
            .map(|row| {
                let risk = row.risk_level.parse().map_err(|error: roadstead_model::era::UnknownWord| {
                    StoreError::inconsistent(TOOLS, id.uuid(), error.to_string())
                })?;
                Ok(ToolRow { type_id: id, name: row.name, risk, notes: row.notes, enabled: row.enabled })
            })
            .collect()
    }

    /// Says what is thought of a tool.
    #[tracing::instrument(name = "db.tool.set", skip_all, err(level = "debug"))]
    pub async fn set_tool(&mut self, tool: &ToolRow, at: OffsetDateTime) -> Result<(), StoreError> {
        const NAME: &str = "db.tool.set";
        let mut connection = self.db.connection().await.during(NAME)?;
        sqlx::query!(
            "insert into mcp_tools (type_id, name, risk_level, notes, updated_at, enabled) values ($1, $2, $3, $4, $5, $6)
             on conflict (type_id, name) do update
             set risk_level = excluded.risk_level, notes = excluded.notes, updated_at = excluded.updated_at,
                 enabled = excluded.enabled",
            tool.type_id.uuid(),
            tool.name,
            tool.risk.as_str(),
            tool.notes,
            at,
            tool.enabled,
        )
        .execute(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)
    }
}
