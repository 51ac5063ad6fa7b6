//! Answers that are kept for a day under the caller's key: sealed, for they may hold tokens.

use roadstead_crypto::{Binding, ExposeSecret};
use roadstead_model::UserId;
use roadstead_store::{Claim, NewClaim};
use sha2::{Digest, Sha256};
use time::Duration;

use crate::{Accounts, AccountsError};

/// How long an answer is kept.
const KEPT_FOR: Duration = Duration::hours(24);
/// A claim without an answer that is older belongs to a process that was killed: no launch takes this long.
const ABANDONED_AFTER: Duration = Duration::minutes(15);

/// A request that may be repeated.
#[derive(Debug)]
pub struct Attempt<'a> {
    /// Who asks: another user's key is another key.
    pub user: UserId,
    /// What is asked: `POST /instances`.
    pub route: &'static str,
    /// The key, chosen by the caller.
    pub key: &'a str,
    /// The body as it came.
    pub request: &'a [u8],
}

/// What is to be done with an attempt.
#[derive(Debug)]
pub enum Begun {
    /// It is the first: do it, then `keep` or `forget`.
    First(Ticket),
    /// It was done before: this was the answer.
    Before {
        /// The status.
        status: u16,
        /// The body.
        body: Vec<u8>,
    },
}

/// The right to do an attempt and to write down its answer.
#[derive(Debug)]
#[must_use = "an attempt that is neither kept nor forgotten blocks its key for a while"]
pub struct Ticket {
    user: UserId,
    route: &'static str,
    key: String,
}

/// The answers of one installation.
#[derive(Debug)]
pub struct Idempotency<'a>(&'a Accounts);

impl Accounts {
    /// Answers kept under callers' keys.
    pub const fn idempotency(&self) -> Idempotency<'_> {
        Idempotency(self)
    }
}

impl Idempotency<'_> {
    /// Claims a key, or finds the answer that it stands for.
    pub async fn begin(&self, attempt: &Attempt<'_>) -> Result<Begun, AccountsError> {
        let at = self.0.now();
        let body_hash: [u8; 32] = Sha256::digest(attempt.request).into();
        let claim = NewClaim {
            user: attempt.user,
            route: attempt.route,
            key: attempt.key,
            body_hash,
            at,
            expires_at: at + KEPT_FOR,
            stale_before: at - ABANDONED_AFTER,
        };
        let ticket = Ticket { user: attempt.user, route: attempt.route, key: attempt.key.to_owned() };
        match self.0.store().idempotency().begin(&claim).await? {
            Claim::Yours => Ok(Begun::First(ticket)),
            Claim::UnderWay { body_hash: other } | Claim::Answered { body_hash: other, .. }
                if other != body_hash =>
            {
                Err(AccountsError::IdempotencyMismatch)
            }
            Claim::UnderWay { .. } => Err(AccountsError::IdempotencyInProgress),
            Claim::Answered { status, sealed, .. } => {
                let opened = self.0.open(&ticket.binding(), &sealed);
                let opened = opened.map_err(|source| AccountsError::Unsealable {
                    row: "an answer under an idempotency key".to_owned(),
                    source,
                })?;
                Ok(Begun::Before { status, body: opened.expose_secret().to_vec() })
            }
        }
    }

    /// Keeps the answer for a day.
    pub async fn keep(&self, ticket: Ticket, status: u16, body: &[u8]) -> Result<(), AccountsError> {
        let sealed = self.0.seal(&ticket.binding(), body);
        self.0.store().idempotency().answer(ticket.user, ticket.route, &ticket.key, status, &sealed).await?;
        Ok(())
    }

    /// Gives the key free: the attempt came to nothing.
    pub async fn forget(&self, ticket: Ticket) -> Result<(), AccountsError> {
        Ok(self.0.store().idempotency().abandon(ticket.user, ticket.route, &ticket.key).await?)
    }

    /// Removes what is older than a day.
    pub async fn purge(&self) -> Result<u64, AccountsError> {
        Ok(self.0.store().idempotency().purge(self.0.now()).await?)
    }
}

/// What an answer is bound to.
pub(crate) const fn binding<'a>(user: &'a [u8], route: &'a str, key: &'a str) -> Binding<'a> {
    Binding { owner: user, type_id: b"idempotency", slot: route, row: key.as_bytes() }
}

impl Ticket {
    fn binding(&self) -> Binding<'_> {
        binding(self.user.uuid_bytes(), self.route, &self.key)
    }
}
