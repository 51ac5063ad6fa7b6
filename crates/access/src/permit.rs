//! Permits: the right to do one thing, as a value that the doing function must be given.
//!
//! Fields are private and only `Caller` makes one, so code without a permit does not compile.

use roadstead_model::{
    Actor, AuditOutcome, Changes, NewAudit, Operation, OrganizationId, ProjectId, Role, Scopes, UserId, View,
};
use time::OffsetDateTime;

/// The right to one operation: for whom, how far, and by whom.
#[derive(Debug, Clone)]
#[must_use]
pub struct Permit {
    pub(crate) operation: Operation,
    pub(crate) view: View,
    pub(crate) project: ProjectId,
    pub(crate) role: Role,
    pub(crate) actor: Actor,
}

impl Permit {
    /// What it permits.
    pub const fn operation(&self) -> Operation {
        self.operation
    }

    /// Whose rows it reaches. What lies outside does not exist for the caller.
    pub const fn view(&self) -> View {
        self.view
    }

    /// The user it is for.
    pub const fn user(&self) -> UserId {
        self.view.user
    }

    /// The organisation that the caller acts in.
    pub const fn organization(&self) -> OrganizationId {
        self.view.organization
    }

    /// The project that the caller acts in.
    pub const fn project(&self) -> ProjectId {
        self.project
    }

    /// What the caller is to the organisation.
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Who acts, for events and the audit log.
    pub const fn actor(&self) -> &Actor {
        &self.actor
    }

    /// The audit entry of what was done by it, in the chain of the caller's organisation.
    pub fn entry(&self, resource: &dyn std::fmt::Display, changes: Changes, at: OffsetDateTime) -> NewAudit {
        NewAudit {
            organization: Some(self.view.organization),
            project: Some(self.project),
            actor: self.actor.clone(),
            action: self.operation.action(),
            resource_id: Some(resource.to_string()),
            changes,
            outcome: AuditOutcome::Done,
            sensitive: false,
            retention_days: None,
            at,
        }
    }
}

macro_rules! permits {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone)]
        #[must_use]
        pub struct $name(pub(crate) Permit);

        impl std::ops::Deref for $name {
            type Target = Permit;

            fn deref(&self) -> &Permit {
                &self.0
            }
        }
    )+};
}

permits! {
    /// The right to launch instances for one user.
    LaunchPermit,
    /// The right to see or change instances.
    InstancePermit,
    /// The right to see or change credentials.
    CredentialPermit,
    /// The right to see server types.
    TypeReadPermit,
    /// The right of a platform admin: types, users, settings, the port pool.
    AdminPermit,
}

/// The right to see, make or revoke API keys; a new key may carry at most the caller's own scopes.
#[derive(Debug, Clone)]
#[must_use]
pub struct KeyPermit {
    pub(crate) permit: Permit,
    pub(crate) grantable: Scopes,
}

impl std::ops::Deref for KeyPermit {
    type Target = Permit;

    fn deref(&self) -> &Permit {
        &self.permit
    }
}

impl KeyPermit {
    /// The scopes that a new key may carry.
    pub const fn grantable(&self) -> &Scopes {
        &self.grantable
    }
}
