//! Settings in JSON.

use roadstead_accounts::SettingEntry;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::rfc3339;

/// Every setting.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Settings {
    /// Values by key; null of a sensitive one.
    #[schema(example = json!({"mcp.max_instances_per_user": 10}))]
    pub data: Value,
    /// What each is, by name.
    pub settings: Vec<Setting>,
}

impl Settings {
    pub(crate) fn new(entries: Vec<SettingEntry>) -> Self {
        let settings: Vec<Setting> = entries.into_iter().map(Setting::new).collect();
        let data: Map<String, Value> =
            settings.iter().map(|one| (one.key.clone(), one.value.clone())).collect();
        Self { data: Value::Object(data), settings }
    }
}

/// A setting.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Setting {
    /// Its name.
    #[schema(example = "mcp.max_instances_per_user")]
    pub key: String,
    /// Its value; null of a sensitive one.
    pub value: Value,
    /// What it decides.
    pub description: String,
    /// `string`, `integer`, `boolean`, `duration` or `json`.
    #[schema(example = "integer")]
    pub kind: String,
    /// What a value must be; null when it cannot be changed.
    #[schema(example = "a whole number from 0 to 100000")]
    pub rule: Option<String>,
    /// What it is until somebody sets it; null of a sensitive one.
    pub default_value: Value,
    /// Whether its value is sealed and never shown.
    pub sensitive: bool,
    /// Whether it has a value: a sensitive one may have none.
    pub is_set: bool,
    /// Whether a change holds only after the next start.
    pub needs_restart: bool,
    /// Counts changes; the ETag.
    pub version: i32,
    /// RFC 3339.
    pub updated_at: String,
}

impl Setting {
    pub(crate) fn new(entry: SettingEntry) -> Self {
        let row = entry.row;
        let is_set = if row.sensitive { row.is_sealed } else { true };
        Self {
            key: row.key,
            value: row.value,
            description: row.description,
            kind: entry.kind,
            rule: entry.rule,
            default_value: row.default_value.unwrap_or_default(),
            sensitive: row.sensitive,
            is_set,
            needs_restart: row.needs_restart,
            version: row.version,
            updated_at: rfc3339(row.updated_at),
        }
    }
}

/// A setting's new value.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SettingBody {
    /// Of the kind that the setting has; null takes the value of a sensitive one away.
    pub value: Value,
    /// Why, for the history.
    #[schema(max_length = 1000)]
    pub reason: Option<String>,
}

/// A setting that was changed.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ChangedSetting {
    /// The setting as it is now.
    pub setting: Setting,
    /// Whether the change holds only after the next start.
    pub needs_restart: bool,
}

/// A change of a setting, as it is remembered.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct SettingChange {
    /// When, RFC 3339.
    pub at: String,
    /// The version that it made.
    pub version: i32,
    /// What it was; null of a sensitive one.
    pub old_value: Value,
    /// What it became; null of a sensitive one.
    pub new_value: Value,
    /// Who changed it.
    pub user_id: Option<String>,
    /// With which key.
    pub api_key_id: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

impl SettingChange {
    pub(crate) fn new(change: roadstead_accounts::SettingChange) -> Self {
        Self {
            at: rfc3339(change.at),
            version: change.version,
            old_value: change.old_value.unwrap_or_default(),
            new_value: change.new_value.unwrap_or_default(),
            user_id: change.user.map(|user| user.to_string()),
            api_key_id: change.api_key.map(|key| key.to_string()),
            reason: change.reason,
        }
    }
}
