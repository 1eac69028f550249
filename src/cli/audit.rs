//! `skillkeep audit`: reads the audit log, recomputes its chain, and hands it out with a signed head.

mod export;
mod verify;

use std::path::PathBuf;

use clap::Subcommand;

use super::database::{self, Database, db_failure};
use super::output;
use crate::config::Config;
use crate::error::CliError;
use crate::registry::audit;

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Show the newest entries
    Tail {
        /// How many
        #[arg(short = 'n', long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=10_000))]
        lines: i64,
        /// The tenant's short name
        #[arg(long, default_value = "default", value_name = "SLUG")]
        tenant: String,
    },
    /// Recompute the chain of hashes from the first entry, and look at what guards the log
    Verify {
        /// A signed head of an earlier export, which the log must still hold
        #[arg(long, value_name = "FILE")]
        head: Option<PathBuf>,
        #[command(flatten)]
        key: export::CheckpointKey,
        /// The tenant's short name
        #[arg(long, default_value = "default", value_name = "SLUG")]
        tenant: String,
    },
    /// Write the whole log to a file, with a signed head beside it
    Export(export::ExportArgs),
    /// Check an exported file and its signed head, without a database
    Check(export::CheckArgs),
    /// Make a key for signing heads
    Keygen {
        /// Where to write it; it must not exist yet
        file: PathBuf,
    },
}

pub(super) async fn run(config: &Config, command: AuditCommand) -> Result<(), CliError> {
    match command {
        AuditCommand::Check(args) => return export::check(config, &args),
        AuditCommand::Keygen { file } => return export::keygen(&file),
        AuditCommand::Tail { .. } | AuditCommand::Verify { .. } | AuditCommand::Export(_) => {}
    }
    let database = Database::open(config).await?;
    let outcome = async {
        let db = database.admin().await?;
        match command {
            AuditCommand::Tail { lines, tenant } => {
                let tx = database::audit_tx(&db, &tenant).await?;
                tail(config, audit::tail(&tx, lines).await.map_err(db_failure)?)
            }
            AuditCommand::Verify { head, key, tenant } => {
                let head = export::SignedBy::read(head.as_deref(), &key)?;
                verify::run(config, &db, &tenant, head.as_ref()).await
            }
            AuditCommand::Export(args) => export::run(config, &db, &args).await,
            // Answered above: they need no database.
            AuditCommand::Check(_) | AuditCommand::Keygen { .. } => Ok(()),
        }
    }
    .await;
    database.close().await;
    outcome
}

fn tail(config: &Config, entries: Vec<audit::Recorded>) -> Result<(), CliError> {
    if config.json {
        return entries.iter().rev().try_for_each(output::json);
    }
    let rows = entries
        .into_iter()
        .rev()
        .map(|entry| {
            vec![
                entry.seq.to_string(),
                output::moment(entry.created_at),
                entry.actor,
                entry.action,
                entry.subject,
                entry.source,
                entry.details.to_string(),
            ]
        })
        .collect();
    output::table(
        &["#", "time", "who", "action", "subject", "from", "details"],
        rows,
        "The audit log is empty.",
    )
}
