//! How much an owner and an organisation have, counted under locks that keep it so until the row is written.

use roadstead_model::{Amounts, OrganizationId, QuotaOf, Quotas, UserId};
use serde::Deserialize;
use sqlx::{Postgres, Transaction};

use super::ReserveError;
use crate::error::During;

/// What an organisation's row says of its quotas; what it does not say the settings do.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(super) struct OwnQuotas {
    #[serde(rename = "max_instances")]
    instances: Option<u64>,
    #[serde(rename = "max_memory_mb")]
    memory_mb: Option<u64>,
    #[serde(rename = "max_cpu_percent")]
    cpu_percent: Option<u64>,
}

impl OwnQuotas {
    /// The quotas, with the organisation's own numbers in place of the general ones.
    pub(super) fn over(self, general: &Quotas) -> Quotas {
        let organization = Amounts {
            instances: self.instances.unwrap_or(general.organization.instances),
            memory_mb: self.memory_mb.unwrap_or(general.organization.memory_mb),
            cpu_percent: self.cpu_percent.unwrap_or(general.organization.cpu_percent),
        };
        Quotas { organization, ..*general }
    }
}

/// A statement of its own, after the owner's lock and never before it: two launches that took the two in different order
/// would wait for each other.
pub(super) async fn lock_organization(
    transaction: &mut Transaction<'_, Postgres>,
    organization: OrganizationId,
    name: &'static str,
) -> Result<OwnQuotas, ReserveError> {
    let quotas = sqlx::query_scalar!(
        "select quotas from organizations where id = $1 for no key update",
        organization.uuid(),
    )
    .fetch_optional(&mut **transaction)
    .await
    .during(name)?;
    // What is no number there limits nothing; one that is missing is refused by the instance's foreign key.
    Ok(quotas.and_then(|quotas| serde_json::from_value(quotas).ok()).unwrap_or_default())
}

/// Counts what lives, with both locks held.
pub(super) async fn check_quotas(
    transaction: &mut Transaction<'_, Postgres>,
    (user, organization): (UserId, OrganizationId),
    quotas: &Quotas,
    wanted: Amounts,
    name: &'static str,
) -> Result<(), ReserveError> {
    let live = sqlx::query!(
        r#"select count(*) filter (where user_id = $1) as "user_instances!",
                  coalesce(sum(memory_mb) filter (where user_id = $1), 0) as "user_memory_mb!",
                  coalesce(sum(cpu_percent) filter (where user_id = $1), 0) as "user_cpu_percent!",
                  count(*) filter (where organization_id = $2) as "organization_instances!",
                  coalesce(sum(memory_mb) filter (where organization_id = $2), 0) as "organization_memory_mb!",
                  coalesce(sum(cpu_percent) filter (where organization_id = $2), 0) as "organization_cpu_percent!"
           from mcp_instances where (user_id = $1 or organization_id = $2) and status in ('pending', 'running')"#,
        user.uuid(),
        organization.uuid(),
    )
    .fetch_one(&mut **transaction)
    .await
    .during(name)?;
    let of_user = amounts(live.user_instances, live.user_memory_mb, live.user_cpu_percent);
    let of_organization =
        amounts(live.organization_instances, live.organization_memory_mb, live.organization_cpu_percent);
    quotas.user.check(QuotaOf::User, of_user, wanted).map_err(ReserveError::QuotaReached)?;
    quotas
        .organization
        .check(QuotaOf::Organization, of_organization, wanted)
        .map_err(ReserveError::QuotaReached)
}

fn amounts(instances: i64, memory_mb: i64, cpu_percent: i64) -> Amounts {
    let positive = |value: i64| u64::try_from(value).unwrap_or_default();
    Amounts {
        instances: positive(instances),
        memory_mb: positive(memory_mb),
        cpu_percent: positive(cpu_percent),
    }
}
