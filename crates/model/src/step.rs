//! The steps of a launch and of an end, by name: between any two of them a crash may come.

use crate::era::UnknownWord;

macro_rules! steps {
    ($($(#[$doc:meta])* $name:ident = $word:literal),+ $(,)?) => {
        /// A step of a launch or of an end that has been taken.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Step {
            $($(#[$doc])* $name,)+
        }

        impl Step {
            /// All of them, in the order in which they are taken; but the row of a launch that need not wait for its turn is written
            /// beside those up to `LaunchNoted`.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The word used in metrics, and for whoever names a step from outside.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }
        }
    };
}

steps! {
    /// A launch was planned and begins, or a restart comes to its second half. Nothing is held yet.
    LaunchBegun = "launch_begun",
    /// A port is leased and the row says `pending`; in a restart they were never given back.
    RowReserved = "row_reserved",
    /// The server's own folder exists.
    WorkplaceMade = "workplace_made",
    /// The folder for the shim's sockets and records exists.
    RunFolderMade = "run_folder_made",
    /// The control group exists, where there can be one.
    GroupMade = "group_made",
    /// The shim's process exists and has been told nothing.
    ShimSpawned = "shim_spawned",
    /// The run folder names the shim's process.
    LaunchNoted = "launch_noted",
    /// The shim was told what to run, and the secrets.
    SecretsHanded = "secrets_handed",
    /// The shim holds the port and its sockets.
    PortBound = "port_bound",
    /// The server answers.
    ServerReady = "server_ready",
    /// The row says `running`.
    RowRunning = "row_running",
    /// The gateway leads to the shim, and the driver has taken over.
    Published = "published",
    /// Somebody, or the deadline, asked for the end; new callers are turned away.
    EndBegun = "end_begun",
    /// The shim and all that belonged to it are gone.
    ProcessesGone = "processes_gone",
    /// The row says how it ended.
    RowEnded = "row_ended",
    /// What it left on disk is removed.
    FoldersRemoved = "folders_removed",
}

impl Step {
    /// Whether a stretch of the instance's life begins with it.
    pub const fn is_first(self) -> bool {
        matches!(self, Self::LaunchBegun | Self::EndBegun)
    }

    /// Whether it is a step of a launch, not of an end.
    pub const fn is_of_launch(self) -> bool {
        !matches!(self, Self::EndBegun | Self::ProcessesGone | Self::RowEnded | Self::FoldersRemoved)
    }

    /// Whether the next step belongs to another stretch of the instance's life.
    pub const fn is_last(self) -> bool {
        matches!(self, Self::Published | Self::FoldersRemoved)
    }
}

impl std::str::FromStr for Step {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        let named = Self::ALL.iter().copied().find(|step| step.as_str() == word);
        named.ok_or_else(|| UnknownWord { noun: "step", word: word.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_read_by_its_word() {
        for step in Step::ALL {
            assert_eq!(step.as_str().parse(), Ok(*step));
        }
        assert!("half_a_step".parse::<Step>().is_err());
    }
}
