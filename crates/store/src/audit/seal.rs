//! The sealer: links what was committed, and numbers the feed. One transaction at a time in a whole database, whoever
//! asks; it looks at what is committed alone, so a writer that keeps its transaction open delays nobody but itself.

use std::collections::BTreeMap;

use futures_util::StreamExt as _;
use sqlx::{PgConnection, Postgres, Transaction};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Audit;
use super::chain::{self, Hash};
use crate::StoreError;
use crate::db::System;
use crate::error::During;

const NAME: &str = "db.audit.seal";
/// Entries that one transaction links at most.
const BATCH: usize = 5_000;
/// What the next batch of entries is: the organisation's column, then the entry.
const NEXT: &str = concat!(
    "copy (select l.organization_id, ",
    chain::entry_v1!(),
    " from (select seq, at from audit_unsealed order by seq limit 5000) u join audit_logs l using (seq, at)
      order by l.seq) to stdout"
);

/// What one turn of the sealer did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sealed {
    /// Entries that were linked.
    pub entries: usize,
    /// Events that got their number in the feed.
    pub placed: u64,
    /// Whether there may be more.
    pub more: bool,
}

/// What waits for its link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsealed {
    /// Entries.
    pub entries: u64,
    /// When the oldest was written.
    pub oldest: Option<OffsetDateTime>,
}

/// An entry that is to be linked.
struct Entry {
    seq: i64,
    at: OffsetDateTime,
    organization: Uuid,
    content: Hash,
}

/// Links as columns.
#[derive(Default)]
struct Links {
    seqs: Vec<i64>,
    ats: Vec<OffsetDateTime>,
    organizations: Vec<Uuid>,
    numbers: Vec<i64>,
    contents: Vec<Vec<u8>>,
    hashes: Vec<Vec<u8>>,
}

impl Audit<System<'_>> {
    /// One turn: links what was committed and numbers the feed. None when somebody else does so now.
    #[tracing::instrument(name = "db.audit.seal", skip_all, err(level = "debug"))]
    pub async fn seal(&self) -> Result<Option<Sealed>, StoreError> {
        if !self.has_work().await? {
            return Ok(Some(Sealed::default()));
        }
        let mut transaction = self.db.pool.begin().await.during(NAME)?;
        let is_mine = sqlx::query_scalar!(
            r#"select pg_try_advisory_xact_lock(hashtextextended('roadstead audit sealer', 0)) as "mine!""#
        )
        .fetch_one(&mut *transaction)
        .await
        .during(NAME)?;
        if !is_mine {
            return Ok(None);
        }
        let entries = next(&mut transaction).await?;
        if !entries.is_empty() {
            link(&mut transaction, &entries).await?;
        }
        let placed = place(&mut transaction).await?;
        transaction.commit().await.during(NAME)?;
        let more = entries.len() == BATCH || placed == BATCH as u64;
        Ok(Some(Sealed { entries: entries.len(), placed, more }))
    }

    async fn has_work(&self) -> Result<bool, StoreError> {
        sqlx::query_scalar!(
            r#"select exists (select from audit_unsealed) or exists (select from feed_unplaced) as "has!""#
        )
        .fetch_one(self.db.pool)
        .await
        .during(NAME)
    }

    /// What waits for its link.
    #[tracing::instrument(name = "db.audit.unsealed", skip_all, err(level = "debug"))]
    pub async fn unsealed(&self) -> Result<Unsealed, StoreError> {
        let row = sqlx::query!(r#"select count(*) as "entries!", min(at) as oldest from audit_unsealed"#)
            .fetch_one(self.db.pool)
            .await
            .during("db.audit.unsealed")?;
        Ok(Unsealed { entries: row.entries.unsigned_abs(), oldest: row.oldest })
    }
}

async fn next(connection: &mut PgConnection) -> Result<Vec<Entry>, StoreError> {
    let mut lines = connection.copy_out_raw(NEXT).await.during(NAME)?;
    let (mut left, mut entries) = (Vec::new(), Vec::new());
    while let Some(chunk) = lines.next().await {
        left.extend_from_slice(&chunk.during(NAME)?);
        // One message is one line, as PostgreSQL sends it today; nothing here counts on that.
        while let Some(end) = left.iter().position(|byte| *byte == b'\n') {
            entries.push(entry(&left[..end])?);
            left.drain(..=end);
        }
    }
    Ok(entries)
}

fn entry(line: &[u8]) -> Result<Entry, StoreError> {
    let wrong = || StoreError::inconsistent("audit_logs", "of a batch", "a line that cannot be read");
    let tab = line.iter().position(|byte| *byte == b'\t').ok_or_else(wrong)?;
    let (organization, line) = (&line[..tab], &line[tab + 1..]);
    let mut fields = chain::fields(line);
    let seq = chain::number(fields.next()).ok_or_else(wrong)?;
    let micros = chain::number(fields.next()).ok_or_else(wrong)?;
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).map_err(|_| wrong())?;
    let organization = chain::uuid(Some(organization)).ok_or_else(wrong)?;
    Ok(Entry { seq, at, organization, content: chain::content(line) })
}

async fn link(transaction: &mut Transaction<'_, Postgres>, entries: &[Entry]) -> Result<(), StoreError> {
    let mut heads = heads(transaction, entries).await?;
    let mut links = Links::default();
    for entry in entries {
        let head = heads
            .entry(entry.organization)
            .or_insert_with_key(|organization| (0, chain::origin(*organization)));
        head.0 += 1;
        head.1 = chain::link(&head.1, head.0, &entry.content);
        links.seqs.push(entry.seq);
        links.ats.push(entry.at);
        links.organizations.push(entry.organization);
        links.numbers.push(head.0);
        links.contents.push(entry.content.to_vec());
        links.hashes.push(head.1.to_vec());
    }
    write(transaction, &links).await?;
    let organizations: Vec<Uuid> = heads.keys().copied().collect();
    let numbers: Vec<i64> = heads.values().map(|head| head.0).collect();
    let hashes: Vec<Vec<u8>> = heads.values().map(|head| head.1.to_vec()).collect();
    sqlx::query!(
        "insert into audit_chains (organization_id, number, hash, sealed_at)
         select h.organization_id, h.number, h.hash, now()
         from unnest($1::uuid[], $2::bigint[], $3::bytea[]) as h (organization_id, number, hash)
         on conflict (organization_id) do update
         set number = excluded.number, hash = excluded.hash, sealed_at = excluded.sealed_at",
        &organizations,
        &numbers,
        &hashes,
    )
    .execute(&mut **transaction)
    .await
    .during(NAME)
    .map(drop)
}

async fn heads(
    transaction: &mut Transaction<'_, Postgres>,
    entries: &[Entry],
) -> Result<BTreeMap<Uuid, (i64, Hash)>, StoreError> {
    let mut organizations: Vec<Uuid> = entries.iter().map(|entry| entry.organization).collect();
    organizations.sort_unstable();
    organizations.dedup();
    let rows = sqlx::query!(
        "select organization_id, number, hash from audit_chains where organization_id = any ($1) for update",
        &organizations,
    )
    .fetch_all(&mut **transaction)
    .await
    .during(NAME)?;
    rows.into_iter()
        .map(|row| {
            let hash = crate::convert::hash(&row.hash)
                .map_err(|why| StoreError::inconsistent("audit_chains", row.organization_id, why))?;
            Ok((row.organization_id, (row.number, hash)))
        })
        .collect()
}

async fn write(transaction: &mut Transaction<'_, Postgres>, links: &Links) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into audit_links (seq, at, organization_id, number, format, content, hash, sealed_at)
         select l.seq, l.at, l.organization_id, l.number, $7, l.content, l.hash, now()
         from unnest($1::bigint[], $2::timestamptz[], $3::uuid[], $4::bigint[], $5::bytea[], $6::bytea[])
              as l (seq, at, organization_id, number, content, hash)",
        &links.seqs,
        &links.ats,
        &links.organizations,
        &links.numbers,
        &links.contents,
        &links.hashes,
        chain::FORMAT,
    )
    .execute(&mut **transaction)
    .await
    .during(NAME)?;
    sqlx::query!("delete from audit_unsealed where seq = any ($1)", &links.seqs)
        .execute(&mut **transaction)
        .await
        .during(NAME)
        .map(drop)
}

/// Numbers in the order of their commits: whoever has read up to one never misses a lower one.
async fn place(transaction: &mut Transaction<'_, Postgres>) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "with taken as (
           delete from feed_unplaced where id in (select id from feed_unplaced order by at, id limit $1)
           returning id, at, kind, event_type, owner_id, organization_id, subject, data
         )
         insert into feed (position, placed_at, id, at, kind, event_type, owner_id, organization_id, subject, data)
         select nextval('feed_position'), now(), t.*
         from (select id, at, kind, event_type, owner_id, organization_id, subject, data from taken order by at, id) t",
        i64::try_from(BATCH).unwrap_or(i64::MAX),
    )
    .execute(&mut **transaction)
    .await
    .during(NAME)?;
    Ok(done.rows_affected())
}
