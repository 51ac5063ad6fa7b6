//! The order of the steps: launch, drive, change, end, reap, recover. Knows no status code, no SQL and no signal.
//!
//! ```text
//! launch ─► Reserved ─► Spawned ─► Ready ─► published ─► driver ─► end
//!           row, port     shim     server    route         │        ▲
//!                                                          └────────┤ the shim has ended
//!                                              reaper ──────────────┘ what the driver missed
//! ```
//! Each step of a launch consumes the one before. After it is published, only its driver changes an instance;
//! others ask the driver. Ending is one function, whoever notices.

mod account_export;
mod admission;
mod adopt;
mod batches;
mod bulk;
mod change;
mod compiled;
mod doorkeeper;
mod driver;
mod end;
mod error;
mod export;
mod holders;
mod import;
mod inspect;
mod launch;
mod leave;
mod lifecycle;
mod live;
mod logs;
mod packages;
mod parts;
mod patch;
mod ports;
mod pressure;
mod query;
mod reap;
mod recover;
mod scan;
mod sealer;
mod search;
mod shortage;
mod stats;
mod usage;
mod uses;
mod validate;
mod witness;
mod workplace;

pub use admission::{Queued, WaitsFor};
pub use bulk::{BulkAction, BulkAnswer, BulkChoice, BulkEnd, BulkOutcome, MAX_BULK};
pub use error::{
    ChangeError, DeleteCredentialError, Failure, LaunchError, Problem, StartAgainError, ValidateError,
};
pub use export::{ExportFormat, ExportLink, LogExport};
pub use holders::ReplacedCredential;
pub use import::{Document, ImportError, ImportRequest, Imported, UpgradeRequest};
pub use inspect::{InspectRequest, InspectTypeError};
pub use launch::{LaunchRequest, Launched, Wait};
pub use logs::{LogTask, LogWriter};
pub use packages::{CleanRequest, Cleaned, Kept, PackageReport, TypeVersion};
pub use parts::{Limits, Node, Orchestrator, Parts};
pub use patch::{InstanceChange, Patched};
pub use query::{InstanceQuery, LogFollower, LogQuery, Readiness};
pub use reap::{Lease, LeaseKind, ReapStatus, Reaper, ReaperParts};
pub use recover::{RecoverError, RecoverStatus};
pub use roadstead_catalog::import::Additions;
pub use roadstead_control::Alive;
pub use roadstead_metrics::Metrics;
pub use roadstead_model::Extension;
pub use roadstead_packages::{InstallError, Progress};
pub use roadstead_store::{
    Cursor, EventRow, InstanceCursor, InstanceRow, InstanceSort, InstanceState, Leaving, LogRow, Page,
    PortRow, Searched, TimelineCursor, UsageBy, UsageRow, UsageSum,
};
pub use roadstead_supervisor::{ErrandError, Figures, Use};
pub use sealer::keep_sealing;
pub use search::SearchQuery;
pub use shortage::Shortage;
pub use stats::{InstanceStats, STATS_INTERVAL, Sample};
pub use usage::{UsageQuery, UsageTask, UsageWriter};
pub use validate::ValidatedCredential;
pub use witness::{Unwitnessed, Witness};
pub use workplace::installer_user;
