//! Two organisations, many users, and operations at random: after each, what some of them see is compared, whole, with a model of a
//! page's length. Nobody ever sees what is not theirs, and of two changes that began from the same version one is refused.

mod model;

use std::collections::BTreeSet;

use model::{Model, Thing};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use roadstead_model::{Operation, Role, Scope};
use roadstead_test_support::app::{Answer, App};
use roadstead_test_support::rows::Rows;
use serde_json::{Value, json};

/// Whose views are compared after each operation.
const LOOKERS: usize = 3;
/// After so many operations, everybody's.
const ALL_LOOK_EACH: usize = 100;
/// Servers that live at one time at most.
const MOST_INSTANCES: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sees_or_loses_what_they_should_not_in_a_few_hundred_operations() {
    run(12, 300, 0x5eed).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: cargo test --release --workspace --test everybody -- --ignored"]
async fn nobody_sees_or_loses_what_they_should_not_in_five_thousand_operations() {
    run(50, 5_000, 0x0ddb_a115).await;
}

struct Crowd {
    app: App,
    model: Model,
    rng: SmallRng,
    number: usize,
    refused: usize,
    lost_races: usize,
}

async fn run(users: usize, operations: usize, seed: u64) {
    println!("seed {seed:#x}");
    let app = App::start().await;
    app.define_echo("plain", &[]).await;
    let model = people(&app, users).await;
    let rng = SmallRng::seed_from_u64(seed);
    let mut crowd = Crowd { app, model, rng, number: 0, refused: 0, lost_races: 0 };
    for step in 1..=operations {
        let what = crowd.something().await;
        let lookers = if step % ALL_LOOK_EACH == 0 || step == operations { users } else { LOOKERS };
        let first = crowd.rng.random_range(0..users);
        for looker in 0..lookers {
            crowd.compare((first + looker) % users, step, &what).await;
        }
    }
    let Crowd { app, model, refused, lost_races, .. } = crowd;
    println!("{operations} operations, {refused} refused, {lost_races} races lost by one of two");
    assert!(
        refused > operations / 20 && refused < operations * 3 / 4,
        "{refused} of {operations} were refused"
    );
    assert!(lost_races > 0, "no two changes met");
    assert!(model.instances().count() > 0);
    app.interrupt().await;
}

/// Users in two organisations: each has an owner, an admin, a viewer, and members.
async fn people(app: &App, count: usize) -> Model {
    let mut rows = Rows::of_owner(app.data()).await;
    rows.execute("update system_settings set value = '1000000' where key like 'limits.%' or key like 'quotas.%' or key = 'launches.per_minute_per_user'").await;
    let scopes: Vec<&str> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
    let mut model = Model::default();
    let mut places: Vec<(String, String)> = Vec::new();
    for number in 0..count {
        let body = json!({"email": format!("u{number}@example.org"), "name": format!("U {number}")});
        let user = app.ask("POST", "/users", Some(body)).await;
        assert_eq!(user.status, 201, "{user:?}");
        let id = user.body["id"].as_str().expect("an id").to_owned();
        let key =
            app.ask("POST", "/api-keys", Some(json!({"name": "k", "scopes": scopes, "user_id": id}))).await;
        assert_eq!(key.status, 201, "{key:?}");
        let (key_id, key) = (text(&key.body["id"]), text(&key.body["key"]));
        let role = match number / 2 {
            0 => Role::Owner,
            1 => Role::Admin,
            2 => Role::Viewer,
            _ => Role::Member,
        };
        if role == Role::Owner {
            let mut of = async |what: &str| {
                rows.texts(&format!("select default_{what}_id::text from users where id = '{id}'"))
                    .await
                    .remove(0)
            };
            places.push((of("organization").await, of("project").await));
        } else {
            let (organization, project) = &places[number % 2];
            rows.execute(&format!(
                "insert into org_members (id, organization_id, user_id, role, accepted_at, created_at, updated_at)
                 values (gen_random_uuid(), '{organization}', '{id}', '{}', now(), now(), now())",
                role.as_str()
            ))
            .await;
            rows.execute(&format!(
                "update api_keys set organization_id = '{organization}', project_id = '{project}' where user_id = '{id}'"
            ))
            .await;
        }
        let (organization, project) = places[number % 2].clone();
        model.join(id, key, key_id, organization, project, role);
    }
    model
}

impl Crowd {
    /// One operation of one user; says what it was.
    async fn something(&mut self) -> String {
        self.number += 1;
        let actor = self.rng.random_range(0..self.model.users.len());
        let choice = self.rng.random_range(0..100_u32);
        match choice {
            0..=19 => self.make(actor, Thing::Credential).await,
            20..=34 => self.make(actor, Thing::Key).await,
            35..=44 => self.make(actor, Thing::Project).await,
            45..=49 => self.make(actor, Thing::Instance).await,
            50..=64 => self.end(actor, Thing::Credential).await,
            65..=74 => self.end(actor, Thing::Key).await,
            75..=80 => self.end(actor, Thing::Instance).await,
            81..=92 => self.promote(actor).await,
            _ => self.race(actor).await,
        }
    }

    async fn make(&mut self, actor: usize, thing: Thing) -> String {
        let name = format!("n {}", self.number);
        let (operation, path, body) = match thing {
            Thing::Credential => (
                Operation::CredentialsCreate,
                "/credentials",
                json!({"type": "plain", "name": name, "values": {"token": "t-12345678"}}),
            ),
            Thing::Key => {
                (Operation::KeysCreate, "/api-keys", json!({"name": name, "scopes": ["instances:read"]}))
            }
            Thing::Project => (Operation::ProjectsCreate, "/projects", json!({"name": name})),
            Thing::Instance => {
                (Operation::InstancesLaunch, "/instances", json!({"type": "plain", "name": name}))
            }
        };
        if thing == Thing::Instance && self.model.instances().count() >= MOST_INSTANCES {
            return self.end(actor, Thing::Instance).await;
        }
        let answer = self.ask(actor, "POST", path, Some(body)).await;
        let what = format!("{} makes {thing:?}: {}", self.model.users[actor].name(), answer.status);
        if self.done_as_permitted(actor, operation, &answer, &what) {
            self.model.add(thing, text(&answer.body["id"]), actor);
        }
        what
    }

    async fn end(&mut self, actor: usize, thing: Thing) -> String {
        let Some((id, owner)) = self.model.any(thing, &mut self.rng) else {
            return "nothing to end".to_owned();
        };
        let (operation, path) = match thing {
            Thing::Credential => (Operation::CredentialsDelete, format!("/credentials/{id}")),
            Thing::Key => (Operation::KeysRevoke, format!("/api-keys/{id}")),
            Thing::Instance | Thing::Project => (Operation::InstancesDelete, format!("/instances/{id}")),
        };
        let answer = self.ask(actor, "DELETE", &path, None).await;
        let what = format!(
            "{} ends {thing:?} of {}: {}",
            self.model.users[actor].name(),
            self.model.users[owner].name(),
            answer.status
        );
        let reaches = self.model.reaches(actor, operation, owner);
        assert_eq!(answer.status < 300, reaches, "{what}: {answer:?}");
        if reaches {
            self.model.remove(thing, &id);
        } else {
            self.refused += 1;
            assert!([403, 404].contains(&answer.status), "{what}: {answer:?}");
        }
        what
    }

    /// Somebody gives somebody a role.
    async fn promote(&mut self, actor: usize) -> String {
        let target = self.rng.random_range(0..self.model.users.len());
        let role = Role::ALL[self.rng.random_range(0..Role::ALL.len())];
        let (organization, id) = (&self.model.users[target].organization, &self.model.users[target].id);
        let path = format!("/organizations/{organization}/members/{id}");
        let answer = self.ask(actor, "PATCH", &path, Some(json!({"role": role.as_str()}))).await;
        let what = format!(
            "{} makes {} a {}: {}",
            self.model.users[actor].name(),
            self.model.users[target].name(),
            role.as_str(),
            answer.status
        );
        if answer.status < 300 {
            assert!(self.model.reaches(actor, Operation::MembersPatch, target), "{what}");
            let touches_owners = role == Role::Owner || self.model.users[target].role == Role::Owner;
            assert!(
                !touches_owners
                    || self.model.users[actor].role == Role::Owner
                    || self.model.users[target].role == role,
                "{what}"
            );
            self.model.users[target].role = role;
            assert!(self.model.has_owner(target), "{what}: no owner is left");
        } else {
            self.refused += 1;
            assert!([403, 404, 409, 422].contains(&answer.status), "{what}: {answer:?}");
        }
        what
    }

    /// Two changes that begin from the same version.
    async fn race(&mut self, actor: usize) -> String {
        let path = format!("/projects/{}", self.model.users[actor].project);
        let seen = self.ask(actor, "GET", &path, None).await;
        assert_eq!(seen.status, 200, "{seen:?}");
        let tag = seen.headers["etag"].to_str().expect("a tag").to_owned();
        let change = async |description: String| {
            let key = &self.model.users[actor].key;
            let request = self.app.request("PATCH", &path).bearer_auth(key).header("if-match", &tag);
            request
                .json(&json!({ "description": description }))
                .send()
                .await
                .expect("an answer")
                .status()
                .as_u16()
        };
        let number = self.number;
        let (one, two) = tokio::join!(change(format!("a {number}")), change(format!("b {number}")));
        let what = format!("{} changes twice: {one} {two}", self.model.users[actor].name());
        let may = self.model.reaches(actor, Operation::ProjectsPatch, actor);
        if may {
            let mut both = [one, two];
            both.sort_unstable();
            assert_eq!(both, [200, 412], "{what}");
            self.lost_races += 1;
            let now = self.ask(actor, "GET", &path, None).await;
            let expected = if one == 200 { format!("a {number}") } else { format!("b {number}") };
            assert_eq!(now.body["description"], expected, "{what}: the update is lost");
        } else {
            self.refused += 1;
            assert_eq!([one, two], [403, 403], "{what}");
        }
        what
    }

    fn done_as_permitted(&mut self, actor: usize, operation: Operation, answer: &Answer, what: &str) -> bool {
        let may = self.model.reaches(actor, operation, actor);
        assert_eq!((200..300).contains(&answer.status), may, "{what}: {answer:?}");
        if !may {
            self.refused += 1;
            assert_eq!(answer.status, 403, "{what}: {answer:?}");
        }
        may
    }

    async fn ask(&self, actor: usize, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.app.ask_as(&self.model.users[actor].key, method, path, body).await
    }

    /// Everything that one user sees, against the model.
    async fn compare(&self, looker: usize, step: usize, what: &str) {
        let lists = [
            (Thing::Instance, Operation::InstancesList, "/instances?limit=100"),
            (Thing::Credential, Operation::CredentialsList, "/credentials?limit=100"),
            (Thing::Key, Operation::KeysList, "/api-keys?limit=100"),
            (Thing::Project, Operation::ProjectsList, "/projects?limit=100"),
        ];
        for (thing, operation, path) in lists {
            let seen = self.all(looker, path, thing).await;
            let expected = self.model.seen(looker, operation, thing);
            assert_eq!(
                seen,
                expected,
                "step {step}, {what}: {} sees other {thing:?}s",
                self.model.users[looker].name()
            );
        }
    }

    /// The ids of a list, page by page.
    async fn all(&self, looker: usize, path: &str, thing: Thing) -> BTreeSet<String> {
        let mut ids = BTreeSet::new();
        let mut cursor: Option<String> = None;
        loop {
            let from = cursor.as_ref().map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
            let answer = self.ask(looker, "GET", &format!("{path}{from}"), None).await;
            assert_eq!(answer.status, 200, "{path}: {answer:?}");
            for row in answer.body["data"].as_array().expect("a list") {
                if thing != Thing::Key || row["is_active"] == true {
                    assert!(ids.insert(text(&row["id"])), "{path} tells one twice");
                }
            }
            cursor = answer.body["next_cursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                return ids;
            }
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}
