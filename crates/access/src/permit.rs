//! Permits: the right to do one thing, as a value that the doing function must be given.
//!
//! Fields are private and only `Caller` makes one, so code without a permit does not compile.

use roadstead_model::{Actor, OrganizationId, ProjectId, Scopes, UserId};

/// Whose rows a permit reaches. What lies outside does not exist for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visible {
    /// Only one user's.
    Own(UserId),
    /// Everybody's: platform admins.
    All,
}

impl Visible {
    /// The owner that rows must have; none when all are visible.
    pub const fn owner(self) -> Option<UserId> {
        match self {
            Self::Own(user) => Some(user),
            Self::All => None,
        }
    }
}

/// The right to launch instances for one user.
#[derive(Debug)]
#[must_use]
pub struct LaunchPermit {
    pub(crate) owner: UserId,
    pub(crate) organization: OrganizationId,
    pub(crate) project: ProjectId,
    pub(crate) actor: Actor,
}

impl LaunchPermit {
    /// Who will own the instance.
    pub const fn owner(&self) -> UserId {
        self.owner
    }

    /// The organisation it will belong to.
    pub const fn organization(&self) -> OrganizationId {
        self.organization
    }

    /// The project it will belong to.
    pub const fn project(&self) -> ProjectId {
        self.project
    }

    /// Who launches, for the events.
    pub const fn actor(&self) -> &Actor {
        &self.actor
    }
}

macro_rules! reaching_permits {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        #[must_use]
        pub struct $name {
            pub(crate) visible: Visible,
            pub(crate) actor: Actor,
        }

        impl $name {
            /// Whose rows it reaches.
            pub const fn visible(&self) -> Visible {
                self.visible
            }

            /// Who acts, for the events.
            pub const fn actor(&self) -> &Actor {
                &self.actor
            }
        }
    )+};
}

reaching_permits! {
    /// The right to see or change instances.
    InstancePermit,
    /// The right to see or change credentials.
    CredentialPermit,
}

/// The right to see, make or revoke API keys; a new key may carry at most the caller's own scopes.
#[derive(Debug)]
#[must_use]
pub struct KeyPermit {
    pub(crate) visible: Visible,
    pub(crate) user: UserId,
    pub(crate) grantable: Scopes,
}

impl KeyPermit {
    /// Whose keys it reaches.
    pub const fn visible(&self) -> Visible {
        self.visible
    }

    /// The user who acts.
    pub const fn user(&self) -> UserId {
        self.user
    }

    /// The scopes that a new key may carry.
    pub const fn grantable(&self) -> &Scopes {
        &self.grantable
    }
}

/// The right to see server types.
#[derive(Debug)]
#[must_use]
pub struct TypeReadPermit(pub(crate) ());

/// The right of a platform admin: types, users, settings, the port pool.
#[derive(Debug)]
#[must_use]
pub struct AdminPermit {
    pub(crate) actor: Actor,
}

impl AdminPermit {
    /// Who acts.
    pub const fn actor(&self) -> &Actor {
        &self.actor
    }
}
