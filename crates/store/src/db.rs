//! Where a noun's statements run: as the service, for a caller behind row security, or within a change.
//!
//! The service's own connections and those for callers are two pools. A connection that runs one prepared statement under
//! two roles in turn plans it anew each time, which costs several times what the statement does.

use std::future::Future;
use std::ops::{Deref, DerefMut};

use roadstead_model::View;
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres};

use crate::readers::{Readers, Turn};

/// What the statements of one request may take of the database at most; beyond it something is wrong with a statement.
const CALLER_STATEMENT_LIMIT: &str = "10s";

/// Somewhere that statements run.
pub trait Db: Send + private::Sealed {
    /// A connection, with the rights that this place gives.
    fn connection(&mut self) -> impl Future<Output = Result<Connection<'_>, sqlx::Error>> + Send;
}

mod private {
    pub trait Sealed {}
    impl Sealed for super::System<'_> {}
    impl Sealed for super::Seen<'_> {}
    impl Sealed for super::AmongReaders<'_> {}
    impl Sealed for super::Within<'_> {}
}

/// The service itself: sees every row.
#[derive(Debug, Clone, Copy)]
pub struct System<'a> {
    pub(crate) pool: &'a PgPool,
}

/// A reader for a caller: rows out of their view are not there, whatever a statement says.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    pub(crate) readers: &'a Readers,
    pub(crate) view: View,
}

/// The service itself, while it finds out who reads: it waits among the readers, and has its own rights.
#[derive(Debug, Clone, Copy)]
pub struct AmongReaders<'a> {
    pub(crate) readers: &'a Readers,
}

/// Inside a transaction that somebody else ends.
#[derive(Debug)]
pub struct Within<'a> {
    pub(crate) connection: &'a mut PgConnection,
}

/// A connection of one of the three.
#[derive(Debug)]
pub enum Connection<'a> {
    /// Of the service's pool.
    Own(PoolConnection<Postgres>),
    /// Of the readers: a transaction that took the callers' role, or one statement that finds out who calls.
    Caller(Turn),
    /// Lent.
    Lent(&'a mut PgConnection),
}

impl Connection<'_> {
    /// Ends what was begun for one statement, so that the connection is free for the next caller at once.
    pub async fn done(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Caller(turn) => turn.done().await,
            Self::Own(_) | Self::Lent(_) => Ok(()),
        }
    }

    /// Lets what follows in a caller's transaction follow an index that has only the first part of its order, and put what is
    /// equal in it in order as it comes.
    pub async fn sort_within_moments(&mut self) -> Result<(), sqlx::Error> {
        if let Self::Caller(turn) = self {
            sqlx::query_scalar!("select set_config('enable_incremental_sort', 'on', true)")
                .fetch_one(&mut **turn)
                .await?;
        }
        Ok(())
    }

    /// Lets what follows in a caller's transaction be planned for its values, and sort: where few rows of many are asked for,
    /// another index than that of the order finds them, and only the values tell which.
    pub async fn plan_for_values(&mut self) -> Result<(), sqlx::Error> {
        if let Self::Caller(turn) = self {
            sqlx::query!(
                "select set_config('enable_sort', 'on', true) as sort,
                        set_config('enable_incremental_sort', 'on', true) as incremental_sort,
                        set_config('plan_cache_mode', 'force_custom_plan', true) as plan"
            )
            .fetch_one(&mut **turn)
            .await?;
        }
        Ok(())
    }
}

impl Deref for Connection<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        match self {
            Self::Own(connection) => connection,
            Self::Caller(turn) => turn,
            Self::Lent(connection) => connection,
        }
    }
}

impl DerefMut for Connection<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        match self {
            Self::Own(connection) => connection,
            Self::Caller(turn) => turn,
            Self::Lent(connection) => connection,
        }
    }
}

impl Db for System<'_> {
    async fn connection(&mut self) -> Result<Connection<'_>, sqlx::Error> {
        self.pool.acquire().await.map(Connection::Own)
    }
}

impl Db for Seen<'_> {
    async fn connection(&mut self) -> Result<Connection<'_>, sqlx::Error> {
        let begin = beginning(self.view, Access::Read);
        self.readers.begin_with(begin).await.map(Connection::Caller)
    }
}

impl Db for AmongReaders<'_> {
    async fn connection(&mut self) -> Result<Connection<'_>, sqlx::Error> {
        self.readers.turn().await.map(Connection::Caller)
    }
}

impl Db for Within<'_> {
    async fn connection(&mut self) -> Result<Connection<'_>, sqlx::Error> {
        Ok(Connection::Lent(self.connection))
    }
}

/// What a caller's transaction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Looking.
    Read,
    /// Changing.
    Change,
}

/// One message that begins a transaction, takes the callers' role and says who calls. It holds two UUIDs and words of
/// our own, so nothing in it needs quoting.
pub(crate) fn beginning(view: View, access: Access) -> AssertSqlSafe<String> {
    let View { user, organization, reach } = view;
    // Reads follow an index in its order: sorting what an index has in order is what makes a page dear. So is sorting by halves:
    // everybody's rows along an index of times, though the caller has few of them.
    let mode = match access {
        Access::Read => {
            " read only; set local enable_sort = off; set local enable_incremental_sort = off; \
             set local enable_bitmapscan = off; set local enable_seqscan = off; set local jit = off"
        }
        Access::Change => "",
    };
    AssertSqlSafe(format!(
        "begin{mode}; set local statement_timeout = '{CALLER_STATEMENT_LIMIT}'; set local role roadstead_caller; \
         select set_config('roadstead.user', '{user}', true), set_config('roadstead.organization', '{organization}', true), \
                set_config('roadstead.reach', '{}', true)",
        reach.as_str()
    ))
}
