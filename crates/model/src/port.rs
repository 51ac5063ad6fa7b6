//! A port of the pool, and the pool's range.

use serde::{Deserialize, Serialize};

/// The lowest port that a pool may hold: below it a service needs privileges.
pub const LOWEST_PORT: u16 = 1024;

/// A TCP port of the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Port(u16);

impl Port {
    /// A port at or above the lowest, else nothing.
    pub const fn new(number: u16) -> Option<Self> {
        if number < LOWEST_PORT { None } else { Some(Self(number)) }
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// First and last port of a pool, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange {
    first: Port,
    last: Port,
}

/// Why two numbers are no range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the port range {first}-{last} must start at {LOWEST_PORT} or above and not end before it starts")]
pub struct PortRangeError {
    first: u16,
    last: u16,
}

impl PortRange {
    /// A range from `first` to `last`.
    pub fn new(first: u16, last: u16) -> Result<Self, PortRangeError> {
        match (Port::new(first), Port::new(last)) {
            (Some(low), Some(high)) if low <= high => Ok(Self { first: low, last: high }),
            _ => Err(PortRangeError { first, last }),
        }
    }

    /// The lowest port.
    pub const fn first(self) -> Port {
        self.first
    }

    /// The highest port.
    pub const fn last(self) -> Port {
        self.last
    }

    /// Whether a port lies in the range.
    pub fn contains(self, port: Port) -> bool {
        (self.first..=self.last).contains(&port)
    }

    /// How many ports it holds.
    pub fn len(self) -> usize {
        usize::from(self.last.0 - self.first.0) + 1
    }

    /// Never: a range holds at least one port.
    pub const fn is_empty(self) -> bool {
        false
    }

    /// Every port, lowest first.
    pub fn ports(self) -> impl Iterator<Item = Port> {
        (self.first.0..=self.last.0).map(Port)
    }
}
