//! Deny digests, and quarantine the versions that are or contain them.

use serde::Serialize;
use serde_json::json;

use super::record;
use crate::db::{DbError, TenantTx};
use crate::ids::Digest;
use crate::registry::audit::Actor;
use crate::registry::revision::next_revision;
use crate::registry::skills::digest;
use crate::registry::{scans, settings};
use crate::sql;
use crate::tenancy::mask_keys;

/// Why the denylist was not changed.
#[derive(Debug, thiserror::Error)]
pub enum DenyError {
    #[error("the digest is denied already; `skillkeep deny list` shows the reason")]
    Exists,
    #[error("the digest is not denied; `skillkeep deny list` shows those that are")]
    NotDenied,
    #[error(transparent)]
    Db(#[from] DbError),
}

/// A stored version that is or contains a digest.
#[derive(Debug, Clone, Serialize)]
pub struct AffectedVersion {
    pub skill: String,
    pub version: String,
    pub digest: Digest,
}

/// Denies a digest of a file or of a version, and quarantines the versions that are or contain it. `reason` has 1 to 1000
/// characters. Entry: `deny.add`.
///
/// # Errors
/// [`DenyError::Exists`].
pub async fn add(
    tx: &TenantTx,
    actor: &Actor,
    denied: Digest,
    reason: &str,
) -> Result<Vec<AffectedVersion>, DenyError> {
    // Waits for publications that began before.
    next_revision(tx).await?;
    let (bytes, name, reason) = (denied.as_bytes().as_slice(), actor.name(), mask_keys(reason));
    let added = tx
        .execute(
            sql!("denied/insert.sql"),
            &[tx.tenant().as_uuid(), &bytes, &reason, &name],
        )
        .await?;
    if added == 0 {
        return Err(DenyError::Exists);
    }
    let affected = affected(tx, denied).await?;
    for manifest in manifests(&affected) {
        scans::set_quarantined(tx, manifest, true).await?;
    }
    let details = json!({"after": {"reason": reason, "versions": affected}});
    record(tx, actor, "deny.add", &denied.to_string(), details).await?;
    Ok(affected)
}

/// Removes a digest from the denylist, and releases the versions that nothing else quarantines. Returns the versions that are
/// or contain it. Entry: `deny.remove`.
///
/// # Errors
/// [`DenyError::NotDenied`].
pub async fn remove(tx: &TenantTx, actor: &Actor, denied: Digest) -> Result<Vec<AffectedVersion>, DenyError> {
    next_revision(tx).await?;
    let bytes = denied.as_bytes().as_slice();
    let removed = tx
        .execute(sql!("denied/delete.sql"), &[tx.tenant().as_uuid(), &bytes])
        .await?;
    if removed == 0 {
        return Err(DenyError::NotDenied);
    }
    let settings = settings::load(tx).await?;
    let affected = affected(tx, denied).await?;
    for manifest in manifests(&affected) {
        let has_findings = match scans::find(tx, manifest).await? {
            Some(scan) => scans::quarantines(&scan.findings, &settings) && scan.override_reason.is_none(),
            None => false,
        };
        scans::set_quarantined(tx, manifest, has_findings).await?;
    }
    let details = json!({"after": {"versions": affected}});
    record(tx, actor, "deny.remove", &denied.to_string(), details).await?;
    Ok(affected)
}

async fn affected(tx: &TenantTx, denied: Digest) -> Result<Vec<AffectedVersion>, DbError> {
    let bytes = denied.as_bytes().as_slice();
    let rows = tx
        .query(sql!("denied/versions.sql"), &[tx.tenant().as_uuid(), &bytes])
        .await?;
    rows.iter()
        .map(|row| {
            Ok(AffectedVersion {
                skill: row.try_get("slug")?,
                version: row.try_get("version")?,
                digest: digest(row, "digest")?,
            })
        })
        .collect()
}

/// Several versions can have the same files.
fn manifests(affected: &[AffectedVersion]) -> Vec<Digest> {
    let mut manifests: Vec<Digest> = affected.iter().map(|version| version.digest).collect();
    manifests.sort_unstable();
    manifests.dedup();
    manifests
}
