//! `skillkeep audit verify`: checks the hash chain, the protections of the log, and a checkpoint.

use serde_json::json;

use super::checkpoint_args::TrustedCheckpoint;
use super::describe_unreadable;
use crate::cli::database::{self, db_failure};
use crate::cli::output;
use crate::config::Config;
use crate::db::{AdminDb, TenantTx, isolation_checks};
use crate::error::{CliError, CliErrorKind};
use crate::ids::TenantId;
use crate::registry::audit::{self, Verification};
use crate::tenancy::tenants;

/// The tenant that a migration creates. Its log does not begin with `tenant.create` if it was used before that entry existed.
const DEFAULT_TENANT: &str = "01900000-0000-7000-8000-000000000001";

pub(super) async fn run(
    config: &Config,
    db: &AdminDb,
    slug: &str,
    checkpoint: Option<&TrustedCheckpoint>,
) -> Result<(), CliError> {
    let tx = database::audit_tx(db, slug).await?;
    let id = tx.tenant();
    let verification = audit::verify(&tx).await.map_err(db_failure)?;
    let is_erased = !tenants::lock_key_share(&tx).await.map_err(db_failure)?;
    let mut findings = chain_findings(&verification, id, is_erased);
    if let Some(checkpoint) = checkpoint {
        findings.extend(checkpoint_finding(&tx, checkpoint).await?);
    }
    let mut findings: Vec<String> = findings
        .into_iter()
        .map(|finding| format!("the audit log of {slug} {finding}"))
        .collect();
    tx.rollback().await.map_err(db_failure)?;
    // All isolation checks protect the log: who can act as another role or tenant can write into any log.
    let checks = isolation_checks::check_schema(db).await.map_err(db_failure)?;
    findings.extend(
        checks
            .into_iter()
            .flat_map(|check| check.findings)
            .map(|finding| format!("a protection of the log was changed: {finding}")),
    );
    if config.json {
        output::json(&json!({
            "tenant_id": id, "entries": verification.entries, "broken_at": verification.broken_at,
            "last_hash": verification.last_hash, "findings": findings,
        }))?;
    }
    if !findings.is_empty() {
        return Err(CliError::new(CliErrorKind::Findings, findings.join("; ")));
    }
    if config.json {
        return Ok(());
    }
    output::line(&format!(
        "The audit log of {slug} ({id}) is intact: {} entries, last hash {}.",
        verification.entries, verification.last_hash
    ))
}

/// What the log itself reveals.
fn chain_findings(verification: &Verification, tenant: TenantId, is_erased: bool) -> Vec<String> {
    if let Some(seq) = verification.broken_at {
        // The entries after it were not read.
        return vec![format!(
            "was tampered with: entry {seq} does not follow from the previous one"
        )];
    }
    let mut findings = Vec::new();
    match verification.first_action.as_deref() {
        None => findings.push("is empty, but every log begins with tenant.create".to_owned()),
        Some("tenant.create") => {}
        Some(_) if tenant.to_string() == DEFAULT_TENANT => {}
        Some(action) => findings.push(format!(
            "begins with {action} instead of tenant.create: it was emptied or rewritten"
        )),
    }
    match (is_erased, verification.has_erasure_certificate) {
        (false, false) | (true, true) => {}
        (false, true) => {
            findings.push("has a certificate of erasure, but the tenant is not erased".to_owned());
        }
        (true, false) => findings.push("has no certificate of the tenant's erasure".to_owned()),
    }
    if !verification.unreadable.is_empty() {
        findings.push(format!(
            "is intact, but {}",
            describe_unreadable(&verification.unreadable)
        ));
    }
    findings
}

/// Whether the log still contains the entries of the checkpoint.
async fn checkpoint_finding(tx: &TenantTx, trusted: &TrustedCheckpoint) -> Result<Option<String>, CliError> {
    let checkpoint = &trusted.checkpoint;
    if let Err(error) = trusted.verify_signature() {
        return Ok(Some(format!("cannot be compared: {error}")));
    }
    if checkpoint.tenant_id != tx.tenant() {
        return Ok(Some(format!(
            "is of the tenant {}, but the checkpoint is of {}",
            tx.tenant(),
            checkpoint.tenant_id
        )));
    }
    if checkpoint.entries == 0 {
        return Ok(None);
    }
    let hash = audit::hash_at(tx, checkpoint.entries).await.map_err(db_failure)?;
    let contains = hash.is_some_and(|hash| hash == checkpoint.last_hash);
    Ok((!contains).then(|| {
        format!(
            "does not contain what was signed on {}: some of the {} entries were removed or rewritten",
            output::timestamp(checkpoint.signed_at),
            checkpoint.entries
        )
    }))
}
