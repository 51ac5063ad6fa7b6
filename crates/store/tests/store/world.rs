//! A database with a person, a server type and a machine in it.

use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::SmallRng;
use roadstead_model::{
    Actor, BootId, Clock, Confinement, Era, EventType, InstanceId, InstanceStatus, MockClock, NodeId,
    OrganizationId, Port, ProjectId, Quotas, Reach, TypeId, UserId, UserStatus, View,
};
use roadstead_store::{
    Ending, NewInstance, NewToken, NewType, NewUser, NodeRow, ProcessMark, ReserveError, Started, Store,
    Takes, TypeChange, UserRow,
};
use roadstead_test_support::TestDatabase;
use serde_json::json;
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnection;
use time::OffsetDateTime;

/// Connections of what a test prepares.
const SETUP_CONNECTIONS: u32 = 5;

pub struct World {
    pub database: TestDatabase,
    setup: Store,
    pub clock: MockClock,
    pub rng: SmallRng,
    pub user: UserRow,
    pub type_id: TypeId,
    pub node: NodeId,
    pub boot: BootId,
}

impl World {
    /// Through the eyes of a user of the world's organisation, on what is their own.
    pub fn view(&self, user: UserId) -> View {
        View { user, organization: self.user.default_organization, reach: Reach::Own }
    }

    pub async fn new() -> Self {
        let database = TestDatabase::new().await;
        // Rows lie in this month's partitions.
        let clock = MockClock::at(database_time(&database).await);
        let mut rng = SmallRng::from_seed([1; 32]);
        let user = NewUser {
            id: UserId::new(&clock, &mut rng),
            email: "Alice@example.org".to_owned(),
            name: "Alice".to_owned(),
            is_admin: false,
            status: UserStatus::Active,
            organization: OrganizationId::new(&clock, &mut rng),
            project: ProjectId::new(&clock, &mut rng),
            at: clock.now(),
        };
        let setup = Store::connect(database.owner.clone(), SETUP_CONNECTIONS).await.unwrap();
        setup.users().create(&user).await.unwrap();
        let user = database.store.users().get(user.id).await.unwrap().unwrap();
        let type_id = TypeId::new(&clock, &mut rng);
        let new = NewType {
            id: type_id,
            name: "echo".to_owned(),
            definition: definition(),
            project: None,
            registered_by: None,
            status: roadstead_model::TypeStatus::Approved,
            is_bundled: false,
            at: clock.now(),
        };
        setup.types().create(&new).await.unwrap();
        let (node, boot) = (NodeId::new(&clock, &mut rng), BootId::new(&clock, &mut rng));
        let row = NodeRow { id: node, hostname: "here".to_owned(), boot_id: boot, last_seen_at: clock.now() };
        database.store.nodes().upsert(&row).await.unwrap();
        Self { database, setup, clock, rng, user, type_id, node, boot }
    }

    pub fn store(&self) -> &Store {
        &self.database.store
    }

    /// The store as the tables' owner, whom the database asks for no audit entry: for what is no change of the product's.
    pub fn setup(&self) -> &Store {
        &self.setup
    }

    pub fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    pub async fn another_user(&mut self, email: &str) -> UserId {
        let id = UserId::new(&self.clock, &mut self.rng);
        let user = NewUser {
            id,
            email: email.to_owned(),
            name: "Another".to_owned(),
            is_admin: false,
            status: UserStatus::Active,
            organization: OrganizationId::new(&self.clock, &mut self.rng),
            project: ProjectId::new(&self.clock, &mut self.rng),
            at: self.now(),
        };
        self.setup().users().create(&user).await.unwrap();
        id
    }

    /// Deletes a user, to be erased so long from now.
    pub async fn delete_user(&self, id: UserId, erased_in: time::Duration) {
        let mut users = self.setup().users();
        let mut row = users.person(id).await.unwrap().unwrap();
        (row.deleted_at, row.erase_after) = (Some(self.now()), Some(self.now() + erased_in));
        users.save(&row).await.unwrap();
    }

    /// An instance on a port, with an hour to live, a moment after the last one.
    pub fn instance_on(&mut self, number: u16) -> NewInstance {
        self.clock.advance(Duration::from_millis(1));
        let id = InstanceId::new(&self.clock, &mut self.rng);
        NewInstance {
            id,
            user: self.user.id,
            organization: self.user.default_organization,
            project: self.user.default_project,
            type_id: self.type_id,
            type_version: 1,
            packages: Vec::new(),
            credential: None,
            node: self.node,
            boot: self.boot,
            name: format!("echo-{number}"),
            config: json!({}),
            token_hash: token_hash(id),
            token_hint: "abcd".to_owned(),
            port: port(number),
            secrets: Vec::new(),
            idle_limit_s: None,
            lifetime: Duration::from_hours(1),
            expires_at: self.now() + time::Duration::HOUR,
            keep: false,
            autostart: false,
            at: self.now(),
            takes: Takes { memory_mb: 512, cpu_percent: 50 },
            actor: Actor { user: Some(self.user.id), ..Actor::SYSTEM },
            event_data: json!({"port": number}),
            entry: None,
        }
    }

    pub async fn reserve(&mut self, number: u16) -> Result<InstanceId, ReserveError> {
        let new = self.instance_on(number);
        self.store().instances().reserve(&new, &Quotas::instances(1_000)).await.map(|()| new.id)
    }

    pub async fn running(&mut self, number: u16) -> InstanceId {
        let id = self.reserve(number).await.unwrap();
        assert!(self.store().instances().mark_running(id, &self.started()).await.unwrap().is_some());
        id
    }

    pub async fn ended(&mut self, number: u16) -> InstanceId {
        let id = self.running(number).await;
        assert!(self.store().instances().finish(id, &self.stopped()).await.unwrap());
        id
    }

    pub fn started(&self) -> Started {
        Started {
            at: self.now(),
            process: ProcessMark { pid: 4_242, started: 99 },
            shim: ProcessMark { pid: 4_241, started: 98 },
            confinement: Some(Confinement::default()),
            control_key: Some(7),
            actor: Actor::SYSTEM,
            event_data: json!({}),
        }
    }

    pub fn stopped(&self) -> Ending {
        Ending {
            status: InstanceStatus::Stopped,
            at: self.now(),
            error_message: None,
            exit: Some(json!({"code": 0})),
            event_type: EventType::Stopped,
            event_data: json!({"reason": "asked"}),
            actor: Actor::SYSTEM,
            quarantine_until: Some(self.now() + time::Duration::MINUTE),
        }
    }

    /// The kinds of an instance's events, oldest first.
    pub async fn events(&self, id: InstanceId) -> Vec<EventType> {
        let page =
            self.store().events().list(id, None, None, 100, roadstead_store::Order::Ascending).await.unwrap();
        page.items.into_iter().map(|event| event.event_type).collect()
    }

    /// A connection of the owner, for what no code of the product does.
    pub async fn owner(&self) -> PgConnection {
        self.database.owner.connect().await.unwrap()
    }
}

pub fn definition() -> TypeChange {
    TypeChange {
        display_name: "Echo".to_owned(),
        description: "Says it again.".to_owned(),
        icon_url: None,
        program: Some("/usr/bin/echo-server".to_owned()),
        spec: json!({"program": "/usr/bin/echo-server"}),
        config_template: json!({"loud": false}),
        required_scopes: vec!["read".to_owned()],
        resource_limits: json!({"cpu": 0.5, "memory": "512m"}),
        max_duration_minutes: 60,
        era: Era::Auto,
    }
}

pub fn port(number: u16) -> Port {
    Port::new(number).unwrap()
}

/// A token that replaces another.
pub fn token<'a>(hash: &'a [u8; 32], hint: &'a str) -> NewToken<'a> {
    NewToken { hash, hint, event_type: EventType::TokenRotated }
}

pub fn token_hash(id: InstanceId) -> [u8; 32] {
    let mut hash = [7; 32];
    hash[..16].copy_from_slice(id.uuid().as_bytes());
    hash
}

async fn database_time(database: &TestDatabase) -> OffsetDateTime {
    let mut owner = database.owner.connect().await.unwrap();
    sqlx::query_scalar("select clock_timestamp()").fetch_one(&mut owner).await.unwrap()
}
