//! Usage facts: what calls cost. A fact that a shim tells again is stored once; those of unknown instances are left out.

use roadstead_model::{
    InstanceId, OrganizationId, ProjectId, SessionEra, UsageId, UsageMethod, UsageStatus, UserId, View,
};
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use crate::db::{Db, System};
use crate::error::During;
use crate::page::{FIRST, LAST, one_more};
use crate::{Cursor, Order, Page, StoreError};

const TABLE: &str = "mcp_usage";
/// Sums of one answer: what a person reads, the largest first.
const MAX_SUMS: i64 = 1000;

/// A fact to store.
#[derive(Debug, Clone)]
pub struct NewUsage {
    /// Through which instance.
    pub instance: InstanceId,
    /// When, by the shim's clock.
    pub at: OffsetDateTime,
    /// The number that the shim gave it.
    pub seq: i64,
    /// What was asked for.
    pub method: UsageMethod,
    /// The tool's name; none in the sum of several.
    pub name: Option<String>,
    /// The client's id of the call.
    pub request_id: Option<String>,
    /// What the call was a part of.
    pub parent_request_id: Option<String>,
    /// What the client speaks.
    pub era: SessionEra,
    /// How it ended.
    pub status: UsageStatus,
    /// More than one in a sum.
    pub calls: i64,
    /// How long they took together.
    pub latency_us: i64,
    /// Bytes of the requests.
    pub request_bytes: i64,
    /// Bytes of the answers.
    pub answer_bytes: i64,
}

/// A stored fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRow {
    /// Its id.
    pub id: UsageId,
    /// Through which instance.
    pub instance: InstanceId,
    /// When; of a sum, the beginning of its minute or day.
    pub at: OffsetDateTime,
    /// The number that the shim gave it.
    pub seq: i64,
    /// Whose instance it was.
    pub user: UserId,
    /// In which organisation.
    pub organization: OrganizationId,
    /// In which project.
    pub project: ProjectId,
    /// Its server type's name.
    pub type_name: String,
    /// What was asked for.
    pub method: UsageMethod,
    /// The tool's name; none in the sum of several.
    pub name: Option<String>,
    /// The client's id of the call.
    pub request_id: Option<String>,
    /// What the call was a part of.
    pub parent_request_id: Option<String>,
    /// What the client spoke.
    pub era: SessionEra,
    /// How it ended.
    pub status: UsageStatus,
    /// More than one in a sum.
    pub calls: i64,
    /// How long they took together.
    pub latency_us: i64,
    /// Bytes of the requests.
    pub request_bytes: i64,
    /// Bytes of the answers.
    pub answer_bytes: i64,
}

impl UsageRow {
    /// Its place in the list.
    pub const fn cursor(&self) -> Cursor {
        Cursor { at: self.at, id: self.id.uuid() }
    }
}

/// Which facts are wanted.
#[derive(Debug, Clone, Default)]
pub struct UsageFilter {
    /// Whose eyes see them; none for the service's own.
    pub view: Option<View>,
    /// Through this instance.
    pub instance: Option<InstanceId>,
    /// Of instances of this type.
    pub type_name: Option<String>,
    /// Of this name.
    pub tool: Option<String>,
    /// That ended so.
    pub status: Option<UsageStatus>,
    /// At or after this moment.
    pub since: Option<OffsetDateTime>,
    /// Before this moment.
    pub until: Option<OffsetDateTime>,
}

/// What sums are made by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageBy {
    /// What was called.
    Tool,
    /// The day, in UTC.
    Day,
    /// The instance.
    Instance,
}

/// What several facts add up to; of the three keys only the one that was asked for is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageSum {
    /// What was called.
    pub method: Option<UsageMethod>,
    /// Its name; none where several were summed up before.
    pub name: Option<String>,
    /// The day, in UTC.
    pub day: Option<Date>,
    /// The instance.
    pub instance: Option<InstanceId>,
    /// How many calls.
    pub calls: i64,
    /// With a result.
    pub success: i64,
    /// With an error.
    pub error: i64,
    /// Not in time.
    pub timeout: i64,
    /// Not wanted any more.
    pub cancelled: i64,
    /// Refused by a policy.
    pub blocked: i64,
    /// How long they took together.
    pub latency_us: i64,
    /// Bytes of the requests.
    pub request_bytes: i64,
    /// Bytes of the answers.
    pub answer_bytes: i64,
}

/// The facts' rows.
#[derive(Debug, Clone, Copy)]
pub struct Usage<D> {
    pub(crate) db: D,
}

struct Record {
    id: Uuid,
    mcp_instance_id: Uuid,
    at: OffsetDateTime,
    seq: i64,
    user_id: Uuid,
    organization_id: Uuid,
    project_id: Uuid,
    type_name: String,
    method: String,
    name: Option<String>,
    request_id: Option<String>,
    parent_request_id: Option<String>,
    era: String,
    status: String,
    calls: i64,
    latency_us: i64,
    request_bytes: i64,
    answer_bytes: i64,
}

struct SumRecord {
    method: Option<String>,
    name: Option<String>,
    day: Option<Date>,
    instance: Option<Uuid>,
    calls: i64,
    success: i64,
    error: i64,
    timeout: i64,
    cancelled: i64,
    blocked: i64,
    latency_us: i64,
    request_bytes: i64,
    answer_bytes: i64,
}

impl TryFrom<Record> for UsageRow {
    type Error = StoreError;

    fn try_from(record: Record) -> Result<Self, StoreError> {
        let id = record.id;
        let unknown =
            |error: roadstead_model::era::UnknownWord| StoreError::inconsistent(TABLE, id, error.to_string());
        Ok(Self {
            id: UsageId::from_uuid(id),
            instance: InstanceId::from_uuid(record.mcp_instance_id),
            at: record.at,
            seq: record.seq,
            user: UserId::from_uuid(record.user_id),
            organization: OrganizationId::from_uuid(record.organization_id),
            project: ProjectId::from_uuid(record.project_id),
            type_name: record.type_name,
            method: record.method.parse().map_err(unknown)?,
            name: record.name,
            request_id: record.request_id,
            parent_request_id: record.parent_request_id,
            era: record.era.parse().map_err(unknown)?,
            status: record.status.parse().map_err(unknown)?,
            calls: record.calls,
            latency_us: record.latency_us,
            request_bytes: record.request_bytes,
            answer_bytes: record.answer_bytes,
        })
    }
}

impl TryFrom<SumRecord> for UsageSum {
    type Error = StoreError;

    fn try_from(record: SumRecord) -> Result<Self, StoreError> {
        let method = record.method.map(|word| word.parse()).transpose();
        let method = method.map_err(|error: roadstead_model::era::UnknownWord| {
            StoreError::inconsistent(TABLE, Uuid::nil(), error.to_string())
        })?;
        Ok(Self {
            method,
            name: record.name,
            day: record.day,
            instance: record.instance.map(InstanceId::from_uuid),
            calls: record.calls,
            success: record.success,
            error: record.error,
            timeout: record.timeout,
            cancelled: record.cancelled,
            blocked: record.blocked,
            latency_us: record.latency_us,
            request_bytes: record.request_bytes,
            answer_bytes: record.answer_bytes,
        })
    }
}

/// The columns of many facts, for one statement.
#[derive(Default)]
struct Columns {
    instances: Vec<Uuid>,
    times: Vec<OffsetDateTime>,
    seqs: Vec<i64>,
    methods: Vec<String>,
    names: Vec<Option<String>>,
    requests: Vec<Option<String>>,
    parents: Vec<Option<String>>,
    eras: Vec<String>,
    statuses: Vec<String>,
    calls: Vec<i64>,
    latencies: Vec<i64>,
    request_bytes: Vec<i64>,
    answer_bytes: Vec<i64>,
}

impl From<&[NewUsage]> for Columns {
    fn from(facts: &[NewUsage]) -> Self {
        // PostgreSQL's text holds any character but this one.
        let clean = |text: &Option<String>| text.as_ref().map(|text| text.replace('\0', "\u{fffd}"));
        let mut columns = Self::default();
        for fact in facts {
            columns.instances.push(fact.instance.uuid());
            columns.times.push(fact.at);
            columns.seqs.push(fact.seq);
            columns.methods.push(fact.method.as_str().to_owned());
            columns.names.push(clean(&fact.name));
            columns.requests.push(clean(&fact.request_id));
            columns.parents.push(clean(&fact.parent_request_id));
            columns.eras.push(fact.era.as_str().to_owned());
            columns.statuses.push(fact.status.as_str().to_owned());
            columns.calls.push(fact.calls);
            columns.latencies.push(fact.latency_us);
            columns.request_bytes.push(fact.request_bytes);
            columns.answer_bytes.push(fact.answer_bytes);
        }
        columns
    }
}

impl Usage<System<'_>> {
    /// Stores facts under the owners that their instances have; says how many were new. Facts that are stored already,
    /// or of unknown instances, are not.
    #[tracing::instrument(name = "db.usage.append", skip_all, fields(facts = facts.len()), err(level = "debug"))]
    pub async fn append(&self, facts: &[NewUsage]) -> Result<u64, StoreError> {
        if facts.is_empty() {
            return Ok(0);
        }
        let columns = Columns::from(facts);
        let done = sqlx::query!(
            "insert into mcp_usage (id, mcp_instance_id, at, seq, user_id, organization_id, project_id, mcp_type_id,
                                    method, name, request_id, parent_request_id, era, status,
                                    calls, latency_us, request_bytes, answer_bytes)
             select uuid_v7(f.at), i.id, f.at, f.seq, i.user_id, i.organization_id, i.project_id, i.mcp_type_id,
                    f.method, f.name, f.request_id, f.parent_request_id, f.era, f.status,
                    f.calls, f.latency_us, f.request_bytes, f.answer_bytes
             from unnest($1::uuid[], $2::timestamptz[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[],
                         $8::text[], $9::text[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[])
                  with ordinality as f (instance, at, seq, method, name, request_id, parent_request_id, era, status,
                                        calls, latency_us, request_bytes, answer_bytes, place)
             join mcp_instances i on i.id = f.instance
             order by f.place
             on conflict do nothing",
            &columns.instances,
            &columns.times,
            &columns.seqs,
            &columns.methods,
            &columns.names as &[Option<String>],
            &columns.requests as &[Option<String>],
            &columns.parents as &[Option<String>],
            &columns.eras,
            &columns.statuses,
            &columns.calls,
            &columns.latencies,
            &columns.request_bytes,
            &columns.answer_bytes,
        )
        .execute(self.db.pool)
        .await
        .during("db.usage.append")?;
        Ok(done.rows_affected())
    }
}

impl<D: Db> Usage<D> {
    /// The facts that a filter lets through.
    #[tracing::instrument(name = "db.usage.list", skip_all, err(level = "debug"))]
    pub async fn list(
        &mut self,
        filter: &UsageFilter,
        after: Option<Cursor>,
        limit: u32,
        order: Order,
    ) -> Result<Page<UsageRow>, StoreError> {
        const NAME: &str = "db.usage.list";
        let owner = filter.view.and_then(|view| view.owner()).map(UserId::uuid);
        let within = filter.view.and_then(|view| view.within()).map(OrganizationId::uuid);
        let after = after.unwrap_or_else(|| Cursor::end(order));
        let mut connection = self.db.connection().await.during(NAME)?;
        // What narrows the list is an index condition, so there is a statement for each reach.
        macro_rules! select {
            ($scope:literal $tail:literal) => {
                sqlx::query_as!(
                    Record,
                    "select u.id, u.mcp_instance_id, u.at, u.seq, u.user_id, u.organization_id, u.project_id,
                            t.name as type_name, u.method, u.name, u.request_id, u.parent_request_id, u.era, u.status,
                            u.calls, u.latency_us, u.request_bytes, u.answer_bytes
                     from mcp_usage u join mcp_types t on t.id = u.mcp_type_id where "
                        + $scope
                        + " and ($3::uuid is null or u.mcp_instance_id = $3)
                       and ($4::text is null or t.name = $4)
                       and ($5::text is null or u.name = $5)
                       and ($6::text is null or u.status = $6)
                       and u.at >= $7 and u.at < $8 "
                        + $tail,
                    owner,
                    within,
                    filter.instance.map(InstanceId::uuid),
                    filter.type_name,
                    filter.tool,
                    filter.status.map(UsageStatus::as_str),
                    filter.since.unwrap_or(FIRST),
                    filter.until.unwrap_or(LAST),
                    after.at,
                    after.id,
                    one_more(limit),
                )
                .fetch_all(&mut *connection)
                .await
            };
        }
        macro_rules! by_scope {
            ($tail:literal) => {
                match (owner, within) {
                    (Some(_), _) => {
                        select!("u.user_id = $1 and ($2::uuid is null or u.organization_id = $2)" $tail)
                    }
                    (None, Some(_)) => select!("$1::uuid is null and u.organization_id = $2" $tail),
                    (None, None) => select!("$1::uuid is null and $2::uuid is null" $tail),
                }
            };
        }
        let records = match order {
            Order::Ascending => by_scope!("and (u.at, u.id) > ($9, $10::uuid) order by u.at, u.id limit $11"),
            Order::Descending => {
                by_scope!("and (u.at, u.id) < ($9, $10::uuid) order by u.at desc, u.id desc limit $11")
            }
        }
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        let rows = records.into_iter().map(UsageRow::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::cut(rows, limit, UsageRow::cursor))
    }

    /// What the facts that a filter lets through add up to: days newest first, anything else by the most calls.
    #[tracing::instrument(name = "db.usage.sums", skip_all, err(level = "debug"))]
    pub async fn sums(&mut self, filter: &UsageFilter, by: UsageBy) -> Result<Vec<UsageSum>, StoreError> {
        const NAME: &str = "db.usage.sums";
        let mut connection = self.db.connection().await.during(NAME)?;
        let (tool, day, instance) = (by == UsageBy::Tool, by == UsageBy::Day, by == UsageBy::Instance);
        let records = sqlx::query_as!(
            SumRecord,
            r#"select k.method, k.name, k.day, k.instance,
                      sum(k.calls)::bigint as "calls!",
                      coalesce(sum(k.calls) filter (where k.status = 'success'), 0)::bigint as "success!",
                      coalesce(sum(k.calls) filter (where k.status = 'error'), 0)::bigint as "error!",
                      coalesce(sum(k.calls) filter (where k.status = 'timeout'), 0)::bigint as "timeout!",
                      coalesce(sum(k.calls) filter (where k.status = 'cancelled'), 0)::bigint as "cancelled!",
                      coalesce(sum(k.calls) filter (where k.status = 'blocked'), 0)::bigint as "blocked!",
                      sum(k.latency_us)::bigint as "latency_us!",
                      sum(k.request_bytes)::bigint as "request_bytes!",
                      sum(k.answer_bytes)::bigint as "answer_bytes!"
               from (select case when $8 then u.method end as method, case when $8 then u.name end as name,
                            case when $9 then (u.at at time zone 'UTC')::date end as day,
                            case when $10 then u.mcp_instance_id end as instance,
                            u.status, u.calls, u.latency_us, u.request_bytes, u.answer_bytes
                     from mcp_usage u
                     where ($1::uuid is null or u.user_id = $1) and ($12::uuid is null or u.organization_id = $12)
                       and ($2::uuid is null or u.mcp_instance_id = $2)
                       and ($3::text is null or u.mcp_type_id in (select t.id from mcp_types t where t.name = $3))
                       and ($4::text is null or u.name = $4)
                       and ($5::text is null or u.status = $5)
                       and ($6::timestamptz is null or u.at >= $6)
                       and ($7::timestamptz is null or u.at < $7)) k
               group by k.method, k.name, k.day, k.instance
               order by k.day desc, sum(k.calls) desc, k.method, k.name, k.instance
               limit $11"#,
            filter.view.and_then(|view| view.owner()).map(UserId::uuid),
            filter.instance.map(InstanceId::uuid),
            filter.type_name,
            filter.tool,
            filter.status.map(UsageStatus::as_str),
            filter.since,
            filter.until,
            tool,
            day,
            instance,
            MAX_SUMS,
            filter.view.and_then(|view| view.within()).map(OrganizationId::uuid),
        )
        .fetch_all(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        records.into_iter().map(UsageSum::try_from).collect()
    }
}
