//! The feed: everything that happened, numbered in the order of the commits. Whoever has read up to a number never misses
//! a lower one.

use roadstead_model::{Reach, View};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::StoreError;
use crate::db::{Db, Seen, System};
use crate::error::During;

/// Which events are wanted.
#[derive(Debug, Clone, Default)]
pub struct FeedFilter {
    /// After this position.
    pub after: i64,
    /// Of this kind.
    pub kind: Option<String>,
    /// About this thing.
    pub subject: Option<Uuid>,
    /// At most so many.
    pub limit: u32,
}

/// An event in the feed.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedRow {
    /// Its number, higher than that of everything that was there before.
    pub position: i64,
    /// The event's id.
    pub id: Uuid,
    /// When it happened.
    pub at: OffsetDateTime,
    /// What it is about: `instance`, `credential` or `system`.
    pub kind: String,
    /// What happened.
    pub event_type: String,
    /// Whose it is.
    pub owner_id: Option<Uuid>,
    /// Of which organisation.
    pub organization_id: Option<Uuid>,
    /// What it happened to.
    pub subject: Option<Uuid>,
    /// The particulars.
    pub data: Value,
}

/// The feed's rows.
#[derive(Debug, Clone, Copy)]
pub struct Feed<D> {
    pub(crate) db: D,
}

macro_rules! after {
    ($connection:ident, $filter:ident, $view:ident, $whose:literal) => {
        sqlx::query_as!(
            FeedRow,
            "select position, id, at, kind, event_type, owner_id, organization_id, subject, data
             from feed
             where position > $1 and ($2::text is null or kind = $2) and ($3::uuid is null or subject = $3) and "
                + $whose
                + " order by position limit $4",
            $filter.after,
            $filter.kind.as_deref(),
            $filter.subject,
            i64::from($filter.limit),
            $view.user.uuid(),
            $view.organization.uuid(),
        )
        .fetch_all(&mut *$connection)
        .await
    };
}

impl Feed<Seen<'_>> {
    /// What the caller may see after a position, in order.
    #[tracing::instrument(name = "db.feed.after", skip_all, err(level = "debug"))]
    pub async fn after(&mut self, filter: &FeedFilter) -> Result<Vec<FeedRow>, StoreError> {
        const NAME: &str = "db.feed.after";
        let view: View = self.db.view;
        let mut connection = self.db.connection().await.during(NAME)?;
        let rows = match view.reach {
            Reach::Own => after!(connection, filter, view, "owner_id = $5 and organization_id = $6"),
            Reach::Organization => {
                after!(connection, filter, view, "organization_id = $6 and $5::uuid is not null")
            }
            Reach::All => after!(connection, filter, view, "$5::uuid is not null and $6::uuid is not null"),
        }
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        Ok(rows)
    }
}

impl Feed<System<'_>> {
    /// The first and the last position that are kept; none while nothing is.
    #[tracing::instrument(name = "db.feed.ends", skip_all, err(level = "debug"))]
    pub async fn ends(&self) -> Result<Option<(i64, i64)>, StoreError> {
        let row = sqlx::query!("select min(position) as first, max(position) as last from feed")
            .fetch_one(self.db.pool)
            .await
            .during("db.feed.ends")?;
        Ok(row.first.zip(row.last))
    }
}
