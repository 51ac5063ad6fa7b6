//! What the tests of bundled MCP servers stand on: a service on a free port that answers as it is told, and the real
//! program behind the library's client. Knows no service.

mod client;
mod service;
mod table;

pub use client::{Launch, Outcome, Program, Stderr};
pub use service::{Answer, Routes, Seen, Service};
pub use table::{Case, hold_all};

use std::time::{Duration, Instant};

/// The longest that anything may take; nothing that goes well comes near it.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until something is so.
///
/// # Panics
/// When it does not become so.
pub async fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
