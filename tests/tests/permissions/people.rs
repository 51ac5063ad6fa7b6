//! Who asks, and of what: an organisation with every role and one more member, and another organisation.

use std::collections::BTreeMap;
use std::time::Duration;

use roadstead_model::{Role, Scope};
use roadstead_test_support::app::App;
use roadstead_test_support::rows::Rows;
use serde_json::{Value, json};

use crate::ask::Kind;
use crate::{ROLES, Relation};

/// An id of the right form that nothing has.
pub const NOBODY: &str = "019a0000-0000-7000-8000-000000000000";
/// How long anything here may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// Somebody with a key.
#[derive(Debug, Clone)]
pub struct Person {
    pub name: String,
    /// What they are in the organisation; none for the platform admin.
    pub role: Option<Role>,
    pub id: String,
    pub key: String,
    organization: String,
    project: String,
}

pub struct World {
    pub app: App,
    rows: Rows,
    people: Vec<Person>,
    /// The member beside whom the others work.
    fellow: Person,
    stranger: Person,
    /// What is there, by kind and owner.
    things: BTreeMap<(Kind, String), String>,
    number: u32,
}

impl World {
    pub async fn made(app: App) -> Self {
        app.define_echo("plain", &[]).await;
        app.define_echo("spare", &[]).await;
        let mut rows = Rows::of_owner(app.data()).await;
        lift_limits(&mut rows).await;
        let stranger = person(&app, &mut rows, "stranger").await;
        let owner = Person { role: Some(Role::Owner), ..person(&app, &mut rows, "owner").await };
        let mut fellow = person(&app, &mut rows, "fellow").await;
        join(&mut rows, &mut fellow, &owner, Role::Member).await;
        let me = app.ask("GET", "/me", None).await;
        let id = me.body["user"]["id"].as_str().unwrap_or_else(|| panic!("{me:?}")).to_owned();
        let (organization, project) = place_of(&mut rows, &id).await;
        let platform = Person {
            name: "platform admin".to_owned(),
            role: None,
            id,
            key: app.key.clone(),
            organization,
            project,
        };
        let mut people = vec![platform, owner.clone()];
        for role in ROLES.into_iter().filter(|role| *role != Role::Owner) {
            let mut one = person(&app, &mut rows, role.as_str()).await;
            // Whoever only watches once worked, or had nothing of their own.
            join(&mut rows, &mut one, &owner, if role == Role::Viewer { Role::Member } else { role }).await;
            one.role = Some(role);
            people.push(one);
        }
        let mut world = Self { app, rows, people, fellow, stranger, things: BTreeMap::new(), number: 0 };
        for owner in world.people.clone().into_iter().chain([world.fellow.clone(), world.stranger.clone()]) {
            for kind in [Kind::Instance, Kind::Ended, Kind::Credential, Kind::Key] {
                world.make(kind, &owner).await;
            }
        }
        let viewer =
            world.people.iter().find(|one| one.role == Some(Role::Viewer)).expect("there is one").id.clone();
        world.rows.execute(&format!("update org_members set role = 'viewer' where user_id = '{viewer}' and organization_id <> (select default_organization_id from users where id = '{viewer}')")).await;
        world
    }

    /// What a query of the database finds.
    pub async fn found(&mut self, sql: &str) -> Vec<String> {
        self.rows.texts(sql).await
    }

    /// Changes the database behind the service's back.
    pub async fn execute(&mut self, sql: &str) {
        self.rows.execute(sql).await;
        self.app.look_again().await;
    }

    pub fn callers(&self) -> Vec<Person> {
        self.people.clone()
    }

    /// The two ids that a path is completed with.
    pub async fn target(&mut self, kind: Kind, caller: &Person, relation: Relation) -> (String, String) {
        let other = match relation {
            Relation::Own => caller.clone(),
            Relation::Fellow => self.fellow.clone(),
            Relation::Stranger => self.stranger.clone(),
        };
        match kind {
            Kind::Nothing | Kind::Platform | Kind::Fresh => (NOBODY.to_owned(), NOBODY.to_owned()),
            Kind::Organization => (other.organization, NOBODY.to_owned()),
            Kind::Member => (other.organization, other.id),
            Kind::Project => (other.project, NOBODY.to_owned()),
            Kind::User => (self.thing(kind, &other).await, NOBODY.to_owned()),
            Kind::Instance | Kind::Ended | Kind::Credential | Kind::Key => {
                (self.thing(kind, &other).await, NOBODY.to_owned())
            }
        }
    }

    async fn thing(&mut self, kind: Kind, owner: &Person) -> String {
        if !self.things.contains_key(&(kind, owner.id.clone())) {
            self.make(kind, owner).await;
        }
        self.things[&(kind, owner.id.clone())].clone()
    }

    /// Makes a thing anew that a request has used up.
    pub async fn renew(&mut self, kind: Kind, caller: &Person, relation: Relation) {
        let owner = match relation {
            Relation::Own => caller.clone(),
            Relation::Fellow => self.fellow.clone(),
            Relation::Stranger => self.stranger.clone(),
        };
        if matches!(kind, Kind::Member) {
            // Back in, with the role they had.
            let organization = &owner.organization;
            self.rows
                .execute(&format!(
                    "insert into org_members (id, organization_id, user_id, role, accepted_at, created_at, updated_at)
                     values (gen_random_uuid(), '{organization}', '{}', 'member', now(), now(), now())
                     on conflict (organization_id, user_id) do update set role = 'member', status = 'active'",
                    owner.id
                ))
                .await;
        } else {
            self.things.remove(&(kind, owner.id));
        }
    }

    async fn make(&mut self, kind: Kind, owner: &Person) {
        self.number += 1;
        let name = format!("{} {}", owner.name, self.number);
        let id = match kind {
            Kind::Instance | Kind::Ended => self.instance(kind, owner, &name).await,
            Kind::Credential => {
                let body = json!({"type": "plain", "name": name, "values": {"token": "t-12345678"}});
                self.made_by(owner, "/credentials", body).await
            }
            Kind::Key => {
                let body = json!({"name": name, "scopes": ["instances:read"]});
                self.made_by(owner, "/api-keys", body).await
            }
            Kind::User => person(&self.app, &mut self.rows, &format!("extra {}", self.number)).await.id,
            other => unreachable!("{other:?} is not made"),
        };
        self.things.insert((kind, owner.id.clone()), id);
    }

    async fn instance(&mut self, kind: Kind, owner: &Person, name: &str) -> String {
        self.as_worker(owner, true).await;
        let id = self.made_by(owner, "/instances", json!({"type": "plain", "name": name})).await;
        if kind == Kind::Ended {
            let stopped = self.app.ask("POST", &format!("/instances/{id}/stop"), None).await;
            assert!(stopped.status < 300, "{stopped:?}");
            self.app.wait_status(&id, "stopped", PATIENCE).await;
        }
        self.as_worker(owner, false).await;
        id
    }

    /// A viewer launches nothing: what is theirs is from when they worked.
    async fn as_worker(&mut self, person: &Person, works: bool) {
        if person.role == Some(Role::Viewer) {
            let role = if works { "member" } else { "viewer" };
            let (id, organization) = (&person.id, &person.organization);
            let sql = format!(
                "update org_members set role = '{role}' where user_id = '{id}' and organization_id = '{organization}'"
            );
            self.rows.execute(&sql).await;
            self.app.look_again().await;
        }
    }

    async fn made_by(&mut self, owner: &Person, path: &str, body: Value) -> String {
        self.as_worker(owner, true).await;
        let made = self.app.ask_as(&owner.key, "POST", path, Some(body)).await;
        assert!((200..300).contains(&made.status), "{} {path}: {made:?}", owner.name);
        self.as_worker(owner, false).await;
        made.body["id"].as_str().unwrap_or_else(|| panic!("{made:?}")).to_owned()
    }

    /// The same role in an organisation made for one request that may end it, or its caller; and the organisation's id.
    pub async fn fresh(&mut self, like: &Person) -> (Person, String) {
        self.number += 1;
        let owner = person(&self.app, &mut self.rows, &format!("founder {}", self.number)).await;
        let made = self
            .app
            .ask_as(
                &owner.key,
                "POST",
                "/organizations",
                Some(json!({"name": format!("Fresh {}", self.number)})),
            )
            .await;
        assert_eq!(made.status, 201, "{made:?}");
        let organization = made.body["id"].as_str().expect("an id").to_owned();
        let project = self
            .rows
            .texts(&format!("select id::text from projects where organization_id = '{organization}' limit 1"))
            .await;
        let place = Person {
            organization: organization.clone(),
            project: project.into_iter().next().expect("a project"),
            ..owner
        };
        let Some(role) = like.role else {
            let sql = format!(
                "insert into org_members (id, organization_id, user_id, role, accepted_at, created_at, updated_at)
                 values (gen_random_uuid(), '{organization}', '{}', 'member', now(), now(), now())",
                like.id
            );
            self.rows.execute(&sql).await;
            return (like.clone(), organization);
        };
        let mut caller =
            person(&self.app, &mut self.rows, &format!("fresh {} {}", role.as_str(), self.number)).await;
        join(&mut self.rows, &mut caller, &place, role).await;
        (caller, organization)
    }

    /// A body with the ids that it names by a word.
    pub fn completed(&mut self, body: &Value) -> Value {
        self.number += 1;
        let text = body.to_string().replace("{number}", &self.number.to_string());
        serde_json::from_str(&text).expect("still JSON")
    }
}

/// A user with every scope, in an organisation of their own.
async fn person(app: &App, rows: &mut Rows, name: &str) -> Person {
    let email = format!("{}@example.org", name.replace(' ', "-"));
    let user = app.ask("POST", "/users", Some(json!({"email": email, "name": name}))).await;
    assert_eq!(user.status, 201, "{user:?}");
    let id = user.body["id"].as_str().expect("an id").to_owned();
    let scopes: Vec<&str> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
    let key =
        app.ask("POST", "/api-keys", Some(json!({"name": name, "scopes": scopes, "user_id": id}))).await;
    assert_eq!(key.status, 201, "{key:?}");
    let key = key.body["key"].as_str().expect("a key").to_owned();
    let (organization, project) = place_of(rows, &id).await;
    Person { name: name.to_owned(), role: None, id, key, organization, project }
}

async fn place_of(rows: &mut Rows, user: &str) -> (String, String) {
    let mut of = async |what: &str| {
        rows.texts(&format!("select default_{what}_id::text from users where id = '{user}'")).await.remove(0)
    };
    (of("organization").await, of("project").await)
}

/// Makes somebody a member where another one is, and lets their keys act there.
async fn join(rows: &mut Rows, person: &mut Person, place: &Person, role: Role) {
    let Person { organization, project, .. } = place;
    let (id, role) = (&person.id, role.as_str());
    rows.execute(&format!(
        "insert into org_members (id, organization_id, user_id, role, accepted_at, created_at, updated_at)
         values (gen_random_uuid(), '{organization}', '{id}', '{role}', now(), now(), now())"
    ))
    .await;
    rows.execute(&format!(
        "update api_keys set organization_id = '{organization}', project_id = '{project}' where user_id = '{id}'"
    ))
    .await;
    person.organization.clone_from(organization);
    person.project.clone_from(project);
}

/// This test asks more often in a minute than anybody may.
async fn lift_limits(rows: &mut Rows) {
    rows.execute("update system_settings set value = '1000000' where key like 'limits.%' or key like 'quotas.%' or key = 'launches.per_minute_per_user'")
        .await;
    rows.execute("update system_settings set value = '1000' where key = 'mcp.max_instances_per_user'").await;
}
