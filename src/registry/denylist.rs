//! The denylist: digests of files and versions that nobody may publish or install.

use jiff::Timestamp;
use serde::Serialize;
use tokio_postgres::Row;

use super::skills::digest;
use crate::db::{DbError, TenantTx};
use crate::ids::Digest;
use crate::sql;

/// A digest on the denylist that applies to a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// Of the version, or of one of its files.
    pub digest: Digest,
    pub reason: String,
}

impl Denial {
    fn from_row(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            digest: digest(row, "digest")?,
            reason: row.try_get("reason")?,
        })
    }
}

impl std::fmt::Display for Denial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "an administrator denied the content {}: {}",
            self.digest, self.reason
        )
    }
}

/// An entry of the denylist, as `skillkeep deny list` shows it.
#[derive(Debug, Clone, Serialize)]
pub struct DeniedDigest {
    pub digest: Digest,
    pub reason: String,
    /// The administrator's account on the operating system.
    pub created_by: String,
    pub created_at: Timestamp,
    /// Number of stored versions that are or contain it.
    pub versions: i64,
}

/// The denylist of the transaction's tenant, newest first.
pub async fn list(tx: &TenantTx) -> Result<Vec<DeniedDigest>, DbError> {
    let rows = tx
        .query(sql!("denied/list.sql"), &[tx.tenant().as_uuid()])
        .await?;
    rows.iter()
        .map(|row| {
            Ok(DeniedDigest {
                digest: digest(row, "digest")?,
                reason: row.try_get("reason")?,
                created_by: row.try_get("created_by")?,
                created_at: row.try_get("created_at")?,
                versions: row.try_get("versions")?,
            })
        })
        .collect()
}

/// The oldest entry of the denylist among these digests.
pub(super) async fn matching(tx: &TenantTx, digests: &[Digest]) -> Result<Option<Denial>, DbError> {
    let digests: Vec<&[u8]> = digests
        .iter()
        .map(|digest| digest.as_bytes().as_slice())
        .collect();
    let row = tx
        .query_opt(sql!("denied/matching.sql"), &[tx.tenant().as_uuid(), &digests])
        .await?;
    row.as_ref().map(Denial::from_row).transpose()
}

/// The oldest entry of the denylist that is a stored manifest or one of its files.
pub async fn of_manifest(tx: &TenantTx, manifest: Digest) -> Result<Option<Denial>, DbError> {
    let row = tx
        .query_opt(
            sql!("denied/of_manifest.sql"),
            &[tx.tenant().as_uuid(), &manifest.as_bytes().as_slice()],
        )
        .await?;
    row.as_ref().map(Denial::from_row).transpose()
}

/// A published version that cannot be installed because it is denied.
#[derive(Debug, Clone)]
pub struct DeniedVersion {
    pub slug: String,
    pub version: String,
    pub denial: Denial,
}

/// Why the version with this label, or the newest one, of a skill is not found, if that is the denylist.
pub async fn of_requested(
    tx: &TenantTx,
    slug: &str,
    version: Option<&str>,
) -> Result<Option<DeniedVersion>, DbError> {
    let row = tx
        .query_opt(
            sql!("denied/requested.sql"),
            &[tx.tenant().as_uuid(), &slug, &version],
        )
        .await?;
    row.map(|row| {
        Ok(DeniedVersion {
            slug: row.try_get("slug")?,
            version: row.try_get("version")?,
            denial: Denial::from_row(&row)?,
        })
    })
    .transpose()
}
