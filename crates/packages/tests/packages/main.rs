//! The package store with the real installer and the machine's own package managers.

#![expect(clippy::unwrap_used, reason = "in a test, that is its failure")]

mod clean;
mod hostile;
mod public;
mod room;
