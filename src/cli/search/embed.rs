//! `skillkeep search embed`: computes the vectors of a tenant's skills at once.

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use skill_embeddings::Embedder;

use crate::cli::database::{self, db_failure};
use crate::cli::embedding_args::EmbeddingArgs;
use crate::cli::output;
use crate::cli::tenant_arg::TenantArg;
use crate::config::Config;
use crate::db::{AdminDb, TenantTx};
use crate::error::{CliError, CliErrorKind};
use crate::search::{self, Embedded, EmbeddingError, EmbeddingStatus};

#[derive(Debug, Args)]
pub(in crate::cli) struct EmbedArgs {
    #[command(flatten)]
    pub(super) tenant: TenantArg,
    #[command(flatten)]
    pub(super) embeddings: EmbeddingArgs,
}

pub(super) async fn run(
    config: &Config,
    db: &AdminDb,
    tenant: &str,
    embedder: &dyn Embedder,
) -> Result<(), CliError> {
    let before = status(db, tenant, embedder).await?;
    let id = database::tenant(db, tenant).await?.id;
    let progress = bar(before.skills);
    let begin = || TenantTx::begin_as_admin(db, id);
    let embedded = search::embed(embedder, Embedded::Outdated, begin, |done| {
        progress.set_position((done.embedded + done.failed) as u64);
    })
    .await;
    progress.finish_and_clear();
    let done = embedded.map_err(failure)?;
    let after = status(db, tenant, embedder).await?;
    if config.json {
        output::json(&json!({
            "model": embedder.model_id().as_str(), "skills": after.skills, "embedded": done.embedded, "failed": done.failed,
            "with_vector": after.embedded,
        }))?;
    } else {
        output::line(&format!(
            "{} skills were embedded; {} of {} have a vector of the model {}.",
            done.embedded,
            after.embedded,
            after.skills,
            embedder.model_id()
        ))?;
    }
    if done.failed > 0 {
        return Err(CliError::new(
            CliErrorKind::Findings,
            format!(
                "the model cannot embed {} skills; the log names their versions",
                done.failed
            ),
        ));
    }
    Ok(())
}

/// What is stored of the embeddings of a tenant.
pub(super) async fn status(
    db: &AdminDb,
    tenant: &str,
    embedder: &dyn Embedder,
) -> Result<EmbeddingStatus, CliError> {
    let tx = database::tenant_tx(db, tenant).await?;
    let status = search::embedding_status(&tx, embedder.model_id()).await;
    tx.rollback().await.map_err(db_failure)?;
    status.map_err(db_failure)
}

/// Shown only on a terminal. Skills that have a vector already are not counted, so it can end early.
fn bar(skills: i64) -> ProgressBar {
    let bar = ProgressBar::new(u64::try_from(skills).unwrap_or(0));
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos} of {len} skills, {per_sec}, {eta} left") {
        bar.set_style(style);
    }
    bar
}

fn failure(error: EmbeddingError) -> CliError {
    match error {
        EmbeddingError::Db(error) => db_failure(error),
        EmbeddingError::Provider(error) => CliError::new(
            CliErrorKind::Unavailable,
            format!("the skills cannot be embedded: {error}. What was embedded before is stored"),
        ),
    }
}
