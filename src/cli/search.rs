//! `skillkeep search`: the stored search index, and the quality of the search.

use clap::{Args, Subcommand};
use serde_json::json;
use skill_embeddings::Embedder;

use super::database::{self, Database, db_failure};
use super::output;
use super::tenant_arg::TenantArg;
use crate::config::Config;
use crate::db::isolation_checks::Check;
use crate::db::{AdminDb, DbError, TenantTx};
use crate::error::{CliError, CliErrorKind};
use crate::search;
use crate::tenancy::tenants::{self, Tenant};

mod embed;
mod eval;
mod report;

#[derive(Debug, Subcommand)]
pub(super) enum SearchCommand {
    /// Show what the search index of a tenant holds
    ///
    /// With a provider of embeddings, also how many skills have a vector of its model, and whether it answers.
    Status(embed::EmbedArgs),
    /// Compare the search index with the skills
    ///
    /// Ends with exit code 1 if a skill differs; `skillkeep search rebuild` then builds the index again.
    Check(TenantArgs),
    /// Build the search index of a tenant again
    ///
    /// Searches go on meanwhile; they are slower until it is done.
    Rebuild(TenantArgs),
    /// Show what users searched for and did not get
    Report(report::ReportArgs),
    /// Compute the embeddings of a tenant's skills
    ///
    /// A server with the same provider computes them in the background; this does it at once. Vectors of other models are deleted.
    /// Example: skillkeep search embed --embeddings-folder ~/models/all-MiniLM-L6-v2
    Embed(embed::EmbedArgs),
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
            let embedder = args.embeddings.embedder().await?;
            Database::with_admin(config, async |db| {
                status(config, db, &args.tenant.slug, embedder.as_deref()).await
            })
            .await
        }
        SearchCommand::Check(args) => {
            Database::with_admin(config, async |db| check(config, db, &args.tenant.slug).await).await
        }
        SearchCommand::Rebuild(args) => {
            Database::with_admin(config, async |db| rebuild(config, db, &args.tenant.slug).await).await
        }
        SearchCommand::Report(args) => {
            Database::with_admin(config, async |db| report::run(config, db, &args).await).await
        }
        SearchCommand::Embed(args) => {
            let embedder = args.embeddings.required().await?;
            Database::with_admin(config, async |db| {
                embed::run(config, db, &args.tenant.slug, embedder.as_ref()).await
            })
            .await
        }
        SearchCommand::Eval(args) => eval::run(config, &args).await,
    }
}

async fn status(
    config: &Config,
    db: &AdminDb,
    tenant: &str,
    embedder: Option<&dyn Embedder>,
) -> Result<(), CliError> {
    let mut tx = database::tenant_tx(db, tenant).await?;
    tx.without_time_limit().await.map_err(db_failure)?;
    let status = search::status(&tx).await.map_err(db_failure)?;
    tx.rollback().await.map_err(db_failure)?;
    let embeddings = match embedder {
        Some(embedder) => Some((embedder, embed::status(db, tenant, embedder).await?)),
        None => None,
    };
    if config.json {
        let mut shown = json!({
            "skills": status.skills, "segments": status.segments, "bytes": status.bytes,
            "revision": status.revision, "pending": status.pending,
        });
        if let Some((embedder, stored)) = embeddings {
            let embeddings = json!({
                "model": embedder.model_id().as_str(), "query_model": embedder.query_model_id().as_str(),
                "with_vector": stored.embedded, "of_other_models": stored.of_other_models,
                "error": error_of(embedder).await,
            });
            if let Some(fields) = shown.as_object_mut() {
                fields.insert("embeddings".to_owned(), embeddings);
            }
        }
        return output::json(&shown);
    }
    output::line(&format!(
        "{} skills in {} segments, {} of postings; {} changed skills are not indexed yet.",
        status.skills,
        status.segments,
        format_args!("{:.1} MB", status.bytes as f64 / 1e6),
        status.pending
    ))?;
    let Some((embedder, stored)) = embeddings else {
        return Ok(());
    };
    output::line(&format!(
        "{} of {} skills have a vector of the model {}; {} vectors are of other models.",
        stored.embedded,
        stored.skills,
        embedder.model_id(),
        stored.of_other_models
    ))?;
    if embedder.query_model_id() != embedder.model_id() {
        output::line(&format!(
            "Searches are computed with an adapter of the model: {}.",
            embedder.query_model_id()
        ))?;
    }
    output::line(&match error_of(embedder).await {
        Some(error) => format!("The provider of embeddings fails: {error}."),
        None => "The provider of embeddings answers.".to_owned(),
    })
}

/// Asks the provider once.
async fn error_of(embedder: &dyn Embedder) -> Option<String> {
    let asked = embedder.embed_query("release notes").await;
    asked.err().map(|error| error.to_string())
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

/// Brings the stored index of all tenants up to date, after an upgrade for example. Returns the tenants of which something was
/// missing.
pub(super) async fn index_all(db: &AdminDb) -> Result<Vec<String>, CliError> {
    let mut indexed = Vec::new();
    for tenant in active_tenants(db).await.map_err(db_failure)? {
        let steps = search::compact(|| TenantTx::begin_as_admin(db, tenant.id)).await;
        if steps.map_err(db_failure)? > 0 {
            indexed.push(tenant.slug);
        }
    }
    Ok(indexed)
}

/// Compares the stored index of all tenants with their skills, for `doctor`.
pub(super) async fn check_all(db: &AdminDb) -> Result<Check, DbError> {
    let (mut skills, mut findings) = (0, Vec::new());
    let tenants = active_tenants(db).await?;
    for tenant in &tenants {
        let mut tx = TenantTx::begin_as_admin(db, tenant.id).await?;
        tx.without_time_limit().await?;
        let checked = search::check(&tx).await;
        tx.rollback().await?;
        let slug = &tenant.slug;
        let finding = match checked {
            Ok(checked) => {
                skills += checked.skills;
                (checked.differing > 0).then(|| {
                    format!(
                        "it differs for {} of {} skills",
                        checked.differing, checked.skills
                    )
                })
            }
            Err(DbError::Corrupt(_)) => Some("it is damaged".to_owned()),
            Err(error) => return Err(error),
        };
        if let Some(finding) = finding {
            findings.push(format!(
                "the search index of {slug}: {finding}; run `skillkeep search rebuild --tenant {slug}`"
            ));
        }
    }
    let name = format!(
        "the search index agrees with the {skills} skills of {} tenants",
        tenants.len()
    );
    Ok(Check::new(name, findings))
}

async fn active_tenants(db: &AdminDb) -> Result<Vec<Tenant>, DbError> {
    let mut tenants = tenants::list(db).await?;
    tenants.retain(|tenant| tenant.status == "active");
    Ok(tenants)
}

async fn rebuild(config: &Config, db: &AdminDb, tenant: &str) -> Result<(), CliError> {
    let tx = database::tenant_tx(db, tenant).await?;
    let id = tx.tenant();
    search::rebuild(&tx).await.map_err(db_failure)?;
    tx.commit().await.map_err(db_failure)?;
    search::compact(|| TenantTx::begin_as_admin(db, id))
        .await
        .map_err(db_failure)?;
    status(config, db, tenant, None).await
}
