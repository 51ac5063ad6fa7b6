//! Looking at keys.

use roadstead_model::era::UnknownWord;
use roadstead_model::{ApiKeyId, OrganizationId, ProjectId, UserId, View};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{ApiKeyRow, ApiKeys, KeyPlace, KeyWithUser, Record, TABLE, UsedSoFar};
use crate::db::{Db, System};
use crate::error::During;
use crate::page::one_more;
use crate::{Cursor, Page, StoreError, UserRow};

/// Which keys are wanted.
#[derive(Debug, Clone, Copy)]
pub struct KeyFilter {
    /// Whose eyes see them.
    pub view: View,
    /// Those that open something at this moment, or those that do not.
    pub active: Option<(bool, OffsetDateTime)>,
    /// The place after which the page starts.
    pub after: Option<Cursor>,
    /// Keys at most.
    pub limit: u32,
}

/// Keys; `$tail` begins with the condition.
macro_rules! select {
    ($tail:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Record,
            "select k.id, k.user_id, k.organization_id, k.project_id, k.created_by, k.name, k.prefix, k.hint, k.scopes,
                    k.allowed_ips::text[] as \"allowed_ips!\", k.requests_per_minute, k.daily_limit, k.monthly_limit,
                    k.is_active, k.expires_at, k.revoked_at, k.revoke_reason, k.revoked_by, k.rotated_from, k.grace_until,
                    k.usage_count, k.last_used_at, host(k.last_used_ip) as last_used_ip, k.last_used_agent, k.version,
                    k.created_at, k.updated_at
             from api_keys k " + $tail
            $(, $argument)*
        )
    };
}

impl<D: Db> ApiKeys<D> {
    /// One key; what is not in view is not there.
    #[tracing::instrument(name = "db.api_key.get", skip_all, fields(api_key.id = %id), err(level = "debug"))]
    pub async fn get(&mut self, id: ApiKeyId, view: Option<View>) -> Result<Option<ApiKeyRow>, StoreError> {
        const NAME: &str = "db.api_key.get";
        let mut connection = self.db.connection().await.during(NAME)?;
        let record = select!(
            "where k.id = $1 and ($2::uuid is null or k.user_id = $2) and ($3::uuid is null or k.organization_id = $3)",
            id.uuid(),
            view.and_then(|view| view.owner()).map(UserId::uuid),
            view.and_then(|view| view.within()).map(OrganizationId::uuid),
        )
        .fetch_optional(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        record.map(ApiKeyRow::try_from).transpose()
    }

    /// The keys that a filter lets through, oldest first. The condition on what is active says in SQL what is asked of a key
    /// that is presented.
    #[tracing::instrument(name = "db.api_key.list", skip_all, err(level = "debug"))]
    pub async fn list(&mut self, filter: &KeyFilter) -> Result<Page<ApiKeyRow>, StoreError> {
        const NAME: &str = "db.api_key.list";
        let mut connection = self.db.connection().await.during(NAME)?;
        let records = select!(
            "where ($1::uuid is null or k.user_id = $1) and ($2::uuid is null or k.organization_id = $2)
               and ($3::boolean is null or $3 = (k.is_active and (k.expires_at is null or k.expires_at > $4)
                                                 and (k.grace_until is null or k.grace_until > $4)))
               and ($5::timestamptz is null or (k.created_at, k.id) > ($5, $6::uuid))
             order by k.created_at, k.id limit $7",
            filter.view.owner().map(UserId::uuid),
            filter.view.within().map(OrganizationId::uuid),
            filter.active.map(|(wanted, _)| wanted),
            filter.active.map(|(_, now)| now),
            filter.after.map(|cursor| cursor.at),
            filter.after.map(|cursor| cursor.id),
            one_more(filter.limit),
        )
        .fetch_all(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        let rows = records.into_iter().map(ApiKeyRow::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::cut(rows, filter.limit, ApiKeyRow::cursor))
    }
}

impl ApiKeys<System<'_>> {
    /// All keys of a user, in every organisation, oldest first.
    #[tracing::instrument(name = "db.api_key.of_user", skip_all, fields(user.id = %user), err(level = "debug"))]
    pub async fn of_user(&self, user: UserId) -> Result<Vec<ApiKeyRow>, StoreError> {
        let records = select!("where k.user_id = $1 order by k.created_at, k.id", user.uuid())
            .fetch_all(self.db.pool)
            .await
            .during("db.api_key.of_user")?;
        records.into_iter().map(ApiKeyRow::try_from).collect()
    }

    /// How many keys of a user open something now.
    #[tracing::instrument(name = "db.api_key.count_active", skip_all, fields(user.id = %user), err(level = "debug"))]
    pub async fn count_active(&self, user: UserId, now: OffsetDateTime) -> Result<usize, StoreError> {
        let count = sqlx::query_scalar!(
            r#"select count(*) as "count!" from api_keys where user_id = $1 and is_active
               and (expires_at is null or expires_at > $2) and (grace_until is null or grace_until > $2)"#,
            user.uuid(),
            now,
        )
        .fetch_one(self.db.pool)
        .await
        .during("db.api_key.count_active")?;
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// Where a user may act: in a project of an organisation that they are an active member of, or in their own. None when
    /// there is no such place for them.
    #[tracing::instrument(name = "db.api_key.place_for", skip_all, fields(user.id = %user), err(level = "debug"))]
    pub async fn place_for(
        &self,
        user: UserId,
        project: Option<ProjectId>,
    ) -> Result<Option<(OrganizationId, ProjectId)>, StoreError> {
        let row = sqlx::query!(
            "select p.organization_id, p.id
             from users u join projects p on p.id = coalesce($2, u.default_project_id)
                  join organizations o on o.id = p.organization_id
                  join org_members m on m.organization_id = p.organization_id and m.user_id = u.id and m.status = 'active'
             where u.id = $1 and u.deleted_at is null and p.deleted_at is null and p.status <> 'archived'
               and o.deleted_at is null and o.status = 'active'",
            user.uuid(),
            project.map(ProjectId::uuid),
        )
        .fetch_optional(self.db.pool)
        .await
        .during("db.api_key.place_for")?;
        Ok(row.map(|row| (OrganizationId::from_uuid(row.organization_id), ProjectId::from_uuid(row.id))))
    }
}

impl<D: Db> ApiKeys<D> {
    /// The key of a hash with its user and what it was used, in one round trip. Whether it still opens anything is the
    /// caller's to judge.
    #[tracing::instrument(name = "db.api_key.by_hash", skip_all, err(level = "debug"))]
    pub async fn by_hash(
        &mut self,
        hash: &[u8; 32],
        now: OffsetDateTime,
    ) -> Result<Option<KeyWithUser>, StoreError> {
        const NAME: &str = "db.api_key.by_hash";
        let today = now.to_offset(time::UtcOffset::UTC).date();
        let mut connection = self.db.connection().await.during(NAME)?;
        let found = sqlx::query_as!(
            Found,
            r#"select k.id, k.user_id, k.created_by, k.name, k.prefix, k.hint, k.scopes, k.allowed_ips::text[] as "allowed_ips!",
                      k.requests_per_minute, k.daily_limit, k.monthly_limit, k.is_active, k.expires_at, k.revoked_at,
                      k.revoke_reason, k.revoked_by, k.rotated_from, k.grace_until, k.usage_count, k.last_used_at,
                      host(k.last_used_ip) as last_used_ip, k.last_used_agent, k.version, k.created_at, k.updated_at,
                      u.email, u.name as user_name, u.is_active as user_is_active, u.is_admin,
                      u.default_organization_id, u.default_project_id,
                      u.created_at as user_created_at, u.updated_at as user_updated_at,
                      k.organization_id, k.project_id, o.status = 'active' and o.deleted_at is null as "organization_is_active!",
                      case when p.deleted_at is null then p.status else 'archived' end as "project_status!",
                      m.role as "role?",
                      case when jsonb_typeof(p.quotas->'max_requests_per_minute') = 'number'
                        then (p.quotas->>'max_requests_per_minute')::numeric::bigint end as "project_requests_per_minute",
                      case when k.daily_limit is not null then coalesce((select d.requests from api_key_usage d
                        where d.api_key_id = k.id and d.day = $2), 0) end as used_today,
                      case when k.monthly_limit is not null then coalesce((select sum(d.requests)::bigint from api_key_usage d
                        where d.api_key_id = k.id and d.day between date_trunc('month', $2::date)::date and $2), 0) end
                        as used_this_month
               from api_keys k join users u on u.id = k.user_id and u.deleted_at is null
                    join organizations o on o.id = k.organization_id
                    join projects p on p.id = k.project_id
                    left join org_members m on m.organization_id = k.organization_id and m.user_id = k.user_id
                                               and m.status = 'active'
               where k.key_hash = $1"#,
            &hash[..],
            today,
        )
        .fetch_optional(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        found.map(KeyWithUser::try_from).transpose()
    }
}

/// A key, its user and its place, as one row.
#[expect(clippy::struct_excessive_bools, reason = "they are columns")]
struct Found {
    id: Uuid,
    user_id: Uuid,
    created_by: Option<Uuid>,
    name: String,
    prefix: String,
    hint: String,
    scopes: Vec<String>,
    allowed_ips: Vec<String>,
    requests_per_minute: Option<i32>,
    daily_limit: Option<i64>,
    monthly_limit: Option<i64>,
    is_active: bool,
    expires_at: Option<OffsetDateTime>,
    revoked_at: Option<OffsetDateTime>,
    revoke_reason: Option<String>,
    revoked_by: Option<Uuid>,
    rotated_from: Option<Uuid>,
    grace_until: Option<OffsetDateTime>,
    usage_count: i64,
    last_used_at: Option<OffsetDateTime>,
    last_used_ip: Option<String>,
    last_used_agent: Option<String>,
    version: i32,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
    email: String,
    user_name: String,
    user_is_active: bool,
    is_admin: bool,
    default_organization_id: Uuid,
    default_project_id: Uuid,
    user_created_at: OffsetDateTime,
    user_updated_at: OffsetDateTime,
    organization_id: Uuid,
    project_id: Uuid,
    organization_is_active: bool,
    project_status: String,
    role: Option<String>,
    project_requests_per_minute: Option<i64>,
    used_today: Option<i64>,
    used_this_month: Option<i64>,
}

impl Found {
    fn user(&self) -> UserRow {
        UserRow {
            id: UserId::from_uuid(self.user_id),
            email: self.email.clone(),
            name: self.user_name.clone(),
            is_active: self.user_is_active,
            is_admin: self.is_admin,
            default_organization: OrganizationId::from_uuid(self.default_organization_id),
            default_project: ProjectId::from_uuid(self.default_project_id),
            created_at: self.user_created_at,
            updated_at: self.user_updated_at,
        }
    }

    fn place(&self) -> Result<KeyPlace, StoreError> {
        let role = self.role.as_deref().map(str::parse).transpose();
        Ok(KeyPlace {
            organization: OrganizationId::from_uuid(self.organization_id),
            organization_is_active: self.organization_is_active,
            project: ProjectId::from_uuid(self.project_id),
            project_status: self.project_status.clone(),
            role: role
                .map_err(|error: UnknownWord| StoreError::inconsistent(TABLE, self.id, error.to_string()))?,
            requests_per_minute: self.requests_per_minute.map(i32::unsigned_abs),
            project_requests_per_minute: self
                .project_requests_per_minute
                .map(|limit| u32::try_from(limit).unwrap_or(u32::MAX)),
        })
    }
}

impl TryFrom<Found> for KeyWithUser {
    type Error = StoreError;

    fn try_from(row: Found) -> Result<Self, StoreError> {
        let (user, place) = (row.user(), row.place()?);
        let so_far = UsedSoFar {
            day: row.used_today.map_or(0, i64::unsigned_abs),
            month: row.used_this_month.map_or(0, i64::unsigned_abs),
        };
        let key = Record {
            id: row.id,
            user_id: row.user_id,
            organization_id: row.organization_id,
            project_id: row.project_id,
            created_by: row.created_by,
            name: row.name,
            prefix: row.prefix,
            hint: row.hint,
            scopes: row.scopes,
            allowed_ips: row.allowed_ips,
            requests_per_minute: row.requests_per_minute,
            daily_limit: row.daily_limit,
            monthly_limit: row.monthly_limit,
            is_active: row.is_active,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            revoke_reason: row.revoke_reason,
            revoked_by: row.revoked_by,
            rotated_from: row.rotated_from,
            grace_until: row.grace_until,
            usage_count: row.usage_count,
            last_used_at: row.last_used_at,
            last_used_ip: row.last_used_ip,
            last_used_agent: row.last_used_agent,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        };
        Ok(Self { key: ApiKeyRow::try_from(key)?, user, place, used: so_far })
    }
}
