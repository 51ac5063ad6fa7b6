//! Rows: every SQL statement of the product, one file per noun. Does not know what a row is for.
//!
//! A handle per noun is borrowed from the [`Store`]: `store.instances().reserve(…)`. Lookups answer `None` for what
//! is not there or not visible; changes answer whether they found their row; what the database refuses by a named
//! constraint becomes a variant of [`StoreError`]. Times come from the caller's clock, except `updated_at`.
//! The statements are checked against the migrations at compile time, by way of `.sqlx/`.

mod convert;
mod db;
mod error;
mod readers;

pub mod api_key;
pub mod audit;
pub mod backup;
pub mod change;
pub mod credential;
pub mod event;
pub mod export;
pub mod feed;
pub mod idempotency;
pub mod instance;
pub mod key_rotation;
pub mod log;
pub mod maintain;
pub mod member;
pub mod migrate;
pub mod node;
pub mod organization;
pub mod package;
pub mod page;
pub mod person;
pub mod pool;
pub mod port;
pub mod project;
pub mod provision;
pub mod reaper_lease;
pub mod restore;
pub mod retention;
pub mod ring_check;
pub mod setting;
pub mod system_event;
pub mod type_review;
mod types;
pub mod usage;
pub mod user;

pub use api_key::{
    ApiKeyRow, ApiKeys, KeyChange, KeyDay, KeyFact, KeyFilter, KeyPlace, KeyRequest, KeySettings, KeyTotals,
    KeyWithUser, NewApiKey, Replacement, Revocation, UsedSoFar,
};
pub use audit::Audit;
pub use audit::anchor::{Anchor, AnchorKind, Signer};
pub use audit::read::{AuditCursor, AuditFilter, AuditRow};
pub use audit::seal::{Sealed, Unsealed};
pub use audit::verify::{Break, Found, Verified, Why};
pub use change::Change;
pub use credential::{
    CredentialChange, CredentialEvent, CredentialEventType, CredentialRow, Credentials, Deletion, Holder,
    Holding, NewCredential, NewSlot, SealedSlot, SlotHint,
};
pub use db::{AmongReaders, Connection, Db, Seen, System, Within};
pub use error::{StoreError, unavailable_count};
pub use event::{EventRow, Events, NewEvent};
pub use export::{ExportRow, Exports, NewExport};
pub use feed::{Feed, FeedFilter, FeedRow};
pub use idempotency::{Claim, Idempotency, NewClaim};
pub use instance::{
    Desired, Ending, HeldDue, InstanceCursor, InstanceFilter, InstancePatch, InstanceRow, InstanceSort,
    InstanceState, Instances, KeptInstance, Leaving, MovedDeadline, NearDeadline, NewInstance, NewLife,
    NewToken, PatchOutcome, ProcessMark, Reaping, ReopenError, Reopening, ReserveError, Started, Stopping,
    Takes, UsedCredential,
};
pub use key_rotation::{
    HeldValues, KeyRotations, MasterKeyUse, Retirement, RotationRow, SealedTable, SealedValue, ValuePlace,
};
pub use log::{LogFilter, LogRow, LogSearch, Logs, NewLog, Searched};
pub use maintain::Maintenance;
pub use member::{MemberRow, Members, MembershipRow, NewInvitation};
pub use node::{NodeRow, Nodes};
pub use organization::{NewOrganization, OrganizationRow, Organizations};
pub use package::{Definition, LivePackages, Packages};
pub use page::{Cursor, Order, Origin, Page, PageRequest, TimelineCursor};
pub use person::{PeopleFilter, PersonRow};
pub use pool::{SeenBy, Store};
pub use port::{PortRow, Ports, RangeChange, ReleasedPort};
pub use project::{ProjectRow, Projects};
pub use readers::Room;
pub use reaper_lease::{LeaseHolder, LeaseRow, ReaperLeases};
pub use retention::{Dropped, MonthRow, PolicyRow, Retention, RunOutcome, RunRow};
pub use ring_check::RingChecks;
pub use setting::{NewSetting, NewSettingChange, SettingChange, SettingRow, Settings};
pub use sqlx::postgres::PgConnectOptions;
pub use system_event::{NewSystemEvent, SystemEventFilter, SystemEventRow, SystemEvents};
pub use type_review::{ManifestRow, ReviewRow, ToolRow, TypeReviews};
pub use types::{NewType, Probed, TypeChange, TypeRow, TypeUpdate, Types};
pub use usage::{NewUsage, Usage, UsageBy, UsageFilter, UsageRow, UsageSum};
pub use user::{NewUser, UserRow, Users};

/// The name of the role that the application connects as: it reads and writes rows and makes no tables.
pub const APPLICATION_ROLE: &str = "roadstead_app";
/// The name of the role that a transaction for a caller takes: the database shows it the caller's rows alone.
pub const CALLER_ROLE: &str = "roadstead_caller";
