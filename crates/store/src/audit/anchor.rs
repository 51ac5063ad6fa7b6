//! Anchors: places of a chain that are signed with a key that is not in the database. Whoever rewrites the database from
//! some entry on cannot go behind the newest anchor without that key.

use time::OffsetDateTime;
use uuid::Uuid;

use super::Audit;
use super::chain::Hash;
use crate::db::System;
use crate::error::During;
use crate::{StoreError, convert};

const TABLE: &str = "audit_anchors";

/// Why a place was anchored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnchorKind {
    /// Once a day.
    Day,
    /// What lies before was dropped, or is about to be.
    Dropped,
}

impl AnchorKind {
    /// The word used in rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Dropped => "dropped",
        }
    }
}

/// A place of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// Whose chain; nil for the platform's.
    pub organization: Uuid,
    /// The entry's number in it.
    pub number: i64,
    /// The hash of its link.
    pub hash: Hash,
    /// Why.
    pub kind: AnchorKind,
    /// Entries before this moment were dropped.
    pub dropped_before: Option<OffsetDateTime>,
}

impl Anchor {
    /// What is signed.
    pub fn text(&self) -> Vec<u8> {
        let before = self.dropped_before.map_or(0, OffsetDateTime::unix_timestamp);
        let mut text = Vec::with_capacity(80);
        text.extend_from_slice(self.organization.as_bytes());
        text.extend_from_slice(&self.number.to_be_bytes());
        text.extend_from_slice(&self.hash);
        text.extend_from_slice(self.kind.as_str().as_bytes());
        text.extend_from_slice(&before.to_be_bytes());
        text
    }
}

/// Whoever has the key.
pub trait Signer: Send + Sync {
    /// Which key, and its signature of a text.
    fn sign(&self, text: &[u8]) -> (u32, Hash);

    /// Whether a signature is right; none when the key is not there any more.
    fn is_right(&self, key: u32, text: &[u8], signature: &[u8]) -> Option<bool>;
}

impl Audit<System<'_>> {
    /// Anchors the end of every chain that has moved since it was anchored last, unless that was on or after `since`: the
    /// beginning of the day. Says how many.
    #[tracing::instrument(name = "db.audit.anchor_day", skip_all, err(level = "debug"))]
    pub async fn anchor_day(
        &self,
        since: OffsetDateTime,
        at: OffsetDateTime,
        signer: &dyn Signer,
    ) -> Result<u64, StoreError> {
        const NAME: &str = "db.audit.anchor_day";
        let rows = sqlx::query!(
            "select organization_id, number, hash from audit_chains
             where anchored_at is null or (anchored_at < $1 and sealed_at > anchored_at)",
            since,
        )
        .fetch_all(self.db.pool)
        .await
        .during(NAME)?;
        let mut made = 0;
        for row in rows {
            let hash = convert::hash(&row.hash)
                .map_err(|why| StoreError::inconsistent("audit_chains", row.organization_id, why))?;
            let anchor = Anchor {
                organization: row.organization_id,
                number: row.number,
                hash,
                kind: AnchorKind::Day,
                dropped_before: None,
            };
            made += self.write_anchor(&anchor, None, at, signer).await?;
            sqlx::query!(
                "update audit_chains set anchored_at = $2 where organization_id = $1",
                row.organization_id,
                at,
            )
            .execute(self.db.pool)
            .await
            .during(NAME)?;
        }
        Ok(made)
    }

    /// Anchors every chain at its last entry before `cutoff`, so that months that end there can be dropped and the chains
    /// still be verified from there on. Says how many anchors were new. Call it before `drop_month_partitions`, with the
    /// same cutoff cut down to the beginning of a month.
    #[tracing::instrument(name = "db.audit.anchor_before", skip_all, err(level = "debug"))]
    pub async fn anchor_before(
        &self,
        cutoff: OffsetDateTime,
        at: OffsetDateTime,
        signer: &dyn Signer,
    ) -> Result<u64, StoreError> {
        let rows = sqlx::query!(
            r#"select m.organization_id as "organization_id!", m.number as "number!", m.entries as "entries!", l.hash
               from (select organization_id, max(number) as number, count(*) as entries from audit_links
                     where at < $1 group by organization_id) m
               join audit_links l on l.organization_id = m.organization_id and l.number = m.number"#,
            cutoff,
        )
        .fetch_all(self.db.pool)
        .await
        .during("db.audit.anchor_before")?;
        let mut made = 0;
        for row in rows {
            let hash = convert::hash(&row.hash)
                .map_err(|why| StoreError::inconsistent("audit_links", row.organization_id, why))?;
            let anchor = Anchor {
                organization: row.organization_id,
                number: row.number,
                hash,
                kind: AnchorKind::Dropped,
                dropped_before: Some(cutoff),
            };
            made += self.write_anchor(&anchor, Some(row.entries), at, signer).await?;
        }
        Ok(made)
    }

    async fn write_anchor(
        &self,
        anchor: &Anchor,
        entries: Option<i64>,
        at: OffsetDateTime,
        signer: &dyn Signer,
    ) -> Result<u64, StoreError> {
        let (key, signature) = signer.sign(&anchor.text());
        let done = sqlx::query!(
            "insert into audit_anchors (organization_id, number, hash, kind, dropped_before, entries, at, key_id, signature)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict do nothing",
            anchor.organization,
            anchor.number,
            &anchor.hash[..],
            anchor.kind.as_str(),
            anchor.dropped_before,
            entries,
            at,
            i64::from(key),
            &signature[..],
        )
        .execute(self.db.pool)
        .await
        .during("db.audit.write_anchor")?;
        Ok(done.rows_affected())
    }
}

/// An anchor with its signature.
pub(crate) struct Signed {
    pub(crate) anchor: Anchor,
    pub(crate) key: u32,
    pub(crate) signature: Vec<u8>,
}

/// Every anchor of one chain, or of all.
pub(crate) async fn all(
    connection: &mut sqlx::PgConnection,
    organization: Option<Uuid>,
) -> Result<Vec<Signed>, StoreError> {
    let rows = sqlx::query!(
        "select organization_id, number, hash, kind, dropped_before, key_id, signature from audit_anchors
         where $1::uuid is null or organization_id = $1 order by organization_id, number",
        organization,
    )
    .fetch_all(connection)
    .await
    .during("db.audit.anchors")?;
    rows.into_iter()
        .map(|row| {
            let hash = convert::hash(&row.hash)
                .map_err(|why| StoreError::inconsistent(TABLE, row.organization_id, why))?;
            let kind = if row.kind == "day" { AnchorKind::Day } else { AnchorKind::Dropped };
            Ok(Signed {
                anchor: Anchor {
                    organization: row.organization_id,
                    number: row.number,
                    hash,
                    kind,
                    dropped_before: row.dropped_before,
                },
                key: u32::try_from(row.key_id).unwrap_or_default(),
                signature: row.signature,
            })
        })
        .collect()
}
