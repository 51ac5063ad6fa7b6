//! A caller whose key was found valid, and every question that may be asked of one.

use std::net::IpAddr;

use roadstead_model::{
    Actor, ApiKeyId, Operation, OrganizationId, ProjectId, ProjectStatus, Reach, Role, Scope, Scopes, UserId,
    View,
};

use crate::matrix::{Platform, line};
use crate::permit::{
    AdminPermit, CredentialPermit, InstancePermit, KeyPermit, LaunchPermit, Permit, TypeReadPermit,
};

/// How somebody showed who they are. Whatever other ways there will be, they end here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// By an API key.
    Key(ApiKeyId),
}

/// How often the caller may ask, where that is said of them in particular.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CallerLimits {
    /// Requests in a minute that the key may make; none for what the settings say.
    pub requests_per_minute: Option<u32>,
    /// Requests in a minute to the project, through all keys; none for as many as there are.
    pub project_requests_per_minute: Option<u32>,
}

/// Who calls, by which means, from where.
#[derive(Debug, Clone)]
pub struct Caller {
    /// For whom is acted: whose rows these are.
    pub user: UserId,
    /// The organisation that is acted in.
    pub organization: OrganizationId,
    /// The project that is acted in.
    pub project: ProjectId,
    /// What the project permits.
    pub project_status: ProjectStatus,
    /// What the user is to the organisation.
    pub role: Role,
    /// Whether the user is a platform admin.
    pub is_admin: bool,
    /// How they showed it.
    pub means: Means,
    /// The owner of the key, when they act for another.
    pub acting: Option<UserId>,
    /// What the key may be used for.
    pub scopes: Scopes,
    /// How often they may ask.
    pub limits: CallerLimits,
    /// The caller's address.
    pub ip_address: Option<IpAddr>,
    /// The caller's `User-Agent`.
    pub user_agent: Option<String>,
    /// The request's id.
    pub request_id: Option<String>,
}

/// Why a permit was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The key lacks a scope.
    #[error("this API key lacks the scope {}; use a key that has it", scope.as_str())]
    Scope {
        /// The missing scope.
        scope: Scope,
    },
    /// Only platform admins may.
    #[error("only a platform admin may do this")]
    NotAdmin,
    /// The role does not permit it.
    #[error("a {} of the organisation may not do this; ask one of its admins", role.as_str())]
    Role {
        /// The caller's role.
        role: Role,
    },
    /// The project does not permit it.
    #[error("the project is {}; an admin of the organisation can make it active again", status.as_str())]
    Project {
        /// What it is.
        status: ProjectStatus,
    },
}

impl Caller {
    /// The key that was used.
    pub const fn key(&self) -> ApiKeyId {
        let Means::Key(key) = self.means;
        key
    }

    /// May the caller do this, and how far does it reach? The one place where the table of permissions is asked.
    pub fn may(&self, operation: Operation) -> Result<Permit, Denied> {
        let line = line(operation);
        if line.platform == Platform::Only && !self.is_admin {
            return Err(Denied::NotAdmin);
        }
        if let Some(scope) = line.scope.filter(|scope| !self.scopes.contains(*scope)) {
            return Err(Denied::Scope { scope });
        }
        let reach = match (self.is_admin, line.platform) {
            (true, Platform::All | Platform::Only) => Reach::All,
            (true, Platform::Own) => Reach::Own,
            (false, _) => line.allowed(self.role).reach().ok_or(Denied::Role { role: self.role })?,
        };
        let permits = match self.project_status {
            ProjectStatus::Active => true,
            ProjectStatus::Paused => line.while_paused,
            ProjectStatus::Archived => line.while_archived,
        };
        if !permits {
            return Err(Denied::Project { status: self.project_status });
        }
        let view = View { user: self.user, organization: self.organization, reach };
        Ok(Permit { operation, view, project: self.project, role: self.role, actor: self.actor() })
    }

    /// May the caller launch instances for themselves?
    pub fn may_launch(&self) -> Result<LaunchPermit, Denied> {
        self.may(Operation::InstancesLaunch).map(LaunchPermit)
    }

    /// May the caller, as a platform admin, launch a server for themselves that is only asked what it offers?
    pub fn may_inspect(&self) -> Result<(AdminPermit, LaunchPermit), Denied> {
        let admin = self.admin_permit(Operation::TypesInspect)?;
        Ok((admin, self.may(Operation::TypesInspect).map(LaunchPermit)?))
    }

    /// May the caller do this with instances?
    pub fn instance_permit(&self, operation: Operation) -> Result<InstancePermit, Denied> {
        self.may(operation).map(InstancePermit)
    }

    /// May the caller start instances again that have ended? It takes what launching takes, and what changing takes: a
    /// server, of their owner's quota.
    pub fn start_again_permit(&self, operation: Operation) -> Result<InstancePermit, Denied> {
        if !self.scopes.contains(Scope::InstancesWrite) {
            return Err(Denied::Scope { scope: Scope::InstancesWrite });
        }
        self.may(operation).map(InstancePermit)
    }

    /// May the caller see server types?
    pub fn type_permit(&self, operation: Operation) -> Result<TypeReadPermit, Denied> {
        self.may(operation).map(TypeReadPermit)
    }

    /// May the caller do this with their credentials? Not even an admin sees another user's.
    pub fn credential_permit(&self, operation: Operation) -> Result<CredentialPermit, Denied> {
        self.may(operation).map(CredentialPermit)
    }

    /// May the caller do this with API keys?
    pub fn key_permit(&self, operation: Operation) -> Result<KeyPermit, Denied> {
        let permit = self.may(operation)?;
        Ok(KeyPermit { permit, grantable: self.scopes.clone() })
    }

    /// May the caller, as a platform admin, do this?
    pub fn admin_permit(&self, operation: Operation) -> Result<AdminPermit, Denied> {
        if !self.is_admin {
            return Err(Denied::NotAdmin);
        }
        self.may(operation).map(AdminPermit)
    }

    /// Who acts, for events and the audit log: the owner of the key, and for whom.
    pub fn actor(&self) -> Actor {
        Actor {
            user: Some(self.acting.unwrap_or(self.user)),
            api_key: Some(self.key()),
            on_behalf_of: self.acting.map(|_| self.user),
            ip_address: self.ip_address,
            user_agent: self.user_agent.clone(),
            request_id: self.request_id.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(role: Role, is_admin: bool, scopes: Scopes) -> Caller {
        let id = UserId::from_uuid("00000000-0000-7000-8000-000000000001".parse().unwrap()).uuid();
        Caller {
            user: UserId::from_uuid(id),
            organization: OrganizationId::from_uuid(id),
            project: ProjectId::from_uuid(id),
            project_status: ProjectStatus::Active,
            role,
            is_admin,
            means: Means::Key(ApiKeyId::from_uuid(id)),
            acting: None,
            scopes,
            limits: CallerLimits::default(),
            ip_address: None,
            user_agent: None,
            request_id: None,
        }
    }

    fn owner(is_admin: bool, scopes: Scopes) -> Caller {
        caller(Role::Owner, is_admin, scopes)
    }

    #[test]
    fn a_key_without_the_scope_is_refused_by_name() {
        let denied = owner(false, Scopes::default()).may_launch().unwrap_err();
        assert_eq!(denied, Denied::Scope { scope: Scope::InstancesLaunch });
        assert!(denied.to_string().contains("instances:launch"));
    }

    #[test]
    fn starting_again_takes_what_launching_and_changing_take() {
        for missing in [Scope::InstancesLaunch, Scope::InstancesWrite] {
            let scopes = Scopes::all().iter().filter(|scope| *scope != missing).collect();
            let denied = owner(true, scopes).start_again_permit(Operation::InstancesRenew).unwrap_err();
            assert_eq!(denied, Denied::Scope { scope: missing });
        }
        assert!(owner(false, Scopes::all()).start_again_permit(Operation::InstancesRestore).is_ok());
    }

    #[test]
    fn only_an_admin_may_define_types_whatever_the_scopes() {
        let may = |caller: Caller| caller.admin_permit(Operation::TypesCreate);
        assert_eq!(may(owner(false, Scopes::all())).unwrap_err(), Denied::NotAdmin);
        assert!(may(owner(true, Scopes::all())).is_ok());
        assert!(may(owner(true, Scopes::default())).is_err());
    }

    #[test]
    fn an_admin_sees_all_instances_but_only_their_own_credentials() {
        let admin = owner(true, Scopes::all());
        let reach = |operation| admin.may(operation).unwrap().view().reach;
        assert_eq!(reach(Operation::InstancesList), Reach::All);
        assert_eq!(reach(Operation::CredentialsList), Reach::Own);
    }

    #[test]
    fn a_viewer_sees_the_organisations_and_changes_nothing() {
        let viewer = caller(Role::Viewer, false, Scopes::all());
        assert_eq!(viewer.may(Operation::InstancesGet).unwrap().view().reach, Reach::Organization);
        let denied = viewer.instance_permit(Operation::InstancesStop).unwrap_err();
        assert_eq!(denied, Denied::Role { role: Role::Viewer });
    }

    #[test]
    fn a_paused_project_starts_nothing_and_an_archived_one_is_looked_at() {
        let mut member = caller(Role::Member, false, Scopes::all());
        member.project_status = ProjectStatus::Paused;
        assert!(member.may_launch().is_err());
        assert!(member.may(Operation::InstancesExtend).is_ok());
        member.project_status = ProjectStatus::Archived;
        assert!(member.may(Operation::InstancesExtend).is_err());
        assert!(member.may(Operation::InstancesStop).is_ok(), "what runs can be ended");
        assert!(member.may(Operation::InstancesLogs).is_ok());
    }

    #[test]
    fn who_acts_for_another_is_told_as_both() {
        let mut caller = owner(false, Scopes::all());
        let another = UserId::from_uuid("00000000-0000-7000-8000-000000000002".parse().unwrap());
        caller.acting = Some(another);
        let actor = caller.actor();
        assert_eq!((actor.user, actor.on_behalf_of), (Some(another), Some(caller.user)));
    }

    #[test]
    fn a_new_key_can_be_granted_no_more_than_the_callers_scopes() {
        let scopes: Scopes = [Scope::KeysWrite, Scope::InstancesRead].into_iter().collect();
        let permit = owner(false, scopes.clone()).key_permit(Operation::KeysCreate).unwrap();
        assert!(permit.grantable().covers(&scopes));
        assert!(!permit.grantable().covers(&Scopes::all()));
    }
}
