//! API keys: found by the hash of what the caller shows.

use std::net::IpAddr;

use roadstead_model::era::UnknownWord;
use roadstead_model::{ApiKeyId, OrganizationId, ProjectId, Role, Scope, Scopes, UserId, View};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::System;
use crate::error::During;
use crate::{StoreError, UserRow, convert};

const TABLE: &str = "api_keys";

/// A key to create.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    /// The key's id.
    pub id: ApiKeyId,
    /// Whose it is.
    pub user: UserId,
    /// The organisation that is acted in with it; none for the user's own.
    pub organization: Option<OrganizationId>,
    /// The project that is acted in with it; none for the user's own.
    pub project: Option<ProjectId>,
    /// Who made it.
    pub created_by: UserId,
    /// What its owner calls it.
    pub name: String,
    /// The public start of the key.
    pub prefix: String,
    /// The SHA-256 of the key.
    pub hash: [u8; 32],
    /// The end of the key, to recognise it by.
    pub hint: String,
    /// What it may be used for.
    pub scopes: Scopes,
    /// When it stops working.
    pub expires_at: Option<OffsetDateTime>,
    /// Now.
    pub at: OffsetDateTime,
}

/// A key, working or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyRow {
    /// The key's id.
    pub id: ApiKeyId,
    /// Whose it is.
    pub user: UserId,
    /// What its owner calls it.
    pub name: String,
    /// The public start of the key.
    pub prefix: String,
    /// The end of the key, to recognise it by.
    pub hint: String,
    /// What it may be used for.
    pub scopes: Scopes,
    /// False once it is revoked.
    pub is_active: bool,
    /// When it stops working.
    pub expires_at: Option<OffsetDateTime>,
    /// When it was revoked.
    pub revoked_at: Option<OffsetDateTime>,
    /// Why it was revoked.
    pub revoke_reason: Option<String>,
    /// When it was used last.
    pub last_used_at: Option<OffsetDateTime>,
    /// From where it was used last.
    pub last_used_ip: Option<IpAddr>,
    /// When it was created.
    pub created_at: OffsetDateTime,
    /// When it was changed last.
    pub updated_at: OffsetDateTime,
}

/// A key and whose it is: what one request needs to know who calls.
#[derive(Debug, Clone)]
pub struct KeyWithUser {
    /// The key; it may be revoked or expired.
    pub key: ApiKeyRow,
    /// Its user; not deleted, but perhaps inactive.
    pub user: UserRow,
    /// Where it acts.
    pub place: KeyPlace,
    /// How often it may be used.
    pub rates: KeyRates,
}

/// Requests in a minute that were set for a key; none where the settings say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeyRates {
    /// Of the key.
    pub key: Option<u32>,
    /// Of its project.
    pub project: Option<u32>,
}

impl KeyRates {
    /// What is out of bounds was never set through us.
    fn of(key: Option<i32>, project: Option<i64>) -> Self {
        Self {
            key: key.and_then(|rate| u32::try_from(rate).ok()),
            project: project.and_then(|rate| u32::try_from(rate).ok()),
        }
    }
}

/// Where a key acts, and what its user is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPlace {
    /// The organisation.
    pub organization: OrganizationId,
    /// Whether the organisation may act.
    pub organization_is_active: bool,
    /// The project.
    pub project: ProjectId,
    /// The project's status, as a word.
    pub project_status: String,
    /// The user's role; none when they are no active member of the organisation.
    pub role: Option<Role>,
}

/// That a key was used.
#[derive(Debug, Clone, Copy)]
pub struct KeyUse {
    /// The key.
    pub id: ApiKeyId,
    /// When.
    pub at: OffsetDateTime,
    /// From where.
    pub ip_address: Option<IpAddr>,
}

struct Record {
    id: Uuid,
    user_id: Uuid,
    name: String,
    prefix: String,
    hint: String,
    scopes: Vec<String>,
    is_active: bool,
    expires_at: Option<OffsetDateTime>,
    revoked_at: Option<OffsetDateTime>,
    revoke_reason: Option<String>,
    last_used_at: Option<OffsetDateTime>,
    last_used_ip: Option<String>,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl TryFrom<Record> for ApiKeyRow {
    type Error = StoreError;

    fn try_from(record: Record) -> Result<Self, StoreError> {
        let id = record.id;
        let wrong = |why: String| StoreError::inconsistent(TABLE, id, why);
        let scopes = record.scopes.iter().map(|word| word.parse::<Scope>());
        Ok(Self {
            id: ApiKeyId::from_uuid(id),
            user: UserId::from_uuid(record.user_id),
            name: record.name,
            prefix: record.prefix,
            hint: record.hint,
            scopes: scopes.collect::<Result<Scopes, _>>().map_err(|error| wrong(error.to_string()))?,
            is_active: record.is_active,
            expires_at: record.expires_at,
            revoked_at: record.revoked_at,
            revoke_reason: record.revoke_reason,
            last_used_at: record.last_used_at,
            last_used_ip: convert::address(record.last_used_ip.as_deref()).map_err(wrong)?,
            created_at: record.created_at,
            updated_at: record.updated_at,
        })
    }
}

/// The API keys' rows.
#[derive(Debug, Clone, Copy)]
pub struct ApiKeys<D> {
    pub(crate) db: D,
}

impl ApiKeys<System<'_>> {
    /// Creates a key.
    #[tracing::instrument(name = "db.api_key.create", skip_all, fields(api_key.id = %new.id), err(level = "debug"))]
    pub async fn create(&self, new: &NewApiKey) -> Result<(), StoreError> {
        let scopes: Vec<String> = new.scopes.iter().map(|scope| scope.as_str().to_owned()).collect();
        let done = sqlx::query!(
            "insert into api_keys (id, user_id, organization_id, project_id, created_by, name, prefix, key_hash, hint, scopes,
                                   expires_at, created_at, updated_at)
             select $1, $2, coalesce($10, u.default_organization_id), coalesce($11, u.default_project_id), $12, $3, $4, $5, $6,
                    $7, $8, $9, $9
             from users u where u.id = $2",
            new.id.uuid(),
            new.user.uuid(),
            new.name,
            new.prefix,
            &new.hash[..],
            new.hint,
            &scopes,
            new.expires_at,
            new.at,
            new.organization.map(OrganizationId::uuid),
            new.project.map(ProjectId::uuid),
            new.created_by.uuid(),
        )
        .execute(self.db.pool)
        .await
        .during("db.api_key.create")?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Missing { noun: "user" }) }
    }

    /// The key of a hash with its user, in one round trip. Whether it still opens anything is the caller's to judge.
    #[tracing::instrument(name = "db.api_key.by_hash", skip_all, err(level = "debug"))]
    pub async fn by_hash(&self, hash: &[u8; 32]) -> Result<Option<KeyWithUser>, StoreError> {
        let row = sqlx::query!(
            r#"select k.id, k.user_id, k.name, k.prefix, k.hint, k.scopes, k.is_active, k.expires_at, k.revoked_at,
                      k.revoke_reason, k.last_used_at, host(k.last_used_ip) as last_used_ip, k.created_at, k.updated_at,
                      u.email, u.name as user_name, u.is_active as user_is_active, u.is_admin,
                      u.default_organization_id, u.default_project_id,
                      u.created_at as user_created_at, u.updated_at as user_updated_at,
                      k.organization_id, k.project_id, o.status = 'active' and o.deleted_at is null as "organization_is_active!",
                      case when p.deleted_at is null then p.status else 'archived' end as "project_status!",
                      m.role as "role?", k.requests_per_minute,
                      case when jsonb_typeof(p.quotas -> 'max_requests_per_minute') = 'number'
                           then (p.quotas ->> 'max_requests_per_minute')::numeric::bigint end as project_rate
               from api_keys k join users u on u.id = k.user_id and u.deleted_at is null
                    join organizations o on o.id = k.organization_id
                    join projects p on p.id = k.project_id
                    left join org_members m on m.organization_id = k.organization_id and m.user_id = k.user_id
                                               and m.status = 'active'
               where k.key_hash = $1"#,
            &hash[..],
        )
        .fetch_optional(self.db.pool)
        .await
        .during("db.api_key.by_hash")?;
        let Some(row) = row else { return Ok(None) };
        let user = UserRow {
            id: UserId::from_uuid(row.user_id),
            email: row.email,
            name: row.user_name,
            is_active: row.user_is_active,
            is_admin: row.is_admin,
            default_organization: OrganizationId::from_uuid(row.default_organization_id),
            default_project: ProjectId::from_uuid(row.default_project_id),
            created_at: row.user_created_at,
            updated_at: row.user_updated_at,
        };
        let place =
            KeyPlace {
                organization: OrganizationId::from_uuid(row.organization_id),
                organization_is_active: row.organization_is_active,
                project: ProjectId::from_uuid(row.project_id),
                project_status: row.project_status,
                role: row.role.as_deref().map(str::parse).transpose().map_err(|error: UnknownWord| {
                    StoreError::inconsistent(TABLE, row.id, error.to_string())
                })?,
            };
        let key = Record {
            id: row.id,
            user_id: row.user_id,
            name: row.name,
            prefix: row.prefix,
            hint: row.hint,
            scopes: row.scopes,
            is_active: row.is_active,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            revoke_reason: row.revoke_reason,
            last_used_at: row.last_used_at,
            last_used_ip: row.last_used_ip,
            created_at: row.created_at,
            updated_at: row.updated_at,
        };
        let rates = KeyRates::of(row.requests_per_minute, row.project_rate);
        Ok(Some(KeyWithUser { key: ApiKeyRow::try_from(key)?, user, place, rates }))
    }

    /// A user's keys, oldest first.
    #[tracing::instrument(name = "db.api_key.list", skip_all, fields(user.id = %user), err(level = "debug"))]
    pub async fn list(&self, user: UserId) -> Result<Vec<ApiKeyRow>, StoreError> {
        let records = sqlx::query_as!(
            Record,
            "select id, user_id, name, prefix, hint, scopes, is_active, expires_at, revoked_at, revoke_reason,
                    last_used_at, host(last_used_ip) as last_used_ip, created_at, updated_at
             from api_keys where user_id = $1 order by created_at, id",
            user.uuid(),
        )
        .fetch_all(self.db.pool)
        .await
        .during("db.api_key.list")?;
        records.into_iter().map(ApiKeyRow::try_from).collect()
    }

    /// One key; `visible_to` hides the keys of others.
    #[tracing::instrument(name = "db.api_key.get", skip_all, fields(api_key.id = %id), err(level = "debug"))]
    pub async fn get(
        &self,
        id: ApiKeyId,
        visible_to: Option<UserId>,
    ) -> Result<Option<ApiKeyRow>, StoreError> {
        let record = sqlx::query_as!(
            Record,
            "select id, user_id, name, prefix, hint, scopes, is_active, expires_at, revoked_at, revoke_reason,
                    last_used_at, host(last_used_ip) as last_used_ip, created_at, updated_at
             from api_keys where id = $1 and ($2::uuid is null or user_id = $2)",
            id.uuid(),
            visible_to.map(UserId::uuid),
        )
        .fetch_optional(self.db.pool)
        .await
        .during("db.api_key.get")?;
        record.map(ApiKeyRow::try_from).transpose()
    }

    /// Ends a key for good. False when there is none in view, or it was revoked before.
    #[tracing::instrument(name = "db.api_key.revoke", skip_all, fields(api_key.id = %id), err(level = "debug"))]
    pub async fn revoke(
        &self,
        id: ApiKeyId,
        view: View,
        reason: Option<&str>,
        at: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "update api_keys set is_active = false, revoked_at = $4, revoke_reason = $3
             where id = $1 and is_active and ($2::uuid is null or user_id = $2) and ($5::uuid is null or organization_id = $5)",
            id.uuid(),
            view.owner().map(UserId::uuid),
            reason,
            at,
            view.within().map(OrganizationId::uuid),
        )
        .execute(self.db.pool)
        .await
        .during("db.api_key.revoke")?;
        Ok(done.rows_affected() == 1)
    }

    /// Records the last use of many keys at once.
    #[tracing::instrument(name = "db.api_key.touch_many", skip_all, err(level = "debug"))]
    pub async fn touch_many(&self, uses: &[KeyUse]) -> Result<(), StoreError> {
        // A statement updates a row once: the newest use of each key is the one that counts.
        let mut newest = std::collections::BTreeMap::new();
        for one in uses {
            let kept = newest.entry(one.id).or_insert(*one);
            if kept.at < one.at {
                *kept = *one;
            }
        }
        let ids: Vec<Uuid> = newest.keys().map(|id| id.uuid()).collect();
        let times: Vec<OffsetDateTime> = newest.values().map(|one| one.at).collect();
        let addresses: Vec<Option<String>> =
            newest.values().map(|one| one.ip_address.map(|address| address.to_string())).collect();
        sqlx::query!(
            "update api_keys k
             set last_used_at = u.at, last_used_ip = coalesce(u.ip::inet, k.last_used_ip)
             from unnest($1::uuid[], $2::timestamptz[], $3::text[]) as u (id, at, ip)
             where k.id = u.id and (k.last_used_at is null or k.last_used_at < u.at)",
            &ids,
            &times,
            &addresses as &[Option<String>],
        )
        .execute(self.db.pool)
        .await
        .during("db.api_key.touch_many")
        .map(drop)
    }
}
