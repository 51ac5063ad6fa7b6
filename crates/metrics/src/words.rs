//! The words that labels may have.

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$each:meta])* $variant:ident = $word:literal),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$each])* $variant,)+ }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word in the label.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }
    )+};
}

words! {
    /// What was found alive although nobody answers for it.
    OrphanKind {
        /// A shim that no live row claims.
        Shim = "shim",
        /// A process of an instance whose shim is gone.
        Process = "process",
    }
    /// Where in its life an instance with an owner is.
    Phase {
        /// A launch is under way.
        Starting = "starting",
        /// The gateway leads to it.
        Running = "running",
        /// It is on its way out.
        Ending = "ending",
        /// An earlier run left it, and it is not yet clear what became of it.
        Adopting = "adopting",
    }
    /// What a port of the pool is.
    PortState {
        /// It can be leased.
        Free = "free",
        /// An instance has it.
        Leased = "leased",
        /// It rests.
        Quarantined = "quarantined",
    }
    /// What came of looking at an instance of an earlier run.
    AdoptionOutcome {
        /// It lives, and has an owner again.
        Adopted = "adopted",
        /// It was gone, or was ended, and its row says so.
        Ended = "ended",
        /// Its row had ended already; what was left is removed.
        Removed = "removed",
    }
    /// What is done again and again beside the requests.
    Work {
        /// Deadlines.
        Reaper = "reaper",
        /// Rows against processes.
        Reconcile = "reconcile",
        /// A batch of sealed values, during a rotation of the master key.
        Rotation = "rotation",
    }
    /// What shims hand over, to become rows.
    Record {
        /// What servers said.
        LogLines = "log_lines",
        /// What calls cost.
        UsageFacts = "usage_facts",
    }
    /// How a request through an access URL was answered.
    GatewayOutcome {
        /// By the instance.
        Forwarded = "forwarded",
        /// No such instance, or not with this token.
        Refused = "refused",
        /// The instance starts, its shim did not answer, or its row could not be read.
        NotReady = "not_ready",
        /// The instance ends or has ended.
        Gone = "gone",
        /// Nothing but the documented paths exists.
        NoSuchPath = "no_such_path",
    }
}
