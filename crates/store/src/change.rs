//! A change and the entry that says who made it, in one transaction: neither is there without the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use roadstead_model::NewAudit;
use sqlx::{PgConnection, Postgres, Transaction};

use crate::StoreError;
use crate::error::During;

/// A transaction that ends only together with its audit entry. Dropped, it is undone.
#[derive(Debug)]
pub struct Change<'a> {
    transaction: Transaction<'a, Postgres>,
    /// Dropped when the transaction has ended, however it did.
    _counted: Counted<'a>,
}

/// How many changes have ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct Changes(Arc<AtomicU64>);

impl Changes {
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

#[derive(Debug)]
struct Counted<'a>(&'a Changes);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::Release);
    }
}

impl<'a> Change<'a> {
    pub(crate) const fn new(transaction: Transaction<'a, Postgres>, changes: &'a Changes) -> Self {
        Self { transaction, _counted: Counted(changes) }
    }

    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }

    /// Writes the entry and makes the change hold.
    #[tracing::instrument(name = "db.change.commit", skip_all, fields(audit.action = entry.action), err(level = "debug"))]
    pub async fn commit(mut self, entry: &NewAudit) -> Result<(), StoreError> {
        self.audit().append(entry).await?;
        self.transaction.commit().await.during("db.change.commit")
    }

    /// Ends it where it turned out that there was nothing to change.
    pub async fn nothing_changed(self) -> Result<(), StoreError> {
        self.transaction.rollback().await.during("db.change.nothing_changed")
    }
}
