//! What the audit log says of a change or of a refusal.

use serde_json::{Map, Value, json};

use crate::{Actor, OrganizationId, ProjectId};

/// Whoever acted, as the log names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ActorKind {
    /// A person, known some other way than by a key.
    User,
    /// A key, of a person or of a program.
    Key,
    /// The service itself.
    System,
    /// Somebody else's service that called us.
    Webhook,
}

impl ActorKind {
    /// The word used in rows and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Key => "key",
            Self::System => "system",
            Self::Webhook => "webhook",
        }
    }

    /// What kind an actor is.
    pub const fn of(actor: &Actor) -> Self {
        match (actor.api_key, actor.user) {
            (Some(_), _) => Self::Key,
            (None, Some(_)) => Self::User,
            // Somebody from somewhere, who showed no key that is known.
            (None, None) if actor.ip_address.is_some() => Self::User,
            (None, None) => Self::System,
        }
    }
}

/// What came of what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditOutcome {
    /// It was done.
    Done,
    /// It was not permitted, or broke a rule; the stable code of the answer.
    Refused(&'static str),
    /// It was begun and did not succeed; the stable code of the answer.
    Failed(&'static str),
}

impl AuditOutcome {
    /// The word used in rows and JSON.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused(_) => "refused",
            Self::Failed(_) => "failed",
        }
    }

    /// The code of a refusal or failure.
    pub const fn code(&self) -> Option<&'static str> {
        match self {
            Self::Done => None,
            Self::Refused(code) | Self::Failed(code) => Some(code),
        }
    }
}

/// How a field is told in a log that nobody can take anything out of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Care {
    /// With its old and its new value.
    Plain,
    /// That it changed, never what it is: secrets, and whatever says who a person is, since an erased account must not
    /// live on in the log.
    Masked,
}

/// The fields of something that can be changed, by name.
pub trait Audited {
    /// Every field that a change may concern.
    fn fields(&self) -> Vec<(&'static str, Value, Care)>;
}

/// Which fields changed: `{"name": {"old": …, "new": …}, "secret": {"changed": true}}`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes(Map<String, Value>);

impl Changes {
    /// What differs between two states of one thing.
    pub fn between(old: &impl Audited, new: &impl Audited) -> Self {
        let before = old.fields();
        let mut changes = Map::new();
        for (name, value, care) in new.fields() {
            let earlier = before.iter().find(|(field, ..)| *field == name).map(|(_, value, _)| value);
            if earlier != Some(&value) {
                changes.insert(name.to_owned(), told(earlier, &value, care));
            }
        }
        Self(changes)
    }

    /// Everything of a new thing.
    pub fn created(new: &impl Audited) -> Self {
        Self(
            new.fields()
                .into_iter()
                .map(|(name, value, care)| (name.to_owned(), told(None, &value, care)))
                .collect(),
        )
    }

    /// One more field, which the caller knows to be no secret.
    #[must_use]
    pub fn with(mut self, name: &str, old: Option<&Value>, new: &Value) -> Self {
        self.0.insert(name.to_owned(), told(old, new, Care::Plain));
        self
    }

    /// One more field, of which only that it changed is told.
    #[must_use]
    pub fn masked(mut self, name: &str) -> Self {
        self.0.insert(name.to_owned(), told(None, &Value::Null, Care::Masked));
        self
    }

    /// As it is stored.
    pub fn into_json(self) -> Value {
        Value::Object(self.0)
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn told(old: Option<&Value>, new: &Value, care: Care) -> Value {
    match (care, old) {
        (Care::Masked, _) => json!({ "changed": true }),
        (Care::Plain, Some(old)) => json!({ "old": old, "new": new }),
        (Care::Plain, None) => json!({ "new": new }),
    }
}

/// An entry to append.
#[derive(Debug, Clone)]
pub struct NewAudit {
    /// Whose chain it belongs to; none for the platform's.
    pub organization: Option<OrganizationId>,
    /// The project, where there is one.
    pub project: Option<ProjectId>,
    /// Who acted.
    pub actor: Actor,
    /// What was done, `resource.verb`.
    pub action: &'static str,
    /// Which thing it was done to; of what kind says the action.
    pub resource_id: Option<String>,
    /// What changed.
    pub changes: Changes,
    /// What came of it.
    pub outcome: AuditOutcome,
    /// Whether it concerns secrets or rights, for whoever looks for that first.
    pub sensitive: bool,
    /// How long it is to be kept at least, in days; none for the policy's time.
    pub retention_days: Option<i32>,
    /// When, by the caller's clock.
    pub at: time::OffsetDateTime,
}

impl NewAudit {
    /// What the service does by itself, such as making the first user.
    pub fn by_system(action: &'static str, at: time::OffsetDateTime) -> Self {
        Self {
            organization: None,
            project: None,
            actor: Actor::SYSTEM,
            action,
            resource_id: None,
            changes: Changes::default(),
            outcome: AuditOutcome::Done,
            sensitive: false,
            retention_days: None,
            at,
        }
    }

    /// What kind of thing it was done to: the first half of the action.
    pub fn resource_kind(&self) -> &'static str {
        self.action.split_once('.').map_or(self.action, |(resource, _)| resource)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Thing(&'static str, &'static str);

    impl Audited for Thing {
        fn fields(&self) -> Vec<(&'static str, Value, Care)> {
            vec![("name", json!(self.0), Care::Plain), ("secret", json!(self.1), Care::Masked)]
        }
    }

    #[test]
    fn only_what_differs_is_told_and_no_secret_ever() {
        let same = Changes::between(&Thing("a", "x"), &Thing("a", "x"));
        assert!(same.is_empty());
        let changed = Changes::between(&Thing("a", "x"), &Thing("b", "y")).into_json();
        assert_eq!(changed, json!({ "name": { "old": "a", "new": "b" }, "secret": { "changed": true } }));
        let created = Changes::created(&Thing("a", "canary")).into_json().to_string();
        assert!(!created.contains("canary"), "{created}");
    }
}
