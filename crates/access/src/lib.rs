//! Who may do what: a caller asks, a permit answers. Pure values; performs no I/O.

pub mod caller;
pub mod matrix;
pub mod permit;
pub mod rules;

pub use caller::{Caller, CallerLimits, Denied, Means};
pub use matrix::{Allowed, MATRIX, Platform};
pub use permit::{
    AdminPermit, CredentialPermit, InstancePermit, KeyPermit, LaunchPermit, Permit, TypeReadPermit,
};
pub use roadstead_model::ProjectStatus;
pub use rules::RuleBroken;
