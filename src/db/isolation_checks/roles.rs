//! Checks of the database roles: their privileges, the server's session, and the ownership of the schema.

use tokio_postgres::Client;

use super::Check;
use crate::db::DbError;
use crate::sql;

/// The roles that a check covers: the two working roles, and those that the server can act as.
pub(super) struct Roles(Vec<String>);

impl Roles {
    /// `skillkeep_app` and `skillkeep_admin`, which every skillkeep database has.
    pub(super) fn working() -> Self {
        Self(vec!["skillkeep_app".to_owned(), "skillkeep_admin".to_owned()])
    }

    /// The two working roles, the login role of this connection, and every role that it can become.
    pub(super) async fn effective(connection: &Client) -> Result<Self, DbError> {
        let mut roles = Self::working();
        let rows = connection
            .query(sql!("pg_catalog/effective_roles.sql").text(), &[])
            .await?;
        for row in &rows {
            let name: String = row.try_get("name")?;
            if !roles.0.contains(&name) {
                roles.0.push(name);
            }
        }
        Ok(roles)
    }

    /// The names, as a statement's parameter of type `text[]`.
    pub(super) const fn names(&self) -> &Vec<String> {
        &self.0
    }
}

/// Checks attributes, memberships, ownership, parameters and grants of the roles.
pub(super) async fn attributes(connection: &Client, roles: &Roles) -> Result<Check, DbError> {
    let rows = connection
        .query(sql!("pg_catalog/role_attributes.sql").text(), &[roles.names()])
        .await?;
    let mut findings = Vec::new();
    let mut working = 0;
    for row in &rows {
        let name: String = row.try_get("name")?;
        if matches!(name.as_str(), "skillkeep_app" | "skillkeep_admin") {
            working += 1;
        }
        if row.try_get("superuser")? {
            // The other attributes follow from this one.
            findings.push(format!("the role {name} is a superuser, so no policy binds it"));
            continue;
        }
        for (column, problem) in [
            ("bypasses_rls", "has BYPASSRLS, so no policy binds it"),
            ("creates_roles", "may create roles"),
            ("creates_databases", "may create databases"),
            ("replicates", "may replicate, which shows all data"),
            ("creates_schemas", "may create schemas in this database"),
            ("owns_database", "owns this database, or may act as its owner"),
            ("owns_schema", "owns the schema public, or may act as its owner"),
        ] {
            if row.try_get(column)? {
                findings.push(format!("the role {name} {problem}"));
            }
        }
        for (column, problem) in [
            ("creates_in", "may create objects in the schema"),
            (
                "sets",
                "may set a parameter that PostgreSQL reserves for superusers:",
            ),
            ("member_of", "may act as"),
        ] {
            let targets: String = row.try_get(column)?;
            if !targets.is_empty() {
                findings.push(format!("the role {name} {problem} {targets}"));
            }
        }
    }
    let grants = connection
        .query(sql!("pg_catalog/excess_grants.sql").text(), &[roles.names()])
        .await?;
    for row in &grants {
        let (role, privilege): (String, String) = (row.try_get("role")?, row.try_get("what")?);
        findings.push(format!(
            "the role {role} was granted {privilege}, which skillkeep_app does not have"
        ));
    }
    if working != 2 {
        findings.push("skillkeep_app or skillkeep_admin does not exist".to_owned());
    }
    let name = if rows.len() == 2 {
        "attributes of the two working roles".to_owned()
    } else {
        format!("attributes of {} roles that the server can act as", rows.len())
    };
    Ok(Check::new(name, findings))
}

/// Checks the role that the server connected as.
pub(super) async fn server(connection: &Client) -> Result<Check, DbError> {
    let row = connection
        .query_one(sql!("pg_catalog/connected_role.sql").text(), &[])
        .await?;
    let name: String = row.try_get("role")?;
    let mut findings = Vec::new();
    for (column, problem) in [
        (
            "superuser",
            "is a superuser, or a member of one, so no policy binds it",
        ),
        ("bypasses_rls", "has BYPASSRLS, so no policy binds it"),
        ("reads_all", "may read or write all data by a predefined role"),
        (
            "owns_tables",
            "owns tables of the registry, and could disable their policies",
        ),
        ("administers", "may administer the registry"),
    ] {
        if row.try_get(column)? {
            findings.push(format!(
                "the role \"{name}\" {problem}; let the server connect as skillkeep_app"
            ));
        }
    }
    Ok(Check::new("the server's role", findings))
}

/// Checks the initial settings of the server's session, and the settings of the roles that it can become.
pub(super) async fn session(connection: &Client, roles: &Roles) -> Result<Check, DbError> {
    let row = connection
        .query_one(sql!("pg_catalog/session_settings.sql").text(), &[])
        .await?;
    let mut findings = Vec::new();
    for (column, problem) in [
        (
            "has_tenant",
            "begins with a tenant (app.current_tenant_id), which only a transaction may set",
        ),
        ("no_row_security", "begins with row_security off"),
        (
            "no_triggers",
            "begins with a session_replication_role other than origin",
        ),
    ] {
        if row.try_get(column)? {
            findings.push(format!(
                "a session of the server {problem}; remove the setting from the database's configuration, the role or DATABASE_URL"
            ));
        }
    }
    let settings = connection
        .query(sql!("pg_catalog/role_settings.sql").text(), &[roles.names()])
        .await?;
    for row in &settings {
        let (role, setting): (String, String) = (row.try_get("role")?, row.try_get("setting")?);
        findings.push(format!(
            "the role {role} has the setting {setting}; remove it with ALTER ROLE {role} RESET"
        ));
    }
    Ok(Check::new("initial settings of the server's sessions", findings))
}

/// Checks that one unprivileged role owns all tables and functions, and that no role of the server can become it.
pub(super) async fn ownership(connection: &Client, roles: &Roles) -> Result<Check, DbError> {
    let rows = connection
        .query(sql!("pg_catalog/ownership.sql").text(), &[roles.names()])
        .await?;
    let findings = rows
        .iter()
        .map(|row| Ok(row.try_get("finding")?))
        .collect::<Result<_, DbError>>()?;
    Ok(Check::new("one owner, bound by the policies", findings))
}
