//! The key ring: the first key seals, any key opens.

use aes_gcm::Aes256Gcm;
use rand::CryptoRng;
use secrecy::{ExposeSecret, SecretBox, SecretSlice, SecretString};
use zeroize::Zeroizing;

use crate::key::{KEY_BYTES, KeyId, MasterKey, MasterKeyError};
use crate::sealed::{self, Binding, OpenError, Parts};

/// Keys of one ring at most: each stays only until a rotation has re-encrypted everything.
pub const MAX_KEYS: usize = 16;

/// What the self-test value holds: not a secret, only something to find again.
const SELF_TEST: &[u8] = b"roadstead self-test";

/// No row has an empty owner, so nothing else opens under this binding.
const SELF_TEST_BINDING: Binding<'static> = Binding { owner: b"", type_id: b"", slot: "self-test", row: b"" };

/// One or more master keys, newest first.
#[derive(Clone)]
pub struct KeyRing {
    keys: Vec<RingKey>,
}

/// Why a text is no key ring. `line` counts from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyRingError {
    /// No key at all.
    #[error("the key ring holds no key")]
    Empty,
    /// More keys than a rotation ever needs.
    #[error("the key ring holds more than {MAX_KEYS} keys")]
    TooMany,
    /// One entry is no key.
    #[error("could not read the master key on line {line} of the key ring")]
    Key {
        /// Where it stands.
        line: usize,
        /// What is wrong with it.
        #[source]
        source: MasterKeyError,
    },
    /// The same key, or another with the same id, stands further up.
    #[error("the master key on line {line} of the key ring has the same id as one before it")]
    Duplicate {
        /// Where the second one stands.
        line: usize,
    },
}

/// Why a ring was not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RingChangeError {
    /// It is full.
    #[error("the key ring holds {MAX_KEYS} keys, as many as it may; retire one that nothing needs")]
    Full,
    /// A key with this id is in it.
    #[error("a master key with the id {key} is in the key ring already")]
    Duplicate {
        /// The id.
        key: KeyId,
    },
    /// No key with this id is in it.
    #[error("there is no master key with the id {key} in the key ring")]
    Unknown {
        /// The id.
        key: KeyId,
    },
    /// New values are sealed by it.
    #[error("master key {key} seals new values; rotate to another one first")]
    Seals {
        /// The id.
        key: KeyId,
    },
}

#[derive(Clone)]
struct RingKey {
    id: KeyId,
    master: MasterKey,
    cipher: Aes256Gcm,
}

impl KeyRing {
    /// A ring of one new random key.
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        Self { keys: vec![RingKey::new(MasterKey::generate(rng))] }
    }

    /// Reads one key per line or between commas, newest first; empty lines and `#` comments are skipped.
    pub fn parse(text: &str) -> Result<Self, KeyRingError> {
        let mut ring = Self { keys: Vec::new() };
        for (index, whole) in text.lines().enumerate() {
            let line = index + 1;
            let entries = whole.split_once('#').map_or(whole, |(before, _)| before);
            for entry in entries.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
                let key = MasterKey::parse(entry).map_err(|source| KeyRingError::Key { line, source })?;
                ring.append(RingKey::new(key), line)?;
            }
        }
        if ring.keys.is_empty() { Err(KeyRingError::Empty) } else { Ok(ring) }
    }

    fn append(&mut self, key: RingKey, line: usize) -> Result<(), KeyRingError> {
        if self.find(key.id).is_some() {
            return Err(KeyRingError::Duplicate { line });
        }
        if self.keys.len() == MAX_KEYS {
            return Err(KeyRingError::TooMany);
        }
        self.keys.push(key);
        Ok(())
    }

    /// This ring with one more key, which seals from now on; the others still open.
    pub fn with_new_first(&self, key: MasterKey) -> Result<Self, RingChangeError> {
        let key = RingKey::new(key);
        if self.find(key.id).is_some() {
            return Err(RingChangeError::Duplicate { key: key.id });
        }
        if self.keys.len() == MAX_KEYS {
            return Err(RingChangeError::Full);
        }
        Ok(Self { keys: std::iter::once(key).chain(self.keys.iter().cloned()).collect() })
    }

    /// This ring without a key that seals nothing any more. What only that key opens does not open again.
    pub fn without(&self, key: KeyId) -> Result<Self, RingChangeError> {
        if self.find(key).is_none() {
            return Err(RingChangeError::Unknown { key });
        }
        if self.sealing_key() == key {
            return Err(RingChangeError::Seals { key });
        }
        Ok(Self { keys: self.keys.iter().filter(|own| own.id != key).cloned().collect() })
    }

    /// Whether a key is in the ring.
    pub fn holds(&self, key: KeyId) -> bool {
        self.find(key).is_some()
    }

    /// The ring as `parse` reads it, one key per line, for the one file that keeps it.
    pub fn to_text(&self) -> SecretString {
        // Exactly as long as it gets, so that no shorter copy is left behind when it grows.
        let mut text = Zeroizing::new(String::with_capacity(self.keys.len() * 65));
        for key in &self.keys {
            text.push_str(key.master.to_hex().expose_secret());
            text.push('\n');
        }
        SecretString::from(text.as_str())
    }

    /// The key that seals.
    pub fn sealing_key(&self) -> KeyId {
        self.first().id
    }

    /// Every key's id, newest first.
    pub fn key_ids(&self) -> impl Iterator<Item = KeyId> + '_ {
        self.keys.iter().map(|key| key.id)
    }

    /// Secrets that are made from the keys instead of being kept, newest key first: the same label and context always
    /// make the same ones, and neither tells anything of the keys or of another context's.
    pub fn derive(&self, label: &str, context: &[u8]) -> impl Iterator<Item = SecretBox<[u8; KEY_BYTES]>> {
        self.keys.iter().map(move |key| key.master.derive(label, context))
    }

    /// Seals a secret so that it opens only under the same binding.
    ///
    /// The nonce is random: one key may seal 2³² values before it should be rotated.
    pub fn seal(
        &self,
        rng: &mut (impl CryptoRng + ?Sized),
        binding: &Binding<'_>,
        secret: impl AsRef<[u8]>,
    ) -> Vec<u8> {
        let mut nonce = [0_u8; sealed::NONCE_BYTES];
        rng.fill_bytes(&mut nonce);
        let key = self.first();
        sealed::seal(&key.cipher, key.id, nonce, binding, secret.as_ref())
    }

    /// Opens what any key of the ring sealed under this binding.
    pub fn open(&self, binding: &Binding<'_>, sealed: &[u8]) -> Result<SecretSlice<u8>, OpenError> {
        let parts = Parts::read(sealed)?;
        let key = self.find(parts.key).ok_or(OpenError::UnknownKey { key: parts.key })?;
        let mut plain = sealed::open(&key.cipher, &parts, binding)?;
        // The buffer is exactly full, so this moves it and copies nothing.
        Ok(SecretSlice::from(std::mem::take(&mut *plain)))
    }

    /// Opens a text.
    pub fn open_text(&self, binding: &Binding<'_>, sealed: &[u8]) -> Result<SecretString, OpenError> {
        text_of(&self.open(binding, sealed)?)
    }

    /// Whether a value should be sealed anew: by the first key, in the present format.
    pub fn needs_rotation(&self, sealed: &[u8]) -> bool {
        Parts::read(sealed).map_or(true, |parts| parts.key != self.sealing_key())
    }

    /// A sealed value for the database to keep, by which the next start sees that it has the right keys.
    pub fn self_test_value(&self, rng: &mut (impl CryptoRng + ?Sized)) -> Vec<u8> {
        self.seal(rng, &SELF_TEST_BINDING, SELF_TEST)
    }

    /// Whether this ring can open what `self_test_value` of an earlier start made.
    pub fn check_self_test(&self, sealed: &[u8]) -> Result<(), OpenError> {
        let found = self.open(&SELF_TEST_BINDING, sealed)?;
        if found.expose_secret() == SELF_TEST { Ok(()) } else { Err(OpenError::Tampered) }
    }

    fn first(&self) -> &RingKey {
        self.keys.first().expect("no constructor makes a ring without a key")
    }

    fn find(&self, id: KeyId) -> Option<&RingKey> {
        self.keys.iter().find(|key| key.id == id)
    }
}

/// What was opened, as a text.
pub fn text_of(opened: &SecretSlice<u8>) -> Result<SecretString, OpenError> {
    let text = std::str::from_utf8(opened.expose_secret()).map_err(|_| OpenError::NotText)?;
    Ok(SecretString::from(text))
}

impl RingKey {
    fn new(master: MasterKey) -> Self {
        Self { id: master.id(), cipher: master.cipher(), master }
    }
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyRing")?;
        f.debug_list().entries(self.key_ids()).finish()
    }
}

#[cfg(test)]
mod tests;
