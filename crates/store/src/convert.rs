//! Columns to values and back, where the two have different types.

use roadstead_model::{Actor, Port};
use time::OffsetDateTime;
use uuid::Uuid;

/// A SHA-256 from its column.
pub(crate) fn hash(bytes: &[u8]) -> Result<[u8; 32], String> {
    bytes.try_into().map_err(|_| format!("a hash of {} bytes", bytes.len()))
}

/// A port from its column.
pub(crate) fn port(number: i32) -> Result<Port, String> {
    u16::try_from(number).ok().and_then(Port::new).ok_or_else(|| format!("{number} is no port"))
}

/// A span as whole seconds.
pub(crate) fn seconds(span: std::time::Duration) -> i64 {
    i64::try_from(span.as_secs()).unwrap_or(i64::MAX)
}

/// A process's number as a column. No kernel gives one that does not fit.
pub(crate) fn process_number(pid: u32) -> i32 {
    i32::try_from(pid).unwrap_or(i32::MAX)
}

/// An address from the text that PostgreSQL makes of it.
pub(crate) fn address(text: Option<&str>) -> Result<Option<std::net::IpAddr>, String> {
    text.map(|text| text.parse().map_err(|_| "an address that cannot be read".to_owned())).transpose()
}

/// The actor of an event as its four columns.
pub(crate) struct ActorColumns<'a> {
    pub user: Option<Uuid>,
    pub api_key: Option<Uuid>,
    pub ip_address: Option<String>,
    pub user_agent: Option<&'a str>,
}

impl<'a> From<&'a Actor> for ActorColumns<'a> {
    fn from(actor: &'a Actor) -> Self {
        Self {
            user: actor.user.map(roadstead_model::UserId::uuid),
            api_key: actor.api_key.map(roadstead_model::ApiKeyId::uuid),
            ip_address: actor.ip_address.map(|address| address.to_string()),
            user_agent: actor.user_agent.as_deref(),
        }
    }
}

/// Ids and the times of their last use, as two arrays, each id once: a statement updates a row only once.
pub(crate) fn latest<K: Ord>(
    uses: impl IntoIterator<Item = (K, OffsetDateTime)>,
) -> (Vec<K>, Vec<OffsetDateTime>) {
    let mut newest = std::collections::BTreeMap::new();
    for (id, at) in uses {
        let entry = newest.entry(id).or_insert(at);
        *entry = at.max(*entry);
    }
    newest.into_iter().unzip()
}
