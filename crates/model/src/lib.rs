//! The nouns and their pure rules: ids, ports, statuses, transitions, expiry, clock. Knows no I/O.

pub mod audit;
pub mod bridge;
pub mod clock;
pub mod confinement;
pub mod credential;
pub mod duration;
pub mod era;
pub mod event;
pub mod expiry;
pub mod host;
pub mod id;
pub mod idle;
pub mod instance;
pub mod json;
pub mod limits;
pub mod log;
pub mod operation;
pub mod port;
pub mod quota;
pub mod randomness;
pub mod reconcile;
pub mod restart;
pub mod retention;
pub mod role;
pub mod scope;
pub mod status;
pub mod step;
pub mod tool_rules;
pub mod transport;
pub mod turns;
pub mod usage;

pub use audit::{ActorKind, AuditOutcome, Audited, Care, Changes, NewAudit};
pub use bridge::{BridgeLimit, BridgeLimits};
pub use clock::{Clock, MockClock, SystemClock};
pub use confinement::{Confinement, ConfinementLevel, Held, LEAST_LANDLOCK_ABI, LimitsHeld, Mechanisms};
pub use credential::{CredentialStatus, Validity};
pub use duration::{DurationError, Lifetime};
pub use era::Era;
pub use event::{Actor, EventType};
pub use expiry::Extension;
pub use id::{
    ApiKeyId, AuditId, BootId, CredentialId, EventId, ExportId, InstallationId, InstanceId, LogId, MemberId,
    NodeId, OrganizationId, ProjectId, ReaperId, RequestId, ReviewId, RotationId, RunId, TypeId, UsageId,
    UserId,
};
pub use idle::{Activity, Idle, WhyAlive, why_alive};
pub use instance::{Happening, InstanceStatus, InvalidTransition, Standing, Verb};
pub use log::{LogLevel, LogSource};
pub use operation::Operation;
pub use port::{Port, PortRange, PortRangeError};
pub use quota::{Amounts, QuotaItem, QuotaOf, QuotaReached, Quotas};
pub use randomness::Randomness;
pub use restart::{
    RestartDecision, RestartFields, RestartHistory, RestartLimits, RestartMode, RestartPolicy, ServerLoss,
};
pub use role::{Reach, Role, View};
pub use scope::{Scope, Scopes};
pub use status::{MemberStatus, OrganizationStatus, ProjectStatus, RiskLevel, TypeStatus, UserStatus};
pub use step::Step;
pub use tool_rules::{ToolRules, ToolsDiffer};
pub use transport::{SessionMode, Transport};
pub use turns::Turns;
pub use usage::{SessionEra, UsageMethod, UsageStatus};
