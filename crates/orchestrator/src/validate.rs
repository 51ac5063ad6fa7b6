//! Whether a credential is any good: its own service is asked, by a confined process that the user's secret is handed to.
//!
//! ```text
//! type's [validation] + values ─► roadstead-relay --validate ─► status ─► valid, invalid or unknown, written down
//! ```

use std::collections::BTreeMap;

use roadstead_access::CredentialPermit;
use roadstead_accounts::{AccountsError, Credential, ExposeSecret as _};
use roadstead_catalog::{TypeSpec, Validation};
use roadstead_control::Secret;
use roadstead_model::{CredentialId, Validity};
use roadstead_supervisor::ErrandError;
use serde::{Deserialize, Serialize};

use crate::error::ValidateError;
use crate::launch::{RELAY, written};
use crate::parts::Orchestrator;

/// Bytes of a request beside its texts.
const FRAME_BYTES: usize = 256;

/// A credential whose service was asked about it.
#[derive(Debug)]
pub struct ValidatedCredential {
    /// The credential.
    pub credential: Credential,
    /// What the service said.
    pub validity: Validity,
    /// The status of its answer; none when there was no answer.
    pub status: Option<u16>,
    /// Why there was no answer.
    pub problem: Option<String>,
}

/// What the relay is told.
#[derive(Serialize)]
struct Question<'a> {
    url: &'a str,
    method: &'a str,
    headers: BTreeMap<&'a str, &'a str>,
    allow_private: bool,
}

/// What it answers.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Told {
    Status(u16),
    Error(String),
}

impl Orchestrator {
    /// Asks the service that a credential is for whether it takes it, and writes the answer down.
    pub async fn validate_credential(
        &self,
        permit: CredentialPermit,
        id: CredentialId,
    ) -> Result<ValidatedCredential, ValidateError> {
        let accounts = &self.0.parts.accounts;
        let missing = || ValidateError::Accounts(AccountsError::NotFound { what: "credential" });
        let owner = accounts.credential(&permit, id).await?.row.user;
        let open = accounts.open_credential(owner, id).await?.ok_or_else(missing)?;
        let unsupported = || ValidateError::Unsupported { name: open.row.type_name.clone() };
        let found = self.0.store().types().get(open.row.type_id).await.map_err(AccountsError::from)?;
        let spec = roadstead_accounts::types::spec_of(&found.ok_or_else(unsupported)?)?;
        let validation = spec.validation.as_ref().ok_or_else(unsupported)?;
        let question = question(&spec, validation, &open.values)?;
        drop(open.values);
        let args: Vec<String> = std::iter::once("--validate".to_owned())
            .chain(crate::workplace::errand_user().map(|user| user.to_string()))
            .collect();
        let program = self.0.parts.bundled.join(RELAY);
        let answer = roadstead_supervisor::run_errand(&program, &args, &question).await;
        let told = serde_json::from_slice(&answer.map_err(ValidateError::Errand)?);
        let (validity, status, problem) = match told.map_err(unreadable)? {
            Told::Status(status) => (validation.judge(status), Some(status), None),
            Told::Error(problem) => (Validity::Unknown, None, Some(problem)),
        };
        if !accounts.credential_validated(&permit, id, open.row.version, validity).await? {
            return Err(ValidateError::Replaced);
        }
        let credential = accounts.credential(&permit, id).await?;
        Ok(ValidatedCredential { credential, validity, status, problem })
    }
}

fn question(
    spec: &TypeSpec,
    validation: &Validation,
    values: &BTreeMap<String, roadstead_accounts::SecretString>,
) -> Result<Secret, ValidateError> {
    let headers = validation.headers(spec, values).map_err(|problems| {
        let named = problems.into_iter().map(|problem| (problem.field, problem.message));
        ValidateError::Invalid(named.collect())
    })?;
    let texts = headers.iter().map(|(name, value)| name.len() + value.expose_secret().len()).sum::<usize>();
    let question = Question {
        url: &validation.url,
        method: validation.method.as_str(),
        headers: headers.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect(),
        allow_private: validation.allow_private,
    };
    Ok(written(&question, texts + validation.url.len(), headers.len(), FRAME_BYTES))
}

fn unreadable(error: serde_json::Error) -> ValidateError {
    let source = std::io::Error::new(std::io::ErrorKind::InvalidData, error);
    ValidateError::Errand(ErrandError::Run { program: RELAY.to_owned(), source })
}
