//! How each operation is asked: of what kind of thing, with which body, and whether it uses the thing up.

use roadstead_model::Operation;
use serde_json::{Value, json};

/// What the ids of a path name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// No thing: lists, and what makes something new.
    Nothing,
    /// Something of the whole platform.
    Platform,
    /// An organisation and a caller made for this request alone.
    Fresh,
    Instance,
    /// An instance that has ended.
    Ended,
    Credential,
    Key,
    User,
    Organization,
    Member,
    Project,
}

/// How an operation is asked.
pub struct Ask {
    pub kind: Kind,
    pub body: Option<Value>,
    /// What the query of the path is.
    query: &'static str,
    /// What a placeholder of the path stands for, when it is no id.
    word: &'static str,
    /// Whether the thing is another one afterwards.
    pub consumes: bool,
    /// Statuses beside success that show that it was permitted.
    pub also: &'static [u16],
    /// What the owner of the database does to the thing before it is asked of by somebody who may.
    pub before: &'static str,
}

impl Ask {
    /// A path with its placeholders filled.
    pub fn path(&self, template: &str, first: &str, second: &str) -> String {
        let mut ids = [first, second].into_iter();
        let mut path = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            let (_, after) = after.split_once('}').expect("a placeholder ends");
            path.push_str(before);
            path.push_str(if self.word.is_empty() { ids.next().unwrap_or(second) } else { self.word });
            rest = after;
        }
        path + rest + self.query
    }
}

fn simple(kind: Kind) -> Ask {
    Ask { kind, body: None, query: "", word: "", consumes: false, also: &[], before: "" }
}

fn with(kind: Kind, body: Value) -> Ask {
    Ask { body: Some(body), ..simple(kind) }
}

fn using_up(ask: Ask) -> Ask {
    Ask { consumes: true, ..ask }
}

fn also_refused(ask: Ask) -> Ask {
    Ask { also: &[409], ..ask }
}

fn on(word: &'static str) -> Ask {
    Ask { word, ..simple(Kind::Platform) }
}

/// How an operation is asked.
#[expect(
    clippy::too_many_lines,
    clippy::match_same_arms,
    reason = "a table: the operations of a noun stand together"
)]
pub fn of(operation: Operation) -> Ask {
    use Kind::{
        Credential, Ended, Fresh, Instance, Key, Member, Nothing, Organization, Platform, Project, User,
    };
    use Operation as O;
    match operation {
        O::InstancesList
        | O::LogsSearch
        | O::TypesList
        | O::RegistryList
        | O::CredentialsList
        | O::KeysList
        | O::MeGet
        | O::MeExport
        | O::OrganizationsList
        | O::ProjectsList
        | O::UsageList
        | O::UsageExport
        | O::AuditList
        | O::AuditExport
        | O::AuditVerify
        | O::EventsList => simple(Nothing),
        O::UsersList
        | O::SystemEventsList
        | O::SettingsList
        | O::PortsList
        | O::RetentionList
        | O::RetentionRuns
        | O::PackagesList
        | O::MasterKeyGet => simple(Platform),
        O::InstancesLaunch => with(Nothing, json!({"type": "plain"})),
        O::InstancesGet | O::InstancesLogs | O::InstancesEvents | O::InstancesStats => simple(Instance),
        O::InstancesPatch => with(Instance, json!({"name": "another name"})),
        O::InstancesExtend => with(Instance, json!({"by": "1m"})),
        O::InstancesRestart | O::InstancesRotateToken | O::InstancesRevokeToken => simple(Instance),
        O::InstancesLogsExport => with(Instance, json!({"format": "json"})),
        O::InstancesStop | O::InstancesExpire | O::InstancesDelete => using_up(simple(Instance)),
        O::InstancesRestore => using_up(simple(Ended)),
        // A stopped instance has time left: that it may not be renewed says that it was looked at.
        O::InstancesRenew => Ask { also: &[409], ..using_up(simple(Ended)) },
        O::InstancesBulk => {
            with(Nothing, json!({"action": "stop", "filter": {"name": "nobody's"}, "dry_run": false}))
        }
        O::TypesGet => Ask { kind: Nothing, ..on("plain") },
        O::TypesCreate => {
            with(Platform, json!({"name": "made-{number}", "display_name": "Made", "program": "/bin/true"}))
        }
        O::TypesUpdate => {
            let body = json!({"name": "spare", "display_name": "Spare", "program": "/bin/true"});
            Ask { body: Some(body), ..on("spare") }
        }
        O::TypesDisable | O::TypesVersions => on("spare"),
        O::PackagesClean => with(Platform, json!({"dry_run": false})),
        O::TypesImport => {
            let document = json!({"mcpServers": {"made": {"url": "https://mcp.example.com/mcp"}}});
            with(Platform, json!({"document": document, "name": "imported-{number}"}))
        }
        // It is of no package: it was looked at.
        O::TypesUpgrade => Ask { body: Some(json!({})), also: &[422], ..on("spare") },
        // Whoever comes second finds it decided.
        O::TypesSubmit => Ask { body: Some(json!({})), also: &[409], ..on("spare") },
        O::TypesReject => Ask { body: Some(json!({"reason": "test"})), also: &[409], ..on("spare") },
        O::TypesApprove => Ask { body: Some(json!({})), ..on("spare") },
        O::TypesHistory | O::TypesManifest => Ask { kind: Nothing, ..on("plain") },
        O::TypesInspect => Ask { body: Some(json!({})), ..on("plain") },
        O::TypesToolPatch => Ask { body: Some(json!({"tool": "echo", "risk_level": "high"})), ..on("plain") },
        O::RegistryVersions => Ask { kind: Nothing, ..on("local.roadstead%2Fplain") },
        // One word for both: it is not a version, and says so.
        O::RegistryGet => Ask { kind: Nothing, also: &[404], ..on("local.roadstead%2Fplain") },
        O::CredentialsGet | O::CredentialsUsage => simple(Credential),
        O::CredentialsCreate => {
            with(Nothing, json!({"type": "plain", "name": "c {number}", "values": {"token": "t-12345678"}}))
        }
        O::CredentialsReplace => with(Credential, json!({"name": "c {number}"})),
        // The type does not say how: it was looked at.
        O::CredentialsValidate => Ask { also: &[422], ..simple(Credential) },
        O::CredentialsDelete => using_up(simple(Credential)),
        O::KeysGet | O::KeysUsage => simple(Key),
        O::KeysCreate => with(Nothing, json!({"name": "k {number}", "scopes": ["instances:read"]})),
        O::KeysPatch => with(Key, json!({"name": "k {number}"})),
        O::KeysRotate => using_up(with(Key, json!({}))),
        O::KeysRevoke => using_up(simple(Key)),
        O::MePatch => with(Nothing, json!({"timezone": "Europe/Berlin"})),
        // The last platform admin stays.
        O::MeDelete => Ask { also: &[409], ..simple(Fresh) },
        O::UsersGet => simple(User),
        O::UsersCreate => with(Platform, json!({"email": "new-{number}@example.org", "name": "New"})),
        O::UsersPatch => with(User, json!({"name": "n {number}"})),
        O::UsersSuspend => using_up(with(User, json!({"reason": "test"}))),
        O::UsersReinstate => {
            let before = "update users set status = 'suspended', is_active = false where id = '{id}'";
            Ask { before, ..simple(User) }
        }
        O::UsersDelete => using_up(simple(User)),
        O::OrganizationsGet | O::MembersList => simple(Organization),
        O::OrganizationsCreate => with(Nothing, json!({"name": "O {number}"})),
        O::OrganizationsPatch => with(Organization, json!({"name": "O {number}"})),
        O::OrganizationsDelete | O::OrganizationsSuspend | O::MembersLeave => simple(Fresh),
        O::OrganizationsReinstate => {
            let before = "update organizations set status = 'suspended' where id = '{id}'";
            Ask { before, ..simple(Organization) }
        }
        O::OrganizationsQuotas => with(Organization, json!({"max_instances": 100})),
        // One person's own organisation takes nobody else, and keeps its owner: that it says so shows that they may.
        O::MembersInvite => {
            let body = json!({"email": "invited-{number}@example.org", "role": "member"});
            also_refused(with(Organization, body))
        }
        O::MembersPatch => also_refused(with(Member, json!({"role": "admin"}))),
        O::MembersRemove => also_refused(using_up(simple(Member))),
        // There is no such invitation, which only who may accept one is told.
        O::MembersAccept => Ask { also: &[404], ..with(Nothing, json!({"token": "ri_nothing"})) },
        O::ProjectsGet => simple(Project),
        O::ProjectsCreate => with(Nothing, json!({"name": "P {number}"})),
        O::ProjectsTypeCreate => with(
            Project,
            json!({"name": "t{number}", "display_name": "T", "transport": "streamable_http",
                "url": "https://mcp.example.com/mcp"}),
        ),
        // That it permits it is seen by how a type is missing, not the project.
        O::ProjectsTypeDecide => {
            Ask { also: &[404], ..with(Project, json!({"type": "remote", "status": "deprecated"})) }
        }
        O::ProjectsPatch => with(Project, json!({"description": "d {number}"})),
        O::SettingsSet => Ask { body: Some(json!({"value": 31})), ..on("cleanup.retention_days") },
        O::SettingsHistory => on("cleanup.retention_days"),
        O::PortsQuarantine | O::PortsRelease => Ask { also: &[409], ..on("3099") },
        O::RetentionSet => Ask { body: Some(json!({"days": 31})), ..on("mcp_logs") },
        O::RetentionPreview => on("mcp_logs"),
        O::RetentionRun => with(Platform, json!({"table": "exports", "dry_run": false})),
        O::MasterKeyRotate => simple(Platform),
        O::MasterKeyRetire => Ask { also: &[404, 409], ..on("99") },
    }
}
