//! Why a launch or a change came to nothing.

use std::time::Duration;

use roadstead_accounts::AccountsError;
use roadstead_control::FailureCode;
use roadstead_model::{InstanceId, InvalidTransition, Port, ProjectStatus, QuotaReached};
use roadstead_store::StoreError;
use roadstead_supervisor::{ErrandError, StartError};

use crate::shortage::Shortage;

/// When to try again where too many wait: a few servers have started by then.
pub(crate) const QUEUE_FULL_PATIENCE: Duration = Duration::from_secs(5);

/// A field and what is wrong with it.
pub type Problem = (String, String);

/// Why a server did not become ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Stable, for programs: `SERVER_EXITED`, `READY_TIMEOUT`, …
    pub code: String,
    /// For people.
    pub message: String,
    /// The last lines of its standard error, masked.
    pub stderr_tail: Vec<String>,
    /// It ran out of time.
    pub timed_out: bool,
}

impl From<&roadstead_control::Failure> for Failure {
    fn from(failure: &roadstead_control::Failure) -> Self {
        Self {
            code: failure.code.as_str().to_owned(),
            message: failure.message.clone(),
            stderr_tail: failure.stderr_tail.clone(),
            timed_out: failure.code == FailureCode::ReadyTimeout,
        }
    }
}

/// Why nothing was launched.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// No such server type, or a disabled one.
    #[error(
        "there is no server type {name:?} that can be launched; `GET /api/v1/types` lists those there are"
    )]
    TypeNotFound {
        /// What was asked for.
        name: String,
    },
    /// The type is not for everybody of the organisation.
    #[error(
        "the server type {name:?} may be launched by {roles} alone; ask one of them, or a platform admin"
    )]
    RoleNotAllowed {
        /// The type.
        name: String,
        /// For whom it is.
        roles: String,
    },
    /// No such credential of the owner for this type.
    #[error("there is no such credential of yours for this server type")]
    CredentialNotFound,
    /// The credential has an end, and that has passed.
    #[error(
        "this credential has expired; replace its values or move its end with PUT /api/v1/credentials/{{id}}"
    )]
    CredentialExpired,
    /// The credential is replaced again and again.
    #[error("the credential was changed while the launch read it; try again")]
    CredentialChanged,
    /// The type of an instance that would be started again was disabled.
    #[error(
        "the server type {name:?} of this instance is disabled; ask a platform admin, or launch another type"
    )]
    TypeNotActive {
        /// The type.
        name: String,
    },
    /// The credential of an instance that would be started again is gone.
    #[error(
        "the credential that this instance was launched with was deleted, disabled or has expired; launch a new \
         instance with another"
    )]
    CredentialGone,
    /// The project of an instance that would be started again permits it no more.
    #[error("the project of this instance is {}; an admin of the organisation can make it active again", status.as_str())]
    ProjectNotActive {
        /// What it is.
        status: ProjectStatus,
    },
    /// The organisation of an instance that would be started again may not act.
    #[error("the organisation of this instance is not active; ask a platform admin")]
    OrganizationNotActive,
    /// The owner was deactivated or deleted while they asked.
    #[error("the user who would own the instance is not active any more")]
    OwnerNotActive,
    /// The type needs slots that were not given.
    #[error(
        "this server type needs credentials; store one with POST /api/v1/credentials and name its id, or give values"
    )]
    CredentialMissing(Vec<Problem>),
    /// Fields are wrong.
    #[error("{} fields are wrong", .0.len())]
    Invalid(Vec<Problem>),
    /// The owner or the organisation has as much as they may.
    #[error("{0}; end what is not needed, or ask a platform admin for more")]
    QuotaReached(QuotaReached),
    /// No port is free.
    #[error("every port of the pool is taken or resting; try again, or ask an admin for a larger range")]
    PortsExhausted {
        /// When the next one is free at the latest known.
        retry_after: Duration,
    },
    /// The server did not become ready.
    #[error("the server could not be started: {}", failure.message)]
    ServerFailed {
        /// The row that tells of it.
        instance: InstanceId,
        /// Why.
        failure: Failure,
    },
    /// As many launches wait for their turn as may.
    #[error("{} launches wait for their turn already, as many as may; try again in a moment", position - 1)]
    QueueFull {
        /// The place that this one would have.
        position: usize,
        /// When to try again.
        retry_after: Duration,
    },
    /// A platform admin has switched launches off.
    #[error(
        "launches are switched off at the moment; what runs goes on, and a platform admin can say until when"
    )]
    Disabled,
    /// We are stopping.
    #[error("the service is stopping and launches nothing new; try again in a moment")]
    ShuttingDown,
    /// A credential does not open.
    #[error("a credential could not be opened")]
    Secret {
        /// Why.
        #[source]
        source: AccountsError,
    },
    /// The machine has run out of something.
    #[error("the machine cannot take another instance now: {}", shortage.advice())]
    Exhausted {
        /// The row that tells of it; none when the launch ended before it had one.
        instance: Option<InstanceId>,
        /// Of what.
        shortage: Shortage,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The shim could not be started.
    #[error("the shim of instance {instance} could not be started")]
    Shim {
        /// The instance.
        instance: InstanceId,
        /// Why.
        #[source]
        source: ShimError,
    },
    /// The launch panicked.
    #[error("the launch panicked")]
    Panicked(#[source] tokio::task::JoinError),
    /// The database.
    #[error("the launch could not be written down")]
    Store(#[source] StoreError),
}

impl LaunchError {
    /// That a shim could not be started.
    pub(crate) fn of_shim(instance: InstanceId, source: ShimError) -> Self {
        match Shortage::behind(&source) {
            Some(shortage) => {
                Self::Exhausted { instance: Some(instance), shortage, source: Box::new(source) }
            }
            None => Self::Shim { instance, source },
        }
    }

    /// That a port could not even be looked at, if it is the machine's fault and not the port's.
    pub(crate) fn of_port(source: std::io::Error) -> Option<Self> {
        let shortage = Shortage::behind(&source)?;
        Some(Self::Exhausted { instance: None, shortage, source: Box::new(source) })
    }

    /// Whether another program took the port between our look and the shim's.
    pub(crate) fn lost_the_port(&self) -> bool {
        matches!(self, Self::ServerFailed { failure, .. } if failure.code == FailureCode::PortTaken.as_str())
    }
}

/// What keeps a shim from starting.
#[derive(Debug, thiserror::Error)]
pub enum ShimError {
    /// Its process.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The server's folder.
    #[error("could not make the folder {}", path.display())]
    Workplace {
        /// The folder.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Why a change of an instance was not made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// Missing, or not the caller's.
    #[error("there is no such instance")]
    NotFound,
    /// Its status does not permit it.
    #[error(transparent)]
    Refused(#[from] InvalidTransition),
    /// A value is out of bounds.
    #[error("{field} {message}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// Its configuration does not fit its type.
    #[error("the configuration does not fit the type")]
    Config(Vec<Problem>),
    /// Somebody else was quicker.
    #[error("the instance has changed since version {expected} was read; read it again")]
    Stale {
        /// The version that was expected.
        expected: i32,
    },
    /// There is no such port in the pool.
    #[error("port {port} is not in the pool")]
    NoSuchPort {
        /// The port.
        port: Port,
    },
    /// An instance has the port.
    #[error("an instance has port {port}; end it first, then its port rests by itself")]
    PortHeld {
        /// The port.
        port: Port,
    },
    /// The link is unknown or has ended.
    #[error("the link is unknown or has ended; ask for another export")]
    LinkGone,
    /// The shim did not acknowledge.
    #[error("the instance did not acknowledge the change in time; ask for its state, then try again")]
    Unreachable {
        /// The instance.
        instance: InstanceId,
    },
    /// The change panicked.
    #[error("the change panicked")]
    Panicked(#[source] tokio::task::JoinError),
    /// The database.
    #[error("the instance's row could not be read or written")]
    Store(#[source] StoreError),
}

/// Why a credential was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteCredentialError {
    /// Instances hold it.
    #[error(
        "instances hold this credential ({} of them); stop or delete them, or repeat with force=true (`--force` on the \
         command line), which stops them",
        .0.len()
    )]
    InUse(Vec<InstanceId>),
    /// It could not be.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
}

/// Why a credential's service was not asked about it.
#[derive(Debug, thiserror::Error)]
pub enum ValidateError {
    /// Its type does not say how.
    #[error("the server type {name:?} does not say how its credentials are tried out")]
    Unsupported {
        /// The type.
        name: String,
    },
    /// The type's templates need values that the credential does not have.
    #[error("the request cannot be made of these values")]
    Invalid(Vec<Problem>),
    /// The values were replaced meanwhile.
    #[error("the credential was replaced while its service was asked; try again")]
    Replaced,
    /// The program that asks did not do its work.
    #[error("the program that asks could not do its work")]
    Errand(#[source] ErrandError),
    /// The credential could not be read, or the answer not be written down.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
}

/// Why an instance was not started again.
#[derive(Debug, thiserror::Error)]
pub enum StartAgainError {
    /// It may not be, or not now.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// It could not be.
    #[error(transparent)]
    Launch(#[from] LaunchError),
}

impl From<InvalidTransition> for StartAgainError {
    fn from(refused: InvalidTransition) -> Self {
        Self::Change(refused.into())
    }
}

impl From<StoreError> for ChangeError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<StoreError> for LaunchError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
