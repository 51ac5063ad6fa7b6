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

use roadstead_crypto::{KeyRing, SecretBox};
use roadstead_model::{ApiKeyId, Clock, InstanceId, Randomness};
use roadstead_store::{KeyUse, Store};

pub use authenticate::AuthenticationError;
pub use credentials::{
    ChangedCredential, Credential, CredentialUsage, DeletedCredential, NewCredential, OpenCredential,
};
pub use error::AccountsError;
pub use keys::NewKey;
pub use roadstead_crypto::{ExposeSecret, PlainToken, SecretString};
pub use roadstead_store::{
    ApiKeyRow, CredentialEvent, CredentialRow, Cursor, Holder, Page, PageRequest, TypeRow, UserRow,
};
pub use settings::{Access, AllowedRoot, Settings};
pub use users::NewUser;

/// Tells the secrets of control connections apart from whatever else is made from the keys.
const CONTROL_LABEL: &str = "roadstead control 1";

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

    /// What control connections of an instance are proved with. Nobody keeps it: the keys make it anew after a restart; the
    /// first is for a new shim, the others are those that an earlier key made.
    pub fn control_secrets(&self, instance: InstanceId) -> Vec<SecretBox<[u8; 32]>> {
        self.0.ring.derive(CONTROL_LABEL, &instance.uuid().into_bytes()).collect()
    }

    fn store(&self) -> &Store {
        &self.0.store
    }

    fn now(&self) -> time::OffsetDateTime {
        self.0.clock.now()
    }
}
