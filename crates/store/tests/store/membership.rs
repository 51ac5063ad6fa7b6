//! Members, organisations, projects; accounts that end.

use roadstead_model::{
    MemberId, MemberStatus, NewAudit, OrganizationId, ProjectId, ProjectStatus, Quotas, Reach, Role, UserId,
    UserStatus, View,
};
use roadstead_store::{
    NewInvitation, NewOrganization, NewType, PageRequest, PeopleFilter, ProjectRow, StoreError,
};
use time::Duration;

use crate::world::{World, definition};

const PAGE: PageRequest = PageRequest { after: None, limit: 50 };

/// An organisation of the world's user.
async fn organization(world: &mut World) -> NewOrganization {
    let new = NewOrganization {
        id: OrganizationId::new(&world.clock, &mut world.rng),
        name: "Engines".to_owned(),
        slug: "engines".to_owned(),
        project: ProjectId::new(&world.clock, &mut world.rng),
        owner: world.user.id,
        at: world.now(),
    };
    world.setup().organizations().create(&new).await.unwrap();
    new
}

async fn invite(world: &mut World, organization: OrganizationId, user: UserId, mark: u8) -> bool {
    let new = NewInvitation {
        id: MemberId::new(&world.clock, &mut world.rng),
        organization,
        user,
        role: Role::Member,
        invited_by: world.user.id,
        hash: [mark; 32],
        expires_at: world.now() + Duration::days(7),
        at: world.now(),
    };
    world.setup().members().invite(&new).await.unwrap()
}

#[tokio::test]
async fn an_invitation_is_answered_once_in_time_by_the_one_it_is_for() {
    let mut world = World::new().await;
    let place = organization(&mut world).await.id;
    let (bob, eve) =
        (world.another_user("bob@example.org").await, world.another_user("eve@example.org").await);
    assert!(invite(&mut world, place, bob, 1).await);
    assert!(invite(&mut world, place, bob, 2).await, "the second replaces the first");
    let mut members = world.setup().members();
    let now = world.now();
    assert_eq!(members.accept(&[1; 32], bob, now).await.unwrap(), None, "replaced");
    assert_eq!(members.accept(&[2; 32], eve, now).await.unwrap(), None, "for somebody else");
    assert_eq!(members.accept(&[2; 32], bob, now + Duration::days(8)).await.unwrap(), None, "too late");
    assert_eq!(members.accept(&[2; 32], bob, now).await.unwrap(), Some(place));
    assert_eq!(members.accept(&[2; 32], bob, now).await.unwrap(), None, "used");
    let row = members.get(place, bob).await.unwrap().unwrap();
    assert_eq!((row.role, row.status), (Role::Member, MemberStatus::Active));
    assert!(!invite(&mut world, place, bob, 3).await, "a member is not invited");
    assert_eq!(world.store().members().list(place, PAGE).await.unwrap().items.len(), 2);
}

#[tokio::test]
async fn the_last_owner_stays_even_for_a_caller_who_sees_nothing_else() {
    let mut world = World::new().await;
    let place = organization(&mut world).await.id;
    let view = View { user: world.user.id, organization: place, reach: Reach::Own };
    let mut change = world.store().change(view).await.unwrap();
    let row = change.members().get(place, world.user.id).await.unwrap().unwrap();
    change.members().remove(&row, world.now()).await.unwrap();
    let error = change.commit(&NewAudit::by_system("member.remove", world.now())).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Refused { constraint } if constraint == "organizations_keep_owner"),
        "{error:?}"
    );
    assert!(world.store().members().get(place, world.user.id).await.unwrap().is_some());
    // With another owner, whom they do not see, they may.
    let bob = world.another_user("bob@example.org").await;
    invite(&mut world, place, bob, 1).await;
    world.setup().members().accept(&[1; 32], bob, world.now()).await.unwrap();
    let mut owner = world.store().members().get(place, bob).await.unwrap().unwrap();
    owner.role = Role::Owner;
    world.setup().members().save(&owner).await.unwrap();
    let mut change = world.store().change(view).await.unwrap();
    change.members().remove(&row, world.now()).await.unwrap();
    change.commit(&NewAudit::by_system("member.remove", world.now())).await.unwrap();
    assert!(world.store().members().get(place, world.user.id).await.unwrap().is_none());
}

#[tokio::test]
async fn organizations_and_projects_are_seen_by_who_takes_part() {
    let mut world = World::new().await;
    let place = organization(&mut world).await;
    let bob = world.another_user("bob@example.org").await;
    let outside =
        View { user: bob, organization: world.user.default_organization, reach: Reach::Organization };
    let inside = View { user: world.user.id, organization: place.id, reach: Reach::Organization };
    let seen = |view: View| world.store().seen_by(view);
    assert!(seen(outside).organizations().get(place.id, None).await.unwrap().is_none(), "row security");
    assert!(seen(inside).organizations().get(place.id, Some(world.user.id)).await.unwrap().is_some());
    assert_eq!(seen(inside).organizations().list(Some(world.user.id), PAGE).await.unwrap().items.len(), 2);
    assert!(seen(outside).projects().get(place.project, None).await.unwrap().is_none());
    assert_eq!(seen(inside).projects().list(Some(place.id), PAGE).await.unwrap().items.len(), 1);
    assert!(seen(outside).members().list(place.id, PAGE).await.unwrap().items.is_empty());
    let mut change = world.store().change(inside).await.unwrap();
    let mut project: ProjectRow = change.projects().lock(place.project, inside).await.unwrap().unwrap();
    project.status = ProjectStatus::Paused;
    assert_eq!(change.projects().save(&project).await.unwrap(), 2);
    change.commit(&NewAudit::by_system("project.patch", world.now())).await.unwrap();
    let read = world.store().projects().get(place.project, None).await.unwrap().unwrap();
    assert_eq!((read.status, read.version), (ProjectStatus::Paused, 2));
}

#[tokio::test]
async fn a_type_of_a_project_is_there_for_its_organisation_alone() {
    let mut world = World::new().await;
    let place = organization(&mut world).await;
    let new = NewType {
        id: roadstead_model::TypeId::new(&world.clock, &mut world.rng),
        name: "private".to_owned(),
        definition: definition(),
        project: Some(place.project),
        registered_by: None,
        status: roadstead_model::TypeStatus::Approved,
        is_bundled: false,
        at: world.now(),
    };
    world.setup().types().create(&new).await.unwrap();
    let bob = world.another_user("bob@example.org").await;
    let outside =
        View { user: bob, organization: world.user.default_organization, reach: Reach::Organization };
    let inside = View { user: world.user.id, organization: place.id, reach: Reach::Organization };
    let names = async |view: View, within| {
        let types = world
            .store()
            .seen_by(view)
            .types()
            .list(Some(roadstead_model::TypeStatus::Approved), within, None, 10)
            .await
            .unwrap();
        types.items.into_iter().map(|row| row.name).collect::<Vec<_>>()
    };
    assert_eq!(names(outside, None).await, ["echo"], "row security");
    assert_eq!(names(inside, Some(place.id)).await, ["echo", "private"]);
    assert!(world.store().seen_by(outside).types().by_name("private", None).await.unwrap().is_empty());
}

#[tokio::test]
async fn people_are_found_by_how_their_names_begin_and_paged() {
    let mut world = World::new().await;
    for number in 0..4 {
        world.another_user(&format!("user{number}@example.org")).await;
    }
    let mut users = world.store().users();
    let mut find = async |text: &str| {
        let filter = PeopleFilter { search: Some(text.to_owned()), ..PeopleFilter::default() };
        users.people(&filter, PAGE).await.unwrap().items.len()
    };
    assert_eq!(find("ali").await, 1);
    assert_eq!(find("ANOTHER").await, 4);
    assert_eq!(find("user2@example.org").await, 1);
    assert_eq!(find("nobody").await, 0);
    for odd in ["' | !", "a:* & (", "\\", "'''"] {
        find(odd).await;
    }
    let all = PeopleFilter::default();
    let first = users.people(&all, PageRequest { after: None, limit: 3 }).await.unwrap();
    let second = users.people(&all, PageRequest { after: first.next, limit: 3 }).await.unwrap();
    let mut ids: Vec<_> = first.items.iter().chain(&second.items).map(|user| user.id).collect();
    ids.dedup();
    assert_eq!((first.items.len(), ids.len()), (3, 5));
    assert!(second.next.is_none());
}

#[tokio::test]
async fn a_suspended_user_is_no_active_one_and_no_other_admin() {
    let mut world = World::new().await;
    let bob = world.another_user("bob@example.org").await;
    let mut users = world.setup().users();
    for id in [world.user.id, bob] {
        let mut row = users.person(id).await.unwrap().unwrap();
        row.is_admin = true;
        users.save(&row).await.unwrap();
    }
    assert!(users.another_admin(world.user.id).await.unwrap());
    let mut row = users.person(bob).await.unwrap().unwrap();
    row.status = UserStatus::Suspended;
    users.save(&row).await.unwrap();
    assert!(!users.another_admin(world.user.id).await.unwrap());
    assert!(!users.get(bob).await.unwrap().unwrap().is_active);
}

#[tokio::test]
async fn a_deleted_account_is_erased_with_all_that_is_its_own_once_its_time_has_come() {
    let mut world = World::new().await;
    let place = organization(&mut world).await.id;
    let bob = world.another_user("bob@example.org").await;
    let instance = world.ended(3_001).await;
    let (id, home) = (world.user.id, world.user.default_organization);
    world.delete_user(id, Duration::days(30)).await;
    let late = world.now() + Duration::days(31);
    let mut users = world.store().users();
    assert!(users.to_erase(world.now(), 10).await.unwrap().is_empty());
    assert_eq!(users.to_erase(late, 10).await.unwrap(), [id]);
    let mut change = world.store().system_change().await.unwrap();
    assert!(!change.users().erase(id, world.now()).await.unwrap(), "too early");
    assert!(!change.users().erase(bob, late).await.unwrap(), "not deleted");
    assert!(change.users().erase(id, late).await.unwrap());
    change.commit(&NewAudit::by_system("account.erase", late)).await.unwrap();
    assert!(users.person(id).await.unwrap().is_none());
    assert!(world.store().instances().get(instance, None).await.unwrap().is_none());
    for organization in [home, place] {
        assert!(world.store().organizations().get(organization, None).await.unwrap().is_none());
    }
    assert!(users.person(bob).await.unwrap().is_some());
}

#[tokio::test]
async fn an_organisation_that_others_have_left_something_in_stays_without_a_name() {
    let mut world = World::new().await;
    let place = organization(&mut world).await;
    let bob = world.another_user("bob@example.org").await;
    let new = world.instance_on(3_001);
    let theirs =
        roadstead_store::NewInstance { user: bob, organization: place.id, project: place.project, ..new };
    world.store().instances().reserve(&theirs, &Quotas::instances(10)).await.unwrap();
    world.delete_user(world.user.id, Duration::ZERO).await;
    let mut change = world.store().system_change().await.unwrap();
    assert!(change.users().erase(world.user.id, world.now()).await.unwrap());
    change.commit(&NewAudit::by_system("account.erase", world.now())).await.unwrap();
    let mut owner = world.owner().await;
    let name: String = sqlx::query_scalar("select name from organizations where id = $1")
        .bind(place.id.uuid())
        .fetch_one(&mut owner)
        .await
        .unwrap();
    assert_eq!(name, "erased");
    assert_eq!(world.store().members().depending_on(bob).await.unwrap(), Vec::<String>::new());
}
