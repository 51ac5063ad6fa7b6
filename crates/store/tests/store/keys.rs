//! API keys: found, changed, replaced, revoked, and what they were used for.

use roadstead_model::{ApiKeyId, NewAudit, Operation, Scope, Scopes, View};
use roadstead_store::{
    Cursor, KeyChange, KeyFact, KeyFilter, KeySettings, NewApiKey, Replacement, Revocation,
};
use time::Duration;

use crate::world::World;

fn key(world: &mut World) -> NewApiKey {
    NewApiKey {
        id: ApiKeyId::new(&world.clock, &mut world.rng),
        user: world.user.id,
        organization: world.user.default_organization,
        project: world.user.default_project,
        created_by: Some(world.user.id),
        name: "laptop".to_owned(),
        prefix: "rs_abc".to_owned(),
        hash: [5; 32],
        hint: "wxyz".to_owned(),
        scopes: [Scope::InstancesRead, Scope::TypesRead].into_iter().collect(),
        settings: KeySettings {
            allowed_ips: vec!["192.0.2.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
            requests_per_minute: Some(60),
            daily_limit: Some(1_000),
            monthly_limit: None,
        },
        expires_at: None,
        at: world.now(),
    }
}

async fn create(world: &World, new: &NewApiKey) {
    let mut change = world.store().system_change().await.unwrap();
    change.api_keys().create(new).await.unwrap();
    change.commit(&NewAudit::by_system("api_key.create", world.now())).await.unwrap();
}

async fn revoke(world: &World, id: ApiKeyId, view: View, reason: Option<&str>) -> bool {
    let end = Revocation { at: world.now(), by: Some(view.user), reason };
    let mut change = world.store().change(view).await.unwrap();
    let done = change.api_keys().revoke(id, view, end).await.unwrap();
    change.commit(&NewAudit::by_system("api_key.revoke", world.now())).await.unwrap();
    done
}

fn fact(key: ApiKeyId, at: time::OffsetDateTime) -> KeyFact {
    KeyFact {
        key,
        at,
        operation: Some(Operation::InstancesList),
        status: 200,
        is_refused: false,
        duration_us: 1_000,
        request_bytes: 1,
        answer_bytes: 2,
        ip_address: Some("192.0.2.7".parse().unwrap()),
        user_agent: Some("test".to_owned()),
        request_id: Some("one".to_owned()),
    }
}

#[tokio::test]
async fn a_key_is_found_with_its_user_until_the_user_is_deleted() {
    let mut world = World::new().await;
    let new = key(&mut world);
    create(&world, &new).await;
    let mut keys = world.store().api_keys();
    let found = keys.by_hash(&new.hash, world.now()).await.unwrap().unwrap();
    assert_eq!((found.key.id, &found.user), (new.id, &world.user));
    assert_eq!((&found.key.scopes, &found.key.settings), (&new.scopes, &new.settings));
    assert!(!found.key.scopes.covers(&Scopes::all()));
    assert!(keys.by_hash(&[6; 32], world.now()).await.unwrap().is_none());
    world.delete_user(world.user.id, Duration::DAY).await;
    assert!(keys.by_hash(&new.hash, world.now()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_key_is_revoked_once_by_who_may_see_it() {
    let mut world = World::new().await;
    let new = key(&mut world);
    let other = world.another_user("bob@example.org").await;
    create(&world, &new).await;
    let (mine, theirs) = (world.view(world.user.id), world.view(other));
    assert!(!revoke(&world, new.id, theirs, Some("mine now")).await);
    assert!(world.store().seen_by(theirs).api_keys().get(new.id, None).await.unwrap().is_none());
    assert!(revoke(&world, new.id, mine, Some("lost")).await);
    assert!(!revoke(&world, new.id, mine, None).await);
    let row = world.store().api_keys().by_hash(&new.hash, world.now()).await.unwrap().unwrap().key;
    assert_eq!((row.is_active, row.revoke_reason.as_deref()), (false, Some("lost")));
    assert_eq!(row.revoked_by, Some(world.user.id));
}

#[tokio::test]
async fn a_key_is_changed_only_from_the_version_that_was_read() {
    let mut world = World::new().await;
    let new = key(&mut world);
    create(&world, &new).await;
    let view = world.view(world.user.id);
    let change = KeyChange {
        name: "desk".to_owned(),
        settings: KeySettings { monthly_limit: Some(5), ..KeySettings::default() },
        expires_at: Some(world.now() + Duration::DAY),
    };
    let mut doing = world.store().change(view).await.unwrap();
    let read = doing.api_keys().get(new.id, Some(view)).await.unwrap().unwrap();
    assert!(doing.api_keys().patch(&read, view, &change).await.unwrap());
    assert!(!doing.api_keys().patch(&read, view, &change).await.unwrap());
    let changed = doing.api_keys().get(new.id, Some(view)).await.unwrap().unwrap();
    doing.commit(&NewAudit::by_system("api_key.patch", world.now())).await.unwrap();
    assert_eq!((changed.name, changed.settings, changed.version), (change.name, change.settings, 2));
}

#[tokio::test]
async fn a_replacement_has_everything_and_the_old_one_has_its_grace() {
    let mut world = World::new().await;
    let new = key(&mut world);
    create(&world, &new).await;
    let view = world.view(world.user.id);
    let until = world.now() + Duration::HOUR;
    let id = ApiKeyId::new(&world.clock, &mut world.rng);
    let replacement = Replacement {
        id,
        hash: [6; 32],
        hint: "abcd",
        by: Some(world.user.id),
        at: world.now(),
        grace_until: Some(until),
    };
    let mut doing = world.store().change(view).await.unwrap();
    let old = doing.api_keys().get(new.id, Some(view)).await.unwrap().unwrap();
    assert!(doing.api_keys().rotate(&old, view, &replacement).await.unwrap());
    assert!(!doing.api_keys().rotate(&old, view, &replacement).await.unwrap(), "twice");
    doing.commit(&NewAudit::by_system("api_key.rotate", world.now())).await.unwrap();
    let now = world.now();
    let made = world.store().api_keys().by_hash(&[6; 32], now).await.unwrap().unwrap().key;
    assert_eq!((&made.settings, &made.scopes, &made.name), (&new.settings, &new.scopes, &new.name));
    assert_eq!((made.rotated_from, made.project), (Some(new.id), new.project));
    let old = world.store().api_keys().by_hash(&new.hash, now).await.unwrap().unwrap().key;
    assert_eq!((old.is_active, old.grace_until), (true, Some(until)));
    let listed = |now| KeyFilter { view, active: Some((true, now)), after: None, limit: 10 };
    let count =
        async |now| world.store().seen_by(view).api_keys().list(&listed(now)).await.unwrap().items.len();
    assert_eq!((count(now).await, count(until).await), (2, 1));
}

#[tokio::test]
async fn uses_are_added_up_by_day_and_the_newest_is_the_last() {
    let mut world = World::new().await;
    let new = key(&mut world);
    create(&world, &new).await;
    let other = world.another_user("bob@example.org").await;
    let now = world.now();
    let gone = fact(ApiKeyId::new(&world.clock, &mut world.rng), now);
    let mut keys = world.store().api_keys();
    let failed = KeyFact {
        operation: Some(Operation::KeysGet),
        status: 404,
        ip_address: None,
        ..fact(new.id, now - Duration::MILLISECOND)
    };
    let refused = KeyFact { is_refused: true, status: 403, ..fact(new.id, now) };
    keys.record(&[fact(new.id, now), failed.clone(), refused, gone]).await.unwrap();
    keys.record(&[failed]).await.unwrap();
    let found = keys.by_hash(&new.hash, now).await.unwrap().unwrap();
    assert_eq!((found.key.usage_count, found.used.day), (3, 3));
    assert_eq!((found.key.last_used_at, found.key.last_used_ip), (Some(now), fact(new.id, now).ip_address));
    let view = world.view(world.user.id);
    let mut seen = world.store().seen_by(view).api_keys();
    let days = seen.days(new.id, view, now.date() - Duration::days(2)).await.unwrap();
    let (requests, errors) = days.iter().fold((0, 0), |sum, day| (sum.0 + day.requests, sum.1 + day.errors));
    let asked: std::collections::BTreeSet<_> = days.iter().flat_map(|day| day.operations.clone()).collect();
    assert_eq!((requests, errors, days.iter().map(|day| day.refused).sum::<u64>()), (3, 2, 1));
    assert_eq!(asked, [Operation::InstancesList, Operation::KeysGet].into());
    let first = seen.requests(&found.key, None, 3).await.unwrap();
    let after: Option<Cursor> = first.next;
    let second = seen.requests(&found.key, after, 3).await.unwrap();
    assert_eq!((first.items.len(), second.items.len(), second.next), (3, 1, None));
    let totals = keys.totals(&[new.id]).await.unwrap();
    assert_eq!((totals[0].requests, totals[0].errors, totals[0].mean_us), (3, 2, Some(1_000)));
    let theirs = world.view(other);
    let unseen = world.store().seen_by(theirs).api_keys().days(new.id, view, now.date()).await.unwrap();
    assert!(unseen.is_empty());
}
