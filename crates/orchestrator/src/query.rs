//! Looking at instances, their events and their lines.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::{Stream, stream};
use roadstead_access::{AdminPermit, InstancePermit};
use roadstead_control::Alive;
use roadstead_model::{InstanceId, InstanceStatus, LogLevel, LogSource, ProjectId, UserId, View};
use roadstead_port_allocator::PortStatus;
use roadstead_store::{
    EventRow, InstanceCursor, InstanceFilter, InstanceRow, InstanceSort, LogFilter, LogRow, Order, Page,
    PortRow, StoreError, TimelineCursor,
};
use time::OffsetDateTime;
use tokio::sync::{oneshot, watch};

use crate::error::ChangeError;
use crate::live::Request;
use crate::parts::Orchestrator;
use crate::search::SearchQuery;

/// Lines that a follower reads at once.
const FOLLOW_BATCH: u32 = 200;
/// How often a follower looks whether its instance has ended.
const FOLLOW_LOOK: Duration = Duration::from_secs(1);

/// How long a look at an instance waits for its shim: the row alone is an answer, too.
const STATUS_PATIENCE: Duration = Duration::from_secs(1);

/// Which instances are wanted.
#[derive(Debug, Clone, Default)]
pub struct InstanceQuery {
    /// In one of these statuses; none for all.
    pub statuses: Vec<InstanceStatus>,
    /// Of this type.
    pub type_name: Option<String>,
    /// Of this project.
    pub project: Option<ProjectId>,
    /// Of this user, for those who see others'.
    pub owner: Option<UserId>,
    /// Whose name has this text in it.
    pub name_contains: Option<String>,
    /// Not created earlier.
    pub created_since: Option<OffsetDateTime>,
    /// Created earlier.
    pub created_until: Option<OffsetDateTime>,
    /// Whose deadline is earlier.
    pub expires_before: Option<OffsetDateTime>,
    /// What they are sorted by.
    pub sort: InstanceSort,
    /// The least first.
    pub ascending: bool,
    /// After this place.
    pub after: Option<InstanceCursor>,
    /// At most so many.
    pub limit: u32,
}

impl InstanceQuery {
    pub(crate) fn filter(self, view: View, now: OffsetDateTime) -> InstanceFilter {
        InstanceFilter {
            view: Some(view),
            statuses: (!self.statuses.is_empty()).then_some((self.statuses, now)),
            type_name: self.type_name,
            project: self.project,
            owner: self.owner,
            name_contains: self.name_contains,
            created_since: self.created_since,
            created_until: self.created_until,
            expires_before: self.expires_before,
            sort: self.sort,
            order: order(self.ascending),
            after: self.after,
            limit: self.limit,
        }
    }
}

/// Which lines are wanted.
#[derive(Debug, Clone, Default)]
pub struct LogQuery {
    /// At least as bad as this.
    pub min_level: Option<LogLevel>,
    /// Said by this.
    pub source: Option<LogSource>,
    /// Not older.
    pub since: Option<OffsetDateTime>,
    /// Older.
    pub until: Option<OffsetDateTime>,
    /// With this text in them.
    pub text: Option<String>,
    /// Oldest first.
    pub oldest_first: bool,
    /// Whether a page that looks for a text, newest first, may hold fewer lines than there are: it looks at a bounded number.
    pub is_bounded: bool,
    /// After this place.
    pub after: Option<TimelineCursor>,
    /// At most so many.
    pub limit: u32,
}

/// Whether the parts of the service can do their work.
#[derive(Debug, Clone, Copy)]
pub struct Readiness {
    /// The database answers.
    pub database: bool,
    /// Ports that can be leased.
    pub ports_free: usize,
    /// Launches are taken.
    pub accepting: bool,
}

/// New lines of one instance, as they come.
#[derive(Debug)]
pub struct LogFollower {
    orchestrator: Orchestrator,
    view: View,
    instance: InstanceId,
    query: LogQuery,
    arrivals: watch::Receiver<u64>,
    position: i64,
    ready: VecDeque<LogRow>,
    over: bool,
}

impl Orchestrator {
    /// One instance that the permit reaches.
    pub async fn get(&self, permit: &InstancePermit, id: InstanceId) -> Result<InstanceRow, ChangeError> {
        self.row(Some(permit.view()), id).await
    }

    /// One instance: in somebody's view, or any.
    pub(crate) async fn row(&self, view: Option<View>, id: InstanceId) -> Result<InstanceRow, ChangeError> {
        let store = self.0.store();
        let row = match view {
            Some(seer) => store.seen_by(seer).instances().get(id, view).await?,
            None => store.instances().get(id, None).await?,
        };
        row.ok_or(ChangeError::NotFound)
    }

    /// Why a running instance is still alive, in its shim's words; nothing where the shim does not answer soon, and of an instance
    /// that is not this process's.
    pub async fn why_alive(&self, id: InstanceId) -> Option<Alive> {
        let owner = self.0.live.find(id)?;
        let question = async {
            let (done, control) = oneshot::channel();
            owner.requests.send(Request::Control { done }).await.ok()?;
            control.await.ok()?.status().await.ok()?.alive
        };
        tokio::time::timeout(STATUS_PATIENCE, question).await.ok()?
    }

    /// The instances that the permit reaches.
    pub async fn list(
        &self,
        permit: &InstancePermit,
        query: InstanceQuery,
    ) -> Result<Page<InstanceRow, InstanceCursor>, ChangeError> {
        let filter = query.filter(permit.view(), self.0.now());
        Ok(self.0.store().seen_by(permit.view()).instances().list(&filter).await?)
    }

    /// What happened to an instance, oldest first.
    pub async fn events(
        &self,
        permit: &InstancePermit,
        id: InstanceId,
        after: Option<TimelineCursor>,
        limit: u32,
    ) -> Result<Page<EventRow, TimelineCursor>, ChangeError> {
        self.get(permit, id).await?;
        let view = permit.view();
        let seen = self.0.store().seen_by(view);
        Ok(seen.events().list(id, Some(view), after, limit, Order::Ascending).await?)
    }

    /// What was said about an instance.
    pub async fn logs(
        &self,
        permit: &InstancePermit,
        id: InstanceId,
        query: LogQuery,
    ) -> Result<Page<LogRow, TimelineCursor>, ChangeError> {
        self.get(permit, id).await?;
        if query.is_bounded && !query.oldest_first && query.text.is_some() {
            let found = self.search_logs(permit, SearchQuery::of_instance(id, query)).await?;
            return Ok(Page { items: found.items, next: found.next });
        }
        let filter = LogFilter {
            view: Some(permit.view()),
            instance: id,
            since: query.since,
            until: query.until,
            min_level: query.min_level,
            source: query.source,
            contains: query.text,
            after: query.after,
            limit: query.limit,
            order: order(query.oldest_first),
        };
        Ok(self.0.store().seen_by(permit.view()).logs().list(&filter).await?)
    }

    /// The last lines asked for, then each new one until the instance has ended.
    pub async fn follow_logs(
        &self,
        permit: &InstancePermit,
        id: InstanceId,
        query: LogQuery,
    ) -> Result<LogFollower, ChangeError> {
        let arrivals = self.0.parts.log_writer.arrivals();
        let newest = LogQuery { oldest_first: false, is_bounded: false, ..query.clone() };
        let mut ready: VecDeque<LogRow> = self.logs(permit, id, newest).await?.items.into();
        ready.make_contiguous().reverse();
        let position = ready.iter().map(|row| row.position).max().unwrap_or(0);
        Ok(LogFollower {
            orchestrator: self.clone(),
            view: permit.view(),
            instance: id,
            query,
            arrivals,
            position,
            ready,
            over: false,
        })
    }

    /// The pool, with the present.
    pub async fn ports(&self, _permit: &AdminPermit) -> Result<Vec<(PortRow, OffsetDateTime)>, ChangeError> {
        let now = self.0.now();
        let mut rows = self.0.store().ports().map(self.0.parts.node.node).await?;
        // That something else holds a port is known to the pool alone.
        let pool = self.0.ports.snapshot();
        for row in rows.iter_mut().filter(|row| row.instance.is_none()) {
            if let Some(PortStatus::Quarantined { remaining, .. }) = pool.status(row.port) {
                row.quarantined_until = row.quarantined_until.max(Some(now + remaining));
            }
        }
        Ok(rows.into_iter().map(|row| (row, now)).collect())
    }

    /// Whether the parts of the service can do their work.
    pub async fn readiness(&self) -> Readiness {
        Readiness {
            database: self.0.store().ping().await.is_ok(),
            ports_free: self.0.ports.snapshot().free(),
            accepting: !self.0.parts.stopping.is_cancelled(),
        }
    }
}

const fn order(oldest_first: bool) -> Order {
    if oldest_first { Order::Ascending } else { Order::Descending }
}

impl LogFollower {
    /// The lines as a stream.
    pub fn into_stream(self) -> impl Stream<Item = LogRow> + Send {
        stream::unfold(self, |mut follower| async move {
            let row = follower.next().await?;
            Some((row, follower))
        })
    }

    async fn next(&mut self) -> Option<LogRow> {
        loop {
            if let Some(row) = self.ready.pop_front() {
                return Some(row);
            }
            if self.over || self.orchestrator.0.parts.stopping.is_cancelled() {
                return None;
            }
            // Asked before the lines are read: what an instance said last is not missed.
            let ended = self.orchestrator.0.live.find(self.instance).is_none();
            if self.read().await.is_err() {
                return None;
            }
            if self.ready.is_empty() {
                self.over = ended;
                if !ended {
                    let stopping = &self.orchestrator.0.parts.stopping;
                    let news = stopping.run_until_cancelled(self.arrivals.changed());
                    let _ = tokio::time::timeout(FOLLOW_LOOK, news).await;
                }
            }
        }
    }

    async fn read(&mut self) -> Result<(), StoreError> {
        let mut logs = self.orchestrator.0.store().seen_by(self.view).logs();
        let rows = logs.follow(self.instance, Some(self.view), self.position, FOLLOW_BATCH).await?;
        for row in rows {
            self.position = self.position.max(row.position);
            if wanted(&self.query, &row) {
                self.ready.push_back(row);
            }
        }
        Ok(())
    }
}

fn wanted(query: &LogQuery, row: &LogRow) -> bool {
    query.min_level.is_none_or(|level| row.level >= level)
        && query.source.is_none_or(|source| row.source == source)
        && query.text.as_ref().is_none_or(|text| row.message.to_lowercase().contains(&text.to_lowercase()))
}
