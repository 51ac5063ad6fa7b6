//! How a person logs in to a service, and what of that becomes a credential: OAuth's way for programs on one's own machine
//! (RFC 8252), made of the type's `[login]`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::spec::TypeSpec;

/// A login whose outcome is a refresh token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// Where the person says yes: a whole address.
    pub authorization_url: String,
    /// Where the code that this gives is exchanged for tokens: a whole address.
    pub token_url: String,
    /// What is asked for, in the service's own words; the type's `required_scopes`, if nothing is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// What else the first address is told.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, String>,
    /// Which slots of the type hold what.
    pub slots: LoginSlots,
    /// Whether the service may be on a loopback, link-local or private address, and be spoken to without TLS.
    #[serde(default)]
    pub allow_private: bool,
}

/// Which slots of the type hold what a login needs, and what it gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginSlots {
    /// The id of the user's own OAuth client.
    pub client_id: String,
    /// Its secret, where the service gives it one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
    /// What the login is for.
    pub refresh_token: String,
}

impl Login {
    /// What is asked for.
    pub fn scopes<'a>(&'a self, spec: &'a TypeSpec) -> &'a [String] {
        if self.scopes.is_empty() { &spec.required_scopes } else { &self.scopes }
    }
}
