//! `skillkeep user`: the people and service accounts of a tenant.

use clap::Subcommand;
use serde_json::json;

use super::database::{self, Database, db_failure};
use super::output;
use crate::config::Config;
use crate::db::TenantTx;
use crate::error::{CliError, CliErrorKind};
use crate::ids::UserId;
use crate::registry::audit::{self, Entry};
use crate::tenancy::tenants::Status;
use crate::tenancy::users::{self, Email};

#[derive(Debug, clap::Args)]
pub(super) struct TenantArg {
    /// The tenant's short name
    #[arg(long, default_value = "default", value_name = "SLUG")]
    tenant: String,
}

#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Create a user
    Create {
        /// The user's email address
        email: Email,
        /// The user's name
        #[arg(long, default_value = "")]
        name: String,
        #[command(flatten)]
        of: TenantArg,
    },
    /// List a tenant's users
    List {
        #[command(flatten)]
        of: TenantArg,
    },
    /// Let no key of a user work any more
    Suspend {
        /// The user's email address
        email: Email,
        #[command(flatten)]
        of: TenantArg,
    },
    /// Let a suspended user's keys work again
    Resume {
        /// The user's email address
        email: Email,
        #[command(flatten)]
        of: TenantArg,
    },
}

impl UserCommand {
    fn tenant(&self) -> &str {
        match self {
            Self::Create { of, .. }
            | Self::List { of }
            | Self::Suspend { of, .. }
            | Self::Resume { of, .. } => &of.tenant,
        }
    }
}

pub(super) async fn run(config: &Config, command: UserCommand) -> Result<(), CliError> {
    let database = Database::open(config).await?;
    let outcome = async {
        let db = database.admin().await?;
        let tx = database::tenant_tx(&db, command.tenant()).await?;
        run_in(config, tx, command).await
    }
    .await;
    database.close().await;
    outcome
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
    if name.chars().count() > 200 {
        return Err(CliError::new(
            CliErrorKind::Usage,
            "a user's name has 200 characters at most",
        ));
    }
    let user = users::find_or_create(&tx, email, name)
        .await
        .map_err(db_failure)?;
    if !user.created {
        return Err(CliError::new(
            CliErrorKind::Refused,
            format!("there is a user {} already", email.as_str()),
        ));
    }
    audit_created(&tx, user.id).await?;
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
                output::moment(user.created_at),
            ]
        })
        .collect();
    output::table(
        &["email", "name", "status", "keys", "created"],
        rows,
        "This tenant has no user yet.",
    )
}

async fn set_status(config: &Config, tx: TenantTx, email: &Email, status: Status) -> Result<(), CliError> {
    let all = users::list(&tx).await.map_err(db_failure)?;
    let user = all
        .iter()
        .find(|user| user.email == email.as_str())
        .ok_or_else(|| {
            let words = format!(
                "there is no user {} in this tenant; `skillkeep user list` shows the users",
                email.as_str()
            );
            CliError::new(CliErrorKind::NotFound, words)
        })?;
    let changed = users::set_status(&tx, email, status).await.map_err(db_failure)?;
    if changed {
        let action = match status {
            Status::Active => "user.resume",
            Status::Suspended => "user.suspend",
        };
        let details = json!({"before": {"status": user.status}, "after": {"status": status.as_str()}});
        audit(&tx, action, user.id, details).await?;
    }
    tx.commit().await.map_err(db_failure)?;
    if config.json {
        return output::json(
            &json!({"email": email.as_str(), "status": status.as_str(), "changed": changed}),
        );
    }
    let words = if changed { "is now" } else { "was already" };
    output::line(&format!(
        "The user {} {words} {}.",
        email.as_str(),
        status.as_str()
    ))
}

/// Of a user who was made, by whichever command.
pub(super) async fn audit_created(tx: &TenantTx, user: UserId) -> Result<(), CliError> {
    audit(tx, "user.create", user, json!({"after": {"status": "active"}})).await
}

/// By the user's id and not by his address: the log outlives his tenant.
async fn audit(
    tx: &TenantTx,
    action: &str,
    user: UserId,
    details: serde_json::Value,
) -> Result<(), CliError> {
    let actor = database::operator();
    let subject = user.to_string();
    let entry = Entry {
        actor: &actor,
        action,
        subject: &subject,
        details,
        source: "cli",
    };
    audit::write(tx, &entry).await.map_err(db_failure)
}
