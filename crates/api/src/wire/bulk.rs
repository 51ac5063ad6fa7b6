//! Changing one instance's row, and ending many, in JSON.

use roadstead_orchestrator::{BulkAction, BulkAnswer, BulkEnd, BulkOutcome};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Instance, words};

/// What to change of an instance; what is left out stays.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PatchBody {
    /// What you call it.
    #[schema(example = "my server")]
    pub name: Option<String>,
    /// Its configuration, merged over the type's defaults as at a launch, in place of the one before.
    pub config: Option<Value>,
}

/// A changed instance.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct PatchedInstance {
    /// The instance.
    #[serde(flatten)]
    pub instance: Instance,
    /// Whether it runs with another configuration than this one, which holds from its next start on.
    pub restart_needed: bool,
}

/// What to do, to which instances: `ids` or `filter`.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BulkBody {
    /// `stop`, `expire` or `delete`.
    #[schema(value_type = words::BulkAction, example = "stop")]
    pub action: String,
    /// At most 1,000.
    #[schema(min_items = 1, max_items = 1000)]
    pub ids: Option<Vec<String>>,
    /// Those that `GET /instances` would list with it; the first 1,000, newest first.
    pub filter: Option<BulkFilterBody>,
    /// True by default: only says what it would do.
    pub dry_run: Option<bool>,
}

/// Which instances; the parameters of `GET /instances`.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BulkFilterBody {
    /// One or several of them.
    #[schema(value_type = Option<Vec<words::InstanceStatus>>)]
    pub status: Option<Vec<String>>,
    /// A server type's name.
    #[serde(rename = "type")]
    pub type_name: Option<String>,
    /// A project's id.
    pub project: Option<String>,
    /// A user's id.
    pub owner: Option<String>,
    /// Text that their names contain.
    pub name: Option<String>,
    /// RFC 3339.
    pub created_since: Option<String>,
    /// RFC 3339.
    pub created_until: Option<String>,
    /// RFC 3339.
    pub expires_before: Option<String>,
}

/// One instance of many.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct BulkInstance {
    /// Its id.
    pub id: String,
    /// What its owner calls it; null when there is none in your view.
    pub name: Option<String>,
    /// `would` in a dry run; else `done`, `missing`, `refused` or `failed`.
    #[schema(example = "done")]
    pub outcome: String,
    /// Why it was refused.
    pub message: Option<String>,
}

/// What became of many instances, or would.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct BulkResult {
    /// `stop`, `expire` or `delete`.
    pub action: String,
    /// Whether nothing was done yet.
    pub dry_run: bool,
    /// Whether the filter lets more through than one request may concern: ask again afterwards.
    pub more: bool,
    /// Each.
    pub data: Vec<BulkInstance>,
}

impl BulkResult {
    pub(crate) fn new(action: BulkAction, dry_run: bool, answer: BulkAnswer) -> Self {
        let data = answer.outcomes.into_iter().map(BulkInstance::new).collect();
        Self { action: action.as_str().to_owned(), dry_run, more: answer.more, data }
    }
}

impl BulkInstance {
    fn new(outcome: BulkOutcome) -> Self {
        Self {
            id: outcome.id.to_string(),
            name: outcome.name,
            outcome: outcome.end.as_str().to_owned(),
            message: match &outcome.end {
                BulkEnd::Refused(refused) => Some(refused.to_string()),
                _ => None,
            },
        }
    }
}
