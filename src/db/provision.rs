//! Roles and database on the embedded cluster: what an administrator would do by hand on any other.

use super::migrations::{self, SchemaError};
use super::{DatabaseUrl, DbError, connect_owner};

/// The database on the embedded cluster.
const DATABASE: &str = "skillkeep";
/// Owns the schema there. A plain role: row level security binds even it.
const OWNER: &str = "skillkeep_owner";

/// Two processes that start at once would both create the roles.
const LOCK: i64 = 0x736b_696c_6c6b_7076;

/// The three ways in that a provisioned database has.
#[derive(Debug, Clone)]
pub struct Provisioned {
    /// As the server.
    pub server: DatabaseUrl,
    /// As the operator.
    pub admin: DatabaseUrl,
    /// As the owner of the schema.
    pub owner: DatabaseUrl,
}

/// Makes roles and database if they are missing, and brings the schema up to date.
///
/// `superuser` connects to the database `postgres` of a cluster that is skillkeep's own.
///
/// # Errors
/// When the cluster does not answer, or holds a schema that this program must not touch.
pub async fn provision(superuser: &DatabaseUrl) -> Result<Provisioned, SchemaError> {
    let ways = provision_database(superuser, DATABASE).await?;
    let mut owner = connect_owner(&ways.owner).await?;
    let applied = migrations::apply(&mut owner).await?;
    if !applied.is_empty() {
        tracing::info!(migrations = applied.len(), "the schema was brought up to date");
    }
    Ok(ways)
}

/// Makes the roles, and a database of this name, without a schema. The name is ours, never a caller's.
///
/// # Errors
/// When the cluster does not answer or refuses.
pub async fn provision_database(superuser: &DatabaseUrl, name: &str) -> Result<Provisioned, SchemaError> {
    let client = connect_owner(superuser).await?;
    client.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await?;
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
    client.execute("SELECT pg_advisory_unlock($1)", &[&LOCK]).await?;
    let database = superuser.with_database(name);
    Ok(Provisioned {
        server: database.with_user("skillkeep_app"),
        admin: database.with_user("skillkeep_admin"),
        owner: database.with_user(OWNER),
    })
}
