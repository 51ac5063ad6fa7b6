//! Every operation, asked by every role, of what is their own, of a fellow's and of a stranger's: the answers are those of the one
//! table of permissions. What is asked, and of which path, comes from the served description; a route without a line in the table, a
//! line without a route are failures.

mod ask;
mod people;
mod written;

use std::collections::BTreeMap;

use ask::{Ask, Kind};
use people::{Person, World};
use roadstead_access::{Allowed, MATRIX, Platform, matrix};
use roadstead_model::{Operation, Role, Scope};
use roadstead_test_support::app::{Answer, App};
use serde_json::{Value, json};
use written::Asked;

/// Routes that ask for no key, or for another one.
const PUBLIC: [&str; 4] = ["healthz", "readyz", "metrics", "exports_download"];

/// Services share the ports of the machine, and a launch that loses one to a neighbour begins again with an entry of its own: one
/// of them runs at a time.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Whose thing it is that somebody wants to touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Relation {
    Own,
    Fellow,
    Stranger,
}

/// What the table says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Done,
    Forbidden,
    Missing,
}

/// A path and how it is asked, by operation.
type Routes = BTreeMap<String, (String, String)>;

#[tokio::test(flavor = "multi_thread")]
async fn every_role_and_operation_is_answered_as_the_table_says() {
    let _alone = ALONE.lock().await;
    let app = App::start().await;
    let routes = routes(&app).await;
    lines_and_routes_are_the_same(&routes);
    let mut world = World::made(app).await;
    let mut wrong = Vec::new();
    let mut asked = Vec::new();
    for operation in Operation::ALL {
        let ask = ask::of(*operation);
        let route = &routes[operation.as_str()];
        for caller in world.callers() {
            for relation in relations(ask.kind, &caller) {
                let expected = expected(*operation, &caller, relation);
                let answer = asked_of(&mut world, &ask, route, &caller, (relation, expected)).await;
                asked.push(Asked::new(*operation, &route.0, &answer));
                if !fits(&answer, expected, &ask) {
                    wrong.push(format!(
                        "{} as {} of {relation:?}: expected {expected:?}, got {} {}",
                        operation.as_str(),
                        caller.name,
                        answer.status,
                        answer.body["error"]["message"]
                    ));
                }
                if answer.status < 300 && ask.consumes {
                    world.renew(ask.kind, &caller, relation).await;
                }
            }
        }
    }
    println!("{} requests", asked.len());
    assert!(wrong.is_empty(), "{} of {} answers are wrong:\n{}", wrong.len(), asked.len(), wrong.join("\n"));
    assert!(asked.len() > 750, "{}", asked.len());
    let wrong = written::against(&asked, &mut world).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    world.app.interrupt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_without_the_scope_of_an_operation_is_refused_whoever_owns_it() {
    let _alone = ALONE.lock().await;
    let app = App::start().await;
    let routes = routes(&app).await;
    let world = World::made(app).await;
    let mut wrong = Vec::new();
    for scope in Scope::ALL {
        let rest: Vec<&str> = Scope::ALL.iter().filter(|one| *one != scope).map(|one| one.as_str()).collect();
        let body = json!({"name": format!("without {}", scope.as_str()), "scopes": rest});
        let key = world.app.ask("POST", "/api-keys", Some(body)).await;
        let key = key.body["key"].as_str().unwrap_or_else(|| panic!("{key:?}")).to_owned();
        for line in MATRIX.iter().filter(|line| line.scope == Some(*scope)) {
            let ask = ask::of(line.operation);
            let (method, path) = &routes[line.operation.as_str()];
            let path = ask.path(path, people::NOBODY, people::NOBODY);
            let answer = world.app.ask_as(&key, method, &path, ask.body.clone()).await;
            if answer.status != 403 || !answer.body["error"]["message"].to_string().contains(scope.as_str()) {
                wrong.push(format!("{} without {}: {answer:?}", line.operation.as_str(), scope.as_str()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    world.app.interrupt().await;
}

async fn routes(app: &App) -> Routes {
    let url = format!("{}/openapi.json", app.url);
    let text = reqwest::get(url).await.expect("it is served").text().await.expect("a whole answer");
    let description: Value = serde_json::from_str(&text).expect("JSON");
    let mut routes = Routes::new();
    for (path, methods) in description["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let Some(id) = operation["operationId"].as_str() else { continue };
            let path = path.strip_prefix("/api/v1").unwrap_or(path).to_owned();
            assert!(routes.insert(id.to_owned(), (method.to_uppercase(), path)).is_none(), "{id} twice");
        }
    }
    routes
}

fn lines_and_routes_are_the_same(routes: &Routes) {
    let mut lines: Vec<&str> = Operation::ALL.iter().map(|one| one.as_str()).collect();
    let mut served: Vec<&str> = routes.keys().map(String::as_str).filter(|id| !PUBLIC.contains(id)).collect();
    lines.sort_unstable();
    served.sort_unstable();
    let missing: Vec<_> = lines.iter().filter(|one| !served.contains(one)).collect();
    let extra: Vec<_> = served.iter().filter(|one| !lines.contains(one)).collect();
    assert!(extra.is_empty(), "routes without a line in the table: {extra:?}");
    assert!(missing.is_empty(), "lines of the table without a route: {missing:?}");
}

/// Which relations there are for a kind of thing.
fn relations(kind: Kind, caller: &Person) -> Vec<Relation> {
    match kind {
        Kind::Nothing | Kind::Platform | Kind::Fresh => vec![Relation::Own],
        // What belongs to the whole organisation is nobody's own.
        Kind::Organization | Kind::Project | Kind::Member => vec![Relation::Fellow, Relation::Stranger],
        Kind::Instance | Kind::Ended | Kind::Credential | Kind::Key | Kind::User => {
            let all = vec![Relation::Own, Relation::Fellow, Relation::Stranger];
            if caller.role.is_none() && kind == Kind::User {
                vec![Relation::Fellow, Relation::Stranger]
            } else {
                all
            }
        }
    }
}

fn expected(operation: Operation, caller: &Person, relation: Relation) -> Expected {
    let line = matrix::line(operation);
    let allowed = match (caller.role, line.platform) {
        (None, Platform::All | Platform::Only) => return Expected::Done,
        (None, Platform::Own) => Allowed::Own,
        (Some(_), Platform::Only) => return Expected::Forbidden,
        (Some(role), _) => line.allowed(role),
    };
    match (allowed, relation) {
        (Allowed::No, _) => Expected::Forbidden,
        (Allowed::Own, Relation::Own) | (Allowed::Organization, Relation::Own | Relation::Fellow) => {
            Expected::Done
        }
        (Allowed::Own | Allowed::Organization, _) => Expected::Missing,
    }
}

fn fits(answer: &Answer, expected: Expected, ask: &Ask) -> bool {
    match expected {
        Expected::Done => (200..300).contains(&answer.status) || ask.also.contains(&answer.status),
        Expected::Forbidden => answer.status == 403,
        Expected::Missing => answer.status == 404,
    }
}

async fn asked_of(
    world: &mut World,
    ask: &Ask,
    (method, path): &(String, String),
    caller: &Person,
    (relation, expected): (Relation, Expected),
) -> Answer {
    if ask.kind == Kind::Fresh {
        let (caller, id) = world.fresh(caller).await;
        let path = ask.path(path, &id, &caller.id);
        return world.app.ask_as(&caller.key, method, &path, ask.body.clone()).await;
    }
    let (first, second) = world.target(ask.kind, caller, relation).await;
    if expected == Expected::Done && !ask.before.is_empty() {
        world.execute(&ask.before.replace("{id}", &first)).await;
    }
    let path = ask.path(path, &first, &second);
    let body = ask.body.as_ref().map(|body| world.completed(body));
    world.app.ask_as(&caller.key, method, &path, body).await
}

/// The four roles; a platform admin has none here.
const ROLES: [Role; 4] = [Role::Owner, Role::Admin, Role::Member, Role::Viewer];
