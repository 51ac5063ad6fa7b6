//! Requests that may be repeated: the first one's answer is kept, sealed, and given again.
//!
//! ```text
//! begin ─► Yours ─► answer      the next begin gets Answered
//!             └───► abandon     the next begin gets Yours
//! ```
//! A claim whose holder died is taken over once it is older than the caller allows.

use roadstead_model::UserId;
use time::OffsetDateTime;

use crate::db::System;
use crate::error::During;
use crate::{StoreError, convert};

const TABLE: &str = "idempotency_keys";

/// A request that claims a key.
#[derive(Debug, Clone, Copy)]
pub struct NewClaim<'a> {
    /// Who asks: a key means nothing to anybody else.
    pub user: UserId,
    /// What is asked for, such as `POST /api/v1/instances`.
    pub route: &'a str,
    /// The key that the caller chose.
    pub key: &'a str,
    /// The SHA-256 of the request's body.
    pub body_hash: [u8; 32],
    /// Now.
    pub at: OffsetDateTime,
    /// When the answer may be forgotten.
    pub expires_at: OffsetDateTime,
    /// A claim without an answer from before this moment belongs to nobody any more.
    pub stale_before: OffsetDateTime,
}

/// What a request finds under its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// Nothing: the request is the first, and must `answer` or `abandon`.
    Yours,
    /// Another request with the key is under way.
    UnderWay {
        /// The hash of that request's body.
        body_hash: [u8; 32],
    },
    /// The answer to an earlier request with the key.
    Answered {
        /// The hash of that request's body.
        body_hash: [u8; 32],
        /// The answer's HTTP status.
        status: u16,
        /// The sealed answer.
        sealed: Vec<u8>,
    },
}

/// The claims' rows.
#[derive(Debug, Clone, Copy)]
pub struct Idempotency<D> {
    pub(crate) db: D,
}

impl Idempotency<System<'_>> {
    /// Claims a key, or says what is under it. Of two requests at once, one gets it.
    #[tracing::instrument(name = "db.idempotency.begin", skip_all, err(level = "debug"))]
    pub async fn begin(&self, claim: &NewClaim<'_>) -> Result<Claim, StoreError> {
        let mine = sqlx::query!(
            "insert into idempotency_keys (user_id, route, key, body_hash, created_at, expires_at)
             values ($1, $2, $3, $4, $5, $6)
             on conflict (user_id, route, key) do update
             set body_hash = excluded.body_hash, answer_status = null, sealed_answer = null,
                 created_at = excluded.created_at, expires_at = excluded.expires_at
             where idempotency_keys.expires_at <= $5
                or (idempotency_keys.answer_status is null and idempotency_keys.created_at < $7)",
            claim.user.uuid(),
            claim.route,
            claim.key,
            &claim.body_hash[..],
            claim.at,
            claim.expires_at,
            claim.stale_before,
        )
        .execute(self.db.pool)
        .await
        .during("db.idempotency.begin")?;
        if mine.rows_affected() == 1 {
            return Ok(Claim::Yours);
        }
        // Gone in between: its holder gave up, so this request may be told to wait as if it had not.
        let found = self.lookup(claim.user, claim.route, claim.key).await?;
        Ok(found.unwrap_or(Claim::UnderWay { body_hash: claim.body_hash }))
    }

    /// What is under a key; none when nothing is. Never `Yours`.
    #[tracing::instrument(name = "db.idempotency.lookup", skip_all, err(level = "debug"))]
    pub async fn lookup(&self, user: UserId, route: &str, key: &str) -> Result<Option<Claim>, StoreError> {
        let row = sqlx::query!(
            "select body_hash, answer_status, sealed_answer from idempotency_keys
             where user_id = $1 and route = $2 and key = $3",
            user.uuid(),
            route,
            key,
        )
        .fetch_optional(self.db.pool)
        .await
        .during("db.idempotency.lookup")?;
        let Some(row) = row else { return Ok(None) };
        let wrong = |why: String| StoreError::inconsistent(TABLE, key, why);
        let body_hash = convert::hash(&row.body_hash).map_err(wrong)?;
        match (row.answer_status, row.sealed_answer) {
            (None, None) => Ok(Some(Claim::UnderWay { body_hash })),
            (Some(status), Some(sealed)) => {
                let status = u16::try_from(status).map_err(|_| wrong(format!("{status} is no status")))?;
                Ok(Some(Claim::Answered { body_hash, status, sealed }))
            }
            _ => Err(wrong("an answer without a status, or a status without an answer".to_owned())),
        }
    }

    /// Keeps the answer of a request that holds the key. False when the claim was taken over meanwhile.
    #[tracing::instrument(name = "db.idempotency.answer", skip_all, err(level = "debug"))]
    pub async fn answer(
        &self,
        user: UserId,
        route: &str,
        key: &str,
        status: u16,
        sealed: &[u8],
    ) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "update idempotency_keys set answer_status = $4, sealed_answer = $5
             where user_id = $1 and route = $2 and key = $3 and answer_status is null",
            user.uuid(),
            route,
            key,
            i32::from(status),
            sealed,
        )
        .execute(self.db.pool)
        .await
        .during("db.idempotency.answer")?;
        Ok(done.rows_affected() == 1)
    }

    /// Gives the key back without an answer, so that the request may be tried again.
    #[tracing::instrument(name = "db.idempotency.abandon", skip_all, err(level = "debug"))]
    pub async fn abandon(&self, user: UserId, route: &str, key: &str) -> Result<(), StoreError> {
        sqlx::query!(
            "delete from idempotency_keys
             where user_id = $1 and route = $2 and key = $3 and answer_status is null",
            user.uuid(),
            route,
            key,
        )
        .execute(self.db.pool)
        .await
        .during("db.idempotency.abandon")
        .map(drop)
    }

    /// Forgets answers whose time is up; says how many.
    #[tracing::instrument(name = "db.idempotency.purge", skip_all, err(level = "debug"))]
    pub async fn purge(&self, now: OffsetDateTime) -> Result<u64, StoreError> {
        let done = sqlx::query!("delete from idempotency_keys where expires_at <= $1", now)
            .execute(self.db.pool)
            .await
            .during("db.idempotency.purge")?;
        Ok(done.rows_affected())
    }
}
