//! API keys: made, listed, changed, replaced, revoked. A key itself exists in the answer that makes it and nowhere else.

use std::time::Duration;

use ipnet::IpNet;
use roadstead_access::{KeyPermit, Permit};
use roadstead_crypto::{PlainToken, TokenKind};
use roadstead_model::{
    Actor, ApiKeyId, Changes, NewAudit, Operation, OrganizationId, ProjectId, Scopes, UserId, View,
};
use roadstead_store::{
    ApiKeyRow, Cursor, KeyChange, KeyDay, KeyFilter, KeyRequest, KeySettings, KeyTotals, NewApiKey, Page,
    PageRequest, Replacement, Revocation,
};
use serde_json::Value;
use time::OffsetDateTime;

use crate::{Accounts, AccountsError};

/// A key that has ended before it is shown opens nothing.
const SHORTEST_LIFETIME: Duration = Duration::from_secs(1);
/// Ten years: longer is as good as without an end, and times stay within the calendar.
const LONGEST_LIFETIME: Duration = Duration::from_hours(3_650 * 24);
/// A week: whoever uses the old key has been told by then.
const LONGEST_GRACE: Duration = Duration::from_hours(7 * 24);
/// Networks of one key; the database keeps the same limit.
const MAX_NETWORKS: usize = 100;
/// Requests in a minute that a key can name; the database keeps the same limit.
const MAX_PER_MINUTE: u32 = 1_000_000;
/// What a day or a month is limited to at most: a number that columns hold and JSON keeps exact.
const MAX_COUNT: u64 = 1_000_000_000_000;

/// A key to be.
#[derive(Debug)]
pub struct NewKey {
    /// For people.
    pub name: String,
    /// At most those of the key that makes it.
    pub scopes: Scopes,
    /// From where and how often it may be used.
    pub settings: KeySettings,
    /// When it ends by itself.
    pub expires_in: Option<Duration>,
    /// For whom; another user only by a platform admin.
    pub user: Option<UserId>,
    /// Where it acts; none for where the caller does, or a user's own project.
    pub project: Option<ProjectId>,
}

/// What is changed of a key; what is none stays.
#[derive(Debug, Default)]
pub struct KeyPatch {
    /// For people.
    pub name: Option<String>,
    /// The networks that it may be used from.
    pub allowed_ips: Option<Vec<IpNet>>,
    /// Requests in a minute, or as many as the settings say.
    pub requests_per_minute: Option<Option<u32>>,
    /// Requests of a day, or as many as there are.
    pub daily_limit: Option<Option<u64>>,
    /// Requests of a month, or as many as there are.
    pub monthly_limit: Option<Option<u64>>,
    /// When it ends from now, or that it does not.
    pub expires_in: Option<Option<Duration>>,
}

/// Which keys are wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct KeyListing {
    /// Those that open something, or those that do not.
    pub active: Option<bool>,
    /// Whether what they were used altogether is wanted.
    pub totals: bool,
    /// Which part.
    pub page: PageRequest,
}

/// A key with what it was used altogether.
#[derive(Debug, Clone)]
pub struct KeyWithTotals {
    /// The key.
    pub row: ApiKeyRow,
    /// None where it was not asked for, or of a key that was never used.
    pub totals: Option<KeyTotals>,
}

impl Accounts {
    /// Makes a key; the second part is shown once.
    pub async fn create_key(
        &self,
        permit: &KeyPermit,
        new: NewKey,
    ) -> Result<(ApiKeyRow, PlainToken), AccountsError> {
        if !permit.grantable().covers(&new.scopes) {
            return Err(AccountsError::ScopesNotGrantable);
        }
        checked(&new.settings, new.expires_in)?;
        let user = new.user.unwrap_or_else(|| permit.user());
        if permit.view().owner().is_some_and(|own| own != user) {
            return Err(AccountsError::NotFound { what: "user" });
        }
        let here = (user == permit.user()).then(|| permit.project());
        let place = self.store().api_keys().place_for(user, new.project.or(here)).await?;
        let what = if new.project.is_some() || here.is_some() { "project" } else { "user" };
        let place = place.ok_or(AccountsError::NotFound { what })?;
        let _one_at_a_time = self.room_for_key(user).await?;
        let (row, token) = self.new_row(user, place, new, permit.actor().user, None);
        // The project may be of another organisation that the user is a member of, which was just made sure of.
        let view = View { organization: place.0, ..permit.view() };
        let mut change = self.store().change(view).await?;
        change.api_keys().create(&row).await?;
        let made = change.api_keys().get(row.id, Some(view)).await?;
        let made = made.ok_or(AccountsError::NotFound { what: "API key" })?;
        change.commit(&entry(permit, &made, Changes::created(&made), row.at)).await?;
        Ok((made, token))
    }

    /// Makes a key for a user in their own project: the service's own doing.
    pub(crate) async fn insert_key(
        &self,
        user: UserId,
        name: String,
        given: Option<PlainToken>,
    ) -> Result<PlainToken, AccountsError> {
        let place = self.store().api_keys().place_for(user, None).await?;
        let place = place.ok_or(AccountsError::NotFound { what: "project" })?;
        let new = NewKey {
            name,
            scopes: Scopes::all(),
            settings: KeySettings::default(),
            expires_in: None,
            user: None,
            project: None,
        };
        let (row, token) = self.new_row(user, place, new, None, given);
        let mut change = self.store().system_change().await?;
        change.api_keys().create(&row).await?;
        let made = change.api_keys().get(row.id, None).await?;
        let changes = made.as_ref().map(Changes::created).unwrap_or_default();
        let entry = NewAudit {
            organization: Some(place.0),
            project: Some(place.1),
            actor: Actor::SYSTEM,
            resource_id: Some(row.id.to_string()),
            changes,
            sensitive: true,
            ..NewAudit::by_system(Operation::KeysCreate.action(), row.at)
        };
        change.commit(&entry).await?;
        Ok(token)
    }

    fn new_row(
        &self,
        user: UserId,
        (organization, project): (OrganizationId, ProjectId),
        new: NewKey,
        created_by: Option<UserId>,
        given: Option<PlainToken>,
    ) -> (NewApiKey, PlainToken) {
        let at = self.now();
        let (id, token) = self.new_token(given);
        let row = NewApiKey {
            id,
            user,
            organization,
            project,
            created_by,
            name: new.name,
            prefix: TokenKind::ApiKey.prefix().to_owned(),
            hash: *token.hash().as_bytes(),
            hint: token.hint(),
            scopes: new.scopes,
            settings: new.settings,
            expires_at: new.expires_in.map(|duration| at + duration),
            at,
        };
        (row, token)
    }

    fn new_token(&self, given: Option<PlainToken>) -> (ApiKeyId, PlainToken) {
        let mut rng = self.0.randomness.lock();
        let id = ApiKeyId::new(&*self.0.clock, &mut *rng);
        (id, given.unwrap_or_else(|| PlainToken::generate(TokenKind::ApiKey, &mut *rng)))
    }

    /// The keys that the permit reaches.
    pub async fn keys(
        &self,
        permit: &KeyPermit,
        wanted: KeyListing,
    ) -> Result<Page<KeyWithTotals>, AccountsError> {
        let filter = KeyFilter {
            view: permit.view(),
            active: wanted.active.map(|active| (active, self.now())),
            after: wanted.page.after,
            limit: wanted.page.limit,
        };
        let page = self.store().seen_by(permit.view()).api_keys().list(&filter).await?;
        // Only of keys that the caller was just shown.
        let ids: Vec<ApiKeyId> = page.items.iter().map(|row| row.id).collect();
        let totals = if wanted.totals { self.store().api_keys().totals(&ids).await? } else { Vec::new() };
        let with = |row: ApiKeyRow| {
            let totals = totals.iter().find(|one| one.key == row.id).copied();
            KeyWithTotals { row, totals }
        };
        Ok(Page { items: page.items.into_iter().map(with).collect(), next: page.next })
    }

    /// One key.
    pub async fn key(&self, permit: &KeyPermit, id: ApiKeyId) -> Result<ApiKeyRow, AccountsError> {
        let view = permit.view();
        let found = self.store().seen_by(view).api_keys().get(id, Some(view)).await?;
        found.ok_or(AccountsError::NotFound { what: "API key" })
    }

    /// Changes a key, if it is still of the version that was read.
    pub async fn patch_key(
        &self,
        permit: &KeyPermit,
        id: ApiKeyId,
        expected: Option<i32>,
        patch: KeyPatch,
    ) -> Result<ApiKeyRow, AccountsError> {
        let (view, at) = (permit.view(), self.now());
        let mut change = self.store().change(view).await?;
        let found = active(change.api_keys().get(id, Some(view)).await?)?;
        if let Some(expected) = expected.filter(|expected| *expected != found.version) {
            return Err(AccountsError::StaleVersion { expected });
        }
        let (stays, lifetime) = (found.clone(), patch.expires_in.flatten());
        let wanted = KeyChange {
            name: patch.name.unwrap_or(stays.name),
            settings: KeySettings {
                allowed_ips: patch.allowed_ips.unwrap_or(stays.settings.allowed_ips),
                requests_per_minute: patch.requests_per_minute.unwrap_or(stays.settings.requests_per_minute),
                daily_limit: patch.daily_limit.unwrap_or(stays.settings.daily_limit),
                monthly_limit: patch.monthly_limit.unwrap_or(stays.settings.monthly_limit),
            },
            expires_at: match patch.expires_in {
                None => stays.expires_at,
                Some(lifetime) => lifetime.map(|lifetime| at + lifetime),
            },
        };
        checked(&wanted.settings, lifetime)?;
        if !change.api_keys().patch(&found, view, &wanted).await? {
            return Err(AccountsError::StaleVersion { expected: found.version });
        }
        let changed = change.api_keys().get(id, Some(view)).await?;
        let changed = changed.ok_or(AccountsError::NotFound { what: "API key" })?;
        change.commit(&entry(permit, &changed, Changes::between(&found, &changed), at)).await?;
        Ok(changed)
    }

    /// Makes a key in the place of another, with everything that was set of it. The old one ends at once, or when its grace
    /// does. The new one is shown once, so nobody gets one that may do more than they.
    pub async fn rotate_key(
        &self,
        permit: &KeyPermit,
        id: ApiKeyId,
        grace: Option<Duration>,
    ) -> Result<(ApiKeyRow, PlainToken), AccountsError> {
        if grace.is_some_and(|grace| grace > LONGEST_GRACE) {
            return Err(AccountsError::Invalid(vec![("grace".to_owned(), "must be at most 7d".to_owned())]));
        }
        let (view, at) = (permit.view(), self.now());
        let mut change = self.store().change(view).await?;
        let found = active(change.api_keys().get(id, Some(view)).await?)?;
        if !permit.grantable().covers(&found.scopes) {
            return Err(AccountsError::ScopesNotGrantable);
        }
        let (new, token) = self.new_token(None);
        let hint = token.hint();
        let replacement = Replacement {
            id: new,
            hash: *token.hash().as_bytes(),
            hint: &hint,
            by: permit.actor().user,
            at,
            grace_until: grace.filter(|grace| !grace.is_zero()).map(|grace| at + grace),
        };
        if !change.api_keys().rotate(&found, view, &replacement).await? {
            return Err(AccountsError::StaleVersion { expected: found.version });
        }
        let made = change.api_keys().get(new, Some(view)).await?;
        let made = made.ok_or(AccountsError::NotFound { what: "API key" })?;
        let grace_until = replacement.grace_until.map_or(Value::Null, |end| end.unix_timestamp().into());
        let changes = Changes::default().with("replaced_by", None, &Value::from(new.to_string())).with(
            "grace_until",
            None,
            &grace_until,
        );
        change.commit(&entry(permit, &found, changes, at)).await?;
        Ok((made, token))
    }

    /// Revokes a key at once.
    pub async fn revoke_key(
        &self,
        permit: &KeyPermit,
        id: ApiKeyId,
        reason: Option<&str>,
    ) -> Result<(), AccountsError> {
        let (view, at) = (permit.view(), self.now());
        let mut change = self.store().change(view).await?;
        let found = change.api_keys().get(id, Some(view)).await?;
        let found = found.ok_or(AccountsError::NotFound { what: "API key" })?;
        let end = Revocation { at, by: permit.actor().user, reason };
        if !change.api_keys().revoke(id, view, end).await? {
            return Err(AccountsError::NotFound { what: "API key" });
        }
        let revoked = change.api_keys().get(id, Some(view)).await?.unwrap_or_else(|| found.clone());
        change.commit(&entry(permit, &found, Changes::between(&found, &revoked), at)).await?;
        Ok(())
    }

    /// What a key was used for, a row a day, newest first.
    pub async fn key_days(
        &self,
        permit: &KeyPermit,
        id: ApiKeyId,
        days: u32,
    ) -> Result<Vec<KeyDay>, AccountsError> {
        let found = self.key(permit, id).await?;
        let today = self.now().to_offset(time::UtcOffset::UTC).date();
        let since = today.checked_sub(time::Duration::days(i64::from(days) - 1)).unwrap_or(today);
        let view = permit.view();
        Ok(self.store().seen_by(view).api_keys().days(found.id, view, since).await?)
    }

    /// The requests with a key, newest first.
    pub async fn key_requests(
        &self,
        permit: &KeyPermit,
        id: ApiKeyId,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<KeyRequest>, AccountsError> {
        let found = self.key(permit, id).await?;
        Ok(self.store().seen_by(permit.view()).api_keys().requests(&found, after, limit).await?)
    }
}

/// A key that is in view and has not ended, nor been replaced.
fn active(found: Option<ApiKeyRow>) -> Result<ApiKeyRow, AccountsError> {
    let found = found.ok_or(AccountsError::NotFound { what: "API key" })?;
    if found.is_active && found.grace_until.is_none() {
        Ok(found)
    } else {
        Err(AccountsError::NotFound { what: "API key that is active" })
    }
}

/// The entry of a change of a key, in the chain of the organisation that the key acts in.
fn entry(permit: &Permit, key: &ApiKeyRow, changes: Changes, at: OffsetDateTime) -> NewAudit {
    NewAudit {
        organization: Some(key.organization),
        project: Some(key.project),
        sensitive: true,
        ..permit.entry(&key.id, changes, at)
    }
}

fn checked(settings: &KeySettings, expires_in: Option<Duration>) -> Result<(), AccountsError> {
    let mut problems = Vec::new();
    let mut problem = |field: &str, message: String| problems.push((field.to_owned(), message));
    if expires_in.is_some_and(|lifetime| !(SHORTEST_LIFETIME..=LONGEST_LIFETIME).contains(&lifetime)) {
        problem("expires_in", "must be between 1s and 3650d".to_owned());
    }
    if settings.allowed_ips.len() > MAX_NETWORKS {
        problem("allowed_ips", format!("must be at most {MAX_NETWORKS} networks"));
    }
    if settings.requests_per_minute.is_some_and(|rate| !(1..=MAX_PER_MINUTE).contains(&rate)) {
        problem("requests_per_minute", format!("must be from 1 to {MAX_PER_MINUTE}"));
    }
    for (field, limit) in [("daily_limit", settings.daily_limit), ("monthly_limit", settings.monthly_limit)] {
        if limit.is_some_and(|limit| !(1..=MAX_COUNT).contains(&limit)) {
            problem(field, format!("must be from 1 to {MAX_COUNT}"));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(AccountsError::Invalid(problems)) }
}
