//! Both ends prove that they know the instance's control secret before either parses a message.
//!
//! ```text
//! supervisor ── nonce A (32 bytes) ──► shim
//!            ◄── proof(Shim, A, B) ‖ nonce B ──
//!            ── proof(Supervisor, A, B) ──►
//! ```
//! The secret itself never crosses: who impersonates one end learns nothing that opens the other.

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use crate::ControlSecret;

/// Bytes of a nonce and of a proof.
pub const NONCE_BYTES: usize = 32;
/// How long a peer may take for its part.
pub const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// Whose proof it is: one end's proof is worthless as the other's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The side that connects.
    Supervisor,
    /// The side that listens.
    Shim,
}

/// What `end` sends to show that it knows the secret.
pub fn proof(
    secret: &ControlSecret,
    end: End,
    theirs: &[u8; NONCE_BYTES],
    shims: &[u8; NONCE_BYTES],
) -> [u8; NONCE_BYTES] {
    let role: &[u8; 1] = match end {
        End::Supervisor => b"v",
        End::Shim => b"s",
    };
    // Every part has a fixed length, and the secret comes at both ends: no extension, no ambiguity.
    Sha256::new()
        .chain_update(secret.bytes())
        .chain_update(role)
        .chain_update(theirs)
        .chain_update(shims)
        .chain_update(secret.bytes())
        .finalize()
        .into()
}

/// Whether a proof is the one expected, in constant time.
pub fn holds(given: &[u8; NONCE_BYTES], expected: &[u8; NONCE_BYTES]) -> bool {
    given.ct_eq(expected).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_holds_for_one_secret_end_and_pair_of_nonces() {
        let secret = ControlSecret::new([1; 32]);
        let other = ControlSecret::new([2; 32]);
        let (a, b) = ([3; 32], [4; 32]);
        let right = proof(&secret, End::Shim, &a, &b);
        assert!(holds(&proof(&secret, End::Shim, &a, &b), &right));
        assert!(!holds(&proof(&secret, End::Supervisor, &a, &b), &right));
        assert!(!holds(&proof(&other, End::Shim, &a, &b), &right));
        assert!(!holds(&proof(&secret, End::Shim, &b, &a), &right));
    }
}
