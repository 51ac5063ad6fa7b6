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
    /// Whether few entries of many may be wanted, which have an index of their own.
    const fn is_narrowed(&self) -> bool {
        self.action.is_some()
            || self.request.is_some()
            || (self.resource_kind.is_some() && self.resource.is_some())
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

/// A page of the log; the statement is in pieces, of which two are needed in several places.
macro_rules! asked {
    ($connection:ident, $filter:ident, $view:ident, $($sql:literal)+) => {
        sqlx::query_as!(
            AuditRow,
            "" $(+ $sql)+,
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

/// Gives another macro the columns and what narrows the list, before its own words.
macro_rules! with_pieces {
    ($then:ident, $($words:tt)*) => {
        $then!(
            r#"select seq as "seq!", at as "at!", id as "id!", organization_id as "organization_id!", project_id,
                      actor_kind as "actor_kind!", actor_user_id, actor_key_id, on_behalf_of, host(ip_address) as ip_address,
                      user_agent, action as "action!", resource_kind as "resource_kind!", resource_id, changes as "changes!",
                      request_id, outcome as "outcome!", code, sensitive as "sensitive!", times as "times!"
               from "#,
            "where ($1::uuid is null or actor_user_id = $1 or on_behalf_of = $1) and ($2::text is null or action = $2)
               and ($3::text is null or resource_kind = $3) and ($4::text is null or resource_id = $4)
               and ($5::text is null or outcome = $5) and ($6::text is null or request_id = $6)
               and ($7::timestamptz is null or at >= $7) and ($8::timestamptz is null or at < $8) and ",
            $($words)*
        )
    };
}

/// Entries that one condition finds.
macro_rules! one {
    ($columns:literal, $narrowed:literal, $connection:ident, $filter:ident, $view:ident, $whose:literal, $order:literal) => {
        asked!($connection, $filter, $view, $columns "audit_logs " $narrowed $whose $order)
    };
}

/// Entries that either of two conditions finds, each by an index in the order of the list: a page of each makes a page of both.
macro_rules! either {
    ($columns:literal, $narrowed:literal, $connection:ident, $filter:ident, $view:ident, $one:literal, $other:literal, $order:literal) => {
        asked!(
            $connection,
            $filter,
            $view,
            $columns "((select * from audit_logs " $narrowed $one $order ") union all (select * from audit_logs " $narrowed $other
            $order ")) both_of_them where true " $order
        )
    };
}

macro_rules! whose {
    ($connection:ident, $filter:ident, $view:ident, $order:literal) => {
        match $view.reach {
            // What one did, and what others did for them.
            Reach::Own => with_pieces!(
                either,
                $connection,
                $filter,
                $view,
                "organization_id = $13 and actor_user_id = $12 ",
                "on_behalf_of = $12 and (organization_id <> $13 or actor_user_id is distinct from $12) ",
                $order
            ),
            Reach::Organization => with_pieces!(
                one,
                $connection,
                $filter,
                $view,
                "organization_id = $13 and $12::uuid is not null ",
                $order
            ),
            Reach::All => with_pieces!(
                one,
                $connection,
                $filter,
                $view,
                "$12::uuid is not null and $13::uuid is not null ",
                $order
            ),
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
        if filter.is_narrowed() {
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
