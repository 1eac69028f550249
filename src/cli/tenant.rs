//! `skillkeep tenant`: the operator's list of tenants.

use clap::Subcommand;
use serde_json::json;

use super::backend::{self, Backend, db_failure};
use super::output;
use crate::config::Config;
use crate::db::{AdminDb, TenantTx};
use crate::error::{Failure, FailureKind};
use crate::ids::Slug;
use crate::registry::audit::{self, Entry};
use crate::tenancy::tenants::{self, Status};

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
    /// Let no key of a tenant work any more
    Suspend {
        /// The tenant's short name
        slug: String,
    },
    /// Let a suspended tenant's keys work again
    Resume {
        /// The tenant's short name
        slug: String,
    },
}

pub(super) async fn run(config: &Config, command: TenantCommand) -> Result<(), Failure> {
    let backend = Backend::open(config).await?;
    let outcome = match backend.admin().await {
        Ok(db) => run_with(config, &db, command).await,
        Err(failure) => Err(failure),
    };
    backend.close().await;
    outcome
}

async fn run_with(config: &Config, db: &AdminDb, command: TenantCommand) -> Result<(), Failure> {
    match command {
        TenantCommand::Create { slug, name } => create(config, db, &slug, name.as_deref()).await,
        TenantCommand::List => list(config, db).await,
        TenantCommand::Suspend { slug } => set_status(config, db, &slug, Status::Suspended).await,
        TenantCommand::Resume { slug } => set_status(config, db, &slug, Status::Active).await,
    }
}

async fn create(config: &Config, db: &AdminDb, slug: &Slug, name: Option<&str>) -> Result<(), Failure> {
    let name = name.unwrap_or(slug.as_str()).trim();
    if name.is_empty() || name.chars().count() > 200 {
        return Err(Failure::new(
            FailureKind::Usage,
            "a tenant's name has 1 to 200 characters",
        ));
    }
    let Some(id) = tenants::create(db, slug, name).await.map_err(db_failure)? else {
        return Err(Failure::new(
            FailureKind::Refused,
            format!("there is a tenant \"{slug}\" already"),
        ));
    };
    let tx = TenantTx::begin_as_operator(db, id).await.map_err(db_failure)?;
    audit(&tx, "tenant.create", slug.as_str()).await?;
    tx.commit().await.map_err(db_failure)?;
    if config.json {
        return output::json(&json!({"id": id, "slug": slug, "name": name}));
    }
    output::line(&format!("Created the tenant {slug} ({id})."))
}

async fn list(config: &Config, db: &AdminDb) -> Result<(), Failure> {
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

async fn set_status(config: &Config, db: &AdminDb, slug: &str, status: Status) -> Result<(), Failure> {
    let tx = backend::tenant_tx(db, slug).await?;
    let changed = tenants::set_status(&tx, status).await.map_err(db_failure)?;
    if changed {
        let action = match status {
            Status::Active => "tenant.resume",
            Status::Suspended => "tenant.suspend",
        };
        audit(&tx, action, slug).await?;
    }
    tx.commit().await.map_err(db_failure)?;
    if config.json {
        return output::json(&json!({"slug": slug, "status": status.as_str(), "changed": changed}));
    }
    let words = if changed { "is now" } else { "was already" };
    output::line(&format!("The tenant {slug} {words} {}.", status.as_str()))
}

async fn audit(tx: &TenantTx, action: &str, subject: &str) -> Result<(), Failure> {
    let actor = backend::operator();
    let entry = Entry {
        actor: &actor,
        action,
        subject,
        details: json!({}),
        source: "cli",
    };
    audit::write(tx, &entry).await.map_err(db_failure)
}
