//! Settings: what an operator may change while we run. The migrations say which there are, with their defaults.

use std::collections::BTreeMap;

use serde_json::Value;
use time::OffsetDateTime;

use crate::StoreError;
use crate::db::System;
use crate::error::During;

/// A setting.
#[derive(Debug, Clone, PartialEq)]
pub struct SettingRow {
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: Value,
    /// What it decides.
    pub description: String,
    /// When it was changed last.
    pub updated_at: OffsetDateTime,
}

/// The settings' rows.
#[derive(Debug, Clone, Copy)]
pub struct Settings<D> {
    pub(crate) db: D,
}

impl Settings<System<'_>> {
    /// Every setting's value.
    #[tracing::instrument(name = "db.setting.all", skip_all, err(level = "debug"))]
    pub async fn all(&self) -> Result<BTreeMap<String, Value>, StoreError> {
        let rows = sqlx::query!("select key, value from system_settings")
            .fetch_all(self.db.pool)
            .await
            .during("db.setting.all")?;
        Ok(rows.into_iter().map(|row| (row.key, row.value)).collect())
    }

    /// Every setting with its description, by name.
    #[tracing::instrument(name = "db.setting.list", skip_all, err(level = "debug"))]
    pub async fn list(&self) -> Result<Vec<SettingRow>, StoreError> {
        sqlx::query_as!(
            SettingRow,
            "select key, value, description, updated_at from system_settings order by key"
        )
        .fetch_all(self.db.pool)
        .await
        .during("db.setting.list")
    }

    /// The value of one setting; none when there is no such setting.
    #[tracing::instrument(name = "db.setting.get", skip_all, fields(setting.key = key), err(level = "debug"))]
    pub async fn get(&self, key: &str) -> Result<Option<Value>, StoreError> {
        sqlx::query_scalar!("select value from system_settings where key = $1", key)
            .fetch_optional(self.db.pool)
            .await
            .during("db.setting.get")
    }

    /// Changes a setting. False when there is no such setting: none is made by misspelling one.
    #[tracing::instrument(name = "db.setting.set", skip_all, fields(setting.key = key), err(level = "debug"))]
    pub async fn set(&self, key: &str, value: &Value) -> Result<bool, StoreError> {
        let done = sqlx::query!("update system_settings set value = $2 where key = $1", key, value)
            .execute(self.db.pool)
            .await
            .during("db.setting.set")?;
        Ok(done.rows_affected() == 1)
    }
}
