//! Whether a server that ended unasked is started again, and when: a type's policy, and the history that it is held
//! against. Times are durations since any one start, because only their distances count.
//!
//! Every end that nobody asked for counts, exit status 0 too: the instance lives and its callers found nobody there,
//! whatever the program thought of its own end. Ends that were asked for are not told to the history.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::duration;

/// The pause before the first restart; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause: a server that recovers is not kept waiting for minutes.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The most restarts that a type may allow within its window: the history keeps a moment for each.
pub const MOST_RESTARTS: u32 = 100;
/// The longest window.
pub const LONGEST_WINDOW: Duration = Duration::from_hours(24);

/// How a server ended that nobody had asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ServerLoss {
    /// It returned a status.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
    /// The kernel ended it because the instance's memory was used up.
    OutOfMemory,
    /// It is gone, and nobody saw how.
    Lost,
}

impl std::fmt::Display for ServerLoss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit status {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
            Self::OutOfMemory => f.write_str("out of memory"),
            Self::Lost => f.write_str("not seen"),
        }
    }
}

/// Whether a type's servers are started again, as a type says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartMode {
    /// The instance ends with its server.
    Never,
    /// The server is started again, unless it fails too often.
    #[default]
    OnFailure,
}

/// A type's fields about restarts, as they are written; what is missing has its default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RestartFields {
    /// Whether.
    pub restart: RestartMode,
    /// How many restarts within the window are enough.
    pub max_restarts: u32,
    /// The window's seconds.
    pub restart_window_s: u32,
}

impl Default for RestartFields {
    fn default() -> Self {
        Self { restart: RestartMode::default(), max_restarts: 5, restart_window_s: 10 * 60 }
    }
}

/// What a type wants to happen when a server of its instances ends unasked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RestartFields", into = "RestartFields")]
pub enum RestartPolicy {
    /// The instance ends with its server.
    Never,
    /// The server is started again within limits.
    OnFailure(RestartLimits),
}

/// How often a server is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartLimits {
    max_restarts: u32,
    window: Duration,
}

/// Why the fields of a type make no policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RestartPolicyError {
    /// None, or too many.
    #[error("max_restarts must be between 1 and {MOST_RESTARTS}; to allow none, write restart = \"never\"")]
    MaxRestarts,
    /// A server that fails at once could not fail often enough within it: its loop would go on to the deadline.
    #[error("restart_window_s must be between {shortest} and {}", LONGEST_WINDOW.as_secs())]
    Window {
        /// The seconds of the pauses between so many restarts, and one more.
        shortest: u64,
    },
}

impl RestartFields {
    /// The field that an error is about.
    pub const fn field_of(error: RestartPolicyError) -> &'static str {
        match error {
            RestartPolicyError::MaxRestarts => "max_restarts",
            RestartPolicyError::Window { .. } => "restart_window_s",
        }
    }
}

impl RestartLimits {
    /// Accepts limits that end every server that fails at once. The window counts in whole seconds, as types write it.
    pub fn new(max_restarts: u32, window: Duration) -> Result<Self, RestartPolicyError> {
        if !(1..=MOST_RESTARTS).contains(&max_restarts) {
            return Err(RestartPolicyError::MaxRestarts);
        }
        let window = Duration::from_secs(window.as_secs());
        let pauses: Duration = (1..=max_restarts).map(pause_before).sum();
        if window <= pauses || window > LONGEST_WINDOW {
            return Err(RestartPolicyError::Window { shortest: pauses.as_secs() + 1 });
        }
        Ok(Self { max_restarts, window })
    }

    /// How many restarts within the window are enough.
    pub const fn max_restarts(self) -> u32 {
        self.max_restarts
    }

    /// The window: also how long a server must stay healthy for its past to be forgotten.
    pub const fn window(self) -> Duration {
        self.window
    }
}

impl TryFrom<RestartFields> for RestartPolicy {
    type Error = RestartPolicyError;

    /// Limits are held against their bounds even where they are not used: switching restarts on must not fail later.
    fn try_from(fields: RestartFields) -> Result<Self, RestartPolicyError> {
        let window = Duration::from_secs(fields.restart_window_s.into());
        let limits = RestartLimits::new(fields.max_restarts, window)?;
        Ok(match fields.restart {
            RestartMode::Never => Self::Never,
            RestartMode::OnFailure => Self::OnFailure(limits),
        })
    }
}

impl From<RestartPolicy> for RestartFields {
    fn from(policy: RestartPolicy) -> Self {
        match policy {
            RestartPolicy::Never => Self { restart: RestartMode::Never, ..Self::default() },
            RestartPolicy::OnFailure(limits) => Self {
                restart: RestartMode::OnFailure,
                max_restarts: limits.max_restarts,
                // No window is longer than a day.
                restart_window_s: u32::try_from(limits.window.as_secs()).unwrap_or(u32::MAX),
            },
        }
    }
}

/// What to do about a server that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartDecision {
    /// Start it again.
    Restart {
        /// After so long.
        after: Duration,
        /// Which restart this is, from 1, since the server was last healthy for a whole window.
        attempt: u32,
    },
    /// Leave it: the instance ends.
    GiveUp(GiveUp),
}

/// Why a server is not started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GiveUp {
    /// Its type wants no restarts.
    #[error("the server ended and its type does not start it again; its end was {last}")]
    NotWanted {
        /// How it ended.
        last: ServerLoss,
    },
    /// A crash loop.
    #[error("the server ended {ends} times within {}; its last end was {last}", duration::short(*.window))]
    TooOften {
        /// How often, the last one included.
        ends: usize,
        /// Within which time.
        window: Duration,
        /// How it ended last.
        last: ServerLoss,
    },
}

/// The past of one instance's server. A restart that a person asks for begins a new one.
#[derive(Debug, Clone)]
pub struct RestartHistory {
    policy: RestartPolicy,
    /// The ends within the window, oldest first: never more than the restarts that are allowed, and one.
    ends: VecDeque<Duration>,
    attempt: u32,
    healthy_since: Option<Duration>,
    latest: Duration,
}

impl RestartHistory {
    /// Of a server that has not ended yet.
    pub const fn new(policy: RestartPolicy) -> Self {
        Self { policy, ends: VecDeque::new(), attempt: 0, healthy_since: None, latest: Duration::ZERO }
    }

    /// The server is ready, at first or again.
    pub fn ready(&mut self, at: Duration) {
        self.healthy_since = Some(self.advance(at));
    }

    /// The server ended, or did not become ready again, and nobody had asked it to end.
    pub fn ended(&mut self, at: Duration, how: ServerLoss) -> RestartDecision {
        let at = self.advance(at);
        let healthy = self.healthy_since.take().map_or(Duration::ZERO, |since| at.saturating_sub(since));
        let RestartPolicy::OnFailure(limits) = self.policy else {
            return RestartDecision::GiveUp(GiveUp::NotWanted { last: how });
        };
        if healthy >= limits.window {
            self.attempt = 0;
        }
        while self.ends.front().is_some_and(|end| at.saturating_sub(*end) >= limits.window) {
            self.ends.pop_front();
        }
        self.ends.push_back(at);
        if self.ends.len() > limits.max_restarts as usize {
            let give_up = GiveUp::TooOften { ends: self.ends.len(), window: limits.window, last: how };
            // Told of further ends it gives up again, and keeps no more of them.
            self.ends.pop_front();
            return RestartDecision::GiveUp(give_up);
        }
        self.attempt = self.attempt.saturating_add(1);
        RestartDecision::Restart { after: pause_before(self.attempt), attempt: self.attempt }
    }

    /// Time does not go back: a moment from before the latest is taken for the latest.
    fn advance(&mut self, at: Duration) -> Duration {
        self.latest = self.latest.max(at);
        self.latest
    }
}

/// The pause before a restart: 1, 2, 4 … seconds.
fn pause_before(attempt: u32) -> Duration {
    let doublings = attempt.saturating_sub(1);
    let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
    FIRST_PAUSE.saturating_mul(factor).min(LONGEST_PAUSE)
}
