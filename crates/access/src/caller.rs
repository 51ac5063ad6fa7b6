//! A caller whose key was found valid, and every question that may be asked of one.

use std::net::IpAddr;

use roadstead_model::{Actor, ApiKeyId, OrganizationId, ProjectId, Scope, Scopes, UserId};

use crate::permit::{
    AdminPermit, CredentialPermit, InstancePermit, KeyPermit, LaunchPermit, TypeReadPermit, Visible,
};

/// Who calls, through which key, from where.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The user who owns the key.
    pub user: UserId,
    /// The user's default organisation.
    pub organization: OrganizationId,
    /// The user's default project.
    pub project: ProjectId,
    /// Whether the user is a platform admin.
    pub is_admin: bool,
    /// The key.
    pub key: ApiKeyId,
    /// What the key may be used for.
    pub scopes: Scopes,
    /// The caller's address.
    pub ip_address: Option<IpAddr>,
    /// The caller's `User-Agent`.
    pub user_agent: Option<String>,
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
}

impl Caller {
    /// May the caller launch instances for themselves?
    pub fn may_launch(&self) -> Result<LaunchPermit, Denied> {
        self.needs(Scope::InstancesLaunch)?;
        Ok(LaunchPermit {
            owner: self.user,
            organization: self.organization,
            project: self.project,
            actor: self.actor(),
        })
    }

    /// May the caller see instances, their logs and events?
    pub fn may_read_instances(&self) -> Result<InstancePermit, Denied> {
        self.needs(Scope::InstancesRead)?;
        Ok(InstancePermit { visible: self.reach(), actor: self.actor() })
    }

    /// May the caller stop, expire, extend, restart, delete instances and rotate their tokens?
    pub fn may_change_instances(&self) -> Result<InstancePermit, Denied> {
        self.needs(Scope::InstancesWrite)?;
        Ok(InstancePermit { visible: self.reach(), actor: self.actor() })
    }

    /// May the caller start instances again that have ended? It takes what launching takes: a server, of their owner's
    /// quota.
    pub fn may_restore_instances(&self) -> Result<InstancePermit, Denied> {
        self.needs(Scope::InstancesLaunch)?;
        self.may_change_instances()
    }

    /// May the caller see server types?
    pub fn may_read_types(&self) -> Result<TypeReadPermit, Denied> {
        self.needs(Scope::TypesRead)?;
        Ok(TypeReadPermit(()))
    }

    /// May the caller define and change server types?
    pub fn may_change_types(&self) -> Result<AdminPermit, Denied> {
        self.admin(Scope::TypesWrite)
    }

    /// May the caller see their credentials' names and hints? Not even an admin sees another user's.
    pub fn may_read_credentials(&self) -> Result<CredentialPermit, Denied> {
        self.needs(Scope::CredentialsRead)?;
        Ok(CredentialPermit { visible: Visible::Own(self.user), actor: self.actor() })
    }

    /// May the caller create and delete their credentials?
    pub fn may_change_credentials(&self) -> Result<CredentialPermit, Denied> {
        self.needs(Scope::CredentialsWrite)?;
        Ok(CredentialPermit { visible: Visible::Own(self.user), actor: self.actor() })
    }

    /// May the caller see users?
    pub fn may_read_users(&self) -> Result<AdminPermit, Denied> {
        self.admin(Scope::UsersRead)
    }

    /// May the caller create users?
    pub fn may_change_users(&self) -> Result<AdminPermit, Denied> {
        self.admin(Scope::UsersWrite)
    }

    /// May the caller see API keys?
    pub fn may_read_keys(&self) -> Result<KeyPermit, Denied> {
        self.needs(Scope::KeysRead)?;
        Ok(self.key_permit())
    }

    /// May the caller make and revoke API keys?
    pub fn may_change_keys(&self) -> Result<KeyPermit, Denied> {
        self.needs(Scope::KeysWrite)?;
        Ok(self.key_permit())
    }

    /// May the caller see settings and the port pool?
    pub fn may_read_settings(&self) -> Result<AdminPermit, Denied> {
        self.admin(Scope::SettingsRead)
    }

    /// May the caller change settings?
    pub fn may_change_settings(&self) -> Result<AdminPermit, Denied> {
        self.admin(Scope::SettingsWrite)
    }

    fn key_permit(&self) -> KeyPermit {
        KeyPermit { visible: self.reach(), user: self.user, grantable: self.scopes.clone() }
    }

    fn admin(&self, scope: Scope) -> Result<AdminPermit, Denied> {
        if !self.is_admin {
            return Err(Denied::NotAdmin);
        }
        self.needs(scope)?;
        Ok(AdminPermit { actor: self.actor() })
    }

    fn needs(&self, scope: Scope) -> Result<(), Denied> {
        if self.scopes.contains(scope) { Ok(()) } else { Err(Denied::Scope { scope }) }
    }

    const fn reach(&self) -> Visible {
        if self.is_admin { Visible::All } else { Visible::Own(self.user) }
    }

    fn actor(&self) -> Actor {
        Actor {
            user: Some(self.user),
            api_key: Some(self.key),
            ip_address: self.ip_address,
            user_agent: self.user_agent.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(is_admin: bool, scopes: Scopes) -> Caller {
        let nil = roadstead_model::UserId::from_uuid("00000000-0000-7000-8000-000000000001".parse().unwrap());
        Caller {
            user: nil,
            organization: OrganizationId::from_uuid(nil.uuid()),
            project: ProjectId::from_uuid(nil.uuid()),
            is_admin,
            key: ApiKeyId::from_uuid(nil.uuid()),
            scopes,
            ip_address: None,
            user_agent: None,
        }
    }

    #[test]
    fn a_key_without_the_scope_is_refused_by_name() {
        let denied = caller(false, Scopes::default()).may_launch().unwrap_err();
        assert_eq!(denied, Denied::Scope { scope: Scope::InstancesLaunch });
        assert!(denied.to_string().contains("instances:launch"));
    }

    #[test]
    fn starting_again_takes_what_launching_and_changing_take() {
        for missing in [Scope::InstancesLaunch, Scope::InstancesWrite] {
            let scopes = Scopes::all().iter().filter(|scope| *scope != missing).collect();
            let denied = caller(true, scopes).may_restore_instances().unwrap_err();
            assert_eq!(denied, Denied::Scope { scope: missing });
        }
        assert!(caller(false, Scopes::all()).may_restore_instances().is_ok());
    }

    #[test]
    fn only_an_admin_may_define_types_whatever_the_scopes() {
        assert_eq!(caller(false, Scopes::all()).may_change_types().unwrap_err(), Denied::NotAdmin);
        assert!(caller(true, Scopes::all()).may_change_types().is_ok());
        assert!(caller(true, Scopes::default()).may_change_types().is_err());
    }

    #[test]
    fn an_admin_sees_all_instances_but_only_their_own_credentials() {
        let admin = caller(true, Scopes::all());
        assert_eq!(admin.may_read_instances().unwrap().visible(), Visible::All);
        assert_eq!(admin.may_read_credentials().unwrap().visible(), Visible::Own(admin.user));
    }

    #[test]
    fn a_new_key_can_be_granted_no_more_than_the_callers_scopes() {
        let scopes: Scopes = [Scope::KeysWrite, Scope::InstancesRead].into_iter().collect();
        let permit = caller(false, scopes.clone()).may_change_keys().unwrap();
        assert!(permit.grantable().covers(&scopes));
        assert!(!permit.grantable().covers(&Scopes::all()));
    }
}
