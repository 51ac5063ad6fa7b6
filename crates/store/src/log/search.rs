//! Searching what was said: a bounded scan, newest first.
//!
//! No index finds a text behind row security: what looks at a text may not run before the policy. So a page looks at so
//! many lines at most, says how far it came, and the next page goes on from there.

use roadstead_model::{InstanceId, LogLevel, LogSource, OrganizationId, UserId, View};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{LogRow, Logs, Record, at_least};
use crate::db::Db;
use crate::error::During;
use crate::page::{FIRST, LAST, one_more};
use crate::{Origin, StoreError, TimelineCursor};

/// What is searched for.
#[derive(Debug, Clone)]
pub struct LogSearch {
    /// Whose eyes see the lines; none for the service's own.
    pub view: Option<View>,
    /// Of this instance alone.
    pub instance: Option<InstanceId>,
    /// Containing this text, whatever its case; none for every line.
    pub contains: Option<String>,
    /// At least this bad.
    pub min_level: Option<LogLevel>,
    /// Said by this one.
    pub source: Option<LogSource>,
    /// Said at or after this moment.
    pub since: Option<OffsetDateTime>,
    /// Said before this moment.
    pub until: Option<OffsetDateTime>,
    /// The place after which the search goes on.
    pub after: Option<TimelineCursor>,
    /// Lines found at most.
    pub limit: u32,
    /// Lines looked at, at most.
    pub window: u32,
}

/// What was found, and how far the search came.
#[derive(Debug, Clone)]
pub struct Searched {
    /// The lines, newest first.
    pub items: Vec<LogRow>,
    /// Where the search goes on; none when nothing is left to look at.
    pub next: Option<TimelineCursor>,
    /// Everything that was said since is in the pages up to this one; none when there was nothing to look at.
    pub searched_to: Option<OffsetDateTime>,
}

/// A line found, or none, beside the end of what was looked at.
struct Found {
    id: Option<Uuid>,
    mcp_instance_id: Option<Uuid>,
    at: Option<OffsetDateTime>,
    seq: Option<i64>,
    origin: Option<String>,
    position: Option<i64>,
    level: Option<String>,
    source: Option<String>,
    message: Option<String>,
    metadata: Option<Value>,
    end_at: OffsetDateTime,
    end_seq: i64,
    end_origin: String,
    looked_at: i64,
}

impl Found {
    fn line(self) -> Option<Record> {
        Some(Record {
            id: self.id?,
            mcp_instance_id: self.mcp_instance_id?,
            at: self.at?,
            seq: self.seq?,
            origin: self.origin?,
            position: self.position?,
            level: self.level?,
            source: self.source?,
            message: self.message?,
            metadata: self.metadata,
        })
    }
}

impl<D: Db> Logs<D> {
    /// The lines of a part of the log that a search lets through.
    #[tracing::instrument(name = "db.log.search", skip_all, err(level = "debug"))]
    pub async fn search(&mut self, search: &LogSearch) -> Result<Searched, StoreError> {
        const NAME: &str = "db.log.search";
        let owner = search.view.and_then(|view| view.owner()).map(UserId::uuid);
        let within = search.view.and_then(|view| view.within()).map(OrganizationId::uuid);
        let instance = search.instance.map(InstanceId::uuid);
        let levels: Option<Vec<String>> = search.min_level.map(at_least);
        let start = TimelineCursor { at: search.until.unwrap_or(LAST), seq: i64::MIN, origin: Origin::Node };
        let after = search.after.unwrap_or(start);
        let mut connection = self.db.connection().await.during(NAME)?;
        if instance.is_none() && owner.is_none() && within.is_none() {
            // Of everybody's lines, only the times are in an index: those of one moment are put in order as they come.
            connection.sort_within_moments().await.during(NAME)?;
        }
        macro_rules! select {
            ($scope:literal) => {
                sqlx::query_as!(
                    Found,
                    r#"with looked as materialized (
                         select id, mcp_instance_id, at, seq, origin, position, level, source, message, metadata
                         from mcp_logs where "#
                        + $scope
                        + r#" and at >= $4 and (at, seq, origin) < ($5, $6, $7)
                         order by at desc, seq desc, origin desc limit $8
                       )
                       select w.id as "id?", w.mcp_instance_id as "mcp_instance_id?", w.at as "at?", w.seq as "seq?",
                              w.origin as "origin?", w.position as "position?", w.level as "level?",
                              w.source as "source?", w.message as "message?", w.metadata as "metadata?",
                              e.at as "end_at!", e.seq as "end_seq!", e.origin as "end_origin!",
                              (select count(*) from looked) as "looked_at!"
                       from (select * from looked
                             where ($9::text is null or strpos(lower(message), (select lower($9))) > 0)
                               and ($10::text[] is null or level = any ($10)) and ($11::text is null or source = $11)
                             order by at desc, seq desc, origin desc limit $12) w
                       right join (select at, seq, origin from looked order by at, seq, origin limit 1) e on true
                       order by w.at desc, w.seq desc, w.origin desc"#,
                    owner,
                    within,
                    instance,
                    search.since.unwrap_or(FIRST),
                    after.at,
                    after.seq,
                    after.origin.as_str(),
                    i64::from(search.window),
                    search.contains,
                    levels.as_deref(),
                    search.source.map(LogSource::as_str),
                    one_more(search.limit),
                )
                .fetch_all(&mut *connection)
                .await
            };
        }
        let found = match (instance, owner, within) {
            (Some(_), ..) => select!(
                "mcp_instance_id = $3 and ($1::uuid is null or owner_id = $1)
                 and ($2::uuid is null or organization_id = $2)"
            ),
            (None, Some(_), _) => {
                select!("$3::uuid is null and owner_id = $1 and ($2::uuid is null or organization_id = $2)")
            }
            (None, None, Some(_)) => {
                select!("$3::uuid is null and $1::uuid is null and organization_id = $2")
            }
            (None, None, None) => select!("$3::uuid is null and $1::uuid is null and $2::uuid is null"),
        }
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        told(found, search)
    }
}

fn told(found: Vec<Found>, search: &LogSearch) -> Result<Searched, StoreError> {
    let Some(first) = found.first() else {
        return Ok(Searched { items: Vec::new(), next: None, searched_to: search.since });
    };
    let origin = Origin::parse(&first.end_origin)
        .map_err(|why| StoreError::inconsistent(super::TABLE, first.end_seq, why))?;
    let end = TimelineCursor { at: first.end_at, seq: first.end_seq, origin };
    let is_full = first.looked_at >= i64::from(search.window);
    let rows = found.into_iter().filter_map(Found::line).map(LogRow::try_from);
    let mut items = rows.collect::<Result<Vec<_>, _>>()?;
    let limit = usize::try_from(search.limit).unwrap_or(usize::MAX);
    let more = items.len() > limit;
    items.truncate(limit);
    let last = items.last().filter(|_| more).map(LogRow::cursor);
    let next = last.or_else(|| is_full.then_some(end));
    // Without anything left to look at, all that was asked for was searched.
    let searched_to = next.map_or(search.since, |next| Some(next.at));
    Ok(Searched { items, next, searched_to: searched_to.or(Some(end.at)) })
}
