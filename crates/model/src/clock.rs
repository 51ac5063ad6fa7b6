//! Time as a parameter: nothing but `SystemClock` reads a clock.

use std::sync::Mutex;
use std::time::Duration;

use time::OffsetDateTime;

/// The present, in wall-clock time (for rows and people) and monotonic time (for waits).
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The wall-clock time, UTC.
    fn now(&self) -> OffsetDateTime;
    /// Time since an arbitrary fixed moment; never goes back.
    fn monotonic(&self) -> Duration;
}

/// The machine's clock, corrected by a measured offset so that deadlines follow the database's clock.
#[derive(Debug)]
pub struct SystemClock {
    started: std::time::Instant,
    offset: Mutex<time::Duration>,
}

impl SystemClock {
    /// A clock that agrees with the machine until told of an offset.
    pub fn new() -> Self {
        Self { started: std::time::Instant::now(), offset: Mutex::new(time::Duration::ZERO) }
    }

    /// Sets how far the database's clock is ahead of this machine's.
    pub fn set_offset(&self, ahead: time::Duration) {
        *self.offset.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = ahead;
    }

    /// The machine's own time, without the offset: what an offset is measured against.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system clock")]
    pub fn machine_now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> OffsetDateTime {
        self.machine_now() + *self.offset.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}

/// A clock that a test moves by hand.
#[derive(Debug)]
pub struct MockClock {
    base: OffsetDateTime,
    advanced: Mutex<Duration>,
}

impl MockClock {
    /// A clock that stands at `base`.
    pub fn at(base: OffsetDateTime) -> Self {
        Self { base, advanced: Mutex::new(Duration::ZERO) }
    }

    /// Moves both times forward.
    pub fn advance(&self, by: Duration) {
        *self.advanced.lock().unwrap_or_else(std::sync::PoisonError::into_inner) += by;
    }
}

impl Default for MockClock {
    fn default() -> Self {
        Self::at(time::macros::datetime!(2026-01-01 00:00 UTC))
    }
}

impl Clock for MockClock {
    fn now(&self) -> OffsetDateTime {
        self.base + self.monotonic()
    }

    fn monotonic(&self) -> Duration {
        *self.advanced.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
