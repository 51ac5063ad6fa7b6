//! The pool as people see it.

use std::time::Duration;

use roadstead_model::{Port, PortRange};

/// Every port of the pool at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The range that leases come from.
    pub range: PortRange,
    /// Every port of the range, and those outside it that are still leased or quarantined; lowest first.
    pub ports: Vec<PortView>,
}

/// One port of the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortView {
    /// Which.
    pub port: Port,
    /// What became of it.
    pub status: PortStatus,
}

/// Whether a port can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortStatus {
    /// It can be leased.
    Free,
    /// Somebody has it.
    Leased,
    /// It rests.
    Quarantined {
        /// How much longer.
        remaining: Duration,
        /// What for.
        why: QuarantineReason,
    },
}

/// Why a port rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QuarantineReason {
    /// Its lease ended: a client that still has its address must not reach another's server.
    Released,
    /// Something else on this machine listens on it.
    TakenByOther,
    /// A person asked for it.
    Requested,
}

impl QuarantineReason {
    /// The word used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::TakenByOther => "taken_by_other",
            Self::Requested => "requested",
        }
    }
}

impl Snapshot {
    /// How many ports can be leased.
    pub fn free(&self) -> usize {
        self.count(|status| status == PortStatus::Free)
    }

    /// How many are leased, inside the range or not.
    pub fn leased(&self) -> usize {
        self.count(|status| status == PortStatus::Leased)
    }

    /// How many rest, inside the range or not.
    pub fn quarantined(&self) -> usize {
        self.count(|status| matches!(status, PortStatus::Quarantined { .. }))
    }

    /// What became of one port; nothing if the pool does not know it.
    pub fn status(&self, port: Port) -> Option<PortStatus> {
        let index = self.ports.binary_search_by_key(&port, |view| view.port).ok()?;
        Some(self.ports[index].status)
    }

    fn count(&self, wanted: impl Fn(PortStatus) -> bool) -> usize {
        self.ports.iter().filter(|view| wanted(view.status)).count()
    }
}
