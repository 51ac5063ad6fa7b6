//! Verifying: two streams in the order of the entries' numbers, joined here, so that memory stays flat however long the
//! log is. Hashed anew is each entry and each link; the ends of the chains and the anchors are compared.

use sqlx::{AssertSqlSafe, Executor as _, PgConnection, Postgres, Transaction};
use uuid::Uuid;

use super::Audit;
use super::anchor::{self, Signer};
use super::chain;
use crate::StoreError;
use crate::db::System;
use crate::error::During;

mod chains;
mod streams;

use chains::Chains;
use streams::{Entries, Link, Links, link_columns};

const NAME: &str = "db.audit.verify";
/// Breaks that are told; the others are only counted.
const MAX_TOLD: usize = 20;
/// Both streams follow an index in its order: a sort would hold the whole log.
const IN_ORDER: &str = "set local enable_sort = off; set local enable_seqscan = off; set local enable_bitmapscan = off; \
                        set local jit = off";
/// Entries without a link that are looked up at once.
const LOOKED_UP: usize = 5_000;

/// What is wrong at a place of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// The entry is not what was sealed.
    Content,
    /// The link does not follow from the one before, or is not what was written.
    Link,
    /// The link is there, and its entry is not.
    MissingEntry,
    /// The entry is there, and neither has a link nor waits for one.
    MissingLink,
    /// Entry and link are gone.
    Gap,
    /// The end of the chain is not where it is said to be.
    Head,
    /// A signed place is not what was signed.
    Anchor,
    /// A signature is wrong.
    Signature,
}

impl Why {
    /// The word used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Content => "content",
            Self::Link => "link",
            Self::MissingEntry => "missing_entry",
            Self::MissingLink => "missing_link",
            Self::Gap => "gap",
            Self::Head => "head",
            Self::Anchor => "anchor",
            Self::Signature => "signature",
        }
    }

    /// The same for people.
    pub const fn spoken(self) -> &'static str {
        match self {
            Self::Content => "the entry is not what was sealed",
            Self::Link => "the link does not follow from the one before",
            Self::MissingEntry => "the entry is gone",
            Self::MissingLink => "the link of the entry is gone",
            Self::Gap => "entry and link are gone",
            Self::Head => "the chain does not end where it is said to",
            Self::Anchor => "a signed place is not what was signed",
            Self::Signature => "the signature of a place is wrong",
        }
    }
}

/// A broken place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Break {
    /// Whose chain; nil for the platform's.
    pub organization: Uuid,
    /// The place in the chain; none of an entry without a link.
    pub number: Option<i64>,
    /// The entry's number in the whole log; none where it is not known.
    pub seq: Option<i64>,
    /// What is wrong.
    pub why: Why,
}

/// What is broken: the first places, and how many there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    places: Vec<Break>,
    count: u64,
}

impl Found {
    pub(crate) fn add(&mut self, place: Break) {
        self.count += 1;
        let index = self.places.binary_search(&place).unwrap_or_else(|index| index);
        self.places.insert(index, place);
        self.places.truncate(MAX_TOLD);
    }

    /// The first places of their chains, at most twenty.
    pub fn places(&self) -> &[Break] {
        &self.places
    }

    /// How many there are.
    pub const fn count(&self) -> u64 {
        self.count
    }
}

/// What verifying came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Entries that were read.
    pub entries: u64,
    /// Entries that wait for their link.
    pub unsealed: u64,
    /// Chains.
    pub chains: u64,
    /// Anchors that were compared.
    pub anchors: u64,
    /// Anchors whose key is not there, so that their signature could not be looked at.
    pub unchecked: u64,
    /// What is broken.
    pub broken: Found,
}

impl Verified {
    /// Whether nothing is broken.
    pub const fn is_whole(&self) -> bool {
        self.broken.count == 0
    }
}

impl Audit<System<'_>> {
    /// Verifies one chain, or all. Without a signer, signatures are not looked at.
    #[tracing::instrument(name = "db.audit.verify", skip_all, err(level = "debug"))]
    pub async fn verify(
        &self,
        organization: Option<Uuid>,
        signer: Option<&dyn Signer>,
    ) -> Result<Verified, StoreError> {
        let mut first = self.snapshot(None).await?;
        let snapshot = sqlx::query_scalar!(r#"select pg_export_snapshot() as "name!""#)
            .fetch_one(&mut *first)
            .await
            .during(NAME)?;
        let mut second = self.snapshot(Some(&snapshot)).await?;
        let mut verified = Verified::default();
        let anchors = anchor::all(&mut first, organization).await?;
        verified.anchors = anchors.len() as u64;
        signatures(&anchors, signer, &mut verified);
        let mut chains = Chains::read(&mut first, organization, anchors).await?;
        verified.chains = chains.count();
        self.join(organization, (&mut first, &mut second), &mut chains, &mut verified).await?;
        chains.finish(&mut verified.broken);
        Ok(verified)
    }

    /// A transaction that sees what another one saw.
    async fn snapshot(&self, of: Option<&str>) -> Result<Transaction<'static, Postgres>, StoreError> {
        let mut transaction =
            self.db.pool.begin_with("begin isolation level repeatable read read only").await.during(NAME)?;
        if let Some(name) = of {
            // A name that the database gave: digits and dashes.
            let share = AssertSqlSafe(format!("set transaction snapshot '{name}'"));
            transaction.execute(share).await.during(NAME)?;
        }
        Ok(transaction)
    }

    async fn join(
        &self,
        organization: Option<Uuid>,
        (first, second): (&mut PgConnection, &mut PgConnection),
        chains: &mut Chains,
        verified: &mut Verified,
    ) -> Result<(), StoreError> {
        // A UUID needs no quoting.
        let of = organization.map_or_else(String::new, |id| format!(" where l.organization_id = '{id}'"));
        let entries =
            format!("copy (select {} from audit_logs l{of} order by l.seq) to stdout", chain::entry_v1!());
        let links = format!(
            "copy (select {} from audit_links l{of} order by l.seq) to stdout (format binary)",
            link_columns!()
        );
        for connection in [&mut *first, &mut *second] {
            sqlx::raw_sql(IN_ORDER).execute(connection).await.during(NAME)?;
        }
        let mut entries = Entries::new(first.copy_out_raw(&entries).await.during(NAME)?);
        let mut links = Links::new(second.copy_out_raw(&links).await.during(NAME)?);
        let mut lone = Vec::new();
        let (mut entry, mut link) = (entries.next().await?, links.next().await?);
        loop {
            match (&entry, &link) {
                (None, None) => break,
                (Some(one), Some(of)) if one.seq == of.seq => {
                    let is_same = one.content == of.content && one.micros == of.micros && of.is_known;
                    chains.linked(of, (!is_same).then_some(Why::Content), &mut verified.broken);
                    (entry, link) = (entries.next().await?, links.next().await?);
                    verified.entries += 1;
                }
                (Some(one), of) if of.as_ref().is_none_or(|of| one.seq < of.seq) => {
                    lone.push((one.seq, one.organization));
                    entry = entries.next().await?;
                    verified.entries += 1;
                }
                (_, Some(of)) => {
                    chains.linked(of, Some(Why::MissingEntry), &mut verified.broken);
                    link = links.next().await?;
                }
                (Some(_), None) => unreachable!("the arm before takes every entry without a link"),
            }
            if lone.len() >= LOOKED_UP {
                self.look_up(&mut lone, verified).await?;
            }
        }
        self.look_up(&mut lone, verified).await
    }

    /// An entry without a link either waits for one, or was given one meanwhile, or is broken.
    async fn look_up(&self, lone: &mut Vec<(i64, Uuid)>, verified: &mut Verified) -> Result<(), StoreError> {
        if lone.is_empty() {
            return Ok(());
        }
        let seqs: Vec<i64> = lone.iter().map(|(seq, _)| *seq).collect();
        let missing = sqlx::query_scalar!(
            r#"select s as "seq!" from unnest($1::bigint[]) as s
               where not exists (select from audit_unsealed where seq = s)
                 and not exists (select from audit_links where seq = s)"#,
            &seqs,
        )
        .fetch_all(self.db.pool)
        .await
        .during(NAME)?;
        for (seq, organization) in lone.drain(..) {
            if missing.contains(&seq) {
                let place = Break { organization, number: None, seq: Some(seq), why: Why::MissingLink };
                verified.broken.add(place);
            } else {
                verified.unsealed += 1;
            }
        }
        Ok(())
    }
}

fn signatures(anchors: &[anchor::Signed], signer: Option<&dyn Signer>, verified: &mut Verified) {
    for signed in anchors {
        let text = signed.anchor.text();
        match signer.and_then(|signer| signer.is_right(signed.key, &text, &signed.signature)) {
            Some(true) => {}
            Some(false) => verified.broken.add(Break {
                organization: signed.anchor.organization,
                number: Some(signed.anchor.number),
                seq: None,
                why: Why::Signature,
            }),
            None => verified.unchecked += 1,
        }
    }
}
