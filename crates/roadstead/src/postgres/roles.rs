//! The roles and the database of the private cluster, made so that making them twice changes nothing.
//!
//! `roadstead_owner` owns the database and every table, is for migrations, and sees who waits for whom; `roadstead_app` reads and writes rows,
//! and can neither make nor change a table; for a request it takes the role `roadstead_caller`, which the database shows the
//! caller's rows alone. What the owner makes later, the application may use.

use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection};

use super::error::PostgresError;
use super::passwords::Passwords;
use super::socket::PORT;

/// The cluster's superuser, used to make the others and to see whether the server is ready.
pub(super) const ADMIN: &str = "roadstead_admin";
/// Owns the database; for migrations.
pub(super) const OWNER: &str = "roadstead_owner";
/// For the service itself.
pub(super) const APP: &str = "roadstead_app";
/// The database.
pub(super) const DATABASE: &str = "roadstead";

/// The last statement leaves this on the database: whoever finds it finds all that comes before. A change here that
/// existing clusters need changes the number.
const DONE: &str = "roadstead roles 3";

/// Roles first, since the database has an owner. Names are ours and passwords are hexadecimal.
const ROLES: &str = "
do $$ begin
  if not exists (select from pg_roles where rolname = 'roadstead_owner') then create role roadstead_owner; end if;
  if not exists (select from pg_roles where rolname = 'roadstead_app') then create role roadstead_app; end if;
  if not exists (select from pg_roles where rolname = 'roadstead_caller') then create role roadstead_caller nologin; end if;
end $$;
grant roadstead_caller to roadstead_app;
grant pg_read_all_stats to roadstead_owner;
revoke connect on database postgres, template1 from public;
";

/// Run inside the database, so that the schema and the defaults are its own.
const RIGHTS: &str = "
revoke all on database roadstead from public;
grant connect on database roadstead to roadstead_app;
alter schema public owner to roadstead_owner;
revoke create on schema public from public;
grant usage on schema public to roadstead_app;
alter default privileges for role roadstead_owner grant select, insert, update, delete on tables to roadstead_app;
alter default privileges for role roadstead_owner grant usage, select on sequences to roadstead_app;
comment on database roadstead is 'roadstead roles 3';
";

/// How to connect as a role. Nothing of it may be logged: the password is printed with the rest.
pub(super) fn options(
    socket_folder: &Path,
    role: &str,
    password: &SecretString,
    database: &str,
) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .socket(socket_folder)
        .port(PORT)
        .username(role)
        .password(password.expose_secret())
        .database(database)
        .application_name("roadstead")
}

/// Makes the roles, the database and the rights, unless they are there and know these passwords.
pub(super) async fn provision(
    admin: &mut PgConnection,
    socket_folder: &Path,
    passwords: &Passwords,
) -> Result<(), PostgresError> {
    let marker = sqlx::query_scalar::<_, Option<String>>(
        "select shobj_description(oid, 'pg_database') from pg_database where datname = $1",
    )
    .bind(DATABASE)
    .fetch_optional(&mut *admin)
    .await
    .map_err(failed("look for the database"))?;
    if marker.as_ref().and_then(Option::as_deref) == Some(DONE) && !passwords.changed {
        return Ok(());
    }
    admin.execute(ROLES).await.map_err(failed("make the roles"))?;
    for (role, password) in [(OWNER, &passwords.owner), (APP, &passwords.app)] {
        let statement = format!("alter role {role} with login password '{}'", password.expose_secret());
        admin.execute(AssertSqlSafe(statement)).await.map_err(failed("set a password"))?;
    }
    if marker.is_none() {
        let create = "create database roadstead owner roadstead_owner template template0";
        admin.execute(create).await.map_err(failed("make the database"))?;
    }
    grant(socket_folder, &passwords.admin).await.map_err(failed("grant rights"))
}

/// Gives the roles of a cluster that comes from elsewhere these passwords and their rights.
pub(super) async fn adopt(
    admin: &mut PgConnection,
    socket_folder: &Path,
    passwords: &Passwords,
) -> Result<(), PostgresError> {
    let statement = format!("alter role {ADMIN} with login password '{}'", passwords.admin.expose_secret());
    admin.execute(AssertSqlSafe(statement)).await.map_err(failed("set a password"))?;
    provision(admin, socket_folder, passwords).await
}

async fn grant(socket_folder: &Path, password: &SecretString) -> Result<(), sqlx::Error> {
    let mut inside = options(socket_folder, ADMIN, password, DATABASE).connect().await?;
    inside.execute(RIGHTS).await?;
    inside.close().await
}

fn failed(action: &'static str) -> impl FnOnce(sqlx::Error) -> PostgresError {
    move |source| PostgresError::Provision { action, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_that_is_left_is_the_mark_that_is_looked_for() {
        assert!(RIGHTS.contains(&format!("is '{DONE}'")));
    }
}
