//! The store against a real PostgreSQL: one cluster for all, one database per test.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod constraints;
mod credentials;
mod history;
mod instances;
mod launches;
mod lifecycle;
mod migrations;
mod people;
mod pool;
mod reaper;
mod retention;
mod rotation;
mod schema;
mod secrets;
mod usage;
mod world;
