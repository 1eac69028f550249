//! `skillkeep audit`: reads the audit log and recomputes its chain.

use clap::Subcommand;

use super::backend::{self, Backend, db_failure};
use super::output;
use crate::config::Config;
use crate::error::{Failure, FailureKind};
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
    /// Recompute the chain of hashes from the first entry
    Verify {
        /// The tenant's short name
        #[arg(long, default_value = "default", value_name = "SLUG")]
        tenant: String,
    },
}

pub(super) async fn run(config: &Config, command: AuditCommand) -> Result<(), Failure> {
    let backend = Backend::open(config).await?;
    let outcome = async {
        let db = backend.admin().await?;
        match command {
            AuditCommand::Tail { lines, tenant } => {
                let tx = backend::tenant_tx(&db, &tenant).await?;
                tail(config, audit::tail(&tx, lines).await.map_err(db_failure)?)
            }
            AuditCommand::Verify { tenant } => {
                let tx = backend::tenant_tx(&db, &tenant).await?;
                verify(config, &tenant, &audit::verify(&tx).await.map_err(db_failure)?)
            }
        }
    }
    .await;
    backend.close().await;
    outcome
}

fn tail(config: &Config, entries: Vec<audit::Recorded>) -> Result<(), Failure> {
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
                entry.details.to_string(),
            ]
        })
        .collect();
    output::table(
        &["#", "time", "who", "action", "subject", "details"],
        rows,
        "The audit log is empty.",
    )
}

fn verify(config: &Config, tenant: &str, found: &audit::Verification) -> Result<(), Failure> {
    if config.json {
        output::json(found)?;
    }
    match found.broken_at {
        Some(seq) => Err(Failure::new(
            FailureKind::Findings,
            format!(
                "the audit log of {tenant} was tampered with: entry {seq} does not follow from the one before it"
            ),
        )),
        None if config.json => Ok(()),
        None => output::line(&format!(
            "The audit log of {tenant} is whole: {} entries, head {}.",
            found.entries, found.head
        )),
    }
}
