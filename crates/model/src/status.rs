//! Whether people, and what they share, may act.

use serde::{Deserialize, Serialize};

use crate::era::UnknownWord;

macro_rules! statuses {
    ($($(#[$doc:meta])* $name:ident ($noun:literal) { $($(#[$of:meta])* $status:ident = $word:literal,)+ })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum $name {
            $($(#[$of])* $status,)+
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$status),+];

            /// The word used in rows and JSON.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$status => $word,)+ }
            }
        }

        impl std::str::FromStr for $name {
            type Err = UnknownWord;

            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                let found = Self::ALL.iter().copied().find(|status| status.as_str() == word);
                found.ok_or_else(|| UnknownWord { noun: $noun, word: word.to_owned() })
            }
        }
    )+};
}

statuses! {
    /// What was decided about a server type. Only an approved one is launched.
    TypeStatus ("status of a type") {
        /// Somebody works at it.
        Draft = "draft",
        /// It waits for a platform admin.
        Pending = "pending",
        /// It may be launched.
        #[default]
        Approved = "approved",
        /// A platform admin said no, and why.
        Rejected = "rejected",
        /// It was approved, and is launched no more.
        Deprecated = "deprecated",
    }

    /// How much harm a tool can do, in the eyes of a platform admin.
    RiskLevel ("level of risk") {
        /// Nothing that would have to be undone.
        #[default]
        Low = "low",
        /// What can be undone.
        Medium = "medium",
        /// What others see, or is hard to undo.
        High = "high",
        /// What must never happen by mistake.
        Critical = "critical",
    }

    /// Whether a user may act.
    UserStatus ("status of a user") {
        /// They may.
        #[default]
        Active = "active",
        /// A platform admin has stopped them.
        Suspended = "suspended",
        /// Somebody invited them; no platform admin has let them in yet.
        Invited = "invited",
    }

    /// Whether an organisation may act.
    OrganizationStatus ("status of an organisation") {
        /// It may.
        #[default]
        Active = "active",
        /// A platform admin has stopped it.
        Suspended = "suspended",
        /// It waits for a platform admin.
        Pending = "pending",
    }

    /// What an organisation's member is at the moment.
    MemberStatus ("status of a member") {
        /// They take part.
        #[default]
        Active = "active",
        /// They have not answered the invitation yet.
        Invited = "invited",
        /// An admin of the organisation has stopped them.
        Suspended = "suspended",
    }

    /// What a project permits.
    ProjectStatus ("status of a project") {
        /// Everything.
        #[default]
        Active = "active",
        /// Nothing new is started.
        Paused = "paused",
        /// Only looking, and ending what runs.
        Archived = "archived",
    }
}

impl ProjectStatus {
    /// From the word; what is not known permits only looking.
    pub fn from_word(word: &str) -> Self {
        word.parse().unwrap_or(Self::Archived)
    }

    /// Whether anything new may be started.
    pub const fn permits_starts(self) -> bool {
        matches!(self, Self::Active)
    }
}
