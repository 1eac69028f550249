//! `skillkeep audit`: show, verify and export the audit log, and check an export.

mod check;
mod checkpoint_args;
mod export;
mod verify;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;

use self::checkpoint_args::{CheckpointKey, TrustedCheckpoint};
use super::database::{self, Database, db_failure};
use super::files::{create_private, file_error};
use super::output;
use super::tenant_arg::TenantArg;
use crate::config::Config;
use crate::db::AdminDb;
use crate::error::{CliError, CliErrorKind};
use crate::registry::audit::{self, CheckpointError, SigningKey};

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Show the newest entries
    Tail {
        /// Number of entries
        #[arg(short = 'n', long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=10_000))]
        lines: i64,
        #[command(flatten)]
        tenant: TenantArg,
    },
    /// Verify the hash chain and the log's protections
    ///
    /// Recomputes the chain from the first entry and checks triggers and privileges.
    Verify {
        /// A checkpoint that the log must still contain
        ///
        /// Written by an earlier `skillkeep audit export`.
        #[arg(long, value_name = "FILE")]
        checkpoint: Option<PathBuf>,
        #[command(flatten)]
        key: CheckpointKey,
        #[command(flatten)]
        tenant: TenantArg,
    },
    /// Export the log and a signed checkpoint
    Export(export::ExportArgs),
    /// Check an exported file and its checkpoint; needs no database
    Check(check::CheckArgs),
    /// Create a signing key and print its public key
    ///
    /// The key signs checkpoints.
    Keygen {
        /// The file to create; it must not exist
        file: PathBuf,
    },
}

pub(super) async fn run(config: &Config, command: AuditCommand) -> Result<(), CliError> {
    match command {
        // These need no database.
        AuditCommand::Check(args) => return check::run(config, &args),
        AuditCommand::Keygen { file } => return keygen(&file),
        AuditCommand::Tail { .. } | AuditCommand::Verify { .. } | AuditCommand::Export(_) => {}
    }
    Database::with_admin(config, async |db| run_with(config, db, command).await).await
}

async fn run_with(config: &Config, db: &AdminDb, command: AuditCommand) -> Result<(), CliError> {
    match command {
        AuditCommand::Tail { lines, tenant } => {
            let tx = database::audit_tx(db, &tenant.slug).await?;
            tail(config, audit::tail(&tx, lines).await.map_err(db_failure)?)
        }
        AuditCommand::Verify {
            checkpoint,
            key,
            tenant,
        } => {
            let checkpoint = TrustedCheckpoint::read_optional(checkpoint.as_deref(), &key)?;
            verify::run(config, db, &tenant.slug, checkpoint.as_ref()).await
        }
        AuditCommand::Export(args) => export::run(config, db, &args).await,
        AuditCommand::Check(args) => check::run(config, &args),
        AuditCommand::Keygen { file } => keygen(&file),
    }
}

fn tail(config: &Config, entries: Vec<audit::StoredEntry>) -> Result<(), CliError> {
    if config.json {
        return entries.iter().rev().try_for_each(output::json);
    }
    let rows = entries
        .into_iter()
        .rev()
        .map(|entry| {
            vec![
                entry.seq.to_string(),
                output::timestamp(entry.created_at),
                entry.actor,
                entry.action,
                entry.subject,
                entry.source,
                entry.details.to_string(),
            ]
        })
        .collect();
    output::table(
        &["#", "time", "actor", "action", "subject", "source", "details"],
        rows,
        "The audit log is empty.",
    )
}

fn keygen(path: &Path) -> Result<(), CliError> {
    let internal = |error: CheckpointError| CliError::new(CliErrorKind::Internal, error.to_string());
    let pem = SigningKey::generate().map_err(internal)?;
    let key = SigningKey::from_pem(&pem).map_err(internal)?;
    create_private(path)
        .map_err(|error| file_error("cannot create", path, &error))?
        .write_all(pem.as_bytes())
        .map_err(|error| file_error("cannot write", path, &error))?;
    output::note(&format!(
        "Wrote the signing key to {}. Give this public key to the auditor:",
        path.display()
    ));
    output::line(&key.public_key())
}

/// Describes the entries whose details serde_json cannot parse.
fn describe_unreadable(entries: &[i64]) -> String {
    let numbers: Vec<String> = entries.iter().map(ToString::to_string).collect();
    format!(
        "the details of these entries are not readable: {}",
        numbers.join(", ")
    )
}
