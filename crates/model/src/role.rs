//! What a person is to an organisation, and whose rows they see.

use serde::{Deserialize, Serialize};

use crate::era::UnknownWord;
use crate::{OrganizationId, UserId};

/// What a member may do within an organisation. The table of `docs/permissions.md` says what each is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Watches: sees what is the organisation's and changes nothing.
    Viewer,
    /// Works: sees and changes what is their own.
    Member,
    /// Manages members, projects and what is the organisation's.
    Admin,
    /// Owns the organisation: gives and takes ownership, and ends it.
    Owner,
}

impl Role {
    /// All of them, the least first.
    pub const ALL: &'static [Self] = &[Self::Viewer, Self::Member, Self::Admin, Self::Owner];

    /// The word used in rows and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }
}

impl std::str::FromStr for Role {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        let found = Self::ALL.iter().copied().find(|role| role.as_str() == word);
        found.ok_or_else(|| UnknownWord { noun: "role", word: word.to_owned() })
    }
}

/// How far a caller sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reach {
    /// Their own rows within one organisation.
    Own,
    /// Every row of one organisation.
    Organization,
    /// Every row there is.
    All,
}

impl Reach {
    /// The word that the database's policies compare with.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Organization => "organization",
            Self::All => "all",
        }
    }
}

/// Whose eyes a statement looks through. The database holds a transaction for a caller to it, whatever its statements say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// The caller.
    pub user: UserId,
    /// The organisation that the caller acts in.
    pub organization: OrganizationId,
    /// How far they see.
    pub reach: Reach,
}

impl View {
    /// The owner that rows must have; none when others' are seen as well.
    pub const fn owner(&self) -> Option<UserId> {
        match self.reach {
            Reach::Own => Some(self.user),
            Reach::Organization | Reach::All => None,
        }
    }

    /// The organisation that rows must belong to; none when all are seen.
    pub const fn within(&self) -> Option<OrganizationId> {
        match self.reach {
            Reach::Own | Reach::Organization => Some(self.organization),
            Reach::All => None,
        }
    }
}
