//! Words of the model as schemas: the description lists those that the code takes.

use roadstead_model::{LogLevel, LogSource};
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident = $words:expr;)+) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                one_of($words.iter().map(|word| word.as_str()))
            }
        }

        impl ToSchema for $name {}
    )+};
}

words! {
    /// Where an instance is in its life.
    InstanceStatus = roadstead_model::InstanceStatus::ALL;
    /// What a key may be used for.
    Scope = roadstead_model::Scope::ALL;
    /// How a call ended.
    UsageStatus = roadstead_model::UsageStatus::ALL;
    /// How bad a log line is.
    Level = [LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error];
    /// Who said a log line.
    Source = [LogSource::Process, LogSource::System, LogSource::Api];
    /// What sums of usage are told apart by.
    Summary = ["tool", "day", "instance"];
    /// The order of a list of instances.
    OfInstances = ["-created_at", "created_at", "expires_at", "-expires_at", "status", "-status"];
    /// How a file is written.
    FileFormat = ["json", "csv", "text"];
    /// How a table is written.
    TableFormat = ["csv", "json"];
    /// What is done to many instances.
    BulkAction = ["stop", "expire", "delete"];
    /// The order of usage facts.
    ByTime = ["-at", "at"];
    /// What came of what was asked.
    Outcome = ["done", "refused", "failed"];
    /// What a line of an export is.
    ExportFormat = ["json", "csv"];
    /// What an event is about.
    FeedKind = ["instance", "credential", "system"];
    /// How much a system event matters.
    Severity = ["info", "warning", "error", "critical"];
    /// What a member is to an organisation.
    Role = roadstead_model::Role::ALL;
    /// Whether a member takes part.
    MemberStatus = [roadstead_model::MemberStatus::Active, roadstead_model::MemberStatus::Suspended];
    /// What was decided about a server type.
    TypeStatus = roadstead_model::TypeStatus::ALL;
    /// How much harm a tool can do.
    RiskLevel = roadstead_model::RiskLevel::ALL;
    /// Whether a project is worked in.
    ProjectStatus = roadstead_model::ProjectStatus::ALL;
    /// Whether a user may act.
    UserStatus = roadstead_model::UserStatus::ALL;
    /// The order of log lines.
    Order = ["desc", "asc"];
}

/// What stands after the `@` of an address.
#[derive(Debug)]
pub enum Domain {}

impl PartialSchema for Domain {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(SchemaType::new(Type::String));
        let labels = text.pattern(Some("^[A-Za-z0-9-]+(\\.[A-Za-z0-9-]+)+$")).max_length(Some(254));
        RefOr::T(Schema::Object(labels.build()))
    }
}

impl ToSchema for Domain {}

/// Lets plain words stand where the model's do.
trait Word {
    fn as_str(&self) -> &str;
}

impl Word for &str {
    fn as_str(&self) -> &str {
        self
    }
}

fn one_of<'a>(words: impl Iterator<Item = &'a str>) -> RefOr<Schema> {
    let object = ObjectBuilder::new().schema_type(SchemaType::new(Type::String)).enum_values(Some(words));
    RefOr::T(Schema::Object(object.build()))
}
