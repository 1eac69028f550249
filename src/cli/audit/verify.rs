//! `skillkeep audit verify`: the chain, what guards it, and whether it still holds what was signed.

use serde_json::json;

use crate::cli::backend::{self, db_failure};
use crate::cli::output;
use crate::config::Config;
use crate::db::{AdminDb, guard};
use crate::error::{Failure, FailureKind};
use crate::registry::audit::{self, SignedHead};

pub(super) async fn run(
    config: &Config,
    db: &AdminDb,
    tenant: &str,
    head: Option<&SignedHead>,
    public_key: Option<&str>,
) -> Result<(), Failure> {
    let tx = backend::audit_tx(db, tenant).await?;
    let found = audit::verify(&tx).await.map_err(db_failure)?;
    let mut findings = Vec::new();
    if let Some(seq) = found.broken_at {
        findings.push(format!(
            "the audit log of {tenant} was tampered with: entry {seq} does not follow from the one before it"
        ));
    }
    if let Some(head) = head {
        if let Err(error) = head.check(public_key.unwrap_or(&head.public_key)) {
            findings.push(error.to_string());
        } else if head.tenant_id != tx.tenant() {
            findings.push(format!("the head is not that of {tenant}"));
        } else if head.entries > 0
            && audit::hash_at(&tx, head.entries)
                .await
                .map_err(db_failure)?
                .as_deref()
                != Some(&*head.head)
        {
            findings.push(format!(
                "the audit log of {tenant} does not hold what was signed on {}: of its {} entries some were cut off or written anew",
                output::moment(head.signed_at),
                head.entries
            ));
        }
    }
    tx.roll_back().await.map_err(db_failure)?;
    let guards = guard::check_catalogue(db).await.map_err(db_failure)?;
    findings.extend(
        guards
            .into_iter()
            .flat_map(|check| check.findings)
            .filter(|finding| finding.contains("audit"))
            .map(|finding| format!("what guards the log was changed: {finding}")),
    );
    if config.json {
        output::json(&json!({
            "entries": found.entries, "broken_at": found.broken_at, "head": found.head, "findings": findings,
        }))?;
    }
    if !findings.is_empty() {
        return Err(Failure::new(FailureKind::Findings, findings.join("; ")));
    }
    if config.json {
        return Ok(());
    }
    output::line(&format!(
        "The audit log of {tenant} is whole: {} entries, head {}.",
        found.entries, found.head
    ))
}
