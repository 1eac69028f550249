//! The digests of the zip archives of versions, and of the plugins made of them, which indexes list. They are computed when they
//! are first needed.

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

/// The digests of the plugins of these versions, as far as they are known. A plugin also contains the slug of its skill.
///
/// # Errors
/// When the database is unavailable or rejects the statement.
pub async fn plugin_digests(
    tx: &TenantTx,
    versions: &[VersionId],
) -> Result<HashMap<(VersionId, String), Digest>, DbError> {
    let ids: Vec<Uuid> = versions.iter().map(|id| *id.as_uuid()).collect();
    let rows = tx
        .query(
            sql!("archives/plugin_digests.sql"),
            &[tx.tenant().as_uuid(), &ids],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let version = VersionId::from_uuid(row.try_get("version_id")?);
            Ok(((version, row.try_get("slug")?), digest(row, "digest")?))
        })
        .collect()
}

/// Stores the digest of the plugin of a version, with the slug in it.
///
/// # Errors
/// When the database is unavailable or rejects the statement.
pub async fn store_plugin_digest(
    tx: &TenantTx,
    version: VersionId,
    slug: &str,
    digest: Digest,
) -> Result<(), DbError> {
    tx.execute(
        sql!("archives/insert_plugin.sql"),
        &[
            tx.tenant().as_uuid(),
            version.as_uuid(),
            &slug,
            &digest.as_bytes().as_slice(),
        ],
    )
    .await?;
    Ok(())
}
