//! What can be asked of the service: one word for each, the same in the description of the API, in the table of
//! permissions, in the count of a key's uses and in the audit log.

use crate::era::UnknownWord;

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $action:literal;)+) => {
        /// One operation of the REST API.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Operation {
            $($(#[$doc])* $name,)+
        }

        impl Operation {
            /// All of them, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The `operationId` of the API's description.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }

            /// The action, as the audit log names it: `resource.verb`.
            pub const fn action(self) -> &'static str {
                match self { $(Self::$name => $action,)+ }
            }
        }
    };
}

operations! {
    /// `GET /instances`
    InstancesList = "instances_list", "instance.list";
    /// `POST /instances`
    InstancesLaunch = "instances_launch", "instance.launch";
    /// `GET /instances/{id}`
    InstancesGet = "instances_get", "instance.get";
    /// `PATCH /instances/{id}`
    InstancesPatch = "instances_patch", "instance.patch";
    /// `DELETE /instances/{id}`
    InstancesDelete = "instances_delete", "instance.delete";
    /// `POST /instances/{id}/stop`
    InstancesStop = "instances_stop", "instance.stop";
    /// `POST /instances/{id}/expire`
    InstancesExpire = "instances_expire", "instance.expire";
    /// `POST /instances/{id}/extend`
    InstancesExtend = "instances_extend", "instance.extend";
    /// `POST /instances/{id}/restart`
    InstancesRestart = "instances_restart", "instance.restart";
    /// `POST /instances/{id}/restore`
    InstancesRestore = "instances_restore", "instance.restore";
    /// `POST /instances/{id}/renew`
    InstancesRenew = "instances_renew", "instance.renew";
    /// `POST /instances/{id}/rotate-token`
    InstancesRotateToken = "instances_rotate_token", "instance.rotate_token";
    /// `POST /instances/{id}/revoke-token`
    InstancesRevokeToken = "instances_revoke_token", "instance.revoke_token";
    /// `POST /instances/bulk`
    InstancesBulk = "instances_bulk", "instance.bulk";
    /// `GET /instances/{id}/logs`
    InstancesLogs = "instances_logs", "instance.logs";
    /// `POST /instances/{id}/logs/export`
    InstancesLogsExport = "instances_logs_export", "instance.logs_export";
    /// `GET /logs/search`
    LogsSearch = "logs_search", "log.search";
    /// `GET /instances/{id}/events`
    InstancesEvents = "instances_events", "instance.events";
    /// `GET /instances/{id}/stats`
    InstancesStats = "instances_stats", "instance.stats";
    /// `GET /types`
    TypesList = "types_list", "type.list";
    /// `GET /types/{id}`
    TypesGet = "types_get", "type.get";
    /// `POST /types`
    TypesCreate = "types_create", "type.create";
    /// `PATCH /types/{id}`
    TypesUpdate = "types_update", "type.update";
    /// `DELETE /types/{id}`
    TypesDisable = "types_disable", "type.disable";
    /// `GET /types/{id}/versions`
    TypesVersions = "types_versions", "type.versions";
    /// `POST /types/import`
    TypesImport = "types_import", "type.import";
    /// `POST /types/{id}/upgrade`
    TypesUpgrade = "types_upgrade", "type.upgrade";
    /// `POST /types/{id}/submit`
    TypesSubmit = "types_submit", "type.submit";
    /// `POST /types/{id}/approve`
    TypesApprove = "types_approve", "type.approve";
    /// `POST /types/{id}/reject`
    TypesReject = "types_reject", "type.reject";
    /// `POST /types/{id}/inspect`
    TypesInspect = "types_inspect", "type.inspect";
    /// `GET /types/{id}/history`
    TypesHistory = "types_history", "type.history";
    /// `GET /types/{id}/manifest`
    TypesManifest = "types_manifest", "type.manifest";
    /// `PATCH /types/{id}/tools`
    TypesToolPatch = "types_tool_patch", "type.tool_patch";
    /// `GET /v0.1/servers`
    RegistryList = "registry_list", "registry.list";
    /// `GET /v0.1/servers/{name}/versions`
    RegistryVersions = "registry_versions", "registry.versions";
    /// `GET /v0.1/servers/{name}/versions/{version}`
    RegistryGet = "registry_get", "registry.get";
    /// `GET /packages`
    PackagesList = "packages_list", "package.list";
    /// `POST /packages/clean`
    PackagesClean = "packages_clean", "package.clean";
    /// `GET /credentials`
    CredentialsList = "credentials_list", "credential.list";
    /// `GET /credentials/{id}`
    CredentialsGet = "credentials_get", "credential.get";
    /// `GET /credentials/{id}/usage`
    CredentialsUsage = "credentials_usage", "credential.usage";
    /// `POST /credentials`
    CredentialsCreate = "credentials_create", "credential.create";
    /// `PUT /credentials/{id}`
    CredentialsReplace = "credentials_replace", "credential.replace";
    /// `POST /credentials/{id}/validate`
    CredentialsValidate = "credentials_validate", "credential.validate";
    /// `DELETE /credentials/{id}`
    CredentialsDelete = "credentials_delete", "credential.delete";
    /// `GET /api-keys`
    KeysList = "keys_list", "api_key.list";
    /// `GET /api-keys/{id}`
    KeysGet = "keys_get", "api_key.get";
    /// `GET /api-keys/{id}/usage`
    KeysUsage = "keys_usage", "api_key.usage";
    /// `POST /api-keys`
    KeysCreate = "keys_create", "api_key.create";
    /// `PATCH /api-keys/{id}`
    KeysPatch = "keys_patch", "api_key.patch";
    /// `POST /api-keys/{id}/rotate`
    KeysRotate = "keys_rotate", "api_key.rotate";
    /// `DELETE /api-keys/{id}`
    KeysRevoke = "keys_revoke", "api_key.revoke";
    /// `GET /me`
    MeGet = "me_get", "account.get";
    /// `PATCH /me`
    MePatch = "me_patch", "account.patch";
    /// `GET /me/export`
    MeExport = "me_export", "account.export";
    /// `DELETE /me`
    MeDelete = "me_delete", "account.delete";
    /// `GET /users`
    UsersList = "users_list", "user.list";
    /// `GET /users/{id}`
    UsersGet = "users_get", "user.get";
    /// `POST /users`
    UsersCreate = "users_create", "user.create";
    /// `PATCH /users/{id}`
    UsersPatch = "users_patch", "user.patch";
    /// `POST /users/{id}/suspend`
    UsersSuspend = "users_suspend", "user.suspend";
    /// `POST /users/{id}/reinstate`
    UsersReinstate = "users_reinstate", "user.reinstate";
    /// `DELETE /users/{id}`
    UsersDelete = "users_delete", "user.delete";
    /// `GET /organizations`
    OrganizationsList = "organizations_list", "organization.list";
    /// `GET /organizations/{id}`
    OrganizationsGet = "organizations_get", "organization.get";
    /// `POST /organizations`
    OrganizationsCreate = "organizations_create", "organization.create";
    /// `PATCH /organizations/{id}`
    OrganizationsPatch = "organizations_patch", "organization.patch";
    /// `DELETE /organizations/{id}`
    OrganizationsDelete = "organizations_delete", "organization.delete";
    /// `POST /organizations/{id}/suspend`
    OrganizationsSuspend = "organizations_suspend", "organization.suspend";
    /// `POST /organizations/{id}/reinstate`
    OrganizationsReinstate = "organizations_reinstate", "organization.reinstate";
    /// `PUT /organizations/{id}/quotas`
    OrganizationsQuotas = "organizations_quotas", "organization.quotas";
    /// `GET /organizations/{id}/members`
    MembersList = "members_list", "member.list";
    /// `POST /organizations/{id}/members`
    MembersInvite = "members_invite", "member.invite";
    /// `PATCH /organizations/{id}/members/{user}`
    MembersPatch = "members_patch", "member.patch";
    /// `DELETE /organizations/{id}/members/{user}`
    MembersRemove = "members_remove", "member.remove";
    /// `POST /invitations/accept`
    MembersAccept = "members_accept", "member.accept";
    /// `POST /organizations/{id}/leave`
    MembersLeave = "members_leave", "member.leave";
    /// `GET /projects`
    ProjectsList = "projects_list", "project.list";
    /// `GET /projects/{id}`
    ProjectsGet = "projects_get", "project.get";
    /// `POST /projects`
    ProjectsCreate = "projects_create", "project.create";
    /// `PATCH /projects/{id}`, which also pauses, archives and wakes
    ProjectsPatch = "projects_patch", "project.patch";
    /// `POST /projects/{id}/types`
    ProjectsTypeCreate = "projects_type_create", "type.create_in_project";
    /// `PATCH /projects/{id}/types`
    ProjectsTypeDecide = "projects_type_decide", "type.decide_in_project";
    /// `GET /usage`
    UsageList = "usage_list", "usage.list";
    /// `GET /usage/export`
    UsageExport = "usage_export", "usage.export";
    /// `GET /audit`
    AuditList = "audit_list", "audit.list";
    /// `GET /audit/export`
    AuditExport = "audit_export", "audit.export";
    /// `GET /audit/verify`
    AuditVerify = "audit_verify", "audit.verify";
    /// `GET /events`
    EventsList = "events_list", "event.list";
    /// `GET /system-events`
    SystemEventsList = "system_events_list", "system_event.list";
    /// `GET /settings`
    SettingsList = "settings_list", "setting.list";
    /// `PUT /settings/{key}`
    SettingsSet = "settings_set", "setting.set";
    /// `GET /settings/{key}/history`
    SettingsHistory = "settings_history", "setting.history";
    /// `GET /ports`
    PortsList = "ports_list", "port.list";
    /// `POST /ports/{port}/quarantine`
    PortsQuarantine = "ports_quarantine", "port.quarantine";
    /// `DELETE /ports/{port}/quarantine`
    PortsRelease = "ports_release", "port.release";
    /// `GET /retention/policies`
    RetentionList = "retention_list", "retention.list";
    /// `PUT /retention/policies/{table}`
    RetentionSet = "retention_set", "retention.set";
    /// `GET /retention/policies/{table}/preview`
    RetentionPreview = "retention_preview", "retention.preview";
    /// `POST /retention/run`
    RetentionRun = "retention_run", "retention.run";
    /// `GET /retention/runs`
    RetentionRuns = "retention_runs", "retention.runs";
    /// `GET /master-key`
    MasterKeyGet = "master_key_get", "master_key.get";
    /// `POST /master-key/rotate`
    MasterKeyRotate = "master_key_rotate", "master_key.rotate";
    /// `DELETE /master-key/{id}`
    MasterKeyRetire = "master_key_retire", "master_key.retire";
}

impl std::str::FromStr for Operation {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        let found = Self::ALL.iter().copied().find(|operation| operation.as_str() == word);
        found.ok_or_else(|| UnknownWord { noun: "operation", word: word.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_a_word_and_an_action_of_its_own() {
        let words: std::collections::BTreeSet<_> = Operation::ALL.iter().map(|one| one.as_str()).collect();
        let actions: std::collections::BTreeSet<_> = Operation::ALL.iter().map(|one| one.action()).collect();
        assert_eq!((words.len(), actions.len()), (Operation::ALL.len(), Operation::ALL.len()));
        for operation in Operation::ALL {
            assert_eq!(operation.as_str().parse::<Operation>().unwrap(), *operation);
            let (resource, verb) = operation.action().split_once('.').unwrap();
            let plain = |word: &str| word.chars().all(|one| one.is_ascii_lowercase() || one == '_');
            assert!(plain(resource) && plain(verb), "{}", operation.action());
        }
    }
}
