//! People, and what they share: roles, invitations, suspensions, acting for somebody, the end of an account.

use std::time::Duration;

use roadstead_test_support::app::{Answer, App, programs};
use roadstead_test_support::poll::wait_for;
use roadstead_test_support::rows::Rows;
use serde_json::{Value, json};

/// How long anything here may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);
/// Services share the ports of the machine: one of them runs at a time.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Somebody with a key.
struct Person {
    id: String,
    key: String,
}

#[track_caller]
fn is(answer: &Answer, status: u16, code: &str) {
    let found = answer.body["error"]["code"].as_str().unwrap_or_default();
    assert_eq!((answer.status, found), (status, code), "{answer:?}");
}

#[track_caller]
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// A user with a key that acts in their own organisation.
async fn person(app: &App, name: &str) -> Person {
    let body = json!({"email": format!("{name}@example.com"), "name": name});
    let user = app.ask("POST", "/users", Some(body)).await;
    assert_eq!(user.status, 201, "{user:?}");
    let id = text(&user.body["id"]);
    Person { key: key_of(app, &id).await, id }
}

/// A key of all scopes.
async fn key_of(app: &App, user: &str) -> String {
    let scopes = app.ask("GET", "/me", None).await.body["key"]["scopes"].clone();
    let body = json!({"name": "k", "scopes": scopes, "user_id": user});
    let key = app.ask("POST", "/api-keys", Some(body)).await;
    assert_eq!(key.status, 201, "{key:?}");
    text(&key.body["key"])
}

/// A key of a user that acts in another organisation.
async fn key_in(app: &App, user: &str, place: &Place) -> String {
    let key = key_of(app, user).await;
    let id = text(&app.ask_as(&key, "GET", "/me", None).await.body["key"]["id"]);
    let mut rows = Rows::of_owner(app.data()).await;
    let (organization, project) = (&place.id, &place.project);
    rows.execute(&format!(
        "update api_keys set organization_id = '{organization}', project_id = '{project}' where id = '{id}'"
    ))
    .await;
    rows.close().await;
    app.look_again().await;
    key
}

/// An organisation with an owner, an admin, a member and a viewer, each with a key that acts in it.
struct Place {
    id: String,
    project: String,
    owner: Person,
    admin: Person,
    member: Person,
    viewer: Person,
}

async fn place(app: &App, name: &str) -> Place {
    let nobody = || Person { id: String::new(), key: String::new() };
    let founder = person(app, &format!("owner-{name}")).await;
    let made = app.ask_as(&founder.key, "POST", "/organizations", Some(json!({"name": name}))).await;
    assert_eq!(made.status, 201, "{made:?}");
    let id = text(&made.body["id"]);
    let mut place = Place {
        id,
        project: String::new(),
        owner: nobody(),
        admin: nobody(),
        member: nobody(),
        viewer: nobody(),
    };
    let projects = app.ask("GET", &format!("/projects?organization_id={}", place.id), None).await;
    place.project = text(&projects.body["data"][0]["id"]);
    place.owner = Person { key: key_in(app, &founder.id, &place).await, id: founder.id };
    place.admin = joined(app, &place, name, "admin").await;
    place.member = joined(app, &place, name, "member").await;
    place.viewer = joined(app, &place, name, "viewer").await;
    place
}

/// Somebody who was invited and has accepted.
async fn joined(app: &App, place: &Place, name: &str, role: &str) -> Person {
    let one = person(app, &format!("{role}-{name}")).await;
    let body = json!({"email": format!("{role}-{name}@example.com"), "role": role});
    let invited = app.ask_as(&place.owner.key, "POST", &members(place), Some(body)).await;
    assert_eq!(invited.status, 201, "{invited:?}");
    let token = json!({"token": invited.body["token"]});
    let accepted = app.ask_as(&one.key, "POST", "/invitations/accept", Some(token)).await;
    assert_eq!((accepted.status, &accepted.body["role"]), (200, &json!(role)), "{accepted:?}");
    Person { key: key_in(app, &one.id, place).await, id: one.id }
}

fn members(place: &Place) -> String {
    format!("/organizations/{}/members", place.id)
}

fn member(place: &Place, person: &Person) -> String {
    format!("{}/{}", members(place), person.id)
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_reach_as_far_as_the_table_says_and_no_further_than_the_organisation() {
    let _alone = ALONE.lock().await;
    let app = App::start().await;
    let (here, there) = (place(&app, "here").await, place(&app, "there").await);
    let ask = async |person: &Person, method: &str, path: &str, body: Option<Value>| {
        app.ask_as(&person.key, method, path, body).await
    };
    for one in [&here.owner, &here.admin, &here.member, &here.viewer] {
        let listed = ask(one, "GET", &members(&here), None).await;
        assert_eq!(listed.body["data"].as_array().map(Vec::len), Some(4), "{listed:?}");
        is(&ask(one, "GET", &members(&there), None).await, 404, "NOT_FOUND");
        is(&ask(one, "GET", &format!("/organizations/{}", there.id), None).await, 404, "NOT_FOUND");
        is(&ask(one, "GET", &format!("/projects/{}", there.project), None).await, 404, "NOT_FOUND");
        assert_eq!(ask(one, "GET", "/projects", None).await.body["data"].as_array().map(Vec::len), Some(1));
        is(&ask(one, "GET", "/users", None).await, 403, "FORBIDDEN");
    }
    let name = Some(json!({"name": "renamed"}));
    for one in [&here.member, &here.viewer] {
        for path in [format!("/organizations/{}", here.id), format!("/projects/{}", here.project)] {
            is(&ask(one, "PATCH", &path, name.clone()).await, 403, "FORBIDDEN");
        }
        is(&ask(one, "DELETE", &member(&here, &here.viewer), None).await, 403, "FORBIDDEN");
        is(&ask(one, "POST", "/projects", name.clone()).await, 403, "FORBIDDEN");
    }
    is(
        &ask(&there.owner, "PATCH", &format!("/organizations/{}", here.id), name.clone()).await,
        404,
        "NOT_FOUND",
    );
    let role = |word: &str| Some(json!({"role": word}));
    // Nobody raises their own role, and ownership is the owners' matter.
    is(&ask(&here.admin, "PATCH", &member(&here, &here.admin), role("owner")).await, 403, "FORBIDDEN");
    is(&ask(&here.admin, "PATCH", &member(&here, &here.member), role("owner")).await, 403, "FORBIDDEN");
    is(&ask(&here.admin, "PATCH", &member(&here, &here.owner), role("member")).await, 403, "FORBIDDEN");
    is(&ask(&here.admin, "DELETE", &member(&here, &here.owner), None).await, 403, "FORBIDDEN");
    is(&ask(&here.admin, "DELETE", &format!("/organizations/{}", here.id), None).await, 403, "FORBIDDEN");
    is(&ask(&here.owner, "PATCH", &member(&here, &here.owner), role("member")).await, 409, "LAST_OWNER");
    is(
        &ask(&here.owner, "POST", &format!("/organizations/{}/leave", here.id), None).await,
        409,
        "LAST_OWNER",
    );
    let promoted = ask(&here.admin, "PATCH", &member(&here, &here.viewer), role("member")).await;
    assert_eq!((promoted.status, &promoted.body["role"]), (200, &json!("member")), "{promoted:?}");
    let second = ask(&here.owner, "PATCH", &member(&here, &here.admin), role("owner")).await;
    assert_eq!(second.status, 200, "{second:?}");
    let left = ask(&here.owner, "POST", &format!("/organizations/{}/leave", here.id), None).await;
    assert_eq!(left.status, 204, "{left:?}");
    is(&ask(&here.owner, "GET", "/projects", None).await, 401, "API_KEY_NOT_ACTIVE");
    app.interrupt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invitations_are_for_one_and_lost_updates_are_refused() {
    let _alone = ALONE.lock().await;
    let app = App::start().await;
    let place = place(&app, "only").await;
    let outsider = person(&app, "outsider").await;
    let path = format!("/organizations/{}", place.id);
    let owner = |method: &'static str, path: String, body: Option<Value>| {
        let (app, key) = (&app, &place.owner.key);
        async move { app.ask_as(key, method, &path, body).await }
    };
    let domains = json!({"allowed_email_domains": ["example.com"]});
    assert_eq!(owner("PATCH", path.clone(), Some(domains)).await.status, 200);
    let invite = |email: &str| Some(json!({"email": email}));
    is(&owner("POST", members(&place), invite("x@elsewhere.net")).await, 422, "EMAIL_DOMAIN_NOT_ALLOWED");
    is(&owner("POST", members(&place), invite("member-only@example.com")).await, 409, "ALREADY_EXISTS");
    let first = owner("POST", members(&place), invite("outsider@example.com")).await;
    let second = owner("POST", members(&place), invite("outsider@example.com")).await;
    let accept = async |key: &str, token: &Value| {
        app.ask_as(key, "POST", "/invitations/accept", Some(json!({"token": token}))).await
    };
    assert!(text(&second.body["token"]).starts_with("ri_"));
    is(&accept(&outsider.key, &first.body["token"]).await, 404, "INVITATION_INVALID");
    is(&accept(&place.member.key, &second.body["token"]).await, 404, "INVITATION_INVALID");
    is(&accept(&outsider.key, &json!("ri_short")).await, 404, "INVITATION_INVALID");
    assert_eq!(accept(&outsider.key, &second.body["token"]).await.status, 200);
    is(&accept(&outsider.key, &second.body["token"]).await, 404, "INVITATION_INVALID");
    // An address that nobody has waits for a platform admin.
    let unknown = owner("POST", members(&place), invite("new@example.com")).await;
    assert_eq!(unknown.status, 201, "{unknown:?}");
    let invited = app.ask("GET", "/users?status=invited&search=new", None).await;
    assert_eq!(invited.body["data"].as_array().map(Vec::len), Some(1), "{invited:?}");
    // Of two who change what they read, one is told.
    let read = owner("GET", path.clone(), None).await;
    let tag = read.headers["etag"].to_str().expect("a tag").to_owned();
    let send = async |name: &str| {
        let request = app.request("PATCH", &path).bearer_auth(&place.owner.key).header("if-match", &tag);
        request.json(&json!({"name": name})).send().await.expect("an answer").status().as_u16()
    };
    let (one, other) = tokio::join!(send("one"), send("other"));
    let mut statuses = [one, other];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
    let own = app.ask_as(&outsider.key, "GET", "/me", None).await.body["user"]["organization_id"].clone();
    let own = format!("/organizations/{}", text(&own));
    let more = app.ask_as(&outsider.key, "POST", &format!("{own}/members"), invite("a@example.com")).await;
    is(&more, 409, "PERSONAL_ORGANIZATION");
    is(&app.ask_as(&outsider.key, "DELETE", &own, None).await, 409, "PERSONAL_ORGANIZATION");
    app.interrupt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_suspended_or_paused_does_not_act() {
    let _alone = ALONE.lock().await;
    let app = App::start().await;
    let place = place(&app, "busy").await;
    app.define_echo("plain", &[]).await;
    let launch =
        async |key: &str| app.ask_as(key, "POST", "/instances", Some(json!({"type": "plain"}))).await;
    let launched = launch(&place.member.key).await;
    assert_eq!(launched.status, 201, "{launched:?}\n{}", app.log());
    let instance = format!("/instances/{}", text(&launched.body["id"]));
    let project = format!("/projects/{}", place.project);
    let status = async |path: &str, word: &str| {
        let answer = app.ask_as(&place.owner.key, "PATCH", path, Some(json!({"status": word}))).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    status(&project, "paused").await;
    is(&launch(&place.member.key).await, 409, "PROJECT_NOT_ACTIVE");
    assert_eq!(app.ask_as(&place.member.key, "POST", &format!("{instance}/stop"), None).await.status, 200);
    // A platform admin acts elsewhere, and starts nothing here all the same.
    is(&app.ask("POST", &format!("{instance}/restore"), None).await, 409, "PROJECT_NOT_ACTIVE");
    status(&project, "active").await;
    assert_eq!(app.ask("POST", &format!("{instance}/restore"), None).await.status, 200);
    // A type of a project is for that project.
    let spec = app.ask("GET", "/types/plain", None).await.body;
    let mut spec = json!({"name": "private", "display_name": "Private", "program": spec["program"]});
    spec["project_id"] = json!(place.project);
    // Its organisation wants types approved.
    spec["approve"] = json!(true);
    let made = app.ask("POST", "/types", Some(spec)).await;
    assert_eq!((made.status, &made.body["project_id"]), (201, &json!(place.project)), "{made:?}");
    // And, if it says so, for some of its people alone.
    let body = Some(json!({"type": "private"}));
    let mut spec = made.body["manifest"].clone();
    spec["allowed_roles"] = json!(["owner", "admin"]);
    assert_eq!(app.ask("PUT", "/types/private", Some(spec)).await.status, 200);
    is(&app.ask_as(&place.member.key, "POST", "/instances", body).await, 403, "FORBIDDEN");
    let outsider = person(&app, "outsider").await;
    is(&app.ask_as(&outsider.key, "GET", "/types/private", None).await, 404, "TYPE_NOT_FOUND");
    let body = Some(json!({"type": "private"}));
    is(&app.ask_as(&outsider.key, "POST", "/instances", body).await, 404, "TYPE_NOT_FOUND");
    assert_eq!(app.ask_as(&place.viewer.key, "GET", "/types/private", None).await.status, 200);
    // Membership, organisation, user.
    status(&member(&place, &place.member), "suspended").await;
    is(&app.ask_as(&place.member.key, "GET", "/me", None).await, 403, "NOT_ACTIVE");
    status(&member(&place, &place.member), "active").await;
    let organization = format!("/organizations/{}", place.id);
    assert_eq!(app.ask("POST", &format!("{organization}/suspend"), None).await.status, 200);
    is(&app.ask_as(&place.owner.key, "GET", "/me", None).await, 403, "NOT_ACTIVE");
    is(&app.ask("POST", &format!("{instance}/restart"), None).await, 403, "NOT_ACTIVE");
    assert_eq!(app.ask("POST", &format!("{organization}/reinstate"), None).await.status, 200);
    let user = format!("/users/{}", place.member.id);
    let why = Some(json!({"reason": "too loud", "stop_instances": true}));
    let suspended = app.ask("POST", &format!("{user}/suspend"), why).await;
    assert_eq!((suspended.status, &suspended.body["status"]), (200, &json!("suspended")), "{suspended:?}");
    is(&app.ask_as(&place.member.key, "GET", "/me", None).await, 403, "NOT_ACTIVE");
    assert_eq!(app.ask("GET", &instance, None).await.body["status"], "stopped");
    assert_eq!(app.ask("POST", &format!("{user}/reinstate"), None).await.status, 200);
    assert_eq!(app.ask_as(&place.member.key, "GET", "/me", None).await.status, 200);
    let me = text(&app.ask("GET", "/me", None).await.body["user"]["id"]);
    is(&app.ask("POST", &format!("/users/{me}/suspend"), None).await, 409, "LAST_OWNER");
    app.interrupt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_of_an_organisation_define_servers_elsewhere_for_their_projects() {
    let _alone = ALONE.lock().await;
    let app = App::start().await;
    let (one, other) = (place(&app, "one").await, place(&app, "other").await);
    let path = |place: &Place| format!("/projects/{}/types", place.project);
    let notes = || {
        json!({"name": "notes", "display_name": "Notes", "transport": "streamable_http",
            "url": "https://mcp.example.com/mcp", "headers": {"Authorization": "Bearer ${credential.token}"},
            "credential_slots": [{"name": "token", "label": "Token"}]})
    };
    let ask = async |key: &str, method: &str, path: &str, body: Value| {
        app.ask_as(key, method, path, Some(body)).await
    };

    // What runs here, and what it reaches, is for platform admins; a name that is everybody's is taken.
    let program = json!(programs().join("roadstead-echo"));
    for (field, value) in [
        ("program", program.clone()),
        ("allow_private", json!(true)),
        ("confinement", json!({"off": true})),
        ("resource_limits", json!({"memory_mb": 100_000})),
        ("name", json!("echo")),
    ] {
        let mut spec = notes();
        spec[field] = value;
        let refused = ask(&one.owner.key, "POST", &path(&one), spec).await;
        is(&refused, 422, "VALIDATION_FAILED");
        assert_eq!(refused.body["error"]["details"][0]["field"], field, "{refused:?}");
    }
    is(&ask(&one.viewer.key, "POST", &path(&one), notes()).await, 403, "FORBIDDEN");
    is(&ask(&one.owner.key, "POST", &path(&other), notes()).await, 404, "NOT_FOUND");

    // A member's waits for an owner or admin, and only then it is there.
    let made = ask(&one.member.key, "POST", &path(&one), notes()).await;
    assert_eq!((made.status, &made.body["status"]), (201, &json!("pending")), "{made:?}");
    assert_eq!(made.body["registered_by"], json!(one.member.id));
    is(&ask(&one.member.key, "POST", &path(&one), notes()).await, 409, "ALREADY_EXISTS");
    let credential = || json!({"type": "notes", "name": "mine", "values": {"token": "t0ken-value"}});
    is(&ask(&one.member.key, "POST", "/credentials", credential()).await, 404, "TYPE_NOT_FOUND");
    let decision = |status: &str| json!({"type": "notes", "status": status, "reason": "a test"});
    is(&ask(&one.member.key, "PATCH", &path(&one), decision("approved")).await, 403, "FORBIDDEN");
    is(&ask(&other.owner.key, "PATCH", &path(&one), decision("approved")).await, 404, "NOT_FOUND");
    is(&ask(&other.owner.key, "PATCH", &path(&other), decision("approved")).await, 404, "TYPE_NOT_FOUND");
    let approved = ask(&one.owner.key, "PATCH", &path(&one), decision("approved")).await;
    assert_eq!((approved.status, &approved.body["status"]), (200, &json!("approved")), "{approved:?}");
    assert_eq!(ask(&one.member.key, "POST", "/credentials", credential()).await.status, 201);

    // Another project calls one of its own so, and each means its own.
    let mut theirs = notes();
    theirs["approve"] = json!(true);
    let theirs = ask(&other.owner.key, "POST", &path(&other), theirs).await;
    assert_eq!((theirs.status, &theirs.body["status"]), (201, &json!("approved")), "{theirs:?}");
    for place in [&one, &other] {
        let named = app.ask_as(&place.member.key, "GET", "/types/notes", None).await;
        assert_eq!(named.body["project_id"], json!(place.project), "{named:?}");
    }
    is(&app.ask("GET", "/types/notes", None).await, 404, "TYPE_NOT_FOUND");
    let id = text(&theirs.body["id"]);
    assert_eq!(app.ask("GET", &format!("/types/{id}"), None).await.body["id"], json!(id));
    let (mut seen, mut next) = (0, "/types?limit=1".to_owned());
    loop {
        let page = app.ask("GET", &next, None).await.body;
        seen += page["data"].as_array().expect("a list").iter().filter(|row| row["name"] == "notes").count();
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        next = format!("/types?limit=1&cursor={cursor}");
    }
    assert_eq!(seen, 2, "each page goes on where the one before ended");

    // A platform admin's, for everybody, is none of theirs.
    let spec = json!({"name": "notes", "display_name": "Notes", "program": program, "era": "dual"});
    assert_eq!(app.ask("POST", "/types", Some(spec)).await.status, 201);
    assert!(app.ask("GET", "/types/notes", None).await.body["project_id"].is_null());
    let named = app.ask_as(&one.member.key, "GET", "/types/notes", None).await;
    assert_eq!(named.body["project_id"], json!(one.project));
    let ended = ask(&one.owner.key, "PATCH", &path(&one), decision("deprecated")).await;
    assert_eq!(ended.body["status"], "deprecated", "{ended:?}");
    is(&ask(&one.member.key, "POST", "/instances", json!({"type": "notes"})).await, 404, "TYPE_NOT_FOUND");
    app.interrupt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_acts_for_those_it_may_and_both_are_written_down() {
    let _alone = ALONE.lock().await;
    let app = App::start().await;
    let place = place(&app, "team").await;
    let outsider = person(&app, "outsider").await;
    let act = async |key: &str, target: &str, method: &str, path: &str, body: Option<Value>| {
        let mut request = app.request(method, path).bearer_auth(key).header("x-roadstead-user", target);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await.expect("a whole answer");
        Answer { status, headers, body: serde_json::from_slice(&body).unwrap_or(Value::Null) }
    };
    let as_member = act(&place.owner.key, "member-team@example.com", "GET", "/me", None).await;
    assert_eq!((as_member.status, &as_member.body["role"]), (200, &json!("member")), "{as_member:?}");
    assert_eq!(
        (&as_member.body["user"]["id"], &as_member.body["acted_by"]),
        (&json!(place.member.id), &json!(place.owner.id))
    );
    let patched =
        act(&place.owner.key, &place.member.id, "PATCH", "/me", Some(json!({"name": "Renamed"}))).await;
    assert_eq!(patched.status, 200, "{patched:?}");
    let mut rows = Rows::of(app.data()).await;
    let written = rows
        .texts("select actor_user_id || ' ' || on_behalf_of || ' ' || changes::text from audit_logs where action = 'account.patch'")
        .await;
    assert_eq!(
        written,
        [format!("{} {} {{\"name\": {{\"changed\": true}}}}", place.owner.id, place.member.id)]
    );
    rows.close().await;
    let get = async |key: &str, target: &str| act(key, target, "GET", "/me", None).await;
    is(&get(&place.member.key, &place.viewer.id).await, 403, "FORBIDDEN");
    is(&get(&place.owner.key, &outsider.id).await, 404, "NOT_FOUND");
    is(&get(&place.owner.key, "admin@localhost").await, 404, "NOT_FOUND");
    is(&get(&app.key, "admin@localhost").await, 403, "FORBIDDEN");
    let at_home = get(&app.key, &outsider.id).await;
    assert_eq!((at_home.status, &at_home.body["role"]), (200, &json!("owner")), "{at_home:?}");
    is(&act(&app.key, &outsider.id, "GET", "/users", None).await, 403, "FORBIDDEN");
    let scoped = json!({"name": "narrow", "scopes": ["users:read"]});
    let narrow = app.ask_as(&place.owner.key, "POST", "/api-keys", Some(scoped)).await;
    is(&get(&text(&narrow.body["key"]), &place.member.id).await, 403, "FORBIDDEN");
    app.interrupt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_account_ends_comes_back_and_is_erased_in_the_end() {
    let _alone = ALONE.lock().await;
    let app = App::start().await;
    app.define_echo("plain", &[]).await;
    let place = place(&app, "short").await;
    let ada = person(&app, "ada").await;
    let launched = app.ask_as(&ada.key, "POST", "/instances", Some(json!({"type": "plain"}))).await;
    assert_eq!(launched.status, 201, "{launched:?}\n{}", app.log());
    let export = app.request("GET", "/me/export").bearer_auth(&ada.key).send().await.expect("an answer");
    let export = export.text().await.expect("lines");
    let kinds: Vec<String> = export
        .lines()
        .map(|line| text(&serde_json::from_str::<Value>(line).expect("a line of JSON")["kind"]))
        .collect();
    for kind in ["account", "membership", "api_key", "instance", "event", "end"] {
        assert!(kinds.iter().any(|each| each == kind), "{kind} is not in {kinds:?}");
    }
    assert!(!export.contains(&ada.key) && !export.contains(&text(&launched.body["access_token"])));
    // Others depend on this one.
    is(&app.ask_as(&place.owner.key, "DELETE", "/me", None).await, 409, "LAST_OWNER");
    let deleted = app.ask_as(&ada.key, "DELETE", "/me", None).await;
    assert_eq!(deleted.status, 200, "{deleted:?}");
    assert!(deleted.body["erase_after"].is_string());
    assert_eq!(app.ask_as(&ada.key, "GET", "/me", None).await.status, 401);
    let instance = format!("/instances/{}", text(&launched.body["id"]));
    assert_eq!(app.ask("GET", &instance, None).await.body["status"], "stopped");
    let user = format!("/users/{}", ada.id);
    assert_eq!(app.ask("POST", &format!("{user}/reinstate"), None).await.status, 200);
    let key = key_of(&app, &ada.id).await;
    assert_eq!(app.ask_as(&key, "GET", "/me", None).await.status, 200);
    assert_eq!(app.ask("DELETE", &user, None).await.status, 200);
    // A month passes.
    let mut rows = Rows::of_owner(app.data()).await;
    rows.execute(&format!("update users set erase_after = now() where id = '{}'", ada.id)).await;
    wait_for("the account to be erased", PATIENCE, async || {
        (app.ask("GET", &user, None).await.status == 404).then_some(())
    })
    .await;
    is(&app.ask("GET", &instance, None).await, 404, "NOT_FOUND");
    let left = rows.number("select count(*) from organizations where name = 'ada'").await;
    assert_eq!(left, 0, "the personal organisation goes along");
    let entries = rows
        .number(&format!(
            "select count(*) from audit_logs where action = 'account.erase' and resource_id = '{}'",
            ada.id
        ))
        .await;
    let named = rows.number("select count(*) from audit_logs where changes::text like '%ada@%'").await;
    assert_eq!((entries, named), (1, 0));
    rows.close().await;
    app.interrupt().await;
}
