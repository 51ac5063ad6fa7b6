//! Making keys, changing them, and ending them.

use roadstead_model::{ApiKeyId, OrganizationId, UserId, View};
use time::OffsetDateTime;

use super::{ApiKeyRow, ApiKeys, KeySettings, LimitColumns, NewApiKey, scope_words};
use crate::StoreError;
use crate::db::Within;
use crate::error::During;

/// What a key is to be from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyChange {
    /// What its owner calls it.
    pub name: String,
    /// From where and how often it may be used.
    pub settings: KeySettings,
    /// When it stops working.
    pub expires_at: Option<OffsetDateTime>,
}

/// The end of a key.
#[derive(Debug, Clone, Copy)]
pub struct Revocation<'a> {
    /// When.
    pub at: OffsetDateTime,
    /// Who ends it; none for the service.
    pub by: Option<UserId>,
    /// Why.
    pub reason: Option<&'a str>,
}

/// A key in the place of another.
#[derive(Debug, Clone)]
pub struct Replacement<'a> {
    /// The new key's id.
    pub id: ApiKeyId,
    /// The SHA-256 of the new key.
    pub hash: [u8; 32],
    /// The end of the new key.
    pub hint: &'a str,
    /// Who makes it.
    pub by: Option<UserId>,
    /// When.
    pub at: OffsetDateTime,
    /// Until when the old one works as well; none to end it at once.
    pub grace_until: Option<OffsetDateTime>,
}

impl ApiKeys<Within<'_>> {
    /// Creates a key.
    #[tracing::instrument(name = "db.api_key.create", skip_all, fields(api_key.id = %new.id), err(level = "debug"))]
    pub async fn create(&mut self, new: &NewApiKey) -> Result<(), StoreError> {
        let limits = LimitColumns::from(&new.settings);
        sqlx::query!(
            "insert into api_keys (id, user_id, organization_id, project_id, created_by, name, prefix, key_hash, hint, scopes,
                                   allowed_ips, requests_per_minute, daily_limit, monthly_limit, expires_at, created_at,
                                   updated_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::text[]::cidr[], $12, $13, $14, $15, $16, $16)",
            new.id.uuid(),
            new.user.uuid(),
            new.organization.uuid(),
            new.project.uuid(),
            new.created_by.map(UserId::uuid),
            new.name,
            new.prefix,
            &new.hash[..],
            new.hint,
            &scope_words(&new.scopes),
            &limits.networks,
            limits.per_minute,
            limits.daily,
            limits.monthly,
            new.expires_at,
            new.at,
        )
        .execute(&mut *self.db.connection)
        .await
        .during("db.api_key.create")
        .map(drop)
    }

    /// Changes a key that is as it was read. False when it was changed or ended since.
    #[tracing::instrument(name = "db.api_key.patch", skip_all, fields(api_key.id = %read.id), err(level = "debug"))]
    pub async fn patch(
        &mut self,
        read: &ApiKeyRow,
        view: View,
        change: &KeyChange,
    ) -> Result<bool, StoreError> {
        let limits = LimitColumns::from(&change.settings);
        let done = sqlx::query!(
            "update api_keys set name = $5, allowed_ips = $6::text[]::cidr[], requests_per_minute = $7, daily_limit = $8,
                                 monthly_limit = $9, expires_at = $10, version = version + 1
             where id = $1 and version = $2 and is_active and ($3::uuid is null or user_id = $3)
               and ($4::uuid is null or organization_id = $4)",
            read.id.uuid(),
            read.version,
            view.owner().map(UserId::uuid),
            view.within().map(OrganizationId::uuid),
            change.name,
            &limits.networks,
            limits.per_minute,
            limits.daily,
            limits.monthly,
            change.expires_at,
        )
        .execute(&mut *self.db.connection)
        .await
        .during("db.api_key.patch")?;
        Ok(done.rows_affected() == 1)
    }

    /// Ends a key for good. False when there is none in view, or it was revoked before.
    #[tracing::instrument(name = "db.api_key.revoke", skip_all, fields(api_key.id = %id), err(level = "debug"))]
    pub async fn revoke(
        &mut self,
        id: ApiKeyId,
        view: View,
        end: Revocation<'_>,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "update api_keys set is_active = false, revoked_at = $4, revoke_reason = $3, revoked_by = $6,
                                 version = version + 1
             where id = $1 and is_active and ($2::uuid is null or user_id = $2) and ($5::uuid is null or organization_id = $5)",
            id.uuid(),
            view.owner().map(UserId::uuid),
            end.reason,
            end.at,
            view.within().map(OrganizationId::uuid),
            end.by.map(UserId::uuid),
        )
        .execute(&mut *self.db.connection)
        .await
        .during("db.api_key.revoke")?;
        Ok(done.rows_affected() == 1)
    }

    /// Makes a key in the place of another, with everything that was set of it; the old one ends, at once or when its grace
    /// does. False when the old one was changed, ended or replaced since it was read.
    #[tracing::instrument(name = "db.api_key.rotate", skip_all, fields(api_key.id = %old.id), err(level = "debug"))]
    pub async fn rotate(
        &mut self,
        old: &ApiKeyRow,
        view: View,
        new: &Replacement<'_>,
    ) -> Result<bool, StoreError> {
        const NAME: &str = "db.api_key.rotate";
        let done = sqlx::query!(
            "update api_keys set is_active = $5::timestamptz is not null, grace_until = $5, version = version + 1,
                    revoked_at = case when $5::timestamptz is null then $6::timestamptz end,
                    revoke_reason = case when $5::timestamptz is null then 'rotated' end,
                    revoked_by = case when $5::timestamptz is null then $7::uuid end
             where id = $1 and version = $2 and is_active and grace_until is null and ($3::uuid is null or user_id = $3)
               and ($4::uuid is null or organization_id = $4)",
            old.id.uuid(),
            old.version,
            view.owner().map(UserId::uuid),
            view.within().map(OrganizationId::uuid),
            new.grace_until,
            new.at,
            new.by.map(UserId::uuid),
        )
        .execute(&mut *self.db.connection)
        .await
        .during(NAME)?;
        if done.rows_affected() != 1 {
            return Ok(false);
        }
        let made = sqlx::query!(
            "insert into api_keys (id, user_id, organization_id, project_id, created_by, name, prefix, key_hash, hint, scopes,
                                   allowed_ips, requests_per_minute, daily_limit, monthly_limit, expires_at, rotated_from,
                                   created_at, updated_at)
             select $2, user_id, organization_id, project_id, $3, name, prefix, $4, $5, scopes, allowed_ips,
                    requests_per_minute, daily_limit, monthly_limit, expires_at, id, $6, $6
             from api_keys where id = $1",
            old.id.uuid(),
            new.id.uuid(),
            new.by.map(UserId::uuid),
            &new.hash[..],
            new.hint,
            new.at,
        )
        .execute(&mut *self.db.connection)
        .await
        .during(NAME)?;
        Ok(made.rows_affected() == 1)
    }
}
