//! Looking at settings and changing them: every change is remembered, with who made it and why.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use roadstead_access::AdminPermit;
use roadstead_crypto::{Binding, ExposeSecret, SecretString};
use roadstead_model::Changes;
use roadstead_store::{Cursor, NewSetting, NewSettingChange, Page, SettingChange, SettingRow, StoreError};
use serde_json::Value;

use super::{Settings, kinds};
use crate::{Accounts, AccountsError};

/// A setting with what it may be.
#[derive(Debug, Clone)]
pub struct SettingEntry {
    /// Its row.
    pub row: SettingRow,
    /// What a value must be, in words; none when it cannot be changed.
    pub rule: Option<String>,
    /// What kind of value it has, as the product says; as the row says of what the product does not know.
    pub kind: String,
}

/// What a setting is to be.
#[derive(Debug)]
pub struct SettingSet {
    /// Its value; null takes the value of a sensitive one away.
    pub value: Value,
    /// Why.
    pub reason: Option<String>,
    /// The version that was read.
    pub expected: Option<i32>,
}

/// What the sealed value of a setting is bound to.
pub(crate) const fn binding(key: &str) -> Binding<'_> {
    Binding { owner: b"settings", type_id: b"", slot: key, row: b"" }
}

impl SettingEntry {
    fn new(row: SettingRow) -> Self {
        let kind = kinds::kind_of_row(&row);
        let word = kind.map_or_else(|| row.kind.clone(), |kind| kind.word().to_owned());
        Self { row, rule: kind.map(kinds::Kind::rule), kind: word }
    }
}

impl Accounts {
    /// The settings in force, for those who must obey them. One query; who only wants to know asks `known_settings`.
    pub async fn settings_in_force(&self) -> Result<Settings, AccountsError> {
        let settings = Settings::read(&self.store().settings().all().await?)?;
        *self.0.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings.clone());
        Ok(settings)
    }

    /// The settings as they were read last: at once after a change through this process, and every 30 seconds.
    pub fn known_settings(&self) -> Arc<Settings> {
        Arc::clone(&self.0.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The value of a sensitive setting, for whatever needs it. It is opened anew each time and kept nowhere.
    pub async fn sensitive_setting(&self, key: &str) -> Result<Option<SecretString>, AccountsError> {
        let Some(sealed) = self.store().settings().sealed(key).await? else { return Ok(None) };
        let row = || format!("setting {key}");
        let opened = self
            .open(&binding(key), &sealed)
            .map_err(|source| AccountsError::Unsealable { row: row(), source })?;
        Ok(Some(SecretString::from(String::from_utf8_lossy(opened.expose_secret()).into_owned())))
    }

    /// Every setting, by name.
    pub async fn settings(&self, _permit: &AdminPermit) -> Result<Vec<SettingEntry>, AccountsError> {
        let rows = self.store().settings().list().await?;
        Ok(rows.into_iter().map(SettingEntry::new).collect())
    }

    /// Changes one setting, if the whole stays sound, and remembers who did it and why.
    pub async fn set_setting(
        &self,
        permit: &AdminPermit,
        key: &str,
        set: SettingSet,
    ) -> Result<SettingEntry, AccountsError> {
        let missing = || AccountsError::NotFound { what: "setting that can be changed" };
        // The database takes no U+0000, so nothing is called so.
        if key.contains('\0') {
            return Err(missing());
        }
        let at = self.now();
        let mut change = self.store().system_change().await?;
        let mut values = change.settings().hold().await?;
        let read = change.settings().get(key).await?.ok_or_else(missing)?;
        let kind = kinds::kind_of_row(&read).ok_or_else(missing)?;
        if let Some(expected) = set.expected.filter(|expected| *expected != read.version) {
            return Err(AccountsError::StaleVersion { expected });
        }
        let takes_away = read.sensitive && set.value.is_null();
        if let Some(problem) = kind.problem_with(&set.value).filter(|_| !takes_away) {
            return Err(AccountsError::Invalid(vec![("value".to_owned(), problem)]));
        }
        let sealed = (read.sensitive && !takes_away).then(|| self.seal(&binding(key), plain(&set.value)));
        let new = if read.sensitive {
            NewSetting::Sealed(sealed.as_deref())
        } else {
            NewSetting::Plain(&set.value)
        };
        if !read.sensitive {
            values.insert(key.to_owned(), set.value.clone());
            fit(&values)?;
        }
        let actor = permit.actor();
        let noted =
            NewSettingChange { at, user: actor.user, api_key: actor.api_key, reason: set.reason.as_deref() };
        if !change.settings().set(&read, new, noted).await? {
            return Err(AccountsError::StaleVersion { expected: read.version });
        }
        let changed = change.settings().get(key).await?.ok_or_else(missing)?;
        let entry = permit.entry(&key, told(&read, set), at);
        change.commit(&roadstead_model::NewAudit { sensitive: read.sensitive, ..entry }).await?;
        Ok(SettingEntry::new(changed))
    }

    /// What was changed of a setting, newest first.
    pub async fn setting_history(
        &self,
        _permit: &AdminPermit,
        key: &str,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<SettingChange>, AccountsError> {
        // The database takes no U+0000, so nothing is called so.
        let known = !key.contains('\0') && self.store().settings().get(key).await?.is_some();
        if !known {
            return Err(AccountsError::NotFound { what: "setting" });
        }
        Ok(self.store().settings().history(key, after, limit).await?)
    }

    /// Rows of settings, to be told of a failure of the database apart from a wrong setting.
    pub async fn database_answers(&self) -> Result<(), StoreError> {
        self.store().ping().await
    }
}

/// What the audit log says of a change.
fn told(read: &SettingRow, set: SettingSet) -> Changes {
    let changes = if read.sensitive {
        Changes::default().masked("value")
    } else {
        Changes::default().with("value", Some(&read.value), &set.value)
    };
    match set.reason {
        Some(reason) => changes.with("reason", None, &Value::from(reason)),
        None => changes,
    }
}

/// A text as it is, whatever else as its JSON.
fn plain(value: &Value) -> Vec<u8> {
    match value {
        Value::String(text) => text.clone().into_bytes(),
        other => other.to_string().into_bytes(),
    }
}

/// Whether all settings together are sound.
fn fit(values: &BTreeMap<String, Value>) -> Result<(), AccountsError> {
    Settings::read(values).map(drop)
}
