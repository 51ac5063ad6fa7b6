//! Randomness as a parameter: one seeded generator that is handed around, never asked from the air.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rand::SeedableRng;
use rand::rngs::StdRng;

/// A cryptographically strong generator, shared. Tests seed it with a constant.
pub struct Randomness(Mutex<StdRng>);

impl Randomness {
    /// A generator from 32 bytes of seed, which must come from the operating system outside tests.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(Mutex::new(StdRng::from_seed(seed)))
    }

    /// The generator, for as long as the guard lives; never hold it across an await.
    pub fn lock(&self) -> MutexGuard<'_, StdRng> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Randomness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Randomness")
    }
}
