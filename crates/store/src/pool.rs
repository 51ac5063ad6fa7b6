//! The store itself: a pool of connections of the application role, and one for callers.

use std::thread::available_parallelism;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Connection, PgConnection};
use time::OffsetDateTime;

use roadstead_model::View;

use crate::StoreError;
use crate::change::{Change, Changes};
use crate::db::{self, AmongReaders, Seen, System, Within};
use crate::error::During;
use crate::readers::{Readers, Room};

/// How long a request waits for a connection before it is told that the database is busy.
pub(crate) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection that rested longer is asked whether it lives before it is used; a round trip is saved on all others. Shorter
/// than a database takes to restart: afterwards, no request is refused because of a connection from before.
pub(crate) const TRUSTED_IDLE: Duration = Duration::from_millis(100);
/// Callers who are let into the database beyond one for each processor, so that none idles while answers are written.
const SPARE_CALLERS: u32 = 1;
/// Months that are prepared from the present one on: two ahead, so that a service left alone for a month goes on.
const MONTHS_AHEAD: i32 = 3;
/// A line written just before the month turned may arrive just after.
const LATE_ARRIVAL: time::Duration = time::Duration::days(7);

/// Statements that a connection keeps prepared: more than there are, or each is prepared anew.
const PREPARED_STATEMENTS: usize = 512;

/// Access to every table. Cheap to clone: clones share the connections.
#[derive(Debug, Clone)]
pub struct Store {
    /// The service's own.
    pub(crate) pool: PgPool,
    /// For callers who change something, behind row security.
    pub(crate) callers: PgPool,
    /// For callers who look.
    pub(crate) readers: Readers,
    changes: Changes,
}

impl Store {
    /// Opens pools of at most `max_connections` together, and one for readers beside them; fails at once when the database
    /// does not answer, or does not let the service take the callers' role.
    #[tracing::instrument(name = "db.connect", skip_all, err(level = "debug"))]
    pub async fn connect(options: PgConnectOptions, max_connections: u32) -> Result<Self, StoreError> {
        // Numbers come in binary, so nothing is rounded; and a pooler refuses a session that asks for how they are written.
        let options = options.statement_cache_capacity(PREPARED_STATEMENTS).extra_float_digits(None);
        // Callers wait for nothing but the database; drivers hold connections through the steps of a launch. More callers at once
        // than processors make nobody faster, and a launch slower: its processes wait behind all of theirs.
        let processors =
            available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(u32::MAX));
        let for_callers = (max_connections * 2 / 5).min(processors.saturating_add(SPARE_CALLERS)).max(1);
        let own = max_connections.saturating_sub(for_callers).max(1);
        let pool = pool_of(own).connect_with(options.clone()).await.during("db.connect")?;
        let callers = pool_of(for_callers).connect_lazy_with(options);
        let readers = Readers::new(callers.clone(), for_callers);
        let store = Self { pool, callers, readers, changes: Changes::default() };
        if !store.may_take_callers_role().await? {
            return Err(StoreError::NoCallerRole);
        }
        Ok(store)
    }

    async fn may_take_callers_role(&self) -> Result<bool, StoreError> {
        // A database that is not migrated yet has no such role, and says so itself when somebody calls.
        sqlx::query_scalar!(
            r#"select coalesce((select pg_has_role(oid, 'member') from pg_roles where rolname = $1), true) as "may!""#,
            crate::CALLER_ROLE,
        )
        .fetch_one(&self.pool)
        .await
        .during("db.connect")
    }

    /// Closes every connection after the statements that are under way.
    pub async fn close(&self) {
        self.readers.close();
        self.callers.close().await;
        self.pool.close().await;
    }

    /// API keys, looked up for somebody who only reads: they wait for a connection among the other readers, and take none from
    /// the steps of a launch.
    pub const fn api_keys_of_readers(&self) -> crate::api_key::ApiKeys<AmongReaders<'_>> {
        crate::api_key::ApiKeys { db: AmongReaders { readers: &self.readers } }
    }

    /// Looks through a caller's eyes: every noun's statements are held to their rows by the database, too.
    pub const fn seen_by(&self, view: View) -> SeenBy<'_> {
        SeenBy { store: self, view }
    }

    /// Makes room for work that readers would hold up: until it is dropped, fewer of them are let into the database.
    pub fn make_room(&self) -> Room {
        self.readers.make_room()
    }

    /// A number that is another one after each change. What was read while it was the same still holds, as far as this
    /// service has to say.
    pub fn changes(&self) -> u64 {
        self.changes.count()
    }

    /// Begins a change for a caller, who can touch their rows only.
    #[tracing::instrument(name = "db.change", skip_all, err(level = "debug"))]
    pub async fn change(&self, view: View) -> Result<Change<'_>, StoreError> {
        let begin = db::beginning(view, db::Access::Change);
        let transaction = self.callers.begin_with(begin).await.during("db.change")?;
        Ok(Change::new(transaction, &self.changes))
    }

    /// Begins a change of the service itself.
    #[tracing::instrument(name = "db.system_change", skip_all, err(level = "debug"))]
    pub async fn system_change(&self) -> Result<Change<'_>, StoreError> {
        let transaction = self.pool.begin().await.during("db.system_change")?;
        Ok(Change::new(transaction, &self.changes))
    }

    /// Whether the database answers.
    #[tracing::instrument(name = "db.ping", skip_all, err(level = "debug"))]
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query_scalar!(r#"select 1 as "one!""#).fetch_one(&self.pool).await.during("db.ping").map(drop)
    }

    /// How far the database's clock is ahead of the machine's, which `machine_now` reads.
    #[tracing::instrument(name = "db.clock_offset", skip_all, err(level = "debug"))]
    pub async fn clock_offset(
        &self,
        machine_now: impl Fn() -> OffsetDateTime + Send,
    ) -> Result<time::Duration, StoreError> {
        let mut connection = self.pool.acquire().await.during("db.clock_offset")?;
        let before = machine_now();
        let database = sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#)
            .fetch_one(&mut *connection)
            .await
            .during("db.clock_offset")?;
        // The database read its clock somewhere within the round trip: its middle is wrong by half of it at most.
        let middle = before + (machine_now() - before) / 2;
        Ok(database - middle)
    }

    /// Prepares the monthly partitions around `now`; says how many were new. Nothing to do costs one round trip.
    #[tracing::instrument(name = "db.ensure_partitions", skip_all, err(level = "debug"))]
    pub async fn ensure_partitions(&self, now: OffsetDateTime) -> Result<u32, StoreError> {
        let first = now - LATE_ARRIVAL;
        let months = if first.month() == now.month() { MONTHS_AHEAD } else { MONTHS_AHEAD + 1 };
        let made = sqlx::query_scalar!(r#"select ensure_month_partitions($1, $2) as "made!""#, first, months)
            .fetch_one(&self.pool)
            .await
            .during("db.ensure_partitions")?;
        Ok(u32::try_from(made).unwrap_or(0))
    }
}

fn pool_of(max_connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .before_acquire(|connection: &mut PgConnection, meta| {
            Box::pin(async move { Ok(meta.idle_for < TRUSTED_IDLE || connection.ping().await.is_ok()) })
        })
}

/// The tables through a caller's eyes.
#[derive(Debug, Clone, Copy)]
pub struct SeenBy<'a> {
    store: &'a Store,
    view: View,
}

macro_rules! nouns {
    ($($(#[$doc:meta])* $method:ident: $handle:ident in $module:ident),+ $(,)?) => {
        impl Store {$(
            $(#[$doc])*
            pub const fn $method(&self) -> crate::$module::$handle<System<'_>> {
                crate::$module::$handle { db: System { pool: &self.pool } }
            }
        )+}

        impl<'a> SeenBy<'a> {$(
            $(#[$doc])*
            pub const fn $method(&self) -> crate::$module::$handle<Seen<'a>> {
                crate::$module::$handle { db: Seen { readers: &self.store.readers, view: self.view } }
            }
        )+}

        impl Change<'_> {$(
            $(#[$doc])*
            pub fn $method(&mut self) -> crate::$module::$handle<Within<'_>> {
                crate::$module::$handle { db: Within { connection: self.connection() } }
            }
        )+}
    };
}

nouns! {
    /// Who changed what.
    audit: Audit in audit,
    /// API keys.
    api_keys: ApiKeys in api_key,
    /// Credentials and their sealed slots.
    credentials: Credentials in credential,
    /// The steps of instances' lives.
    events: Events in event,
    /// What was made ready to be downloaded.
    exports: Exports in export,
    /// The numbered feed of everything that happened.
    feed: Feed in feed,
    /// Answers to requests that may be repeated.
    idempotency: Idempotency in idempotency,
    /// Instances.
    instances: Instances in instance,
    /// Rotations of the master key.
    key_rotations: KeyRotations in key_rotation,
    /// Log lines.
    logs: Logs in log,
    /// Members of organisations.
    members: Members in member,
    /// Machines.
    nodes: Nodes in node,
    /// Organisations.
    organizations: Organizations in organization,
    /// The port pool.
    ports: Ports in port,
    /// Who needs an installed package.
    packages: Packages in package,
    /// Projects.
    projects: Projects in project,
    /// Who reaps on each machine.
    reaper_leases: ReaperLeases in reaper_lease,
    /// What is kept for how long.
    retention: Retention in retention,
    /// The probe of the master key.
    ring_check: RingChecks in ring_check,
    /// Settings.
    settings: Settings in setting,
    /// What happened to the service itself.
    system_events: SystemEvents in system_event,
    /// Server types.
    types: Types in types,
    /// What was decided about server types, and what their servers offer.
    type_reviews: TypeReviews in type_review,
    /// What calls cost.
    usage: Usage in usage,
    /// Users.
    users: Users in user,
}
