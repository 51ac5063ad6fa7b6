//! Starts, watches and ends shims. Knows nothing of users, rows or HTTP.
//!
//! ```text
//! prepare ──► run folder ──► process ──► launch.json ──► specification ──► waits
//! start ──► secrets ──► Bound ──► Ready | Failed
//!             owner task: launch reports, the process's end, the exit record ──► events
//!             link task:  the control socket, connected again when it breaks ──► events, answers
//! ```
//! A shim outlives the program that started it, on purpose: nothing here ends one because a handle was dropped,
//! except while its launch is undecided. Whatever ends a shim, its process is waited for, its tree is looked
//! for, and exactly one `Exited` is the last event.

mod cgroups;
mod disk;
mod errand;
mod figures;
mod free_memory;
mod link;
mod look;
mod owner;
mod prepared;
mod pressure;
mod process;
mod shim;
mod start;
mod survivors;

pub use cgroups::Controller;
pub use errand::{ErrandError, ErrandGroup, ErrandGroups, ErrandLimits, run_errand, run_long_errand};
pub use figures::{Figures, HeldSoFar, Known, Look};
pub use free_memory::FreeMemory;
pub use look::{Left, left_over, ports_held, unlimited};
pub use prepared::Prepared;
pub use pressure::{LimitName, Over, Pressure, Reached, ReachedAt, Throttled, Use};
pub use process::{is_alive, started};
pub use shim::{CommandError, LaunchError, Shim, ShimControl, ShimEvent};
pub use start::{Entropy, Seen, StartError, Supervisor, SupervisorConfig};
pub use survivors::{Contact, Found, SurvivorError};
