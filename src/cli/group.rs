//! `skillkeep group`: groups of users, to whom skills are distributed.

use clap::Subcommand;
use serde_json::json;

use super::database::{self, Database, db_failure};
use super::output;
use super::tenant_arg::TenantArg;
use crate::config::Config;
use crate::db::AdminDb;
use crate::error::{CliError, CliErrorKind};
use crate::ids::Slug;
use crate::registry::administration::groups::{self, GroupError};
use crate::tenancy::users::Email;

#[derive(Debug, Subcommand)]
pub(super) enum GroupCommand {
    /// Create a group of users
    Create {
        /// The group's name: lowercase letters, digits and hyphens
        name: Slug,
        #[command(flatten)]
        tenant: TenantArg,
    },
    /// Add a user to a group
    Add {
        /// The group
        name: Slug,
        /// The user's email address
        email: Email,
        #[command(flatten)]
        tenant: TenantArg,
    },
    /// Remove a user from a group
    Remove {
        /// The group
        name: Slug,
        /// The user's email address
        email: Email,
        #[command(flatten)]
        tenant: TenantArg,
    },
    /// List the groups of a tenant with their members
    List {
        #[command(flatten)]
        tenant: TenantArg,
    },
}

pub(super) async fn run(config: &Config, command: GroupCommand) -> Result<(), CliError> {
    Database::with_admin(config, async |db| match command {
        GroupCommand::Create { name, tenant } => create(config, db, &tenant.slug, &name).await,
        GroupCommand::Add { name, email, tenant } => {
            change(config, db, &tenant.slug, &name, &email, true).await
        }
        GroupCommand::Remove { name, email, tenant } => {
            change(config, db, &tenant.slug, &name, &email, false).await
        }
        GroupCommand::List { tenant } => list(config, db, &tenant.slug).await,
    })
    .await
}

async fn create(config: &Config, db: &AdminDb, tenant: &str, name: &Slug) -> Result<(), CliError> {
    let tx = database::tenant_tx(db, tenant).await?;
    let id = groups::create(&tx, &database::operator(), name)
        .await
        .map_err(group_failure)?;
    tx.commit().await.map_err(db_failure)?;
    if config.json {
        return output::json(&json!({"id": id, "group": name}));
    }
    output::line(&format!("Created the group {name}."))
}

async fn change(
    config: &Config,
    db: &AdminDb,
    tenant: &str,
    name: &Slug,
    email: &Email,
    is_member: bool,
) -> Result<(), CliError> {
    let tx = database::tenant_tx(db, tenant).await?;
    let actor = database::operator();
    let changed = if is_member {
        groups::add(&tx, &actor, name, email).await
    } else {
        groups::remove(&tx, &actor, name, email).await
    };
    let changed = changed.map_err(group_failure)?;
    tx.commit().await.map_err(db_failure)?;
    let email = email.as_str();
    if config.json {
        return output::json(&json!({"group": name, "user": email, "member": is_member, "changed": changed}));
    }
    let text = match (is_member, changed) {
        (true, true) => format!("{email} is now in the group {name}."),
        (true, false) => format!("{email} was already in the group {name}."),
        (false, true) => format!("{email} is no longer in the group {name}."),
        (false, false) => format!("{email} was not in the group {name}."),
    };
    output::line(&text)
}

async fn list(config: &Config, db: &AdminDb, tenant: &str) -> Result<(), CliError> {
    let tx = database::tenant_tx(db, tenant).await?;
    let groups = groups::list(&tx).await.map_err(db_failure)?;
    if config.json {
        return output::json(&groups);
    }
    let rows = groups
        .into_iter()
        .map(|group| {
            vec![
                group.name,
                group.members.join(", "),
                output::timestamp(group.created_at),
            ]
        })
        .collect();
    output::table(&["group", "members", "created"], rows, "The tenant has no group.")
}

pub(super) fn group_failure(error: GroupError) -> CliError {
    match error {
        GroupError::Exists(_) => CliError::new(CliErrorKind::Refused, error.to_string()),
        GroupError::NotFound(_) | GroupError::UnknownUser(_) => {
            CliError::new(CliErrorKind::NotFound, error.to_string())
        }
        GroupError::Db(error) => db_failure(error),
    }
}
