//! `skillkeep user`: create, list, suspend and resume the users of a tenant.

use clap::Subcommand;
use serde_json::json;

use super::database::{self, Database, db_failure};
use super::output;
use super::tenant_arg::TenantArg;
use crate::config::Config;
use crate::db::TenantTx;
use crate::error::{CliError, CliErrorKind};
use crate::registry::administration::{self, users::UserError};
use crate::shown_text::is_unsafe;
use crate::tenancy::tenants::Status;
use crate::tenancy::users::{self, Email};

#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Create a user
    Create {
        /// The user's email address
        email: Email,
        /// The user's name, at most 200 characters
        #[arg(long, default_value = "")]
        name: String,
        #[command(flatten)]
        tenant: TenantArg,
    },
    /// List the users of a tenant
    List {
        #[command(flatten)]
        tenant: TenantArg,
    },
    /// Suspend a user: all of their API keys stop working
    Suspend {
        /// The user's email address
        email: Email,
        #[command(flatten)]
        tenant: TenantArg,
    },
    /// Resume a suspended user: their API keys work again
    Resume {
        /// The user's email address
        email: Email,
        #[command(flatten)]
        tenant: TenantArg,
    },
}

impl UserCommand {
    fn tenant(&self) -> &str {
        match self {
            Self::Create { tenant, .. }
            | Self::List { tenant }
            | Self::Suspend { tenant, .. }
            | Self::Resume { tenant, .. } => &tenant.slug,
        }
    }
}

pub(super) async fn run(config: &Config, command: UserCommand) -> Result<(), CliError> {
    Database::with_admin(config, async |db| {
        let tx = database::tenant_tx(db, command.tenant()).await?;
        run_in(config, tx, command).await
    })
    .await
}

async fn run_in(config: &Config, tx: TenantTx, command: UserCommand) -> Result<(), CliError> {
    match command {
        UserCommand::Create { email, name, .. } => create(config, tx, &email, name.trim()).await,
        UserCommand::List { .. } => list(config, &tx).await,
        UserCommand::Suspend { email, .. } => set_status(config, tx, &email, Status::Suspended).await,
        UserCommand::Resume { email, .. } => set_status(config, tx, &email, Status::Active).await,
    }
}

async fn create(config: &Config, tx: TenantTx, email: &Email, name: &str) -> Result<(), CliError> {
    if name.chars().count() > 200 || name.contains(is_unsafe) {
        return Err(CliError::new(
            CliErrorKind::Usage,
            "the name of a user can have at most 200 characters, all of them visible",
        ));
    }
    let user = administration::users::find_or_create(&tx, &database::operator(), email, name)
        .await
        .map_err(db_failure)?;
    if !user.created {
        return Err(CliError::new(
            CliErrorKind::Refused,
            format!("the tenant already has a user {}", email.as_str()),
        ));
    }
    tx.commit().await.map_err(db_failure)?;
    if config.json {
        return output::json(&json!({"id": user.id, "email": email.as_str(), "name": name}));
    }
    output::line(&format!("Created the user {}.", email.as_str()))
}

async fn list(config: &Config, tx: &TenantTx) -> Result<(), CliError> {
    let users = users::list(tx).await.map_err(db_failure)?;
    if config.json {
        return output::json(&users);
    }
    let rows = users
        .into_iter()
        .map(|user| {
            vec![
                user.email,
                user.name,
                user.status,
                user.active_keys.to_string(),
                output::timestamp(user.created_at),
            ]
        })
        .collect();
    output::table(
        &["email", "name", "status", "keys", "created"],
        rows,
        "The tenant has no user.",
    )
}

async fn set_status(config: &Config, tx: TenantTx, email: &Email, status: Status) -> Result<(), CliError> {
    let changed = administration::users::set_status(&tx, &database::operator(), email, status)
        .await
        .map_err(user_failure)?;
    tx.commit().await.map_err(db_failure)?;
    let (email, status) = (email.as_str(), status.as_str());
    if config.json {
        return output::json(&json!({"email": email, "status": status, "changed": changed}));
    }
    let verb = if changed { "is now" } else { "was already" };
    output::line(&format!("The user {email} {verb} {status}."))
}

fn user_failure(error: UserError) -> CliError {
    match error {
        UserError::NotFound(_) => CliError::new(CliErrorKind::NotFound, error.to_string()),
        UserError::Db(error) => db_failure(error),
    }
}
