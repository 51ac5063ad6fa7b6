//! The steps of an instance's life that its shim takes by itself: each is on disk before it is told, and told until it is
//! confirmed, so that none is lost while nobody listens.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::ServerEnd;

/// A step of an instance's life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifecycleEntry {
    /// Its number: one more than the step before it, from 1. Steps and log lines are numbered apart.
    pub seq: u64,
    /// When it was taken.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// What was done.
    pub step: LifecycleStep,
}

/// What a shim did by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum LifecycleStep {
    /// The server had ended unasked, was started again and is ready.
    Restarted {
        /// Which restart it is since the server was last well for a whole window, from 1.
        attempt: u32,
        /// How the server had ended; none if nobody saw it.
        ended: Option<ServerEnd>,
        /// Its process now.
        process_id: i32,
        /// The milliseconds from its end until it was ready again.
        away_ms: u64,
    },
}
