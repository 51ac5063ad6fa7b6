//! Changing what an instance is called and how its next start is configured. What runs goes on as it was launched.

use roadstead_access::InstancePermit;
use roadstead_model::{Changes, InstanceId};
use roadstead_store::{InstancePatch, InstanceRow, PatchOutcome};
use serde_json::{Map, Value, json};

use crate::error::ChangeError;
use crate::launch::next_config;
use crate::parts::Orchestrator;

/// What is to be changed; none leaves it as it is.
#[derive(Debug, Clone, Default)]
pub struct InstanceChange {
    /// What its owner calls it.
    pub name: Option<String>,
    /// Its configuration, over the defaults of its type, in place of the one before.
    pub config: Option<Map<String, Value>>,
    /// The version that was read.
    pub expected: Option<i32>,
}

/// A changed instance.
#[derive(Debug, Clone)]
pub struct Patched {
    /// As it is now.
    pub instance: InstanceRow,
    /// Whether it runs with another configuration than its row says.
    pub restart_needed: bool,
}

impl Orchestrator {
    /// Changes an instance that the permit reaches.
    pub async fn patch(
        &self,
        permit: &InstancePermit,
        id: InstanceId,
        change: InstanceChange,
    ) -> Result<Patched, ChangeError> {
        let before = self.get(permit, id).await?;
        let config = match &change.config {
            Some(given) => Some(Value::Object(next_config(&self.0, &before, given).await?)),
            None => None,
        };
        let restart_needed =
            before.status().is_live() && config.as_ref().is_some_and(|config| *config != before.config);
        let mut changes = Changes::default();
        if let Some(name) = change.name.as_ref().filter(|name| **name != before.name) {
            changes = changes.with("name", Some(&json!(before.name)), &json!(name));
        }
        if config.as_ref().is_some_and(|config| *config != before.config) {
            // A configuration may name folders and addresses of people: that it changed is enough.
            changes = changes.masked("config");
        }
        let patch = InstancePatch { name: change.name, config, expected: change.expected };
        let store = self.0.store();
        let mut transaction = store.change(permit.view()).await?;
        match transaction.instances().patch(id, permit.view(), &patch).await? {
            PatchOutcome::Changed { .. } => {}
            PatchOutcome::Stale => {
                return Err(ChangeError::Stale { expected: change.expected.unwrap_or_default() });
            }
            PatchOutcome::Missing => return Err(ChangeError::NotFound),
        }
        transaction.commit(&permit.entry(&id, changes, self.0.now())).await?;
        Ok(Patched { instance: self.get(permit, id).await?, restart_needed })
    }
}
