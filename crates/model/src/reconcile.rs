//! What to do about an instance when its row, its run folder and its shim are compared: after a restart of the service,
//! and again and again afterwards. Pure: who looks, and who acts on a decision, is elsewhere.
//!
//! ```text
//!                      │ no row            │ row has ended     │ row is live
//! ─────────────────────┼───────────────────┼───────────────────┼──────────────────────────────────────────────
//! foreign folder       │ refuse to start, touch nothing
//! owned by us          │ 2nd look: end it  │ 2nd look: end it  │ leave
//! shim proved itself   │ 2nd look: end it  │ end it            │ adopt
//! shim lives, is mute  │ 2nd look: end it  │ end it            │ wait; end it when its time is up, or silent for long
//! shim is gone         │ remove the folder │ remove the folder │ store its record, or end the row; wait if young
//! nothing of it        │ leave             │ leave             │ end the row; wait if young
//! ```
//!
//! Whoever looks reads the folder first, then asks the shim, and reads the row last. A row is written before its process
//! exists, and ends after its process: in this order a living shim without a live row is no launch that was just begun.
//!
//! Whoever acts removes what is left of an instance's processes, wherever they are, before ending its row or removing
//! its folder; stores what the shim said last before the folder goes; and lets every decision about a shim apply to the
//! process that was looked at (number and start time), not to whichever has its place by then.

#[cfg(test)]
mod tests;

use std::time::Duration;

use time::OffsetDateTime;

use crate::era::UnknownWord;
use crate::expiry;
use crate::instance::InstanceStatus;

/// Looks at a living shim that nothing claims before it is ended: one look may be a mistake of the looker's.
const LOOKS_BEFORE_END: u32 = 2;
/// Looks at a silent shim before it is ended: a machine that sleeps, swaps or is overloaded gets minutes.
const LOOKS_AT_SILENCE: u32 = 10;
/// A row this young may belong to a launch whose process is about to exist.
const SETTLING: Duration = Duration::from_secs(5);

/// Everything that is known about one instance at one look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// What its row says.
    pub row: Row,
    /// What its run folder says.
    pub folder: Folder,
    /// What its shim says.
    pub contact: Contact,
}

/// What a row says. One that is deleted has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row {
    /// There is none.
    Nothing,
    /// The instance has ended.
    Ended,
    /// The instance lives.
    Live(LiveRow),
}

/// A row that is pending or running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveRow {
    /// Which of the two.
    pub phase: Phase,
    /// Whether its time is up.
    pub deadline: Deadline,
    /// Whether its process may be about to exist.
    pub age: Age,
    /// Of deadline and token.
    pub generation: u64,
}

/// How far a live instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Not ready.
    Pending,
    /// Ready.
    Running,
}

/// Where a deadline is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deadline {
    /// There is time left.
    Ahead,
    /// The time is up.
    Passed,
}

/// How long ago an instance began, or began again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// Just now.
    Young,
    /// Long enough ago for its process to exist.
    Settled,
}

/// What a run folder says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folder {
    /// There is none, or nothing readable in it.
    Nothing,
    /// It belongs to another installation.
    Foreign,
    /// It is ours.
    Own(OwnFolder),
}

/// A run folder of this installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnFolder {
    /// How far its shim came.
    pub stage: Stage,
    /// When it was written.
    pub boot: Boot,
    /// Whether the process that it names lives: one of that number that began at that time.
    pub process: Process,
    /// What is written about the end.
    pub record: Record,
}

/// How far a shim came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The supervisor's note alone: the shim was started, but listens to nobody yet.
    Noted,
    /// The shim's own state: it may be asked.
    Bound,
}

/// During which boot of the machine something was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boot {
    /// This one.
    This,
    /// Another: the process numbers of that time mean nothing now.
    Other,
}

/// Whether a process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    /// It does.
    Alive,
    /// It does not.
    Gone,
}

/// What is written about an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// Nothing.
    Absent,
    /// Why it is being ended; not that it has.
    Begun,
    /// How it ended.
    Complete,
}

/// What came of a connection to the shim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contact {
    /// This process holds one already: it launches the instance, or watches over it.
    Owned,
    /// None was tried.
    NotTried,
    /// It answers, but to another secret.
    Refused,
    /// It does not answer.
    Silent,
    /// It proved itself.
    Proved {
        /// What it says of itself.
        status: ShimStatus,
        /// Its generation of deadline and token.
        generation: u64,
    },
}

/// What a shim says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShimStatus {
    /// Its server is not ready.
    Pending,
    /// Its server is ready.
    Running,
    /// It is ending.
    Ending,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Take the living shim over.
    Adopt {
        /// As what.
        how: Adoption,
        /// The generation under which deadline and token are pushed before anything else, if they differ. Where it is
        /// not the row's own, the row's must be raised to it first: the shim has seen newer ones than the row, which
        /// an older state of the database explains, and would refuse what is older.
        push: Option<u64>,
    },
    /// Nothing yet: look again.
    Wait,
    /// End the row.
    EndRow {
        /// What it becomes.
        status: InstanceStatus,
        /// Why.
        message: &'static str,
    },
    /// End the row as the exit record says.
    StoreRecord,
    /// End the shim and all below it: asked if it proved itself, by signals if not.
    EndShim {
        /// Why.
        reason: EndReason,
    },
    /// Remove the run folder.
    RemoveFolder,
    /// Touch nothing, and do not start: with a wrong database, all that runs would look like nobody's. Once the service
    /// runs, it merely says so.
    RefuseStart,
    /// Nothing.
    Leave,
}

/// As what a living shim is taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adoption {
    /// Its row is right: send callers to it.
    Serve,
    /// Its launch was cut short between ready and the row: the row becomes running, then as above.
    Publish,
    /// Its launch goes on: wait for its server as a launch does.
    AwaitReady,
    /// Its time was up: end it as its deadline does, with grace for what is in flight.
    Expire,
    /// It is ending: hear how.
    SeeOut,
}

/// Why a shim is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndReason {
    /// No row claims it.
    #[error("no row claims it")]
    NoRow,
    /// Its row has ended.
    #[error("its row has ended")]
    RowEnded,
    /// Its row's time is up, and it neither ended by itself nor can be told to.
    #[error("its time is up and it did not end by itself")]
    TimeIsUp,
    /// It lives but has not answered for long: its callers are not answered either.
    #[error("it has not answered for too long")]
    Silent,
}

/// How often in a row one instance was looked at with the same doubt. Kept per instance by whoever looks, from one
/// decision to the next; the first begins with the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Streak {
    doubt: Option<EndReason>,
    looks: u32,
}

/// Decides about one instance.
pub fn decide(seen: &Seen, streak: Streak) -> (Decision, Streak) {
    match judge(seen) {
        Verdict::Clear(decision) => (decision, Streak::default()),
        Verdict::Doubt(reason) => {
            let streak = streak.and(reason);
            let is_sure = streak.looks >= reason.looks();
            (if is_sure { Decision::EndShim { reason } } else { Decision::Wait }, streak)
        }
    }
}

/// What one look says by itself.
enum Verdict {
    /// Enough to act on.
    Clear(Decision),
    /// Enough to end the shim if it is seen again.
    Doubt(EndReason),
}

/// What there is of a shim: folder and contact together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shim {
    Foreign,
    Owned,
    Proved { status: ShimStatus, generation: u64 },
    Mute(Mute),
    Gone { how: Gone, record: Record },
}

/// How a living shim does not speak to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mute {
    NotTried,
    Refused,
    Silent,
}

/// How a shim is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gone {
    WithoutTrace,
    Rebooted,
    Died,
}

fn judge(seen: &Seen) -> Verdict {
    use Verdict::{Clear, Doubt};
    match (Shim::of(seen.folder, seen.contact), seen.row) {
        (Shim::Foreign, Row::Nothing | Row::Ended | Row::Live(_)) => Clear(Decision::RefuseStart),
        (Shim::Owned, Row::Live(_)) => Clear(Decision::Leave),
        // As a rule its owner has just written that end, and is about to let go.
        (Shim::Owned, Row::Ended) => Doubt(EndReason::RowEnded),
        (Shim::Owned | Shim::Proved { .. } | Shim::Mute(_), Row::Nothing) => Doubt(EndReason::NoRow),
        (Shim::Proved { .. } | Shim::Mute(_), Row::Ended) => {
            Clear(Decision::EndShim { reason: EndReason::RowEnded })
        }
        (Shim::Proved { status, generation }, Row::Live(row)) => Clear(adopt(row, status, generation)),
        (Shim::Mute(mute), Row::Live(row)) => about_mute(mute, row.deadline),
        (Shim::Gone { how, record }, Row::Live(row)) => Clear(about_gone(how, record, row)),
        (Shim::Gone { how, .. }, Row::Nothing | Row::Ended) => Clear(about_rest(how)),
    }
}

const fn about_rest(how: Gone) -> Decision {
    match how {
        Gone::WithoutTrace => Decision::Leave,
        Gone::Rebooted | Gone::Died => Decision::RemoveFolder,
    }
}

fn adopt(row: LiveRow, status: ShimStatus, generation: u64) -> Decision {
    let how = match (status, row.deadline, row.phase) {
        (ShimStatus::Ending, Deadline::Ahead | Deadline::Passed, Phase::Pending | Phase::Running) => {
            Adoption::SeeOut
        }
        (ShimStatus::Pending | ShimStatus::Running, Deadline::Passed, Phase::Pending | Phase::Running) => {
            Adoption::Expire
        }
        (ShimStatus::Pending, Deadline::Ahead, Phase::Pending) => Adoption::AwaitReady,
        (ShimStatus::Running, Deadline::Ahead, Phase::Pending) => Adoption::Publish,
        // Pending: its server is being started again; the shim knows what to tell callers until then.
        (ShimStatus::Pending | ShimStatus::Running, Deadline::Ahead, Phase::Running) => Adoption::Serve,
    };
    let push = match how {
        // What ends needs neither a deadline nor a token.
        Adoption::SeeOut | Adoption::Expire => None,
        Adoption::Serve | Adoption::Publish | Adoption::AwaitReady => {
            generation_to_push(row.generation, generation)
        }
    };
    Decision::Adopt { how, push }
}

/// The rows are the truth, however old: a shim that has seen newer ones is told under a number beyond its own.
fn generation_to_push(row: u64, shim: u64) -> Option<u64> {
    match row.cmp(&shim) {
        std::cmp::Ordering::Equal => None,
        std::cmp::Ordering::Greater => Some(row),
        std::cmp::Ordering::Less => Some(shim.saturating_add(1)),
    }
}

fn about_mute(mute: Mute, deadline: Deadline) -> Verdict {
    match (mute, deadline) {
        // One that refuses us serves callers on its own port, and ends by itself. Were it ended for the secret, a data
        // folder with a wrong key would end every instance.
        (Mute::NotTried, Deadline::Ahead | Deadline::Passed) | (Mute::Refused, Deadline::Ahead) => {
            Verdict::Clear(Decision::Wait)
        }
        (Mute::Silent, Deadline::Ahead) => Verdict::Doubt(EndReason::Silent),
        (Mute::Refused | Mute::Silent, Deadline::Passed) => Verdict::Doubt(EndReason::TimeIsUp),
    }
}

fn about_gone(how: Gone, record: Record, row: LiveRow) -> Decision {
    match (record, row.deadline, row.age) {
        // A record that was begun says why it was ended, and now it is.
        (Record::Begun | Record::Complete, Deadline::Ahead | Deadline::Passed, Age::Young | Age::Settled) => {
            Decision::StoreRecord
        }
        (Record::Absent, Deadline::Passed, Age::Young | Age::Settled) => Decision::EndRow {
            status: InstanceStatus::Expired,
            message: "its time was up while nobody watched over it",
        },
        (Record::Absent, Deadline::Ahead, Age::Young) => Decision::Wait,
        (Record::Absent, Deadline::Ahead, Age::Settled) => lost(row.phase, how),
    }
}

fn lost(phase: Phase, how: Gone) -> Decision {
    let (status, message) = match (phase, how) {
        (Phase::Pending, Gone::WithoutTrace) => {
            (InstanceStatus::Error, "its launch was cut short before its shim began")
        }
        (Phase::Pending, Gone::Rebooted) => {
            (InstanceStatus::Error, "its launch was cut short when the machine was started again")
        }
        (Phase::Pending, Gone::Died) => {
            (InstanceStatus::Error, "its launch was cut short: its shim is gone and left no record")
        }
        (Phase::Running, Gone::WithoutTrace) => {
            (InstanceStatus::Disconnected, "its shim is gone without a trace")
        }
        (Phase::Running, Gone::Rebooted) => {
            (InstanceStatus::Disconnected, "the machine was started again, which ended it")
        }
        (Phase::Running, Gone::Died) => (InstanceStatus::Disconnected, "its shim is gone and left no record"),
    };
    Decision::EndRow { status, message }
}

impl Shim {
    const fn of(folder: Folder, contact: Contact) -> Self {
        match (folder, contact) {
            (Folder::Foreign, _) => Self::Foreign,
            (Folder::Nothing | Folder::Own(_), Contact::Owned) => Self::Owned,
            // Who knows the secret is the shim, whatever is, or is not, written about it.
            (Folder::Nothing | Folder::Own(_), Contact::Proved { status, generation }) => {
                Self::Proved { status, generation }
            }
            (Folder::Nothing, Contact::NotTried | Contact::Refused | Contact::Silent) => {
                Self::Gone { how: Gone::WithoutTrace, record: Record::Absent }
            }
            (
                Folder::Own(OwnFolder { boot: Boot::This, process: Process::Alive, stage, .. }),
                Contact::NotTried | Contact::Refused | Contact::Silent,
            ) => Self::Mute(Mute::of(stage, contact)),
            // A process of another boot that seems to live is somebody else's, with the same number.
            (
                Folder::Own(OwnFolder { boot: Boot::Other, record, .. }),
                Contact::NotTried | Contact::Refused | Contact::Silent,
            ) => Self::Gone { how: Gone::Rebooted, record },
            (
                Folder::Own(OwnFolder { boot: Boot::This, process: Process::Gone, record, .. }),
                Contact::NotTried | Contact::Refused | Contact::Silent,
            ) => Self::Gone { how: Gone::Died, record },
        }
    }
}

impl Mute {
    const fn of(stage: Stage, contact: Contact) -> Self {
        match (stage, contact) {
            (Stage::Bound, Contact::NotTried) => Self::NotTried,
            (_, Contact::Refused) => Self::Refused,
            // A shim that is not bound cannot be tried: what counts is that it does not get there.
            (Stage::Noted, Contact::NotTried)
            | (_, Contact::Silent | Contact::Owned | Contact::Proved { .. }) => Self::Silent,
        }
    }
}

impl EndReason {
    const fn looks(self) -> u32 {
        match self {
            Self::NoRow | Self::RowEnded | Self::TimeIsUp => LOOKS_BEFORE_END,
            Self::Silent => LOOKS_AT_SILENCE,
        }
    }
}

impl Streak {
    /// One look more. Another doubt than last time counts from the beginning.
    fn and(self, doubt: EndReason) -> Self {
        let before = if self.doubt == Some(doubt) { self.looks } else { 0 };
        Self { doubt: Some(doubt), looks: before.saturating_add(1) }
    }
}

impl Row {
    /// A row that exists. `began_at` is when it was written, restored or renewed.
    pub fn of(
        status: InstanceStatus,
        generation: u64,
        expires_at: OffsetDateTime,
        began_at: OffsetDateTime,
        now: OffsetDateTime,
    ) -> Self {
        let phase = match status {
            InstanceStatus::Pending => Phase::Pending,
            InstanceStatus::Running => Phase::Running,
            InstanceStatus::Expired
            | InstanceStatus::Disconnected
            | InstanceStatus::Stopped
            | InstanceStatus::Error => return Self::Ended,
        };
        let deadline = if expiry::is_due(expires_at, now) { Deadline::Passed } else { Deadline::Ahead };
        // From the future, as after a step of the clock: no younger than what is from as far in the past.
        let age = if (now - began_at).unsigned_abs() < SETTLING { Age::Young } else { Age::Settled };
        Self::Live(LiveRow { phase, deadline, age, generation })
    }
}

impl ShimStatus {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Running, Self::Ending];

    /// The word in a shim's messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Ending => "ending",
        }
    }
}

impl std::str::FromStr for ShimStatus {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == word)
            .ok_or_else(|| UnknownWord { noun: "status of a shim", word: word.to_owned() })
    }
}
