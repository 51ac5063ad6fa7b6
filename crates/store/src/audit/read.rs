//! Reading the log: page by page, newest first or oldest first, held to what the caller may see.

use roadstead_model::{Reach, View};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Audit;
use crate::StoreError;
use crate::db::{Db, Seen};
use crate::error::During;
use crate::page::one_more;
use crate::{Order, Page};

/// The place of an entry in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditCursor {
    /// When it was written.
    #[serde(with = "time::serde::timestamp::microseconds")]
    pub at: OffsetDateTime,
    /// Its number.
    pub seq: i64,
}

/// Which entries are wanted.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Of this user, for themselves or for another.
    pub actor: Option<Uuid>,
    /// This action.
    pub action: Option<String>,
    /// About things of this kind.
    pub resource_kind: Option<String>,
    /// About this thing.
    pub resource: Option<String>,
    /// With this outcome.
    pub outcome: Option<String>,
    /// Of this request.
    pub request: Option<String>,
    /// Not older.
    pub since: Option<OffsetDateTime>,
    /// Older.
    pub until: Option<OffsetDateTime>,
    /// After this place.
    pub after: Option<AuditCursor>,
    /// At most so many.
    pub limit: u32,
    /// Which end comes first.
    pub order: Order,
}

impl AuditFilter {
    /// Whether few entries of many are wanted, which have an index of their own.
    const fn names_one(&self) -> bool {
        self.request.is_some() || (self.resource_kind.is_some() && self.resource.is_some())
    }
}

/// An entry.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the columns of the table, which docs/audit.md explains")]
pub struct AuditRow {
    pub seq: i64,
    pub at: OffsetDateTime,
    pub id: Uuid,
    pub organization_id: Uuid,
    pub project_id: Option<Uuid>,
    pub actor_kind: String,
    pub actor_user_id: Option<Uuid>,
    pub actor_key_id: Option<Uuid>,
    pub on_behalf_of: Option<Uuid>,
    pub ip_address: Option<String>,
    pub user_agent: Option<String>,
    pub action: String,
    pub resource_kind: String,
    pub resource_id: Option<String>,
    pub changes: Value,
    pub request_id: Option<String>,
    pub outcome: String,
    pub code: Option<String>,
    pub sensitive: bool,
    pub times: i32,
}

impl AuditRow {
    /// Its place in the log.
    pub const fn cursor(&self) -> AuditCursor {
        AuditCursor { at: self.at, seq: self.seq }
    }
}

macro_rules! page {
    ($connection:ident, $filter:ident, $view:ident, $whose:literal, $order:literal) => {
        sqlx::query_as!(
            AuditRow,
            r#"select seq, at, id, organization_id, project_id, actor_kind, actor_user_id, actor_key_id, on_behalf_of,
                      host(ip_address) as ip_address, user_agent, action, resource_kind, resource_id, changes,
                      request_id, outcome, code, sensitive, times
               from audit_logs
               where ($1::uuid is null or actor_user_id = $1 or on_behalf_of = $1) and ($2::text is null or action = $2)
                 and ($3::text is null or resource_kind = $3) and ($4::text is null or resource_id = $4)
                 and ($5::text is null or outcome = $5) and ($6::text is null or request_id = $6)
                 and ($7::timestamptz is null or at >= $7) and ($8::timestamptz is null or at < $8)
                 and "# + $whose + $order,
            $filter.actor,
            $filter.action.as_deref(),
            $filter.resource_kind.as_deref(),
            $filter.resource.as_deref(),
            $filter.outcome.as_deref(),
            $filter.request.as_deref(),
            $filter.since,
            $filter.until,
            $filter.after.map(|cursor| cursor.at),
            $filter.after.map(|cursor| cursor.seq),
            one_more($filter.limit),
            $view.user.uuid(),
            $view.organization.uuid(),
        )
        .fetch_all(&mut *$connection)
        .await
    };
}

macro_rules! whose {
    ($connection:ident, $filter:ident, $view:ident, $order:literal) => {
        match $view.reach {
            Reach::Own => page!(
                $connection,
                $filter,
                $view,
                "((organization_id = $13 and actor_user_id = $12) or on_behalf_of = $12) ",
                $order
            ),
            Reach::Organization => {
                page!($connection, $filter, $view, "organization_id = $13 and $12::uuid is not null ", $order)
            }
            Reach::All => {
                page!($connection, $filter, $view, "$12::uuid is not null and $13::uuid is not null ", $order)
            }
        }
    };
}

impl Audit<Seen<'_>> {
    /// The entries that the caller may see.
    #[tracing::instrument(name = "db.audit.list", skip_all, err(level = "debug"))]
    pub async fn list(&mut self, filter: &AuditFilter) -> Result<Page<AuditRow, AuditCursor>, StoreError> {
        const NAME: &str = "db.audit.list";
        let view: View = self.db.view;
        let mut connection = self.db.connection().await.during(NAME)?;
        if filter.names_one() {
            connection.plan_for_values().await.during(NAME)?;
        }
        let rows = match filter.order {
            Order::Ascending => whose!(
                connection,
                filter,
                view,
                "and ($9::timestamptz is null or (at, seq) > ($9, $10::bigint)) order by at, seq limit $11"
            ),
            Order::Descending => whose!(
                connection,
                filter,
                view,
                "and ($9::timestamptz is null or (at, seq) < ($9, $10::bigint)) order by at desc, seq desc limit $11"
            ),
        }
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        Ok(Page::cut(rows, filter.limit, AuditRow::cursor))
    }
}

impl<D: Db> Audit<D> {
    /// Whether a request has written an entry since it began.
    #[tracing::instrument(name = "db.audit.is_written", skip_all, err(level = "debug"))]
    pub async fn is_written(
        &mut self,
        request: &str,
        action: &str,
        actor: Option<Uuid>,
        since: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        const NAME: &str = "db.audit.is_written";
        let mut connection = self.db.connection().await.during(NAME)?;
        let is = sqlx::query_scalar!(
            r#"select exists (select from audit_logs where request_id = $1 and action = $2 and at >= $4
                              and actor_key_id is not distinct from $3) as "is!""#,
            request,
            action,
            actor,
            since,
        )
        .fetch_one(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        Ok(is)
    }
}
