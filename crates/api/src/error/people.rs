//! Errors about people and what they share.

use roadstead_access::RuleBroken;
use roadstead_accounts::ActingError;

use super::{ApiError, Code};

impl From<&RuleBroken> for ApiError {
    fn from(rule: &RuleBroken) -> Self {
        let code = match rule {
            RuleBroken::OwnRole
            | RuleBroken::Ownership
            | RuleBroken::ActingForAdmin
            | RuleBroken::ActingRole => Code::Forbidden,
            RuleBroken::LastOwner | RuleBroken::LastAdmin | RuleBroken::OwnsOrganization { .. } => {
                Code::LastOwner
            }
            RuleBroken::PersonalOrganization => Code::PersonalOrganization,
            RuleBroken::Domain { .. } => Code::DomainNotAllowed,
            RuleBroken::NotYetMember => Code::NotActive,
            RuleBroken::Invitation => Code::InvitationInvalid,
        };
        Self::new(code, rule.to_string())
    }
}

impl From<ActingError> for ApiError {
    fn from(error: ActingError) -> Self {
        match &error {
            ActingError::Denied(denied) => denied.clone().into(),
            ActingError::Rule(rule) => rule.into(),
            ActingError::NotFound => Self::new(Code::NotFound, error.to_string()),
            ActingError::NotActive => Self::new(Code::NotActive, error.to_string()),
            ActingError::Store(_) => Self::database(&error),
        }
    }
}
