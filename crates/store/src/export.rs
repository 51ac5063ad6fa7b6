//! What was made ready to be downloaded: a filter and the hash of the link's token. Nothing is on a disk; the rows are
//! read while they are told.

use roadstead_model::{ExportId, OrganizationId, Reach, UserId, View};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::StoreError;
use crate::db::{Db, System};
use crate::error::During;

const TABLE: &str = "exports";
/// Where the filter keeps how far its maker saw.
const REACH: &str = "reach";

/// An export to make ready.
#[derive(Debug, Clone)]
pub struct NewExport {
    /// Its id.
    pub id: ExportId,
    /// Through whose eyes it is read.
    pub view: View,
    /// `logs`, `audit`, `usage` or `account`.
    pub kind: &'static str,
    /// `json`, `csv` or `text`.
    pub format: &'static str,
    /// What is in it.
    pub filter: Map<String, Value>,
    /// The SHA-256 of the token of its link.
    pub token_hash: [u8; 32],
    /// Now.
    pub at: OffsetDateTime,
    /// When the link ends.
    pub expires_at: OffsetDateTime,
}

/// An export whose link holds.
#[derive(Debug, Clone)]
pub struct ExportRow {
    /// Its id.
    pub id: ExportId,
    /// Through whose eyes it is read.
    pub view: View,
    /// `logs`, `audit`, `usage` or `account`.
    pub kind: String,
    /// `json`, `csv` or `text`.
    pub format: String,
    /// What is in it.
    pub filter: Value,
}

/// The exports' rows.
#[derive(Debug, Clone, Copy)]
pub struct Exports<D> {
    pub(crate) db: D,
}

impl<D: Db> Exports<D> {
    /// Makes an export ready.
    #[tracing::instrument(name = "db.export.create", skip_all, fields(export.id = %new.id), err(level = "debug"))]
    pub async fn create(&mut self, new: &NewExport) -> Result<(), StoreError> {
        const NAME: &str = "db.export.create";
        let mut filter = new.filter.clone();
        filter.insert(REACH.to_owned(), new.view.reach.as_str().into());
        let mut connection = self.db.connection().await.during(NAME)?;
        sqlx::query!(
            "insert into exports (id, user_id, organization_id, kind, format, filter, token_hash, created_at, expires_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            new.id.uuid(),
            new.view.user.uuid(),
            new.view.organization.uuid(),
            new.kind,
            new.format,
            Value::Object(filter),
            &new.token_hash[..],
            new.at,
            new.expires_at,
        )
        .execute(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)
    }
}

struct Record {
    id: Uuid,
    user_id: Uuid,
    organization_id: Uuid,
    kind: String,
    format: String,
    filter: Value,
}

impl Exports<System<'_>> {
    /// The export of a link that holds now. Whoever made it must still be somebody who may look that far.
    #[tracing::instrument(name = "db.export.of_token", skip_all, err(level = "debug"))]
    pub async fn of_token(
        &self,
        hash: &[u8; 32],
        now: OffsetDateTime,
    ) -> Result<Option<ExportRow>, StoreError> {
        let record = sqlx::query_as!(
            Record,
            "select e.id, e.user_id, e.organization_id, e.kind, e.format, e.filter
             from exports e
             join users u on u.id = e.user_id and u.status = 'active' and u.deleted_at is null
             join organizations o on o.id = e.organization_id and o.status = 'active' and o.deleted_at is null
             where e.token_hash = $1 and e.expires_at > $2
               and case e.filter->>'reach'
                     when 'all' then u.is_admin
                     when 'organization' then exists (
                       select from org_members m
                       where m.organization_id = o.id and m.user_id = u.id and m.status = 'active' and m.role <> 'member')
                     else exists (
                       select from org_members m
                       where m.organization_id = o.id and m.user_id = u.id and m.status = 'active')
                   end",
            &hash[..],
            now,
        )
        .fetch_optional(self.db.pool)
        .await
        .during("db.export.of_token")?;
        record.map(ExportRow::try_from).transpose()
    }

    /// Writes down that an export was told to its end.
    #[tracing::instrument(name = "db.export.told", skip_all, fields(export.id = %id), err(level = "debug"))]
    pub async fn told(
        &self,
        id: ExportId,
        rows: u64,
        bytes: u64,
        at: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        sqlx::query!(
            "update exports set rows_told = $2, bytes_told = $3, downloaded_at = $4 where id = $1",
            id.uuid(),
            whole(rows),
            whole(bytes),
            at,
        )
        .execute(self.db.pool)
        .await
        .during("db.export.told")
        .map(drop)
    }
}

impl TryFrom<Record> for ExportRow {
    type Error = StoreError;

    fn try_from(record: Record) -> Result<Self, StoreError> {
        let reach = [Reach::Own, Reach::Organization, Reach::All];
        let word = record.filter.get(REACH).and_then(Value::as_str).unwrap_or_default();
        let reach = reach.into_iter().find(|reach| reach.as_str() == word);
        let reach = reach.ok_or_else(|| StoreError::inconsistent(TABLE, record.id, "an unknown reach"))?;
        Ok(Self {
            id: ExportId::from_uuid(record.id),
            view: View {
                user: UserId::from_uuid(record.user_id),
                organization: OrganizationId::from_uuid(record.organization_id),
                reach,
            },
            kind: record.kind,
            format: record.format,
            filter: record.filter,
        })
    }
}
