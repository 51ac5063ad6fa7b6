//! What the service counts and times about itself, and how Prometheus reads it. No name of a person, no id and no text of
//! others is ever a label: every label here is a word of a fixed list.

mod metrics;
mod own;
mod words;

pub use metrics::{Metrics, Now};
pub use words::{AdoptionOutcome, GatewayOutcome, OrphanKind, Phase, PortState, Record, Work};

/// What the text is, for a scraper.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
