//! The master key, for those who look after it: which keys there are, what needs them, a new one, and the end of an old one.
//!
//! ```text
//! rotate:  row of the run ──► new key at the head of the file ──► ring swapped ──► values sealed anew (rotation.rs)
//! retire:  nothing needs it ──► the database refuses it ──► out of the file ──► ring swapped
//! ```
//!
//! A key is in its file before it seals anything, and out of use before it leaves the file: killed anywhere between, nothing
//! is lost, and the next start goes on.

use std::sync::Arc;

use roadstead_access::AdminPermit;
use roadstead_crypto::{KeyId, KeyRing, MasterKey, RingChangeError};
use roadstead_model::{AuditOutcome, Changes, NewAudit, RotationId};
use roadstead_store::{Retirement, RotationRow};

use crate::{Accounts, AccountsError};

/// What a change makes of a ring.
pub type RingChange = dyn Fn(&KeyRing) -> Result<KeyRing, RingChangeError> + Send + Sync;

/// Where the key ring is kept.
pub trait KeyKeeper: std::fmt::Debug + Send + Sync {
    /// What that is.
    fn source(&self) -> KeySource;

    /// The ring as it is kept now; none where it cannot have changed since the start.
    fn load(&self) -> Result<Option<KeyRing>, KeeperError>;

    /// Reads the ring, changes it and keeps it, with nobody else between; what it answers with is written for good.
    fn change(&self, change: &RingChange) -> Result<KeyRing, KeeperError>;
}

/// Where a key ring comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySource {
    /// A file of ours.
    File,
    /// The environment.
    Environment,
}

impl KeySource {
    /// The word in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Environment => "environment",
        }
    }
}

/// Why a ring was not read or kept.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// It does not allow the change.
    #[error(transparent)]
    Change(#[from] RingChangeError),
    /// Where it is kept failed.
    #[error("the place where the key ring is kept failed")]
    Place(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The master keys.
#[derive(Debug, Clone, PartialEq)]
pub struct MasterKeys {
    /// Where they come from.
    pub source: KeySource,
    /// Those of the ring, newest first, then those that something needs and that are not there.
    pub keys: Vec<MasterKeyState>,
    /// The rotation that began last.
    pub rotation: Option<RotationRow>,
}

/// One master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MasterKeyState {
    /// Its id, which tells nothing of it.
    pub id: KeyId,
    /// New values are sealed with it.
    pub seals: bool,
    /// It is in the ring. Without it, what needs it does not open.
    pub is_held: bool,
    /// Values that it has sealed.
    pub values: u64,
    /// Live instances whose control connection is proved with a secret that was made from it.
    pub instances: u64,
}

impl Accounts {
    /// The keys, and what needs them.
    pub async fn master_keys(&self, _permit: &AdminPermit) -> Result<MasterKeys, AccountsError> {
        let rotation = self.store().key_rotations().latest().await?;
        let uses = self.store().key_rotations().uses().await?;
        if let Some(stranger) =
            uses.iter().map(|found| KeyId::from_number(found.key)).find(|key| !self.ring().holds(*key))
        {
            self.learn(stranger);
        }
        let ring = self.ring();
        let strangers =
            uses.iter().map(|found| KeyId::from_number(found.key)).filter(|key| !ring.holds(*key));
        let state = |id: KeyId| {
            let found = uses.iter().find(|found| found.key == id.get());
            MasterKeyState {
                id,
                seals: id == ring.sealing_key(),
                is_held: ring.holds(id),
                values: found.map_or(0, |found| found.values),
                instances: found.map_or(0, |found| found.instances),
            }
        };
        let keys = ring.key_ids().chain(strangers).map(state).collect();
        Ok(MasterKeys { source: self.0.keeper.source(), keys, rotation })
    }

    /// Makes a new key, which seals from now on, and begins to seal everything else with it.
    pub async fn rotate_master_key(&self, permit: &AdminPermit) -> Result<RotationRow, AccountsError> {
        if self.0.keeper.source() == KeySource::Environment {
            return Err(AccountsError::KeyFromEnvironment);
        }
        let key = MasterKey::generate(&mut *self.0.randomness.lock());
        let id = RotationId::new(&*self.0.clock, &mut *self.0.randomness.lock());
        let rotations = self.store().key_rotations();
        // The row comes first: of two processes that rotate at once, only one writes the file.
        let now = self.now();
        let mut change = self.store().system_change().await?;
        if !change.key_rotations().begin(id, key.id().get(), now).await? {
            // One that waits before its next attempt makes it now.
            self.0.rotation.notify_one();
            return Err(AccountsError::RotationUnderWay);
        }
        let entry = |key: KeyId, outcome| NewAudit {
            sensitive: true,
            outcome,
            ..permit.entry(&key, Changes::default(), now)
        };
        change.commit(&entry(key.id(), AuditOutcome::Done)).await?;
        let sealing = key.id();
        if let Err(error) = self.change_ring(Box::new(move |ring| ring.with_new_first(key.clone()))).await {
            rotations.forget(id).await?;
            let failed = entry(sealing, AuditOutcome::Failed("INTERNAL_ERROR"));
            self.store().system_change().await?.commit(&failed).await?;
            return Err(error);
        }
        self.0.rotation.notify_one();
        let begun = rotations.latest().await?;
        begun.ok_or(AccountsError::NotFound { what: "rotation" })
    }

    /// Ends a key that nothing needs. What still needs it begins to be sealed anew, and the key stays.
    pub async fn retire_master_key(&self, permit: &AdminPermit, key: KeyId) -> Result<(), AccountsError> {
        if self.0.keeper.source() == KeySource::Environment {
            return Err(AccountsError::KeyFromEnvironment);
        }
        let ring = self.ring();
        ring.without(key)?;
        let now = self.now();
        let mut change = self.store().system_change().await?;
        if let Retirement::Needed(found) = change.key_rotations().retire(key.get(), now).await? {
            change.nothing_changed().await?;
            if found.values > 0 {
                // Written by a request that had begun before the rotation did.
                let id = RotationId::new(&*self.0.clock, &mut *self.0.randomness.lock());
                self.store().key_rotations().begin(id, ring.sealing_key().get(), now).await?;
                self.0.rotation.notify_one();
            }
            let (values, instances) = (found.values, found.instances);
            return Err(AccountsError::KeyInUse { key, values, instances });
        }
        let entry = permit.entry(&key, Changes::default(), now);
        change.commit(&NewAudit { sensitive: true, ..entry }).await?;
        self.change_ring(Box::new(move |ring| match ring.without(key) {
            // An attempt before this one came so far.
            Err(RingChangeError::Unknown { .. }) => Ok(ring.clone()),
            changed => changed,
        }))
        .await
    }

    /// Goes on with what an earlier process of ours has left; before anything is sealed.
    ///
    /// # Errors
    /// Keys that would make things worse if they were used.
    pub async fn resume_rotation(&self) -> Result<(), AccountsError> {
        let ring = self.ring();
        let rotations = self.store().key_rotations();
        let sealing = ring.sealing_key();
        if rotations.is_retired(sealing.get()).await? {
            return Err(AccountsError::SealingKeyRetired { key: sealing });
        }
        if let Some(left) = rotations.unfinished().await? {
            let key = KeyId::from_number(left.to_key);
            if !ring.holds(key) && rotations.has_sealed(left.to_key).await? {
                return Err(AccountsError::RotationKeyLost { key });
            }
            if key != sealing {
                // It was killed before its key was written down, or somebody has put another one first since.
                rotations.forget(left.id).await?;
            }
        }
        let probe = self.store().ring_check().load().await?;
        // The probe is sealed anew last: while it needs to be, so may anything.
        if probe.is_some_and(|probe| ring.needs_rotation(&probe)) {
            let id = RotationId::new(&*self.0.clock, &mut *self.0.randomness.lock());
            self.store().key_rotations().begin(id, sealing.get(), self.now()).await?;
        }
        self.0.rotation.notify_one();
        Ok(())
    }

    /// Changes the ring where it is kept, then here.
    async fn change_ring(&self, change: Box<RingChange>) -> Result<(), AccountsError> {
        let keeper = Arc::clone(&self.0.keeper);
        // It waits for a disk.
        let kept = tokio::task::spawn_blocking(move || keeper.change(&*change)).await;
        let kept = kept.unwrap_or_else(|panicked| Err(KeeperError::Place(panicked.into())));
        match kept {
            Ok(ring) => {
                self.swap_ring(ring);
                Ok(())
            }
            Err(KeeperError::Change(error)) => Err(error.into()),
            Err(error) => Err(AccountsError::Keeper(error)),
        }
    }

    /// Reads the ring again because a key is missing; whether it is there now.
    pub(crate) fn learn(&self, key: KeyId) -> bool {
        match self.0.keeper.load() {
            Ok(Some(ring)) if ring.holds(key) => {
                tracing::info!(master_key.id = %key, "another process has added a master key");
                self.swap_ring(ring);
                true
            }
            Ok(_) => false,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the key ring cannot be read again");
                false
            }
        }
    }
}
