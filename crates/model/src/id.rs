//! Typed identifiers, one list: mixing an instance's id and a user's does not compile.

use rand::Rng;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Clock;

/// A UUIDv7 from the parts given, so that ids sort by creation and tests can repeat them.
fn uuid_v7(clock: &dyn Clock, rng: &mut (impl Rng + ?Sized)) -> Uuid {
    let mut random = [0_u8; 10];
    rng.fill_bytes(&mut random);
    let nanos = clock.now().unix_timestamp_nanos();
    let millis = u64::try_from(nanos / 1_000_000).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new UUIDv7.
            pub fn new(clock: &dyn Clock, rng: &mut (impl Rng + ?Sized)) -> Self {
                Self(uuid_v7(clock, rng))
            }

            /// The id that a row or a request named.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The bytes of the UUID, for what is bound to a row.
            pub const fn uuid_bytes(&self) -> &[u8] {
                self.0.as_bytes()
            }

            /// The bare UUID, for a row or a message.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0.hyphenated())
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    )+};
}

ids! {
    /// An API key.
    ApiKeyId,
    /// An entry of the audit log.
    AuditId,
    /// One boot of a machine.
    BootId,
    /// A user's named set of secret values for one server type.
    CredentialId,
    /// A step in an instance's life.
    EventId,
    /// Something made ready to be downloaded.
    ExportId,
    /// One data folder's installation of Roadstead.
    InstallationId,
    /// One running copy of a server type.
    InstanceId,
    /// A line that a server or we said.
    LogId,
    /// A user's place in an organisation.
    MemberId,
    /// A machine that runs instances.
    NodeId,
    /// A group of users.
    OrganizationId,
    /// A part of an organisation that owns instances.
    ProjectId,
    /// One process that reaps, or waits to.
    ReaperId,
    /// One HTTP request to the REST API.
    RequestId,
    /// One decision about a server type.
    ReviewId,
    /// One run over everything that is sealed, to seal it with another master key.
    RotationId,
    /// One run over what is too old to be kept.
    RunId,
    /// A kind of MCP server.
    TypeId,
    /// What one call cost.
    UsageId,
    /// A person, or a program that acts as one.
    UserId,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MockClock;

    #[test]
    fn ids_sort_by_creation() {
        let clock = MockClock::default();
        let mut rng = rand::rngs::SmallRng::from_seed([7; 32]);
        let first = InstanceId::new(&clock, &mut rng);
        clock.advance(std::time::Duration::from_millis(1));
        let second = InstanceId::new(&clock, &mut rng);
        assert!(first < second);
        assert_eq!(first.uuid().get_version_num(), 7);
    }

    use rand::SeedableRng;
}
