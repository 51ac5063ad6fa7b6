//! Who needs an installed package: the definitions of types name it, and live instances were launched with it.

use std::collections::BTreeMap;

use roadstead_model::{InstanceId, TypeId};
use serde_json::Value;

use crate::StoreError;
use crate::db::System;
use crate::error::During;

/// A type's definition, which may name packages.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// The type.
    pub id: TypeId,
    /// What a launch names.
    pub name: String,
    /// Counts its changes.
    pub version: i32,
    /// Whether it may be launched.
    pub is_active: bool,
    /// The definition.
    pub spec: Value,
}

/// What live instances were launched with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LivePackages {
    /// Live instances by the place of a package.
    pub by_place: BTreeMap<String, u64>,
    /// Versions of types of which instances live that do not say what they were launched with.
    pub unsaid: Vec<(TypeId, i32)>,
}

/// Packages as rows name them.
#[derive(Debug, Clone, Copy)]
pub struct Packages<D> {
    pub(crate) db: D,
}

impl Packages<System<'_>> {
    /// Every type's definition, also of those that may not be launched.
    #[tracing::instrument(name = "db.package.definitions", skip_all, err(level = "debug"))]
    pub async fn definitions(&self) -> Result<Vec<Definition>, StoreError> {
        let rows = sqlx::query!("select id, name, version, is_active, spec from mcp_types order by name")
            .fetch_all(self.db.pool)
            .await
            .during("db.package.definitions")?;
        let definitions = rows.into_iter().map(|row| Definition {
            id: TypeId::from_uuid(row.id),
            name: row.name,
            version: row.version,
            is_active: row.is_active,
            spec: row.spec,
        });
        Ok(definitions.collect())
    }

    /// What live instances need, of everybody.
    #[tracing::instrument(name = "db.package.live", skip_all, err(level = "debug"))]
    pub async fn live(&self) -> Result<LivePackages, StoreError> {
        const NAME: &str = "db.package.live";
        let counted = sqlx::query!(
            r#"select place as "place!", count(*) as "live!"
               from mcp_instances, unnest(packages) as place
               where status in ('pending', 'running') group by place"#
        )
        .fetch_all(self.db.pool)
        .await
        .during(NAME)?;
        let unsaid = sqlx::query!(
            "select distinct mcp_type_id, type_version from mcp_instances
             where status in ('pending', 'running') and packages is null"
        )
        .fetch_all(self.db.pool)
        .await
        .during(NAME)?;
        Ok(LivePackages {
            by_place: counted
                .into_iter()
                .map(|row| (row.place, u64::try_from(row.live).unwrap_or_default()))
                .collect(),
            unsaid: unsaid
                .into_iter()
                .map(|row| (TypeId::from_uuid(row.mcp_type_id), row.type_version))
                .collect(),
        })
    }

    /// Fills in what instances were launched with that were so by a service which did not say it.
    #[tracing::instrument(name = "db.package.say", skip_all, fields(type.id = %id), err(level = "debug"))]
    pub async fn say(&self, id: TypeId, version: i32, places: &[String]) -> Result<u64, StoreError> {
        let done = sqlx::query!(
            "update mcp_instances set packages = $3
             where mcp_type_id = $1 and type_version = $2 and packages is null and status in ('pending', 'running')",
            id.uuid(),
            version,
            places,
        )
        .execute(self.db.pool)
        .await
        .during("db.package.say")?;
        Ok(done.rows_affected())
    }

    /// Says that an instance is about to need these, too: it is restarted.
    #[tracing::instrument(name = "db.package.add", skip_all, fields(instance.id = %id), err(level = "debug"))]
    pub async fn add(&self, id: InstanceId, places: &[String]) -> Result<(), StoreError> {
        // What it does not say is still unknown then.
        sqlx::query!(
            "update mcp_instances set packages = packages || $2::text[]
             where id = $1 and packages is not null and not packages @> $2::text[]",
            id.uuid(),
            places,
        )
        .execute(self.db.pool)
        .await
        .during("db.package.add")
        .map(drop)
    }
}
