//! Why a change of accounts was not made.

use roadstead_store::StoreError;

/// A field and what is wrong with it.
pub type Problem = (String, String);

/// Why a change was not made, or a row not shown.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// Fields are wrong.
    #[error("{} fields are wrong", .0.len())]
    Invalid(Vec<Problem>),
    /// Missing, or not the caller's.
    #[error("there is no such {what}")]
    NotFound {
        /// The noun.
        what: &'static str,
    },
    /// No such server type, or a disabled one.
    #[error("there is no server type {name:?}; `GET /api/v1/types` lists those that can be launched")]
    TypeNotFound {
        /// What was asked for.
        name: String,
    },
    /// Something of that name exists.
    #[error("a {noun} with this {field} exists already; choose another")]
    AlreadyExists {
        /// The noun.
        noun: &'static str,
        /// What must differ.
        field: &'static str,
    },
    /// The row has changed since it was read.
    #[error("the type has changed since version {expected}; read it again and repeat the change")]
    StaleVersion {
        /// The version that was read.
        expected: i32,
    },
    /// A key cannot grant more than it has.
    #[error("a key can carry at most the scopes of the key that makes it")]
    ScopesNotGrantable,
    /// The same key is in use right now.
    #[error("a request with this Idempotency-Key is still running; ask again for its answer")]
    IdempotencyInProgress,
    /// The same key was used for something else.
    #[error("this Idempotency-Key was used with another body; use a new key for a new request")]
    IdempotencyMismatch,
    /// A sealed value does not open.
    #[error("a sealed value of {row} does not open")]
    Unsealable {
        /// Whose.
        row: String,
        /// Why.
        #[source]
        source: roadstead_crypto::OpenError,
    },
    /// The database.
    #[error("the accounts' rows could not be read or written")]
    Store(#[source] StoreError),
}

impl From<StoreError> for AccountsError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Duplicate { noun, field } => Self::AlreadyExists { noun, field },
            StoreError::Missing { noun } => Self::NotFound { what: noun },
            other => Self::Store(other),
        }
    }
}
