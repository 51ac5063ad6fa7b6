//! Who may do what: a caller asks, a permit answers. Pure values; performs no I/O.

pub mod caller;
pub mod permit;

pub use caller::{Caller, Denied};
pub use permit::{
    AdminPermit, CredentialPermit, InstancePermit, KeyPermit, LaunchPermit, TypeReadPermit, Visible,
};
