//! Lists of instances: filters, orders and the places where pages start.
//!
//! A statement for each reach and each order, so that what narrows a list most is an index condition: a condition that
//! holds for everybody when its parameter is null is none. The status is asked for as `Standing` says it.

use roadstead_model::{InstanceStatus, OrganizationId, ProjectId, UserId, View};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::read::select;
use super::row::Record;
use super::{InstanceRow, Instances};
use crate::db::{Connection, Db};
use crate::error::During;
use crate::page::{Cursor, FIRST, LAST, one_more};
use crate::{Order, Page, StoreError};

/// Instances whose names one page looks at, where a list is sorted by creation: behind row security no index finds a text.
pub const SEARCHED_NAMES: u32 = 4_000;
/// After every word that a status has.
const LAST_WORD: &str = "zzzz";

/// What a list of instances is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InstanceSort {
    /// Their creation.
    #[default]
    Created,
    /// Their deadline.
    Expires,
    /// Their row's status, then their creation.
    Status,
}

/// The place of an instance in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceCursor {
    /// Its creation, or its deadline where the list is sorted by that.
    #[serde(with = "time::serde::timestamp::microseconds")]
    pub at: OffsetDateTime,
    /// Its id, for rows of one moment.
    pub id: Uuid,
    /// Its status, where the list is sorted by that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

/// Which instances are wanted.
#[derive(Debug, Clone, Default)]
pub struct InstanceFilter {
    /// Whose eyes see them; none for the service's own.
    pub view: Option<View>,
    /// Of one of these standings at this moment.
    pub statuses: Option<(Vec<InstanceStatus>, OffsetDateTime)>,
    /// Of this type.
    pub type_name: Option<String>,
    /// Of this project.
    pub project: Option<ProjectId>,
    /// Of this user, for those who see others'.
    pub owner: Option<UserId>,
    /// Whose name has this text in it, whatever its case. A page may then have fewer rows than there are, and a next one.
    pub name_contains: Option<String>,
    /// Created at or after this moment.
    pub created_since: Option<OffsetDateTime>,
    /// Created before this moment.
    pub created_until: Option<OffsetDateTime>,
    /// Whose deadline is before this moment.
    pub expires_before: Option<OffsetDateTime>,
    /// What they are sorted by.
    pub sort: InstanceSort,
    /// Which end comes first.
    pub order: Order,
    /// The place after which the page starts.
    pub after: Option<InstanceCursor>,
    /// Instances at most.
    pub limit: u32,
}

impl InstanceFilter {
    /// The place of an instance in this list.
    fn place(&self, row: &InstanceRow) -> InstanceCursor {
        let at = if self.sort == InstanceSort::Expires { row.expires_at } else { row.created_at };
        let status = (self.sort == InstanceSort::Status).then(|| row.status().as_str().to_owned());
        InstanceCursor { at, id: row.id.uuid(), status }
    }

    /// The statuses that an index finds; an instance whose time is up may have any in its row. Not where names are looked at: that is
    /// done along one index.
    fn found_by_index(&self) -> Option<&[InstanceStatus]> {
        let (statuses, _) = self.statuses.as_ref().filter(|_| self.name_contains.is_none())?;
        let is_in_row = |status: &InstanceStatus| *status != InstanceStatus::Expired;
        statuses.iter().all(is_in_row).then_some(statuses.as_slice())
    }
}

/// A filter as the statements take it.
struct Asked<'a> {
    filter: &'a InstanceFilter,
    /// Rows of this owner alone: the caller's own, or those that were asked for.
    user: Option<Uuid>,
    organization: Option<Uuid>,
    mcp_type: Option<Uuid>,
    statuses: Option<Vec<String>>,
    now: Option<OffsetDateTime>,
    after: InstanceCursor,
    /// The last place that this page looks at.
    end: Cursor,
}

impl<'a> Asked<'a> {
    /// None where a caller asks for another's and sees only their own.
    fn new(filter: &'a InstanceFilter) -> Option<Self> {
        let own = filter.view.and_then(|view| view.owner());
        if own.is_some() && filter.owner.is_some() && own != filter.owner {
            return None;
        }
        let word = if filter.order == Order::Ascending { "" } else { LAST_WORD };
        let Cursor { at, id } = Cursor::end(filter.order);
        let start = InstanceCursor { at, id, status: Some(word.to_owned()) };
        Some(Self {
            filter,
            user: own.or(filter.owner).map(UserId::uuid),
            organization: filter.view.and_then(|view| view.within()).map(OrganizationId::uuid),
            mcp_type: None,
            statuses: filter
                .statuses
                .as_ref()
                .map(|(statuses, _)| statuses.iter().map(|one| one.as_str().to_owned()).collect()),
            now: filter.statuses.as_ref().map(|(_, now)| *now),
            after: filter.after.clone().unwrap_or(start),
            end: Cursor::end(match filter.order {
                Order::Ascending => Order::Descending,
                Order::Descending => Order::Ascending,
            }),
        })
    }

    /// Whether an index other than the order's may find the rows, few among many.
    const fn is_narrowed(&self) -> bool {
        self.statuses.is_some() || self.mcp_type.is_some()
    }

    const fn scope(&self) -> Scope {
        match (self.user, self.organization) {
            (Some(_), _) => Scope::User,
            (None, Some(_)) => Scope::Organization,
            (None, None) => Scope::All,
        }
    }
}

/// Which index finds the rows.
#[derive(Clone, Copy)]
enum Scope {
    User,
    Organization,
    All,
}

/// One page: `$scope` is the first lock, `$tail` the place and the order.
macro_rules! page {
    ($asked:ident, $connection:ident, $scope:literal, $tail:literal $(, $more:expr)*) => {
        select!(
            $scope
            " and ($3::uuid is null or i.project_id = $3)
              and ($4::text[] is null
                   or (i.status = any ($4) and (i.status in ('pending', 'expired') or i.expires_at > $5))
                   or ('expired' = any ($4) and i.status in ('running', 'disconnected', 'stopped', 'error')
                       and i.expires_at <= $5))
              and ($6::uuid is null or i.mcp_type_id = $6)
              and ($7::text is null or strpos(lower(i.name), (select lower($7))) > 0)
              and i.created_at >= $8 and i.created_at < $9 and i.expires_at < $10 "
            $tail,
            $asked.user,
            $asked.organization,
            $asked.filter.project.map(ProjectId::uuid),
            $asked.statuses.as_deref(),
            $asked.now,
            $asked.mcp_type,
            $asked.filter.name_contains,
            $asked.filter.created_since.unwrap_or(FIRST),
            $asked.filter.created_until.unwrap_or(LAST),
            $asked.filter.expires_before.unwrap_or(LAST),
            $asked.after.at,
            $asked.after.id,
            one_more($asked.filter.limit)
            $(, $more)*
        )
        .fetch_all(&mut **$connection)
        .await
    };
}

/// A page, or its bound, of one order, by the reach of who asks.
macro_rules! by_scope {
    ($what:ident, $asked:ident, $connection:ident, $tail:literal $(, $more:expr)*) => {
        match $asked.scope() {
            Scope::User => $what!($asked, $connection,
                "and i.user_id = $1 and ($2::uuid is null or i.organization_id = $2)", $tail $(, $more)*),
            Scope::Organization => $what!($asked, $connection,
                "and $1::uuid is null and i.organization_id = $2", $tail $(, $more)*),
            Scope::All => $what!($asked, $connection,
                "and $1::uuid is null and $2::uuid is null", $tail $(, $more)*),
        }
    };
}

/// The place that ends the part of a list whose names one page looks at: `$scope` is the first lock, `$tail` the place and the order.
macro_rules! bound {
    ($asked:ident, $connection:ident, $scope:literal, $tail:literal) => {
        sqlx::query_as!(
            Cursor,
            "select i.created_at as at, i.id from mcp_instances i where i.deleted_at is null "
                + $scope
                + " and i.created_at >= $3 and i.created_at < $4 "
                + $tail,
            $asked.user,
            $asked.organization,
            $asked.filter.created_since.unwrap_or(FIRST),
            $asked.filter.created_until.unwrap_or(LAST),
            $asked.after.at,
            $asked.after.id,
            i64::from(SEARCHED_NAMES) - 1,
        )
        .fetch_optional(&mut **$connection)
        .await
    };
}

type Records = Result<Vec<Record>, sqlx::Error>;

impl<D: Db> Instances<D> {
    /// The instances that a filter lets through.
    #[tracing::instrument(name = "db.instance.list", skip_all, err(level = "debug"))]
    pub async fn list(
        &mut self,
        filter: &InstanceFilter,
    ) -> Result<Page<InstanceRow, InstanceCursor>, StoreError> {
        const NAME: &str = "db.instance.list";
        let nothing = Page { items: Vec::new(), next: None };
        let Some(mut asked) = Asked::new(filter) else { return Ok(nothing) };
        let mut connection = self.db.connection().await.during(NAME)?;
        if let Some(name) = &filter.type_name {
            asked.mcp_type = of_name(name, &mut connection).await.during(NAME)?;
            if asked.mcp_type.is_none() {
                return connection.done().await.during(NAME).map(|()| nothing);
            }
        }
        let mut next = None;
        if filter.name_contains.is_some() && filter.sort == InstanceSort::Created {
            next = last_searched(&asked, &mut connection).await.during(NAME)?;
            asked.end = next.unwrap_or(asked.end);
        }
        let records = match (filter.sort, asked.scope(), filter.found_by_index()) {
            (InstanceSort::Created, Scope::All, Some(statuses)) => {
                of_statuses(&asked, statuses, &mut connection).await
            }
            (InstanceSort::Created, ..) => by_creation(&asked, &mut connection).await,
            (InstanceSort::Expires, ..) => by_deadline(&asked, &mut connection).await,
            (InstanceSort::Status, ..) => by_status(&asked, &mut connection).await,
        }
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        let rows = records.into_iter().map(InstanceRow::try_from).collect::<Result<Vec<_>, _>>()?;
        let mut page = Page::cut(rows, filter.limit, |row| filter.place(row));
        let looked_at = next.map(|Cursor { at, id }| InstanceCursor { at, id, status: None });
        page.next = page.next.or(looked_at);
        Ok(page)
    }
}

/// The type of a name, by whose id rows are found: of a name the planner cannot know how many have it.
async fn of_name(name: &str, connection: &mut Connection<'_>) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar!("select id from mcp_types where name = $1", name)
        .fetch_optional(&mut **connection)
        .await
}

async fn by_creation(asked: &Asked<'_>, connection: &mut Connection<'_>) -> Records {
    if asked.is_narrowed() {
        connection.plan_for_values().await?;
    }
    match asked.filter.order {
        Order::Ascending => by_scope!(
            page,
            asked,
            connection,
            "and (i.created_at, i.id) > ($11, $12::uuid) and (i.created_at, i.id) <= ($14, $15::uuid)
             order by i.created_at, i.id limit $13",
            asked.end.at,
            asked.end.id
        ),
        Order::Descending => by_scope!(
            page,
            asked,
            connection,
            "and (i.created_at, i.id) < ($11, $12::uuid) and (i.created_at, i.id) >= ($14, $15::uuid)
             order by i.created_at desc, i.id desc limit $13",
            asked.end.at,
            asked.end.id
        ),
    }
}

/// Where the page ends that looks at as many names as one may; none where it looks at all that are left.
async fn last_searched(
    asked: &Asked<'_>,
    connection: &mut Connection<'_>,
) -> Result<Option<Cursor>, sqlx::Error> {
    match asked.filter.order {
        Order::Ascending => by_scope!(
            bound,
            asked,
            connection,
            "and (i.created_at, i.id) > ($5, $6::uuid) order by i.created_at, i.id offset $7 limit 1"
        ),
        Order::Descending => by_scope!(
            bound,
            asked,
            connection,
            "and (i.created_at, i.id) < ($5, $6::uuid) order by i.created_at desc, i.id desc offset $7 limit 1"
        ),
    }
}

/// Everybody's of some statuses, few among many where they are those of the living: the first of each, put in order.
async fn of_statuses(
    asked: &Asked<'_>,
    statuses: &[InstanceStatus],
    connection: &mut Connection<'_>,
) -> Records {
    if asked.mcp_type.is_some() {
        connection.plan_for_values().await?;
    }
    let mut wanted = statuses.to_vec();
    wanted.sort_unstable_by_key(|status| status.as_str());
    wanted.dedup();
    let mut records = Vec::new();
    for status in wanted {
        records.extend(of_one_status(asked, status, connection).await?);
    }
    records.sort_by_key(|record| (record.created_at, record.id));
    if asked.filter.order == Order::Descending {
        records.reverse();
    }
    Ok(records)
}

async fn of_one_status(
    asked: &Asked<'_>,
    status: InstanceStatus,
    connection: &mut Connection<'_>,
) -> Records {
    match asked.filter.order {
        Order::Ascending => page!(
            asked,
            connection,
            "and $1::uuid is null and $2::uuid is null and i.status = $14",
            "and (i.created_at, i.id) > ($11, $12::uuid) order by i.created_at, i.id limit $13",
            status.as_str()
        ),
        Order::Descending => page!(
            asked,
            connection,
            "and $1::uuid is null and $2::uuid is null and i.status = $14",
            "and (i.created_at, i.id) < ($11, $12::uuid) order by i.created_at desc, i.id desc limit $13",
            status.as_str()
        ),
    }
}

// The indices of deadlines and statuses are everybody's: whoever sees few rows is served sooner by sorting those, whoever
// sees most of them by the index. Which of the two it is, the planner knows by the values alone.

async fn by_deadline(asked: &Asked<'_>, connection: &mut Connection<'_>) -> Records {
    connection.plan_for_values().await?;
    match asked.filter.order {
        Order::Ascending => by_scope!(
            page,
            asked,
            connection,
            "and (i.expires_at, i.id) > ($11, $12::uuid) order by i.expires_at, i.id limit $13"
        ),
        Order::Descending => by_scope!(
            page,
            asked,
            connection,
            "and (i.expires_at, i.id) < ($11, $12::uuid) order by i.expires_at desc, i.id desc limit $13"
        ),
    }
}

async fn by_status(asked: &Asked<'_>, connection: &mut Connection<'_>) -> Records {
    connection.plan_for_values().await?;
    let after = asked.after.status.as_deref().unwrap_or_default();
    match asked.filter.order {
        Order::Ascending => by_scope!(
            page,
            asked,
            connection,
            "and (i.status, i.created_at, i.id) > ($14, $11, $12::uuid)
             order by i.status, i.created_at, i.id limit $13",
            after
        ),
        Order::Descending => by_scope!(
            page,
            asked,
            connection,
            "and (i.status, i.created_at, i.id) < ($14, $11, $12::uuid)
             order by i.status desc, i.created_at desc, i.id desc limit $13",
            after
        ),
    }
}
