//! Instances: reserved in one transaction, changed by one statement each that also writes the event.
//!
//! A change says whether it was made: false means that the row is not, or no longer, in a status that permits it,
//! so two that notice the same thing act once.

mod change;
mod deadline;
mod list;
mod of_user;
mod patch;
mod quota;
mod read;
mod reap;
mod reopen;
mod reserve;
mod row;

pub use change::{Ending, NewToken, Started};
pub use deadline::{KeptInstance, MovedDeadline, NearDeadline};
pub use list::{InstanceCursor, InstanceFilter, InstanceSort, SEARCHED_NAMES};
pub use of_user::Leaving;
pub use patch::{InstancePatch, PatchOutcome};
pub use reap::{HeldDue, Reaping};
pub use reopen::{Desired, NewLife, ReopenError, Reopening};
pub use reserve::{NewInstance, ReserveError, Takes, UsedCredential};
pub use row::{InstanceRow, InstanceState, ProcessMark, Stopping};

const TABLE: &str = "mcp_instances";

/// The instances' rows.
#[derive(Debug, Clone, Copy)]
pub struct Instances<D> {
    pub(crate) db: D,
}
