//! One known value under the master key, by which a wrong key is noticed.

use time::OffsetDateTime;

use crate::StoreError;
use crate::db::System;
use crate::error::During;

/// The probe's single row.
#[derive(Debug, Clone, Copy)]
pub struct RingChecks<D> {
    pub(crate) db: D,
}

impl RingChecks<System<'_>> {
    /// The sealed probe; none before the first start.
    #[tracing::instrument(name = "db.ring_check.load", skip_all, err(level = "debug"))]
    pub async fn load(&self) -> Result<Option<Vec<u8>>, StoreError> {
        sqlx::query_scalar!("select sealed from ring_check")
            .fetch_optional(self.db.pool)
            .await
            .during("db.ring_check.load")
    }

    /// Stores the probe. False when there is one already: it is never overwritten.
    #[tracing::instrument(name = "db.ring_check.insert", skip_all, err(level = "debug"))]
    pub async fn insert(&self, sealed: &[u8], at: OffsetDateTime) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "insert into ring_check (sealed, created_at) values ($1, $2) on conflict do nothing",
            sealed,
            at,
        )
        .execute(self.db.pool)
        .await
        .during("db.ring_check.insert")?;
        Ok(done.rows_affected() == 1)
    }
}
