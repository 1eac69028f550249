//! Versions of a skill: manifests, files and history.

use jiff::Timestamp;
use tokio_postgres::Row;

use super::skills::digest;
use crate::db::{DbError, TenantTx};
use crate::ids::{Digest, VersionId};
use crate::sql;

/// One entry of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Relative to the skill's folder, with `/` between its parts.
    pub path: String,
    pub digest: Digest,
    /// Bytes.
    pub size: i64,
    pub executable: bool,
}

impl FileEntry {
    pub(super) fn from_row(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            path: row.try_get("path")?,
            digest: digest(row, "digest")?,
            size: row.try_get("size")?,
            executable: row.try_get::<_, &str>("mode")? == "executable",
        })
    }
}

/// A manifest entry with the bytes of its file.
#[derive(Debug, Clone)]
pub struct FileContents {
    pub entry: FileEntry,
    pub bytes: Vec<u8>,
}

impl FileContents {
    fn from_row(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            entry: FileEntry::from_row(row)?,
            bytes: row.try_get("bytes")?,
        })
    }
}

/// One version in the history of a skill.
#[derive(Debug, Clone)]
pub struct VersionSummary {
    pub version: String,
    pub digest: Digest,
    pub file_count: i32,
    pub total_bytes: i64,
    pub yanked: bool,
    pub created_at: Timestamp,
}

/// The newest `limit` versions of the skill with this slug, newest first.
pub async fn list(tx: &TenantTx, slug: &str, limit: i64) -> Result<Vec<VersionSummary>, DbError> {
    let rows = tx
        .query(sql!("versions/list.sql"), &[tx.tenant().as_uuid(), &slug, &limit])
        .await?;
    rows.iter()
        .map(|row| {
            Ok(VersionSummary {
                version: row.try_get("version")?,
                digest: digest(row, "digest")?,
                file_count: row.try_get("file_count")?,
                total_bytes: row.try_get("total_bytes")?,
                yanked: row.try_get::<_, &str>("status")? == "yanked",
                created_at: row.try_get("created_at")?,
            })
        })
        .collect()
}

/// The manifest of the skill with this slug, in the version with this label or in its latest version. Empty if there is none.
pub async fn files(tx: &TenantTx, slug: &str, version: Option<&str>) -> Result<Vec<FileEntry>, DbError> {
    let rows = tx
        .query(
            sql!("versions/files.sql"),
            &[tx.tenant().as_uuid(), &slug, &version],
        )
        .await?;
    rows.iter().map(FileEntry::from_row).collect()
}

/// One file of the skill with this slug, in the version with this label or in its latest version.
pub async fn file(
    tx: &TenantTx,
    slug: &str,
    version: Option<&str>,
    path: &str,
) -> Result<Option<FileContents>, DbError> {
    let row = tx
        .query_opt(
            sql!("versions/file.sql"),
            &[tx.tenant().as_uuid(), &slug, &version, &path],
        )
        .await?;
    row.as_ref().map(FileContents::from_row).transpose()
}

/// The manifest of a version.
pub async fn manifest(tx: &TenantTx, version: VersionId) -> Result<Vec<FileEntry>, DbError> {
    let rows = tx
        .query(
            sql!("versions/manifest.sql"),
            &[tx.tenant().as_uuid(), version.as_uuid()],
        )
        .await?;
    rows.iter().map(FileEntry::from_row).collect()
}

/// Every file of a version with its bytes.
///
/// # Errors
/// [`DbError::Corrupt`] if the bytes of a file do not match its digest.
pub async fn contents(tx: &TenantTx, version: VersionId) -> Result<Vec<FileContents>, DbError> {
    let rows = tx
        .query(
            sql!("versions/contents.sql"),
            &[tx.tenant().as_uuid(), version.as_uuid()],
        )
        .await?;
    let files: Vec<FileContents> = rows
        .iter()
        .map(FileContents::from_row)
        .collect::<Result<_, _>>()?;
    match files
        .iter()
        .find(|file| Digest::of(&file.bytes) != file.entry.digest)
    {
        Some(file) => Err(DbError::Corrupt(format!(
            "the bytes of {} differ from their digest",
            file.entry.path
        ))),
        None => Ok(files),
    }
}
