//! Values that must not be seen: redacted in `Debug`, wiped when dropped, serialised only onto a pipe of ours.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A secret text, such as a credential's value.
#[derive(Clone, Default, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes a text into custody.
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself: for the server's environment and for masking, nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The 256 bits that both ends of a control socket prove to know.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct ControlSecret([u8; 32]);

impl ControlSecret {
    /// Takes 32 random bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for ControlSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ControlSecret(…)")
    }
}

impl Serialize for ControlSecret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for ControlSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        hex_bytes(deserializer).map(Self)
    }
}

/// The SHA-256 of an instance's access token. No secret: 256 random bits cannot be guessed from it.
#[derive(Clone, Copy, Debug)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// A hash that was stored or sent.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The hash of a token as a caller sends it.
    pub fn of(token: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(token).into())
    }

    /// The bytes of the hash.
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether a token has this hash, in a time that does not depend on where they differ.
    pub fn admits(&self, token: &[u8]) -> bool {
        Self::of(token).0.ct_eq(&self.0).into()
    }
}

impl Serialize for TokenHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for TokenHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        hex_bytes(deserializer).map(Self)
    }
}

fn hex_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
    let mut text = String::deserialize(deserializer)?;
    let mut bytes = [0; 32];
    let decoded = hex::decode_to_slice(&text, &mut bytes);
    text.zeroize();
    decoded.map_err(|_| serde::de::Error::custom("expected 64 hexadecimal digits"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let secrets = (Secret::new("canary".into()), ControlSecret::new([0xCA; 32]));
        let shown = format!("{secrets:?}");
        assert!(!shown.contains("canary") && !shown.contains("ca") && !shown.contains("202"), "{shown}");
    }

    #[test]
    fn a_hash_admits_its_token_alone() {
        let hash = TokenHash::of(b"rsi_right");
        assert!(hash.admits(b"rsi_right"));
        assert!(!hash.admits(b"rsi_wrong"));
        assert!(!hash.admits(b""));
    }

    #[test]
    fn hashes_and_secrets_survive_the_wire() {
        let hash = TokenHash::of(b"x");
        let back: TokenHash = serde_json::from_str(&serde_json::to_string(&hash).unwrap()).unwrap();
        assert_eq!(back.bytes(), hash.bytes());
        let control = ControlSecret::new([7; 32]);
        let back: ControlSecret = serde_json::from_str(&serde_json::to_string(&control).unwrap()).unwrap();
        assert_eq!(back.bytes(), control.bytes());
        assert!(serde_json::from_str::<TokenHash>("\"abc\"").is_err());
    }
}
