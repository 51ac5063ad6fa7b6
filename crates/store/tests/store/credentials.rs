//! Credentials that are replaced, deleted, remembered of and tried out; and what keeps their values where they belong.

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use roadstead_crypto::{Binding, ExposeSecret, KeyRing, OpenError};
use roadstead_model::{Actor, CredentialId, EventType, NewAudit, Quotas, UserId, Validity, Verb};
use roadstead_store::{
    CredentialChange, CredentialEventType, Deletion, Holding, NewCredential, NewSlot, ReserveError,
    UsedCredential,
};
use sqlx::Executor;
use time::Duration;

use crate::secrets::credential;
use crate::world::World;

fn slot(name: &str, sealed: &[u8]) -> NewSlot {
    NewSlot { slot: name.to_owned(), sealed: sealed.to_vec(), hint: "…new1".to_owned() }
}

fn change(world: &World, id: CredentialId, slots: Option<Vec<NewSlot>>) -> CredentialChange {
    CredentialChange {
        id,
        owner: world.user.id,
        name: None,
        expires_at: None,
        slots,
        actor: Actor { user: Some(world.user.id), ..Actor::SYSTEM },
        at: world.now(),
    }
}

/// An instance on a port with the values of a version of a credential.
async fn reserve(
    world: &mut World,
    id: CredentialId,
    version: i32,
    port: u16,
) -> Result<roadstead_model::InstanceId, ReserveError> {
    let mut new = world.instance_on(port);
    new.credential = Some(UsedCredential { id, version });
    world.store().instances().reserve(&new, &Quotas::instances(1_000)).await.map(|()| new.id)
}

async fn stored(world: &mut World, name: &str) -> NewCredential {
    let new = credential(world, name);
    world.setup().credentials().create(&new).await.unwrap();
    new
}

#[tokio::test]
async fn a_replacement_takes_all_values_and_counts_and_a_new_name_takes_none() {
    let mut world = World::new().await;
    let first = stored(&mut world, "work").await;
    let mut credentials = world.setup().credentials();
    let told =
        credentials.validated(first.id, 1, Validity::Valid, &Actor::SYSTEM, world.now()).await.unwrap();
    assert!(told);
    let mut renamed = change(&world, first.id, None);
    (renamed.name, renamed.expires_at) = (Some("home".to_owned()), Some(Some(world.now() + Duration::DAY)));
    assert_eq!(credentials.change(&renamed).await.unwrap(), Some(1));
    let row = world.store().credentials().get(first.id, None).await.unwrap().unwrap();
    assert_eq!((row.name.as_str(), row.version, row.slots.len()), ("home", 1, 2));
    assert_eq!(row.validation, Some((Validity::Valid, world.now())));
    let replacing = change(&world, first.id, Some(vec![slot("token", b"another")]));
    assert_eq!(credentials.change(&replacing).await.unwrap(), Some(2));
    let row = world.store().credentials().get(first.id, None).await.unwrap().unwrap();
    assert_eq!((row.version, row.validation, row.slots.len()), (2, None, 1));
    assert_eq!(row.expires_at, Some(world.now() + Duration::DAY), "its end stays");
    let sealed = credentials.sealed_slots(first.id).await.unwrap();
    assert_eq!((sealed.len(), sealed[0].sealed.as_slice()), (1, b"another".as_slice()));
    let late =
        credentials.validated(first.id, 1, Validity::Valid, &Actor::SYSTEM, world.now()).await.unwrap();
    assert!(!late, "what was said of the values before says nothing of these");
    let mut strangers = change(&world, first.id, Some(vec![]));
    strangers.owner = UserId::from_uuid(world.type_id.uuid());
    assert_eq!(credentials.change(&strangers).await.unwrap(), None);
    let events = world.store().credentials().events(first.id, 10).await.unwrap();
    let types: Vec<_> = events.iter().map(|event| event.event_type).collect();
    let expected = [
        CredentialEventType::Replaced,
        CredentialEventType::Changed,
        CredentialEventType::Validated,
        CredentialEventType::Created,
    ];
    assert_eq!(types.len(), expected.len());
    // All of one moment: their order is chance.
    assert!(expected.iter().all(|each| types.contains(each)), "{types:?}");
}

#[tokio::test]
async fn a_launch_with_values_that_were_replaced_or_switched_off_reserves_nothing() {
    let mut world = World::new().await;
    let first = stored(&mut world, "work").await;
    let live = reserve(&mut world, first.id, 1, 3_001).await.unwrap();
    let replacing = change(&world, first.id, Some(vec![slot("token", b"another")]));
    assert_eq!(world.setup().credentials().change(&replacing).await.unwrap(), Some(2));
    let stale = reserve(&mut world, first.id, 1, 3_002).await;
    assert!(matches!(stale, Err(ReserveError::CredentialChanged)), "{stale:?}");
    reserve(&mut world, first.id, 2, 3_002).await.unwrap();
    assert_eq!(world.events(live).await, [EventType::Created, EventType::CredentialReplaced]);
    let credentials = world.store().credentials();
    let holders = world.store().credentials().holders(first.id).await.unwrap();
    assert_eq!(holders.iter().map(|holder| holder.version).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(credentials.held_version(live).await.unwrap(), Some(1));
    let mut switching = world.store().system_change().await.unwrap();
    assert!(switching.credentials().switch_off(first.id, Some(world.user.id)).await.unwrap());
    switching.commit(&NewAudit::by_system("credential.delete", world.now())).await.unwrap();
    let off = reserve(&mut world, first.id, 2, 3_003).await;
    assert!(matches!(off, Err(ReserveError::CredentialChanged)), "{off:?}");
}

#[tokio::test]
async fn those_with_replaced_values_are_found_while_they_run() {
    let mut world = World::new().await;
    let first = stored(&mut world, "work").await;
    let live = reserve(&mut world, first.id, 1, 3_001).await.unwrap();
    let replacing = change(&world, first.id, Some(vec![slot("token", b"another")]));
    world.setup().credentials().change(&replacing).await.unwrap();
    assert!(
        world.store().credentials().stale(world.node, 10).await.unwrap().is_empty(),
        "it does not run yet"
    );
    let instances = world.store().instances();
    assert!(instances.mark_running(live, &world.started()).await.unwrap().is_some());
    assert_eq!(world.store().credentials().stale(world.node, 10).await.unwrap(), [(live, 2)]);
    instances.mark_restarted(live, 1, Some(2), &[], &world.started()).await.unwrap().unwrap();
    assert!(world.store().credentials().stale(world.node, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_replacement_waits_for_a_launch_that_holds_the_values_and_a_launch_for_a_replacement() {
    let mut world = World::new().await;
    let first = stored(&mut world, "work").await;
    let mut owner = world.owner().await;
    // A launch that has read the version and has not written its row yet.
    owner.execute("begin").await.unwrap();
    let held = format!("select from credentials where id = '{}' and version = 1 for share", first.id.uuid());
    owner.execute(sqlx::AssertSqlSafe(held)).await.unwrap();
    let replacing = change(&world, first.id, Some(vec![slot("token", b"another")]));
    let store = world.setup().clone();
    let replaced = async { store.credentials().change(&replacing).await.unwrap() };
    tokio::pin!(replaced);
    let early = tokio::time::timeout(std::time::Duration::from_millis(300), &mut replaced).await;
    assert!(early.is_err(), "it waits");
    owner.execute("commit").await.unwrap();
    assert_eq!(replaced.await, Some(2));
    // The other way round: the launch waits, and then finds another version.
    owner.execute("begin").await.unwrap();
    let bumped = format!("update credentials set version = 3 where id = '{}'", first.id.uuid());
    owner.execute(sqlx::AssertSqlSafe(bumped)).await.unwrap();
    let launching = reserve(&mut world, first.id, 2, 3_001);
    tokio::pin!(launching);
    let early = tokio::time::timeout(std::time::Duration::from_millis(300), &mut launching).await;
    assert!(early.is_err(), "it waits");
    owner.execute("commit").await.unwrap();
    assert!(matches!(launching.await, Err(ReserveError::CredentialChanged)));
}

#[tokio::test]
async fn a_credential_is_deleted_when_nobody_holds_it() {
    let mut world = World::new().await;
    let first = stored(&mut world, "work").await;
    let live = reserve(&mut world, first.id, 1, 3_001).await.unwrap();
    let delete = async |world: &World, holding| {
        let mut credentials = world.setup().credentials();
        credentials.delete(first.id, None, holding, &Actor::SYSTEM, world.now()).await.unwrap()
    };
    assert_eq!(delete(&world, Holding::Live).await, Deletion::Held(vec![live]));
    assert!(world.store().instances().finish(live, &world.stopped()).await.unwrap());
    let mut owner = world.owner().await;
    owner.execute("update mcp_instances set status = 'disconnected'").await.unwrap();
    assert_eq!(delete(&world, Holding::LiveOrLost).await, Deletion::Held(vec![live]));
    assert_eq!(delete(&world, Holding::Live).await, Deletion::Done);
    assert!(world.store().credentials().sealed_slots(first.id).await.unwrap().is_empty());
    let late = reserve(&mut world, first.id, 1, 3_001).await;
    assert!(matches!(late, Err(ReserveError::CredentialChanged)), "{late:?}");
}

#[tokio::test]
async fn of_launches_and_a_deletion_at_once_either_is_seen_by_the_other() {
    let mut world = World::new().await;
    for round in 0..20_u16 {
        let first = stored(&mut world, &format!("work-{round}")).await;
        let mut launch = world.instance_on(3_001 + round);
        launch.credential = Some(UsedCredential { id: first.id, version: 1 });
        let at = world.now();
        let (instances, mut credentials) = (world.store().instances(), world.setup().credentials());
        let quotas = Quotas::instances(1_000);
        let (reserved, deleted) = tokio::join!(
            instances.reserve(&launch, &quotas),
            credentials.delete(first.id, None, Holding::Live, &Actor::SYSTEM, at),
        );
        match (reserved, deleted.unwrap()) {
            (Ok(()), Deletion::Held(holders)) => assert_eq!(holders, [launch.id]),
            (Err(ReserveError::CredentialChanged), Deletion::Done) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn an_end_is_told_of_once_and_another_end_again() {
    let mut world = World::new().await;
    let mut first = credential(&mut world, "work");
    first.expires_at = Some(world.now() + Duration::days(3));
    world.setup().credentials().create(&first).await.unwrap();
    let live = reserve(&mut world, first.id, 1, 3_001).await.unwrap();
    let mut credentials = world.setup().credentials();
    let now = world.now();
    assert_eq!(credentials.remind(now + Duration::days(2), now, 10).await.unwrap(), 0);
    assert_eq!(credentials.remind(now + Duration::days(7), now, 10).await.unwrap(), 1);
    assert_eq!(credentials.remind(now + Duration::days(7), now, 10).await.unwrap(), 0);
    let mut moved = change(&world, first.id, None);
    moved.expires_at = Some(Some(now + Duration::days(4)));
    credentials.change(&moved).await.unwrap();
    assert_eq!(credentials.remind(now + Duration::days(7), now, 10).await.unwrap(), 1);
    moved.expires_at = Some(Some(now - Duration::days(1)));
    credentials.change(&moved).await.unwrap();
    assert_eq!(credentials.remind(now + Duration::days(7), now, 10).await.unwrap(), 0, "it is over");
    let told = [EventType::Created, EventType::CredentialExpiring, EventType::CredentialExpiring];
    assert_eq!(world.events(live).await, told);
}

#[tokio::test]
async fn what_ended_is_started_again_with_the_values_that_there_are_now() {
    let mut world = World::new().await;
    let first = stored(&mut world, "work").await;
    let ended = reserve(&mut world, first.id, 1, 3_001).await.unwrap();
    assert!(world.store().instances().finish(ended, &world.stopped()).await.unwrap());
    let replacing = change(&world, first.id, Some(vec![slot("token", b"another")]));
    world.setup().credentials().change(&replacing).await.unwrap();
    let mut again = crate::lifecycle::reopening(&world, ended, Verb::Restore, 3_002);
    for (version, is_current) in [(1, false), (2, true)] {
        again.credential = Some(UsedCredential { id: first.id, version });
        let reopened = world.store().instances().reopen(&again, &Quotas::instances(1_000)).await;
        assert_eq!(reopened.is_ok(), is_current, "{reopened:?}");
    }
    assert_eq!(world.store().credentials().held_version(ended).await.unwrap(), Some(2));
}

/// Two owners with two slots each; their values are sealed as the service seals them.
struct Vault {
    world: World,
    ring: KeyRing,
    credentials: Vec<(CredentialId, UserId)>,
}

const SLOTS: [&str; 2] = ["account", "token"];

impl Vault {
    async fn new() -> Self {
        let mut world = World::new().await;
        let ring = KeyRing::generate(&mut StdRng::from_seed([3; 32]));
        let other = world.another_user("bob@example.org").await;
        let mut randomness = StdRng::from_seed([4; 32]);
        let mut credentials = Vec::new();
        for (name, owner) in [("one", world.user.id), ("two", world.user.id), ("three", other)] {
            let mut new = credential(&mut world, name);
            new.user = owner;
            new.slots = SLOTS
                .map(|slot| NewSlot {
                    slot: slot.to_owned(),
                    sealed: ring.seal(
                        &mut randomness,
                        &binding(&world, new.id, owner, slot),
                        value(name, slot),
                    ),
                    hint: "…".to_owned(),
                })
                .into();
            world.setup().credentials().create(&new).await.unwrap();
            credentials.push((new.id, owner));
        }
        Self { world, ring, credentials }
    }

    /// Whether each value opens, in the order of the credentials and their slots.
    async fn opens(&self) -> Vec<bool> {
        let mut opens = Vec::new();
        for (id, owner) in &self.credentials {
            for slot in self.world.store().credentials().sealed_slots(*id).await.unwrap() {
                let opened =
                    self.ring.open_text(&binding(&self.world, *id, *owner, &slot.slot), &slot.sealed);
                match opened {
                    Ok(text) => assert!(text.expose_secret().starts_with("secret-")),
                    Err(error) => assert_eq!(error, OpenError::Tampered),
                }
                opens.push(
                    self.ring.open_text(&binding(&self.world, *id, *owner, &slot.slot), &slot.sealed).is_ok(),
                );
            }
        }
        opens
    }

    async fn execute(&self, sql: String) {
        self.world.owner().await.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
    }
}

fn value(credential: &str, slot: &str) -> String {
    format!("secret-{credential}-{slot}")
}

fn binding<'a>(world: &'a World, id: CredentialId, owner: UserId, slot: &'a str) -> Binding<'a> {
    // Leaked: the bytes of ids live as long as the test.
    let bytes = |bytes: &[u8]| -> &'static [u8] { Box::leak(bytes.to_vec().into_boxed_slice()) };
    Binding {
        owner: bytes(owner.uuid_bytes()),
        type_id: bytes(world.type_id.uuid_bytes()),
        slot,
        row: bytes(id.uuid_bytes()),
    }
}

/// Two cells of the table, by credential and slot.
fn cells() -> impl Strategy<Value = [(usize, usize); 2]> {
    let cell = || (0..3_usize, 0..2_usize);
    (cell(), cell())
        .prop_filter("two different cells", |(one, two)| one != two)
        .prop_map(|(one, two)| [one, two])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn values_that_change_places_in_the_database_open_nowhere(swapped in cells()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let vault = Vault::new().await;
            assert_eq!(vault.opens().await, [true; 6]);
            let [one, two] = swapped.map(|(row, slot)| (vault.credentials[row].0.uuid(), SLOTS[slot]));
            vault.execute(format!(
                "update credential_secrets s set sealed = o.sealed from credential_secrets o
                 where (s.credential_id, s.slot, o.credential_id, o.slot) in (
                   ('{0}', '{1}', '{2}', '{3}'), ('{2}', '{3}', '{0}', '{1}'))",
                one.0, one.1, two.0, two.1,
            )).await;
            let places = swapped.map(|(row, slot)| 2 * row + slot);
            let expected: Vec<bool> = (0..6).map(|place| !places.contains(&place)).collect();
            assert_eq!(vault.opens().await, expected);
        });
    }
}

#[tokio::test]
async fn a_credential_that_is_given_to_another_owner_in_the_database_opens_for_nobody() {
    let mut vault = Vault::new().await;
    let (stolen, thief) = (vault.credentials[0].0, vault.credentials[2].1);
    vault
        .execute(format!(
            "update credentials set user_id = '{}' where id = '{}'",
            thief.uuid(),
            stolen.uuid()
        ))
        .await;
    vault.credentials[0].1 = thief;
    assert_eq!(vault.opens().await, [false, false, true, true, true, true]);
    // Slots renamed, too: what was sealed as one does not open as the other.
    let own = vault.credentials[1].0.uuid();
    let rename = |from: &str, to: &str| {
        format!(
            "update credential_secrets set slot = '{to}' where credential_id = '{own}' and slot = '{from}'"
        )
    };
    vault.execute(rename("account", "held")).await;
    vault.execute(rename("token", "account")).await;
    vault.execute(rename("held", "token")).await;
    assert_eq!(vault.opens().await, [false, false, false, false, true, true]);
}
