//! How well an instance is confined: what was put up around its servers, and the level that this makes.

use serde::{Deserialize, Serialize};

use crate::era::UnknownWord;

/// The least version of Landlock with which files, TCP ports, signals and abstract sockets are all walled.
pub const LEAST_LANDLOCK_ABI: u8 = 6;

/// What an operator may count on, from nothing to everything. Ordered: a higher level promises all of the lower ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConfinementLevel {
    /// An ordinary child process.
    #[default]
    None,
    /// It cannot gain rights, and system calls that no server needs are refused.
    Basic,
    /// It can neither reach another instance nor us: files, processes, ports and sockets are walled.
    Strong,
    /// Besides, it has a user of its own and its share of the machine is enforced by the kernel.
    Full,
}

impl ConfinementLevel {
    /// All of them, the weakest first.
    pub const ALL: [Self; 4] = [Self::None, Self::Basic, Self::Strong, Self::Full];

    /// The word used in rows and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Basic => "basic",
            Self::Strong => "strong",
            Self::Full => "full",
        }
    }
}

impl std::fmt::Display for ConfinementLevel {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.as_str())
    }
}

impl std::str::FromStr for ConfinementLevel {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|level| level.as_str() == word)
            .ok_or_else(|| UnknownWord { noun: "confinement level", word: word.to_owned() })
    }
}

/// What was really put up around an instance's servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "each is there or not, whatever the others are")]
pub struct Mechanisms {
    /// No program that it starts gains rights.
    pub no_new_privileges: bool,
    /// System calls that no server needs are refused.
    pub seccomp: bool,
    /// The version of Landlock whose rules are in force; 0 for none.
    pub landlock_abi: u8,
    /// A user that no other instance has.
    pub own_user: bool,
    /// PID and mount namespaces in which neither other processes nor other instances' folders exist.
    pub namespace: bool,
    /// A control group that limits all its processes together.
    pub cgroup: bool,
}

impl Mechanisms {
    /// What they promise together.
    pub const fn level(&self) -> ConfinementLevel {
        if !self.no_new_privileges || !self.seccomp {
            return ConfinementLevel::None;
        }
        // Landlock says nothing of `chmod`, watches or priorities: processes of one user are apart only where they
        // cannot name each other's files and numbers.
        if self.landlock_abi < LEAST_LANDLOCK_ABI || !(self.own_user || self.namespace) {
            return ConfinementLevel::Basic;
        }
        if self.own_user && self.cgroup { ConfinementLevel::Full } else { ConfinementLevel::Strong }
    }

    /// What is missing for a level, for people.
    pub fn lacking(&self, wanted: ConfinementLevel) -> Vec<&'static str> {
        let strong = wanted >= ConfinementLevel::Strong;
        let full = wanted == ConfinementLevel::Full;
        let wants = [
            (wanted > ConfinementLevel::None && !self.no_new_privileges, "no_new_privs"),
            (wanted > ConfinementLevel::None && !self.seccomp, "seccomp"),
            (strong && self.landlock_abi < LEAST_LANDLOCK_ABI, "Landlock of ABI 6 or newer (Linux 6.12)"),
            (
                strong && !full && !self.own_user && !self.namespace,
                "a user of its own (run as root) or user namespaces",
            ),
            (full && !self.own_user, "a user of its own (run as root)"),
            (full && !self.cgroup, "a control group with its limits"),
        ];
        wants.into_iter().filter(|(is_lacking, _)| *is_lacking).map(|(_, what)| what).collect()
    }
}

/// How a limit is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Held {
    /// By the kernel, at every moment.
    Enforced,
    /// By a look every few seconds: what is found above it is ended.
    Sampled,
    /// By nobody.
    #[default]
    Absent,
}

impl Held {
    /// The word used in rows and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforced => "enforced",
            Self::Sampled => "sampled",
            Self::Absent => "absent",
        }
    }
}

/// How each limit of an instance is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LimitsHeld {
    /// Memory of all its processes.
    pub memory: Held,
    /// Processor time of all its processes.
    pub cpu: Held,
    /// Its processes and threads.
    pub processes: Held,
    /// Open files of each process.
    pub open_files: Held,
    /// The size of each file written.
    pub file_size: Held,
    /// What its folder takes of the disk.
    pub disk: Held,
}

/// How an instance is confined, as its row keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Confinement {
    /// What an operator may count on.
    pub level: ConfinementLevel,
    /// What makes it so.
    pub mechanisms: Mechanisms,
    /// How its limits are held.
    pub limits: LimitsHeld,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every() -> impl Iterator<Item = Mechanisms> {
        let bit = |number: u32, place: u32| number >> place & 1 == 1;
        (0..32).flat_map(move |number| {
            (0..10).map(move |landlock_abi| Mechanisms {
                no_new_privileges: bit(number, 0),
                seccomp: bit(number, 1),
                landlock_abi,
                own_user: bit(number, 2),
                namespace: bit(number, 3),
                cgroup: bit(number, 4),
            })
        })
    }

    #[test]
    fn a_level_is_reached_exactly_when_nothing_is_lacking_for_it() {
        for mechanisms in every() {
            for level in ConfinementLevel::ALL {
                let reached = mechanisms.level() >= level;
                assert_eq!(reached, mechanisms.lacking(level).is_empty(), "{mechanisms:?} {level}");
            }
        }
    }

    #[test]
    fn one_user_for_all_is_never_strong_without_namespaces() {
        for mechanisms in every().filter(|it| !it.own_user && !it.namespace) {
            assert!(mechanisms.level() < ConfinementLevel::Strong, "{mechanisms:?}");
        }
    }

    #[test]
    fn words_are_read_as_they_are_written() {
        for level in ConfinementLevel::ALL {
            assert_eq!(level.as_str().parse(), Ok(level));
        }
        assert!("Strong".parse::<ConfinementLevel>().is_err());
    }
}
