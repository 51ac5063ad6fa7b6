//! Whether a credential is any good: its own service is asked, by a confined process that the user's secret is handed to.
//!
//! ```text
//! type's [validation] + values ─► roadstead-relay --validate ─► status ─► valid, invalid or unknown, written down
//!                                                             └► what the type wants shown, told once
//! ```

use std::collections::BTreeMap;

use roadstead_access::CredentialPermit;
use roadstead_accounts::{AccountsError, Credential, ExposeSecret as _};
use roadstead_catalog::{Pieces, Shown, TypeSpec, Validation};
use roadstead_control::Secret;
use roadstead_model::{CredentialId, Validity};
use roadstead_supervisor::ErrandError;
use serde::{Deserialize, Serialize};

use crate::error::ValidateError;
use crate::launch::{RELAY, written};
use crate::parts::Orchestrator;

/// Bytes of a request beside its texts.
const FRAME_BYTES: usize = 256;
/// From so many bytes on, a piece of a secret is not shown: fewer are in it by chance.
const PART_BYTES: usize = 8;

/// A credential whose service was asked about it.
#[derive(Debug)]
pub struct ValidatedCredential {
    /// The credential.
    pub credential: Credential,
    /// What the service said.
    pub validity: Validity,
    /// The status of its answer; none when there was no answer.
    pub status: Option<u16>,
    /// Why there was no answer, or no token to ask with.
    pub problem: Option<String>,
    /// What the type wants shown of the answer.
    pub shown: BTreeMap<String, String>,
}

/// What the relay is told.
#[derive(Serialize)]
struct Question<'a> {
    url: &'a str,
    method: &'a str,
    headers: BTreeMap<&'a str, Vec<&'a str>>,
    allow_private: bool,
    token: Option<Exchange<'a>>,
    show: &'a BTreeMap<String, Shown>,
}

#[derive(Serialize)]
struct Exchange<'a> {
    url: &'a str,
    form: BTreeMap<&'a str, &'a str>,
    field: &'a str,
}

/// What it answers.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Told {
    Answer {
        status: u16,
        #[serde(default)]
        shown: BTreeMap<String, String>,
    },
    NoToken {
        status: u16,
        word: Option<String>,
    },
    Error(String),
}

/// What that means.
struct Verdict {
    validity: Validity,
    status: Option<u16>,
    problem: Option<String>,
    shown: BTreeMap<String, String>,
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
        let args: Vec<String> = std::iter::once("--validate".to_owned())
            .chain(crate::workplace::errand_user().map(|user| user.to_string()))
            .collect();
        let program = self.0.parts.bundled.join(RELAY);
        let answer = roadstead_supervisor::run_errand(&program, &args, &question).await;
        let told = serde_json::from_slice(&answer.map_err(ValidateError::Errand)?);
        let mut verdict = Verdict::of(validation, told.map_err(unreadable)?);
        verdict.hide(&spec, &open.values);
        drop(open.values);
        let Verdict { validity, status, problem, shown } = verdict;
        if !accounts.credential_validated(&permit, id, open.row.version, validity).await? {
            return Err(ValidateError::Replaced);
        }
        let credential = accounts.credential(&permit, id).await?;
        Ok(ValidatedCredential { credential, validity, status, problem, shown })
    }
}

fn question(
    spec: &TypeSpec,
    validation: &Validation,
    values: &BTreeMap<String, roadstead_accounts::SecretString>,
) -> Result<Secret, ValidateError> {
    let invalid = |problems: Vec<roadstead_catalog::Problem>| {
        let named = problems.into_iter().map(|problem| (problem.field, problem.message));
        ValidateError::Invalid(named.collect())
    };
    let headers = validation.headers(spec, values).map_err(invalid)?;
    let form = validation.form(spec, values).map_err(invalid)?;
    let of_header = |(name, pieces): (&String, &Pieces)| {
        name.len() + pieces.iter().map(|piece| piece.expose_secret().len()).sum::<usize>()
    };
    let of_form = |(name, value): (&String, &roadstead_accounts::SecretString)| {
        name.len() + value.expose_secret().len()
    };
    let secrets = headers.iter().map(of_header).sum::<usize>() + form.iter().map(of_form).sum::<usize>();
    let plain = serde_json::to_string(&validation.show).map_or(0, |text| text.len())
        + validation.url.len()
        + validation.token.as_ref().map_or(0, |token| token.url.len() + token.field.len());
    let pairs = headers.values().map(Vec::len).sum::<usize>() + headers.len() + form.len();
    let question = Question {
        url: &validation.url,
        method: validation.method.as_str(),
        headers: headers
            .iter()
            .map(|(name, pieces)| {
                (name.as_str(), pieces.iter().map(roadstead_accounts::ExposeSecret::expose_secret).collect())
            })
            .collect(),
        allow_private: validation.allow_private,
        token: validation.token.as_ref().map(|token| Exchange {
            url: &token.url,
            form: form.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect(),
            field: &token.field,
        }),
        show: &validation.show,
    };
    Ok(written(&question, secrets + plain, pairs, FRAME_BYTES))
}

impl Verdict {
    fn of(validation: &Validation, told: Told) -> Self {
        match told {
            Told::Answer { status, shown } => {
                Self { validity: validation.judge(status), status: Some(status), problem: None, shown }
            }
            Told::NoToken { status, word } => {
                let judged = validation.token.as_ref().map(|token| token.judge(status));
                let said = word.map_or_else(String::new, |word| format!(" ({word})"));
                Self {
                    validity: judged.unwrap_or(Validity::Unknown),
                    status: Some(status),
                    problem: Some(format!("the token endpoint gave no token{said}")),
                    shown: BTreeMap::new(),
                }
            }
            Told::Error(problem) => Self {
                validity: Validity::Unknown,
                status: None,
                problem: Some(problem),
                shown: BTreeMap::new(),
            },
        }
    }

    /// Shows nothing of a secret: a service may say again what it was told.
    fn hide(&mut self, spec: &TypeSpec, values: &BTreeMap<String, roadstead_accounts::SecretString>) {
        let is_secret = |slot: &str| spec.slot(slot).is_none_or(|slot| slot.secret);
        let secrets =
            values.iter().filter(|(slot, _)| is_secret(slot)).map(|(_, value)| value.expose_secret());
        let secrets: Vec<&str> = secrets.filter(|secret| !secret.is_empty()).collect();
        let is_part = |shown: &str, secret: &str| shown.len() >= PART_BYTES && secret.contains(shown);
        self.shown.retain(|_, shown| {
            !secrets.iter().any(|secret| shown.contains(secret) || is_part(shown, secret))
        });
    }
}

fn unreadable(error: serde_json::Error) -> ValidateError {
    let source = std::io::Error::new(std::io::ErrorKind::InvalidData, error);
    ValidateError::Errand(ErrandError::Run { program: RELAY.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "name = \"a\"\ndisplay_name = \"A\"\nprogram = \"/a\"\n\
        [[credential_slots]]\nname = \"token\"\nlabel = \"T\"\n\
        [[credential_slots]]\nname = \"mail\"\nlabel = \"M\"\nsecret = false\n\
        [validation]\nurl = \"https://a.example/me\"\nheaders = { Authorization = \"Bearer ${token}\" }\n\
        [validation.token]\nurl = \"https://a.example/token\"\nform = { refresh_token = \"${credential.token}\" }\n\
        [validation.show]\naccount = { body = \"/login\" }";

    fn spec() -> TypeSpec {
        let spec = roadstead_catalog::parse_manifest(MANIFEST).unwrap();
        assert_eq!(spec.validate(roadstead_catalog::Author::User), Ok(()));
        spec
    }

    fn values() -> BTreeMap<String, roadstead_accounts::SecretString> {
        let pairs = [("token", "s3cret \"value\" of some length"), ("mail", "ada@example.org")];
        pairs.map(|(slot, value)| (slot.to_owned(), value.into())).into()
    }

    #[test]
    fn the_question_says_all_and_its_buffer_did_not_grow() {
        let spec = spec();
        let question = question(&spec, spec.validation.as_ref().unwrap(), &values()).unwrap();
        let question: serde_json::Value = serde_json::from_str(question.expose()).unwrap();
        assert_eq!(question["headers"]["Authorization"], serde_json::json!(["Bearer ", ""]));
        assert_eq!(question["token"]["form"]["refresh_token"], "s3cret \"value\" of some length");
        assert_eq!(question["show"]["account"]["body"], "/login");
    }

    #[test]
    fn what_is_told_is_judged() {
        let spec = spec();
        let validation = spec.validation.as_ref().unwrap();
        let verdict = |told: &str| {
            let verdict = Verdict::of(validation, serde_json::from_str(told).unwrap());
            (verdict.validity.as_str(), verdict.status, verdict.problem)
        };
        assert_eq!(verdict(r#"{"answer":{"status":200}}"#), ("valid", Some(200), None));
        assert_eq!(verdict(r#"{"answer":{"status":401}}"#), ("invalid", Some(401), None));
        let said = "the token endpoint gave no token (invalid_grant)".to_owned();
        let told = r#"{"no_token":{"status":400,"word":"invalid_grant"}}"#;
        assert_eq!(verdict(told), ("invalid", Some(400), Some(said)));
        let (validity, _, problem) = verdict(r#"{"no_token":{"status":503,"word":null}}"#);
        assert_eq!((validity, problem.as_deref()), ("unknown", Some("the token endpoint gave no token")));
        assert_eq!(verdict(r#"{"error":"no"}"#), ("unknown", None, Some("no".to_owned())));
    }

    #[test]
    fn nothing_of_a_secret_is_shown() {
        let told = serde_json::json!({"answer": {"status": 200, "shown": {
            "echo": "you said s3cret \"value\" of some length", "part": "value\" of some",
            "account": "ada@example.org", "left": "3",
        }}});
        let spec = spec();
        let mut verdict =
            Verdict::of(spec.validation.as_ref().unwrap(), serde_json::from_value(told).unwrap());
        verdict.hide(&spec, &values());
        assert_eq!(verdict.shown.keys().collect::<Vec<_>>(), ["account", "left"]);
    }
}
