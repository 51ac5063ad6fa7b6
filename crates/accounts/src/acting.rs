//! A key that acts for somebody else: the caller becomes the one who is named, and both are written down.

use roadstead_access::rules::acting_scopes;
use roadstead_access::{Caller, CallerLimits, Denied, RuleBroken};
use roadstead_model::{MemberStatus, Role, Scope, UserId};
use roadstead_store::{PersonRow, StoreError};

use crate::Accounts;

/// Why a key does not act for the one who was named.
#[derive(Debug, thiserror::Error)]
pub enum ActingError {
    /// It may not act for anybody.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// It may not act for this one, or its user may act for nobody.
    #[error(transparent)]
    Rule(#[from] RuleBroken),
    /// Missing, or nobody whom its user may act for.
    #[error("there is no such user whom this key may act for")]
    NotFound,
    /// Whoever is named may not act themselves.
    #[error("the user who is named may not act at the moment; an admin can reinstate them")]
    NotActive,
    /// The database.
    #[error("the user who is named could not be looked up")]
    Store(#[from] StoreError),
}

impl Accounts {
    /// The caller as the user whom they name, by id or by e-mail address. A platform admin acts for anybody, in the key's
    /// organisation where that one is a member, else in their own; owners and admins act for members of the key's.
    pub async fn act_for(&self, caller: Caller, named: &str) -> Result<Caller, ActingError> {
        if !caller.scopes.contains(Scope::UsersAct) {
            return Err(Denied::Scope { scope: Scope::UsersAct }.into());
        }
        if !caller.is_admin && !matches!(caller.role, Role::Owner | Role::Admin) {
            return Err(RuleBroken::ActingRole.into());
        }
        let target = self.named(named).await?.ok_or(ActingError::NotFound)?;
        let store = self.store();
        let here = store.members().get(caller.organization, target.id).await?;
        let here = here.filter(|member| member.status != MemberStatus::Invited);
        if here.is_none() && !caller.is_admin {
            return Err(ActingError::NotFound);
        }
        if target.is_admin {
            return Err(RuleBroken::ActingForAdmin.into());
        }
        if !target.is_active() || here.as_ref().is_some_and(|member| member.status != MemberStatus::Active) {
            return Err(ActingError::NotActive);
        }
        let acting = Some(caller.user);
        let scopes = acting_scopes(&caller.scopes);
        let there = Caller { user: target.id, is_admin: false, acting, scopes, ..caller };
        match here {
            Some(member) => Ok(Caller { role: member.role, ..there }),
            None => self.at_home(there, &target).await,
        }
    }

    /// In the target's own organisation and project.
    async fn at_home(&self, caller: Caller, target: &PersonRow) -> Result<Caller, ActingError> {
        let (organization, project) = (target.default_organization, target.default_project);
        let member = self.store().members().get(organization, target.id).await?;
        let member = member.filter(|member| member.status == MemberStatus::Active);
        let place = self.store().organizations().get(organization, None).await?;
        let is_active =
            place.is_some_and(|place| place.status == roadstead_model::OrganizationStatus::Active);
        let project_row = self.store().projects().get(project, None).await?;
        match (member, project_row) {
            (Some(member), Some(row)) if is_active => {
                // The rate is that of where they act.
                let limits =
                    CallerLimits { project_requests_per_minute: row.requests_per_minute(), ..caller.limits };
                let project_status = row.status;
                Ok(Caller { organization, project, project_status, role: member.role, limits, ..caller })
            }
            _ => Err(ActingError::NotActive),
        }
    }

    async fn named(&self, named: &str) -> Result<Option<PersonRow>, StoreError> {
        let mut users = self.store().users();
        let id = match named.parse::<UserId>() {
            Ok(id) => Some(id),
            Err(_) => users.by_email(named).await?.map(|user| user.id),
        };
        let Some(id) = id else { return Ok(None) };
        Ok(users.person(id).await?.filter(|person| person.deleted_at.is_none()))
    }
}
