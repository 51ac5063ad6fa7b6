//! The format of a sealed value, and what binds it to its place.
//!
//! ```text
//! version (1) ‖ key id (4) ‖ nonce (12) ‖ ciphertext (as long as the secret) ‖ tag (16)
//! ```
//!
//! The associated data is the version, the key id and every part of the binding, each part preceded by its
//! length: two different bindings never encode to the same bytes.

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use zeroize::Zeroizing;

use crate::key::KeyId;

/// The one format written; a reader refuses every other.
pub const VERSION: u8 = 1;
/// Bytes of the nonce.
pub const NONCE_BYTES: usize = 12;
/// Bytes of the authentication tag.
pub const TAG_BYTES: usize = 16;
/// How much longer a sealed value is than its secret.
pub const OVERHEAD_BYTES: usize = HEADER_BYTES + TAG_BYTES;

const KEY_ID_BYTES: usize = 4;
const HEADER_BYTES: usize = 1 + KEY_ID_BYTES + NONCE_BYTES;

/// Separates this use of the keys from any later one.
const DOMAIN: &[u8] = b"roadstead/sealed";

/// Where a sealed value belongs. It opens nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding<'a> {
    /// The id of whom it belongs to.
    pub owner: &'a [u8],
    /// The id of the server type that it is for.
    pub type_id: &'a [u8],
    /// Which of the type's slots it fills, or what else it is.
    pub slot: &'a str,
    /// The id of the row that keeps it.
    pub row: &'a [u8],
}

/// Why a sealed value does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Shorter than an empty secret's.
    #[error("a sealed value has at least {OVERHEAD_BYTES} bytes; this has {length}")]
    TooShort {
        /// How many there are.
        length: usize,
    },
    /// Written by another format than the one known.
    #[error("the sealed value has format version {version}; this program reads version {VERSION}")]
    UnknownVersion {
        /// The version it states.
        version: u8,
    },
    /// Sealed by a key that the ring lacks.
    #[error("the sealed value needs master key {key}, which is not in the key ring")]
    UnknownKey {
        /// The key that sealed it.
        key: KeyId,
    },
    /// Changed, or moved away from where it was sealed for; the two cannot be told apart.
    #[error("the sealed value was changed, or belongs to another row")]
    Tampered,
    /// Opened, but no text.
    #[error("the sealed value holds no text")]
    NotText,
}

impl Binding<'_> {
    fn associated_data(&self, key: KeyId) -> Vec<u8> {
        let parts = [self.owner, self.type_id, self.slot.as_bytes(), self.row];
        let length: usize = parts.iter().map(|part| size_of::<u64>() + part.len()).sum();
        let mut data = Vec::with_capacity(DOMAIN.len() + 1 + KEY_ID_BYTES + length);
        data.extend_from_slice(DOMAIN);
        data.push(VERSION);
        data.extend_from_slice(&key.to_be_bytes());
        for part in parts {
            data.extend_from_slice(&(part.len() as u64).to_be_bytes());
            data.extend_from_slice(part);
        }
        data
    }
}

/// A sealed value, cut into its parts; nothing is checked but version and length.
pub(crate) struct Parts<'a> {
    pub(crate) key: KeyId,
    nonce: [u8; NONCE_BYTES],
    ciphertext: &'a [u8],
    tag: [u8; TAG_BYTES],
}

impl<'a> Parts<'a> {
    pub(crate) fn read(sealed: &'a [u8]) -> Result<Self, OpenError> {
        let too_short = OpenError::TooShort { length: sealed.len() };
        let (&version, rest) = sealed.split_first().ok_or(too_short)?;
        let (key, rest) = rest.split_first_chunk().ok_or(too_short)?;
        let (nonce, rest) = rest.split_first_chunk().ok_or(too_short)?;
        let (ciphertext, tag) = rest.split_last_chunk().ok_or(too_short)?;
        if version != VERSION {
            return Err(OpenError::UnknownVersion { version });
        }
        Ok(Self { key: KeyId::from_be_bytes(*key), nonce: *nonce, ciphertext, tag: *tag })
    }
}

pub(crate) fn seal(
    cipher: &Aes256Gcm,
    key: KeyId,
    nonce: [u8; NONCE_BYTES],
    binding: &Binding<'_>,
    secret: &[u8],
) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(OVERHEAD_BYTES + secret.len());
    sealed.push(VERSION);
    sealed.extend_from_slice(&key.to_be_bytes());
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(secret);
    let tag = encrypt(cipher, nonce, &binding.associated_data(key), &mut sealed[HEADER_BYTES..]);
    sealed.extend_from_slice(&tag);
    sealed
}

pub(crate) fn open(
    cipher: &Aes256Gcm,
    parts: &Parts<'_>,
    binding: &Binding<'_>,
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let mut plain = Zeroizing::new(parts.ciphertext.to_vec());
    decrypt(cipher, parts.nonce, &binding.associated_data(parts.key), &mut plain, parts.tag)?;
    Ok(plain)
}

fn encrypt(
    cipher: &Aes256Gcm,
    nonce: [u8; NONCE_BYTES],
    associated_data: &[u8],
    buffer: &mut [u8],
) -> [u8; TAG_BYTES] {
    cipher
        .encrypt_inout_detached(&Nonce::from(nonce), associated_data, buffer.into())
        .expect("only a secret of more than 64 GiB is refused")
        .into()
}

fn decrypt(
    cipher: &Aes256Gcm,
    nonce: [u8; NONCE_BYTES],
    associated_data: &[u8],
    buffer: &mut [u8],
    tag: [u8; TAG_BYTES],
) -> Result<(), OpenError> {
    cipher
        .decrypt_inout_detached(&Nonce::from(nonce), associated_data, buffer.into(), &Tag::from(tag))
        .map_err(|_| OpenError::Tampered)
}

#[cfg(test)]
mod tests;
