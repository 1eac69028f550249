//! The digests of the zip archives of versions, which indexes of skills list. They are computed when they are first needed.

use std::collections::HashMap;

use uuid::Uuid;

use super::skills::digest;
use crate::db::{DbError, TenantTx};
use crate::ids::{Digest, VersionId};
use crate::sql;

/// The digests of the archives of these versions, as far as they are known.
///
/// # Errors
/// When the database is unavailable or rejects the statement.
pub async fn digests(tx: &TenantTx, versions: &[VersionId]) -> Result<HashMap<VersionId, Digest>, DbError> {
    let ids: Vec<Uuid> = versions.iter().map(|id| *id.as_uuid()).collect();
    let rows = tx
        .query(sql!("archives/digests.sql"), &[tx.tenant().as_uuid(), &ids])
        .await?;
    rows.iter()
        .map(|row| {
            let version = VersionId::from_uuid(row.try_get("version_id")?);
            Ok((version, digest(row, "digest")?))
        })
        .collect()
}

/// Stores the digest of the archive of a version.
///
/// # Errors
/// When the database is unavailable or rejects the statement.
pub async fn store_digest(tx: &TenantTx, version: VersionId, digest: Digest) -> Result<(), DbError> {
    tx.execute(
        sql!("archives/insert.sql"),
        &[
            tx.tenant().as_uuid(),
            version.as_uuid(),
            &digest.as_bytes().as_slice(),
        ],
    )
    .await?;
    Ok(())
}
