//! What happened to the service itself, for whoever looks after it.

use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::{Db, System};
use crate::error::During;
use crate::page::one_more;
use crate::{Cursor, Page, StoreError};

/// An event to store.
#[derive(Debug, Clone)]
pub struct NewSystemEvent {
    /// When.
    pub at: OffsetDateTime,
    /// What happened: `service.started`.
    pub event_type: &'static str,
    /// The same for people.
    pub name: String,
    /// `info`, `warning`, `error` or `critical`.
    pub severity: &'static str,
    /// Which part says so.
    pub source: &'static str,
    /// The particulars, a JSON object without secrets.
    pub context: Value,
    /// On which machine.
    pub node: Option<Uuid>,
}

/// Which events are wanted.
#[derive(Debug, Clone, Default)]
pub struct SystemEventFilter {
    /// Of this severity.
    pub severity: Option<String>,
    /// Of this part.
    pub source: Option<String>,
    /// Of this type.
    pub event_type: Option<String>,
    /// Not older.
    pub since: Option<OffsetDateTime>,
    /// Older.
    pub until: Option<OffsetDateTime>,
    /// After this place.
    pub after: Option<Cursor>,
    /// At most so many.
    pub limit: u32,
}

/// An event.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the same as in `NewSystemEvent`")]
pub struct SystemEventRow {
    pub id: Uuid,
    pub at: OffsetDateTime,
    pub event_type: String,
    pub name: String,
    pub severity: String,
    pub source: String,
    pub context: Value,
    pub node_id: Option<Uuid>,
}

/// The events' rows.
#[derive(Debug, Clone, Copy)]
pub struct SystemEvents<D> {
    pub(crate) db: D,
}

impl<D: Db> SystemEvents<D> {
    /// Stores an event.
    #[tracing::instrument(name = "db.system_event.append", skip_all, fields(event.kind = new.event_type), err(level = "debug"))]
    pub async fn append(&mut self, new: &NewSystemEvent) -> Result<(), StoreError> {
        const NAME: &str = "db.system_event.append";
        let mut connection = self.db.connection().await.during(NAME)?;
        sqlx::query!(
            "insert into system_events (id, at, event_type, name, severity, source, context, node_id)
             values (uuid_v7($1), $1, $2, $3, $4, $5, $6, $7)",
            new.at,
            new.event_type,
            new.name,
            new.severity,
            new.source,
            new.context,
            new.node,
        )
        .execute(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)
    }
}

impl SystemEvents<System<'_>> {
    /// Events, newest first; whoever asks may see them all.
    #[tracing::instrument(name = "db.system_event.list", skip_all, err(level = "debug"))]
    pub async fn list(&self, filter: &SystemEventFilter) -> Result<Page<SystemEventRow>, StoreError> {
        let rows = sqlx::query_as!(
            SystemEventRow,
            "select id, at, event_type, name, severity, source, context, node_id from system_events
             where ($1::text is null or severity = $1) and ($2::text is null or source = $2)
               and ($3::text is null or event_type = $3)
               and ($4::timestamptz is null or at >= $4) and ($5::timestamptz is null or at < $5)
               and ($6::timestamptz is null or (at, id) < ($6, $7::uuid))
             order by at desc, id desc limit $8",
            filter.severity.as_deref(),
            filter.source.as_deref(),
            filter.event_type.as_deref(),
            filter.since,
            filter.until,
            filter.after.map(|cursor| cursor.at),
            filter.after.map(|cursor| cursor.id),
            one_more(filter.limit),
        )
        .fetch_all(self.db.pool)
        .await
        .during("db.system_event.list")?;
        Ok(Page::cut(rows, filter.limit, |row| Cursor { at: row.at, id: row.id }))
    }
}
