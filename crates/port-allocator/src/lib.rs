//! Which port next, as a lease. Never knows rows or processes.
//!
//! ```text
//!            lease, adopt                    drop, release, taken_by_other
//!   free ────────────────────► leased ───────────────────────────────────► quarantined
//!    ▲                                                                          │
//!    └──────────────────────────── its time is up ──────────────────────────────┘
//! ```
//!
//! - A port is in at most one lease. A lease gives its port back when it is dropped.
//! - The port that rested longest is leased first, so a URL kept somewhere rarely meets another's server.
//! - A port outside the range is never leased anew: it vanishes when its lease and its quarantine are over.

mod lease;
mod pool;
mod snapshot;

pub use lease::PortLease;
pub use pool::{AdoptError, Exhausted, PortPool, QuarantineError};
pub use snapshot::{PortStatus, PortView, QuarantineReason, Snapshot};
