//! Who may do what: a caller asks, a permit answers. Pure values; performs no I/O.

pub mod caller;
pub mod matrix;
pub mod permit;

pub use caller::{Caller, Denied, Means, OwnRates, ProjectStatus};
pub use matrix::{Allowed, MATRIX, Platform};
pub use permit::{
    AdminPermit, CredentialPermit, InstancePermit, KeyPermit, LaunchPermit, Permit, TypeReadPermit,
};
