//! Who may do what: the one table. `docs/permissions.md` is written from it.

use roadstead_model::{Operation, Reach, Role, Scope};

/// What a role may touch by an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// Nothing: 403.
    No,
    /// What is the caller's own.
    Own,
    /// What is the organisation's.
    Organization,
}

impl Allowed {
    /// How far the caller sees; none when they may not.
    pub const fn reach(self) -> Option<Reach> {
        match self {
            Self::No => None,
            Self::Own => Some(Reach::Own),
            Self::Organization => Some(Reach::Organization),
        }
    }
}

/// What a platform admin may touch by an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// Everybody's.
    All,
    /// Their own, like everybody.
    Own,
    /// Everything, and nobody but platform admins may.
    Only,
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// The operation.
    pub operation: Operation,
    /// What the key must carry; none for what every key may ask.
    pub scope: Option<Scope>,
    /// What roles may touch, by [`Role`].
    roles: [Allowed; 4],
    /// What platform admins may touch.
    pub platform: Platform,
    /// Whether a paused project permits it.
    pub while_paused: bool,
    /// Whether an archived project permits it: only looking.
    pub while_archived: bool,
}

impl Line {
    /// What a role may touch.
    pub const fn allowed(&self, role: Role) -> Allowed {
        match role {
            Role::Owner => self.roles[0],
            Role::Admin => self.roles[1],
            Role::Member => self.roles[2],
            Role::Viewer => self.roles[3],
        }
    }
}

/// The line of an operation.
pub fn line(operation: Operation) -> &'static Line {
    // The lines stand in the order of the operations; a test holds them to it.
    &MATRIX[operation as usize]
}

macro_rules! allowed {
    (O) => {
        Allowed::Organization
    };
    (o) => {
        Allowed::Own
    };
    (-) => {
        Allowed::No
    };
}

macro_rules! platform {
    (A) => {
        Platform::All
    };
    (a) => {
        Platform::Own
    };
    (!) => {
        Platform::Only
    };
}

/// Whether an operation looks, works with what is there, or starts something.
macro_rules! kind {
    (look) => {
        (true, true)
    };
    (work) => {
        (true, false)
    };
    (start) => {
        (false, false)
    };
}

macro_rules! scope {
    (none) => {
        None
    };
    ($scope:ident) => {
        Some(Scope::$scope)
    };
}

macro_rules! matrix {
    ($($operation:ident: $scope:ident, $owner:tt $admin:tt $member:tt $viewer:tt, $platform:tt, $kind:ident;)+) => {
        /// Every operation: its scope, what owners, admins, members and viewers of an organisation may touch by it
        /// (`O` the organisation's, `o` their own, `-` nothing), and platform admins (`A` everything, `a` their own, `!`
        /// everything, and nobody else may). A paused project permits no `start`, an archived one only a `look`.
        pub const MATRIX: &[Line] = &[$(Line {
            operation: Operation::$operation,
            scope: scope!($scope),
            roles: [allowed!($owner), allowed!($admin), allowed!($member), allowed!($viewer)],
            platform: platform!($platform),
            while_paused: kind!($kind).0,
            while_archived: kind!($kind).1,
        }),+];
    };
}

matrix! {
    InstancesList: InstancesRead, O O o O, A, look;
    InstancesLaunch: InstancesLaunch, o o o -, a, start;
    InstancesGet: InstancesRead, O O o O, A, look;
    InstancesPatch: InstancesWrite, O O o -, A, work;
    InstancesDelete: InstancesWrite, O O o -, A, look;
    InstancesStop: InstancesWrite, O O o -, A, look;
    InstancesExpire: InstancesWrite, O O o -, A, look;
    InstancesExtend: InstancesWrite, O O o -, A, work;
    InstancesRestart: InstancesWrite, O O o -, A, start;
    InstancesRestore: InstancesLaunch, o o o -, A, start;
    InstancesRenew: InstancesLaunch, o o o -, A, start;
    InstancesRotateToken: InstancesWrite, o o o -, A, work;
    InstancesRevokeToken: InstancesWrite, O O o -, A, look;
    InstancesBulk: InstancesWrite, O O o -, A, look;
    InstancesLogs: InstancesRead, O O o o, A, look;
    InstancesLogsExport: InstancesRead, O O o o, A, look;
    LogsSearch: InstancesRead, O O o o, A, look;
    InstancesEvents: InstancesRead, O O o O, A, look;
    InstancesStats: InstancesRead, O O o O, A, look;
    TypesList: TypesRead, O O O O, A, look;
    TypesGet: TypesRead, O O O O, A, look;
    TypesCreate: TypesWrite, - - - -, !, look;
    TypesUpdate: TypesWrite, - - - -, !, look;
    TypesDisable: TypesWrite, - - - -, !, look;
    TypesVersions: TypesRead, - - - -, !, look;
    TypesImport: TypesWrite, - - - -, !, look;
    TypesUpgrade: TypesWrite, - - - -, !, look;
    TypesSubmit: TypesWrite, - - - -, !, look;
    TypesApprove: TypesWrite, - - - -, !, look;
    TypesReject: TypesWrite, - - - -, !, look;
    TypesInspect: TypesWrite, - - - -, !, start;
    TypesHistory: TypesRead, O O O O, A, look;
    TypesManifest: TypesRead, O O O O, A, look;
    TypesToolPatch: TypesWrite, - - - -, !, look;
    RegistryList: TypesRead, O O O O, A, look;
    RegistryVersions: TypesRead, O O O O, A, look;
    RegistryGet: TypesRead, O O O O, A, look;
    PackagesList: TypesRead, - - - -, !, look;
    PackagesClean: TypesWrite, - - - -, !, look;
    CredentialsList: CredentialsRead, o o o o, a, look;
    CredentialsGet: CredentialsRead, o o o o, a, look;
    CredentialsUsage: CredentialsRead, o o o o, a, look;
    CredentialsCreate: CredentialsWrite, o o o -, a, work;
    CredentialsReplace: CredentialsWrite, o o o -, a, work;
    CredentialsValidate: CredentialsWrite, o o o -, a, work;
    CredentialsDelete: CredentialsWrite, o o o -, a, look;
    KeysList: KeysRead, O O o o, A, look;
    KeysGet: KeysRead, O O o o, A, look;
    KeysUsage: KeysRead, O O o o, A, look;
    KeysCreate: KeysWrite, o o o o, A, work;
    KeysPatch: KeysWrite, O O o o, A, work;
    KeysRotate: KeysWrite, o o o o, A, work;
    KeysRevoke: KeysWrite, O O o o, A, look;
    MeGet: none, o o o o, a, look;
    MePatch: UsersWrite, o o o o, a, look;
    MeExport: UsersRead, o o o o, a, look;
    MeDelete: UsersWrite, o o o o, a, look;
    UsersList: UsersRead, - - - -, !, look;
    UsersGet: UsersRead, - - - -, !, look;
    UsersCreate: UsersWrite, - - - -, !, look;
    UsersPatch: UsersWrite, - - - -, !, look;
    UsersSuspend: UsersWrite, - - - -, !, look;
    UsersReinstate: UsersWrite, - - - -, !, look;
    UsersDelete: UsersWrite, - - - -, !, look;
    OrganizationsList: OrganizationsRead, O O O O, A, look;
    OrganizationsGet: OrganizationsRead, O O O O, A, look;
    OrganizationsCreate: OrganizationsWrite, o o o o, A, look;
    OrganizationsPatch: OrganizationsWrite, O O - -, A, look;
    OrganizationsDelete: OrganizationsWrite, O - - -, A, look;
    OrganizationsSuspend: OrganizationsWrite, - - - -, !, look;
    OrganizationsReinstate: OrganizationsWrite, - - - -, !, look;
    OrganizationsQuotas: OrganizationsWrite, - - - -, !, look;
    MembersList: OrganizationsRead, O O O O, A, look;
    MembersInvite: OrganizationsWrite, O O - -, A, look;
    MembersPatch: OrganizationsWrite, O O - -, A, look;
    MembersRemove: OrganizationsWrite, O O - -, A, look;
    MembersAccept: OrganizationsWrite, o o o o, a, look;
    MembersLeave: OrganizationsWrite, o o o o, a, look;
    ProjectsList: ProjectsRead, O O O O, A, look;
    ProjectsGet: ProjectsRead, O O O O, A, look;
    ProjectsCreate: ProjectsWrite, O O - -, A, look;
    ProjectsPatch: ProjectsWrite, O O - -, A, look;
    ProjectsTypeCreate: ProjectsWrite, O O O -, A, work;
    ProjectsTypeDecide: ProjectsWrite, O O - -, A, work;
    UsageList: UsageRead, O O o O, A, look;
    UsageExport: UsageRead, O O o O, A, look;
    AuditList: AuditRead, O O o O, A, look;
    AuditExport: AuditRead, O O o O, A, look;
    AuditVerify: AuditRead, O O - -, A, look;
    EventsList: EventsRead, O O o O, A, look;
    SystemEventsList: EventsRead, - - - -, !, look;
    SettingsList: SettingsRead, - - - -, !, look;
    SettingsSet: SettingsWrite, - - - -, !, look;
    SettingsHistory: SettingsRead, - - - -, !, look;
    PortsList: SettingsRead, - - - -, !, look;
    PortsQuarantine: SettingsWrite, - - - -, !, look;
    PortsRelease: SettingsWrite, - - - -, !, look;
    RetentionList: DatabaseAdmin, - - - -, !, look;
    RetentionSet: DatabaseAdmin, - - - -, !, look;
    RetentionPreview: DatabaseAdmin, - - - -, !, look;
    RetentionRun: DatabaseAdmin, - - - -, !, look;
    RetentionRuns: DatabaseAdmin, - - - -, !, look;
    MasterKeyGet: SettingsRead, - - - -, !, look;
    MasterKeyRotate: SettingsWrite, - - - -, !, look;
    MasterKeyRetire: SettingsWrite, - - - -, !, look;
}

/// The table as the documentation shows it.
pub fn as_markdown() -> String {
    use std::fmt::Write as _;

    let mut page = String::from(
        "| Operation | Scope | Owner | Admin | Member | Viewer | Platform admin |\n|---|---|---|---|---|---|---|\n",
    );
    let word = |allowed| match allowed {
        Allowed::No => "–",
        Allowed::Own => "own",
        Allowed::Organization => "organisation",
    };
    for line in MATRIX {
        let platform = match line.platform {
            Platform::All => "all",
            Platform::Own => "own",
            Platform::Only => "all, only they",
        };
        let [owner, admin, member, viewer] = line.roles.map(word);
        let _ = writeln!(
            page,
            "| `{}` | {} | {owner} | {admin} | {member} | {viewer} | {platform} |",
            line.operation.as_str(),
            line.scope.map_or_else(|| "–".to_owned(), |scope| format!("`{}`", scope.as_str())),
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_its_line() {
        assert_eq!(MATRIX.len(), Operation::ALL.len());
        for operation in Operation::ALL {
            assert_eq!(line(*operation).operation, *operation);
        }
    }

    #[test]
    fn a_role_may_never_touch_less_than_a_lesser_role_that_changes_things() {
        for line in MATRIX {
            let reach = |role| line.allowed(role).reach();
            assert!(reach(Role::Owner) >= reach(Role::Admin), "{}", line.operation.as_str());
            assert!(reach(Role::Admin) >= reach(Role::Member), "{}", line.operation.as_str());
        }
    }

    #[test]
    fn the_documentation_shows_this_table() {
        let page = include_str!("../../../docs/permissions.md");
        assert!(page.contains(&as_markdown()), "docs/permissions.md should hold:\n{}", as_markdown());
    }
}
