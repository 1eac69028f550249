//! Creates the roles and the database on the embedded PostgreSQL. On another server an administrator does this by hand.

use super::migrations::{self, SchemaError};
use super::{DatabaseUrl, DbError, connect_owner};
use crate::sql;

const DATABASE: &str = "skillkeep";
/// Owns the schema. Neither a superuser nor BYPASSRLS: row level security applies to it too.
const OWNER: &str = "skillkeep_owner";

/// Key of the advisory lock without which two processes that start together would both create the roles.
const PROVISION_LOCK: i64 = 0x736b_696c_6c6b_7076;

/// The database's address with each of its three roles.
#[derive(Debug, Clone)]
pub struct DatabaseUrls {
    /// Role `skillkeep_app`.
    pub server: DatabaseUrl,
    /// Role `skillkeep_admin`.
    pub admin: DatabaseUrl,
    /// Role `skillkeep_owner`.
    pub owner: DatabaseUrl,
}

/// Creates roles and database if they are missing, and applies the pending migrations. Does nothing if the schema is current: then
/// a program with these migrations or later ones has done it.
///
/// `superuser` connects to the database `postgres` of the embedded PostgreSQL.
///
/// # Errors
/// [`SchemaError`]: the database is unavailable, or its schema is newer, edited or not skillkeep's.
pub async fn provision(superuser: &DatabaseUrl) -> Result<DatabaseUrls, SchemaError> {
    let urls = urls_of(superuser, DATABASE);
    if is_current(&urls.server).await {
        return Ok(urls);
    }
    provision_database(superuser, DATABASE).await?;
    let mut owner = connect_owner(&urls.owner).await?;
    let applied = migrations::apply(&mut owner).await?;
    if !applied.is_empty() {
        tracing::info!(migrations = applied.len(), "applied the pending migrations");
    }
    Ok(urls)
}

/// Whether the server's role can connect and finds the schema of this program. What else is wrong is found by the full way.
async fn is_current(server: &DatabaseUrl) -> bool {
    match connect_owner(server).await {
        Ok(client) => migrations::check(&client).await.is_ok(),
        Err(_) => false,
    }
}

fn urls_of(superuser: &DatabaseUrl, name: &str) -> DatabaseUrls {
    let database = superuser.with_database(name);
    DatabaseUrls {
        server: database.with_user("skillkeep_app"),
        admin: database.with_user("skillkeep_admin"),
        owner: database.with_user(OWNER),
    }
}

/// Creates the roles, and a database without a schema. `name` is not escaped: it must never come from a caller.
///
/// # Errors
/// [`SchemaError::Db`] only.
pub async fn provision_database(superuser: &DatabaseUrl, name: &str) -> Result<DatabaseUrls, SchemaError> {
    let client = connect_owner(superuser).await?;
    client
        .execute("SELECT pg_advisory_lock($1)", &[&PROVISION_LOCK])
        .await?;
    for role in [OWNER, "skillkeep_app", "skillkeep_admin"] {
        if client
            .query_opt("SELECT FROM pg_catalog.pg_roles WHERE rolname = $1", &[&role])
            .await?
            .is_none()
        {
            let create = format!(
                "CREATE ROLE {role} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION"
            );
            client.batch_execute(&create).await.map_err(DbError::from)?;
        }
    }
    let grants = format!("GRANT skillkeep_app TO skillkeep_admin; GRANT skillkeep_admin TO {OWNER}");
    client.batch_execute(&grants).await.map_err(DbError::from)?;
    if client
        .query_opt("SELECT FROM pg_catalog.pg_database WHERE datname = $1", &[&name])
        .await?
        .is_none()
    {
        client
            .batch_execute(&format!("CREATE DATABASE {name} OWNER {OWNER}"))
            .await
            .map_err(DbError::from)?;
    }
    client
        .execute("SELECT pg_advisory_unlock($1)", &[&PROVISION_LOCK])
        .await?;
    revoke_large_objects(&superuser.with_database(name)).await?;
    Ok(urls_of(superuser, name))
}

/// Revokes the functions for large objects, through which the server's role could keep data that belongs to no tenant.
async fn revoke_large_objects(superuser: &DatabaseUrl) -> Result<(), DbError> {
    let client = connect_owner(superuser).await?;
    let roles = ["skillkeep_app", "skillkeep_admin"];
    let row = client
        .query_one(
            sql!("pg_catalog/large_object_functions.sql").text(),
            &[&roles.as_slice()],
        )
        .await?;
    if let Some(revoke) = row.try_get::<_, Option<String>>("revoke_statement")? {
        client.batch_execute(&revoke).await?;
    }
    Ok(())
}
