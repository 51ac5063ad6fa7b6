//! AES-256-GCM key ring, sealed values and token hashes. Never knows where keys or ciphertexts live.
//!
//! ```text
//! MasterKey ──► KeyRing ── seal(binding, secret) ──► version ‖ key id ‖ nonce ‖ ciphertext ‖ tag
//!               │  first key seals                    opened only under the same binding
//!               └─ any key opens
//!
//! PlainToken (shown once) ──► TokenHash (stored, compared in constant time)
//! ```
//!
//! - A sealed value opens under the binding it was sealed with and no other: copied to another row, slot,
//!   type or owner, it is refused exactly as a damaged one is.
//! - Nothing secret is printed by `Debug` or by an error.
//! - Randomness is a parameter.

pub mod key;
pub mod ring;
pub mod sealed;
pub mod token;

mod base62;

pub use key::{KeyId, KeyIdError, MasterKey, MasterKeyError};
pub use ring::{KeyRing, KeyRingError, RingChangeError};
pub use sealed::{Binding, OpenError};
pub use secrecy::{ExposeSecret, SecretBox, SecretSlice, SecretString};
pub use token::{PlainToken, TokenError, TokenHash, TokenHashError, TokenKind};
