//! Bytes from a caller to a shim's socket, and back. Knows neither rows nor processes.
//!
//! The shim alone judges the token of a live instance. Where no route exists, the [`Doorkeeper`] is asked,
//! so that a wrong token and an unknown id are the same answer.

pub mod answer;
pub mod forward;
pub mod routes;

pub use forward::{Absence, Doorkeeper, Endings, Gateway, Verdict};
pub use routes::{RouteLease, Routes};
