//! A cluster of our own: makes the database and the application role, as the cluster's superuser.

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};

use crate::error::During;
use crate::{APPLICATION_ROLE, StoreError};

/// Makes the database `database` and the application role unless they are there, and sets the role's password.
/// `superuser` is connected to another database of the cluster, such as `postgres`. Run it before the migrations.
#[tracing::instrument(name = "db.provision", skip_all, err(level = "debug"))]
pub async fn prepare(
    superuser: &PgConnectOptions,
    database: &str,
    application_password: &str,
) -> Result<(), StoreError> {
    const NAME: &str = "db.provision";
    let mut connection = superuser.clone().connect().await.during(NAME)?;
    role(&mut connection, application_password).await.during(NAME)?;
    create_database(&mut connection, database).await.during(NAME)?;
    connection.close().await.during(NAME)?;
    // Before PostgreSQL 15, everybody may make tables in the public schema.
    let mut inside = superuser.clone().database(database).connect().await.during(NAME)?;
    inside.execute("revoke create on schema public from public").await.during(NAME)?;
    inside.close().await.during(NAME)
}

async fn role(connection: &mut PgConnection, password: &str) -> Result<(), sqlx::Error> {
    // Roles are made by statements that take no parameters: the server itself quotes the password into one.
    let statement: String = sqlx::query_scalar(
        "select format('%s role %I with login nosuperuser nocreatedb nocreaterole password %L',
                case when exists (select from pg_roles where rolname = $1) then 'alter' else 'create' end, $1, $2)",
    )
    .bind(APPLICATION_ROLE)
    .bind(password)
    .fetch_one(&mut *connection)
    .await?;
    connection.execute(AssertSqlSafe(statement)).await?;
    // What a transaction for a caller takes: no login, no rights but those that the migrations give it.
    connection
        .execute(
            "do $$ begin
               if not exists (select from pg_roles where rolname = 'roadstead_caller') then
                 create role roadstead_caller nologin;
               end if;
             end $$;
             grant roadstead_caller to roadstead_app",
        )
        .await
        .map(drop)
}

async fn create_database(connection: &mut PgConnection, database: &str) -> Result<(), sqlx::Error> {
    let statement: Option<String> = sqlx::query_scalar(
        "select format('create database %I', $1::text)
         where not exists (select from pg_database where datname = $1)",
    )
    .bind(database)
    .fetch_optional(&mut *connection)
    .await?;
    match statement {
        Some(statement) => connection.execute(AssertSqlSafe(statement)).await.map(drop),
        None => Ok(()),
    }
}
