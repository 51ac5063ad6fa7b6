//! The package store: packages of npm, PyPI and crates, each installed once per version, read-only, shared by all instances.
//! Knows nothing of types, users, rows or HTTP.
//!
//! ```text
//! {data folder}/packages/
//!   npm/@scope+name/1.2.3-0123456789abcdef/     the version and the beginning of the digest
//!     record.json                               what was installed, with every hash, and the lock file
//!     tree/                                     the files, nobody's to change
//!     compiled/                                 what Node compiled of them, where it did
//!     used                                      its time says when the package was needed last
//!   .staging/{number}/                          what is being installed or removed; cleared at the start
//! ```
//! A folder gets its name when it is whole. Two who want the same at once wait for one installation. What somebody holds
//! (hold.rs) is not removed (clean.rs); who needs what, whoever cleans has to know.

mod clean;
mod compiled;
mod hold;
mod name;
mod place;
mod record;
mod seal;
mod store;
mod tools;

pub use clean::{Claim, Outgoing};
pub use compiled::Compiled;
pub use hold::Hold;
pub use name::{NameError, Package};
pub use record::Stored;
pub use roadstead_installer::{Executable, Installed, Interpreter, Locked, Manager, Tools};
pub use roadstead_supervisor::{ErrandError, ErrandGroups};
pub use store::{InstallError, PackageStore, Progress, StoreConfig, Wanted};
pub use tools::find_tools;
