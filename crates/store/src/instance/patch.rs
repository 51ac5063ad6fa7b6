//! Changing what an instance is called, and what its next start is configured with.

use roadstead_model::{InstanceId, OrganizationId, UserId, View};
use serde_json::Value;

use super::Instances;
use crate::StoreError;
use crate::db::{Db, Within};
use crate::error::During;

/// What is changed of an instance; none of a field leaves it.
#[derive(Debug, Clone, Default)]
pub struct InstancePatch {
    /// What its owner calls it.
    pub name: Option<String>,
    /// Its configuration, whole.
    pub config: Option<Value>,
    /// The version that it must still have.
    pub expected: Option<i32>,
}

/// What became of a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchOutcome {
    /// It was made.
    Changed {
        /// The new version.
        version: i32,
    },
    /// Somebody else was quicker.
    Stale,
    /// There is no such instance in view.
    Missing,
}

impl Instances<Within<'_>> {
    /// Changes an instance in view.
    #[tracing::instrument(name = "db.instance.patch", skip_all, fields(instance.id = %id), err(level = "debug"))]
    pub async fn patch(
        &mut self,
        id: InstanceId,
        view: View,
        patch: &InstancePatch,
    ) -> Result<PatchOutcome, StoreError> {
        const NAME: &str = "db.instance.patch";
        let (owner, within) = (view.owner().map(UserId::uuid), view.within().map(OrganizationId::uuid));
        let mut connection = self.db.connection().await.during(NAME)?;
        let changed = sqlx::query_scalar!(
            "update mcp_instances
             set name = coalesce($4, name), config = coalesce($5, config), version = version + 1
             where id = $1 and deleted_at is null and ($2::uuid is null or user_id = $2)
               and ($3::uuid is null or organization_id = $3) and ($6::integer is null or version = $6)
             returning version",
            id.uuid(),
            owner,
            within,
            patch.name,
            patch.config,
            patch.expected,
        )
        .fetch_optional(&mut *connection)
        .await
        .during(NAME)?;
        if let Some(version) = changed {
            return Ok(PatchOutcome::Changed { version });
        }
        let exists = sqlx::query_scalar!(
            r#"select exists (select from mcp_instances
               where id = $1 and deleted_at is null and ($2::uuid is null or user_id = $2)
                 and ($3::uuid is null or organization_id = $3)) as "exists!""#,
            id.uuid(),
            owner,
            within,
        )
        .fetch_one(&mut *connection)
        .await
        .during(NAME)?;
        Ok(if exists { PatchOutcome::Stale } else { PatchOutcome::Missing })
    }
}
