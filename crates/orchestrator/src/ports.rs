//! Ports that a person keeps from being leased, and lets go again: the pool and its rows say the same.

use std::time::Duration;

use roadstead_access::AdminPermit;
use roadstead_model::{Changes, Port};
use roadstead_port_allocator::{QuarantineError, QuarantineReason};
use serde_json::json;

use crate::error::ChangeError;
use crate::parts::Orchestrator;

impl Orchestrator {
    /// Keeps a free port from being leased for a while.
    pub async fn quarantine_port(
        &self,
        permit: &AdminPermit,
        port: Port,
        length: Duration,
    ) -> Result<(), ChangeError> {
        // The pool first: from here on nobody leases it, whatever becomes of the row.
        self.0.ports.quarantine_for(port, QuarantineReason::Requested, length).map_err(refused)?;
        let until = self.0.now() + length;
        let told = Changes::default().with("quarantined_until", None, &json!(until.unix_timestamp()));
        let written = self.write_quarantine(permit, port, Some(until), told).await;
        if written.is_err() {
            let _ = self.0.ports.end_quarantine(port);
        }
        written
    }

    /// Lets a port be leased again that rests, for whatever reason.
    pub async fn release_port(&self, permit: &AdminPermit, port: Port) -> Result<(), ChangeError> {
        let pool = self.0.ports.snapshot();
        match pool.status(port) {
            None => return Err(ChangeError::NoSuchPort { port }),
            Some(roadstead_port_allocator::PortStatus::Leased) => {
                return Err(ChangeError::PortHeld { port });
            }
            Some(_) => {}
        }
        // The row first: a port that the pool leases must not rest by its row.
        let told = Changes::default().with("quarantined_until", None, &serde_json::Value::Null);
        self.write_quarantine(permit, port, None, told).await?;
        self.0.ports.end_quarantine(port).map_err(refused)
    }

    async fn write_quarantine(
        &self,
        permit: &AdminPermit,
        port: Port,
        until: Option<time::OffsetDateTime>,
        told: Changes,
    ) -> Result<(), ChangeError> {
        // Callers have no right on the platform's tables, not even its admins: the permit is what allows this.
        let mut change = self.0.store().system_change().await?;
        if !change.ports().set_quarantine(self.0.parts.node.node, port, until).await? {
            change.nothing_changed().await?;
            return Err(ChangeError::PortHeld { port });
        }
        change.commit(&permit.entry(&port, told, self.0.now())).await?;
        Ok(())
    }
}

const fn refused(error: QuarantineError) -> ChangeError {
    match error {
        QuarantineError::OutsidePool { port } => ChangeError::NoSuchPort { port },
        QuarantineError::Leased { port } => ChangeError::PortHeld { port },
    }
}
