//! The chains while their links go by. A chain's numbers and the log's differ in order only by what was written at once, so
//! what comes early waits a moment.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Break, Found, Link, NAME, Why};
use crate::audit::anchor::{Anchor, AnchorKind, Signed};
use crate::audit::chain::{self, Hash};
use crate::error::During;
use crate::{StoreError, convert};

/// Links of a chain that may wait for one before them; with more, that one is gone.
const MAX_WAITING: usize = 100_000;

/// Every chain that is verified.
pub(super) struct Chains(BTreeMap<Uuid, Chain>);

/// One chain.
struct Chain {
    /// What lies up to here was dropped, or lies beside what was.
    start: i64,
    next: i64,
    previous: Hash,
    waiting: BTreeMap<i64, Waiting>,
    anchors: BTreeMap<i64, Vec<Hash>>,
    head: Option<(i64, Hash)>,
}

struct Waiting {
    seq: i64,
    content: Hash,
    hash: Hash,
}

/// Where the links of a chain begin that are there.
struct Begin {
    number: i64,
    at: OffsetDateTime,
}

impl Chains {
    pub(super) async fn read(
        connection: &mut PgConnection,
        organization: Option<Uuid>,
        anchors: Vec<Signed>,
    ) -> Result<Self, StoreError> {
        let mut of: BTreeMap<Uuid, Vec<Anchor>> = BTreeMap::new();
        for signed in anchors {
            of.entry(signed.anchor.organization).or_default().push(signed.anchor);
        }
        let begins = begins(connection, organization).await?;
        let heads = heads(connection, organization).await?;
        let mut all: Vec<Uuid> = begins.keys().chain(heads.keys()).chain(of.keys()).copied().collect();
        all.sort_unstable();
        all.dedup();
        let chain = |id: Uuid| {
            let anchors = of.remove(&id).unwrap_or_default();
            (id, Chain::new(id, begins.get(&id), heads.get(&id).copied(), &anchors))
        };
        Ok(Self(all.into_iter().map(chain).collect()))
    }

    pub(super) fn count(&self) -> u64 {
        self.0.len() as u64
    }

    /// A link, and what is wrong with its entry.
    pub(super) fn linked(&mut self, link: &Link, wrong: Option<Why>, broken: &mut Found) {
        let id = link.organization;
        if let Some(why) = wrong {
            broken.add(Break { organization: id, number: Some(link.number), seq: Some(link.seq), why });
        }
        let chain = self.0.entry(id).or_insert_with(|| Chain::new(id, None, None, &[]));
        chain.take(id, link, broken);
    }

    /// What the ends say.
    pub(super) fn finish(self, broken: &mut Found) {
        for (id, mut chain) in self.0 {
            while !chain.waiting.is_empty() {
                chain.skip(id, broken);
            }
            chain.finish(id, broken);
        }
    }
}

impl Chain {
    fn new(id: Uuid, begin: Option<&Begin>, head: Option<(i64, Hash)>, anchors: &[Anchor]) -> Self {
        let start = start_of(begin, anchors);
        let (start, previous) =
            start.map_or_else(|| (0, chain::origin(id)), |anchor| (anchor.number, anchor.hash));
        let mut later: BTreeMap<i64, Vec<Hash>> = BTreeMap::new();
        for anchor in anchors.iter().filter(|anchor| anchor.number > start) {
            later.entry(anchor.number).or_default().push(anchor.hash);
        }
        Self { start, next: start + 1, previous, waiting: BTreeMap::new(), anchors: later, head }
    }

    fn take(&mut self, id: Uuid, link: &Link, broken: &mut Found) {
        if link.number <= self.start {
            // Written beside what was dropped: its content is all that can be looked at.
            return;
        }
        let waiting = Waiting { seq: link.seq, content: link.content, hash: link.hash };
        if link.number == self.next {
            self.follow(id, &waiting, broken);
            while let Some(next) = self.waiting.remove(&self.next) {
                self.follow(id, &next, broken);
            }
        } else if link.number < self.next || self.waiting.insert(link.number, waiting).is_some() {
            // Two links of one number.
            let (number, seq) = (Some(link.number), Some(link.seq));
            broken.add(Break { organization: id, number, seq, why: Why::Link });
        }
        if self.waiting.len() > MAX_WAITING {
            self.skip(id, broken);
        }
    }

    fn follow(&mut self, id: Uuid, link: &Waiting, broken: &mut Found) {
        let (number, seq) = (Some(self.next), Some(link.seq));
        if chain::link(&self.previous, self.next, &link.content) != link.hash {
            broken.add(Break { organization: id, number, seq, why: Why::Link });
        }
        if self.anchors.remove(&self.next).is_some_and(|hashes| hashes.iter().any(|hash| *hash != link.hash))
        {
            broken.add(Break { organization: id, number, seq, why: Why::Anchor });
        }
        self.previous = link.hash;
        self.next += 1;
    }

    /// Goes on behind a place where nothing is.
    fn skip(&mut self, id: Uuid, broken: &mut Found) {
        broken.add(Break { organization: id, number: Some(self.next), seq: None, why: Why::Gap });
        let Some((number, link)) = self.waiting.pop_first() else { return };
        self.previous = link.hash;
        self.next = number + 1;
        while let Some(next) = self.waiting.remove(&self.next) {
            self.follow(id, &next, broken);
        }
    }

    fn finish(&self, id: Uuid, broken: &mut Found) {
        let last = self.next - 1;
        let mut add = |number: i64, why| {
            broken.add(Break { organization: id, number: Some(number), seq: None, why });
        };
        match self.head {
            Some((number, _)) if number > last => add(self.next, Why::Gap),
            Some((number, hash)) if number < last || hash != self.previous => add(number, Why::Head),
            Some(_) => {}
            None => add(last, Why::Head),
        }
        // Signed places behind the end: the chain was longer.
        if let Some((number, _)) = self.anchors.first_key_value() {
            add(*number, Why::Anchor);
        }
    }
}

/// The signed place behind which a chain is verified: what lies before it was dropped.
fn start_of<'a>(begin: Option<&Begin>, anchors: &'a [Anchor]) -> Option<&'a Anchor> {
    let dropped = || anchors.iter().filter(|anchor| anchor.kind == AnchorKind::Dropped);
    // When nothing is there, only the last place can be the end.
    let Some(begin) = begin else { return dropped().max_by_key(|anchor| anchor.number) };
    if begin.number <= 1 {
        return None;
    }
    let is_gone = |anchor: &&Anchor| anchor.dropped_before.is_some_and(|before| before <= begin.at);
    let (before, beside): (Vec<&Anchor>, Vec<&Anchor>) =
        dropped().filter(is_gone).partition(|anchor| anchor.number < begin.number - 1);
    // The earliest that the links there are follow on; with none, what lies between is missing.
    let earliest = beside.into_iter().min_by_key(|anchor| anchor.number);
    earliest.or_else(|| before.into_iter().max_by_key(|anchor| anchor.number))
}

async fn begins(
    connection: &mut PgConnection,
    organization: Option<Uuid>,
) -> Result<BTreeMap<Uuid, Begin>, StoreError> {
    let rows = sqlx::query!(
        r#"select organization_id, min(number) as "number!", min(at) as "at!" from audit_links
           where $1::uuid is null or organization_id = $1 group by organization_id"#,
        organization,
    )
    .fetch_all(connection)
    .await
    .during(NAME)?;
    Ok(rows.into_iter().map(|row| (row.organization_id, Begin { number: row.number, at: row.at })).collect())
}

async fn heads(
    connection: &mut PgConnection,
    organization: Option<Uuid>,
) -> Result<BTreeMap<Uuid, (i64, Hash)>, StoreError> {
    let rows = sqlx::query!(
        "select organization_id, number, hash from audit_chains
         where $1::uuid is null or organization_id = $1",
        organization,
    )
    .fetch_all(connection)
    .await
    .during(NAME)?;
    rows.into_iter()
        .map(|row| {
            let hash = convert::hash(&row.hash)
                .map_err(|why| StoreError::inconsistent("audit_chains", row.organization_id, why))?;
            Ok((row.organization_id, (row.number, hash)))
        })
        .collect()
}
