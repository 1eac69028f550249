//! `skillkeep audit verify`: the chain, what guards it, and whether it still holds what was signed.

use serde_json::json;

use super::export::{SignedBy, unreadable_words};
use crate::cli::database::{self, db_failure};
use crate::cli::output;
use crate::config::Config;
use crate::db::{AdminDb, TenantTx, isolation_checks};
use crate::error::{CliError, CliErrorKind};
use crate::ids::TenantId;
use crate::registry::audit::{self, Verification};
use crate::tenancy::tenants;

/// The tenant that a migration made. Where it worked before its log was begun for it, the log begins with what it did first.
const DEFAULT_TENANT: &str = "01900000-0000-7000-8000-000000000001";

pub(super) async fn run(
    config: &Config,
    db: &AdminDb,
    tenant: &str,
    head: Option<&SignedBy>,
) -> Result<(), CliError> {
    let tx = database::audit_tx(db, tenant).await?;
    let id = tx.tenant();
    let found = audit::verify(&tx).await.map_err(db_failure)?;
    let is_alive = tenants::lock_key_share(&tx).await.map_err(db_failure)?;
    let mut findings = of_chain(&found, id, is_alive);
    if let Some(signed) = head {
        findings.extend(of_head(&tx, signed).await?);
    }
    let mut findings: Vec<String> = findings
        .into_iter()
        .map(|words| format!("the audit log of {tenant} {words}"))
        .collect();
    tx.roll_back().await.map_err(db_failure)?;
    // Whoever can act as another role, or as another tenant, can write into any log: so every wall guards this one.
    let guards = isolation_checks::check_schema(db).await.map_err(db_failure)?;
    findings.extend(
        guards
            .into_iter()
            .flat_map(|check| check.findings)
            .map(|finding| format!("what guards the log was changed: {finding}")),
    );
    if config.json {
        output::json(&json!({
            "tenant_id": id, "entries": found.entries, "broken_at": found.broken_at, "head": found.head, "findings": findings,
        }))?;
    }
    if !findings.is_empty() {
        return Err(CliError::new(CliErrorKind::Findings, findings.join("; ")));
    }
    if config.json {
        return Ok(());
    }
    output::line(&format!(
        "The audit log of {tenant} ({id}) is whole: {} entries, head {}.",
        found.entries, found.head
    ))
}

/// What the log shows by itself.
fn of_chain(found: &Verification, tenant: TenantId, is_alive: bool) -> Vec<String> {
    let mut findings = Vec::new();
    if let Some(seq) = found.broken_at {
        findings.push(format!(
            "was tampered with: entry {seq} does not follow from the one before it"
        ));
        // What comes after is not known.
        return findings;
    }
    match found.begins_with.as_deref() {
        None => findings.push("is empty, and every log begins with the making of its tenant".to_owned()),
        Some("tenant.create") => {}
        Some(_) if tenant.to_string() == DEFAULT_TENANT => {}
        Some(action) => findings.push(format!(
            "begins with {action} and not with the making of its tenant: it was emptied or made anew"
        )),
    }
    match (is_alive, found.holds_certificate) {
        (true, false) | (false, true) => {}
        (true, true) => {
            findings.push("tells of the tenant's erasure, and the tenant is not erased".to_owned())
        }
        (false, false) => findings.push("holds no certificate of the tenant's erasure".to_owned()),
    }
    if !found.unreadable.is_empty() {
        findings.push(format!("is whole, but {}", unreadable_words(&found.unreadable)));
    }
    findings
}

/// Whether it still holds what was signed.
async fn of_head(tx: &TenantTx, signed: &SignedBy) -> Result<Option<String>, CliError> {
    let head = &signed.head;
    if let Err(error) = signed.check() {
        return Ok(Some(format!("cannot be compared: {error}")));
    }
    if head.tenant_id != tx.tenant() {
        return Ok(Some(format!(
            "is that of the tenant {}, and the head is that of {}",
            tx.tenant(),
            head.tenant_id
        )));
    }
    let holds = head.entries == 0
        || audit::hash_at(tx, head.entries)
            .await
            .map_err(db_failure)?
            .as_deref()
            == Some(&*head.head);
    Ok((!holds).then(|| {
        format!(
            "does not hold what was signed on {}: of its {} entries some were cut off or written anew",
            output::moment(head.signed_at),
            head.entries
        )
    }))
}
