//! Kernel confinement of a command: namespaces, identity, limits, process trees. Knows nothing of MCP,
//! users or rows.
//!
//! Every unsafe call of the confinement is in this crate. Order decides: a change of user clears the
//! parent-death signal, and so does what makes a process readable; therefore user → capabilities → dumpable →
//! parent-death signal → check that the parent still lives → the rules of files and ports → the filter of system calls, which
//! would refuse some of what comes before.

pub mod environment;
pub mod handover;
pub mod hide;
pub mod landlock;
pub mod listeners;
pub mod memory;
pub mod namespace;
pub mod privilege;
pub mod probe;
pub mod rules;
pub mod seccomp;
pub mod secrets;
pub mod server;
#[cfg(test)]
mod testing;
pub mod tree;

pub use hide::View;
pub use landlock::{Granted, Rules, Ruleset};
pub use listeners::Listeners;
pub use namespace::{Init, InitError, Level, Role, Wanted};
pub use privilege::{Ids, PrivilegeError};
pub use seccomp::{Filter, Listening};
pub use server::{ServerCommand, ServerLimits, StartError, Walls};
