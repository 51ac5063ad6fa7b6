//! What keys were used for: a row for each day of a key, and one for each request.

use std::collections::BTreeMap;
use std::net::IpAddr;

use roadstead_model::{ApiKeyId, Operation, OrganizationId, UserId, View};
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use super::{ApiKeyRow, ApiKeys, TABLE};
use crate::db::{Db, System};
use crate::error::During;
use crate::page::one_more;
use crate::{Cursor, Page, StoreError, convert};

/// Bits of a day's set of operations: room for as many more again.
const OPERATION_BITS: usize = 256;
const _: () = assert!(Operation::ALL.len() <= OPERATION_BITS);

/// One request with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFact {
    /// The key.
    pub key: ApiKeyId,
    /// When it came.
    pub at: OffsetDateTime,
    /// What was asked; none where nothing answers.
    pub operation: Option<Operation>,
    /// The status of the answer.
    pub status: u16,
    /// Whether it was turned away for what the key may, before anything was done.
    pub is_refused: bool,
    /// How long it took, in microseconds.
    pub duration_us: u64,
    /// The bytes of its body.
    pub request_bytes: u64,
    /// The bytes of the answer, where they are known before it is sent.
    pub answer_bytes: u64,
    /// From where.
    pub ip_address: Option<IpAddr>,
    /// By which program.
    pub user_agent: Option<String>,
    /// The request's id.
    pub request_id: Option<String>,
}

/// A day of a key, by UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDay {
    /// The day.
    pub day: Date,
    /// Requests that were let in.
    pub requests: u64,
    /// Of those, the ones that were answered with an error.
    pub errors: u64,
    /// Requests that were turned away for what the key may.
    pub refused: u64,
    /// The sum of how long they took, in microseconds.
    pub duration_us: u64,
    /// What was asked.
    pub operations: Vec<Operation>,
}

/// One request, as it was written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRequest {
    /// Its row.
    pub id: Uuid,
    /// When it came.
    pub at: OffsetDateTime,
    /// What was asked, by its name in the description of the API.
    pub operation: String,
    /// The status of the answer.
    pub status: i32,
    /// How long it took, in microseconds.
    pub duration_us: u64,
    /// The bytes of its body.
    pub request_bytes: u64,
    /// The bytes of the answer, where they were known before it was sent.
    pub answer_bytes: u64,
    /// From where.
    pub ip_address: Option<IpAddr>,
    /// The request's id.
    pub request_id: Option<String>,
}

/// What a key was used altogether.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyTotals {
    /// The key.
    pub key: ApiKeyId,
    /// Requests that were let in.
    pub requests: u64,
    /// Of those, the ones that were answered with an error.
    pub errors: u64,
    /// How long one took in the mean, in microseconds.
    pub mean_us: Option<u64>,
}

/// A day of a key that is being added up.
#[derive(Default)]
struct Sum {
    requests: i64,
    errors: i64,
    refused: i64,
    duration_us: i64,
    operations: Vec<u8>,
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn added_up(facts: &[KeyFact]) -> BTreeMap<(Uuid, Date), Sum> {
    let mut days: BTreeMap<(Uuid, Date), Sum> = BTreeMap::new();
    for fact in facts {
        let day = fact.at.to_offset(time::UtcOffset::UTC).date();
        let sum = days.entry((fact.key.uuid(), day)).or_default();
        if sum.operations.is_empty() {
            sum.operations = vec![b'0'; OPERATION_BITS];
        }
        if fact.is_refused {
            sum.refused += 1;
            continue;
        }
        sum.requests += 1;
        sum.errors += i64::from(fact.status >= 400);
        sum.duration_us = sum.duration_us.saturating_add(whole(fact.duration_us));
        if let Some(operation) = fact.operation {
            sum.operations[operation as usize] = b'1';
        }
    }
    days
}

impl ApiKeys<System<'_>> {
    /// Writes down many requests in one transaction: their days, themselves, and the last use of each key. What is of a key
    /// that is gone is left out.
    #[tracing::instrument(name = "db.api_key.record", skip_all, err(level = "debug"))]
    pub async fn record(&self, facts: &[KeyFact]) -> Result<(), StoreError> {
        const NAME: &str = "db.api_key.record";
        let mut transaction = self.db.pool.begin().await.during(NAME)?;
        touch(&mut transaction, facts).await.during(NAME)?;
        add_to_days(&mut transaction, facts).await.during(NAME)?;
        append(&mut transaction, facts).await.during(NAME)?;
        transaction.commit().await.during(NAME)
    }

    /// What keys were used altogether; of one that never was there is nothing.
    #[tracing::instrument(name = "db.api_key.totals", skip_all, err(level = "debug"))]
    pub async fn totals(&self, keys: &[ApiKeyId]) -> Result<Vec<KeyTotals>, StoreError> {
        let ids: Vec<Uuid> = keys.iter().map(|id| id.uuid()).collect();
        let rows = sqlx::query!(
            r#"select api_key_id as id, sum(requests)::bigint as "requests!", sum(errors)::bigint as "errors!",
                      (sum(duration_us) / nullif(sum(requests), 0))::bigint as mean_us
               from api_key_usage where api_key_id = any ($1) group by api_key_id"#,
            &ids,
        )
        .fetch_all(self.db.pool)
        .await
        .during("db.api_key.totals")?;
        let totals = rows.into_iter().map(|row| KeyTotals {
            key: ApiKeyId::from_uuid(row.id),
            requests: row.requests.unsigned_abs(),
            errors: row.errors.unsigned_abs(),
            mean_us: row.mean_us.map(i64::unsigned_abs),
        });
        Ok(totals.collect())
    }
}

/// The newest use of each key counts as its last; a statement updates a row once. Rows are held in the order of their ids, so
/// that two processes that write at one time do not wait for each other in turn.
async fn touch(connection: &mut sqlx::PgConnection, facts: &[KeyFact]) -> Result<(), sqlx::Error> {
    let mut newest: BTreeMap<Uuid, (&KeyFact, i64)> = BTreeMap::new();
    for fact in facts.iter().filter(|fact| !fact.is_refused) {
        let (kept, count) = newest.entry(fact.key.uuid()).or_insert((fact, 0));
        *count += 1;
        if kept.at < fact.at {
            *kept = fact;
        }
    }
    let ids: Vec<Uuid> = newest.keys().copied().collect();
    let times: Vec<OffsetDateTime> = newest.values().map(|(fact, _)| fact.at).collect();
    let counts: Vec<i64> = newest.values().map(|(_, count)| *count).collect();
    let addresses: Vec<Option<String>> =
        newest.values().map(|(fact, _)| fact.ip_address.map(|address| address.to_string())).collect();
    let agents: Vec<Option<String>> = newest.values().map(|(fact, _)| fact.user_agent.clone()).collect();
    sqlx::query!("select id from api_keys where id = any ($1) order by id for no key update", &ids)
        .fetch_all(&mut *connection)
        .await?;
    sqlx::query!(
        "update api_keys k
         set usage_count = k.usage_count + u.uses,
             last_used_ip = case when k.last_used_at > u.at then k.last_used_ip else coalesce(u.ip::inet, k.last_used_ip) end,
             last_used_agent = case when k.last_used_at > u.at then k.last_used_agent else u.agent end,
             last_used_at = greatest(k.last_used_at, u.at)
         from unnest($1::uuid[], $2::timestamptz[], $3::bigint[], $4::text[], $5::text[]) as u (id, at, uses, ip, agent)
         where k.id = u.id",
        &ids,
        &times,
        &counts,
        &addresses as &[Option<String>],
        &agents as &[Option<String>],
    )
    .execute(&mut *connection)
    .await
    .map(drop)
}

async fn add_to_days(connection: &mut sqlx::PgConnection, facts: &[KeyFact]) -> Result<(), sqlx::Error> {
    let days = added_up(facts);
    let (keys, dates): (Vec<Uuid>, Vec<Date>) = days.keys().copied().unzip();
    let requests: Vec<i64> = days.values().map(|sum| sum.requests).collect();
    let errors: Vec<i64> = days.values().map(|sum| sum.errors).collect();
    let refused: Vec<i64> = days.values().map(|sum| sum.refused).collect();
    let durations: Vec<i64> = days.values().map(|sum| sum.duration_us).collect();
    let operations: Vec<String> =
        days.values().map(|sum| String::from_utf8_lossy(&sum.operations).into_owned()).collect();
    // What was written by a process with fewer bits is filled up: only sets of one length can be joined.
    sqlx::query!(
        "insert into api_key_usage as d (api_key_id, day, requests, errors, refused, duration_us, operations)
         select k.id, u.day, u.requests, u.errors, u.refused, u.duration_us, u.operations::varbit
         from unnest($1::uuid[], $2::date[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[])
           as u (id, day, requests, errors, refused, duration_us, operations) join api_keys k on k.id = u.id
         order by k.id, u.day
         on conflict (api_key_id, day) do update set requests = d.requests + excluded.requests,
           errors = d.errors + excluded.errors, refused = d.refused + excluded.refused,
           duration_us = d.duration_us + excluded.duration_us,
           operations = rpad(d.operations::text, $8, '0')::varbit | excluded.operations",
        &keys,
        &dates,
        &requests,
        &errors,
        &refused,
        &durations,
        &operations,
        i32::try_from(OPERATION_BITS).unwrap_or(i32::MAX),
    )
    .execute(&mut *connection)
    .await
    .map(drop)
}

async fn append(connection: &mut sqlx::PgConnection, facts: &[KeyFact]) -> Result<(), sqlx::Error> {
    let keys: Vec<Uuid> = facts.iter().map(|fact| fact.key.uuid()).collect();
    let times: Vec<OffsetDateTime> = facts.iter().map(|fact| fact.at).collect();
    let operations: Vec<&str> =
        facts.iter().map(|fact| fact.operation.map_or("none", Operation::as_str)).collect();
    let statuses: Vec<i32> = facts.iter().map(|fact| i32::from(fact.status)).collect();
    let durations: Vec<i64> = facts.iter().map(|fact| whole(fact.duration_us)).collect();
    let asked: Vec<i64> = facts.iter().map(|fact| whole(fact.request_bytes)).collect();
    let answered: Vec<i64> = facts.iter().map(|fact| whole(fact.answer_bytes)).collect();
    let addresses: Vec<Option<String>> =
        facts.iter().map(|fact| fact.ip_address.map(|address| address.to_string())).collect();
    let requests: Vec<Option<String>> = facts.iter().map(|fact| fact.request_id.clone()).collect();
    sqlx::query!(
        "insert into api_key_usage_log (id, api_key_id, at, user_id, organization_id, operation, status, duration_us,
                                        request_bytes, answer_bytes, ip_address, request_id)
         select uuid_v7(u.at), k.id, u.at, k.user_id, k.organization_id, u.operation, u.status, u.duration_us, u.asked,
                u.answered, u.ip::inet, u.request
         from unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::integer[], $5::bigint[], $6::bigint[], $7::bigint[],
                     $8::text[], $9::text[])
           as u (id, at, operation, status, duration_us, asked, answered, ip, request) join api_keys k on k.id = u.id",
        &keys,
        &times,
        &operations as &[&str],
        &statuses,
        &durations,
        &asked,
        &answered,
        &addresses as &[Option<String>],
        &requests as &[Option<String>],
    )
    .execute(&mut *connection)
    .await
    .map(drop)
}

impl<D: Db> ApiKeys<D> {
    /// The days of a key, newest first; of a key that is not in view there are none.
    #[tracing::instrument(name = "db.api_key.days", skip_all, fields(api_key.id = %key), err(level = "debug"))]
    pub async fn days(&mut self, key: ApiKeyId, view: View, since: Date) -> Result<Vec<KeyDay>, StoreError> {
        const NAME: &str = "db.api_key.days";
        let mut connection = self.db.connection().await.during(NAME)?;
        let rows = sqlx::query!(
            r#"select d.day, d.requests, d.errors, d.refused, d.duration_us, d.operations::text as "operations!"
               from api_key_usage d join api_keys k on k.id = d.api_key_id
               where d.api_key_id = $1 and d.day >= $2 and ($3::uuid is null or k.user_id = $3)
                 and ($4::uuid is null or k.organization_id = $4)
               order by d.day desc"#,
            key.uuid(),
            since,
            view.owner().map(UserId::uuid),
            view.within().map(OrganizationId::uuid),
        )
        .fetch_all(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        let days = rows.into_iter().map(|row| KeyDay {
            day: row.day,
            requests: row.requests.unsigned_abs(),
            errors: row.errors.unsigned_abs(),
            refused: row.refused.unsigned_abs(),
            duration_us: row.duration_us.unsigned_abs(),
            operations: operations_of(&row.operations),
        });
        Ok(days.collect())
    }

    /// The requests of a key, newest first.
    #[tracing::instrument(name = "db.api_key.requests", skip_all, fields(api_key.id = %key.id), err(level = "debug"))]
    pub async fn requests(
        &mut self,
        key: &ApiKeyRow,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<KeyRequest>, StoreError> {
        const NAME: &str = "db.api_key.requests";
        let mut connection = self.db.connection().await.during(NAME)?;
        let rows = sqlx::query!(
            "select id, at, operation, status, duration_us, request_bytes, answer_bytes, host(ip_address) as ip_address,
                    request_id
             from api_key_usage_log
             where api_key_id = $1 and user_id = $2 and organization_id = $3
               and ($4::timestamptz is null or (at, id) < ($4, $5::uuid))
             order by at desc, id desc limit $6",
            key.id.uuid(),
            key.user.uuid(),
            key.organization.uuid(),
            after.map(|cursor| cursor.at),
            after.map(|cursor| cursor.id),
            one_more(limit),
        )
        .fetch_all(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        let rows = rows.into_iter().map(|row| {
            let ip_address = convert::address(row.ip_address.as_deref());
            Ok(KeyRequest {
                id: row.id,
                at: row.at,
                operation: row.operation,
                status: row.status,
                duration_us: row.duration_us.unsigned_abs(),
                request_bytes: row.request_bytes.unsigned_abs(),
                answer_bytes: row.answer_bytes.unsigned_abs(),
                ip_address: ip_address.map_err(|why| StoreError::inconsistent(TABLE, row.id, why))?,
                request_id: row.request_id,
            })
        });
        let rows = rows.collect::<Result<Vec<_>, StoreError>>()?;
        Ok(Page::cut(rows, limit, |row| Cursor { at: row.at, id: row.id }))
    }
}

/// The operations of a day's set. A number that this process does not know was written by a newer one.
fn operations_of(bits: &str) -> Vec<Operation> {
    let set = bits.bytes().enumerate().filter(|(_, bit)| *bit == b'1');
    set.filter_map(|(number, _)| Operation::ALL.get(number).copied()).collect()
}
