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
    /// Several projects call one so, and none of them is the caller's.
    #[error("several projects have a server type {name:?}; name the one that is meant by its id")]
    AmbiguousType {
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
    /// Nobody decides that about a type of this status.
    #[error("a type that is {from} cannot become {to}", from = from.as_str(), to = to.as_str())]
    Undecidable {
        /// What it is.
        from: roadstead_model::TypeStatus,
        /// What it was to become.
        to: roadstead_model::TypeStatus,
    },
    /// Somebody has to look at this first.
    #[error(
        "its tools look suspicious; look at the details, and ask again with `accept_findings` if they are right"
    )]
    Suspicious(Vec<String>),
    /// The row has changed since it was read.
    #[error("this has changed since version {expected}; read it again and repeat the change")]
    StaleVersion {
        /// The version that was read.
        expected: i32,
    },
    /// A rule between people.
    #[error(transparent)]
    Rule(#[from] roadstead_access::RuleBroken),
    /// The user has as many as they may.
    #[error("{0}; delete or revoke what is not needed, or ask a platform admin for more")]
    QuotaReached(roadstead_model::QuotaReached),
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
    /// The key ring is not ours to change.
    #[error(
        "the master key comes from ROADSTEAD_MASTER_KEY, which only you can change: put a new key before the others there, \
         separated by a comma, and start the service again; it then seals everything with the first one, and \
         `roadstead master-key status` says when the others are needed no longer"
    )]
    KeyFromEnvironment,
    /// One rotation at a time.
    #[error("a rotation is under way; `roadstead master-key status` shows how far it is")]
    RotationUnderWay,
    /// Something needs the key.
    #[error(
        "master key {key} is still needed, by {values} sealed values and {instances} live instances; values are being \
         sealed anew, and instances need it until they end or are restarted"
    )]
    KeyInUse {
        /// The key.
        key: roadstead_crypto::KeyId,
        /// Values that it has sealed.
        values: u64,
        /// Instances whose control secret was made from it.
        instances: u64,
    },
    /// The ring cannot be changed so.
    #[error(transparent)]
    Ring(#[from] roadstead_crypto::RingChangeError),
    /// A rotation had begun whose key is gone.
    #[error(
        "a rotation has sealed values with master key {key}, which is not in the key ring: put back the newest key file, \
         or add that key to the ring; nothing was changed"
    )]
    RotationKeyLost {
        /// The key.
        key: roadstead_crypto::KeyId,
    },
    /// The first key of the ring was retired.
    #[error(
        "master key {key} was retired and cannot seal again: put the newest key first; nothing was changed"
    )]
    SealingKeyRetired {
        /// The key.
        key: roadstead_crypto::KeyId,
    },
    /// Where the keys are kept failed.
    #[error("the key ring could not be read or written where it is kept")]
    Keeper(#[source] crate::KeeperError),
    /// The database.
    #[error("the accounts' rows could not be read or written")]
    Store(#[source] StoreError),
}

impl From<StoreError> for AccountsError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Duplicate { noun, field } => Self::AlreadyExists { noun, field },
            StoreError::Missing { noun } => Self::NotFound { what: noun },
            // Told at the end of a transaction, when all its changes are seen together.
            StoreError::Refused { constraint } if constraint == "organizations_keep_owner" => {
                Self::Rule(roadstead_access::RuleBroken::LastOwner)
            }
            other => Self::Store(other),
        }
    }
}
