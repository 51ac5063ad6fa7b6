//! The one place where an error becomes a status, a stable code and a JSON body.

mod people;

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use roadstead_access::Denied;
use roadstead_accounts::{AccountsError, AuthenticationError, RingChangeError};
use roadstead_limits::Standing;
use roadstead_model::{QuotaItem, QuotaOf, QuotaReached};
use roadstead_orchestrator::{
    ChangeError, DeleteCredentialError, LaunchError, StartAgainError, ValidateError,
};
use serde::Serialize;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $status:ident;)+) => {
        /// A stable code of an error; `docs/errors.md` has a section for each.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[$doc])* $name,)+
        }

        impl Code {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The word in the body.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }

            /// The status of the answer.
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)+ }
            }
        }
    };
}

codes! {
    /// The request cannot be read: JSON, query or header.
    Malformed = "MALFORMED_REQUEST", BAD_REQUEST;
    /// No key, or none that is valid.
    Unauthorized = "UNAUTHORIZED", UNAUTHORIZED;
    /// The key has expired or was revoked.
    KeyNotActive = "API_KEY_NOT_ACTIVE", UNAUTHORIZED;
    /// Known, and refused.
    Forbidden = "FORBIDDEN", FORBIDDEN;
    /// The owner was deactivated or deleted while they asked.
    OwnerNotActive = "OWNER_NOT_ACTIVE", FORBIDDEN;
    /// The request names a host that is not this service.
    HostNotAllowed = "HOST_NOT_ALLOWED", FORBIDDEN;
    /// A page of another site asks.
    OriginNotAllowed = "ORIGIN_NOT_ALLOWED", FORBIDDEN;
    /// The user, their organisation or their place in it was suspended.
    NotActive = "NOT_ACTIVE", FORBIDDEN;
    /// The key may not be used from this address.
    AddressNotAllowed = "ADDRESS_NOT_ALLOWED", FORBIDDEN;
    /// Missing, or not the caller's.
    NotFound = "NOT_FOUND", NOT_FOUND;
    /// No such server type, or a disabled one.
    TypeNotFound = "TYPE_NOT_FOUND", NOT_FOUND;
    /// No such credential of the caller.
    CredentialNotFound = "CREDENTIAL_NOT_FOUND", NOT_FOUND;
    /// The invitation is unknown, used, withdrawn or too old.
    InvitationInvalid = "INVITATION_INVALID", NOT_FOUND;
    /// The link to an export is unknown or has ended.
    LinkGone = "EXPORT_GONE", NOT_FOUND;
    /// The path exists, with another method.
    MethodNotAllowed = "METHOD_NOT_ALLOWED", METHOD_NOT_ALLOWED;
    /// The instance's status does not permit the verb.
    WrongStatus = "WRONG_STATUS", CONFLICT;
    /// The type of an instance that would be started again was disabled.
    TypeNotActive = "TYPE_NOT_ACTIVE", CONFLICT;
    /// The credential of an instance that would be started again is gone.
    CredentialGone = "CREDENTIAL_GONE", CONFLICT;
    /// Instances hold the credential that would be deleted; they are named.
    CredentialInUse = "CREDENTIAL_IN_USE", CONFLICT;
    /// The credential's end has passed.
    CredentialExpired = "CREDENTIAL_EXPIRED", CONFLICT;
    /// The credential was changed while it was read or tried out.
    CredentialChanged = "CREDENTIAL_CHANGED", CONFLICT;
    /// Something needs an administrator's yes; it is named.
    ApprovalNeeded = "APPROVAL_NEEDED", CONFLICT;
    /// Something of that name exists.
    AlreadyExists = "ALREADY_EXISTS", CONFLICT;
    /// The master key comes from the environment, and only its owner can change it.
    KeyFromEnvironment = "MASTER_KEY_FROM_ENVIRONMENT", CONFLICT;
    /// A rotation of the master key is under way.
    RotationUnderWay = "ROTATION_UNDER_WAY", CONFLICT;
    /// Something needs the master key, or it seals.
    KeyInUse = "MASTER_KEY_IN_USE", CONFLICT;
    /// A request with the same idempotency key is still running.
    IdempotencyInProgress = "IDEMPOTENCY_IN_PROGRESS", CONFLICT;
    /// The project is paused or archived.
    ProjectNotActive = "PROJECT_NOT_ACTIVE", CONFLICT;
    /// The organisation would have no owner any more.
    LastOwner = "LAST_OWNER", CONFLICT;
    /// The organisation is one person's own.
    PersonalOrganization = "PERSONAL_ORGANIZATION", CONFLICT;
    /// The events after this position are not kept any more.
    EventsGone = "EVENTS_GONE", GONE;
    /// The row has changed since it was read.
    StaleVersion = "STALE_VERSION", PRECONDITION_FAILED;
    /// The body is larger than the limit.
    TooLarge = "BODY_TOO_LARGE", PAYLOAD_TOO_LARGE;
    /// The body is not JSON by its content type.
    WrongContentType = "UNSUPPORTED_MEDIA_TYPE", UNSUPPORTED_MEDIA_TYPE;
    /// The body can be read, but fields are wrong; all of them are named.
    ValidationFailed = "VALIDATION_FAILED", UNPROCESSABLE_ENTITY;
    /// The type needs credential slots that were not given.
    CredentialMissing = "CREDENTIAL_MISSING", UNPROCESSABLE_ENTITY;
    /// The type does not say how its credentials are tried out.
    ValidationUnsupported = "VALIDATION_UNSUPPORTED", UNPROCESSABLE_ENTITY;
    /// An idempotency key was used before, with another body.
    IdempotencyMismatch = "IDEMPOTENCY_MISMATCH", UNPROCESSABLE_ENTITY;
    /// The registry has no such package, or no such version.
    PackageNotFound = "PACKAGE_NOT_FOUND", UNPROCESSABLE_ENTITY;
    /// The package was looked at and not taken.
    PackageRefused = "PACKAGE_REFUSED", UNPROCESSABLE_ENTITY;
    /// The organisation does not take e-mail addresses of this domain.
    DomainNotAllowed = "EMAIL_DOMAIN_NOT_ALLOWED", UNPROCESSABLE_ENTITY;
    /// The user has as many live instances as they may.
    QuotaReached = "INSTANCE_QUOTA_REACHED", TOO_MANY_REQUESTS;
    /// Too many requests in too short a time.
    RateLimited = "RATE_LIMITED", TOO_MANY_REQUESTS;
    /// A quota of the user or the organisation is used up.
    QuotaOfSum = "QUOTA_REACHED", TOO_MANY_REQUESTS;
    /// The key has made as many requests as it may in this day or month.
    KeyLimitReached = "KEY_LIMIT_REACHED", TOO_MANY_REQUESTS;
    /// As many launches wait for their turn as may wait.
    LaunchQueueFull = "LAUNCH_QUEUE_FULL", TOO_MANY_REQUESTS;
    /// A fault of ours.
    Internal = "INTERNAL_ERROR", INTERNAL_SERVER_ERROR;
    /// The server could not be started, or ended before it was ready.
    ServerFailed = "SERVER_FAILED_TO_START", BAD_GATEWAY;
    /// The package could not be installed.
    PackageFailed = "PACKAGE_NOT_INSTALLED", BAD_GATEWAY;
    /// The server was started to be asked what it offers, and did not say.
    NotInspected = "SERVER_NOT_INSPECTED", BAD_GATEWAY;
    /// Every port of the pool is taken or resting.
    PortsExhausted = "PORTS_EXHAUSTED", SERVICE_UNAVAILABLE;
    /// The machine has run out of processes, descriptors, memory or room on its disk.
    MachineExhausted = "MACHINE_EXHAUSTED", SERVICE_UNAVAILABLE;
    /// The database does not answer.
    DatabaseUnavailable = "DATABASE_UNAVAILABLE", SERVICE_UNAVAILABLE;
    /// The instance's shim did not acknowledge the change.
    ShimUnreachable = "INSTANCE_UNREACHABLE", SERVICE_UNAVAILABLE;
    /// Roadstead is stopping.
    ShuttingDown = "SHUTTING_DOWN", SERVICE_UNAVAILABLE;
    /// A platform admin has switched launches off.
    LaunchesDisabled = "LAUNCHES_DISABLED", SERVICE_UNAVAILABLE;
    /// The server did not become ready within its budget.
    ServerNotReady = "SERVER_NOT_READY", GATEWAY_TIMEOUT;
}

/// When to ask again for what the machine cannot give now.
const EXHAUSTED_PATIENCE: Duration = Duration::from_secs(10);

/// One mistake of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Detail {
    /// The field, as a path: `config.region`.
    #[schema(example = "expires_in")]
    pub field: String,
    /// What is wrong with it and what would be right.
    #[schema(example = "must be between 1s and 1h")]
    pub message: String,
}

/// An error on its way out.
#[derive(Debug)]
pub struct ApiError {
    /// Stable, for programs.
    pub code: Code,
    /// What and what to do, for people.
    pub message: String,
    /// Every mistake, where there can be several.
    pub details: Vec<Detail>,
    /// When to ask again.
    pub retry_after: Option<Duration>,
    /// How it stands with the rate that refused it.
    pub standing: Option<Standing>,
}

/// The body of every error.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorContent,
}

/// What an error's body says.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ErrorContent {
    /// Stable, for programs.
    #[schema(example = "PORTS_EXHAUSTED")]
    pub code: String,
    /// What happened and what to do.
    pub message: String,
    /// Every mistake, where there can be several.
    pub details: Vec<Detail>,
    /// The request's id, also in the header `X-Request-ID`.
    pub request_id: String,
    /// When, RFC 3339.
    pub timestamp: String,
}

impl ApiError {
    /// An error with a message.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: Vec::new(), retry_after: None, standing: None }
    }

    /// The mistakes of a body.
    pub fn validation(details: Vec<Detail>) -> Self {
        let count = details.len();
        let noun = if count == 1 { "field is" } else { "fields are" };
        let message = format!("{count} {noun} wrong; nothing was done, see details");
        Self { code: Code::ValidationFailed, message, details, retry_after: None, standing: None }
    }

    /// A quota that does not permit one more, by name.
    fn quota(reached: QuotaReached, message: String) -> Self {
        let is_of_instances = (reached.of, reached.item) == (QuotaOf::User, QuotaItem::Instances);
        let code = if is_of_instances { Code::QuotaReached } else { Code::QuotaOfSum };
        let mut this = Self::new(code, message);
        let message = format!("{} of {} are in use", reached.used, reached.limit);
        this.details.push(detail(&format!("{}.{}", reached.of.as_str(), reached.item.as_str()), &message));
        this
    }

    /// Missing, or not the caller's.
    pub fn not_found(what: &str) -> Self {
        Self::new(Code::NotFound, format!("there is no such {what}, or it is not yours"))
    }

    fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "a request failed for a reason of ours");
        Self::new(
            Code::Internal,
            "something failed on our side; the log has the details under this request's id",
        )
    }

    fn database(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "the database failed a request");
        let mut this = Self::new(Code::DatabaseUnavailable, "the database does not answer; try again");
        this.retry_after = Some(Duration::from_secs(1));
        this
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.code.status().into_response();
        let headers = response.headers_mut();
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        if self.code.status() == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        headers.insert(ERROR_MARK, HeaderValue::from_static(self.code.as_str()));
        // The middleware writes the body: it knows the request's id and the time.
        response.extensions_mut().insert(std::sync::Arc::new(self));
        response
    }
}

/// Marks a response whose body the request-id middleware has to write; never leaves the process.
pub(crate) const ERROR_MARK: HeaderName = HeaderName::from_static("x-roadstead-error");

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        let code = match denied {
            Denied::Scope { .. } | Denied::NotAdmin | Denied::Role { .. } => Code::Forbidden,
            Denied::Project { .. } => Code::ProjectNotActive,
        };
        Self::new(code, denied.to_string())
    }
}

impl From<AuthenticationError> for ApiError {
    fn from(error: AuthenticationError) -> Self {
        match &error {
            AuthenticationError::Missing | AuthenticationError::Unknown => {
                Self::new(Code::Unauthorized, error.to_string())
            }
            AuthenticationError::Expired | AuthenticationError::Revoked => {
                Self::new(Code::KeyNotActive, error.to_string())
            }
            AuthenticationError::NotActive { .. } => Self::new(Code::NotActive, error.to_string()),
            AuthenticationError::AddressNotAllowed { .. } => {
                Self::new(Code::AddressNotAllowed, error.to_string())
            }
            AuthenticationError::LimitReached { wait, .. } => {
                let mut this = Self::new(Code::KeyLimitReached, error.to_string());
                // A moment too early would be refused again.
                this.retry_after = Some(*wait + Duration::from_secs(1));
                this
            }
            AuthenticationError::Store(_) => Self::database(&error),
        }
    }
}

impl From<AccountsError> for ApiError {
    fn from(error: AccountsError) -> Self {
        match &error {
            AccountsError::Invalid(problems) => {
                Self::validation(problems.iter().map(|(field, message)| detail(field, message)).collect())
            }
            AccountsError::NotFound { what } => Self::not_found(what),
            AccountsError::TypeNotFound { .. } | AccountsError::AmbiguousType { .. } => {
                Self::new(Code::TypeNotFound, error.to_string())
            }
            AccountsError::QuotaReached(reached) => Self::quota(*reached, error.to_string()),
            AccountsError::AlreadyExists { .. } => Self::new(Code::AlreadyExists, error.to_string()),
            AccountsError::StaleVersion { .. } => Self::new(Code::StaleVersion, error.to_string()),
            AccountsError::Undecidable { .. } => Self::new(Code::WrongStatus, error.to_string()),
            AccountsError::Suspicious(what) => {
                let mut this = Self::new(Code::ApprovalNeeded, error.to_string());
                this.details.extend(what.iter().map(|what| detail("accept_findings", what)));
                this
            }
            AccountsError::Rule(rule) => rule.into(),
            AccountsError::ScopesNotGrantable => Self::new(Code::Forbidden, error.to_string()),
            AccountsError::IdempotencyInProgress => {
                let mut this = Self::new(Code::IdempotencyInProgress, error.to_string());
                this.retry_after = Some(Duration::from_secs(1));
                this
            }
            AccountsError::IdempotencyMismatch => Self::new(Code::IdempotencyMismatch, error.to_string()),
            AccountsError::KeyFromEnvironment => Self::new(Code::KeyFromEnvironment, error.to_string()),
            AccountsError::RotationUnderWay => Self::new(Code::RotationUnderWay, error.to_string()),
            AccountsError::KeyInUse { values, instances, .. } => {
                let mut this = Self::new(Code::KeyInUse, error.to_string());
                this.details.push(detail("values", &values.to_string()));
                this.details.push(detail("instances", &instances.to_string()));
                this
            }
            AccountsError::Ring(change) => match change {
                RingChangeError::Unknown { .. } => Self::not_found("master key"),
                RingChangeError::Seals { .. } | RingChangeError::Full => {
                    Self::new(Code::KeyInUse, error.to_string())
                }
                RingChangeError::Duplicate { .. } => Self::internal(&error),
            },
            AccountsError::Unsealable { .. }
            | AccountsError::RotationKeyLost { .. }
            | AccountsError::SealingKeyRetired { .. }
            | AccountsError::Keeper(_) => Self::internal(&error),
            AccountsError::Store(_) => Self::database(&error),
        }
    }
}

impl From<LaunchError> for ApiError {
    fn from(error: LaunchError) -> Self {
        match &error {
            LaunchError::TypeNotFound { .. } => Self::new(Code::TypeNotFound, error.to_string()),
            LaunchError::RoleNotAllowed { .. } => Self::new(Code::Forbidden, error.to_string()),
            LaunchError::CredentialNotFound => Self::new(Code::CredentialNotFound, error.to_string()),
            LaunchError::CredentialExpired => Self::new(Code::CredentialExpired, error.to_string()),
            LaunchError::CredentialChanged => Self::new(Code::CredentialChanged, error.to_string()),
            LaunchError::TypeNotActive { .. } => Self::new(Code::TypeNotActive, error.to_string()),
            LaunchError::CredentialGone => Self::new(Code::CredentialGone, error.to_string()),
            LaunchError::ProjectNotActive { .. } => Self::new(Code::ProjectNotActive, error.to_string()),
            LaunchError::OrganizationNotActive => Self::new(Code::NotActive, error.to_string()),
            LaunchError::OwnerNotActive => Self::new(Code::OwnerNotActive, error.to_string()),
            LaunchError::CredentialMissing(problems) => {
                let mut this = Self::new(Code::CredentialMissing, error.to_string());
                this.details = problems.iter().map(|(field, message)| detail(field, message)).collect();
                this
            }
            LaunchError::Invalid(problems) => {
                Self::validation(problems.iter().map(|(field, message)| detail(field, message)).collect())
            }
            LaunchError::QuotaReached(reached) => Self::quota(*reached, error.to_string()),
            LaunchError::PortsExhausted { retry_after } => {
                let mut this = Self::new(Code::PortsExhausted, error.to_string());
                this.retry_after = Some(*retry_after);
                this
            }
            LaunchError::ServerFailed { instance, failure } => {
                let code = if failure.timed_out { Code::ServerNotReady } else { Code::ServerFailed };
                let mut this = Self::new(code, error.to_string());
                this.details.push(detail("instance_id", &instance.to_string()));
                this.details.push(detail("reason", &failure.code));
                if !failure.stderr_tail.is_empty() {
                    this.details.push(detail("stderr", &failure.stderr_tail.join("\n")));
                }
                this
            }
            LaunchError::Exhausted { instance, .. } => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a launch found too little of the machine"
                );
                let mut this = Self::new(Code::MachineExhausted, error.to_string());
                this.details.extend(instance.map(|instance| detail("instance_id", &instance.to_string())));
                this.retry_after = Some(EXHAUSTED_PATIENCE);
                this
            }
            LaunchError::QueueFull { position, retry_after } => {
                let mut this = Self::new(Code::LaunchQueueFull, error.to_string());
                this.details.push(detail("position", &position.to_string()));
                this.retry_after = Some(*retry_after);
                this
            }
            LaunchError::Disabled => {
                let mut this = Self::new(Code::LaunchesDisabled, error.to_string());
                this.retry_after = Some(EXHAUSTED_PATIENCE);
                this
            }
            LaunchError::ShuttingDown => Self::new(Code::ShuttingDown, error.to_string()),
            LaunchError::Store(_) => Self::database(&error),
            LaunchError::Secret { .. } | LaunchError::Shim { .. } | LaunchError::Panicked(_) => {
                Self::internal(&error)
            }
        }
    }
}

impl From<DeleteCredentialError> for ApiError {
    fn from(error: DeleteCredentialError) -> Self {
        let message = error.to_string();
        match error {
            DeleteCredentialError::InUse(holders) => {
                let mut this = Self::new(Code::CredentialInUse, message);
                this.details = holders.iter().map(|id| detail("instance_id", &id.to_string())).collect();
                this
            }
            DeleteCredentialError::Accounts(error) => error.into(),
        }
    }
}

impl From<ValidateError> for ApiError {
    fn from(error: ValidateError) -> Self {
        let message = error.to_string();
        match error {
            ValidateError::Unsupported { .. } => Self::new(Code::ValidationUnsupported, message),
            ValidateError::Invalid(problems) => {
                let details = problems.iter().map(|(field, message)| detail(field, message));
                Self::validation(details.collect())
            }
            ValidateError::Replaced => Self::new(Code::CredentialChanged, message),
            ValidateError::Errand(_) => Self::internal(&error),
            ValidateError::Accounts(error) => error.into(),
        }
    }
}

impl From<StartAgainError> for ApiError {
    fn from(error: StartAgainError) -> Self {
        match error {
            StartAgainError::Change(error) => error.into(),
            StartAgainError::Launch(error) => error.into(),
        }
    }
}

impl From<ChangeError> for ApiError {
    fn from(error: ChangeError) -> Self {
        match &error {
            ChangeError::NotFound => Self::not_found("instance"),
            ChangeError::Refused(_) | ChangeError::PortHeld { .. } => {
                Self::new(Code::WrongStatus, error.to_string())
            }
            ChangeError::Config(problems) => {
                Self::validation(problems.iter().map(|(field, message)| detail(field, message)).collect())
            }
            ChangeError::Stale { .. } => Self::new(Code::StaleVersion, error.to_string()),
            ChangeError::NoSuchPort { .. } => Self::new(Code::NotFound, error.to_string()),
            ChangeError::LinkGone => Self::new(Code::LinkGone, error.to_string()),
            ChangeError::Invalid { field, message } => Self::validation(vec![detail(field, message)]),
            ChangeError::Unreachable { .. } => {
                let mut this = Self::new(Code::ShimUnreachable, error.to_string());
                this.retry_after = Some(Duration::from_secs(1));
                this
            }
            ChangeError::Panicked(_) => Self::internal(&error),
            ChangeError::Store(_) => Self::database(&error),
        }
    }
}

fn detail(field: &str, message: &str) -> Detail {
    Detail { field: field.to_owned(), message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_in_upper_case() {
        let mut seen = std::collections::BTreeSet::new();
        for code in Code::ALL {
            assert!(seen.insert(code.as_str()), "{} twice", code.as_str());
            assert!(code.as_str().chars().all(|c| c.is_ascii_uppercase() || c == '_'));
            assert!(code.status().is_client_error() || code.status().is_server_error());
        }
    }

    #[test]
    fn every_code_has_its_section_in_the_documentation() {
        let page = include_str!("../../../docs/errors.md");
        for code in Code::ALL {
            assert!(page.contains(&format!("## {}", code.as_str())), "{} is not documented", code.as_str());
        }
    }
}
