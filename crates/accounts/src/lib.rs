//! Users, keys, types, credentials and settings: what may be changed, and how. Knows neither HTTP nor processes.

pub mod acting;
pub mod audit;
pub mod authenticate;
pub mod bootstrap;
pub mod credentials;
pub mod erase;
pub mod error;
pub mod export;
pub mod idempotency;
mod key_use;
pub mod keys;
mod known_keys;
pub mod master_key;
pub mod members;
pub mod organizations;
pub mod projects;
mod quota;
pub mod retention;
pub mod rotation;
pub mod settings;
pub mod types;
pub mod users;

use std::sync::{Arc, PoisonError, RwLock};

use roadstead_crypto::{Binding, KeyRing, OpenError, SecretBox, SecretSlice};
use roadstead_model::{Clock, InstanceId, Randomness};
use roadstead_store::Store;
use tokio::sync::Notify;

pub use acting::ActingError;
pub use audit::{Anchors, Lagging};
pub use authenticate::{AuthenticationError, Purpose};
pub use credentials::{
    ChangedCredential, Credential, CredentialUsage, DeletedCredential, NewCredential, OpenCredential,
};
pub use error::AccountsError;
pub use export::Exported;
pub use ipnet::IpNet;
pub use keys::{KeyListing, KeyPatch, KeyWithTotals, NewKey};
pub use master_key::{KeeperError, KeyKeeper, KeySource, MasterKeyState, MasterKeys};
pub use members::MemberPatch;
pub use organizations::OrganizationPatch;
pub use projects::{NewProject, ProjectPatch};
pub use retention::{Cleaner, PolicyChange, Preview};
pub use roadstead_crypto::{ExposeSecret, KeyId, PlainToken, RingChangeError, SecretString};
pub use roadstead_store::{
    ApiKeyRow, AuditCursor, AuditFilter, AuditRow, Break, CredentialEvent, CredentialRow, Cursor, FeedFilter,
    FeedRow, Holder, KeyDay, KeyFact, KeyRequest, KeySettings, KeyTotals, MemberRow, MembershipRow, MonthRow,
    NewSystemEvent, Order, OrganizationRow, Page, PageRequest, PeopleFilter, PersonRow, PolicyRow,
    ProjectRow, ReviewRow, RotationRow, RunRow, SettingChange, SystemEventFilter, SystemEventRow, ToolRow,
    TypeRow, Verified, Why,
};
pub use rotation::{Rotating, Turn};
pub use settings::{
    Access, AllowedRoot, LaunchSettings, QuotaSettings, RateSettings, SettingEntry, SettingSet, Settings,
};
pub use users::{NewUser, PersonPatch};

/// Tells the secrets of control connections apart from whatever else is made from the keys.
const CONTROL_LABEL: &str = "roadstead control 1";

/// Everything about people and what they own; cheap to clone.
#[derive(Debug, Clone)]
pub struct Accounts(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    /// Changed as a whole; held for no longer than a clone takes.
    ring: RwLock<Arc<KeyRing>>,
    keeper: Arc<dyn KeyKeeper>,
    /// Told when there may be something to seal anew.
    rotation: Notify,
    clock: Arc<dyn Clock>,
    randomness: Arc<Randomness>,
    uses: key_use::KeyUses,
    known_keys: known_keys::KnownKeys,
    /// The settings as they were read last.
    settings: RwLock<Arc<Settings>>,
    /// Held while something is made of which a user may have so many.
    making: tokio::sync::Mutex<()>,
    /// Where months are written to before they go.
    archive: std::sync::OnceLock<std::path::PathBuf>,
}

/// What the wiring hands over.
#[derive(Debug)]
pub struct Parts {
    /// Rows.
    pub store: Store,
    /// Seals credentials and kept answers.
    pub ring: KeyRing,
    /// Where the ring is kept.
    pub keeper: Arc<dyn KeyKeeper>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// For ids, keys and nonces.
    pub randomness: Arc<Randomness>,
}

impl Accounts {
    /// The accounts over their parts.
    pub fn new(parts: Parts) -> Self {
        let Parts { store, ring, keeper, clock, randomness } = parts;
        let (ring, rotation) = (RwLock::new(Arc::new(ring)), Notify::new());
        let (uses, settings) = (key_use::KeyUses::default(), RwLock::new(Arc::new(Settings::default())));
        let (archive, making) = (std::sync::OnceLock::new(), tokio::sync::Mutex::default());
        Self(Arc::new(Inner {
            store,
            ring,
            keeper,
            rotation,
            clock,
            randomness,
            uses,
            known_keys: known_keys::KnownKeys::default(),
            settings,
            making,
            archive,
        }))
    }

    /// What control connections of an instance are proved with. Nobody keeps it: the keys make it anew after a restart; the
    /// first is for a new shim, the others are those that an earlier key made.
    pub fn control_secrets(&self, instance: InstanceId) -> Vec<(KeyId, SecretBox<[u8; 32]>)> {
        let ring = self.ring();
        ring.key_ids().zip(ring.derive(CONTROL_LABEL, &instance.uuid().into_bytes())).collect()
    }

    fn ring(&self) -> Arc<KeyRing> {
        Arc::clone(&self.0.ring.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn swap_ring(&self, ring: KeyRing) {
        *self.0.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ring);
    }

    fn seal(&self, binding: &Binding<'_>, secret: impl AsRef<[u8]>) -> Vec<u8> {
        self.ring().seal(&mut *self.0.randomness.lock(), binding, secret)
    }

    /// Opens a value. A key that is not known may have been added by another process: the keys are read again.
    fn open(&self, binding: &Binding<'_>, sealed: &[u8]) -> Result<SecretSlice<u8>, OpenError> {
        match self.ring().open(binding, sealed) {
            Err(OpenError::UnknownKey { key }) if self.learn(key) => self.ring().open(binding, sealed),
            opened => opened,
        }
    }

    fn store(&self) -> &Store {
        &self.0.store
    }

    fn now(&self) -> time::OffsetDateTime {
        self.0.clock.now()
    }
}
