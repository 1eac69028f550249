//! `skillkeep search`: the stored search index, and the quality of the search.

use clap::{Args, Subcommand};
use serde_json::json;

use super::database::{self, Database, db_failure};
use super::output;
use super::tenant_arg::TenantArg;
use crate::config::Config;
use crate::db::{AdminDb, TenantTx};
use crate::error::{CliError, CliErrorKind};
use crate::search;

mod eval;

#[derive(Debug, Subcommand)]
pub(super) enum SearchCommand {
    /// Show what the search index of a tenant holds
    Status(TenantArgs),
    /// Compare the search index with the skills
    ///
    /// Ends with exit code 1 if a skill differs; `skillkeep search rebuild` then builds the index again.
    Check(TenantArgs),
    /// Build the search index of a tenant again
    ///
    /// Searches go on meanwhile; they are slower until it is done.
    Rebuild(TenantArgs),
    /// Measure the quality of the search for known requests
    Eval(eval::EvalArgs),
}

#[derive(Debug, Args)]
pub(super) struct TenantArgs {
    #[command(flatten)]
    tenant: TenantArg,
}

pub(super) async fn run(config: &Config, command: SearchCommand) -> Result<(), CliError> {
    match command {
        SearchCommand::Status(args) => {
            Database::with_admin(config, async |db| status(config, db, &args.tenant.slug).await).await
        }
        SearchCommand::Check(args) => {
            Database::with_admin(config, async |db| check(config, db, &args.tenant.slug).await).await
        }
        SearchCommand::Rebuild(args) => {
            Database::with_admin(config, async |db| rebuild(config, db, &args.tenant.slug).await).await
        }
        SearchCommand::Eval(args) => eval::run(config, &args),
    }
}

async fn status(config: &Config, db: &AdminDb, tenant: &str) -> Result<(), CliError> {
    let mut tx = database::tenant_tx(db, tenant).await?;
    tx.without_time_limit().await.map_err(db_failure)?;
    let status = search::status(&tx).await.map_err(db_failure)?;
    tx.rollback().await.map_err(db_failure)?;
    if config.json {
        return output::json(&json!({
            "skills": status.skills, "segments": status.segments, "bytes": status.bytes,
            "revision": status.revision, "pending": status.pending,
        }));
    }
    output::line(&format!(
        "{} skills in {} segments, {} of postings; {} changed skills are not indexed yet.",
        status.skills,
        status.segments,
        format_args!("{:.1} MB", status.bytes as f64 / 1e6),
        status.pending
    ))
}

async fn check(config: &Config, db: &AdminDb, tenant: &str) -> Result<(), CliError> {
    let mut tx = database::tenant_tx(db, tenant).await?;
    tx.without_time_limit().await.map_err(db_failure)?;
    let checked = search::check(&tx).await.map_err(db_failure)?;
    tx.rollback().await.map_err(db_failure)?;
    if config.json {
        output::json(&json!({"skills": checked.skills, "differing": checked.differing}))?;
    } else if checked.differing == 0 {
        output::line(&format!("The index agrees with the {} skills.", checked.skills))?;
    }
    if checked.differing > 0 {
        return Err(CliError::new(
            CliErrorKind::Findings,
            format!(
                "the index differs from the catalog for {} of {} skills; build it again with `skillkeep search rebuild --tenant {tenant}`",
                checked.differing, checked.skills
            ),
        ));
    }
    Ok(())
}

async fn rebuild(config: &Config, db: &AdminDb, tenant: &str) -> Result<(), CliError> {
    let tx = database::tenant_tx(db, tenant).await?;
    let id = tx.tenant();
    search::rebuild(&tx).await.map_err(db_failure)?;
    tx.commit().await.map_err(db_failure)?;
    search::compact(|| TenantTx::begin_as_admin(db, id))
        .await
        .map_err(db_failure)?;
    status(config, db, tenant).await
}
