//! The first half of a launch that holds nothing: what is asked for is looked up and checked, all of it.

use std::collections::BTreeMap;
use std::time::Duration;

use roadstead_access::LaunchPermit;
use roadstead_accounts::{AccountsError, SecretString};
use roadstead_catalog::TypeSpec;
use roadstead_control::Grant;
use roadstead_model::duration::{self, LONGEST_LIFETIME, SHORTEST_LIFETIME};
use roadstead_model::{CredentialId, CredentialStatus, Lifetime, ToolRules, TypeId, UserId};
use roadstead_store::{InstanceRow, Probed, UsedCredential};
use serde_json::{Map, Value};

use crate::error::{ChangeError, LaunchError, Problem};
use crate::launch::made_of::{self, MadeOf, Which};
use crate::launch::{LaunchRequest, Life};
use crate::parts::Inner;

/// What an instance is launched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Somebody uses it.
    Use,
    /// It is only asked what it offers.
    Look,
}

/// A launch that can be made.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(super) type_id: TypeId,
    pub(super) type_version: i32,
    pub(super) spec: TypeSpec,
    /// The packages that its program belongs to.
    pub(super) made_of: MadeOf,
    /// What it is made for.
    pub(super) purpose: Purpose,
    /// What was decided of its tools.
    pub(super) tools: ToolRules,
    /// The era that an earlier instance of this version was found to speak.
    pub(super) probed: Option<Probed>,
    pub(super) name: Option<String>,
    /// The stored credential, and the version of its values that is in `values`.
    pub(super) credential: Option<UsedCredential>,
    /// Whether the values came with the launch and are kept with the instance.
    pub(super) inline: bool,
    pub(super) values: BTreeMap<String, SecretString>,
    pub(super) config: Map<String, Value>,
    /// The paths of people that the config names.
    pub(super) grants: Vec<Grant>,
    pub(super) lifetime: Duration,
    /// The idle limit that was asked for; none for the type's.
    pub(super) idle_limit: Option<Duration>,
    pub(super) keep: bool,
    pub(super) autostart: bool,
}

impl Plan {
    pub(super) async fn make(
        inner: &Inner,
        permit: &LaunchPermit,
        request: LaunchRequest,
    ) -> Result<Self, LaunchError> {
        let unknown = || LaunchError::TypeNotFound { name: request.type_name.clone() };
        let project = (!request.inspects).then(|| permit.project());
        let found = made_of::held(inner, Which::Named(&request.type_name), project).await?;
        let (found, made_of) = found.ok_or_else(unknown)?;
        let mut spec = roadstead_accounts::types::spec_of(&found).map_err(|_| unknown())?;
        spec.place_program_in(&inner.parts.bundled.to_string_lossy());

        if !spec.allowed_roles.is_empty() && !spec.allowed_roles.contains(&permit.role()) && !request.inspects
        {
            let roles: Vec<&str> = spec.allowed_roles.iter().map(|role| role.as_str()).collect();
            return Err(LaunchError::RoleNotAllowed { name: spec.name, roles: roles.join(", ") });
        }

        let mut problems: Vec<Problem> = Vec::new();
        let config = merged(&spec, &request.config, &mut problems);
        let grants = granted(inner, &spec, &config, &mut problems);
        let lifetime = lifetime(inner, &spec, request.expires_in, &mut problems);
        if let Some(asked) = request.idle_limit
            && let Some(problem) = idle_problem(asked, spec.idle_limit_s)
        {
            problems.push(("idle_limit".to_owned(), problem));
        }
        if !problems.is_empty() {
            return Err(LaunchError::Invalid(problems));
        }
        let inline = request.secrets.is_some();
        let (credential, values) = match (request.credential, request.secrets) {
            (Some(id), _) => stored(inner, permit.user(), id, found.id).await?,
            (None, given) => {
                let given = given.unwrap_or_default();
                (None, given.into_iter().map(|(slot, value)| (slot, SecretString::from(value))).collect())
            }
        };
        complete(&spec, &values)?;
        // Whoever asks what there is has to be told all of it.
        let tools = if request.inspects {
            ToolRules::default()
        } else {
            inner.parts.accounts.tool_rules(found.id, &spec).await?
        };
        Ok(Self {
            type_id: found.id,
            type_version: found.version,
            purpose: if request.inspects { Purpose::Look } else { Purpose::Use },
            tools,
            spec,
            made_of,
            probed: found.probed,
            name: request.name,
            credential,
            inline,
            values,
            config,
            grants,
            lifetime,
            idle_limit: request.idle_limit,
            keep: request.keep,
            autostart: request.autostart,
        })
    }

    /// The next launch of an instance that there is: of its type as it is now, with what its row says and with the
    /// secrets that it was launched with.
    pub(crate) async fn again(inner: &Inner, row: &InstanceRow, life: Life) -> Result<Self, LaunchError> {
        let disabled = || LaunchError::TypeNotActive { name: row.type_name.clone() };
        let found = made_of::held(inner, Which::Id(row.type_id), Some(row.project)).await?;
        let (found, made_of) = found.ok_or_else(disabled)?;
        let mut spec = roadstead_accounts::types::spec_of(&found).map_err(|_| disabled())?;
        spec.place_program_in(&inner.parts.bundled.to_string_lossy());

        let mut problems: Vec<Problem> = Vec::new();
        let config = merged(&spec, row.config.as_object().unwrap_or(&Map::new()), &mut problems);
        let grants = granted(inner, &spec, &config, &mut problems);
        let lifetime = match life {
            Life::New(expires_in) => lifetime(inner, &spec, expires_in, &mut problems),
            Life::Same => row.lifetime,
        };
        if !problems.is_empty() {
            return Err(LaunchError::Invalid(problems));
        }
        let (credential, values) = match row.credential {
            Some(id) => stored(inner, row.user, id, found.id).await.map_err(gone)?,
            None => (None, inline(inner, row).await?),
        };
        complete(&spec, &values)?;
        Ok(Self {
            type_id: found.id,
            type_version: found.version,
            purpose: Purpose::Use,
            tools: inner.parts.accounts.tool_rules(found.id, &spec).await?,
            spec,
            made_of,
            probed: found.probed,
            name: Some(row.name.clone()),
            credential,
            inline: row.credential.is_none(),
            values,
            config,
            grants,
            lifetime,
            idle_limit: row.idle_limit_s.map(|seconds| Duration::from_secs(seconds.unsigned_abs().into())),
            keep: row.keep,
            autostart: row.autostart,
        })
    }

    /// Whether what its server compiles may be kept for others: it is only looked at, and given no secret.
    pub(super) fn compiles_for_others(&self) -> bool {
        self.purpose == Purpose::Look && self.values.is_empty()
    }

    /// Reads the values of the credential anew: they may have been replaced since the plan was made.
    pub(super) async fn read_again(&mut self, inner: &Inner, owner: UserId) -> Result<(), LaunchError> {
        let Some(used) = self.credential else { return Ok(()) };
        let (credential, values) = stored(inner, owner, used.id, self.type_id).await?;
        complete(&self.spec, &values)?;
        (self.credential, self.values) = (credential, values);
        Ok(())
    }
}

/// The configuration that the next start of an instance would use, of what is given for it: over the defaults of its type as
/// it is now, and held to its schema.
pub(crate) async fn next_config(
    inner: &Inner,
    row: &InstanceRow,
    given: &Map<String, Value>,
) -> Result<Map<String, Value>, ChangeError> {
    let found = inner.store().types().get(row.type_id).await?.ok_or(ChangeError::NotFound)?;
    let spec = roadstead_accounts::types::spec_of(&found).map_err(|_| ChangeError::NotFound)?;
    let mut problems: Vec<Problem> = Vec::new();
    let config = merged(&spec, given, &mut problems);
    if problems.is_empty() {
        granted(inner, &spec, &config, &mut problems);
    }
    if problems.is_empty() { Ok(config) } else { Err(ChangeError::Config(problems)) }
}

/// To an instance that is started again, a credential that cannot be used is one that it has lost.
pub(super) fn gone(error: LaunchError) -> LaunchError {
    match error {
        LaunchError::CredentialNotFound | LaunchError::CredentialExpired => LaunchError::CredentialGone,
        other => other,
    }
}

fn merged(spec: &TypeSpec, config: &Map<String, Value>, problems: &mut Vec<Problem>) -> Map<String, Value> {
    roadstead_catalog::merge_config(&spec.config_template, config, spec.config_schema.as_ref())
        .unwrap_or_else(|wrong| {
            problems.extend(wrong.into_iter().map(|problem| (problem.field, problem.message)));
            Map::new()
        })
}

/// The folders of people that a config names, as far as an admin allows them.
fn granted(
    inner: &Inner,
    spec: &TypeSpec,
    config: &Map<String, Value>,
    problems: &mut Vec<Problem>,
) -> Vec<Grant> {
    match roadstead_catalog::config_paths(spec.config_schema.as_ref(), config) {
        Ok(paths) => super::confine::grants(&paths, &inner.settings().allowed_roots, problems),
        Err(wrong) => {
            problems.extend(wrong.into_iter().map(|problem| (problem.field, problem.message)));
            Vec::new()
        }
    }
}

fn lifetime(
    inner: &Inner,
    spec: &TypeSpec,
    expires_in: Option<Duration>,
    problems: &mut Vec<Problem>,
) -> Duration {
    let cap = Duration::from_secs(60 * u64::from(spec.max_duration_minutes));
    let asked = expires_in.unwrap_or_else(|| inner.settings().default_lifetime.min(cap));
    Lifetime::within(asked, cap).map_or_else(
        |error| {
            problems.push(("expires_in".to_owned(), error.to_string()));
            Duration::ZERO
        },
        Lifetime::get,
    )
}

/// Whether every slot that the type needs has a value.
fn complete(spec: &TypeSpec, values: &BTreeMap<String, SecretString>) -> Result<(), LaunchError> {
    let missing = roadstead_catalog::check_credentials(&spec.credential_slots, values);
    if missing.is_empty() {
        return Ok(());
    }
    let named = |problem: roadstead_catalog::Problem| (problem.field, problem.message);
    Err(LaunchError::CredentialMissing(missing.into_iter().map(named).collect()))
}

/// The values that came with an instance's first launch.
async fn inline(inner: &Inner, row: &InstanceRow) -> Result<BTreeMap<String, SecretString>, LaunchError> {
    let mut values = BTreeMap::new();
    for slot in inner.store().instances().sealed_slots(row.id).await? {
        let opened = inner.parts.accounts.open_slot(
            row.user,
            row.type_id,
            &slot.slot,
            row.id.uuid_bytes(),
            &slot.sealed,
        );
        values.insert(slot.slot, opened.map_err(|source| LaunchError::Secret { source })?);
    }
    Ok(values)
}

/// What is wrong with an idle limit that is asked for: a type's own is there to free what nobody uses.
fn idle_problem(asked: Duration, of_type: Option<u32>) -> Option<String> {
    let most = of_type.map_or(LONGEST_LIFETIME, |seconds| Duration::from_secs(seconds.into()));
    let fits = (SHORTEST_LIFETIME..=most).contains(&asked);
    let why = if of_type.is_some() { ", the limit of the type" } else { "" };
    (!fits).then(|| {
        format!("must be between {} and {}{why}", duration::short(SHORTEST_LIFETIME), duration::short(most))
    })
}

/// The values of a stored credential: the owner's, for this type.
async fn stored(
    inner: &Inner,
    owner: UserId,
    id: CredentialId,
    type_id: TypeId,
) -> Result<(Option<UsedCredential>, BTreeMap<String, SecretString>), LaunchError> {
    let found = inner.parts.accounts.open_credential(owner, id).await.map_err(|error| match error {
        AccountsError::Store(error) => LaunchError::Store(error),
        source => LaunchError::Secret { source },
    })?;
    let found = found.filter(|found| found.row.type_id == type_id).ok_or(LaunchError::CredentialNotFound)?;
    let row = &found.row;
    match CredentialStatus::of(row.is_active, row.expires_at, Duration::ZERO, inner.now()) {
        CredentialStatus::Active | CredentialStatus::Expiring => {}
        CredentialStatus::Expired => return Err(LaunchError::CredentialExpired),
        CredentialStatus::Disabled => return Err(LaunchError::CredentialNotFound),
    }
    inner.store().credentials().touch(id, inner.now()).await?;
    Ok((Some(UsedCredential { id, version: row.version }), found.values))
}
