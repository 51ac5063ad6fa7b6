//! How the service that a credential is for is asked whether it takes it: one request, made of the type's `[validation]`, and
//! one before it where a token has to be fetched first.

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
    /// How a token is fetched first, which is then `${token}` in the headers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenExchange>,
    /// What is shown of the answer, by what it is called.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub show: BTreeMap<String, Shown>,
}

/// How a token is fetched: a form that is posted, and a JSON object that comes back (RFC 6749, sections 3.2 and 5.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenExchange {
    /// Where: a whole address without placeholders.
    pub url: String,
    /// The form: name to template over `${credential.SLOT}`.
    #[serde(default)]
    pub form: BTreeMap<String, String>,
    /// Which field of the answer the token is.
    #[serde(default = "token_field")]
    pub field: String,
    /// The statuses that say no to the credential.
    #[serde(default = "token_refusals")]
    pub refused_status: Vec<u16>,
}

/// Where something that is shown is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shown {
    /// In the answer's JSON, by a pointer (RFC 6901).
    Body(String),
    /// In a header of the answer.
    Header(String),
    /// In the JSON that the token came in, by a pointer.
    Token(String),
}

/// A text with secrets in it, cut where the fetched token goes: joined by it, it is whole.
pub type Pieces = Vec<SecretString>;

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

fn token_field() -> String {
    "access_token".to_owned()
}

/// Both a client that is unknown and a grant that has ended may be told by either (RFC 6749, section 5.2).
fn token_refusals() -> Vec<u16> {
    vec![400, 401]
}

impl TokenExchange {
    /// What a status without a token says of a credential.
    pub fn judge(&self, status: u16) -> Validity {
        if self.refused_status.contains(&status) { Validity::Invalid } else { Validity::Unknown }
    }
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
    ) -> Result<BTreeMap<String, Pieces>, Vec<Problem>> {
        all_filled(spec, values, "validation.headers", &self.headers)
    }

    /// The form for which a token is given, in the same way; empty where none is fetched.
    pub fn form(
        &self,
        spec: &TypeSpec,
        values: &BTreeMap<String, SecretString>,
    ) -> Result<BTreeMap<String, SecretString>, Vec<Problem>> {
        let Some(token) = &self.token else { return Ok(BTreeMap::new()) };
        let filled = all_filled(spec, values, "validation.token.form", &token.form)?;
        // A form holds no token yet, so each is of one piece.
        Ok(filled.into_iter().filter_map(|(name, pieces)| Some((name, pieces.into_iter().next()?))).collect())
    }
}

fn all_filled(
    spec: &TypeSpec,
    values: &BTreeMap<String, SecretString>,
    place: &str,
    templates: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Pieces>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut all = BTreeMap::new();
    for (name, text) in templates {
        match filled(spec, values, &format!("{place}.{name}"), text) {
            Ok(Some(pieces)) => drop(all.insert(name.clone(), pieces)),
            Ok(None) => {}
            Err(problem) => problems.push(problem),
        }
    }
    none_of(problems).map(|()| all)
}

fn filled(
    spec: &TypeSpec,
    values: &BTreeMap<String, SecretString>,
    field: &str,
    text: &str,
) -> Result<Option<Pieces>, Problem> {
    let template = Template::parse(text).map_err(|error| Problem::new(field, error.to_string()))?;
    let mut pieces: Vec<Vec<&str>> = vec![Vec::new()];
    for part in &template.parts {
        let text = match part {
            Part::Text(text) => text.as_str(),
            Part::Placeholder(Placeholder::Token) => {
                pieces.push(Vec::new());
                continue;
            }
            Part::Placeholder(Placeholder::Credential(slot)) => match values.get(slot) {
                Some(value) => value.expose_secret(),
                None if spec.slot(slot).is_some_and(|slot| !slot.required) => return Ok(None),
                None => return Err(Problem::new(field, format!("needs the credential {slot:?}"))),
            },
            Part::Placeholder(_) => return Err(Problem::new(field, "can hold credentials alone")),
        };
        if !is_one_line(text) {
            return Err(Problem::new(field, "must be one line without control characters"));
        }
        pieces.last_mut().expect("there is a first one").push(text);
    }
    Ok(Some(pieces.iter().map(|parts| joined(parts)).collect()))
}

/// Built at its final length, so that no shorter copy of a secret is left behind as it grows.
fn joined(parts: &[&str]) -> SecretString {
    let mut whole = String::with_capacity(parts.iter().map(|part| part.len()).sum());
    for part in parts {
        whole.push_str(part);
    }
    SecretString::from(whole)
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
        assert_eq!(headers["Authorization"][0].expose_secret(), "Bearer s3cret");
        let problems = validation.headers(&spec, &values(&[("extra", "e")])).unwrap_err();
        assert_eq!(problems[0].field, "validation.headers.Authorization");
        let problems = validation.headers(&spec, &values(&[("token", "s3cret\r\nX: y")])).unwrap_err();
        assert!(!format!("{problems:?}").contains("s3cret"), "{problems:?}");
    }
    #[test]
    fn a_header_is_cut_where_the_token_goes_and_no_value_becomes_a_place_for_it() {
        let spec = spec(
            "url = \"https://api.example.com/me\"\n\
             headers = { Authorization = \"Bearer ${token}\", X-Both = \"${credential.token}:${token};\" }\n\
             [validation.token]\nurl = \"https://api.example.com/token\"\n\
             form = { grant_type = \"refresh_token\", refresh_token = \"${credential.token}\", extra = \"${credential.extra}\" }",
        );
        assert_eq!(spec.validate(crate::Author::User), Ok(()));
        let validation = spec.validation.clone().unwrap();
        let values = values(&[("token", "${token}")]);
        let headers = validation.headers(&spec, &values).unwrap();
        let shown = |name: &str| headers[name].iter().map(ExposeSecret::expose_secret).collect::<Vec<_>>();
        assert_eq!(shown("Authorization"), ["Bearer ", ""]);
        assert_eq!(shown("X-Both"), ["${token}:", ";"]);
        let form = validation.form(&spec, &values).unwrap();
        assert_eq!(form.len(), 2, "what is optional and missing is left out");
        assert_eq!(form["refresh_token"].expose_secret(), "${token}");
        let token = validation.token.unwrap();
        assert_eq!(token.field, "access_token");
        for (status, said) in [(400, "invalid"), (401, "invalid"), (403, "unknown"), (503, "unknown")] {
            assert_eq!(token.judge(status).as_str(), said, "{status}");
        }
    }
}
