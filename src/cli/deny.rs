//! `skillkeep deny`: digests that nobody may publish or install.

use clap::Subcommand;
use serde_json::json;

use super::database::{self, Database, db_failure};
use super::output;
use super::tenant_arg::TenantArg;
use crate::config::Config;
use crate::db::AdminDb;
use crate::error::{CliError, CliErrorKind};
use crate::ids::Digest;
use crate::registry::administration::denylist::{self as administration, AffectedVersion, DenyError};
use crate::registry::denylist;
use crate::registry::management::MAX_REASON_CHARS;
use crate::search;

#[derive(Debug, Subcommand)]
pub(super) enum DenyCommand {
    /// Deny a file or a version by its digest
    ///
    /// Stored versions that are or contain it are quarantined at once. `skillkeep skill files` shows digests. Example:
    /// skillkeep deny add sha256:9f86... --reason "sends data to a stranger"
    Add {
        /// The digest of a file or of a version
        ///
        /// sha256: and 64 hexadecimal digits.
        digest: Digest,
        /// Reason, shown to those who try to publish or install it
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        tenant: TenantArg,
    },
    /// List the denied digests
    List {
        #[command(flatten)]
        tenant: TenantArg,
    },
    /// Allow a digest again
    ///
    /// Releases the versions that no finding quarantines.
    Remove {
        /// The digest
        digest: Digest,
        #[command(flatten)]
        tenant: TenantArg,
    },
}

pub(super) async fn run(config: &Config, command: DenyCommand) -> Result<(), CliError> {
    Database::with_admin(config, async |db| match command {
        DenyCommand::Add {
            digest,
            reason,
            tenant,
        } => add(config, db, &tenant.slug, digest, reason.trim()).await,
        DenyCommand::List { tenant } => list(config, db, &tenant.slug).await,
        DenyCommand::Remove { digest, tenant } => remove(config, db, &tenant.slug, digest).await,
    })
    .await
}

async fn add(
    config: &Config,
    db: &AdminDb,
    tenant: &str,
    digest: Digest,
    reason: &str,
) -> Result<(), CliError> {
    check_reason(reason)?;
    let tx = database::tenant_tx(db, tenant).await?;
    let affected = administration::add(&tx, &database::operator(), digest, reason)
        .await
        .map_err(failure)?;
    search::commit(tx).await.map_err(db_failure)?;
    show(config, digest, true, &affected)
}

async fn remove(config: &Config, db: &AdminDb, tenant: &str, digest: Digest) -> Result<(), CliError> {
    let tx = database::tenant_tx(db, tenant).await?;
    let affected = administration::remove(&tx, &database::operator(), digest)
        .await
        .map_err(failure)?;
    search::commit(tx).await.map_err(db_failure)?;
    show(config, digest, false, &affected)
}

fn show(
    config: &Config,
    digest: Digest,
    is_denied: bool,
    affected: &[AffectedVersion],
) -> Result<(), CliError> {
    if config.json {
        return output::json(&json!({"digest": digest, "denied": is_denied, "versions": affected}));
    }
    let names: Vec<String> = affected
        .iter()
        .map(|version| format!("{} {}", version.skill, version.version))
        .collect();
    let list = if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    };
    let state = if is_denied { "denied" } else { "no longer denied" };
    output::line(&format!("{digest} is {state}. Stored versions with it: {list}."))
}

async fn list(config: &Config, db: &AdminDb, tenant: &str) -> Result<(), CliError> {
    let tx = database::tenant_tx(db, tenant).await?;
    let denied = denylist::list(&tx).await.map_err(db_failure)?;
    if config.json {
        return output::json(&denied);
    }
    let rows = denied
        .into_iter()
        .map(|entry| {
            vec![
                entry.digest.to_string(),
                entry.versions.to_string(),
                entry.created_by,
                output::timestamp(entry.created_at),
                entry.reason,
            ]
        })
        .collect();
    output::table(
        &["digest", "versions", "denied by", "denied", "reason"],
        rows,
        "No digest is denied.",
    )
}

/// A reason that can be stored and shown.
pub(super) fn check_reason(reason: &str) -> Result<(), CliError> {
    let chars = reason.chars().count();
    if (1..=MAX_REASON_CHARS).contains(&chars) && !reason.contains('\0') {
        return Ok(());
    }
    Err(CliError::new(
        CliErrorKind::Usage,
        format!("--reason needs 1 to {MAX_REASON_CHARS} characters"),
    ))
}

fn failure(error: DenyError) -> CliError {
    match error {
        DenyError::Exists => CliError::new(CliErrorKind::Refused, error.to_string()),
        DenyError::NotDenied => CliError::new(CliErrorKind::NotFound, error.to_string()),
        DenyError::Db(error) => db_failure(error),
    }
}
