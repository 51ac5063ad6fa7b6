//! What a user has, wherever it is: for whoever leaves.

use roadstead_model::{InstanceId, OrganizationId, UserId};

use super::Instances;
use crate::StoreError;
use crate::db::System;
use crate::error::During;

/// Whose instances are wanted.
#[derive(Debug, Clone, Copy)]
pub enum Leaving {
    /// A user's, in one organisation or in all.
    User(UserId, Option<OrganizationId>),
    /// Everybody's in an organisation.
    Organization(OrganizationId),
}

impl Instances<System<'_>> {
    /// The live instances of whoever leaves.
    #[tracing::instrument(name = "db.instance.live_of_leaving", skip_all, err(level = "debug"))]
    pub async fn live_of_leaving(&self, leaving: Leaving) -> Result<Vec<InstanceId>, StoreError> {
        let (user, organization) = match leaving {
            Leaving::User(user, organization) => (Some(user), organization),
            Leaving::Organization(organization) => (None, Some(organization)),
        };
        let ids = sqlx::query_scalar!(
            "select id from mcp_instances
             where status in ('pending', 'running') and deleted_at is null and ($1::uuid is null or user_id = $1)
               and ($2::uuid is null or organization_id = $2)
             order by created_at, id",
            user.map(UserId::uuid),
            organization.map(OrganizationId::uuid),
        )
        .fetch_all(self.db.pool)
        .await
        .during("db.instance.live_of_leaving")?;
        Ok(ids.into_iter().map(InstanceId::from_uuid).collect())
    }

    /// A page of a user's instances in every organisation, oldest first, from after an instance on.
    #[tracing::instrument(name = "db.instance.ids_of_user", skip_all, fields(user.id = %user), err(level = "debug"))]
    pub async fn ids_of_user(
        &self,
        user: UserId,
        after: Option<InstanceId>,
        limit: u32,
    ) -> Result<Vec<InstanceId>, StoreError> {
        let ids = sqlx::query_scalar!(
            "select id from mcp_instances
             where user_id = $1 and deleted_at is null and ($2::uuid is null or id > $2) order by id limit $3",
            user.uuid(),
            after.map(InstanceId::uuid),
            i64::from(limit),
        )
        .fetch_all(self.db.pool)
        .await
        .during("db.instance.ids_of_user")?;
        Ok(ids.into_iter().map(InstanceId::from_uuid).collect())
    }
}
