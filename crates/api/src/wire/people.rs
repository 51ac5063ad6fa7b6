//! Ports in JSON.

use roadstead_orchestrator::PortRow;
use serde::Serialize;

use super::rfc3339;

/// A port of the pool.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct PortEntry {
    /// The number.
    pub port: u16,
    /// `free`, `leased` or `resting`.
    pub state: &'static str,
    /// The instance that holds it.
    pub instance_id: Option<String>,
    /// Until when it rests, RFC 3339.
    pub resting_until: Option<String>,
    /// When it was last seen answering, RFC 3339.
    pub last_health_check: Option<String>,
}

impl PortEntry {
    pub(crate) fn new((row, now): (PortRow, time::OffsetDateTime)) -> Self {
        let resting_until = row.quarantined_until.filter(|until| *until > now);
        let state = match (row.instance, resting_until) {
            (Some(_), _) => "leased",
            (None, Some(_)) => "resting",
            (None, None) => "free",
        };
        Self {
            port: row.port.get(),
            state,
            instance_id: row.instance.map(|id| id.to_string()),
            resting_until: resting_until.map(rfc3339),
            last_health_check: row.last_health_check.map(rfc3339),
        }
    }
}
