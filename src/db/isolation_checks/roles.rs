//! What the roles that work with the registry could do, and whether what they work with belongs to somebody else.

use tokio_postgres::Client;

use super::Check;
use crate::db::DbError;
use crate::sql;

/// The roles that a check looks at: the two working ones, and those in whose name the server could work.
pub(super) struct Roles(Vec<String>);

impl Roles {
    /// The two that every database of skillkeep has.
    pub(super) fn working() -> Self {
        Self(vec!["skillkeep_app".to_owned(), "skillkeep_admin".to_owned()])
    }

    /// These two, the one that this connection logged in as, and every one that it can become.
    pub(super) async fn acting(connection: &Client) -> Result<Self, DbError> {
        let mut roles = Self::working();
        for row in connection.query(sql!("catalogue/acting.sql").text(), &[]).await? {
            let name: String = row.try_get("name")?;
            if !roles.0.contains(&name) {
                roles.0.push(name);
            }
        }
        Ok(roles)
    }

    /// As the parameter of a statement.
    pub(super) const fn names(&self) -> &Vec<String> {
        &self.0
    }
}

/// Attributes, memberships, ownership and parameters of the roles.
pub(super) async fn attributes(connection: &Client, roles: &Roles) -> Result<Check, DbError> {
    let rows = connection
        .query(sql!("catalogue/roles.sql").text(), &[roles.names()])
        .await?;
    let mut findings = Vec::new();
    let mut working = 0;
    for row in &rows {
        let name: String = row.try_get("name")?;
        if matches!(name.as_str(), "skillkeep_app" | "skillkeep_admin") {
            working += 1;
        }
        if row.try_get("superuser")? {
            // He may do all of the rest as well.
            findings.push(format!("the role {name} is a superuser, whom no policy binds"));
            continue;
        }
        for (column, what) in [
            ("bypasses_rls", "has BYPASSRLS, so no policy binds it"),
            ("creates_roles", "may create roles"),
            ("creates_databases", "may create databases"),
            ("replicates", "may replicate, which shows all data"),
            ("creates_schemas", "may create schemas in this database"),
            ("owns_database", "owns this database, or may act as its owner"),
            ("owns_schema", "owns the schema public, or may act as its owner"),
        ] {
            if row.try_get(column)? {
                findings.push(format!("the role {name} {what}"));
            }
        }
        for (column, what) in [
            ("creates_in", "may create objects in the schema"),
            ("sets", "may set what PostgreSQL keeps for superusers:"),
            ("member_of", "may act as"),
        ] {
            let which: String = row.try_get(column)?;
            if !which.is_empty() {
                findings.push(format!("the role {name} {what} {which}"));
            }
        }
    }
    let granted = connection
        .query(sql!("catalogue/grants.sql").text(), &[roles.names()])
        .await?;
    for row in &granted {
        let (role, what): (String, String) = (row.try_get("role")?, row.try_get("what")?);
        findings.push(format!(
            "the role {role} was granted {what}, which skillkeep_app may not"
        ));
    }
    if working != 2 {
        findings.push("skillkeep_app or skillkeep_admin does not exist".to_owned());
    }
    let name = if rows.len() == 2 {
        "attributes of the two working roles".to_owned()
    } else {
        format!(
            "attributes of {} roles that the server works or could work as",
            rows.len()
        )
    };
    Ok(Check::new(name, findings))
}

/// The role that the server connected as.
pub(super) async fn server(connection: &Client) -> Result<Check, DbError> {
    let row = connection
        .query_one(sql!("catalogue/role.sql").text(), &[])
        .await?;
    let name: String = row.try_get("role")?;
    let mut findings = Vec::new();
    for (column, what) in [
        (
            "superuser",
            "is a superuser, or a member of one, whom no policy binds",
        ),
        ("bypasses_rls", "has BYPASSRLS, so no policy binds it"),
        ("reads_all", "may read or write all data by a predefined role"),
        (
            "owns_tables",
            "owns tables of the registry, and could switch their policies off",
        ),
        ("administers", "may administer the registry"),
    ] {
        if row.try_get(column)? {
            findings.push(format!(
                "the role \"{name}\" {what}; let the server connect as skillkeep_app"
            ));
        }
    }
    Ok(Check::new("the server's role", findings))
}

/// What the server's session was given at its start, and what is kept for the roles that it could become.
pub(super) async fn session(connection: &Client, roles: &Roles) -> Result<Check, DbError> {
    let row = connection
        .query_one(sql!("catalogue/session.sql").text(), &[])
        .await?;
    let mut findings = Vec::new();
    for (column, what) in [
        (
            "has_tenant",
            "begins with a tenant (app.current_tenant_id), which only a transaction may set",
        ),
        ("no_row_security", "begins with row_security off"),
        (
            "no_triggers",
            "begins with another session_replication_role than origin",
        ),
    ] {
        if row.try_get(column)? {
            findings.push(format!(
                "a session of the server {what}; take the setting out of the database's configuration, of the role or of DATABASE_URL"
            ));
        }
    }
    let kept = connection
        .query(sql!("catalogue/settings.sql").text(), &[roles.names()])
        .await?;
    for row in &kept {
        let (role, setting): (String, String) = (row.try_get("role")?, row.try_get("setting")?);
        findings.push(format!(
            "the role {role} has the setting {setting}; ALTER ROLE {role} RESET takes it away"
        ));
    }
    Ok(Check::new("what the server's sessions begin with", findings))
}

/// One owner of all that is ours, whom policies bind and nobody of the roles can become.
pub(super) async fn owners(connection: &Client, roles: &Roles) -> Result<Check, DbError> {
    let rows = connection
        .query(sql!("catalogue/owners.sql").text(), &[roles.names()])
        .await?;
    let findings = rows
        .iter()
        .map(|row| Ok(row.try_get("finding")?))
        .collect::<Result<_, DbError>>()?;
    Ok(Check::new("one owner, bound by the policies", findings))
}
