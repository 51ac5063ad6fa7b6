//! Searching what all instances in view said.

use roadstead_access::InstancePermit;
use roadstead_model::{InstanceId, LogLevel, LogSource};
use roadstead_store::{LogSearch, Searched, TimelineCursor};
use time::OffsetDateTime;

use crate::error::ChangeError;
use crate::parts::Orchestrator;
use crate::query::LogQuery;

/// What is searched for, newest first.
#[derive(Debug, Clone, Default)]
pub struct SearchQuery {
    /// With this text in it; none for every line.
    pub text: Option<String>,
    /// Of this instance alone.
    pub instance: Option<InstanceId>,
    /// At least as bad as this.
    pub min_level: Option<LogLevel>,
    /// Said by this.
    pub source: Option<LogSource>,
    /// Not older.
    pub since: Option<OffsetDateTime>,
    /// Older.
    pub until: Option<OffsetDateTime>,
    /// After this place.
    pub after: Option<TimelineCursor>,
    /// At most so many.
    pub limit: u32,
}

impl SearchQuery {
    /// The same of one instance.
    pub(crate) fn of_instance(id: InstanceId, query: LogQuery) -> Self {
        Self {
            text: query.text,
            instance: Some(id),
            min_level: query.min_level,
            source: query.source,
            since: query.since,
            until: query.until,
            after: query.after,
            limit: query.limit,
        }
    }
}

impl Orchestrator {
    /// The next part of the log that the permit reaches, as far as one page looks.
    pub async fn search_logs(
        &self,
        permit: &InstancePermit,
        query: SearchQuery,
    ) -> Result<Searched, ChangeError> {
        let search = LogSearch {
            view: Some(permit.view()),
            instance: query.instance,
            contains: query.text,
            min_level: query.min_level,
            source: query.source,
            since: query.since,
            until: query.until,
            after: query.after,
            limit: query.limit,
            window: self.0.settings().search_lines,
        };
        Ok(self.0.store().seen_by(permit.view()).logs().search(&search).await?)
    }
}
