//! The REST API over HTTP: one file per endpoint. Knows neither SQL, nor shims, nor how secrets are sealed.

mod audit;
mod audit_layer;
mod browser;
pub mod credentials;
mod describe;
pub mod error;
mod exports;
mod events;
mod extract;
mod health;
mod idempotency;
mod instances;
mod key_uses;
mod kept;
pub mod keys;
mod logs;
pub mod master_key;
mod metrics;
mod ports;
mod request_id;
mod retention;
pub mod router;
mod routes;
pub mod settings;
mod state;
pub mod types;
mod usage;
mod usage_export;
pub mod users;
pub mod wire;
mod written;

pub use audit_layer::write_refusals;
pub use browser::Browsers;
pub use router::{openapi, router, shield};
pub use state::{ApiParts, ApiState};
