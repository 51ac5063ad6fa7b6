//! What instances hold to of what was decided about tools, and what becomes of it when one finds that they are others.

use std::num::NonZeroU32;

use roadstead_catalog::{Differences, TypeSpec};
use roadstead_model::{ToolRules, ToolsDiffer, TypeId, TypeStatus};
use roadstead_store::StoreError;
use serde_json::json;

use crate::{Accounts, AccountsError};

impl Accounts {
    /// What an instance of this type holds to from its start on.
    pub async fn tool_rules(&self, id: TypeId, spec: &TypeSpec) -> Result<ToolRules, StoreError> {
        let row = self.store().type_reviews().tool_rules(id).await?;
        // Taken for none, it would let every tool pass.
        let accepted = row.accepted.map(serde_json::from_value).transpose();
        let accepted = accepted.map_err(|_| StoreError::Inconsistent {
            table: "mcp_type_manifests",
            id: id.to_string(),
            why: "its approved tools cannot be read".to_owned(),
        })?;
        Ok(ToolRules {
            disabled: row.disabled.into_iter().collect(),
            accepted,
            withholds_changed: self.known_settings().refuses_changed_tools,
            calls_per_minute: NonZeroU32::new(spec.rate_limit_per_minute),
        })
    }

    /// A client of an instance that was launched from this version was told of tools that are others than the approved ones. That
    /// is told once, and where it is wanted the type is set aside; a tool that was only added may belong to one person's
    /// credential, and stays with what the instance makes of it.
    pub async fn tools_differ_in_use(
        &self,
        id: TypeId,
        version: i32,
        tools: &ToolsDiffer,
    ) -> Result<(), AccountsError> {
        let Some(row) = self.store().types().get(id).await? else { return Ok(()) };
        // What was decided since has seen more than this instance.
        if row.version != version || row.status != TypeStatus::Approved || tools.is_empty() {
            return Ok(());
        }
        if !self.store().type_reviews().keep_differing(id, &json!(tools)).await? {
            return Ok(());
        }
        let found = Differences {
            added: tools.added.iter().cloned().collect(),
            changed: tools.changed.iter().cloned().collect(),
            removed: Vec::new(),
        };
        let sets_aside = self.known_settings().refuses_changed_tools && !found.changed.is_empty();
        match self.tools_changed(&row, &found, sets_aside).await {
            // Somebody decided meanwhile.
            Ok(_) | Err(AccountsError::StaleVersion { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
