//! One master key, and the id that names it without revealing it.

use aes_gcm::{Aes256Gcm, KeyInit};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use rand::CryptoRng;
use secrecy::{ExposeSecret, SecretBox, SecretString};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Bytes of a master key: AES-256.
pub const KEY_BYTES: usize = 32;

/// Separates the hash that names a key from every other hash of ours.
const ID_DOMAIN: &[u8] = b"roadstead/key-id/1\0";

/// 32 secret bytes; wiped when dropped.
pub struct MasterKey(SecretBox<[u8; KEY_BYTES]>);

/// Why a text is no master key. The text itself is never repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MasterKeyError {
    /// Neither of the two lengths a written key has.
    #[error("a master key is 64 hexadecimal digits or 44 characters of base64; this has {length} characters")]
    Length {
        /// How long the text is.
        length: usize,
    },
    /// 64 characters, not all of them hexadecimal digits.
    #[error("a master key of 64 characters must be hexadecimal digits only")]
    NotHex,
    /// 43 or 44 characters that are not 32 bytes of base64.
    #[error("a master key of 43 or 44 characters must be the base64 of 32 bytes")]
    NotBase64,
    /// A placeholder such as all zeros.
    #[error("a master key must be random; this is one byte repeated")]
    Repeated,
}

/// Names a key in every value it sealed. Derived from the key, so it needs no bookkeeping.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(u32);

impl MasterKey {
    /// A new random key.
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        Self(SecretBox::init_with_mut(|bytes: &mut [u8; KEY_BYTES]| rng.fill_bytes(bytes)))
    }

    /// The key made of these bytes.
    pub fn from_bytes(bytes: &[u8; KEY_BYTES]) -> Self {
        Self(SecretBox::init_with_mut(|own: &mut [u8; KEY_BYTES]| own.copy_from_slice(bytes)))
    }

    /// Reads 64 hexadecimal digits or the base64 of 32 bytes; white space around it is ignored.
    pub fn parse(text: &str) -> Result<Self, MasterKeyError> {
        let text = text.trim();
        // A byte more than the key, so that a decoder which found too much says so instead of cutting.
        let mut bytes = Zeroizing::new([0_u8; KEY_BYTES + 1]);
        let own = &mut bytes[..];
        match text.len() {
            64 => hex::decode_to_slice(text, &mut own[..KEY_BYTES]).map_err(|_| MasterKeyError::NotHex)?,
            43 | 44 => {
                let decoder = if text.ends_with('=') { &STANDARD } else { &STANDARD_NO_PAD };
                let read = decoder.decode_slice(text, own).map_err(|_| MasterKeyError::NotBase64)?;
                if read != KEY_BYTES {
                    return Err(MasterKeyError::NotBase64);
                }
            }
            length => return Err(MasterKeyError::Length { length }),
        }
        if bytes[..KEY_BYTES].iter().all(|byte| *byte == bytes[0]) {
            return Err(MasterKeyError::Repeated);
        }
        let key = bytes.first_chunk().expect("the buffer is longer than a key");
        Ok(Self::from_bytes(key))
    }

    /// The key as 64 hexadecimal digits, for the one file that keeps it.
    pub fn to_hex(&self) -> SecretString {
        let mut digits = Zeroizing::new([0_u8; 2 * KEY_BYTES]);
        hex::encode_to_slice(self.0.expose_secret(), &mut *digits).expect("two digits for each byte");
        SecretString::from(std::str::from_utf8(&*digits).expect("hexadecimal digits are ASCII"))
    }

    /// A secret made from this key (HKDF, RFC 5869): another one for each label and context.
    pub(crate) fn derive(&self, label: &str, context: &[u8]) -> SecretBox<[u8; KEY_BYTES]> {
        let hkdf = hkdf::Hkdf::<Sha256>::new(Some(label.as_bytes()), self.0.expose_secret());
        SecretBox::init_with_mut(|derived: &mut [u8; KEY_BYTES]| {
            hkdf.expand(context, derived).expect("so few bytes are always given");
        })
    }

    /// The id that values sealed by this key carry: the first bytes of a hash, so it reveals nothing useful.
    pub fn id(&self) -> KeyId {
        let hash = Sha256::new().chain_update(ID_DOMAIN).chain_update(self.0.expose_secret()).finalize();
        KeyId(u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]))
    }

    pub(crate) fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(self.0.expose_secret().into())
    }
}

impl Clone for MasterKey {
    fn clone(&self) -> Self {
        Self::from_bytes(self.0.expose_secret())
    }
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MasterKey(id {}, redacted)", self.id())
    }
}

impl KeyId {
    pub(crate) const fn from_be_bytes(bytes: [u8; 4]) -> Self {
        Self(u32::from_be_bytes(bytes))
    }

    pub(crate) const fn to_be_bytes(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }

    /// The bare number, for a row that says which key sealed it.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The id that a row says.
    pub const fn from_number(number: u32) -> Self {
        Self(number)
    }
}

/// A text that names no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the id of a master key is eight hexadecimal digits")]
pub struct KeyIdError;

impl std::str::FromStr for KeyId {
    type Err = KeyIdError;

    fn from_str(text: &str) -> Result<Self, KeyIdError> {
        let is_id = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = is_id.then(|| u32::from_str_radix(text, 16).ok()).flatten();
        number.map(Self).ok_or(KeyIdError)
    }
}

impl std::fmt::Display for KeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl std::fmt::Debug for KeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyId({self})")
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    const HEX: &str = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
    const BASE64: &str = "/v/pkoZlcxxtao+UZzCDCP7/6ZKGZXMcbWqPlGcwgwg=";

    #[test]
    fn hex_and_base64_of_the_same_bytes_are_the_same_key() {
        let from_hex = MasterKey::parse(HEX).unwrap();
        let upper = MasterKey::parse(&format!("  {}\n", HEX.to_uppercase())).unwrap();
        let from_base64 = MasterKey::parse(BASE64).unwrap();
        let unpadded = MasterKey::parse(BASE64.trim_end_matches('=')).unwrap();
        for key in [&upper, &from_base64, &unpadded] {
            assert_eq!(key.to_hex().expose_secret(), from_hex.to_hex().expose_secret());
        }
    }

    #[test]
    fn a_generated_key_survives_being_written_and_read() {
        let key = MasterKey::generate(&mut StdRng::from_seed([1; 32]));
        let read = MasterKey::parse(key.to_hex().expose_secret()).unwrap();
        assert_eq!(read.to_hex().expose_secret(), key.to_hex().expose_secret());
        assert_eq!(read.id(), key.id());
    }

    #[test]
    fn a_key_id_is_the_same_on_every_machine_and_differs_between_keys() {
        let key = MasterKey::parse(HEX).unwrap();
        assert_eq!(key.id().to_string(), "e3c0c051");
        assert_ne!(key.id(), MasterKey::generate(&mut StdRng::from_seed([1; 32])).id());
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_repeated() {
        let not_hex = format!("{}zz", &HEX[..62]);
        let too_many_bits = "/v/pkoZlcxxtao+UZzCDCP7/6ZKGZXMcbWqPlGcwgwgA";
        for (text, expected) in [
            ("", MasterKeyError::Length { length: 0 }),
            ("correct horse", MasterKeyError::Length { length: 13 }),
            (&HEX[1..], MasterKeyError::Length { length: 63 }),
            (not_hex.as_str(), MasterKeyError::NotHex),
            ("!v/pkoZlcxxtao+UZzCDCP7/6ZKGZXMcbWqPlGcwgwg=", MasterKeyError::NotBase64),
            (too_many_bits, MasterKeyError::NotBase64),
            ("0".repeat(64).as_str(), MasterKeyError::Repeated),
            ("61".repeat(32).as_str(), MasterKeyError::Repeated),
        ] {
            let error = MasterKey::parse(text).unwrap_err();
            assert_eq!(error, expected, "{text}");
            assert!(text.is_empty() || !error.to_string().contains(text), "{error}");
        }
    }

    #[test]
    fn characters_of_several_bytes_are_refused_and_do_not_panic() {
        assert_eq!(MasterKey::parse(&"é".repeat(32)).unwrap_err(), MasterKeyError::NotHex);
        assert_eq!(MasterKey::parse(&"é".repeat(22)).unwrap_err(), MasterKeyError::NotBase64);
    }

    #[test]
    fn debug_shows_the_id_and_no_byte_of_the_key() {
        let shown = format!("{:?}", MasterKey::parse(HEX).unwrap());
        assert_eq!(shown, "MasterKey(id e3c0c051, redacted)");
    }
}
