//! How the service that a credential is for is asked whether it takes it: one request, made of the type's `[validation]`.

use std::collections::BTreeMap;

use roadstead_model::Validity;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::names::is_one_line;
use crate::problem::{Problem, none_of};
use crate::spec::TypeSpec;
use crate::template::{Part, Placeholder, Template};

/// A request whose answer tells whether a credential is any good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validation {
    /// Whom to ask: a whole address without placeholders.
    pub url: String,
    /// How to ask: something that changes nothing there.
    #[serde(default)]
    pub method: ValidationMethod,
    /// What the request carries: name to template over `${credential.SLOT}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The statuses that say yes.
    #[serde(default = "yes_statuses")]
    pub expect_status: Vec<u16>,
    /// The statuses that say no; whatever is in neither list says nothing about the credential.
    #[serde(default = "no_statuses")]
    pub refused_status: Vec<u16>,
    /// Whether the service may be on a loopback, link-local or private address, and be spoken to without TLS.
    #[serde(default)]
    pub allow_private: bool,
}

/// The method of such a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ValidationMethod {
    /// Most services have something to read that needs a credential.
    #[default]
    Get,
    /// As reading, without the answer's body.
    Head,
    /// For services whose check is a call of its own; sent without a body.
    Post,
}

impl ValidationMethod {
    /// The word of the request.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
        }
    }
}

fn yes_statuses() -> Vec<u16> {
    vec![200]
}

/// Who are you, and: you may not.
fn no_statuses() -> Vec<u16> {
    vec![401, 403]
}

impl Validation {
    /// What a status says of a credential.
    pub fn judge(&self, status: u16) -> Validity {
        if self.expect_status.contains(&status) {
            Validity::Valid
        } else if self.refused_status.contains(&status) {
            Validity::Invalid
        } else {
            Validity::Unknown
        }
    }

    /// The headers of the request, with a credential's values in them. One that needs an optional value which is not given is
    /// left out. No problem repeats a value.
    pub fn headers(
        &self,
        spec: &TypeSpec,
        values: &BTreeMap<String, SecretString>,
    ) -> Result<BTreeMap<String, SecretString>, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut headers = BTreeMap::new();
        for (name, text) in &self.headers {
            let field = format!("validation.headers.{name}");
            match filled(spec, values, &field, text) {
                Ok(Some(value)) => drop(headers.insert(name.clone(), value)),
                Ok(None) => {}
                Err(problem) => problems.push(problem),
            }
        }
        none_of(problems).map(|()| headers)
    }
}

/// Built at its final length, so that no shorter copy of a secret is left behind as it grows.
fn filled(
    spec: &TypeSpec,
    values: &BTreeMap<String, SecretString>,
    field: &str,
    text: &str,
) -> Result<Option<SecretString>, Problem> {
    let template = Template::parse(text).map_err(|error| Problem::new(field, error.to_string()))?;
    let mut parts: Vec<&str> = Vec::with_capacity(template.parts.len());
    for part in &template.parts {
        match part {
            Part::Text(text) => parts.push(text),
            Part::Placeholder(Placeholder::Credential(slot)) => match values.get(slot) {
                Some(value) => parts.push(value.expose_secret()),
                None if spec.slot(slot).is_some_and(|slot| !slot.required) => return Ok(None),
                None => return Err(Problem::new(field, format!("needs the credential {slot:?}"))),
            },
            Part::Placeholder(_) => return Err(Problem::new(field, "can hold credentials alone")),
        }
    }
    if !parts.iter().all(|part| is_one_line(part)) {
        return Err(Problem::new(field, "must be one line without control characters"));
    }
    let mut whole = String::with_capacity(parts.iter().map(|part| part.len()).sum());
    for part in parts {
        whole.push_str(part);
    }
    Ok(Some(SecretString::from(whole)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(validation: &str) -> TypeSpec {
        let text = format!(
            "name = \"a\"\ndisplay_name = \"A\"\nprogram = \"/a\"\n\
             [[credential_slots]]\nname = \"token\"\nlabel = \"T\"\n\
             [[credential_slots]]\nname = \"extra\"\nlabel = \"E\"\nrequired = false\n\
             [validation]\n{validation}"
        );
        crate::parse_manifest(&text).unwrap()
    }

    fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, SecretString> {
        pairs.iter().map(|(slot, value)| ((*slot).to_owned(), SecretString::from(*value))).collect()
    }

    #[test]
    fn statuses_say_yes_no_or_nothing() {
        let spec = spec("url = \"https://api.example.com/me\"");
        let validation = spec.validation.unwrap();
        assert_eq!(validation.method, ValidationMethod::Get);
        for (status, said) in
            [(200, "valid"), (401, "invalid"), (403, "invalid"), (204, "unknown"), (500, "unknown")]
        {
            assert_eq!(validation.judge(status).as_str(), said, "{status}");
        }
    }

    #[test]
    fn headers_are_filled_in_and_what_is_optional_and_missing_leaves_its_header_out() {
        let spec = spec(
            "url = \"https://api.example.com/me\"\n\
             headers = { Authorization = \"Bearer ${credential.token}\", X-Extra = \"${credential.extra}\" }",
        );
        let validation = spec.validation.clone().unwrap();
        let headers = validation.headers(&spec, &values(&[("token", "s3cret")])).unwrap();
        assert_eq!(headers.len(), 1);
        assert_eq!(headers["Authorization"].expose_secret(), "Bearer s3cret");
        let problems = validation.headers(&spec, &values(&[("extra", "e")])).unwrap_err();
        assert_eq!(problems[0].field, "validation.headers.Authorization");
        let problems = validation.headers(&spec, &values(&[("token", "s3cret\r\nX: y")])).unwrap_err();
        assert!(!format!("{problems:?}").contains("s3cret"), "{problems:?}");
    }
}
