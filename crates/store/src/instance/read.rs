//! Looking at instances.

use roadstead_model::{BootId, InstanceId, NodeId, OrganizationId, UserId, View};
use time::OffsetDateTime;

use super::row::Record;
use super::{InstanceRow, Instances};
use crate::db::{Db, System};
use crate::error::During;
use crate::{SealedSlot, StoreError};

/// Instances with what is shown of their types; the first `$tail` begins with the condition. What is changed in the same
/// statement stands before, under the table's own name: then its new rows are meant.
macro_rules! select {
    ($($tail:literal)+ $(, $argument:expr)* $(,)?) => {
        select!(changed "", $($tail)+ $(, $argument)*)
    };
    (changed $($change:literal)+, $($tail:literal)+ $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Record,
            $($change +)+
            "select i.id, i.user_id, i.organization_id, i.project_id, i.mcp_type_id, t.name as type_name,
                    t.display_name as type_display_name, t.icon_url as type_icon_url, i.type_version, i.credential_id,
                    i.node_id, i.boot_id, i.name, i.status, i.config, i.access_token_hash, i.token_hint,
                    i.assigned_port, i.process_id, i.process_started, i.shim_pid, i.shim_started, i.expires_at,
                    i.keep, i.autostart, i.lifetime_s, i.began_at,
                    i.started_at, i.stopping_at, i.stop_reason, i.ended_at, i.error_message, i.exit, i.last_accessed,
                    i.idle_limit_s, i.stats, i.confinement as \"confinement: _\", i.generation, i.fence, i.spool_seq, i.version, i.created_at, i.updated_at
             from mcp_instances i join mcp_types t on t.id = i.mcp_type_id
             where i.deleted_at is null " $(+ $tail)+
            $(, $argument)*
        )
    };
}
pub(super) use select;

impl<D: Db> Instances<D> {
    /// One instance; what is not in view is not there.
    #[tracing::instrument(name = "db.instance.get", skip_all, fields(instance.id = %id), err(level = "debug"))]
    pub async fn get(
        &mut self,
        id: InstanceId,
        view: Option<View>,
    ) -> Result<Option<InstanceRow>, StoreError> {
        const NAME: &str = "db.instance.get";
        let mut connection = self.db.connection().await.during(NAME)?;
        let record = select!(
            "and i.id = $1 and ($2::uuid is null or i.user_id = $2) and ($3::uuid is null or i.organization_id = $3)",
            id.uuid(),
            view.and_then(|view| view.owner()).map(UserId::uuid),
            view.and_then(|view| view.within()).map(OrganizationId::uuid),
        )
        .fetch_optional(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        record.map(InstanceRow::try_from).transpose()
    }
}

impl Instances<System<'_>> {
    /// Every live instance of a node, oldest first: what a start or a reconcile compares with the processes.
    #[tracing::instrument(name = "db.instance.live_of_node", skip_all, fields(node.id = %node), err(level = "debug"))]
    pub async fn live_of_node(&self, node: NodeId) -> Result<Vec<InstanceRow>, StoreError> {
        let records = select!(
            "and i.node_id = $1 and i.status in ('pending', 'running') order by i.created_at, i.id",
            node.uuid(),
        )
        .fetch_all(self.db.pool)
        .await
        .during("db.instance.live_of_node")?;
        records.into_iter().map(InstanceRow::try_from).collect()
    }

    /// How many live instances a user has.
    #[tracing::instrument(name = "db.instance.count_live", skip_all, fields(user.id = %user), err(level = "debug"))]
    pub async fn count_live(&self, user: UserId) -> Result<u32, StoreError> {
        let count = sqlx::query_scalar!(
            r#"select count(*) as "count!" from mcp_instances
               where user_id = $1 and status in ('pending', 'running')"#,
            user.uuid(),
        )
        .fetch_one(self.db.pool)
        .await
        .during("db.instance.count_live")?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// The instances that wait to be started again by themselves, oldest first: those that are meant to be, have time left, and
    /// were lost when the machine was started again, while it has not been tried since.
    #[tracing::instrument(name = "db.instance.to_autostart", skip_all, fields(node.id = %node), err(level = "debug"))]
    pub async fn to_autostart(
        &self,
        node: NodeId,
        boot: BootId,
        now: OffsetDateTime,
    ) -> Result<Vec<InstanceRow>, StoreError> {
        let records = select!(
            "and i.node_id = $1 and i.autostart and i.boot_id <> $2 and i.status in ('disconnected', 'error')
             and i.expires_at > $3 and i.exit->>'lost_with' = 'reboot' order by i.created_at, i.id",
            node.uuid(),
            boot.uuid(),
            now,
        )
        .fetch_all(self.db.pool)
        .await
        .during("db.instance.to_autostart")?;
        records.into_iter().map(InstanceRow::try_from).collect()
    }

    /// The sealed values that came with an instance's launch, by slot; none when it is deleted.
    #[tracing::instrument(name = "db.instance.sealed_slots", skip_all, fields(instance.id = %id), err(level = "debug"))]
    pub async fn sealed_slots(&self, id: InstanceId) -> Result<Vec<SealedSlot>, StoreError> {
        sqlx::query_as!(
            SealedSlot,
            "select slot, sealed from instance_secrets where instance_id = $1 order by slot",
            id.uuid(),
        )
        .fetch_all(self.db.pool)
        .await
        .during("db.instance.sealed_slots")
    }
}
