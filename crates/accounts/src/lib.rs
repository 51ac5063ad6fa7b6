//! Users, keys, types, credentials and settings: what may be changed, and how. Knows neither HTTP nor processes.

pub mod authenticate;
pub mod bootstrap;
pub mod credentials;
pub mod error;
pub mod idempotency;
pub mod keys;
pub mod settings;
pub mod types;
pub mod users;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use roadstead_crypto::KeyRing;
use roadstead_model::{ApiKeyId, Clock, Randomness};
use roadstead_store::{KeyUse, Store};

pub use authenticate::AuthenticationError;
pub use credentials::NewCredential;
pub use error::AccountsError;
pub use keys::NewKey;
pub use roadstead_crypto::{ExposeSecret, PlainToken, SecretString};
pub use roadstead_store::{ApiKeyRow, CredentialRow, Cursor, Page, PageRequest, TypeRow, UserRow};
pub use settings::Settings;
pub use users::NewUser;

/// Everything about people and what they own; cheap to clone.
#[derive(Debug, Clone)]
pub struct Accounts(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    ring: Arc<KeyRing>,
    clock: Arc<dyn Clock>,
    randomness: Arc<Randomness>,
    /// Keys that were used since they were last written down: one entry a key, so never more than there are keys.
    uses: Mutex<BTreeMap<ApiKeyId, KeyUse>>,
}

/// What the wiring hands over.
#[derive(Debug)]
pub struct Parts {
    /// Rows.
    pub store: Store,
    /// Seals credentials and kept answers.
    pub ring: Arc<KeyRing>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// For ids, keys and nonces.
    pub randomness: Arc<Randomness>,
}

impl Accounts {
    /// The accounts over their parts.
    pub fn new(parts: Parts) -> Self {
        let Parts { store, ring, clock, randomness } = parts;
        Self(Arc::new(Inner { store, ring, clock, randomness, uses: Mutex::default() }))
    }

    fn store(&self) -> &Store {
        &self.0.store
    }

    fn now(&self) -> time::OffsetDateTime {
        self.0.clock.now()
    }
}
