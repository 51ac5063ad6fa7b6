//! How a request says for whom it is.

use http::{HeaderName, HeaderValue, header};
use secrecy::{ExposeSecret, SecretString};

use crate::start::StartError;

/// A header that holds a secret. It is marked as sensitive, and its value is masked in whatever is told.
#[derive(Clone)]
pub struct Auth {
    name: HeaderName,
    value: HeaderValue,
    secret: SecretString,
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Auth {
    /// `Authorization: Bearer …`.
    pub fn bearer(token: &SecretString) -> Result<Self, StartError> {
        Self::new(header::AUTHORIZATION, "Bearer ", token)
    }

    /// A header of the service's own, like `X-Figma-Token`.
    pub fn header(name: &'static str, token: &SecretString) -> Result<Self, StartError> {
        Self::new(HeaderName::from_static(name), "", token)
    }

    fn new(name: HeaderName, before: &str, token: &SecretString) -> Result<Self, StartError> {
        let secret = token.expose_secret();
        let fits = !secret.is_empty() && secret.bytes().all(|byte| byte.is_ascii_graphic());
        let mut value = match HeaderValue::try_from(format!("{before}{secret}")) {
            Ok(value) if fits => value,
            _ => return Err(StartError::Credential),
        };
        value.set_sensitive(true);
        Ok(Self { name, value, secret: token.clone() })
    }

    pub(crate) fn name(&self) -> &HeaderName {
        &self.name
    }

    pub(crate) fn value(&self) -> &HeaderValue {
        &self.value
    }

    pub(crate) fn secret(&self) -> &SecretString {
        &self.secret
    }
}

/// The secrets that must not be told, and the text without them.
#[derive(Default)]
pub(crate) struct Masks(Vec<SecretString>);

/// What stands where a secret stood.
const MASK: &str = "***";

/// A secret that is shorter hides more words than it protects.
const SHORTEST_MASKED: usize = 6;

impl Masks {
    /// One more, as long as the process lives: an old token may still be told after a new one came.
    pub(crate) fn add(&mut self, secret: &SecretString) {
        let known = self.0.iter().any(|known| known.expose_secret() == secret.expose_secret());
        if !known && secret.expose_secret().len() >= SHORTEST_MASKED {
            self.0.push(secret.clone());
        }
    }

    /// A text without the secrets.
    pub(crate) fn mask(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret.expose_secret(), MASK))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_shows_nowhere() {
        let token = SecretString::from("canary-token-1234");
        let auth = Auth::bearer(&token).unwrap();
        assert!(!format!("{auth:?} {:?}", auth.value()).contains("canary"));
        let mut masks = Masks::default();
        masks.add(auth.secret());
        assert_eq!(masks.mask("bad token canary-token-1234!"), "bad token ***!");
    }

    #[test]
    fn what_cannot_stand_in_a_header_is_no_token() {
        for wrong in ["", "two words", "line\r\nX: y", "täg"] {
            let refused = Auth::bearer(&SecretString::from(wrong)).unwrap_err();
            assert!(wrong.is_empty() || !refused.to_string().contains(wrong), "{refused}");
        }
    }
}
