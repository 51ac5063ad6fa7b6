//! The connections of those who only read: taken in turn, given back without a word to the database, and fewer while
//! somebody has work that must not wait behind readers.
//!
//! The pool of the driver asks each connection that comes back whether it lives, which is a round trip for every statement.
//! Here a connection is asked when it has rested, before it is used again.

mod turns;

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{
    Manager, Metrics, Object, Pool, PoolError, QueueMode, RecycleError, RecycleResult, Timeouts,
};
use sqlx::{AssertSqlSafe, Connection as _, Executor, PgConnection, PgPool};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::pool::{ACQUIRE_TIMEOUT, TRUSTED_IDLE};
pub use turns::Room;
use turns::{Permit, Turns};

/// A connection that has lived for so long makes room for a new one, so that neither side gathers memory for ever.
const LONGEST_LIFE: Duration = Duration::from_mins(30);

/// As many connections as may read at once.
#[derive(Debug, Clone)]
pub(crate) struct Readers {
    connections: Pool<Source>,
    turns: Turns,
}

/// Where their connections come from.
#[derive(Debug)]
struct Source(PgPool);

impl Manager for Source {
    type Type = PgConnection;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<PgConnection, sqlx::Error> {
        // The driver's pool knows how to wait for a database that starts. Boxed: it is seldom, and would be part of every read.
        Ok(Box::pin(self.0.acquire()).await?.detach())
    }

    async fn recycle(&self, connection: &mut PgConnection, metrics: &Metrics) -> RecycleResult<sqlx::Error> {
        if metrics.age() > LONGEST_LIFE {
            return Err(RecycleError::message("it has lived for long"));
        }
        if metrics.last_used() > TRUSTED_IDLE {
            connection.ping().await?;
        }
        Ok(())
    }
}

impl Readers {
    /// At most `size` connections, made when they are needed out of a pool of the driver.
    pub(crate) fn new(source: PgPool, size: u32) -> Self {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let patience = Some(ACQUIRE_TIMEOUT);
        let pool = Pool::builder(Source(source))
            .max_size(size)
            .timeouts(Timeouts { wait: patience, create: patience, recycle: patience })
            // The one that was used last is the least likely to have rested.
            .queue_mode(QueueMode::Lifo)
            .runtime(Runtime::Tokio1)
            .build();
        let connections = pool.expect("its runtime is named, which is all that can be missing");
        Self { connections, turns: Turns::new(size) }
    }

    /// Until what it answers is dropped, fewer read at once; at first nobody begins to.
    pub(crate) fn make_room(&self) -> Room {
        self.turns.make_room()
    }

    /// A connection for a statement that needs no transaction.
    pub(crate) async fn turn(&self) -> Result<Turn, sqlx::Error> {
        let permit = timeout(ACQUIRE_TIMEOUT, self.turns.wait()).await;
        let permit = permit.map_err(|_| sqlx::Error::PoolTimedOut)?;
        let connection = self.connections.get().await.map_err(as_the_driver_says)?;
        Ok(Turn { held: Some((connection, permit)), is_begun: false })
    }

    /// A connection on which a transaction was begun by `begin`.
    pub(crate) async fn begin_with(&self, begin: AssertSqlSafe<String>) -> Result<Turn, sqlx::Error> {
        let mut turn = self.turn().await?;
        turn.is_begun = true;
        turn.execute(begin).await?;
        Ok(turn)
    }

    /// Ends the connections that rest; those that are used end when they are given back.
    pub(crate) fn close(&self) {
        self.connections.close();
    }
}

fn as_the_driver_says(error: PoolError<sqlx::Error>) -> sqlx::Error {
    match error {
        PoolError::Backend(error) => error,
        PoolError::Timeout(_) => sqlx::Error::PoolTimedOut,
        PoolError::Closed | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
            sqlx::Error::PoolClosed
        }
    }
}

/// A reader's turn with a connection. Whoever goes without [`Turn::done`] keeps it until the database has ended what was
/// begun: to leave early makes no room for another statement.
#[derive(Debug)]
pub struct Turn {
    /// None once it was given back.
    held: Option<(Object<Source>, Permit)>,
    is_begun: bool,
}

impl Turn {
    /// Ends the transaction, if one was begun, and gives the connection back.
    pub(crate) async fn done(mut self) -> Result<(), sqlx::Error> {
        if self.is_begun {
            self.execute("commit").await?;
        }
        self.held = None;
        Ok(())
    }
}

impl Deref for Turn {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.held.as_ref().expect("it is given back at the end").0
    }
}

impl DerefMut for Turn {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.held.as_mut().expect("it is given back at the end").0
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some((connection, permit)) = self.held.take() else { return };
        let Ok(runtime) = Handle::try_current() else { return drop(Object::take(connection)) };
        runtime.spawn(clear(connection, permit, self.is_begun));
    }
}

/// Ends what was left undone on a connection, or the connection.
async fn clear(mut connection: Object<Source>, permit: Permit, is_begun: bool) {
    let clearing = async {
        if is_begun { connection.execute("rollback").await.map(drop) } else { connection.ping().await }
    };
    if !matches!(timeout(ACQUIRE_TIMEOUT, clearing).await, Ok(Ok(()))) {
        drop(Object::take(connection));
    }
    drop(permit);
}
