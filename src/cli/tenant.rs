//! `skillkeep tenant`: the operator's list of tenants.

mod data;

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::database::{self, Database, db_failure};
use super::limit_args::{Limits, words_for};
use super::output;
use crate::config::Config;
use crate::db::{AdminDb, TenantTx};
use crate::error::{CliError, CliErrorKind};
use crate::ids::{Slug, TenantId};
use crate::registry::audit::{self, Entry};
use crate::tenancy::SearchText;
use crate::tenancy::tenants::{self, Status, Tenant};

#[derive(Debug, Subcommand)]
pub(super) enum TenantCommand {
    /// Create a tenant
    Create {
        /// Its short name: lowercase letters, digits and hyphens
        slug: Slug,
        /// Its full name; the short one when left out
        #[arg(long)]
        name: Option<String>,
    },
    /// List all tenants
    List,
    /// Change a tenant's name, its limits, or what is kept of its searches
    Set(SetArgs),
    /// Let no key of a tenant work any more
    Suspend {
        /// The tenant's short name
        slug: String,
    },
    /// Write everything of a tenant into a folder
    Export {
        /// The tenant's short name
        slug: String,
        /// The folder, which must not exist yet
        #[arg(long, value_name = "FOLDER")]
        out: PathBuf,
    },
    /// Erase everything of a tenant but its audit log, for ever
    Erase {
        /// The tenant's short name
        slug: String,
        /// The short name again, to be sure
        #[arg(long, value_name = "SLUG")]
        confirm: String,
    },
    /// Let a suspended tenant's keys work again
    Resume {
        /// The tenant's short name
        slug: String,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct SetArgs {
    /// The tenant's short name
    slug: String,
    /// Its full name
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    limits: Limits,
    /// What the record of a search keeps of its text: kept, hashed or off
    #[arg(long, value_name = "CHOICE")]
    search_text: Option<SearchText>,
}

pub(super) async fn run(config: &Config, command: TenantCommand) -> Result<(), CliError> {
    let database = Database::open(config).await?;
    let outcome = match database.admin().await {
        Ok(db) => run_with(config, &db, command).await,
        Err(failure) => Err(failure),
    };
    database.close().await;
    outcome
}

async fn run_with(config: &Config, db: &AdminDb, command: TenantCommand) -> Result<(), CliError> {
    match command {
        TenantCommand::Create { slug, name } => create(config, db, &slug, name.as_deref()).await,
        TenantCommand::List => list(config, db).await,
        TenantCommand::Set(args) => set(config, db, args).await,
        TenantCommand::Export { slug, out } => data::export(config, db, &slug, &out).await,
        TenantCommand::Erase { slug, confirm } => data::erase(config, db, &slug, &confirm).await,
        TenantCommand::Suspend { slug } => set_status(config, db, &slug, Status::Suspended).await,
        TenantCommand::Resume { slug } => set_status(config, db, &slug, Status::Active).await,
    }
}

fn checked_name(name: &str) -> Result<&str, CliError> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > 200 {
        return Err(CliError::new(
            CliErrorKind::Usage,
            "a tenant's name has 1 to 200 characters",
        ));
    }
    Ok(name)
}

async fn create(config: &Config, db: &AdminDb, slug: &Slug, name: Option<&str>) -> Result<(), CliError> {
    let name = checked_name(name.unwrap_or(slug.as_str()))?;
    // The id comes first: so the tenant and the first entry of its log are there together, or neither is.
    let id = TenantId::new();
    let tx = TenantTx::begin_as_admin(db, id).await.map_err(db_failure)?;
    if !tenants::create(&tx, slug, name).await.map_err(db_failure)? {
        return Err(CliError::new(
            CliErrorKind::Refused,
            format!("there is a tenant \"{slug}\" already"),
        ));
    }
    let details = json!({"after": {"name": name, "status": "active"}});
    audit(&tx, "tenant.create", slug.as_str(), details).await?;
    tx.commit().await.map_err(db_failure)?;
    if config.json {
        return output::json(&json!({"id": id, "slug": slug, "name": name}));
    }
    output::line(&format!("Created the tenant {slug} ({id})."))
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
                output::moment(tenant.created_at),
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

/// The tenant as it is now; nobody else changes it before the transaction ends.
async fn lock(tx: &TenantTx, slug: &str) -> Result<Tenant, CliError> {
    tenants::lock(tx)
        .await
        .map_err(db_failure)?
        .filter(|tenant| tenant.status != "erased")
        .ok_or_else(|| database::erased(slug))
}

/// Changes the status, and says so in the log; `false` where it was so already.
async fn change_status(tx: &TenantTx, slug: &str, status: Status) -> Result<bool, CliError> {
    let before = lock(tx, slug).await?;
    let changed = tenants::set_status(tx, status).await.map_err(db_failure)?;
    if changed {
        let action = match status {
            Status::Active => "tenant.resume",
            Status::Suspended => "tenant.suspend",
        };
        let details = json!({"before": {"status": before.status}, "after": {"status": status.as_str()}});
        audit(tx, action, slug, details).await?;
    }
    Ok(changed)
}

async fn set_status(config: &Config, db: &AdminDb, slug: &str, status: Status) -> Result<(), CliError> {
    let tx = database::tenant_tx(db, slug).await?;
    let changed = change_status(&tx, slug, status).await?;
    tx.commit().await.map_err(db_failure)?;
    if config.json {
        return output::json(&json!({"slug": slug, "status": status.as_str(), "changed": changed}));
    }
    let words = if changed { "is now" } else { "was already" };
    output::line(&format!("The tenant {slug} {words} {}.", status.as_str()))
}

async fn set(config: &Config, db: &AdminDb, args: SetArgs) -> Result<(), CliError> {
    if args.name.is_none() && args.limits.is_empty() && args.search_text.is_none() {
        return Err(CliError::new(
            CliErrorKind::Usage,
            "say what to change: --name, --calls-per-minute, --calls-per-month or --search-text",
        ));
    }
    let tx = database::tenant_tx(db, &args.slug).await?;
    // Read in the transaction that writes it back: two who change different things at once both have their way.
    let before = lock(&tx, &args.slug).await?;
    let mut after = before.clone();
    if let Some(name) = &args.name {
        checked_name(name)?.clone_into(&mut after.name);
    }
    after.call_limits = args.limits.of(before.call_limits);
    after.search_text = args.search_text.unwrap_or(before.search_text);
    tenants::update(&tx, &after).await.map_err(db_failure)?;
    let seen = |tenant: &Tenant| json!({"name": tenant.name, "limits": tenant.call_limits, "search_text": tenant.search_text});
    let details = json!({"before": seen(&before), "after": seen(&after)});
    audit(&tx, "tenant.set", &args.slug, details).await?;
    tx.commit().await.map_err(db_failure)?;
    if config.json {
        return output::json(&after);
    }
    output::line(&format!(
        "The tenant {} ({}) may make {}; of its searches the text is {}.",
        after.slug,
        after.name,
        words_for(after.call_limits),
        after.search_text.as_str()
    ))
}

async fn audit(
    tx: &TenantTx,
    action: &str,
    subject: &str,
    details: serde_json::Value,
) -> Result<(), CliError> {
    let actor = database::operator();
    let entry = Entry {
        actor: &actor,
        action,
        subject,
        details,
        source: "cli",
    };
    audit::write(tx, &entry).await.map_err(db_failure)
}
