//! An instance's status, and what may follow it. The tables are here; `docs/lifecycle.md` shows them to people, and
//! a test holds the page against them.
//!
//! ```text
//! launch ─► pending ─► running ─► expired ──renew──────────────────┐
//!              │  ▲        └────► disconnected | stopped | error ─┐ │
//!              │  └─────────────────────────────────restore───────┴─┘
//!              └──► error | disconnected | expired | stopped
//! ```
//! A stopping instance is still `running`, with `stopping_at` set. Delete is possible from every status. Whatever has
//! ended is expired once its deadline has passed.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::era::UnknownWord;
use crate::event::EventType;
use crate::expiry;

/// Where an instance is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InstanceStatus {
    /// The row exists, the server is not ready yet.
    Pending,
    /// The server is ready and reachable.
    Running,
    /// Its time was up.
    Expired,
    /// The server is gone and nobody asked for it.
    Disconnected,
    /// It was asked to leave; the row stays.
    Stopped,
    /// It never became ready, or its crash loop was ended.
    Error,
}

use InstanceStatus::{Disconnected, Error, Expired, Pending, Running, Stopped};

/// What may be asked of an instance that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Ask it to leave; the row stays.
    Stop,
    /// End it now exactly as its deadline would.
    Expire,
    /// Move its deadline.
    Extend,
    /// Replace its access token.
    RotateToken,
    /// Take its access token back, and give none instead.
    RevokeToken,
    /// End its server processes and start afresh; id, URL, token and deadline stay.
    Restart,
    /// Start it again after it was lost, stopped or failed; id, URL, token and deadline stay.
    Restore,
    /// Give it a new deadline after its time was up, and start it again; id, URL and token stay.
    Renew,
    /// Stop it and soft-delete the row.
    Delete,
}

/// What happens to an instance without anybody asking for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Happening {
    /// Its server answers.
    Ready,
    /// Its server did not become ready.
    LaunchFailed,
    /// Its server, or its shim, is gone.
    ServerLost,
    /// Its server ended and was started again, as its type wants it.
    ServerRestarted,
    /// Its server ended too often to be started once more.
    CrashLoopEnded,
    /// Its deadline is near.
    DeadlineNear,
    /// Its deadline has passed.
    DeadlinePassed,
    /// The credential that it holds was replaced.
    CredentialReplaced,
    /// The end of the credential that it holds is near.
    CredentialNearEnd,
    /// It came near one of its limits, or was refused more.
    LimitNear,
    /// Its living shim was taken over after a restart of the service.
    Adopted,
    /// What was left of it was removed.
    Reaped,
}

/// What becomes of an instance's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It is this one from now on.
    Becomes(InstanceStatus),
    /// It stays what it was.
    Stays,
    /// The row is deleted; what still ran was stopped before.
    Gone,
}

/// A line of a table: what, after which statuses, with which consequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition<T: 'static> {
    /// What is asked, or happens.
    pub what: T,
    /// The statuses that it may follow.
    pub from: &'static [InstanceStatus],
    /// What it leads to.
    pub to: Next,
    /// What is recorded.
    pub event: EventType,
}

const fn line<T: Copy>(
    what: T,
    from: &'static [InstanceStatus],
    to: Next,
    event: EventType,
) -> Transition<T> {
    Transition { what, from, to, event }
}

/// Every verb. Restore and renew lead to `pending` because a row that says `running` names a process: their server
/// becomes ready as that of a launch does.
pub const VERBS: [Transition<Verb>; 9] = [
    line(Verb::Stop, &[Pending, Running], Next::Becomes(Stopped), EventType::Stopped),
    line(Verb::Expire, &[Pending, Running], Next::Becomes(Expired), EventType::Expired),
    line(Verb::Extend, &[Running], Next::Stays, EventType::Extended),
    line(Verb::RotateToken, &[Running], Next::Stays, EventType::TokenRotated),
    line(Verb::RevokeToken, &[Running], Next::Stays, EventType::TokenRevoked),
    line(Verb::Restart, &[Running], Next::Stays, EventType::Restarted),
    line(Verb::Restore, &[Disconnected, Stopped, Error], Next::Becomes(Pending), EventType::Restored),
    line(Verb::Renew, &[Expired], Next::Becomes(Pending), EventType::Renewed),
    line(Verb::Delete, &InstanceStatus::ALL, Next::Gone, EventType::Deleted),
];

/// Everything that happens by itself.
pub const HAPPENINGS: [Transition<Happening>; 12] = [
    line(Happening::Ready, &[Pending], Next::Becomes(Running), EventType::Started),
    line(Happening::LaunchFailed, &[Pending], Next::Becomes(Error), EventType::Error),
    line(Happening::ServerLost, &[Pending, Running], Next::Becomes(Disconnected), EventType::Disconnected),
    line(Happening::ServerRestarted, &[Running], Next::Stays, EventType::Restarted),
    line(Happening::CrashLoopEnded, &[Running], Next::Becomes(Error), EventType::Error),
    line(Happening::DeadlineNear, &[Running], Next::Stays, EventType::Expiring),
    line(
        Happening::DeadlinePassed,
        &[Pending, Running, Disconnected, Stopped, Error],
        Next::Becomes(Expired),
        EventType::Expired,
    ),
    line(Happening::CredentialReplaced, &[Pending, Running], Next::Stays, EventType::CredentialReplaced),
    line(Happening::CredentialNearEnd, &[Pending, Running], Next::Stays, EventType::CredentialExpiring),
    line(Happening::LimitNear, &[Running], Next::Stays, EventType::LimitReached),
    line(Happening::Adopted, &[Pending, Running], Next::Stays, EventType::Adopted),
    line(Happening::Reaped, &[Expired, Disconnected, Stopped, Error], Next::Stays, EventType::Reaped),
];

impl InstanceStatus {
    /// All of them.
    pub const ALL: [Self; 6] = [Pending, Running, Expired, Disconnected, Stopped, Error];

    /// The word used in rows and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Expired => "expired",
            Self::Disconnected => "disconnected",
            Self::Stopped => "stopped",
            Self::Error => "error",
        }
    }

    /// Whether the instance holds a port and counts against its owner's quota.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Pending | Self::Running)
    }

    /// Whether a verb may follow this status; the refusal names both. Knows nothing of the deadline: `Standing` does.
    pub fn permits(self, verb: Verb) -> Result<(), InvalidTransition> {
        let allowed = VERBS.iter().any(|line| line.what == verb && line.from.contains(&self));
        if allowed { Ok(()) } else { Err(InvalidTransition { status: self, verb }) }
    }

    /// The status after something happened by itself; none if that cannot happen to such an instance.
    pub fn after(self, happening: Happening) -> Option<Self> {
        let line = HAPPENINGS.iter().find(|line| line.what == happening && line.from.contains(&self))?;
        match line.to {
            Next::Becomes(status) => Some(status),
            Next::Stays => Some(self),
            Next::Gone => None,
        }
    }
}

impl std::fmt::Display for InstanceStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for InstanceStatus {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == word)
            .ok_or_else(|| UnknownWord { noun: "status", word: word.to_owned() })
    }
}

impl Verb {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Stop,
        Self::Expire,
        Self::Extend,
        Self::RotateToken,
        Self::RevokeToken,
        Self::Restart,
        Self::Restore,
        Self::Renew,
        Self::Delete,
    ];

    /// The word of commands and URLs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Expire => "expire",
            Self::Extend => "extend",
            Self::RotateToken => "rotate-token",
            Self::RevokeToken => "revoke-token",
            Self::Restart => "restart",
            Self::Restore => "restore",
            Self::Renew => "renew",
            Self::Delete => "delete",
        }
    }
}

impl Verb {
    /// What is recorded when it is done.
    pub fn event(self) -> EventType {
        VERBS.iter().find(|line| line.what == self).map_or(EventType::Error, |line| line.event)
    }
}

impl std::fmt::Display for Verb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::RotateToken => "rotate the token of",
            Self::RevokeToken => "revoke the token of",
            verb => verb.as_str(),
        })
    }
}

impl Happening {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Ready,
        Self::LaunchFailed,
        Self::ServerLost,
        Self::ServerRestarted,
        Self::CrashLoopEnded,
        Self::DeadlineNear,
        Self::DeadlinePassed,
        Self::CredentialReplaced,
        Self::CredentialNearEnd,
        Self::LimitNear,
        Self::Adopted,
        Self::Reaped,
    ];

    /// What it is called in the documentation.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::LaunchFailed => "launch failed",
            Self::ServerLost => "server lost",
            Self::ServerRestarted => "server restarted",
            Self::CrashLoopEnded => "crash loop ended",
            Self::DeadlineNear => "deadline near",
            Self::DeadlinePassed => "deadline passed",
            Self::CredentialReplaced => "credential replaced",
            Self::CredentialNearEnd => "credential near its end",
            Self::LimitNear => "limit near or reached",
            Self::Adopted => "adopted",
            Self::Reaped => "reaped",
        }
    }
}

/// What an instance is at one moment: its row, corrected by its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    row: InstanceStatus,
    is_past_deadline: bool,
}

impl Standing {
    /// Looks at a row.
    pub fn of(row: InstanceStatus, expires_at: OffsetDateTime, now: OffsetDateTime) -> Self {
        Self { row, is_past_deadline: expiry::is_due(expires_at, now) }
    }

    /// The status that counts: once the deadline has passed, expired, whatever the row still says. A pending instance
    /// stays pending, because the launch that is under way is what ends it: were it taken for expired, it could be
    /// renewed, and started a second time beside the first.
    pub const fn status(self) -> InstanceStatus {
        match self.row {
            Pending => Pending,
            Running | Disconnected | Stopped | Error if self.is_past_deadline => Expired,
            row => row,
        }
    }

    /// Whether a verb may follow now.
    pub fn permits(self, verb: Verb) -> Result<(), InvalidTransition> {
        self.status().permits(verb)
    }

    /// Whether its time is up and its processes may still be ending: it may be renewed, but not started before its row
    /// has ended.
    pub const fn is_still_ending(self) -> bool {
        self.row.is_live() && !self.status().is_live()
    }
}

/// A verb was asked of an instance whose status does not permit it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot {verb} an instance that is {status}{}", Hint(self.instead()))]
pub struct InvalidTransition {
    /// What the instance is.
    pub status: InstanceStatus,
    /// What was asked.
    pub verb: Verb,
}

impl InvalidTransition {
    /// The verb that does what was wanted, if there is one.
    pub const fn instead(self) -> Option<Verb> {
        match (self.verb, self.status) {
            (Verb::Extend | Verb::Restart | Verb::Restore, Expired) => Some(Verb::Renew),
            (Verb::Restart | Verb::Renew, Disconnected | Stopped | Error) => Some(Verb::Restore),
            (Verb::Restore, Running) => Some(Verb::Restart),
            (Verb::Renew, Running) => Some(Verb::Extend),
            _ => None,
        }
    }
}

/// The end of a refusal.
struct Hint(Option<Verb>);

impl std::fmt::Display for Hint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(verb) => write!(f, "; use {}", verb.as_str()),
            None => Ok(()),
        }
    }
}
