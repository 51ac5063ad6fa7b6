//! The master keys in JSON.

use roadstead_accounts::{MasterKeyState, MasterKeys, RotationRow};
use serde::Serialize;
use serde_json::Value;

use super::rfc3339;

/// The master keys, and the rotation that began last.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct MasterKey {
    /// Where they are kept: `file`, or `environment`, where they can be changed by hand alone.
    pub source: &'static str,
    /// Newest first.
    pub keys: Vec<Key>,
    /// The rotation that began last; null before the first one.
    pub rotation: Option<Rotation>,
}

/// One master key.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Key {
    /// Eight hexadecimal digits, which tell nothing of the key.
    #[schema(example = "0a1b2c3d")]
    pub id: String,
    /// `sealing`: new values are sealed with it; `opening`: it only opens; `missing`: values need it, and it is not there.
    pub state: &'static str,
    /// Values that are sealed with it.
    pub values: u64,
    /// Live instances whose control connection depends on it.
    pub instances: u64,
}

/// A rotation: everything sealed with one key.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Rotation {
    /// Its id.
    pub id: String,
    /// The id of the key that seals everything in the end.
    pub to_key: String,
    /// RFC 3339.
    pub started_at: String,
    /// RFC 3339; null while it is under way.
    pub finished_at: Option<String>,
    /// Values that other keys had sealed when it began. What is deleted meanwhile is never done.
    pub total: u64,
    /// Values sealed anew so far.
    pub done: u64,
    /// Values that did not open. They stay as they are, and keep the rotation from being finished.
    pub failed: u64,
    /// Which, and why: the first few.
    #[schema(value_type = Vec<Object>, example = json!([]))]
    pub failures: Value,
}

impl MasterKey {
    pub(crate) fn new(keys: MasterKeys) -> Self {
        Self {
            source: keys.source.as_str(),
            keys: keys.keys.into_iter().map(Key::new).collect(),
            rotation: keys.rotation.map(Rotation::new),
        }
    }
}

impl Key {
    fn new(key: MasterKeyState) -> Self {
        let state = match (key.is_held, key.seals) {
            (true, true) => "sealing",
            (true, false) => "opening",
            (false, _) => "missing",
        };
        Self { id: key.id.to_string(), state, values: key.values, instances: key.instances }
    }
}

impl Rotation {
    pub(crate) fn new(row: RotationRow) -> Self {
        Self {
            id: row.id.to_string(),
            to_key: roadstead_accounts::KeyId::from_number(row.to_key).to_string(),
            started_at: rfc3339(row.started_at),
            finished_at: row.finished_at.map(rfc3339),
            total: row.total,
            done: row.done,
            failed: row.failed,
            failures: row.failures,
        }
    }
}
