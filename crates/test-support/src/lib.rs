//! What tests need of the world: a real database, the whole service, and patience. Used by tests alone.

pub mod app;
pub mod database;
pub mod poll;
pub mod process;
pub mod raw;
pub mod registry;
pub mod rows;
pub mod subjects;
pub mod suite;

pub use app::{Answer, App, AppOptions};
pub use database::TestDatabase;
pub use poll::wait_for;
pub use rows::Rows;
pub use subjects::Subjects;
pub use suite::Suite;
