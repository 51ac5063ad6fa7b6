//! What an API key may be used for.

use serde::{Deserialize, Serialize};

use crate::era::UnknownWord;

macro_rules! scopes {
    ($($(#[$doc:meta])* $name:ident = $word:literal),+ $(,)?) => {
        /// One permission that an API key carries.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Scope {
            $($(#[$doc])* #[serde(rename = $word)] $name,)+
        }

        impl Scope {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The word used in rows and JSON.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }
        }
    };
}

scopes! {
    /// See instances, their logs and events.
    InstancesRead = "instances:read",
    /// Launch instances.
    InstancesLaunch = "instances:launch",
    /// Stop, expire, extend, delete instances and rotate their tokens.
    InstancesWrite = "instances:write",
    /// See server types.
    TypesRead = "types:read",
    /// Create, change and disable server types; for platform admins only.
    TypesWrite = "types:write",
    /// See credentials' names and hints.
    CredentialsRead = "credentials:read",
    /// Create and delete credentials.
    CredentialsWrite = "credentials:write",
    /// See users.
    UsersRead = "users:read",
    /// Create users; for platform admins only.
    UsersWrite = "users:write",
    /// See API keys.
    KeysRead = "api-keys:read",
    /// Create and revoke API keys.
    KeysWrite = "api-keys:write",
    /// See settings and the port pool; for platform admins only.
    SettingsRead = "settings:read",
    /// Change settings; for platform admins only.
    SettingsWrite = "settings:write",
    /// See organisations and their members.
    OrganizationsRead = "organizations:read",
    /// Make and change organisations and their members.
    OrganizationsWrite = "organizations:write",
    /// See projects.
    ProjectsRead = "projects:read",
    /// Make, change, pause and archive projects.
    ProjectsWrite = "projects:write",
    /// See what calls cost.
    UsageRead = "usage:read",
    /// See and export the audit log.
    AuditRead = "audit:read",
    /// Follow the events of everything that one may see.
    EventsRead = "events:read",
    /// Act for another user, whom a request names in `X-Roadstead-User`.
    UsersAct = "users:act",
    /// See and change how long things are kept, and remove what is older; for platform admins only.
    DatabaseAdmin = "database:admin",
}

impl std::str::FromStr for Scope {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .iter()
            .copied()
            .find(|scope| scope.as_str() == word)
            .ok_or_else(|| UnknownWord { noun: "scope", word: word.to_owned() })
    }
}

/// The permissions of one key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scopes(std::collections::BTreeSet<Scope>);

impl Scopes {
    /// Every scope there is.
    pub fn all() -> Self {
        Self(Scope::ALL.iter().copied().collect())
    }

    /// Whether one is among them.
    pub fn contains(&self, scope: Scope) -> bool {
        self.0.contains(&scope)
    }

    /// Whether all of another set's are among these.
    pub fn covers(&self, other: &Self) -> bool {
        other.0.is_subset(&self.0)
    }

    /// The scopes in their fixed order.
    pub fn iter(&self) -> impl Iterator<Item = Scope> + '_ {
        self.0.iter().copied()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<T: IntoIterator<Item = Scope>>(scopes: T) -> Self {
        Self(scopes.into_iter().collect())
    }
}
