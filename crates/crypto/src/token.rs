//! Tokens that open something: the text shown once, and the hash that is kept.
//!
//! ```text
//! rsi_  (an instance's access token)   ┐
//! rs_   (an API key)                   │
//! ri_   (an invitation)                ├ prefix ‖ base 62 of 32 random bytes (43) ‖ base 62 of their CRC-32 (6)
//! re_   (the link to an export)        ┘
//! ```
//!
//! The checksum lets a mistyped token, or a string that only looks like one, be refused without a look-up; it
//! protects nothing. The hash needs no salt and no slowness: nobody can guess 256 random bits.

use rand::CryptoRng;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::base62;

/// Bytes of a stored hash: SHA-256.
pub const HASH_BYTES: usize = 32;

const BODY_CHARS: usize = base62::WIDTH_OF_32_BYTES;
const CHECKSUM_CHARS: usize = base62::WIDTH_OF_U32;
/// Characters shown of a token so that its owner can tell it from others.
const HINT_CHARS: usize = 4;

/// What a token opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// Exactly one instance.
    Access,
    /// The REST API.
    ApiKey,
    /// Membership of an organisation, once.
    Invite,
    /// One export, for a short time.
    Export,
}

/// A token in clear: shown once, never stored. Wiped when dropped.
pub struct PlainToken {
    kind: TokenKind,
    text: SecretString,
}

/// Why a text is no token of the kind asked for. The text itself is never repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It does not begin as such a token does.
    #[error("{} starts with {}", .expected.noun(), .expected.prefix())]
    Prefix {
        /// The kind asked for.
        expected: TokenKind,
    },
    /// Cut off, or with something added.
    #[error("{} has {} characters; this has {length}", .expected.noun(), .expected.length())]
    Length {
        /// The kind asked for.
        expected: TokenKind,
        /// How long the text is.
        length: usize,
    },
    /// A character that no token has.
    #[error("{} has only letters and digits after its prefix", .expected.noun())]
    Character {
        /// The kind asked for.
        expected: TokenKind,
    },
    /// Mistyped, or made up.
    #[error("the checksum at the end does not fit: {} was mistyped", .expected.noun())]
    Checksum {
        /// The kind asked for.
        expected: TokenKind,
    },
}

/// What is kept of a token: its SHA-256. Compared in constant time.
#[derive(Clone, Copy, Eq)]
pub struct TokenHash([u8; HASH_BYTES]);

/// Stored bytes that are no hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token's hash has {HASH_BYTES} bytes; this has {length}")]
pub struct TokenHashError {
    length: usize,
}

impl TokenKind {
    /// How such a token begins.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Access => "rsi_",
            Self::ApiKey => "rs_",
            Self::Invite => "ri_",
            Self::Export => "re_",
        }
    }

    /// How many characters it has.
    pub const fn length(self) -> usize {
        self.prefix().len() + BODY_CHARS + CHECKSUM_CHARS
    }

    const fn noun(self) -> &'static str {
        match self {
            Self::Access => "an access token",
            Self::ApiKey => "an API key",
            Self::Invite => "an invitation",
            Self::Export => "a link's token",
        }
    }
}

impl PlainToken {
    /// A new random token.
    pub fn generate(kind: TokenKind, rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut random = Zeroizing::new([0_u8; 32]);
        rng.fill_bytes(&mut *random);
        let mut text = Zeroizing::new(String::with_capacity(kind.length()));
        text.push_str(kind.prefix());
        base62::push_32_bytes(&mut text, &random);
        let sum = checksum(&text);
        text.push_str(&sum);
        Self { kind, text: SecretString::from(text.as_str()) }
    }

    /// Accepts a token of this kind: its prefix, length, characters and checksum.
    pub fn parse(kind: TokenKind, text: &str) -> Result<Self, TokenError> {
        let rest = text.strip_prefix(kind.prefix()).ok_or(TokenError::Prefix { expected: kind })?;
        if text.len() != kind.length() {
            return Err(TokenError::Length { expected: kind, length: text.chars().count() });
        }
        if !rest.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(TokenError::Character { expected: kind });
        }
        let (covered, sum) = text.split_at(text.len() - CHECKSUM_CHARS);
        if sum != checksum(covered) {
            return Err(TokenError::Checksum { expected: kind });
        }
        Ok(Self { kind, text: SecretString::from(text) })
    }

    /// What it opens.
    pub const fn kind(&self) -> TokenKind {
        self.kind
    }

    /// What is kept of it.
    pub fn hash(&self) -> TokenHash {
        TokenHash::of_presented(self.expose_secret())
    }

    /// Its last four characters, by which its owner recognises it.
    pub fn hint(&self) -> String {
        let text = self.expose_secret();
        text[text.len() - HINT_CHARS..].to_owned()
    }
}

impl ExposeSecret<str> for PlainToken {
    fn expose_secret(&self) -> &str {
        self.text.expose_secret()
    }
}

impl Clone for PlainToken {
    fn clone(&self) -> Self {
        Self { kind: self.kind, text: self.text.clone() }
    }
}

impl std::fmt::Debug for PlainToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PlainToken({}redacted)", self.kind.prefix())
    }
}

fn checksum(covered: &str) -> String {
    let mut sum = String::with_capacity(CHECKSUM_CHARS);
    base62::push_u32(&mut sum, crc32fast::hash(covered.as_bytes()));
    sum
}

impl TokenHash {
    /// The hash of what a caller presented, token or not.
    pub fn of_presented(text: impl AsRef<[u8]>) -> Self {
        Self(Sha256::digest(text.as_ref()).into())
    }

    /// The hash that a row or a message holds.
    pub const fn from_bytes(bytes: [u8; HASH_BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes to keep.
    pub const fn as_bytes(&self) -> &[u8; HASH_BYTES] {
        &self.0
    }

    /// Whether what a caller presented is the token of this hash; how long that takes tells nothing of the hash.
    pub fn opens_with(&self, presented: impl AsRef<[u8]>) -> bool {
        *self == Self::of_presented(presented)
    }
}

impl TryFrom<&[u8]> for TokenHash {
    type Error = TokenHashError;

    fn try_from(bytes: &[u8]) -> Result<Self, TokenHashError> {
        bytes.try_into().map(Self).map_err(|_| TokenHashError { length: bytes.len() })
    }
}

impl PartialEq for TokenHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl std::fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenHash(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn token(kind: TokenKind) -> PlainToken {
        PlainToken::generate(kind, &mut StdRng::from_seed([3; 32]))
    }

    #[test]
    fn a_token_is_prefix_43_characters_and_checksum() {
        for (kind, length) in [(TokenKind::Access, 53), (TokenKind::ApiKey, 52)] {
            let token = token(kind);
            assert!(token.expose_secret().starts_with(kind.prefix()));
            assert_eq!(token.expose_secret().len(), length);
            assert_eq!(PlainToken::parse(kind, token.expose_secret()).unwrap().kind(), kind);
        }
    }

    #[test]
    fn a_token_of_known_bytes_is_always_the_same_text() {
        let body = "0".repeat(43);
        let sum = checksum(&format!("rs_{body}"));
        // CRC-32 of that text is 0xb7aa6790, as another implementation says.
        assert_eq!(sum, "3MXEQK");
        assert!(PlainToken::parse(TokenKind::ApiKey, &format!("rs_{body}{sum}")).is_ok());
    }

    #[test]
    fn changing_any_one_character_of_a_token_is_noticed() {
        let good = token(TokenKind::Access);
        let good = good.expose_secret();
        for position in 0..good.len() {
            for replacement in ['0', 'A', 'z', '-'] {
                if good[position..].starts_with(replacement) {
                    continue;
                }
                let mut changed = good.to_owned();
                changed.replace_range(position..=position, &replacement.to_string());
                assert!(PlainToken::parse(TokenKind::Access, &changed).is_err(), "{position} {replacement}");
            }
        }
    }

    #[test]
    fn each_mistake_has_its_own_error_and_none_repeats_the_text() {
        let kind = TokenKind::Access;
        let good = token(kind);
        let good = good.expose_secret();
        let swapped = format!("{}000000", &good[..47]);
        let dashed = good.replacen(&good[10..11], "-", 1);
        let cases = [
            (token(TokenKind::ApiKey).expose_secret().to_owned(), TokenError::Prefix { expected: kind }),
            (String::new(), TokenError::Prefix { expected: kind }),
            (good[..52].to_owned(), TokenError::Length { expected: kind, length: 52 }),
            (format!("{good} "), TokenError::Length { expected: kind, length: 54 }),
            (dashed, TokenError::Character { expected: kind }),
            (format!("rsi_{}x", "é".repeat(24)), TokenError::Character { expected: kind }),
            (swapped, TokenError::Checksum { expected: kind }),
        ];
        for (text, expected) in cases {
            let error = PlainToken::parse(kind, &text).unwrap_err();
            assert_eq!(error, expected, "{text}");
            assert!(text.is_empty() || !error.to_string().contains(&text), "{error}");
        }
    }

    #[test]
    fn a_stored_hash_opens_with_its_token_and_nothing_else() {
        let token = token(TokenKind::Access);
        let stored = TokenHash::try_from(token.hash().as_bytes().as_slice()).unwrap();
        assert_eq!(stored, token.hash());
        assert!(stored.opens_with(token.expose_secret()));
        assert!(!stored.opens_with(&token.expose_secret()[..52]));
        assert!(!stored.opens_with(""));
        assert!(!stored.opens_with(stored.as_bytes()), "the hash itself opens nothing");
    }

    #[test]
    fn a_hash_differing_in_any_one_bit_is_another_hash() {
        let hash = token(TokenKind::Access).hash();
        for bit in 0..256 {
            let mut other = *hash.as_bytes();
            other[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(TokenHash::from_bytes(other), hash, "{bit}");
        }
    }

    #[test]
    fn the_hash_is_sha_256() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hex::encode(TokenHash::of_presented("abc").as_bytes()), abc);
    }

    #[test]
    fn stored_bytes_of_another_length_are_no_hash() {
        let error = TokenHash::try_from([0_u8; 31].as_slice()).unwrap_err();
        assert_eq!(error.to_string(), "a token's hash has 32 bytes; this has 31");
    }

    #[test]
    fn debug_shows_neither_token_nor_hash_and_the_hint_is_four_characters() {
        let token = token(TokenKind::ApiKey);
        assert_eq!(format!("{token:?} {:?}", token.hash()), "PlainToken(rs_redacted) TokenHash(redacted)");
        assert_eq!(token.hint().len(), 4);
        assert!(token.expose_secret().ends_with(&token.hint()));
    }

    proptest! {
        #[test]
        fn every_random_token_is_accepted_back(seed in any::<[u8; 32]>(), api in any::<bool>()) {
            let kind = if api { TokenKind::ApiKey } else { TokenKind::Access };
            let token = PlainToken::generate(kind, &mut StdRng::from_seed(seed));
            let read = PlainToken::parse(kind, token.expose_secret()).unwrap();
            prop_assert_eq!(read.hash(), token.hash());
        }

        #[test]
        fn arbitrary_text_is_never_a_token_and_never_panics(text in "(rsi_|rs_)?.{0,60}") {
            prop_assert!(PlainToken::parse(TokenKind::Access, &text).is_err());
            prop_assert!(PlainToken::parse(TokenKind::ApiKey, &text).is_err());
        }
    }
}
