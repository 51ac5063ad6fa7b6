//! The store against a real PostgreSQL: one cluster for all, one database per test.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod audit;
mod audit_rate;
mod audited;
mod constraints;
mod credentials;
mod history;
mod instances;
mod keys;
mod launches;
mod lifecycle;
mod lists;
mod membership;
mod migrations;
mod people;
mod plans;
mod pool;
mod readers;
mod reaper;
mod retention;
mod rotation;
mod row_security;
mod schema;
mod secrets;
mod settings;
mod usage;
mod world;
