//! Credentials in JSON: names, hints and ends, never values.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::rfc3339;
use crate::error::ApiError;

/// A credential, without its values.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Credential {
    /// Its id.
    pub id: String,
    /// The name of its server type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// For people.
    pub name: String,
    /// `active`; `expiring`, when its end is near; `expired`; `disabled`.
    #[schema(example = "active")]
    pub status: &'static str,
    /// Its values' ends.
    pub slots: Vec<SlotHint>,
    /// Counts its values: one more each time that they are replaced.
    pub version: i32,
    /// When it stops working, RFC 3339; null if it does not by itself.
    pub expires_at: Option<String>,
    /// What its service said when its present values were tried out: `valid`, `invalid` or `unknown`; null if it was never asked.
    pub validation: Option<&'static str>,
    /// When that was, RFC 3339.
    pub validated_at: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
    /// RFC 3339.
    pub last_used_at: Option<String>,
}

/// One value of a credential.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct SlotHint {
    /// The slot.
    pub name: String,
    /// The value's end, if it is long enough to show one.
    pub hint: String,
}

impl Credential {
    pub(crate) fn new(credential: roadstead_accounts::Credential) -> Self {
        let roadstead_accounts::Credential { row, status } = credential;
        Self {
            id: row.id.to_string(),
            type_name: row.type_name,
            name: row.name,
            status: status.as_str(),
            slots: row.slots.into_iter().map(|slot| SlotHint { name: slot.slot, hint: slot.hint }).collect(),
            version: row.version,
            expires_at: row.expires_at.map(rfc3339),
            validation: row.validation.map(|(validity, _)| validity.as_str()),
            validated_at: row.validation.map(|(_, at)| rfc3339(at)),
            created_at: rfc3339(row.created_at),
            updated_at: rfc3339(row.updated_at),
            last_used_at: row.last_used_at.map(rfc3339),
        }
    }
}

/// A credential to be.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CredentialBody {
    /// The name of its server type.
    #[serde(rename = "type")]
    #[schema(example = "echo")]
    pub type_name: String,
    /// Unique among one's own for that type.
    #[schema(example = "work")]
    pub name: String,
    /// The secret values by slot.
    #[schema(example = json!({"token": "…"}))]
    pub values: BTreeMap<String, String>,
    /// When it stops working, RFC 3339.
    pub expires_at: Option<String>,
    /// The same, from now on; one of both.
    #[schema(example = "90d")]
    pub expires_in: Option<String>,
}

/// What is to become of a credential; what is absent stays as it is.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CredentialChangeBody {
    /// Unique among one's own for that type.
    pub name: Option<String>,
    /// All secret values by slot; instances that run with the old ones are restarted.
    pub values: Option<BTreeMap<String, String>>,
    /// When it stops working, RFC 3339; null for never.
    pub expires_at: Option<String>,
    /// The same, from now on; one of both.
    pub expires_in: Option<String>,
}

/// A credential that was changed, and what became of the instances that hold it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ReplacedCredential {
    /// The credential as it is now.
    #[serde(flatten)]
    pub credential: Credential,
    /// The instances that run with the new values now.
    pub restarted: Vec<String>,
    /// The instances that could not be restarted.
    pub failed: Vec<FailedRestart>,
}

/// An instance that could not be restarted.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct FailedRestart {
    /// The instance.
    pub instance_id: String,
    /// Why, for programs.
    #[schema(example = "SERVER_FAILED_TO_START")]
    pub code: String,
    /// Why, for people.
    pub message: String,
}

impl ReplacedCredential {
    pub(crate) fn new(replaced: roadstead_orchestrator::ReplacedCredential) -> Self {
        let failed = replaced.failed.into_iter().map(|(id, error)| {
            let error = ApiError::from(error);
            FailedRestart {
                instance_id: id.to_string(),
                code: error.code.as_str().to_owned(),
                message: error.message,
            }
        });
        Self {
            credential: Credential::new(replaced.credential),
            restarted: replaced.restarted.iter().map(ToString::to_string).collect(),
            failed: failed.collect(),
        }
    }
}

/// Who uses a credential, and what happened to it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct CredentialUsage {
    /// The credential.
    #[serde(flatten)]
    pub credential: Credential,
    /// The instances that hold it: `pending`, `running`, or `disconnected` and still to be restored.
    pub instances: Vec<CredentialHolder>,
    /// What happened to it, newest first; the last twenty.
    pub events: Vec<CredentialEvent>,
}

/// An instance that holds a credential.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct CredentialHolder {
    /// The instance.
    pub id: String,
    /// For people.
    pub name: String,
    /// Its status.
    pub status: &'static str,
    /// The version of the values that it has.
    pub version: i32,
}

/// What happened to a credential.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct CredentialEvent {
    /// RFC 3339.
    pub timestamp: String,
    /// `created`, `changed`, `replaced`, `expiring`, `validated` or `deleted`.
    pub event_type: &'static str,
    /// The particulars.
    pub data: Value,
}

impl CredentialUsage {
    pub(crate) fn new(usage: roadstead_accounts::CredentialUsage) -> Self {
        let holders = usage.holders.into_iter().map(|holder| CredentialHolder {
            id: holder.id.to_string(),
            name: holder.name,
            status: holder.status.as_str(),
            version: holder.version,
        });
        let events = usage.events.into_iter().map(|event| CredentialEvent {
            timestamp: rfc3339(event.at),
            event_type: event.event_type.as_str(),
            data: event.data,
        });
        Self {
            credential: Credential::new(usage.credential),
            instances: holders.collect(),
            events: events.collect(),
        }
    }
}

/// What a credential's service said of it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct CredentialValidation {
    /// The credential, with the answer written down.
    #[serde(flatten)]
    pub credential: Credential,
    /// The status of the service's answer; null if there was none.
    pub answer_status: Option<u16>,
    /// Why there was no answer, or no token to ask with.
    pub problem: Option<String>,
    /// What the service said, as far as the type wants it shown: the account, what it permits. It is not kept.
    #[schema(example = json!({"account": "ada", "scopes": "repo, workflow"}))]
    pub shown: BTreeMap<String, String>,
}

impl CredentialValidation {
    pub(crate) fn new(validated: roadstead_orchestrator::ValidatedCredential) -> Self {
        Self {
            credential: Credential::new(validated.credential),
            answer_status: validated.status,
            problem: validated.problem,
            shown: validated.shown,
        }
    }
}
