//! Kernel confinement of a command: namespaces, identity, limits, process trees. Knows nothing of MCP,
//! users or rows.
//!
//! Every unsafe call of the confinement is in this crate. Order decides: a change of user clears the
//! parent-death signal, and so does what makes a process readable; therefore user → capabilities → dumpable →
//! parent-death signal → check that the parent still lives.

pub mod handover;
pub mod kernel;
pub mod listeners;
pub mod memory;
pub mod namespace;
pub mod privilege;
pub mod probe;
pub mod server;
pub mod tree;

pub use listeners::Listeners;
pub use namespace::{Init, InitError, Level, Wanted};
pub use privilege::{Ids, PrivilegeError};
pub use server::{ServerCommand, ServerLimits, StartError};
