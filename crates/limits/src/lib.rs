//! How often somebody may ask: rates in this process's memory. Knows neither HTTP nor rows.
//!
//! ```text
//! who asks ─► rate of theirs (a minute) ─► generic cell rate algorithm ─► Standing | Refused { wait }
//! ```
//! A rate of 60 lets sixty through at once and then one a second: what was not used is there again after a minute at the
//! latest, and no edge of a minute lets through twice as many. Each process counts for itself.

mod held;
mod limits;
mod network;
mod rate;

pub use limits::Limits;
pub use network::Network;
pub use rate::{Refused, Standing, Subject, Verdict};
