//! `skillkeep tenant`: create, list, change, suspend, resume, export and erase tenants.

mod data;

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::database::{self, Database, db_failure};
use super::limit_args::{Limits, describe_limits};
use super::output;
use crate::config::Config;
use crate::db::AdminDb;
use crate::error::{CliError, CliErrorKind};
use crate::ids::Slug;
use crate::registry::administration::{self, tenants::TenantError};
use crate::tenancy::tenants::{self, Status};
use crate::tenancy::{CallLimits, SearchText};

#[derive(Debug, Subcommand)]
pub(super) enum TenantCommand {
    /// Create a tenant
    ///
    /// Its keys together may make 12000 calls a minute, unless --calls-per-minute says otherwise.
    Create {
        /// The slug: lowercase letters, digits and hyphens
        slug: Slug,
        /// The name, at most 200 characters; the slug by default
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        limits: Limits,
    },
    /// List all tenants
    List,
    /// Change a tenant's name, rate limits or search text setting
    Set(SetArgs),
    /// Suspend a tenant: all of its API keys stop working
    Suspend {
        /// The tenant's slug
        slug: String,
    },
    /// Write all rows and files of a tenant into a folder
    Export {
        /// The tenant's slug
        slug: String,
        /// The folder to create; it must not exist
        #[arg(long, value_name = "FOLDER")]
        out: PathBuf,
    },
    /// Erase a tenant except its audit log; cannot be undone
    Erase {
        /// The tenant's slug
        slug: String,
        /// The slug again, as confirmation
        #[arg(long, value_name = "SLUG")]
        confirm: String,
    },
    /// Resume a suspended tenant: its API keys work again
    Resume {
        /// The tenant's slug
        slug: String,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct SetArgs {
    /// The tenant's slug
    slug: String,
    /// The name, at most 200 characters
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    limits: Limits,
    /// How search texts are recorded: kept, hashed or off
    #[arg(long, value_name = "CHOICE")]
    search_text: Option<SearchText>,
}

pub(super) async fn run(config: &Config, command: TenantCommand) -> Result<(), CliError> {
    Database::with_admin(config, async |db| run_with(config, db, command).await).await
}

async fn run_with(config: &Config, db: &AdminDb, command: TenantCommand) -> Result<(), CliError> {
    match command {
        TenantCommand::Create { slug, name, limits } => {
            create(config, db, &slug, name.as_deref(), limits).await
        }
        TenantCommand::List => list(config, db).await,
        TenantCommand::Set(args) => set(config, db, &args).await,
        TenantCommand::Export { slug, out } => data::export(config, db, &slug, &out).await,
        TenantCommand::Erase { slug, confirm } => data::erase(config, db, &slug, &confirm).await,
        TenantCommand::Suspend { slug } => set_status(config, db, &slug, Status::Suspended).await,
        TenantCommand::Resume { slug } => set_status(config, db, &slug, Status::Active).await,
    }
}

fn tenant_failure(error: TenantError, slug: &str) -> CliError {
    let refused = |message| CliError::new(CliErrorKind::Refused, message);
    match error {
        TenantError::SlugTaken => refused(format!("there is a tenant \"{slug}\" already")),
        error @ TenantError::ReservedSlug => refused(format!("{error}; choose another")),
        TenantError::Erased => database::erased(slug),
        TenantError::Busy => refused(format!(
            "calls of {slug} are still running, so nothing was erased; try again"
        )),
        TenantError::Db(error) => db_failure(error),
    }
}

fn validated_name(name: &str) -> Result<&str, CliError> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > 200 {
        return Err(CliError::new(
            CliErrorKind::Usage,
            "the name of a tenant must have 1 to 200 characters",
        ));
    }
    Ok(name)
}

async fn create(
    config: &Config,
    db: &AdminDb,
    slug: &Slug,
    name: Option<&str>,
    limits: Limits,
) -> Result<(), CliError> {
    let limits = limits.of(CallLimits::OF_NEW_TENANT);
    let name = validated_name(name.unwrap_or(slug.as_str()))?;
    let id = administration::tenants::create(db, &database::operator(), slug, name, limits)
        .await
        .map_err(|error| tenant_failure(error, slug.as_str()))?;
    if config.json {
        return output::json(&json!({"id": id, "slug": slug, "name": name, "limits": limits}));
    }
    output::line(&format!(
        "Created the tenant {slug} ({id}). It may make {}.",
        describe_limits(limits)
    ))
}

async fn list(config: &Config, db: &AdminDb) -> Result<(), CliError> {
    let tenants = tenants::list(db).await.map_err(db_failure)?;
    if config.json {
        return output::json(&tenants);
    }
    let rows = tenants
        .into_iter()
        .map(|tenant| {
            vec![
                tenant.slug,
                tenant.name,
                tenant.status,
                output::timestamp(tenant.created_at),
                tenant.id.to_string(),
            ]
        })
        .collect();
    output::table(
        &["slug", "name", "status", "created", "id"],
        rows,
        "There is no tenant.",
    )
}

async fn set_status(config: &Config, db: &AdminDb, slug: &str, status: Status) -> Result<(), CliError> {
    let tx = database::tenant_tx(db, slug).await?;
    let changed = administration::tenants::set_status(&tx, &database::operator(), status)
        .await
        .map_err(|error| tenant_failure(error, slug))?;
    tx.commit().await.map_err(db_failure)?;
    let status = status.as_str();
    if config.json {
        return output::json(&json!({"slug": slug, "status": status, "changed": changed}));
    }
    let verb = if changed { "is now" } else { "was already" };
    output::line(&format!("The tenant {slug} {verb} {status}."))
}

async fn set(config: &Config, db: &AdminDb, args: &SetArgs) -> Result<(), CliError> {
    if args.name.is_none() && args.limits.is_empty() && args.search_text.is_none() {
        return Err(CliError::new(
            CliErrorKind::Usage,
            "nothing to change; give --name, --calls-per-minute, --calls-per-month or --search-text",
        ));
    }
    let name = args.name.as_deref().map(validated_name).transpose()?;
    let tx = database::tenant_tx(db, &args.slug).await?;
    let after = administration::tenants::change(&tx, &database::operator(), |tenant| {
        if let Some(name) = name {
            name.clone_into(&mut tenant.name);
        }
        tenant.call_limits = args.limits.of(tenant.call_limits);
        tenant.search_text = args.search_text.unwrap_or(tenant.search_text);
    })
    .await
    .map_err(|error| tenant_failure(error, &args.slug))?;
    tx.commit().await.map_err(db_failure)?;
    if config.json {
        return output::json(&after);
    }
    output::line(&format!(
        "The tenant {} ({}) may make {}; search texts: {}.",
        after.slug,
        after.name,
        describe_limits(after.call_limits),
        after.search_text.as_str()
    ))
}
