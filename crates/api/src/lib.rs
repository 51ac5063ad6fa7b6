//! The REST API over HTTP: one file per endpoint. Knows neither SQL, nor shims, nor how secrets are sealed.

mod browser;
pub mod credentials;
mod describe;
pub mod error;
mod extract;
mod health;
mod idempotency;
mod instances;
pub mod keys;
pub mod master_key;
mod metrics;
mod request_id;
mod retention;
pub mod router;
mod routes;
pub mod settings;
mod state;
pub mod types;
mod usage;
pub mod users;
pub mod wire;

pub use browser::Browsers;
pub use router::{openapi, router, shield};
pub use state::{ApiParts, ApiState};
