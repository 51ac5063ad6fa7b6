//! Settings: what an operator may change while we run. The migrations say which there are, with their defaults.

use std::collections::BTreeMap;

use roadstead_model::{ApiKeyId, UserId};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::{Db, System, Within};
use crate::error::During;
use crate::page::one_more;
use crate::{Cursor, Page, StoreError};

/// A setting.
#[derive(Debug, Clone, PartialEq)]
pub struct SettingRow {
    /// Its name.
    pub key: String,
    /// Its value; null of a sensitive one.
    pub value: Value,
    /// What it decides.
    pub description: String,
    /// What kind of value it has: `string`, `integer`, `boolean`, `duration` or `json`.
    pub kind: String,
    /// Whether its value is sealed and never shown.
    pub sensitive: bool,
    /// Whether a sensitive one has a value.
    pub is_sealed: bool,
    /// Whether it holds only after the next start.
    pub needs_restart: bool,
    /// What a value must be, where the row says so.
    pub rules: Value,
    /// What it is until somebody sets it.
    pub default_value: Option<Value>,
    /// Counts changes.
    pub version: i32,
    /// When it was changed last.
    pub updated_at: OffsetDateTime,
}

/// What a setting is to be.
#[derive(Debug, Clone, Copy)]
pub enum NewSetting<'a> {
    /// This, for everybody to see who may see settings.
    Plain(&'a Value),
    /// A sealed value; none to take it away.
    Sealed(Option<&'a [u8]>),
}

/// A change of a setting, as it is remembered.
#[derive(Debug, Clone, PartialEq)]
pub struct SettingChange {
    /// Its row.
    pub id: Uuid,
    /// When.
    pub at: OffsetDateTime,
    /// The version that it made.
    pub version: i32,
    /// What it was; none of a sensitive one.
    pub old_value: Option<Value>,
    /// What it became; none of a sensitive one.
    pub new_value: Option<Value>,
    /// Who.
    pub user: Option<UserId>,
    /// With which key.
    pub api_key: Option<ApiKeyId>,
    /// Why.
    pub reason: Option<String>,
}

/// A change to remember.
#[derive(Debug, Clone, Copy)]
pub struct NewSettingChange<'a> {
    /// When.
    pub at: OffsetDateTime,
    /// Who.
    pub user: Option<UserId>,
    /// With which key.
    pub api_key: Option<ApiKeyId>,
    /// Why.
    pub reason: Option<&'a str>,
}

/// The settings' rows.
#[derive(Debug, Clone, Copy)]
pub struct Settings<D> {
    pub(crate) db: D,
}

impl Settings<System<'_>> {
    /// Every setting's value; null of a sensitive one.
    #[tracing::instrument(name = "db.setting.all", skip_all, err(level = "debug"))]
    pub async fn all(&self) -> Result<BTreeMap<String, Value>, StoreError> {
        let rows = sqlx::query!("select key, value from system_settings")
            .fetch_all(self.db.pool)
            .await
            .during("db.setting.all")?;
        Ok(rows.into_iter().map(|row| (row.key, row.value)).collect())
    }

    /// The sealed value of a sensitive setting; none when it has none, or is not sensitive.
    #[tracing::instrument(name = "db.setting.sealed", skip_all, fields(setting.key = key), err(level = "debug"))]
    pub async fn sealed(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let sealed = sqlx::query_scalar!("select sealed from system_settings where key = $1", key)
            .fetch_optional(self.db.pool)
            .await
            .during("db.setting.sealed")?;
        Ok(sealed.flatten())
    }
}

impl<D: Db> Settings<D> {
    /// Every setting, by name.
    #[tracing::instrument(name = "db.setting.list", skip_all, err(level = "debug"))]
    pub async fn list(&mut self) -> Result<Vec<SettingRow>, StoreError> {
        const NAME: &str = "db.setting.list";
        let mut connection = self.db.connection().await.during(NAME)?;
        let rows = sqlx::query_as!(
            SettingRow,
            r#"select key, value, description, kind, sensitive, sealed is not null as "is_sealed!", needs_restart, rules,
                      default_value, version, updated_at
               from system_settings order by key"#,
        )
        .fetch_all(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        Ok(rows)
    }

    /// One setting; none when there is no such setting.
    #[tracing::instrument(name = "db.setting.get", skip_all, fields(setting.key = key), err(level = "debug"))]
    pub async fn get(&mut self, key: &str) -> Result<Option<SettingRow>, StoreError> {
        const NAME: &str = "db.setting.get";
        let mut connection = self.db.connection().await.during(NAME)?;
        let row = sqlx::query_as!(
            SettingRow,
            r#"select key, value, description, kind, sensitive, sealed is not null as "is_sealed!", needs_restart, rules,
                      default_value, version, updated_at
               from system_settings where key = $1"#,
            key,
        )
        .fetch_optional(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        Ok(row)
    }

    /// What was changed of a setting, newest first.
    #[tracing::instrument(name = "db.setting.history", skip_all, fields(setting.key = key), err(level = "debug"))]
    pub async fn history(
        &mut self,
        key: &str,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<SettingChange>, StoreError> {
        const NAME: &str = "db.setting.history";
        let mut connection = self.db.connection().await.during(NAME)?;
        let rows = sqlx::query!(
            "select id, at, version, old_value, new_value, user_id, api_key_id, reason from setting_history
             where key = $1 and ($2::timestamptz is null or (at, id) < ($2, $3::uuid))
             order by at desc, id desc limit $4",
            key,
            after.map(|cursor| cursor.at),
            after.map(|cursor| cursor.id),
            one_more(limit),
        )
        .fetch_all(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        let rows = rows.into_iter().map(|row| SettingChange {
            id: row.id,
            at: row.at,
            version: row.version,
            old_value: row.old_value,
            new_value: row.new_value,
            user: row.user_id.map(UserId::from_uuid),
            api_key: row.api_key_id.map(ApiKeyId::from_uuid),
            reason: row.reason,
        });
        Ok(Page::cut(rows.collect(), limit, |row| Cursor { at: row.at, id: row.id }))
    }
}

impl Settings<Within<'_>> {
    /// Every setting's value, with the rows held until the change ends: what must fit each other is compared with what holds.
    #[tracing::instrument(name = "db.setting.hold", skip_all, err(level = "debug"))]
    pub async fn hold(&mut self) -> Result<BTreeMap<String, Value>, StoreError> {
        let rows = sqlx::query!("select key, value from system_settings order by key for no key update")
            .fetch_all(&mut *self.db.connection)
            .await
            .during("db.setting.hold")?;
        Ok(rows.into_iter().map(|row| (row.key, row.value)).collect())
    }

    /// Changes a setting that was read, and remembers it. False when it was changed since, or the value is sealed with a key
    /// that was retired meanwhile.
    #[tracing::instrument(name = "db.setting.set", skip_all, fields(setting.key = %read.key), err(level = "debug"))]
    pub async fn set(
        &mut self,
        read: &SettingRow,
        new: NewSetting<'_>,
        change: NewSettingChange<'_>,
    ) -> Result<bool, StoreError> {
        const NAME: &str = "db.setting.set";
        let (value, sealed) = match new {
            NewSetting::Plain(value) => (value, None),
            NewSetting::Sealed(sealed) => (&Value::Null, sealed),
        };
        let done = sqlx::query!(
            "update system_settings set value = $3, sealed = $4, version = version + 1
             where key = $1 and version = $2
               and not exists (select from retired_keys
                               where substring(int8send(key) from 5) = substring($4::bytea from 2 for 4))",
            read.key,
            read.version,
            value,
            sealed,
        )
        .execute(&mut *self.db.connection)
        .await
        .during(NAME)?;
        if done.rows_affected() != 1 {
            return Ok(false);
        }
        let shown = !read.sensitive;
        sqlx::query!(
            "insert into setting_history (id, key, at, version, old_value, new_value, user_id, api_key_id, reason)
             values (uuid_v7($2), $1, $2, $3, $4, $5, $6, $7, $8)",
            read.key,
            change.at,
            read.version + 1,
            shown.then_some(&read.value),
            shown.then_some(value),
            change.user.map(UserId::uuid),
            change.api_key.map(ApiKeyId::uuid),
            change.reason,
        )
        .execute(&mut *self.db.connection)
        .await
        .during(NAME)?;
        Ok(true)
    }
}
