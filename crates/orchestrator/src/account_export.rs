//! What a user's instances are and what they said, for the user alone, in every organisation.

use roadstead_access::Permit;
use roadstead_model::InstanceId;
use roadstead_store::{EventRow, InstanceRow, LogFilter, LogRow, Order, Page, TimelineCursor};

use crate::error::ChangeError;
use crate::parts::Orchestrator;

/// Rows that are read at once: an export is large, and what is in memory of it is not.
const EXPORT_BATCH: u32 = 100;

impl Orchestrator {
    /// The next instances of the caller after one of them, oldest first. Empty at the end.
    pub async fn exported_instances(
        &self,
        permit: &Permit,
        after: Option<InstanceId>,
    ) -> Result<Vec<InstanceRow>, ChangeError> {
        let instances = self.0.store().instances();
        let mut rows = Vec::new();
        for id in instances.ids_of_user(permit.user(), after, EXPORT_BATCH).await? {
            // Gone since: then it is no part of it.
            rows.extend(self.0.store().instances().get(id, None).await?);
        }
        Ok(rows)
    }

    /// A page of the events of one of them.
    pub async fn exported_events(
        &self,
        permit: &Permit,
        of: &InstanceRow,
        after: Option<TimelineCursor>,
    ) -> Result<Page<EventRow, TimelineCursor>, ChangeError> {
        owned(permit, of)?;
        Ok(self.0.store().events().list(of.id, None, after, EXPORT_BATCH, Order::Ascending).await?)
    }

    /// A page of what was said by and about one of them.
    pub async fn exported_lines(
        &self,
        permit: &Permit,
        of: &InstanceRow,
        after: Option<TimelineCursor>,
    ) -> Result<Page<LogRow, TimelineCursor>, ChangeError> {
        owned(permit, of)?;
        let filter = LogFilter {
            instance: of.id,
            view: None,
            since: None,
            until: None,
            min_level: None,
            source: None,
            contains: None,
            after,
            limit: EXPORT_BATCH,
            order: Order::Ascending,
        };
        Ok(self.0.store().logs().list(&filter).await?)
    }
}

fn owned(permit: &Permit, row: &InstanceRow) -> Result<(), ChangeError> {
    if row.user == permit.user() { Ok(()) } else { Err(ChangeError::NotFound) }
}
